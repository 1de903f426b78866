"""Pictures of answers: all that is said is there, inside the picture, and nothing lies over anything else."""

from __future__ import annotations

from layout import check_layout
from videoexpert.plot import plot_captions, plot_grounding, plot_highlights
from videoexpert.types import Highlights, Moment, Moments

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
    assert "2.0 s to 6.0 s" in check_layout(drawn[0])
    assert all(axes.get_xlim() == (2.0, 6.0) for axes in drawn[0].axes)


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
        panels._strip("a.mp4", 0.0, duration, 10.0)[1](axes)
        return [image.get_extent()[:2] for image in axes.images]

    assert len(drawn(18.0, ())) == 9
    late = drawn(21.0, ((0.0, 3.0),))
    assert len(late) == 9
    assert min(left for left, _ in late) >= 3.0
    hour = drawn(3618.0, ((9.0, 3609.0),))  # one picture on each side of the hole
    assert [round((a + b) / 2 / 3618.0, 1) for a, b in hour] == [0.1, 0.9]
