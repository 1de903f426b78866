"""The contact sheet: a row a moment, everything inside the paper."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from videoexpert import look
from videoexpert.export import sheet
from videoexpert.export.sheet import MARGIN, WIDTH, Row, contact_sheet


def picture(value: int, height: int = 90, width: int = 160) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def opened(data: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(data))
    assert image.format == "JPEG"
    return np.asarray(image).astype(int)


def test_a_row_a_moment():
    rows = [
        Row([picture(40), picture(80)], "a dog runs", "3.2 s to 7.9 s"),
        Row([picture(120)] * 2, "it stops", "x"),
    ]
    two, one = opened(contact_sheet(rows, "film.mp4")), opened(contact_sheet(rows[:1], "film.mp4"))
    assert two.shape[1] == one.shape[1] == WIDTH
    assert two.shape[0] > one.shape[0]
    # the first strip: two pictures side by side
    assert one[60, 200].mean() == pytest.approx(40, abs=4)
    assert one[60, WIDTH - 200].mean() == pytest.approx(80, abs=4)
    # text below it is dark on white
    assert one[-MARGIN - 60 :].min() < 80


@pytest.mark.parametrize(("height", "width"), [(480, 90), (10, 400), (1, 1)])
def test_pictures_of_any_shape(height, width):
    paper = opened(contact_sheet([Row([picture(0, height, width)] * 4, "a", "b")], "c"))
    assert paper.shape[0] < 500
    assert paper[:, : MARGIN - 4].min() > 240
    assert paper[:, WIDTH - MARGIN + 4 :].min() > 240


def test_long_and_strange_texts_stay_on_the_paper():
    for title in ("word " * 100, "שלום עולם " * 40, "🐕" * 200, "", "a\nb\x00\ud800"):
        paper = opened(contact_sheet([Row([picture(200)] * 4, title, title)], title))
        assert paper[:, WIDTH - MARGIN + 4 :].min() > 200


def test_there_is_an_end_of_rows(monkeypatch):
    monkeypatch.setattr(sheet, "MOST_ROWS", 2)
    rows = [Row([picture(0, 9, 16)], "a", "b")] * 3
    assert contact_sheet(rows, "c") == contact_sheet(rows[:-1], "c")


def ink(paper: np.ndarray) -> int:
    """Dark pixels below the first strip."""
    return int((paper[-MARGIN - 60 :] < 128).sum())


def test_letters_are_drawn_in_a_font_that_has_them():
    """Whatever fonts are installed: no run holds a letter that its font would draw as a box."""
    for title in ("a 犬 runs", "🐕 läuft 走る", "ﬁ 𝔸 ℵ ⟿", "שלום", "plain"):
        runs = look.in_fonts(title)
        assert "".join(run for run, _ in runs) == look.drawable(title)
        for run, file in runs:
            family = (
                look.USUAL if file is None else next(f for f, at in look._families().items() if at == file)
            )
            assert {ord(letter) for letter in run if not letter.isspace()} <= look._letters(family)


def test_a_letter_that_only_another_font_has_is_drawn_in_it():
    theirs = look._letters("STIXGeneral") - look._letters(look.USUAL)
    letter = chr(min(code for code in theirs if chr(code).isprintable()))
    ((run, file),) = look.in_fonts(letter)
    assert run == letter
    assert file is not None
    # its shape, and no box: the usual font draws every letter that it lacks alike
    drawn = opened(contact_sheet([Row([picture(200)], letter * 3, "")], ""))
    box = opened(contact_sheet([Row([picture(200)], "", "")], ""))
    assert ink(drawn) > ink(box)


def test_letters_that_no_font_has_are_told_in_words():
    unassigned = "\u0378\u0379"
    assert look.in_fonts(f"a {unassigned} b")[0][0] == "a [2 letters that no font here has] b"
