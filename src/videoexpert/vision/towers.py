"""The vision towers that an encoder may be, each a small class behind one protocol.

A new family is one class and its entry in TOWERS: how its config is read, how wide its tokens are, how its pictures are
prepared, and how class tokens, patch tokens and class attention come out of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import nn
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    PreTrainedConfig,
    PreTrainedModel,
    SiglipVisionConfig,
    SiglipVisionModel,
)

from ..errors import InputError
from .preprocess import Preprocessor

_HALF = (0.5, 0.5, 0.5)
Features = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


class Tower(Protocol):
    """One family of vision towers of transformers."""

    @property
    def name(self) -> str:
        """``model_type`` of the two-tower model; that of the tower alone is ``NAME_vision_model``."""
        ...

    @property
    def model_class(self) -> type[PreTrainedModel]: ...
    def config(self, fields: Mapping[str, Any]) -> PreTrainedConfig:
        """The tower's own config from that of the tower alone, or of the two-tower model."""
        ...

    def width(self, config: Any) -> int:
        """C, the width of class and patch tokens."""
        ...

    def preprocessor(self, image_size: int) -> Preprocessor:
        """The family's own, for a folder that holds none."""
        ...

    def features(self, model: Any, normalised: torch.Tensor) -> Features:
        """(N, 3, S, S) -> class tokens (N, C), patch tokens (N, P, C), class attention (N, P) in float32."""
        ...


class ClipTower:
    """CLIP: class and patch tokens after the post layer norm and the visual projection (C = 768 for ViT-L/14).

    transformers projects the class token only; the patch tokens go the same way, into the same space.
    """

    name = "clip"
    model_class: type[PreTrainedModel] = CLIPVisionModelWithProjection

    def config(self, fields: Mapping[str, Any]) -> PreTrainedConfig:
        vision = _tower_fields(self.name, fields)
        if fields.get("model_type") == self.name:
            # CLIPModel's projection is as wide as the outer entry says; the inner one may hold another number.
            vision["projection_dim"] = fields.get("projection_dim", 512)
        return CLIPVisionConfig.from_dict(vision)

    def width(self, config: Any) -> int:
        return int(config.projection_dim)

    def preprocessor(self, image_size: int) -> Preprocessor:
        return Preprocessor(image_size)

    def features(self, model: Any, normalised: torch.Tensor) -> Features:
        tower = model.vision_model
        hidden = tower.pre_layrnorm(tower.embeddings(normalised))
        *layers, last = tower.encoder.layers
        for layer in layers:
            hidden = layer(hidden, attention_mask=None)
        attention = _class_attention(last, hidden)
        hidden = model.visual_projection(tower.post_layernorm(last(hidden, attention_mask=None)))
        return hidden[:, 0], hidden[:, 1:], attention


class SiglipTower:
    """SigLIP has no class token: the output of its attention-pooling head serves as one.

    The weights with which the head's probe attends to the patches (mean over heads) serve as the class attention.
    Patch tokens are those after the post layer norm, which is what the head reads; SigLIP projects nothing, so C is
    the hidden size. The pooled token is not in the space of the patch tokens: prefer ``key_score: attention`` over
    ``cosine`` with it.
    """

    name = "siglip"
    model_class: type[PreTrainedModel] = SiglipVisionModel

    def config(self, fields: Mapping[str, Any]) -> PreTrainedConfig:
        return SiglipVisionConfig.from_dict(_tower_fields(self.name, fields))

    def width(self, config: Any) -> int:
        return int(config.hidden_size)

    def preprocessor(self, image_size: int) -> Preprocessor:
        return Preprocessor(image_size, mean=_HALF, std=_HALF, crop=False)

    def features(self, model: Any, normalised: torch.Tensor) -> Features:
        # Some transformers releases keep SigLIP's tower one level deeper.
        tower = getattr(model, "vision_model", model)
        hidden = tower.embeddings(normalised)
        for layer in tower.encoder.layers:
            hidden = layer(hidden, attention_mask=None)
        hidden = tower.post_layernorm(hidden)
        pooled, attention = _siglip_pool(tower.head, hidden)
        return pooled, hidden, attention


TOWERS: dict[str, Tower] = {tower.name: tower for tower in (ClipTower(), SiglipTower())}


def tower_of(model_type: object) -> Tower:
    """The family of a ``model_type``, of the two-tower model or of the tower alone. Raises InputError."""
    found = TOWERS.get(str(model_type).removesuffix("_vision_model"))
    if found is None:
        known = ", ".join(f"{name}, {name}_vision_model" for name in TOWERS)
        raise InputError(f"the vision config has model_type {model_type!r}, expected one of {known}.")
    return found


def tower_config(fields: Mapping[str, Any]) -> PreTrainedConfig:
    """The vision tower's config of a two-tower or vision-only config. Raises InputError."""
    config = tower_of(fields.get("model_type")).config(fields)
    for name in ("image_size", "patch_size"):  # the config classes allow pairs, their models do not
        if not isinstance(getattr(config, name), int):
            raise InputError(f"{name} is {getattr(config, name)}, expected one number: the side of a square.")
    return config


def _tower_fields(name: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    both = fields.get("model_type") == name
    return dict(fields.get("vision_config") or {}) if both else dict(fields)


def _class_attention(layer: nn.Module, hidden: torch.Tensor) -> torch.Tensor:
    """(N, P): the class token's row of the layer's attention, from its query and the keys; mean over heads.

    The layer itself runs with fused attention, which returns no weights.
    """
    attend: Any = layer.self_attn
    normed = layer.layer_norm1(hidden)  # type: ignore[operator]
    heads = (attend.num_heads, attend.head_dim)
    # float32: in half precision many of these small numbers tie, and their order picks the key tokens.
    query = attend.q_proj(normed[:, 0]).unflatten(-1, heads).float()  # (N, heads, d)
    keys = attend.k_proj(normed).unflatten(-1, heads).float()  # (N, 1+P, heads, d)
    weights = torch.einsum("nhd,nkhd->nhk", query, keys) * attend.scale
    return weights.softmax(-1).mean(1)[:, 1:]


def _siglip_pool(head: Any, hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(N, C) what SigLIP's pooling head returns and (N, P) how its probe attends, which the head drops."""
    probe = head.probe.expand(len(hidden), -1, -1)
    pooled, weights = head.attention(probe, hidden, hidden, need_weights=True, average_attn_weights=True)
    pooled = pooled + head.mlp(head.layernorm(pooled))
    return pooled[:, 0], weights[:, 0]


__all__ = ["TOWERS", "ClipTower", "SiglipTower", "Tower", "tower_config", "tower_of"]
