"""File names for clips: what no file system takes is gone, and what says something stays."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videoexpert.export.names import LONGEST, clip_name, safe_name, time_name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("a person opens the fridge", "a-person-opens-the-fridge"),
        ('what/is\\this: "it"? <b>|*', "what-is-this-it-b"),
        ("../../etc/passwd", "etc-passwd"),
        (".hidden", "hidden"),
        ("ends with a point.", "ends-with-a-point"),
        ("CON", "CON_"),
        ("aux.txt", "aux_.txt"),
        ("com1", "com1_"),
        ("constant", "constant"),
        ("שלום עולם", "שלום-עולם"),
        ("cafe\u0301", "caf\u00e9"),
        ("🐕 runs", "runs"),
        ("a\u202egpj.exe", "a-gpj.exe"),
        ("tab\tand\nnewline\x00", "tab-and-newline"),
        ("-rf", "rf"),
        ("\ud800", ""),
        ("", ""),
    ],
)
def test_safe_names(text, name):
    assert safe_name(text) == name


@given(st.text(), st.integers(1, 200))
def test_no_file_system_minds_the_name(text, longest):
    name = safe_name(text, longest)
    assert len(name.encode("utf-8")) <= longest + 1  # a device's name gets an underscore
    assert not re.search(r'[<>:"/\\|?*\x00-\x1f\x7f]', name)
    assert name == name.strip(" .-")
    assert unicodedata.is_normalized("NFC", name)
    assert name.split(".")[0].upper() not in {"CON", "PRN", "AUX", "NUL", "COM1", "LPT9"}


@pytest.mark.parametrize(
    ("seconds", "name"),
    [
        (0, "0m00.00s"),
        (3.2, "0m03.20s"),
        (59.999, "1m00.00s"),
        (125.5, "2m05.50s"),
        (3723.456, "1h02m03.46s"),
    ],
)
def test_times(seconds, name):
    assert time_name(seconds) == name


def test_clip_names():
    assert clip_name(7, "my film", 3.2, 7.9, "a dog runs") == "007_my-film_0m03.20s-0m07.90s_a-dog-runs"
    assert clip_name(7, "🐕", 3.2, 7.9, "?") == "007_video_0m03.20s-0m07.90s"


@given(st.text(), st.text(), st.floats(0, 10**5))
def test_clip_names_are_short_enough(video, sentence, start):
    name = clip_name(12, video, start, start + 1, sentence)
    assert len(name.encode("utf-8")) <= LONGEST
    assert re.fullmatch(r"012_.+_(\d+h)?\d+m\d\d\.\d\ds-(\d+h)?\d+m\d\d\.\d\ds(_.+)?", name)
