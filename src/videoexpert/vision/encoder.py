"""Frozen vision encoder: frames to class tokens, patch tokens and class-token attention (paper Eq. 1-2)."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .. import hub, pretrained
from ..errors import CheckpointError, InputError
from .preprocess import Preprocessor
from .towers import tower_config, tower_of


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

    towers.py defines class token, patch tokens and class attention for each family.
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
        self.tower = tower_of(config.model_type)
        self.preprocessor = preprocessor or self.tower.preprocessor(image_size)
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
        model = tower_of(vision_config.model_type).model_class(vision_config)
        return cls(model, Preprocessor(**preprocessing) if preprocessing else None)

    @classmethod
    def from_pretrained(cls, path_or_id: str | Path) -> VisionEncoder:
        """Load a folder or hub id in transformers' layout, with or without the text tower.

        Mean, std and resize come from the folder's preprocessor_config.json or processor_config.json;
        without one, the model family's own. Raises CheckpointError for a folder that is incomplete or of
        another kind.
        """
        try:
            vision_config = tower_config(pretrained.config_of(path_or_id, "the vision encoder").to_dict())
            kind: Any = tower_of(vision_config.model_type).model_class
        except InputError as error:
            raise CheckpointError(f"{path_or_id} cannot be the vision encoder: {error}") from error
        with _without_load_report():
            model, report = pretrained.model_of(kind, path_or_id, "vision encoder", config=vision_config)
        _check_keys(path_or_id, report)
        return cls(model, _stored_preprocessor(path_or_id))

    def to_config(self) -> dict[str, Any]:
        """Plain JSON values from which ``from_config`` rebuilds this encoder but for its weights."""
        return {**self.model.config.to_dict(), "preprocessing": self.preprocessor.to_dict()}

    @property
    def out_width(self) -> int:
        """C, the width of class and patch tokens."""
        return self.tower.width(self.model.config)

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
        can enter a graph that trains (it is not an inference tensor), but carries no gradient itself. Raises
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
                cls[part], tokens[part], attention[part] = self.tower.features(self.model, batch)
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


def _stored_preprocessor(path_or_id: str | Path) -> Preprocessor | None:
    folder = hub.locate(path_or_id, hub.SMALL)
    for name in ("preprocessor_config.json", "processor_config.json"):
        if (folder / name).is_file():
            return Preprocessor.from_file(folder / name)
    return None
