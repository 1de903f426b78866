"""A fake checkpoint in the authors' layout at toy size, and base models for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from transformers import AutoConfig, CLIPVisionConfig, CLIPVisionModelWithProjection, LlamaForCausalLM
from transformers import PreTrainedTokenizerFast as FastTokenizer

from videoexpert.testing import LANGUAGE, VISION

WORDS, WIDTH, FORWARD, LAYERS, C, HEAD = 60, 32, 48, 2, 24, 16
RANKS = {"V": 3, "L": 2}
SHAPES = {  # out, in; two of four heads share keys and values
    "self_attn.q_proj": (WIDTH, WIDTH),
    "self_attn.k_proj": (WIDTH // 2, WIDTH),
    "self_attn.v_proj": (WIDTH // 2, WIDTH),
    "self_attn.o_proj": (WIDTH, WIDTH),
    "mlp.gate_proj": (FORWARD, WIDTH),
    "mlp.up_proj": (FORWARD, WIDTH),
    "mlp.down_proj": (WIDTH, FORWARD),
}
EXPERTS, OTHERS, PROJECTOR = (
    "stage2_output/pytorch_model.bin",
    "stage2_output/non_lora_trainables.bin",
    "stage1/mm_projector.bin",
)


def numbers(*shape: int) -> Tensor:
    return torch.randn(*shape).bfloat16()


def expert_tensors() -> dict[str, Tensor]:
    found = {}
    for layer in range(LAYERS):
        for name, (out, into) in SHAPES.items():
            for letter, rank in RANKS.items():
                stem = f"model.layers.{layer}.{name}.{letter}_Expertlora"
                found[f"{stem}_A.weight"] = numbers(rank, into)
                found[f"{stem}_B.weight"] = numbers(out, rank)
    return found


def other_tensors() -> dict[str, Tensor]:
    found = {
        "model.embed_tokens.weight": numbers(WORDS + 1, WIDTH),
        "lm_head.weight": numbers(WORDS + 1, WIDTH),
        "model.text_hidden_fcs_det.0.0.weight": numbers(WIDTH, WIDTH),
        "model.text_hidden_fcs_det.0.0.bias": numbers(WIDTH),
        "model.text_hidden_fcs_det.0.2.weight": numbers(HEAD, WIDTH),
        "model.text_hidden_fcs_det.0.2.bias": numbers(HEAD),
    }
    for branch, outputs in (("class", 1), ("span", 2)):
        for layer, width in enumerate((HEAD, HEAD, outputs)):
            found[f"model.{branch}_embed_head.layers.{layer}.weight"] = numbers(width, HEAD, 3)
            found[f"model.{branch}_embed_head.layers.{layer}.bias"] = numbers(width)
    return found


FUSIONS: dict[str, dict[str, tuple[int, ...]]] = {
    "concat": {
        "model.loc_interact.0.0.weight": (2 * HEAD, 2 * HEAD),
        "model.loc_interact.0.0.bias": (2 * HEAD,),
        "model.loc_interact.0.2.weight": (HEAD, 2 * HEAD),
        "model.loc_interact.0.2.bias": (HEAD,),
    },
    "attention": {
        "model.token_type_embeddings.weight": (2, HEAD),
        "model.loc_interact.encoder.layers.0.self_attn.in_proj_weight": (3 * HEAD, HEAD),
        "model.loc_interact.encoder.layers.0.self_attn.in_proj_bias": (3 * HEAD,),
        "model.loc_interact.encoder.layers.0.self_attn.out_proj.weight": (HEAD, HEAD),
        "model.loc_interact.encoder.layers.0.self_attn.out_proj.bias": (HEAD,),
        **{
            f"model.loc_interact.encoder.layers.0.{name}": shape
            for layer in ("linear1", "linear2", "norm1", "norm2")
            for name, shape in {
                f"{layer}.weight": (HEAD, HEAD) if layer.startswith("linear") else (HEAD,),
                f"{layer}.bias": (HEAD,),
            }.items()
        },
    },
}


def write_bases(folder: Path, projection: int = C, **changed: Any) -> Path:
    """A base language model and a vision encoder at toy size, in transformers' layout."""
    torch.manual_seed(1)
    fields = {**LANGUAGE, **changed}
    language = LlamaForCausalLM(AutoConfig.for_model(fields.pop("model_type"), **fields))
    language.save_pretrained(folder / "language")
    words = {"<unk>": 0, "<s>": 1, "</s>": 2, **{f"w{i}": i for i in range(3, WORDS)}}
    inner = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = FastTokenizer(tokenizer_object=inner, unk_token="<unk>", bos_token="<s>", eos_token="</s>")
    tokenizer.save_pretrained(folder / "language")
    write_vision(folder / "vision", projection)
    return folder


def write_vision(folder: Path, projection: int) -> Path:
    torch.manual_seed(2)
    config = CLIPVisionConfig(**{**VISION, "projection_dim": projection})
    CLIPVisionModelWithProjection(config).save_pretrained(folder)
    return folder


def write_checkpoint(folder: Path) -> Path:
    """A complete checkpoint in the authors' layout."""
    torch.manual_seed(0)
    (folder / "stage1").mkdir()
    (folder / "stage2_output").mkdir()
    torch.save(expert_tensors(), folder / EXPERTS)
    torch.save(other_tensors(), folder / OTHERS)
    projector = {"model.mm_projector.weight": numbers(WIDTH, C), "model.mm_projector.bias": numbers(WIDTH)}
    torch.save(projector, folder / PROJECTOR)
    kept = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "rms_norm_eps")
    config = {name: LANGUAGE[name] for name in kept} | {"vocab_size": WORDS + 1, "model_type": "VTimeLLM"}
    (folder / "stage2_output/config.json").write_text(json.dumps({**config, "_name_or_path": "the-base"}))
    return folder
