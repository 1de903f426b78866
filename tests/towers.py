"""Tiny random image-text towers, written in the exact on-disk layout of the published ones."""

from __future__ import annotations

import json
from pathlib import Path

import sentencepiece
import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import (
    CLIPConfig,
    CLIPModel,
    MetaClip2Config,
    MetaClip2Model,
    Siglip2Config,
    Siglip2Model,
    SiglipConfig,
    SiglipModel,
)

SENTENCES = [
    "a photo of a cat", "a person opens the fridge", "two dogs run over the grass", "the red circle moves left",
    "someone stretches on a mat", "a man plays the guitar at night", "cooking an omelette in a pan",
    "the quick brown fox jumps over the lazy dog", "children kick a ball in the park", "Zwei Hunde und 3 Katzen!",
]  # fmt: skip
FAMILIES = ("clip", "metaclip", "metaclip2", "siglip", "siglip2")  # of square pictures; "naflex" is the other
IMAGE, WIDTH = 32, 24
LAYERS = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}


def write_tower(family: str, folder: Path, seed: int = 0) -> Path:
    """The folder of one family, as its authors published it."""
    folder.mkdir(parents=True)
    torch.manual_seed(seed)
    {
        "clip": _clip,
        "metaclip": _clip,
        "metaclip2": _metaclip2,
        "siglip": _siglip,
        "siglip2": _siglip2,
        "naflex": _naflex,
    }[family](folder)
    return folder


def _write(folder: Path, name: str, value: object) -> None:
    (folder / name).write_text(json.dumps(value), encoding="utf-8")


def _clip(folder: Path) -> None:
    """openai/clip-vit-base-patch32, laion/CLIP-ViT-B-32-laion2B-s34B-b79K, facebook/metaclip-b32-400m."""
    vocab = {c: i for i, c in enumerate(sorted({c for s in SENTENCES for c in s.lower() if c != " "}))}
    vocab |= {f"{c}</w>": len(vocab) + i for i, c in enumerate(list(vocab))}
    merges = ["t h", "th e</w>", "c a", "ca t</w>", "o p", "op e", "r e", "re d</w>"]
    for merge in merges:
        vocab["".join(merge.split(" "))] = len(vocab)
    start, end = "<|startoftext|>", "<|endoftext|>"
    vocab[start] = len(vocab)
    vocab[end] = len(vocab)
    tokenizer = Tokenizer(
        models.BPE(
            vocab,
            [tuple(m.split(" ")) for m in merges],
            end_of_word_suffix="</w>",
            unk_token=end,
            continuing_subword_prefix="",
            fuse_unk=False,
        )
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    pattern = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), "removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.RobertaProcessing(
        (end, vocab[end]), (start, vocab[start]), trim_offsets=False, add_prefix_space=False
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    _write(folder, "vocab.json", vocab)
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    special = {"bos_token": start, "eos_token": end, "unk_token": end, "pad_token": end}
    _write(folder, "special_tokens_map.json", special)
    _write(
        folder,
        "tokenizer_config.json",
        {**special, "tokenizer_class": "CLIPTokenizer", "model_max_length": 77},
    )
    config = CLIPConfig(
        text_config={
            **LAYERS,
            "vocab_size": len(vocab),
            "max_position_embeddings": 77,
            "eos_token_id": vocab[end],
            "bos_token_id": vocab[start],
        },
        vision_config={**LAYERS, "image_size": IMAGE, "patch_size": 8},
        projection_dim=WIDTH,
    )
    CLIPModel(config).save_pretrained(folder)
    _write(
        folder,
        "preprocessor_config.json",
        {
            "crop_size": IMAGE,
            "do_center_crop": True,
            "do_normalize": True,
            "do_resize": True,
            "feature_extractor_type": "CLIPFeatureExtractor",
            "image_mean": [0.48145466, 0.4578275, 0.40821073],
            "image_std": [0.26862954, 0.26130258, 0.27577711],
            "resample": 3,
            "size": IMAGE,
        },
    )


def _metaclip2(folder: Path) -> None:
    """facebook/metaclip-2-worldwide-huge-quickgelu: XLM-V's tokenizer, one end token, CLIP's pictures."""
    pieces = sorted({c for s in SENTENCES for c in s if c != " "})
    vocab = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    vocab += [(c, -4.0) for c in pieces] + [("▁the", -3.0), ("▁a", -3.0), ("▁cat", -3.5)]
    tokenizer = Tokenizer(models.Unigram(vocab, unk_id=3))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    special = {
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "pad_token": "<pad>",
        "cls_token": "<s>",
    }
    _write(
        folder,
        "tokenizer_config.json",
        {**special, "tokenizer_class": "XLMRobertaTokenizer", "model_max_length": 77},
    )
    config = MetaClip2Config(
        text_config={
            **LAYERS,
            "vocab_size": len(vocab),
            "max_position_embeddings": 77,
            "eos_token_id": 2,
            "bos_token_id": 0,
            "pad_token_id": 1,
        },
        vision_config={**LAYERS, "image_size": IMAGE, "patch_size": 8},
        projection_dim=WIDTH,
    )
    MetaClip2Model(config).save_pretrained(folder)
    _write(
        folder,
        "preprocessor_config.json",
        {
            "crop_size": {"height": IMAGE, "width": IMAGE},
            "do_center_crop": True,
            "do_convert_rgb": True,
            "do_normalize": True,
            "do_rescale": True,
            "do_resize": True,
            "image_mean": [0.48145466, 0.4578275, 0.40821073],
            "image_processor_type": "CLIPImageProcessor",
            "image_std": [0.26862954, 0.26130258, 0.27577711],
            "resample": 3,
            "rescale_factor": 0.00392156862745098,
            "size": {"shortest_edge": IMAGE},
        },
    )


def _siglip_model(folder: Path, vocabulary: int, resample: int) -> None:
    config = SiglipConfig(
        text_config={
            **LAYERS,
            "vocab_size": vocabulary,
            "max_position_embeddings": 64,
            "projection_size": LAYERS["hidden_size"],
        },
        vision_config={**LAYERS, "image_size": IMAGE, "patch_size": 8},
    )
    SiglipModel(config).save_pretrained(folder)
    _write(
        folder,
        "preprocessor_config.json",
        {
            "do_normalize": True,
            "do_rescale": True,
            "do_resize": True,
            "image_mean": [0.5, 0.5, 0.5],
            "image_processor_type": "SiglipImageProcessor",
            "image_std": [0.5, 0.5, 0.5],
            "processor_class": "SiglipProcessor",
            "resample": resample,
            "rescale_factor": 0.00392156862745098,
            "size": {"height": IMAGE, "width": IMAGE},
        },
    )


def _siglip(folder: Path) -> None:
    """google/siglip-base-patch16-224: a sentencepiece model, the end token also pads."""
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES * 20),
        model_prefix=str(folder / "spiece"),
        vocab_size=64,
        hard_vocab_limit=False,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    (folder / "spiece.vocab").unlink()
    special = {"eos_token": "</s>", "pad_token": "</s>", "unk_token": "<unk>"}
    _write(folder, "special_tokens_map.json", special)
    _write(
        folder,
        "tokenizer_config.json",
        {
            **special,
            "additional_special_tokens": [],
            "clean_up_tokenization_spaces": True,
            "do_lower_case": True,
            "model_input_names": ["input_ids"],
            "model_max_length": 64,
            "processor_class": "SiglipProcessor",
            "sp_model_kwargs": {},
            "tokenizer_class": "SiglipTokenizer",
        },
    )
    size = sentencepiece.SentencePieceProcessor(model_file=str(folder / "spiece.model")).get_piece_size()
    _siglip_model(folder, size, 3)


def _siglip2(folder: Path) -> None:
    """google/siglip2-base-patch32-256: loads as SiglipModel, with Gemma's tokenizer padded on the right."""
    _siglip_model(folder, _gemma_tokenizer(folder, "SiglipProcessor"), 2)


def _naflex(folder: Path) -> None:
    """google/siglip2-base-patch16-naflex: Siglip2Model, pictures of any shape in at most 20 patches of 8 pixels."""
    config = Siglip2Config(
        text_config={
            **LAYERS,
            "vocab_size": _gemma_tokenizer(folder, "Siglip2Processor"),
            "max_position_embeddings": 64,
            "projection_size": LAYERS["hidden_size"],
        },
        vision_config={**LAYERS, "num_patches": 16, "patch_size": 8},
    )
    Siglip2Model(config).save_pretrained(folder)
    _write(
        folder,
        "preprocessor_config.json",
        {
            "do_convert_rgb": None,
            "do_normalize": True,
            "do_rescale": True,
            "do_resize": True,
            "image_mean": [0.5, 0.5, 0.5],
            "image_processor_type": "Siglip2ImageProcessor",
            "image_std": [0.5, 0.5, 0.5],
            "max_num_patches": 20,
            "patch_size": 8,
            "processor_class": "Siglip2Processor",
            "resample": 2,
            "rescale_factor": 0.00392156862745098,
        },
    )


def _gemma_tokenizer(folder: Path, processor: str) -> int:
    """Written into the folder; gives the size of its vocabulary."""
    letters = sorted({c for s in SENTENCES for c in s.lower() + s if c != " "})
    vocab = {"<pad>": 0, "<eos>": 1, "<bos>": 2, "<unk>": 3, "<mask>": 4, "▁": 5}
    for piece in [*(f"<0x{b:02X}>" for b in range(256)), *letters, "th", "the", "ca", "cat"]:
        vocab.setdefault(piece, len(vocab))
    merges = [("t", "h"), ("th", "e"), ("c", "a"), ("ca", "t")]
    tokenizer = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    tokenizer.post_processor = processors.TemplateProcessing(single="$A <eos>", special_tokens=[("<eos>", 1)])
    tokenizer.save(str(folder / "tokenizer.json"))
    special = {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"}
    _write(folder, "special_tokens_map.json", special)
    _write(
        folder,
        "tokenizer_config.json",
        {
            **special,
            "add_bos_token": False,
            "add_eos_token": True,
            "model_input_names": ["input_ids"],
            "model_max_length": 64,
            "padding_side": "right",
            "processor_class": processor,
            "tokenizer_class": "GemmaTokenizer",
        },
    )
    return len(vocab)


def picture(seed: int, height: int, width: int):
    """A smooth uint8 RGB picture (height, width, 3) with edges, as photographs have them."""
    import numpy as np

    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    waves = [
        np.sin(6.3 * (rng.uniform(0.5, 4) * x + rng.uniform(0.5, 4) * y + rng.random())) for _ in range(3)
    ]
    image = 128 + 80 * np.stack(waves, -1) + 12 * rng.standard_normal((height, width, 3))
    image[height // 4 : height // 2, width // 3 : width // 2] = rng.integers(0, 255, 3)
    return image.clip(0, 255).astype(np.uint8)
