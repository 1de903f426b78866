"""Models that can be loaded by name: what each can do, how large it is, under which licence, and what it needs.

Data only, and the sentences for models that cannot be loaded. Any other model of the same types loads as well. Sizes
and licences are those of the models' cards; check them before you rely on one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

CONTRASTIVE = ("ground", "highlight", "ask with choices")
ALL = ("ground", "highlight", "caption", "ask")


@dataclass(frozen=True)
class Listed:
    """One model. ``size_gb`` of its weight files as published; ``needs`` in words."""

    name: str
    kind: str
    can: tuple[str, ...]
    size_gb: float
    licence: str
    needs: str


CATALOGUE = (
    Listed("shipped", "videoexpert", ALL, 0.004, "Apache-2.0", "nothing; knows synthetic videos only"),
    Listed("laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "contrastive", CONTRASTIVE, 0.6, "MIT", "a CPU"),
    Listed("openai/clip-vit-base-patch32", "contrastive", CONTRASTIVE, 0.6, "MIT, research use", "a CPU"),
    Listed("facebook/metaclip-b32-400m", "contrastive", CONTRASTIVE, 0.6, "CC-BY-NC-4.0", "a CPU"),
    Listed("google/siglip2-base-patch32-256", "contrastive", CONTRASTIVE, 1.5, "Apache-2.0", "a CPU; many languages"),
    Listed("google/siglip2-base-patch16-256", "contrastive", CONTRASTIVE, 1.5, "Apache-2.0", "a CPU; many languages"),
    Listed("google/siglip2-base-patch16-naflex", "contrastive", CONTRASTIVE, 1.5, "Apache-2.0", "a CPU"),
    Listed("openai/clip-vit-large-patch14", "contrastive", CONTRASTIVE, 1.7, "MIT, research use", "a GPU"),
    Listed("google/siglip2-so400m-patch16-384", "contrastive", CONTRASTIVE, 4.5, "Apache-2.0", "a GPU; many languages"),
    Listed("timm/PE-Core-B-16", "contrastive", CONTRASTIVE, 0.9, "Apache-2.0", "a CPU; videoexpert[openclip]"),
    Listed("Qwen/Qwen3-VL-2B-Instruct", "chat", ALL, 4.3, "Apache-2.0", "a GPU of 8 GB"),
    Listed("Qwen/Qwen3-VL-4B-Instruct", "chat", ALL, 8.9, "Apache-2.0", "a GPU of 16 GB"),
    Listed("Qwen/Qwen3-VL-8B-Instruct", "chat", ALL, 17.5, "Apache-2.0", "a GPU of 24 GB"),
    Listed("Qwen/Qwen2.5-VL-7B-Instruct", "chat", ALL, 16.6, "Apache-2.0", "a GPU of 24 GB"),
    Listed("MCG-NJU/TimeLens2-2B", "chat", ALL, 4.3, "check: card and licence file differ", "a GPU of 8 GB"),
    Listed("MCG-NJU/TimeLens2-8B", "chat", ALL, 17.5, "check: card and licence file differ", "a GPU of 24 GB"),
    Listed("Boshenxx/Time-R1-7B", "chat", ALL, 16.6, "Apache-2.0", "a GPU of 24 GB"),
)  # fmt: skip


def kind_of(config: Mapping[str, Any]) -> str | None:
    """Which kind of backend a model's config asks for: videoexpert, contrastive, chat; None for none of them."""
    # here, because the list of models is read without torch
    from ..vision.image_text import FAMILIES
    from .chat.local import is_chat_model

    model_type = config.get("model_type")
    if model_type == "videoexpert":
        return "videoexpert"
    if model_type in FAMILIES:
        return "contrastive"
    return "chat" if is_chat_model(dict(config)) else None


def refusal(name: str, config: Mapping[str, Any]) -> str:
    """Why a model of another type cannot be asked about a video, in one sentence."""
    from transformers.models.auto import modeling_auto as auto

    model_type = config.get("model_type")
    what = "does not answer about videos"
    for mapping, said in (
        (auto.MODEL_FOR_OBJECT_DETECTION_MAPPING_NAMES, "finds objects in single pictures and reads no sentences"),
        (auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, "reads text alone and sees no pictures"),
        (auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES, "reads text alone and sees no pictures"),
        (auto.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES, "sees pictures and reads no sentences"),
    ):  # fmt: skip
        if model_type in mapping:
            what = said
            break
    kind = "a model of unknown type" if model_type is None else f"a model of type {model_type!r}"
    return (
        f"{name} is {kind}, which {what}; expected a VideoExpert, a CLIP or SigLIP, or a chat model that takes "
        "pictures (`videoexpert models` lists some)."
    )


__all__ = ["CATALOGUE", "Listed", "kind_of", "refusal"]
