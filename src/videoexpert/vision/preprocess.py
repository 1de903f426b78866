"""Frames to the encoder's input: resize and normalise, as the CLIP image processor does.

The processor resizes with Pillow and keeps uint8 between resize and normalisation. One grey level is
0.015 in normalised values, so torch's own antialiased resize (one level off on a few pixels in a
thousand) is not equal to it at 1e-2. `resample` therefore does what Pillow does: two passes in
fixed-point arithmetic, each rounded to uint8.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from ..errors import CheckpointError, DataError, InputError
from ..files import load_json
from ..limits import limits

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)  # OpenAI CLIP, per RGB channel of pictures in [0, 1]
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

_MOST = 1e6  # of a mean, or of one over a std
_FIXED_POINT_BITS = 22  # Pillow's: 255 * sum|weights| * 2**22 still fits an int32
# PIL.Image.Resampling numbers, as stored in preprocessor_config.json
FILTERS = {2: "bilinear", 3: "bicubic"}
PILLOW = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


@dataclass(frozen=True)
class Preprocessor:
    """How one encoder wants its pictures; mean and std per RGB channel of pictures in [0, 1].

    crop            True (CLIP): shorter side to ``image_size``, then the central square.
                    False (SigLIP): both sides to ``image_size``, the aspect ratio is not kept.
    interpolation   "bicubic" or "bilinear", both antialiased when shrinking
    """

    image_size: int = 224
    mean: tuple[float, float, float] = CLIP_MEAN
    std: tuple[float, float, float] = CLIP_STD
    crop: bool = True
    interpolation: str = "bicubic"

    def __post_init__(self) -> None:
        # A config read back from JSON holds lists; equality and hashing want tuples.
        object.__setattr__(self, "mean", tuple(float(value) for value in self.mean))
        object.__setattr__(self, "std", tuple(float(value) for value in self.std))
        size = self.image_size
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise InputError(f"image_size is {size!r}, expected a whole number of at least 1 pixel.")
        limits().check(
            "picture_pixels",
            size * size,
            f"image_size is {size:,}, so that a picture has {size * size:,} pixels",
        )
        check_scaling(self.mean, self.std)
        if self.interpolation not in FILTERS.values():
            raise InputError(
                f"interpolation is {self.interpolation!r}, expected one of {', '.join(FILTERS.values())}."
            )

    def resize(self, frame: np.ndarray) -> torch.Tensor:
        """One upright RGB frame (h, w, 3) uint8 to (3, S, S) uint8; InputError for another shape or type."""
        check_frame(frame)
        # Pillow here, for speed: the numbers of resize_pixels (a test says how exactly), without dozens of small
        # tensor operations a frame, each of which waits for all of torch's threads on a busy machine.
        tall, wide = self._resized(*frame.shape[:2])
        image = Image.fromarray(frame)
        if (tall, wide) != frame.shape[:2]:
            image = image.resize((wide, tall), PILLOW[self.interpolation])
        left, top = (wide - self.image_size) // 2, (tall - self.image_size) // 2
        image = image.crop((left, top, left + self.image_size, top + self.image_size))
        return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()

    def resize_pixels(self, pixels: torch.Tensor) -> torch.Tensor:
        """Pictures (..., h, w) uint8 to (..., S, S) uint8; InputError for another type or an empty side."""
        check_pixels(pixels)
        size, (tall, wide) = self.image_size, self._resized(*pixels.shape[-2:])
        # Only what the crop keeps is computed. Width before height, as Pillow does: order decides rounding.
        pixels = resample(pixels, wide, (wide - size) // 2, size, -1, self.interpolation)
        return resample(pixels, tall, (tall - size) // 2, size, -2, self.interpolation).contiguous()

    def _resized(self, height: int, width: int) -> tuple[int, int]:
        """Height and width after the resize, before the crop."""
        if not self.crop:
            return self.image_size, self.image_size
        short = min(height, width)
        tall, wide = (
            self.image_size if side == short else int(self.image_size * side / short)
            for side in (height, width)
        )
        return tall, wide

    def normalise(self, pixels: torch.Tensor) -> torch.Tensor:
        """Pictures (N, 3, h, w) uint8 to float32: scaled to [0, 1], less ``mean``, over ``std``."""
        return normalised(pixels, self.mean, self.std)

    def shape(self, height: int, width: int) -> tuple[int, int]:
        """Height and width in pixels of what becomes of a picture."""
        return self.image_size, self.image_size

    def inputs(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Pictures (N, 3, S, S) uint8 to what a model of transformers takes."""
        return {"pixel_values": self.normalise(pixels)}

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; ``Preprocessor(**p.to_dict()) == p``."""
        return {**asdict(self), "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_file(cls, path: str | Path) -> Preprocessor:
        """Read the ``preprocessor_config.json`` or ``processor_config.json`` of a CLIP or SigLIP folder, or
        what ``to_dict`` gave.

        Raises CheckpointError for an unreadable file or for steps that this class does not do.
        """
        try:
            stored = load_json(Path(path))
            if "image_size" in stored:  # our own form; theirs has "size"
                return cls(**stored)
            return cls._from_stored(stored.get("image_processor", stored), str(path))
        except DataError as error:
            raise CheckpointError(f"{str(error).rstrip('.')}; copy it again.") from error
        except (TypeError, ValueError, AttributeError, OverflowError) as error:
            raise CheckpointError(
                f"{path} does not say how pictures are prepared ({error}); copy it again."
            ) from error

    @classmethod
    def _from_stored(cls, stored: Mapping[str, Any], path: str) -> Preprocessor:
        crop = bool(stored.get("do_center_crop", "crop_size" in stored))
        target = _side(stored.get("crop_size" if crop else "size", 224))
        resized = _side(stored.get("size", target))
        filter_number = stored.get("resample", 3)
        if target is None or resized != target:
            raise CheckpointError(
                f"{path} resizes to {stored.get('size')} and crops to {stored.get('crop_size')}, expected "
                "one square size for both; use an encoder of that kind."
            )
        if filter_number not in FILTERS:
            raise CheckpointError(
                f"{path} has resample {filter_number}, expected 2 (bilinear) or 3 (bicubic)."
            )
        return cls(
            image_size=target,
            mean=tuple(stored.get("image_mean") or CLIP_MEAN),
            std=tuple(stored.get("image_std") or CLIP_STD),
            crop=crop,
            interpolation=FILTERS[filter_number],
        )


def check_frame(frame: np.ndarray) -> None:
    """Raises InputError unless a frame is (h, w, 3) uint8."""
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
        raise InputError(
            f"frame must be (h, w, 3) uint8, got {frame.shape} {frame.dtype}; convert it to RGB."
        )


def check_pixels(pixels: torch.Tensor) -> None:
    """Raises InputError unless pictures are (..., h, w) uint8 and not empty."""
    if pixels.dtype != torch.uint8 or pixels.ndim < 2 or 0 in pixels.shape[-2:]:
        raise InputError(f"pixels must be (..., h, w) uint8, got {tuple(pixels.shape)} {pixels.dtype}.")


def check_scaling(mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    """Raises InputError unless both hold three finite values per RGB channel, and std is above 0."""
    sound = all(abs(value) <= _MOST for value in (*mean, *std))  # which NaN is not
    if len(mean) != 3 or len(std) != 3 or not sound or min(std) < 1 / _MOST:
        raise InputError(
            f"mean {mean} and std {std} must hold three RGB values each of at most {_MOST:,.0f}, std above 0."
        )


def normalised(pixels: torch.Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> torch.Tensor:
    """Pictures (N, 3, h, w) uint8 to float32: scaled to [0, 1], less ``mean``, over ``std``, per RGB channel."""
    spread = torch.tensor(std, device=pixels.device).view(3, 1, 1)
    middle = torch.tensor(mean, device=pixels.device).view(3, 1, 1)
    return torch.addcmul(-middle / spread, pixels.to(torch.float32), 1 / (255 * spread))


def _side(size: int | Mapping[str, int]) -> int | None:
    """The side in pixels of a size entry, which older files hold as one number; None if not square."""
    if isinstance(size, int):
        return size
    sides = {size[key] for key in ("shortest_edge", "height", "width") if size.get(key)}
    return sides.pop() if len(sides) == 1 else None


def resample(
    pixels: torch.Tensor, length: int, start: int, count: int, dim: int, interpolation: str
) -> torch.Tensor:
    """Resize one dimension of uint8 pixels to ``length`` and keep ``[start, start + count)`` of it.

    Equal to Pillow's antialiased resize bit for bit: weights rounded to 22-bit fixed point, sums in int32. Decoding
    resizes with Pillow itself (``Preprocessor.resize``), which is faster on large pictures. This is for pixels that
    are tensors already: it runs on their device, and on a CPU it is the faster of both up to 640 x 360.
    """
    if pixels.shape[dim] == length:
        return pixels.narrow(dim, start, count)
    positions, weights = _taps(pixels.shape[dim], length, start, count, interpolation)
    # The resized dimension leads, so that each tap copies whole rows and scales each by one number.
    rows = pixels.movedim(dim, 0).contiguous()
    positions = positions.to(rows.device)
    weights = weights.to(rows.device).view(*weights.shape, *[1] * (rows.ndim - 1))
    half = 1 << (_FIXED_POINT_BITS - 1)
    total = torch.full((count, *rows.shape[1:]), half, dtype=torch.int32, device=rows.device)
    for tap_positions, tap_weights in zip(positions, weights, strict=True):
        total.addcmul_(rows.index_select(0, tap_positions).to(torch.int32), tap_weights)
    return total.bitwise_right_shift_(_FIXED_POINT_BITS).clamp_(0, 255).to(torch.uint8).movedim(0, dim)


@lru_cache(maxsize=64)
def _taps(
    old: int, new: int, start: int, count: int, interpolation: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Source positions (K, count) int64 and fixed-point weights (K, count) int32 of each output position."""
    kernel, radius = _KERNELS[interpolation]
    scale = old / new
    stretch = max(scale, 1.0)  # shrinking widens the filter: that is the antialiasing
    reach = radius * stretch
    centre = (np.arange(start, start + count) + 0.5) * scale
    first = np.maximum((centre - reach + 0.5).astype(np.int64), 0)
    last = np.minimum((centre + reach + 0.5).astype(np.int64), old)  # exclusive
    positions = first + np.arange(math.ceil(reach) * 2 + 1)[:, None]
    weights = np.where(positions < last, kernel(np.abs((positions - centre + 0.5) / stretch)), 0.0)
    weights = weights / weights.sum(0)
    fixed = np.trunc(weights * (1 << _FIXED_POINT_BITS) + np.copysign(0.5, weights))
    # Positions behind the end carry no weight; they only have to be inside the picture.
    return torch.from_numpy(np.minimum(positions, old - 1)), torch.from_numpy(fixed.astype(np.int32))


def _cubic(x: np.ndarray) -> np.ndarray:
    """Keys' cubic convolution kernel with a = -0.5, for x >= 0."""
    a = -0.5
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((x - 5) * x + 8) * x * a - 4 * a
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def _triangle(x: np.ndarray) -> np.ndarray:
    return np.clip(1 - x, 0, None)


# Kernel and its radius in source pixels.
_KERNELS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], float]] = {
    "bicubic": (_cubic, 2.0),
    "bilinear": (_triangle, 1.0),
}
