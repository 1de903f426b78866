"""The contact sheet: a row a moment, everything inside the paper."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

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
