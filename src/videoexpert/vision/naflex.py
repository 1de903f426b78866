"""SigLIP 2 of variable resolution (NaFlex): pictures keep their shape and become as many whole patches as fit.

All frames of a video have one shape, so that a batch needs no padding. What it embeds equals transformers' own route
(tests/vision/test_naflex.py). Source: arXiv:2502.14786, section 2.4.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..errors import CheckpointError, InputError
from ..limits import limits
from .preprocess import FILTERS, PILLOW, check_frame, check_pixels, check_scaling, normalised, resample

_HALF = (0.5, 0.5, 0.5)
_MOST = 65_536  # patches of a picture, and pixels a side of a patch


@dataclass(frozen=True)
class PatchPreprocessor:
    """How a NaFlex tower wants its pictures; mean and std per RGB channel of pictures in [0, 1].

    patch_size    pixels a side of a patch
    max_patches   most patches of a picture
    """

    patch_size: int = 16
    max_patches: int = 256
    mean: tuple[float, float, float] = _HALF
    std: tuple[float, float, float] = _HALF
    interpolation: str = "bilinear"

    def __post_init__(self) -> None:
        for name in ("patch_size", "max_patches"):
            if not 1 <= getattr(self, name) <= _MOST:
                raise InputError(f"{name} is {getattr(self, name)}, expected 1 to {_MOST:,}.")
        pixels = self.max_patches * self.patch_size**2
        limits().check(
            "picture_pixels", pixels, f"{self.max_patches:,} patches of {self.patch_size:,} pixels a side"
        )
        check_scaling(self.mean, self.std)

    def shape(self, height: int, width: int) -> tuple[int, int]:
        """Height and width in pixels of what becomes of a picture."""
        rows, columns = patch_grid(height, width, self.max_patches)
        return rows * self.patch_size, columns * self.patch_size

    def resize(self, frame: np.ndarray) -> Tensor:
        """One upright RGB frame (h, w, 3) uint8 to (3, H, W) uint8; InputError for another shape or type."""
        check_frame(frame)
        tall, wide = self.shape(*frame.shape[:2])
        image = Image.fromarray(frame).resize((wide, tall), PILLOW[self.interpolation])
        return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()

    def resize_pixels(self, pixels: Tensor) -> Tensor:
        """Pictures (..., h, w) uint8 to (..., H, W) uint8; InputError for another type or an empty side."""
        check_pixels(pixels)
        tall, wide = self.shape(*pixels.shape[-2:])
        pixels = resample(pixels, wide, 0, wide, -1, self.interpolation)
        return resample(pixels, tall, 0, tall, -2, self.interpolation).contiguous()

    def inputs(self, pixels: Tensor) -> dict[str, Tensor]:
        """Pictures (N, 3, H, W) uint8 to what the model takes: patches (N, P, p*p*3), their mask and their grid."""
        size = self.patch_size
        count, channels, height, width = pixels.shape
        rows, columns = height // size, width // size
        cut = normalised(pixels, self.mean, self.std).view(count, channels, rows, size, columns, size)
        return {
            "pixel_values": cut.permute(0, 2, 4, 3, 5, 1).reshape(
                count, rows * columns, size * size * channels
            ),
            "pixel_attention_mask": torch.ones(
                count, rows * columns, dtype=torch.int32, device=pixels.device
            ),
            "spatial_shapes": torch.tensor([[rows, columns]] * count, device=pixels.device),
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_stored(cls, stored: Mapping[str, Any], path: str) -> PatchPreprocessor:
        """From the picture processor's settings in a model folder. Raises CheckpointError."""
        if stored.get("resample", 2) not in tuple(FILTERS):
            raise CheckpointError(
                f"{path} has resample {stored['resample']}, expected 2 (bilinear) or 3 (bicubic)."
            )
        try:
            return cls(
                patch_size=int(stored.get("patch_size", 16)),
                max_patches=int(stored.get("max_num_patches", 256)),
                mean=tuple(stored.get("image_mean") or _HALF),
                std=tuple(stored.get("image_std") or _HALF),
                interpolation=FILTERS[stored.get("resample", 2)],
            )
        except (TypeError, ValueError, OverflowError, InputError) as error:
            said = str(error).rstrip(".")
            raise CheckpointError(
                f"{path} does not say how pictures are prepared ({said}); copy it again."
            ) from error


@lru_cache(maxsize=256)
def patch_grid(height: int, width: int, most: int) -> tuple[int, int]:
    """Rows and columns of patches: at the largest scale at which both sides, rounded up to patches, make ``most``."""
    # the scale grows until one side fills its patches: only there do rows and columns change
    by_rows = [(k / height, k, -(-width * k // height)) for k in range(1, most + 1)]
    by_columns = [(k / width, -(-height * k // width), k) for k in range(1, most + 1)]
    fitting = [grid for grid in (*by_rows, *by_columns) if grid[1] * grid[2] <= most]
    _, rows, columns = max(fitting)
    return rows, columns


__all__ = ["PatchPreprocessor", "patch_grid"]
