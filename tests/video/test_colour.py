"""Matrices and ranges against their defining equations, and HDR against the light it stands for."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import torch

from videoexpert.video import probe, read_frames
from videoexpert.video.colour import PEAK_NITS, WHITE_NITS, to_rgb, tone_curve

# Kr and Kb of ITU-T H.273, by the number of the matrix
COEFFICIENTS = {
    1: (0.2126, 0.0722),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}
Y, CB, CR = 120, 90, 170


def flat(form: str, matrix: int, colour_range: int, size: tuple[int, int] = (64, 48)) -> av.VideoFrame:
    frame = av.VideoFrame(*size, form)
    for plane, value in zip(frame.planes, (Y, CB, CR), strict=True):
        deep = np.full(plane.buffer_size // 2, value * 4, dtype=np.uint16)
        plane.update(deep.tobytes() if form.endswith("10le") else bytes([value]) * plane.buffer_size)
    frame.colorspace, frame.color_range = matrix, colour_range
    return frame


def by_definition(matrix: int, full: bool) -> np.ndarray:
    kr, kb = COEFFICIENTS[matrix]
    luma = Y / 255 if full else (Y - 16) / 219
    blue, red = ((c - 128) / (255 if full else 224) for c in (CB, CR))
    r, b = luma + 2 * (1 - kr) * red, luma + 2 * (1 - kb) * blue
    return 255 * np.asarray([r, (luma - kr * r - kb * b) / (1 - kr - kb), b])


@pytest.mark.parametrize("form", ["yuv420p", "yuvj420p", "yuv444p", "yuv420p10le"])
@pytest.mark.parametrize("colour_range", [0, 1, 2])
@pytest.mark.parametrize("matrix", COEFFICIENTS)
def test_matrices_and_ranges(form: str, colour_range: int, matrix: int) -> None:
    full = colour_range == 2 or form == "yuvj420p"
    got = to_rgb(flat(form, matrix, colour_range), 64, 48)
    assert np.abs(got - by_definition(matrix, full)).max() <= 2.5


@pytest.mark.parametrize(("size", "matrix"), [((720, 576), 6), ((1280, 640), 1), ((720, 1280), 1)])
def test_a_picture_that_does_not_say_is_taken_as_players_take_it(size: tuple[int, int], matrix: int) -> None:
    got = to_rgb(flat("yuv420p", 2, 1, size), *size)
    assert np.abs(got - by_definition(matrix, False)).max() <= 2.5


def test_pictures_that_are_no_ycbcr_stay_as_they_are() -> None:
    rng = np.random.default_rng(0)
    for form, shape in (("rgb24", (16, 32, 3)), ("gray", (16, 32))):
        picture = rng.integers(0, 256, shape, dtype=np.uint8)
        got = to_rgb(av.VideoFrame.from_ndarray(picture, format=form), 32, 16)
        assert np.array_equal(got, picture if form == "rgb24" else np.repeat(picture[..., None], 3, axis=2))


def test_the_tone_curve() -> None:
    light = np.linspace(0, PEAK_NITS / WHITE_NITS, 2000, dtype=np.float32)
    curve = tone_curve(light)
    dark = light <= 0.7
    assert np.array_equal(curve[dark], light[dark])
    assert (np.diff(curve) > 0).all()
    assert curve[-1] == pytest.approx(1.0, abs=1e-5)
    assert 0.8 < float(tone_curve(np.float32(1.0))) < 0.9  # white is bright, highlights have room above it
    slopes = np.diff(curve) / np.diff(light)
    assert np.abs(np.diff(slopes)).max() < 0.03  # no corner
    assert tone_curve(np.float32(50.0)) == 1.0


def linear(code: np.ndarray) -> np.ndarray:
    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)


# BT.709 to BT.2020, linear light (ITU-R BT.2087)
TO_BT2020 = np.asarray([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])


def as_pq(nits: np.ndarray) -> np.ndarray:
    power = (nits / 10_000) ** (2610 / 16384)
    return ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)


def as_hlg(nits: np.ndarray) -> np.ndarray:
    display = nits / 1000
    luminance = np.maximum(display @ np.asarray([0.2627, 0.6780, 0.0593]), 1e-9)
    scene = display * (luminance ** (1 / 1.2 - 1))[..., None]
    return np.where(
        scene <= 1 / 12,
        np.sqrt(3 * scene),
        0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073,
    )


def hdr_frame(picture: np.ndarray, transfer: int, form: str = "yuv444p10le") -> av.VideoFrame:
    """An 8-bit sRGB picture as HDR shows it, its white at the diffuse white of 203 nits."""
    nits = np.maximum(linear(picture / 255) @ TO_BT2020.T, 0) * WHITE_NITS
    code = (as_pq if transfer == 16 else as_hlg)(nits)
    deep = np.round(np.clip(code, 0, 1) * 65535).astype(np.uint16)
    frame = av.VideoFrame.from_ndarray(deep, format="rgb48le").reformat(
        format=form, src_colorspace=9, dst_colorspace=9, src_color_range=2, dst_color_range=1
    )
    frame.colorspace, frame.color_range = 9, 1
    return frame


@pytest.mark.parametrize("transfer", [16, 18])
def test_a_standard_picture_shown_in_hdr_comes_back(transfer: int) -> None:
    rng = np.random.default_rng(1)
    patches = rng.integers(0, 190, (6, 8, 3), dtype=np.uint8)  # below the knee, where light is kept
    picture = np.kron(patches, np.ones((16, 16, 1), dtype=np.uint8))
    got = to_rgb(hdr_frame(picture, transfer), 128, 96, transfer=transfer, primaries=9)
    error = np.abs(got.astype(int) - picture)[8::16, 8::16]
    assert error.mean() < 2
    assert error.max() <= 8  # dark codes of one channel beside bright others have few bits in ten
    grey = np.full((16, 16, 3), 255, dtype=np.uint8)
    white = to_rgb(hdr_frame(grey, transfer), 16, 16, transfer=transfer, primaries=9)
    assert white.min() >= 230
    assert int(white.max()) - int(white.min()) <= 2


def test_hues_stay_in_highlights() -> None:
    bright = np.zeros((16, 16, 3))
    bright[...] = np.asarray([2.0, 1.0, 0.5]) @ TO_BT2020.T * WHITE_NITS
    deep = np.round(as_pq(bright) * 65535).astype(np.uint16)
    frame = av.VideoFrame.from_ndarray(deep, format="rgb48le")
    got = to_rgb(frame, 16, 16, transfer=16, primaries=9)[8, 8] / 255
    light = linear(got)
    assert light[0] / light[1] == pytest.approx(2.0, rel=0.05)
    assert light[1] / light[2] == pytest.approx(2.0, rel=0.05)
    assert light[0] < 1


def test_wide_primaries_of_standard_video_are_mapped() -> None:
    grey = np.full((16, 16, 3), 30_000, dtype=np.uint16)
    same = to_rgb(av.VideoFrame.from_ndarray(grey, format="rgb48le"), 16, 16, primaries=9)
    assert np.abs(same.astype(int) - round(30_000 / 257)).max() <= 1  # neutral stays neutral
    green = np.zeros((16, 16, 3), dtype=np.uint16)
    green[..., 1] = 40_000
    mapped = to_rgb(av.VideoFrame.from_ndarray(green, format="rgb48le"), 16, 16, primaries=9)[0, 0]
    assert mapped[1] > 40_000 / 257  # more saturated than BT.709 can show: clipped, not dimmed
    assert mapped[0] == mapped[2] == 0


def hdr_video(path: Path, pictures: list[np.ndarray], transfer: int) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx265", rate=10)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p10le"
        tags = f"log-level=none:colorprim=9:transfer={transfer}:colormatrix=9"
        stream.options = {"crf": "10", "x265-params": tags}
        for i, picture in enumerate(pictures):
            frame = hdr_frame(picture, transfer, "yuv420p10le")
            frame.pts = i
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("transfer", [16, 18])
def test_hdr_files_are_tone_mapped(tmp_path: Path, transfer: int) -> None:
    colours = [np.full((64, 64, 3), colour, dtype=np.uint8) for colour in ((160, 40, 40), (40, 150, 60))]
    path = hdr_video(tmp_path / "hdr.mp4", [colours[0]] * 5 + [colours[1]] * 5, transfer)
    frames = read_frames(path, 2)
    for got, colour in zip(frames.pixels, colours, strict=True):
        assert np.abs(got.numpy()[:, 32, 32].astype(int) - colour[0, 0]).max() <= 6
    assert probe(path).dynamic_range == {16: "PQ", 18: "HLG"}[transfer]
    small = read_frames(
        path, 2, resize=lambda picture: torch.from_numpy(picture[::4, ::4].copy()).permute(2, 0, 1)
    )
    assert torch.equal(small.pixels, frames.pixels[:, :, ::4, ::4])


def test_hdr_from_the_field_looks_like_its_control(shared: Path) -> None:
    folder = shared / "field" / "reports" / "hdr"
    hdr, control = (
        read_frames(folder / name, 8).pixels.float() for name in ("hdr_smpte2084.mp4", "sdr10.mp4")
    )
    assert float((hdr - control).abs().mean()) < 4
    assert float(hdr[:, 0].std() / control[:, 0].std()) == pytest.approx(1.0, abs=0.1)


def test_the_model_finds_in_hdr_what_it_finds_in_the_control(shared: Path) -> None:
    import videoexpert

    folder = shared / "field" / "reports" / "hdr"
    queries = ["the purple triangle moves right", "the orange triangle moves down", "the red square shrinks"]
    expert = videoexpert.load(device="cpu")
    hdr, control = (expert.open(folder / name).ground(queries) for name in ("hdr_smpte2084.mp4", "sdr10.mp4"))
    for found, expected in zip(hdr, control, strict=True):
        assert not found.absent
        assert (found[0].start, found[0].end) == pytest.approx((expected[0].start, expected[0].end), abs=0.5)
