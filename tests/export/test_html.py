"""Answers as fragments of a page: nothing of them runs, everything they say is there."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videoexpert.export.html import MOST_CARDS, WIDE, cards_of, fragment
from videoexpert.types import Answer, Captions, Highlights, Moment, Moments, Source

FILM = Source("a.mp4", 10.0, 20.0)
DOG = Moments("a dog", (Moment(15, 20, 0.9), Moment(25, 30, 0.5), Moment(11, 12, 0.01)), 0.93, source=FILM)


def parsed(found, *args) -> ET.Element:
    """The fragment is well-formed, so that no text of it opens or closes an element."""
    html = fragment(found, *args)
    html = re.sub(r"<(img|video)((?: [a-z-]+=\"[^\"]*\"| controls)*)>", lambda m: f"<{m[1]}{m[2]}>", html)
    html = html.replace(" controls", ' controls=""')
    html = re.sub(r"(<img[^>]*)>", r"\1/>", html)
    return ET.fromstring(html)


def bars(page: ET.Element) -> list[tuple[float, float]]:
    """(from, width) of the bars, without the track."""
    return [(float(r.get("x")), float(r.get("width"))) for r in page.iter("rect")][1:]


def words(page: ET.Element) -> str:
    return " ".join("".join(page.itertext()).split())


def test_moments_are_bars_on_the_part_that_was_looked_at():
    page = parsed(DOG)
    assert bars(page) == [(0.25 * WIDE, 0.25 * WIDE), (0.75 * WIDE, 0.25 * WIDE)]
    assert words(page) == "“a dog” presence 0.9310.0 s30.0 s15.0 s to 20.0 s · 0.9025.0 s to 30.0 s · 0.50"
    assert not list(page.iter("polyline"))
    assert page.find("svg").get("viewBox").endswith(" 12")  # without a curve, no room for one
    curve = Moments("a dog", DOG.items, curve=(0.0, 1.0), source=FILM)
    (line,) = parsed(curve).iter("polyline")
    assert [point.split(",")[0] for point in line.get("points").split()] == ["250.0", "750.0"]
    timed = Moments("a dog", DOG.items, curve=(0.0, 1.0), curve_times=(10.0, 30.0), source=FILM)
    (line,) = parsed(timed).iter("polyline")
    assert [point.split(",")[0] for point in line.get("points").split()] == ["0.0", "1000.0"]


def test_what_is_absent_says_so_and_shows_one_guess():
    page = parsed(Moments("a cat", DOG.items, 0.124, absent=True, source=FILM))
    assert "not in this video (presence 0.12); best guess 15.0 s to 20.0 s" in words(page)
    assert len(bars(page)) == 1
    assert "not in this video" in words(parsed(Moments("a cat", (), 0.1, absent=True)))


def test_without_a_video_the_answer_makes_the_scale():
    page = parsed(Moments("a dog", (Moment(0, 4, 0.9), Moment(5, 8, 0.8))))
    assert bars(page) == [(0, 500), (625, 375)]


def test_clips_captions_and_answers():
    clips = Highlights("goal", (10.0, 20.0), (0.5, 1.0), (Moment(20, 30, 0.8),), 10.0, source=FILM)
    assert [x for x, _ in bars(parsed(clips))] == [500, 0, 500]
    told = Captions([Moment(15, 20, 0.9, "A dog runs."), Moment(20, 25, 0.9, "It stops.")], source=FILM)
    assert "2 events" in words(parsed(told))
    assert "A dog runs." in words(parsed(told))
    assert "no event" in words(parsed(Captions()))
    many = Captions([Moment(i, i + 1, 0.9, f"event {i}") for i in range(MOST_CARDS + 3)])
    assert words(parsed(many)).endswith("and 3 more")
    answer = Answer("why?", "b", 1, (Moment(15, 20, 0.9),), (0.25, 0.75), choices=("a", "b"), source=FILM)
    page = parsed(answer)
    assert [row[0].text for row in page.iter("tr")] == ["a", "b"]
    assert "font-weight:bold" in [row[0] for row in page.iter("tr")][1].get("style")
    assert "no answer" in words(parsed(Answer("why?", "")))


def test_players_and_pictures():
    assert not list(parsed(DOG).iter("video"))
    page = parsed(DOG, [b"one", b"two"], "a%20b.mp4")
    players = list(page.iter("video"))
    assert [player.get("src") for player in players] == [
        "a%20b.mp4#t=15.000,20.000",
        "a%20b.mp4#t=25.000,30.000",
    ]
    assert players[0].get("poster") == "data:image/jpeg;base64,b25l"
    assert [img.get("alt") for img in parsed(DOG, [b"one", b"two"]).iter("img")] == [
        "15.0 s to 20.0 s",
        "25.0 s to 30.0 s",
    ]


@given(st.text(), st.text())
def test_no_text_becomes_markup(first, second):
    for text in (first, second, '"><script>alert(1)</script>', "</div><img src=x onerror=alert(1)>"):
        for found in (
            Moments(text, (Moment(0, 1, 0.9),)),
            Captions([Moment(0, 1, 0.9, text)]),
            Answer(text, text, 0, (Moment(0, 1, 0.9),), (1.0,), choices=(text,)),
        ):
            page = parsed(found)
            assert {node.tag for node in page.iter()} <= {
                "div",
                "b",
                "span",
                "svg",
                "rect",
                "table",
                "tr",
                "td",
            }


@pytest.mark.parametrize(
    "found", [DOG, Captions(), Answer("a?", "b")], ids=lambda found: type(found).__name__
)
def test_as_many_cards_as_pictures_are_asked_for(found):
    pictures = [b"x"] * len(cards_of(found))
    assert len(list(parsed(found, pictures).iter("img"))) == len(pictures)
