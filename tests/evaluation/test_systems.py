"""Any backend can be put to a benchmark; what it cannot do is said before a video is opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from videoexpert.annotations.samples import Sample, Turn
from videoexpert.errors import UnsupportedError, VideoExpertError
from videoexpert.evaluation.systems import BackendSystem, Blank, Shuffled, on_clips, to_clips
from videoexpert.testing import tiny_video
from videoexpert.types import Answer, Highlights, Moment, Moments


class Fixed:
    """A backend that is no model: one moment, two seconds into whatever it is shown."""

    name, can = "fixed", frozenset({"ground", "highlight", "ask"})

    def __init__(self) -> None:
        self.opened: list[tuple[Any, ...]] = []

    def describe(self) -> dict[str, Any]:
        return {"model": self.name}

    def open(self, path, *, start=None, end=None, num_frames=None):
        self.opened.append((Path(path).name, start, end))
        return FixedVideo(str(path), start or 0.0)


class FixedVideo:
    duration = 8.0

    def __init__(self, path: str, start: float) -> None:
        self.path, self.start = path, start
        self.moment = Moment(start + 2.0, start + 4.0, 0.5)

    def ground(self, queries, top_k=5):
        return [Moments(query, (self.moment,), presence=0.7) for query in queries]

    def highlights(self, query, top_k=5, clip_s=2.0):
        return Highlights(query, (0.0, 2.0, 4.0, 6.0), (0.1, 0.9, 0.2, 0.0), (self.moment,), clip_s)

    def ask(self, question, choices=None, max_new_tokens=128):
        return Answer(question, choices[1], 1, (self.moment,))


SAMPLES = [
    Sample("1", "a", "grounding", 8.0, "it falls", ((0.0, 1.0),)),
    Sample("2", "a", "highlight", 8.0, "it runs", ((0.0, 2.0),)),
    Sample("3", "a", "qa", 8.0, "why?", choices=("x", "y")),
]
MOMENT = {"start": 2.0, "end": 4.0, "score": 0.5}


def test_each_sample_is_asked_what_it_asks():
    backend = Fixed()
    found, highlight, answer = BackendSystem(backend).answer(Path("a.mp4"), SAMPLES)
    assert found == {"id": "1", "video": "a", "query": "it falls", "moments": [MOMENT], "presence": 0.7}
    assert highlight["saliency"] == [0.1, 0.9, 0.2, 0.0]  # no curve came with the moments
    assert (answer["answer"], answer["choice"], answer["moments"]) == ("y", 1, [MOMENT])
    assert backend.opened == [("a.mp4", None, None)]


@pytest.mark.parametrize(
    ("moment", "window"),
    [
        ((2.9, 7.2), (2.0, 8.0)),
        ((3.1, 6.9), (4.0, 6.0)),  # each edge goes to the nearer clip edge
        ((4.2, 4.6), (4.0, 6.0)),  # shorter than half a clip: the clip it lies in
        ((5.5, 6.4), (4.0, 6.0)),
        ((8.4, 9.0), (8.0, 9.0)),  # the last clip is cut
        ((0.0, 9.0), (0.0, 9.0)),
    ],
)
def test_highlight_moments_are_whole_clips(moment, window):
    (found,) = to_clips([{"start": moment[0], "end": moment[1], "score": 0.5}], 9.0)
    assert found == {"start": window[0], "end": window[1], "score": 0.5}


def test_of_moments_that_become_one_the_best_stays():
    rows = [
        {"start": a, "end": b, "score": s} for a, b, s in ((2.1, 4.1, 0.9), (1.9, 3.9, 0.4), (6.0, 8.0, 0.2))
    ]
    assert [row["score"] for row in to_clips(rows, 10.0)] == [0.9, 0.2]


def test_times_are_from_the_start_of_the_annotated_part():
    backend = Fixed()
    sample = Sample("1", "a", "grounding", 8.0, "it falls", ((0.0, 1.0),), clip=(10.0, 18.0))
    (row,) = BackendSystem(backend).answer(Path("a.mp4"), [sample])
    assert (row["moments"], backend.opened) == ([MOMENT], [("a.mp4", 10.0, 18.0)])


def test_what_a_backend_cannot_do_is_said_first():
    backend = Fixed()
    talk = Sample("5", "a", "conversation", 8.0, turns=(Turn("user", "what is this?"),))
    caption = Sample("4", "a", "caption", 8.0, windows=((0.0, 1.0),), captions=("it runs.",))
    with pytest.raises(
        UnsupportedError, match="fixed does not caption, which sample 4 asks; it can ask, ground"
    ):
        list(BackendSystem(backend).answer(Path("a.mp4"), [*SAMPLES, caption]))
    with pytest.raises(VideoExpertError, match="does not answer"):
        list(BackendSystem(backend).answer(Path("a.mp4"), [talk]))
    assert backend.opened == []


def test_controls_work_on_any_backend(tmp_path):
    for name, seconds in (("a.mp4", 8.0), ("b.mp4", 4.0)):
        tiny_video(tmp_path / name, seconds)
    backend = Fixed()
    shuffled = Shuffled(backend, [tmp_path / "b.mp4", tmp_path / "a.mp4"])
    (row,) = shuffled.answer(tmp_path / "a.mp4", SAMPLES[:1])
    assert row["moments"] == [{"start": 4.0, "end": 8.0, "score": 0.5}]  # b is half as long
    list(Blank(backend).answer(tmp_path / "a.mp4", SAMPLES[:1]))
    assert [name for name, *_ in backend.opened] == ["b.mp4", "blank.mp4"]
    assert Blank(backend).describe() == {"model": "fixed", "control": "blank video"}


def test_scores_of_seconds_become_scores_of_clips_that_overlap():
    seconds = [0.0, 1.0, 0.5, 0.25]
    assert on_clips(seconds, [(0.0, 2.0), (1.5, 3.0), (3.2, 3.4), (9.0, 12.0)]) == [0.5, 0.75, 0.25, 0.25]
