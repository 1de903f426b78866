"""Tiny random chat models in the exact layout of the hub's folders: configs, tokenizer files, template, weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

QWEN_TOKENS = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>"),
    *("<|image_pad|>", "<|video_pad|>"),
)
# how the published templates write a turn; tools and system prompts are left out
QWEN_TEMPLATE = (
    "{%- for message in messages %}{{- '<|im_start|>' + message.role + '\\n' }}"
    "{%- if message.content is string %}{{- message.content }}{%- else %}{%- for content in message.content %}"
    "{%- if content.type == 'image' %}{{- '<|vision_start|><|image_pad|><|vision_end|>' }}"
    "{%- elif content.type == 'video' %}{{- '<|vision_start|><|video_pad|><|vision_end|>' }}"
    "{%- elif 'text' in content %}{{- content.text }}{%- endif %}{%- endfor %}{%- endif %}"
    "{{- '<|im_end|>\\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)
LLAVA_TEMPLATE = (
    "{% for message in messages %}{{ message.role | upper + ': ' }}"
    "{% for content in message.content %}{% if content.type == 'image' %}{{ '<image>\\n' }}"
    "{% else %}{{ content.text }}{% endif %}{% endfor %}{{ '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
TEXT = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 32768,
}


def byte_vocabulary(special: tuple[str, ...]) -> dict[str, int]:
    """One token a byte, in byte-level BPE's letters; the special tokens follow."""
    from tokenizers.pre_tokenizers import ByteLevel

    return {token: i for i, token in enumerate((*sorted(ByteLevel.alphabet()), *special))}


def save_tokenizer(folder: Path, special: tuple[str, ...], kind: str, **config: Any) -> dict[str, int]:
    """vocab.json, merges.txt, tokenizer.json and tokenizer_config.json; gives the vocabulary."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    words = byte_vocabulary(())
    tokenizer = Tokenizer(models.BPE(vocab=words, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    tokenizer.save(str(folder / "tokenizer.json"))
    write(folder / "vocab.json", words)
    (folder / "merges.txt").write_text("#version: 0.2\n")
    write(folder / "tokenizer_config.json", {"tokenizer_class": kind, "model_max_length": 262144, **config})
    return byte_vocabulary(special)


def write(file: Path, content: Any) -> None:
    file.write_text(json.dumps(content, indent=2) + "\n")


def save_qwen(folder: Path, family: str, seed: int = 0) -> Path:
    """A Qwen2-VL, Qwen2.5-VL, Qwen3-VL or Qwen3.5 of toy size: ``family`` is the model type."""
    from transformers import AutoConfig, AutoModelForImageTextToText

    folder.mkdir(parents=True, exist_ok=True)
    ends = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", "chat_template": QWEN_TEMPLATE}
    ids = save_tokenizer(folder, QWEN_TOKENS, "Qwen2Tokenizer", **ends)
    write(folder / "chat_template.json", {"chat_template": QWEN_TEMPLATE})
    old = family in ("qwen2_vl", "qwen2_5_vl")
    patch = 14 if old else 16
    mean = [0.48145466, 0.4578275, 0.40821073] if old else [0.5] * 3
    std = [0.26862954, 0.26130258, 0.27577711] if old else [0.5] * 3
    pictures = {
        "patch_size": patch,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "image_mean": mean,
        "image_std": std,
    }
    size = {"shortest_edge": 4 * 4 * patch * patch, "longest_edge": 4096 * 4 * patch * patch}
    kind = "Qwen2VLImageProcessor" if old else "Qwen2VLImageProcessorFast"
    names = {"qwen2_vl": "Qwen2VLProcessor", "qwen2_5_vl": "Qwen2_5_VLProcessor"}
    name = names.get(family, "Qwen3VLProcessor")
    saved = {**pictures, "size": size, "processor_class": name}
    write(folder / "preprocessor_config.json", {**saved, "image_processor_type": kind})
    if not old:
        write(
            folder / "video_preprocessor_config.json",
            {**saved, "video_processor_type": "Qwen3VLVideoProcessor"},
        )
    vision = {"hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "out_hidden_size": 32, "depth": 2}
    text: dict[str, Any] = {**TEXT, "vocab_size": len(ids)}
    if family == "qwen2_vl":
        vision = {"embed_dim": 32, "hidden_size": 32, "mlp_ratio": 2, "num_heads": 2, "depth": 2}
    if old:
        vision |= {"fullatt_block_indexes": [1], "window_size": 56, "tokens_per_second": 2}
        text["rope_parameters"] = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1e6}
    else:
        vision |= {"num_position_embeddings": 16}
        text |= {"head_dim": 8}
        text["rope_parameters"] = {
            "rope_type": "default",
            "mrope_section": [2, 1, 1],
            "mrope_interleaved": True,
            "rope_theta": 5e6,
        }
    if family == "qwen3_vl":
        vision["deepstack_visual_indexes"] = [0]
    if family == "qwen3_5":
        text |= {
            "linear_key_head_dim": 8,
            "linear_value_head_dim": 8,
            "linear_num_key_heads": 2,
            "linear_num_value_heads": 2,
            "layer_types": ["linear_attention", "full_attention"],
        }
        text["rope_parameters"] |= {"mrope_section": [2, 1, 1], "partial_rotary_factor": 1.0}
    config = AutoConfig.for_model(
        family,
        vision_config=vision,
        text_config=text,
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
    )
    torch.manual_seed(seed)
    model = AutoModelForImageTextToText.from_config(config)
    model.generation_config.eos_token_id = [ids["<|im_end|>"], ids["<|endoftext|>"]]
    model.generation_config.pad_token_id = ids["<|endoftext|>"]
    # as published: sampling and a penalty, which a strict answer must not have
    model.generation_config.do_sample = True
    model.generation_config.repetition_penalty = 1.05
    model.generation_config.top_k = 20
    model.save_pretrained(folder)
    return folder


def save_llava(folder: Path, seed: int = 0) -> Path:
    """A LLaVA of toy size: CLIP tower, Llama; the pictures' places are one ``<image>`` token each."""
    from transformers import AutoModelForImageTextToText, CLIPVisionConfig, LlamaConfig, LlavaConfig

    folder.mkdir(parents=True, exist_ok=True)
    special = ("<unk>", "<s>", "</s>", "<pad>", "<image>")
    ends = {"eos_token": "</s>", "bos_token": "<s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    ids = save_tokenizer(folder, special, "PreTrainedTokenizerFast", **ends)
    (folder / "chat_template.jinja").write_text(LLAVA_TEMPLATE)
    sizes = {"size": {"shortest_edge": 28}, "crop_size": {"height": 28, "width": 28}}
    write(
        folder / "preprocessor_config.json",
        {"image_processor_type": "CLIPImageProcessor", "processor_class": "LlavaProcessor", **sizes},
    )
    write(
        folder / "processor_config.json",
        {
            "processor_class": "LlavaProcessor",
            "image_token": "<image>",
            "patch_size": 14,
            "vision_feature_select_strategy": "default",
            "num_additional_image_tokens": 1,
        },
    )
    vision = CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=28,
        patch_size=14,
    )
    text = LlamaConfig(**TEXT, vocab_size=len(ids), pad_token_id=ids["<pad>"])
    config = LlavaConfig(
        vision_config=vision.to_dict(),
        text_config=text.to_dict(),
        image_token_index=ids["<image>"],
        image_seq_length=4,
    )
    torch.manual_seed(seed)
    model = AutoModelForImageTextToText.from_config(config)
    model.generation_config.eos_token_id = ids["</s>"]
    model.generation_config.pad_token_id = ids["<pad>"]
    model.save_pretrained(folder)
    return folder
