"""Several systems under the truth: everything said is there and readable, colours and marks are those meant."""

from __future__ import annotations

import pytest

from layout import check_layout
from videoexpert.evaluation.voices import Item, Voice
from videoexpert.plot import comparison
from videoexpert.plot.comparison import plot_comparison
from videoexpert.plot.panels import BLUE, GREEN, ORANGE
from videoexpert.types import Moment

LONG = (
    "a person in a grey sweater slowly walks from the door to the wardrobe, opens it and looks inside, " * 4
)


def bars(figure):
    """(colour, start, end) of every moment that is drawn, from top to bottom."""
    from matplotlib.colors import to_hex

    found = []
    for axes in figure.axes:
        for bar in axes.patches:
            if bar.get_height() == pytest.approx(0.62):
                end = round(bar.get_x() + bar.get_width(), 3)
                found.append((to_hex(bar.get_facecolor()).upper(), round(bar.get_x(), 3), end))
    return found


def labels(figure):
    return [label.get_text() for axes in figure.axes for label in axes.get_yticklabels()]


def test_grounding(video, drawn, tmp_path):
    items = [
        Item(
            "grounding",
            "it costs $5 in a_b $x$",
            Voice("annotated", (Moment(2.0, 4.0), Moment(6.0, 7.0))),
            (
                Voice(
                    "ours", (Moment(2.0, 4.2, 0.9), Moment(5.0, 6.0, 0.5), Moment(0, 1, 0.01)), overlap=0.91
                ),
                Voice("theirs", (Moment(7.5, 8.0),), overlap=0.0),
                Voice("a third with a very long name", silent=True),
                Voice("fourth"),
            ),
        ),
        Item("grounding", LONG, Voice("annotated"), (Voice("ours", (Moment(0.0, 8.0),)),)),
    ]
    out = plot_comparison(video, items, 8.0, 0.0, tmp_path / "a.png", note="the first 2 of 9 queries")
    assert out.read_bytes().startswith(b"\x89PNG")
    shown = check_layout(drawn[0])
    for part in (
        "$5 in a_b $x$",
        "IoU 0.91",
        "IoU 0.00",
        "no prediction",
        "no moment",
        "the first 2 of 9",
        "…",
    ):
        assert part in shown
    assert bars(drawn[0]) == [
        (GREEN, 2.0, 4.0),
        (GREEN, 6.0, 7.0),
        (ORANGE, 2.0, 4.2),
        (ORANGE, 5.0, 6.0),  # the third is left out: it does not come near the best
        (BLUE, 7.5, 8.0),
        (ORANGE, 0.0, 8.0),
    ]
    names = [name for name in labels(drawn[0]) if name]
    assert names[:5] == ["annotated", "ours", "theirs", "a third with a very l…", "fourth"]


def test_highlights_begin_where_the_part_begins(video, drawn, tmp_path):
    truth = Voice("annotated", (Moment(4.0, 6.0),), (0.0, 1.0, 0.25))
    item = Item("highlight", "goal", truth, (Voice("ours", (Moment(4, 6),), (0.5, 0.0, 1.0), overlap=1.0),))
    plot_comparison(video, [item], 6.0, 2.0, tmp_path / "a.png")
    assert "a.mp4   2 to 8 s" in check_layout(drawn[0])
    found = [
        (bar.get_x(), bar.get_height())
        for axes in drawn[0].axes
        for bar in axes.patches
        if bar.get_height() != pytest.approx(0.62)
    ]
    assert found == [(2.0, 0.0), (4.0, 1.0), (6.0, 0.25), (2.0, 0.5), (4.0, 0.0), (6.0, 1.0)]


def test_answers_are_marked_right_or_wrong(video, drawn, tmp_path):
    truth = Voice("annotated", (Moment(1.0, 2.0),), answer="a ball falls")
    systems = (
        Voice("ours", (Moment(1, 2),), answer="a ball falls", right=True, overlap=1.0),
        Voice("theirs", answer="the dog runs away", right=False),
        Voice("third", right=False),
        Voice("open", answer="something"),
    )
    choices = ("the dog runs away", "a ball falls", "it rains")
    item = Item("qa", "what happens?", truth, systems, choices)
    plot_comparison(video, [item, item], 8.0, 0.0, tmp_path / "a.png")
    shown = check_layout(drawn[0])
    assert "(a) the dog runs away; (b) a ball falls; (c) it rains" in shown
    assert "no answer" in shown
    marks = {}
    for axes in drawn[0].axes:
        said = [text.get_text() for text in axes.texts]
        for text in axes.texts:
            if text.get_text() in "✓✗":
                marks[axes.get_yticklabels()[0].get_text()] = (said, text.get_color())
    assert marks == {
        "ours": (["✓", "a ball falls"], GREEN),
        "theirs": (["✗", "the dog runs away"], comparison.WRONG),
        "third": (["✗", "no answer"], comparison.WRONG),
    }
    assert bars(drawn[0]) == 2 * [(GREEN, 1.0, 2.0), (ORANGE, 1.0, 2.0)]


def test_captions_are_numbered_lists_under_their_bars(video, drawn, tmp_path):
    told = tuple(Moment(i / 2, i / 2 + 2, text=LONG if i % 2 else f"Event {i}.") for i in range(11))
    systems = (Voice("ours", told), Voice("theirs"), Voice("third", silent=True))
    item = Item("caption", "", Voice("annotated", told[:2]), systems)
    plot_comparison(video, [item], 8.0, 0.0, tmp_path / "a.png")
    shown = check_layout(drawn[0])
    assert "1. 0.0 s to 2.0 s: Event 0." in shown
    assert "7. 3.0 s to 5.0 s: Event 6." in shown
    assert "Event 8." not in shown
    for part in ("and 3 more", "no event described", "no prediction"):
        assert part in shown
    assert len(bars(drawn[0])) == 2 + comparison.MOST_SENTENCES


def test_nothing_but_text(video, drawn, tmp_path):
    """Question answering without evidence still has a time axis, and its labels lie over nothing."""
    voice = Voice("ours", answer="yes", right=True)
    plot_comparison(video, [Item("qa", "why?", Voice("annotated", answer="yes"), (voice,))], 8.0, 0.0,
                    tmp_path / "a.png")  # fmt: skip
    assert "seconds" in check_layout(drawn[0])


def test_contradictions_are_refused():
    with pytest.raises(ValueError, match=r"saliency must be in \[0, 1\], got 0.1 to 3.0"):
        Voice("ours", saliency=(0.1, 3.0))
    with pytest.raises(ValueError, match="who is silent"):
        Voice("ours", (Moment(0, 1),), silent=True)
