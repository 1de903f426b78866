"""Pictures of answers: all that is said is there, inside the picture, and nothing lies over anything else."""

from __future__ import annotations

import pytest

from layout import check_layout
from videoexpert.look import round_step
from videoexpert.plot import plot_answer, plot_captions, plot_grounding, plot_highlights
from videoexpert.types import Answer, Highlights, Moment, Moments

LONG = (
    "a person in a grey sweater slowly walks from the door to the wardrobe, opens it and looks inside, " * 4
)


def test_grounding(video, drawn, tmp_path):
    curve = tuple(0.9 if 4 <= i < 8 else 0.1 for i in range(16))
    found = [
        Moments("it costs $5 in a_b $x$", (Moment(2.0, 4.0, 0.91), Moment(1.9, 4.6, 0.42)), 0.9, curve=curve),
        Moments(LONG, (Moment(6, 8, 0.77), Moment(0, 8, 0.35), Moment(0, 0, 0.1)), 0.8, curve=curve),
        Moments("a dog", (Moment(3.0, 4.0, 0.05),), 0.12, absent=True, curve=curve),
        Moments("many", tuple(Moment(i, i + 0.5, 0.9 - i / 10) for i in range(7)), 0.8, curve=curve),
        Moments("none", (), 0.5, curve=curve),
    ]
    truth = [[(2, 4)], [(1, 2), (6, 8)], [], [], []]
    out = plot_grounding(video, found, 8.0, 0.0, tmp_path / "a.png", truth=truth)
    assert out.read_bytes().startswith(b"\x89PNG")
    shown = check_layout(drawn[0])
    for part in (
        "$5 in a_b $x$",
        "0.91",
        "0.42",
        "0.77",
        "not in this video (presence 0.12)",
        "guess",
        "true",
        "a.mp4",
    ):
        assert part in shown
    assert "…" in shown  # what does not fit on two lines is cut, and seen to be
    assert len(drawn[0].axes[0].images) == 9


def test_part_of_a_video(video, drawn, tmp_path):
    plot_grounding(video, [Moments("q", (Moment(3.0, 4.0, 0.5),))], 4.0, 2.0, tmp_path / "a.png")
    assert "a.mp4   2 to 6 s" in check_layout(drawn[0])
    assert all(axes.get_xlim() == (2.0, 6.0) for axes in drawn[0].axes[:-1])  # the last holds the legend


def test_highlights(video, drawn, tmp_path):
    found = Highlights("goal", (0.0, 3.0, 6.0), (0.1, 0.9, 0.5), (Moment(2, 4, 0.8),), 3.0, 0.07, True)
    plot_highlights(video, found, 8.0, 0.0, tmp_path / "a.png")
    shown = check_layout(drawn[0])
    assert "not in this video (presence 0.07)" in shown
    assert "clip of 3 s" in shown
    bars = [(bar.get_x(), round(bar.get_height(), 3)) for axes in drawn[0].axes for bar in axes.patches]
    assert bars[:3] == [(0.0, 0.1), (3.0, 0.9), (6.0, 0.5)]


def test_captions(video, drawn, tmp_path):
    told = [Moment(i, i + 2, 0.5 + i / 20, text=LONG if i % 2 else f"Event {i}.") for i in range(6)]
    plot_captions(video, told, 8.0, 0.0, tmp_path / "a.png")
    shown = check_layout(drawn[0])
    assert all(f"Event {i}." in shown and f"{0.5 + i / 20:.2f}" in shown for i in (0, 2, 4))
    plot_captions(video, [], 8.0, 0.0, tmp_path / "b.png")
    assert "no event described" in check_layout(drawn[1])


def test_what_signs_and_numbers_mean_and_who_answered(video, drawn, tmp_path):
    there = Moments("a dog", (Moment(1.0, 2.0, 0.9),), curve=(0.1, 0.9, 0.1, 0.1))
    absent = Moments("a cat", tuple(Moment(i, i + 1, 0.04) for i in range(5)), 0.1, absent=True)
    plot_grounding(video, [there, absent], 8.0, 0.0, tmp_path / "a.png", [[(1, 2)], []], "m", True)
    lines = check_layout(drawn[0]).splitlines()
    for part in (
        *("model: m", "guess", "true", "chance that a frame is inside"),
        *("numbers: chance of being right", "not in this video (presence 0.10); best guess 0.0 s to 1.0 s"),
    ):
        assert part in lines
    assert lines.count("0.04") == 1  # one guess of five
    assert lines.count("found") == 2  # beside the bar, and in the legend: there is no second-best bar
    assert "0.4 s" in lines  # under a picture of the strip
    plot_grounding(video, [there], 8.0, 0.0, tmp_path / "b.png")
    lines = check_layout(drawn[1]).splitlines()
    assert "numbers: scores, 1 is best" in lines
    assert not {"guess", "true", "numbers: chance of being right"} & set(lines)
    two = Moments("a dog", (Moment(1.0, 2.0, 0.9), Moment(4.0, 5.0, 0.5)))
    plot_grounding(video, [there, two], 8.0, 0.0, tmp_path / "c.png")
    assert "found, the best in full colour" in check_layout(drawn[2]).splitlines()


def test_an_answer_its_choices_and_its_evidence(video, drawn, tmp_path):
    moments = (Moment(2.0, 3.0, 0.8), Moment(4.0, 5.0, 0.5))
    answer = Answer("what runs?", "a dog", 0, moments, (0.75, 0.25), choices=("a dog", LONG))
    plot_answer(video, answer, 8.0, 0.0, tmp_path / "a.png")
    lines = check_layout(drawn[0]).splitlines()
    for part in ("question: what runs?", "answer: a dog", "a dog", "0.75", "0.25", "found", "0.80"):
        assert part in lines
    assert any(line.startswith("a person in a grey") and line.endswith("…") for line in lines)
    faint = Answer("what runs?", "a dog.", None, (Moment(2.0, 3.0, 0.004),))
    plot_answer(video, faint, 8.0, 0.0, tmp_path / "b.png")
    assert "guess" in check_layout(drawn[1]).splitlines()
    plot_answer(video, Answer("why?", "", None, moments), 8.0, 0.0, tmp_path / "c.png")
    lines = check_layout(drawn[2]).splitlines()
    assert "the model gives no answer" in lines
    assert not {"0.80", "0.50"} & set(lines)


def test_captions_by_time_whatever_their_order(video, drawn, tmp_path):
    told = [Moment(5, 6, 0.9, text="Last."), Moment(1, 2, 0.9, text="First.")]
    plot_captions(video, told, 8.0, 0.0, tmp_path / "a.png")
    shown = check_layout(drawn[0])
    assert shown.index("First.") < shown.index("Last.")


def test_title_and_axis_count_time_alike(video, drawn, tmp_path):
    from videoexpert.plot.panels import _mark

    assert [_mark(t, 7219) for t in (0, 90, 3600, 7219)] == ["0:00", "1:30", "1:00:00", "2:00:19"]
    assert [_mark(t, 20) for t in (0, 2.5, 20)] == ["0", "2.5", "20"]


@pytest.mark.parametrize(
    ("seconds", "step"),
    [(130, 15), (135, 15), (136, 30), (548, 120), (3600, 600), (7219, 900), (36000, 7200), (1e6, 172800)],
)
def test_long_axes_are_marked_at_round_minutes(seconds, step):
    assert round_step(seconds) == step


@pytest.mark.parametrize(("name", "begins"), [("a.svg", b"<?xml"), ("a.pdf", b"%PDF"), ("a.PNG", b"\x89PNG")])
def test_vector_pictures(video, tmp_path, name, begins):
    out = plot_grounding(video, [Moments("q", (Moment(3, 4, 0.5),))], 8.0, 0.0, tmp_path / name)
    assert out.read_bytes().startswith(begins)


def test_letters_without_a_font_are_told_and_nothing_warns(video, drawn, tmp_path, recwarn):
    plot_grounding(video, [Moments("café \u0378\u0379 \U0001f389", ())], 8.0, 0.0, tmp_path / "a.png")
    shown = check_layout(drawn[0])
    assert "“café [2 letters that no font here has]" in shown
    assert not [w for w in recwarn if "Glyph" in str(w.message)]


def test_the_film_strip_leaves_holes_empty(tmp_path, monkeypatch):
    import torch
    from matplotlib.figure import Figure

    from videoexpert.plot import panels
    from videoexpert.types import Frames

    def drawn(duration, holes):
        times = torch.arange(9, dtype=torch.float64)
        frames = Frames(torch.zeros(9, 3, 20, 20, dtype=torch.uint8), times, duration, 0.0, holes)
        monkeypatch.setattr(panels, "read_frames", lambda *args, **kwargs: frames)
        axes = Figure().add_subplot()
        (_, draw), _ = panels._strip("a.mp4", 0.0, duration, 10.0)
        draw(axes)
        return [image.get_extent()[:2] for image in axes.images]

    assert len(drawn(18.0, ())) == 9
    late = drawn(21.0, ((0.0, 3.0),))
    assert len(late) == 9
    assert min(left for left, _ in late) >= 3.0
    hour = drawn(3618.0, ((9.0, 3609.0),))  # one picture on each side of the hole
    assert [round((a + b) / 2 / 3618.0, 1) for a, b in hour] == [0.1, 0.9]
