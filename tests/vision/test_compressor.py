"""Spatial Compress by hand, against a plain-loop reading of the steps, and by its properties."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from videoexpert.errors import InputError
from videoexpert.vision import compressor
from videoexpert.vision.compressor import CompressorConfig, _similarity_groups, _spread, random_tokens

PAPER: dict[str, Any] = {
    "gop": "similarity",
    "key_score": "attention",
    "static_reference": "previous",
    "gop_similarity": 0.7,
}
RELEASED: dict[str, Any] = {
    "gop": "fixed",
    "key_score": "cosine",
    "static_reference": "idr",
    "gop_similarity": 0.7,
}


def compress(
    cls: torch.Tensor, patches: torch.Tensor, attention: torch.Tensor | None, **options: Any
) -> torch.Tensor:
    return compressor.compress(cls, patches, attention, CompressorConfig(**options))


def _compress(
    cls: torch.Tensor, patches: torch.Tensor, attention: torch.Tensor | None, **options: Any
) -> Any:
    return compressor._compress(cls, patches, attention, CompressorConfig(**options))


PRESETS = pytest.mark.parametrize("preset", [PAPER, RELEASED], ids=["paper", "released"])


def random_video(
    frames: int, patches: int, width: int = 8, seed: int = 0, batch: int | None = None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    lead = () if batch is None else (batch,)
    cls = torch.randn(*lead, frames, width, generator=generator)
    tokens = torch.randn(*lead, frames, patches, width, generator=generator)
    # Half of the patches of a frame are those of the frame before, so that static ones occur.
    for frame in range(1, frames):
        same = torch.rand(patches, generator=generator) < 0.5
        tokens[..., frame, same, :] = tokens[..., frame - 1, same, :]
        cls[..., frame, :] = cls[..., frame - 1, :] + 0.4 * cls[..., frame, :]
    attention = torch.rand(*lead, frames, patches, generator=generator)
    return cls, tokens, attention


# ---- by hand: 2x2 patches, C = 2, one group, W = 2


def hand_video() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Three frames of 2x2 patches. x is (1, 0) times a length, y is (0, 1) times a length; a label is the
    axis.

    frame 0 (IDR)  x1 y1 / y3 x3      frame 1  y5 y7 / x2 x9      frame 2  x4 y2 / x6 y8
    """
    x, y = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    patches = torch.stack(
        [
            torch.stack([1 * x, 1 * y, 3 * y, 3 * x]),
            torch.stack([5 * y, 7 * y, 2 * x, 9 * x]),
            torch.stack([4 * x, 2 * y, 6 * x, 8 * y]),
        ]
    )
    cls = torch.tensor([[0.1, 1.0]] * 3)  # closest to y: cosine prefers patches 1 and 2, 1 first
    attention = torch.tensor([[0.1, 0.2, 0.3, 0.4]] * 3)  # prefers patch 3
    return cls, patches, attention


def test_paper_preset_by_hand() -> None:
    cls, patches, attention = hand_video()
    options = {"groups": 1, "tokens_per_group": 2, "key_tokens": 1, **PAPER}
    result = _compress(cls[None], patches[None], attention[None], **options)
    # Key: patch 3 (x3). Rest: 0, 1, 2; one context token at its first place: patch 0 (x1), the same
    # direction.
    assert result.centres.tolist() == [[[3, 0]]]
    # x joins the first of two equal centres; y is at right angles to both, and 0 == 0 is again the first.
    assert result.labels.unique().tolist() == [0]
    assert result.members.tolist() == [[[4, 0]]]  # all P-frame patches are static
    assert result.tokens[0, 0].tolist() == [[1.0, 1.0], [1.0, 0.0]]  # mean of frame 0; own token


def test_two_centres_by_hand() -> None:
    cls, patches, attention = hand_video()
    attention = torch.tensor([[0.1, 0.4, 0.3, 0.2]] * 3)  # key: patch 1 (y1); context: patch 0 (x1)
    options = {"groups": 1, "tokens_per_group": 2, "key_tokens": 1}
    previous = _compress(cls[None], patches[None], attention[None], **options, **PAPER)
    assert previous.centres.tolist() == [[[1, 0]]]
    assert previous.labels[0].tolist() == [[1, 0, 0, 1], [0, 0, 1, 1], [1, 0, 1, 0]]
    # Frame 1 against 0: places 0 and 2 changed. Frame 2 against 1: places 0 and 3 changed.
    assert previous.kept[0].tolist() == [[True] * 4, [True, False, True, False], [True, False, False, True]]
    # y: 1, 3 of frame 0, 5 of frame 1, 8 of frame 2. x: 1, 3, then 2, then 4.
    assert previous.tokens[0, 0].tolist() == [[0.0, 17 / 4], [10 / 4, 0.0]]
    # Against the IDR frame: frame 2 changed at places 2 and 3 instead.
    released = {**RELEASED, "key_score": "attention"}
    idr = _compress(cls[None], patches[None], attention[None], **options, **released)
    assert idr.kept[0, 2].tolist() == [False, False, True, True]
    assert idr.tokens[0, 0].tolist() == [[0.0, 17 / 4], [12 / 4, 0.0]]


def test_released_preset_by_hand() -> None:
    cls, patches, _ = hand_video()
    options = {"groups": 1, "tokens_per_group": 2, "key_tokens": 1, **RELEASED}
    # Cosine to the class token: y1 and y3 tie at the top; the first, patch 1, is the key, patch 0 the
    # context.
    tokens = compress(cls, patches, None, **options)
    assert tokens.tolist() == [[0.0, 17 / 4], [12 / 4, 0.0]]


def test_last_fixed_group_moves_inside_but_keeps_its_class_token() -> None:
    x, y = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    tokens = torch.stack([x, y, x, y]).repeat(6, 1, 1)
    cls = x.repeat(6, 1)
    cls[-1] = y  # frame 5, the second IDR position; its group is frames 3, 4, 5
    options = {"groups": 2, "tokens_per_group": 1, "key_tokens": 1, **RELEASED}
    result = _compress(cls[None], tokens[None], None, **options)
    assert result.groups.frame.tolist() == [0, 1, 2, 3, 4, 5]
    assert result.groups.idr_frame.tolist() == [0, 3]
    assert result.centres[0, :, 0].tolist() == [0, 1]  # frame 0 by x; frame 3 by frame 5's y, not its own x


# ---- groups


def angles(*degrees: float) -> torch.Tensor:
    radians = torch.tensor(degrees) * math.pi / 180
    return torch.stack([radians.cos(), radians.sin()], -1)[None]


def inside(cls: torch.Tensor, idr: list[int], threshold: float) -> list[bool]:
    return _similarity_groups(cls, torch.tensor(idr), threshold).inside[0].tolist()


def test_growth_both_ways_stops_at_the_first_stranger() -> None:
    # IDR frame 3 at 0 degrees; 45 degrees is a cosine of 0.707. Frame 0 is alike again, but behind a
    # stranger.
    cls = angles(0, 60, 30, 0, 40, 44, 50, 0)
    assert inside(cls, [3], 0.7) == [False, False, True, True, True, True, False, False]
    assert inside(cls, [3], 0.1) == [True] * 8
    assert inside(cls, [3], 1.0) == [False, False, False, True, False, False, False, False]


def test_growth_is_measured_against_the_idr_frame_not_the_neighbour() -> None:
    assert inside(angles(0, 30, 60, 90), [0], 0.7) == [True, True, False, False]


def test_groups_end_half_way_and_the_earlier_takes_the_middle() -> None:
    groups = _similarity_groups(torch.ones(1, 7, 2), torch.tensor([0, 4, 6]), 0.7)
    assert groups.group.tolist() == [0, 0, 0, 1, 1, 1, 2]
    assert groups.inside.all()
    assert groups.idr_frame.tolist() == [0, 4, 6]


def test_frames_before_the_idr_frame_compare_with_the_frame_after_them() -> None:
    groups = _similarity_groups(torch.ones(1, 5, 2), torch.tensor([2]), 0.7)
    assert groups.reference_slot("previous").tolist() == [1, 2, 2, 2, 3]
    assert groups.reference_slot("idr").tolist() == [2] * 5


def test_paper_presets_idr_frames_of_100() -> None:
    assert _spread(100, 4, torch.device("cpu")).tolist() == [0, 33, 66, 99]
    assert _spread(228, 36, torch.device("cpu"))[[0, 1, -1]].tolist() == [0, 6, 227]
    assert _spread(3, 5, torch.device("cpu")).tolist() == [0, 0, 1, 2, 2]  # halves go to the even number


# ---- against plain loops


def plain_compress(
    cls: torch.Tensor,
    patches: torch.Tensor,
    attention: torch.Tensor,
    groups: int,
    width: int,
    keys: int,
    **o: Any,
) -> torch.Tensor:
    """The four steps on one video with loops, for U <= N and W <= P."""
    count, places = patches.shape[:2]
    cosine = lambda a, b: float(torch.nn.functional.cosine_similarity(a, b, dim=0))  # noqa: E731
    idrs = [round(i * (count - 1) / (groups - 1)) if groups > 1 else 0 for i in range(groups)]
    result = []
    for idr in idrs:
        if o["gop"] == "fixed":
            start = max(min(idr, count - 3), 0)
            members = list(range(start, min(start + 3, count)))
            pictured = start
        else:
            mine = [f for f in range(count) if min(idrs, key=lambda i: (abs(f - i), i)) == idr]
            members, pictured = [idr], idr
            for step in (-1, 1):
                frame = idr + step
                while frame in mine and cosine(cls[frame], cls[idr]) > o["gop_similarity"]:
                    members.append(frame)
                    frame += step
        score = attention[pictured].tolist()
        if o["key_score"] == "cosine":
            score = [cosine(patches[pictured, p], cls[idr]) for p in range(places)]
        key = sorted(sorted(range(places), key=lambda p: -score[p])[:keys])
        rest = [p for p in range(places) if p not in key]
        wanted = width - keys
        spread = [round(i * (len(rest) - 1) / (wanted - 1)) if wanted > 1 else 0 for i in range(wanted)]
        centres = key + [rest[i] for i in spread]
        label = {
            f: [
                max(range(width), key=lambda w: cosine(patches[f, p], patches[pictured, centres[w]]))
                for p in range(places)
            ]
            for f in members
        }
        for number, centre in enumerate(centres):
            found = []
            for f in members:
                toward = f - 1 if f > pictured else f + 1
                other = pictured if o["static_reference"] == "idr" else toward
                for p in range(places):
                    static = f != pictured and label[f][p] == label[other][p]
                    if label[f][p] == number and not static:
                        found.append(patches[f, p])
            result.append(torch.stack(found).mean(0) if found else patches[pictured, centre])
    return torch.stack(result)


@pytest.mark.parametrize("gop", ["similarity", "fixed"])
@pytest.mark.parametrize("key_score", ["attention", "cosine"])
@pytest.mark.parametrize("static_reference", ["previous", "idr"])
@pytest.mark.parametrize(("frames", "groups", "width", "keys"), [(9, 3, 4, 2), (5, 1, 3, 3), (2, 2, 5, 0)])
def test_equals_plain_loops(
    gop: str, key_score: str, static_reference: str, frames: int, groups: int, width: int, keys: int
) -> None:
    options = {
        "gop": gop,
        "key_score": key_score,
        "static_reference": static_reference,
        "gop_similarity": 0.6,
    }
    video = random_video(frames, 9, seed=frames)
    ours = compress(*video, groups=groups, tokens_per_group=width, key_tokens=keys, **options)
    torch.testing.assert_close(ours, plain_compress(*video, groups, width, keys, **options))


def test_every_option_changes_the_result() -> None:
    video = random_video(12, 16)
    base = {"groups": 2, "tokens_per_group": 6, "key_tokens": 3, **PAPER, "gop_similarity": 0.5}
    tokens = compress(*video, **base)
    for name, value in [
        ("gop", "fixed"),
        ("key_score", "cosine"),
        ("static_reference", "idr"),
        ("gop_similarity", 0.99),
        ("key_tokens", 5),
    ]:
        assert not torch.allclose(tokens, compress(*video, **{**base, name: value})), name


# ---- properties


@PRESETS
@settings(max_examples=40, deadline=None)
@given(
    frames=st.integers(1, 9),
    patches=st.integers(1, 9),
    groups=st.integers(1, 12),
    width=st.integers(1, 12),
    data=st.data(),
)
def test_always_m_finite_tokens(
    preset: dict[str, Any], frames: int, patches: int, groups: int, width: int, data: st.DataObject
) -> None:
    keys = data.draw(st.integers(0, width))
    cls, tokens, attention = random_video(frames, patches, seed=frames * 10 + patches)
    options = {"groups": groups, "tokens_per_group": width, "key_tokens": keys, **preset}
    result = compress(cls, tokens, attention, **options)
    assert result.shape == (groups * width, tokens.shape[-1])
    assert result.isfinite().all()
    # A mean of tokens lies inside their range.
    assert (result <= tokens.amax((0, 1)) + 1e-5).all()
    assert (result >= tokens.amin((0, 1)) - 1e-5).all()


@PRESETS
def test_batch_equals_single_in_any_order(preset: dict[str, Any]) -> None:
    cls, patches, attention = random_video(11, 16, batch=3)
    options = {"groups": 3, "tokens_per_group": 6, "key_tokens": 3, **preset}
    together = compress(cls, patches, attention, **options)
    assert together.shape == (3, 18, 8)
    for video in range(3):
        alone = compress(cls[video], patches[video], attention[video], **options)
        torch.testing.assert_close(alone, together[video])
    order = torch.tensor([2, 0, 1])
    torch.testing.assert_close(
        compress(cls[order], patches[order], attention[order], **options), together[order]
    )


@PRESETS
def test_constant_video_keeps_only_idr_tokens(preset: dict[str, Any]) -> None:
    cls, patches, attention = (part[:1].expand(10, *part.shape[1:]) for part in random_video(1, 16))
    options = {"groups": 2, "tokens_per_group": 6, "key_tokens": 3, **preset}
    result = _compress(cls[None], patches[None], attention[None], **options)
    assert result.groups.inside.all()
    assert torch.equal(result.kept, result.groups.is_idr[None, :, None].expand_as(result.kept))
    assert result.members.sum(-1).tolist() == [[16, 16]]
    picture = compress(cls[:1], patches[:1], attention[:1], **{**options, "groups": 1})
    torch.testing.assert_close(result.tokens[0], picture.expand(2, -1, -1))


@PRESETS
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_decisions_do_not_depend_on_dtype(preset: dict[str, Any], dtype: torch.dtype) -> None:
    """Values that every type holds exactly: the same decisions, and means to the type's own rounding."""
    cls, patches, attention = ((part * 32).round().clamp(-127, 127) / 32 for part in random_video(11, 16))
    attention = attention.flatten().argsort().view_as(attention) / 256
    options = {"groups": 3, "tokens_per_group": 6, "key_tokens": 3, **preset}
    single = _compress(cls[None], patches[None], attention[None], **options)
    other = _compress(cls[None].to(dtype), patches[None].to(dtype), attention[None].to(dtype), **options)
    assert torch.equal(single.centres, other.centres)
    assert torch.equal(single.labels, other.labels)
    assert torch.equal(single.kept, other.kept)
    assert other.tokens.dtype == dtype
    torch.testing.assert_close(
        other.tokens.float(), single.tokens, rtol=torch.finfo(dtype).eps, atol=1e-6, check_dtype=False
    )


def test_autocast_changes_nothing() -> None:
    video = random_video(11, 16)
    options = {"groups": 3, "tokens_per_group": 6, "key_tokens": 3, **RELEASED}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = compress(*video, **options)
    assert torch.equal(mixed, compress(*video, **options))


def test_no_gradient_is_recorded() -> None:
    cls, patches, attention = random_video(5, 9)
    tokens = compress(
        cls, patches.requires_grad_(), attention, groups=2, tokens_per_group=3, key_tokens=1, **PAPER
    )
    assert not tokens.requires_grad


def test_repeats_where_groups_or_patches_run_out() -> None:
    cls, patches, attention = random_video(2, 3)
    options = {"tokens_per_group": 3, "key_tokens": 1, **PAPER}
    many = compress(cls, patches, attention, groups=5, **options).view(5, 3, -1)
    two = compress(cls, patches, attention, groups=2, **options).view(2, 3, -1)
    torch.testing.assert_close(many, two[[0, 0, 0, 1, 1]])  # 0, 0.25, 0.5, 0.75, 1 rounded, halves to even
    # W > P with every patch a key token: context tokens go over all patches again and return their own token.
    wide = compress(cls, patches, attention, groups=1, tokens_per_group=6, key_tokens=4, **PAPER)
    torch.testing.assert_close(wide[3:], patches[0])


# ---- random tokens and errors


def test_random_tokens_are_distinct_ordered_and_seeded() -> None:
    patches = torch.arange(6 * 5, dtype=torch.float32).view(6, 5, 1)
    drawn = random_tokens(patches, 12, seed=3)
    assert drawn.shape == (12, 1)
    numbers = drawn.flatten().tolist()
    assert numbers == sorted(set(numbers))
    assert torch.equal(drawn, random_tokens(patches, 12, seed=3))
    assert not torch.equal(drawn, random_tokens(patches, 12, seed=4))
    assert torch.equal(random_tokens(torch.stack([patches, -patches]), 12, seed=3)[1], -drawn)
    more = random_tokens(patches, 70).flatten().long()
    assert more.bincount().tolist().count(3) == 10  # 70 = 2 * 30 + 10: every patch twice, ten thrice
    assert random_tokens(patches, 0).shape == (0, 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"groups": 0}, "groups is 0"),
        ({"tokens_per_group": 0, "key_tokens": 0}, "tokens_per_group 0"),
        ({"key_tokens": 9}, "key_tokens is 9, expected 0 to tokens_per_group"),
        ({"gop_similarity": 1.5}, "gop_similarity is 1.5"),
        ({"gop": "grown"}, "gop is 'grown', expected one of similarity, fixed"),
        ({"key_score": "norm"}, "key_score is 'norm'"),
        ({"static_reference": "first"}, "static_reference is 'first'"),
    ],
)
def test_wrong_options_are_named(change: dict[str, Any], message: str) -> None:
    options = {"groups": 2, "tokens_per_group": 4, "key_tokens": 2, **change}
    with pytest.raises(InputError, match=message):
        compress(*random_video(4, 9), **options)


def test_inputs_that_do_not_fit_are_named() -> None:
    cls, patches, attention = random_video(4, 9)
    options = {"groups": 2, "tokens_per_group": 4, "key_tokens": 2}
    with pytest.raises(InputError, match="needs cls_attention"):
        compress(cls, patches, None, **options)
    with pytest.raises(InputError, match=r"cls_attention must be .*\(1, 4, 9\).*\(1, 4, 8\)"):
        compress(cls, patches, attention[:, :8], **options)
    with pytest.raises(InputError, match="same B, N and C"):
        compress(cls[:3], patches, attention, **options)
    with pytest.raises(InputError, match="same B, N and C"):
        compress(cls, patches[:, :0], attention[:, :0], **options)
    with pytest.raises(InputError, match="patches must be"):
        random_tokens(cls, 3)
