"""Every field of a config is of its kind, finite and in range, and no other field is taken."""

from __future__ import annotations

import math

import pytest

from videoexpert.config import CHOICES, COUNTS, NUMBERS, OPTIONAL, TEXTS, VideoExpertConfig
from videoexpert.errors import InputError
from videoexpert.testing import tiny_config

WRONG = (float("nan"), float("inf"), -float("inf"), 1e300, "1", None, True, [1], {})
OURS = set(VideoExpertConfig.__annotations__) - {"model_type"}


def test_every_field_is_checked():
    others = {"temporal_differences", "trained_seconds", "loc_token_id"}
    assert {*CHOICES, *COUNTS, *NUMBERS, *TEXTS, *OPTIONAL, *others} == OURS


@pytest.mark.parametrize("name", sorted((COUNTS | NUMBERS).keys()))
def test_numbers(name):
    for value in (*WRONG, *([0.5] if name in COUNTS else [])):
        with pytest.raises(InputError, match=rf"config field {name} is .*, expected a (whole )?number from"):
            tiny_config(**{name: value})


@pytest.mark.parametrize("name", sorted({*CHOICES, *TEXTS}))
def test_words(name):
    for value in (5, None, [], {}, "  "):
        with pytest.raises(InputError, match=f"(config field )?{name} is"):
            tiny_config(**{name: value})


@pytest.mark.parametrize(
    "fields",
    [
        {"temporal_differences": "abc"},
        {"temporal_differences": [1.5]},
        {"temporal_differences": [1] * 101},
        {"trained_seconds": math.nan},
        {"trained_seconds": 0},
        {"loc_token_id": -1},
        {"loc_token_id": 1.0},
        {"vision_config": [1]},
        {"language_name": 3},
        {"taught_words": "dog"},
        {"taught_words": [3]},
        {"taught_words": 3},
        {"key_tokens": 4},
        {"nms_iou": math.nan},
    ],
)
def test_others(fields):
    with pytest.raises(InputError, match=next(iter(fields))):
        tiny_config(**fields)


def test_a_number_of_frames_names_its_limit(monkeypatch):
    with pytest.raises(InputError, match=r"num_frames is 1,000,000,000, .*VIDEOEXPERT_MAX_FRAMES"):
        tiny_config(num_frames=1_000_000_000)


def test_unknown_fields_of_a_file():
    stored = tiny_config().to_dict()
    assert VideoExpertConfig.checked(stored).num_frames == 6
    with pytest.raises(InputError, match="'nms_iuo' is not a field of the config"):
        VideoExpertConfig.checked(stored | {"nms_iuo": 0.5})
