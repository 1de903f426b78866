"""Frames and timecode: worked by hand, both ways, and without drift."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exported import HOURS, RATES
from videoexpert.errors import InputError, UnsupportedError
from videoexpert.export.timecode import STANDARD, Rate, nearest, parse_rate, parse_start

NTSC_DROP = Rate(Fraction(30000, 1001), drop=True)
DOUBLE_DROP = Rate(Fraction(60000, 1001), drop=True)
rates = st.sampled_from(RATES)


@pytest.mark.parametrize(
    ("rate", "frame", "written"),
    [
        (Rate(Fraction(25)), 0, "00:00:00:00"),
        (Rate(Fraction(25)), 25 * 3661 + 24, "01:01:01:24"),
        (Rate(Fraction(24000, 1001)), 24 * 60, "00:01:00:00"),  # its clock face has 24 numbers and drops none
        (Rate(Fraction(30000, 1001)), 1800, "00:01:00:00"),
        (NTSC_DROP, 1799, "00:00:59;29"),
        (NTSC_DROP, 1800, "00:01:00;02"),  # 00 and 01 are left out
        (NTSC_DROP, 3597, "00:01:59;29"),
        (NTSC_DROP, 3598, "00:02:00;02"),
        (NTSC_DROP, 17981, "00:09:59;29"),
        (NTSC_DROP, 17982, "00:10:00;00"),  # but not in every tenth minute
        (NTSC_DROP, 107892, "01:00:00;00"),
        (DOUBLE_DROP, 3599, "00:00:59;59"),
        (DOUBLE_DROP, 3600, "00:01:00;04"),  # 00 to 03 are left out
        (DOUBLE_DROP, 35964, "00:10:00;00"),
        (Rate(Fraction(120)), 119, "00:00:00:119"),
    ],
)
def test_timecodes_worked_by_hand(rate, frame, written):
    assert rate.timecode(frame) == written
    assert rate.parse(written) == frame


@given(rates, st.integers(0, 20 * 3600 * 25))
def test_a_timecode_is_read_back_as_its_frame(rate, frame):
    assert rate.parse(rate.timecode(frame)) == frame


@given(rates, st.integers(0, 20 * 3600 * 25))
def test_the_next_frame_has_a_later_timecode(rate, frame):
    assert rate.timecode(frame) < rate.timecode(frame + 1)


@given(rates, st.integers(0, round(HOURS * 60)))
def test_a_picture_s_time_is_its_frame_in_floats_and_in_milliseconds(rate, frame):
    seconds = float(rate.seconds(frame))
    assert rate.frame(seconds) == frame
    assert rate.frame(round(seconds, 3)) == frame


@given(rates, st.floats(0, HOURS))
def test_a_frame_is_at_most_half_a_frame_off(rate, seconds):
    assert abs(rate.seconds(rate.frame(seconds)) - Fraction(seconds)) <= Fraction(1, 2) / rate.fps


@pytest.mark.parametrize("rate", [NTSC_DROP, DOUBLE_DROP], ids=lambda rate: rate.name)
def test_drop_frame_keeps_up_with_the_wall_clock(rate):
    whole = Rate(rate.fps)
    assert rate.timecode(rate.frame(HOURS))[:8] == "10:00:00"
    assert whole.timecode(whole.frame(HOURS))[:8] == "09:59:24"


@pytest.mark.parametrize(
    ("text", "fps", "drop"),
    [
        ("25", Fraction(25), False),
        ("29.97", Fraction(30000, 1001), False),
        ("29.97df", Fraction(30000, 1001), True),
        ("59.94DF", Fraction(60000, 1001), True),
        ("29.97ndf", Fraction(30000, 1001), False),
        ("23.98", Fraction(24000, 1001), False),
        ("30000/1001", Fraction(30000, 1001), False),
        ("12.5", Fraction(25, 2), False),
    ],
)
def test_rates_are_read(text, fps, drop):
    rate = parse_rate(text)
    assert (rate.fps, rate.drop) == (fps, drop)
    assert parse_rate(rate.name) == rate


@pytest.mark.parametrize("rate", RATES, ids=lambda rate: rate.name)
def test_every_rate_is_named_so_that_it_is_read_back(rate):
    assert parse_rate(rate.name) == rate
    assert rate.ntsc == (rate.fps.denominator == 1001)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fast", "the rate is 'fast', expected frames a second such as 23.976"),
        ("25/0", "the rate is '25/0'"),
        ("0", "the rate is 0, expected 1 to 1000"),
        ("2000", "the rate is 2000, expected 1 to 1000"),
        ("25df", "drop frame was asked for at 25 frames a second, expected 29.97 or 59.94"),
        ("23.976df", "drop frame was asked for at 23.976"),
    ],
)
def test_rates_that_are_none(text, message):
    with pytest.raises(InputError, match=message):
        parse_rate(text)


@pytest.mark.parametrize(
    ("text", "rate", "message"),
    [
        ("1:00:00:00", Rate(Fraction(25)), "expected HH:MM:SS:FF"),
        ("01:00:00:25", Rate(Fraction(25)), "FF below 25"),
        ("24:00:00:00", Rate(Fraction(25)), "expected HH:MM:SS:FF"),
        ("00:01:00;01", NTSC_DROP, "does not exist with drop frame, expected FF from 02 on"),
        ("00:01:00;03", DOUBLE_DROP, "expected FF from 04 on"),
    ],
)
def test_timecodes_that_are_none(text, rate, message):
    with pytest.raises(InputError, match=message):
        rate.parse(text)


def test_a_day_is_all_that_a_timecode_counts():
    rate = Rate(Fraction(25))
    assert rate.timecode(25 * 86400 - 1) == "23:59:59:24"
    with pytest.raises(UnsupportedError, match="outside the 24 hours"):
        rate.timecode(25 * 86400)


def test_a_semicolon_asks_for_drop_frame():
    rate, frame = parse_start("01:00:00;00", parse_rate("29.97"))
    assert (rate.drop, frame) == (True, 107892)
    assert parse_start("01:00:00:00", parse_rate("29.97")) == (parse_rate("29.97"), 108000)
    with pytest.raises(InputError, match=r"expected 29\.97 or 59\.94"):
        parse_start("01:00:00;00", parse_rate("25"))


@pytest.mark.parametrize(
    ("fps", "name"),
    [
        (Fraction(15), "30"),
        (Fraction(10), "30"),
        (Fraction(5), "25"),
        (Fraction(12), "24"),
        (Fraction(15000, 1001), "29.97"),
        (Fraction("29.6873"), "29.97"),
        (Fraction("16.76"), "23.976"),
        (Fraction(28), "29.97"),
        (Fraction(240), "120"),
    ],
)
def test_the_standard_rate_for_another(fps, name):
    assert nearest(fps).name == name
    assert nearest(fps).fps == STANDARD[name]
