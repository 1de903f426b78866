"""Frozen vision encoder: frames to class tokens, patch tokens and class-token attention (paper Eq. 1-2)."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import (
    AutoConfig,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    PreTrainedConfig,
    PreTrainedModel,
    SiglipVisionConfig,
    SiglipVisionModel,
)
from transformers.utils.hub import cached_file

from ..errors import CheckpointError, InputError
from .preprocess import Preprocessor

_SIGLIP_MEAN_STD = (0.5, 0.5, 0.5)
_MODEL_TYPES = ("clip", "clip_vision_model", "siglip", "siglip_vision_model")


@dataclass(frozen=True)
class PatchFeatures:
    """What the encoder sees in N frames, on its device; tokens in its dtype, attention in float32.

    cls            (N, C) class token of each frame
    patches        (N, P, C) patch tokens, row major from the top left
    cls_attention  (N, P) attention of the class token to each patch in the last layer, mean over heads
    """

    cls: torch.Tensor
    patches: torch.Tensor
    cls_attention: torch.Tensor


class VisionEncoder(nn.Module):
    """A CLIP or SigLIP vision tower of transformers: frozen, always in eval mode, no text tower.

    CLIP: class and patch tokens after the post layer norm and the visual projection (C = 768 for ViT-L/14).
    transformers projects the class token only; the patch tokens go the same way, into the same space.

    SigLIP has no class token. The output of its attention-pooling head stands for it, and the weights
    with which the head's probe attends to the patches (mean over heads) for ``cls_attention``. Patch
    tokens are those after the post layer norm, which is what the head reads; SigLIP projects nothing, so
    C is the hidden size. The pooled token is not in the space of the patch tokens: prefer ``key_score:
    attention`` over ``cosine`` with it.
    """

    def __init__(self, model: Any, preprocessor: Preprocessor | None = None) -> None:
        """Wrap a CLIPVisionModelWithProjection or SiglipVisionModel; see from_config and from_pretrained."""
        super().__init__()
        config = model.config
        image_size = config.image_size
        if not getattr(config, "vision_use_head", True):
            raise InputError(
                "vision_use_head is off, expected a SigLIP tower with its attention-pooling head."
            )
        self.preprocessor = preprocessor or _default_preprocessor(config.model_type, image_size)
        if self.preprocessor.image_size != image_size:
            raise InputError(
                f"the preprocessor gives {self.preprocessor.image_size} pixels a side, expected the "
                f"encoder's {image_size}; use the preprocessor stored with the encoder."
            )
        self.model = model.requires_grad_(False).eval()

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> VisionEncoder:
        """Random weights from a transformers config as a plain dict, or from what ``to_config`` gave.

        ``model_type`` is clip_vision_model, siglip_vision_model, or clip or siglip, whose vision tower is
        taken. Raises InputError for another ``model_type``.
        """
        fields = dict(config)
        preprocessing = fields.pop("preprocessing", None)
        vision_config = tower_config(fields)
        model = _model_class(vision_config)(vision_config)
        return cls(model, Preprocessor(**preprocessing) if preprocessing else None)

    @classmethod
    def from_pretrained(cls, path_or_id: str | Path) -> VisionEncoder:
        """Load a folder or hub id in transformers' layout, with or without the text tower.

        Mean, std and resize come from the folder's preprocessor_config.json or processor_config.json;
        without one, the model family's own. Raises CheckpointError for a folder that is incomplete or of
        another kind.
        """
        try:
            config = AutoConfig.from_pretrained(path_or_id)
            vision_config = tower_config(config.to_dict())
            kind: Any = _model_class(vision_config)
            with _without_load_report():
                model, report = kind.from_pretrained(
                    path_or_id, config=vision_config, output_loading_info=True
                )
        except InputError as error:
            raise CheckpointError(f"{path_or_id} cannot be the vision encoder: {error}") from error
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            reason = str(error).strip().splitlines()[0]
            raise CheckpointError(
                f"{path_or_id} is not a vision encoder that transformers can load ({reason}); name a CLIP or "
                "SigLIP folder or hub id."
            ) from error
        _check_keys(path_or_id, report)
        return cls(model, _stored_preprocessor(path_or_id))

    def to_config(self) -> dict[str, Any]:
        """Plain JSON values from which ``from_config`` rebuilds this encoder but for its weights."""
        return {**self.model.config.to_dict(), "preprocessing": self.preprocessor.to_dict()}

    @property
    def out_width(self) -> int:
        """C, the width of class and patch tokens."""
        config = self.model.config
        return config.projection_dim if self._is_clip else config.hidden_size

    @property
    def image_size(self) -> int:
        """Pixels a side of the square picture the encoder reads."""
        return self.model.config.image_size

    @property
    def num_patches(self) -> int:
        """P, patch tokens a frame."""
        return (self.image_size // self.model.config.patch_size) ** 2

    @property
    def dtype(self) -> torch.dtype:
        return self.model.dtype

    @property
    def device(self) -> torch.device:
        return self.model.device

    def train(self, mode: bool = True) -> VisionEncoder:
        """Stay in eval mode, whatever the model around it does: the encoder is frozen (section III-A)."""
        return super().train(False)

    def encode(self, pixels: torch.Tensor, batch_size: int = 16) -> PatchFeatures:
        """Features of N frames, ``batch_size`` at a time: memory beyond the result does not grow with N.

        pixels (N, 3, h, w) uint8 RGB of any size, or already normalised floats (N, 3, S, S). The result
        can enter a graph that trains (it is no inference tensor), but carries no gradient itself. Raises
        InputError for another shape or dtype.
        """
        self._check_pixels(pixels, batch_size)
        frames, patches, width = len(pixels), self.num_patches, self.out_width
        cls = torch.empty(frames, width, dtype=self.dtype, device=self.device)
        tokens = torch.empty(frames, patches, width, dtype=self.dtype, device=self.device)
        attention = torch.empty(frames, patches, dtype=torch.float32, device=self.device)
        with torch.inference_mode():
            for first in range(0, frames, batch_size):
                part = slice(first, first + batch_size)
                batch = pixels[part].to(self.device)
                if batch.dtype == torch.uint8:
                    batch = self.preprocessor.normalise(self._resized(batch))
                # Written into ordinary tensors: inference tensors could not be saved for the adapter's
                # backward.
                cls[part], tokens[part], attention[part] = self._forward(batch)
        return PatchFeatures(cls, tokens, attention)

    def _resized(self, batch: torch.Tensor) -> torch.Tensor:
        right = batch.shape[-2:] == (self.image_size, self.image_size)
        return batch if right else self.preprocessor.resize_pixels(batch)

    def _check_pixels(self, pixels: torch.Tensor, batch_size: int) -> None:
        if batch_size < 1:
            raise InputError(f"batch_size is {batch_size}, expected at least 1.")
        if pixels.ndim != 4 or pixels.shape[1] != 3:
            raise InputError(f"pixels must be (N, 3, height, width), got {tuple(pixels.shape)}.")
        if pixels.dtype == torch.uint8:
            return
        size = self.image_size
        if not pixels.dtype.is_floating_point or pixels.shape[2:] != (size, size):
            raise InputError(
                f"pixels must be uint8 or normalised floats of {size}x{size}, got {pixels.dtype} of "
                f"{pixels.shape[2]}x{pixels.shape[3]}; pass the uint8 frames."
            )

    @property
    def _is_clip(self) -> bool:
        return self.model.config.model_type == "clip_vision_model"

    def _forward(self, normalised: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Class tokens, patch tokens and class-token attention of a batch of normalised pictures."""
        # Some transformers releases keep SigLIP's tower one level deeper.
        tower = getattr(self.model, "vision_model", self.model)
        hidden = tower.embeddings(normalised)
        if self._is_clip:
            hidden = tower.pre_layrnorm(hidden)
        *layers, last = tower.encoder.layers
        for layer in layers:
            hidden = layer(hidden, attention_mask=None)
        if not self._is_clip:
            hidden = tower.post_layernorm(last(hidden, attention_mask=None))
            pooled, attention = _siglip_pool(tower.head, hidden)
            return pooled, hidden, attention
        attention = _class_attention(last, hidden)
        hidden = tower.post_layernorm(last(hidden, attention_mask=None))
        hidden = self.model.visual_projection(hidden)
        return hidden[:, 0], hidden[:, 1:], attention


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


def tower_config(fields: Mapping[str, Any]) -> PreTrainedConfig:
    """The vision tower's config of a clip, siglip, or vision-only config."""
    kind = fields.get("model_type")
    if kind not in _MODEL_TYPES:
        raise InputError(
            f"the vision config has model_type {kind!r}, expected one of {', '.join(_MODEL_TYPES)}."
        )
    vision = dict(fields.get("vision_config") or {}) if kind in ("clip", "siglip") else dict(fields)
    if kind == "clip":
        # CLIPModel's projection is as wide as the outer entry says; the inner one may hold another number.
        vision["projection_dim"] = fields.get("projection_dim", 512)
    config = (CLIPVisionConfig if kind.startswith("clip") else SiglipVisionConfig).from_dict(vision)
    for name in ("image_size", "patch_size"):  # the config classes allow pairs, their models do not
        if not isinstance(getattr(config, name), int):
            raise InputError(f"{name} is {getattr(config, name)}, expected one number: the side of a square.")
    return config


def _model_class(config: PreTrainedConfig) -> type[PreTrainedModel]:
    return CLIPVisionModelWithProjection if isinstance(config, CLIPVisionConfig) else SiglipVisionModel


@contextmanager
def _without_load_report() -> Iterator[None]:
    """Hide transformers' table of keys while loading: _check_keys judges them and expects a text tower's."""
    logger = logging.getLogger("transformers.modeling_utils")

    def hide(record: logging.LogRecord) -> bool:
        return "LOAD REPORT" not in record.getMessage()

    logger.addFilter(hide)
    try:
        yield
    finally:
        logger.removeFilter(hide)


def _check_keys(path_or_id: str | Path, report: Mapping[str, Any]) -> None:
    """CheckpointError unless the checkpoint holds exactly the tower's weights, beside a text tower's."""
    allowed = ("text_model.", "text_projection.", "logit_")
    missing = sorted(report["missing_keys"])
    # Older CLIP checkpoints store position_ids, a constant.
    foreign = sorted(
        key
        for key in report["unexpected_keys"]
        if not key.startswith(allowed) and not key.endswith(".position_ids")
    )
    for keys, what in ((missing, "lacks"), (foreign, "has unknown")):
        if keys:
            raise CheckpointError(
                f"{path_or_id} {what} weights ({len(keys)}, {keys[0]} first), expected exactly those of a "
                "CLIPModel, CLIPVisionModelWithProjection or SigLIP model; save it again."
            )


def _default_preprocessor(model_type: str, image_size: int) -> Preprocessor:
    if model_type == "clip_vision_model":
        return Preprocessor(image_size)
    return Preprocessor(image_size, mean=_SIGLIP_MEAN_STD, std=_SIGLIP_MEAN_STD, crop=False)


def _stored_preprocessor(path_or_id: str | Path) -> Preprocessor | None:
    for name in ("preprocessor_config.json", "processor_config.json"):
        file = cached_file(
            path_or_id,
            name,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )
        if file is not None:
            return Preprocessor.from_file(file)
    return None
