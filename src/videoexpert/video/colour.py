"""Stored pictures to RGB as a standard display shows them: matrices, ranges, and tone mapping of HDR.

docs/clocks.md's neighbour, docs/colour.md, says it for users. All numbers of the frame are those of FFmpeg's
``AVColorSpace``, ``AVColorRange``, ``AVColorTransferCharacteristic`` and ``AVColorPrimaries``, which are ITU-T H.273.
"""

from __future__ import annotations

from functools import cache

import av
import numpy as np

# PyAV from 17 on hands one picture's colours to all cores; waking them costs a small picture a third of its
# whole decoding, and several videos are read at once anyway. Before, there was one thread and no choice.
PYAV = int(av.__version__.split(".", maxsplit=1)[0])
_ONE_THREAD = {"threads": 1} if PYAV >= 17 else {}

BT709, _BT601, _SMPTE240M, _BT2020 = 1, 5, 7, 9
_MATRICES = {1: BT709, 4: 4, 5: _BT601, 6: _BT601, 7: _SMPTE240M, 9: _BT2020, 10: _BT2020}
_LIMITED, _FULL = 1, 2
_HD = (
    1280,
    576,
)  # from this width, or above this height, pictures without a word on it are BT.709, as players have it
_WIDE = 9  # primaries of BT.2020
TRANSFERS = {16: "PQ", 18: "HLG"}

WHITE_NITS = 203.0  # diffuse white of HDR pictures (ITU-R BT.2408)
PEAK_NITS = 1000.0  # what is brighter is white
_KNEE = 0.7  # of white; darker light is kept as it is
# BT.2020 to BT.709, linear light (ITU-R BT.2087)
_TO_BT709 = ((1.6605, -0.5876, -0.0728), (-0.1246, 1.1329, -0.0083), (-0.0182, -0.1006, 1.1187))


def to_rgb(
    frame: av.VideoFrame, width: int, height: int, *, transfer: int = 0, primaries: int = 0
) -> np.ndarray:
    """(height, width, 3) uint8 RGB for a standard display.

    ``transfer`` and ``primaries`` are those of the stream, for frames that do not say. Raises av.FFmpegError or
    ValueError for a picture that FFmpeg cannot convert.
    """
    transfer = _stated(frame, "color_trc", transfer)
    primaries = _stated(frame, "color_primaries", primaries)
    hdr = TRANSFERS.get(transfer)
    if hdr is None and primaries != _WIDE:
        return _reformat(frame, width, height, "rgb24", wide=False).to_ndarray()
    wide = primaries in (_WIDE, 2, 0)  # HDR without a word on primaries is BT.2020
    return _standard(_deep(_reformat(frame, width, height, "gbrp16le", wide=wide)), hdr or "SDR", wide)


def _stated(frame: av.VideoFrame, name: str, otherwise: int) -> int:
    """The frame's colour properties (PyAV below 17 lacks them), or the stream's where the frame has none."""
    value = int(getattr(frame, name, 2) or 2)
    return value if value != 2 else otherwise


def _reformat(frame: av.VideoFrame, width: int, height: int, form: str, *, wide: bool) -> av.VideoFrame:
    return frame.reformat(width=width, height=height, format=form, **_matrix(frame, wide), **_ONE_THREAD)


def _deep(frame: av.VideoFrame) -> np.ndarray:
    """(3, height, width) uint16 R, G, B of gbrp16le. Packed RGB of this depth is broken in FFmpeg 8.0, PyAV 16's."""
    green, blue, red = (
        np.frombuffer(bytes(plane), dtype=np.uint16).reshape(frame.height, plane.line_size // 2)
        for plane in frame.planes
    )
    return np.stack([red, green, blue])[:, :, : frame.width]


def _matrix(frame: av.VideoFrame, wide: bool) -> dict[str, int]:
    """How the frame's Y'CbCr is meant; nothing for other pictures."""
    name = frame.format.name
    if not name.startswith(("yuv", "nv", "p0", "p2", "p4", "uyvy", "yuyv", "y2", "xv")):
        return {}
    unsaid = _BT2020 if wide else BT709 if is_hd(frame.width, frame.height) else _BT601
    full = name.startswith("yuvj") or int(frame.color_range) == _FULL
    # RGB has no range of its own. PyAV 15 and 16 look at the matrix only where the two ranges differ.
    ranges = (_FULL, _LIMITED) if full else (_LIMITED, _FULL)
    return _as(_MATRICES.get(int(frame.colorspace), unsaid), *ranges)


def _as(matrix: int, source_range: int, target_range: int) -> dict[str, int]:
    return {
        "src_colorspace": matrix,
        "dst_colorspace": matrix,
        "src_color_range": source_range,
        "dst_color_range": target_range,
    }


def is_hd(width: int, height: int) -> bool:
    """Whether players take pictures of this size for BT.709 where they do not say."""
    return width >= _HD[0] or height > _HD[1]


def stored(picture: av.VideoFrame) -> av.VideoFrame:
    """An RGB picture as an encoder is to store it: HD in BT.709; others are left to the encoder, which takes BT.601."""
    if not is_hd(picture.width, picture.height):
        return picture
    return picture.reformat(format="yuv420p", **_as(BT709, _FULL, _LIMITED), **_ONE_THREAD)


def _standard(stored: np.ndarray, transfer: str, wide: bool) -> np.ndarray:
    """(3, height, width) uint16 as stored -> (height, width, 3) uint8 for a standard display."""
    red, green, blue = np.take(_light(transfer), stored)
    if transfer == "HLG":  # BT.2100's optical transfer of a display of 1,000 nits
        luminance = 0.2627 * red + 0.6780 * green + 0.0593 * blue
        scale = (PEAK_NITS / WHITE_NITS) * np.power(np.maximum(luminance, 1e-6), 0.2)
        red, green, blue = red * scale, green * scale, blue * scale
    if wide:
        red, green, blue = (np.maximum(r * red + g * green + b * blue, 0) for r, g, b in _TO_BT709)
    if transfer != "SDR":
        brightest = np.maximum(np.maximum(red, green), blue)
        scale = tone_curve(brightest) / np.maximum(brightest, 1e-6)
        red, green, blue = red * scale, green * scale, blue * scale
    codes = _codes(transfer == "SDR")
    shown = [np.take(codes, (np.minimum(c, 1) * 65535 + 0.5).astype(np.uint16)) for c in (red, green, blue)]
    return np.stack(shown, axis=-1)


def tone_curve(light: np.ndarray) -> np.ndarray:
    """Light relative to white -> display light in [0, 1]: Möbius curve, as FFmpeg's ``tonemap=mobius``.

    Up to the knee it is the identity, from there a hyperbola with the same slope that reaches 1 at the peak. It is
    applied to the brightest of R, G, B and the others are scaled with it, so hues stay.
    """
    peak, j = PEAK_NITS / WHITE_NITS, _KNEE
    a = -j * j * (peak - 1) / (j * j - 2 * j + peak)
    b = (j * j - 2 * j * peak + peak) / (peak - 1)
    above = np.maximum(light, j)
    curve = (b * b + 2 * b * j + j * j) / (b - a) * (above + a) / (above + b)
    return np.where(light <= j, light, np.minimum(curve, 1.0)).astype(np.float32)


@cache
def _light(transfer: str) -> np.ndarray:
    """(65536,) float32 linear light of each 16-bit code: relative to white; of HLG scene light in [0, 1]."""
    code = np.arange(65536, dtype=np.float64) / 65535
    if transfer == "PQ":  # SMPTE ST 2084
        m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
        power = code ** (1 / m2)
        light = 10_000 / WHITE_NITS * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)
    elif transfer == "HLG":  # ARIB STD-B67
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        light = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
    else:  # BT.1886
        light = code**2.4
    return light.astype(np.float32)


@cache
def _codes(standard: bool) -> np.ndarray:
    """(65536,) uint8 code of each 16-bit step of display light: BT.1886 for what was SDR, sRGB otherwise."""
    light = np.arange(65536, dtype=np.float64) / 65535
    if standard:
        code = light ** (1 / 2.4)
    else:
        code = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.round(255 * code).astype(np.uint8)
