"""Systems that a benchmark is put to: any backend, and the same backend shown another video or a blank one.

A system answers samples about one video. It does not know which backend is behind it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from ..annotations.samples import Sample
from ..backends.base import Backend, OpenVideo
from ..backends.blank import open_blank
from ..errors import DataError, InputError, UnsupportedError, VideoError, VideoExpertError
from ..types import Moment, Moments, Told
from ..windows import CLIP_S, clip_count

Row = dict[str, Any]
NEEDS = {
    "grounding": "ground",
    "highlight": "ground",
    "caption": "caption",
    "qa": "ask",
    "grounded_qa": "ask",
}


class System(Protocol):
    """Anything that answers samples about one video: a backend, or a guess that opens none.

    A system may have ``videos_at_once``: about so many videos it may be asked at a time, each from a thread of its own;
    and ``videos_together`` with ``answer_many`` and ``try_open`` (see BackendSystem): so many videos it is asked in one
    call, and those of the next call are opened meanwhile, each in a thread of its own.
    """

    name: str

    def describe(self) -> dict[str, Any]:
        """What the result file says of it."""
        ...

    def answer(self, path: Path, samples: list[Sample]) -> Iterator[Row]:
        """One row a sample, in order."""
        ...


class BackendSystem:
    """A backend, asked what every sample asks."""

    def __init__(self, backend: Backend, top_k: int = 10) -> None:
        self.backend, self.top_k, self.name = backend, top_k, backend.name
        self.videos_at_once: int = getattr(backend, "videos_at_once", 1)
        self.videos_together: int = getattr(backend, "videos_together", 1)

    def describe(self) -> dict[str, Any]:
        return self.backend.describe()

    def open(self, path: Path, sample: Sample) -> OpenVideo:
        """The video a sample is about; controls show another one."""
        start, end = sample.clip or (None, None)
        return self.backend.open(path, start=start, end=end)

    def answer(self, path: Path, samples: list[Sample]) -> Iterator[Row]:
        """One row a sample, in order; all queries of a video are asked at once.

        Raises UnsupportedError for a task that the backend does not name in ``can``.
        """
        (rows,) = self.answer_many([(path, samples)])
        if isinstance(rows, VideoExpertError):
            raise rows
        yield from rows

    def try_open(self, path: Path, samples: Sequence[Sample]) -> OpenVideo | VideoExpertError:
        """The video that samples are about, or the error of one that cannot be read. Threads may open several.

        Raises UnsupportedError for a task that the backend does not name in ``can``.
        """
        self._check(samples)
        try:
            return self.open(path, samples[0])
        except (VideoError, DataError) as error:
            return error

    def answer_many(
        self,
        tasks: Sequence[tuple[Path, list[Sample]]],
        opened: Sequence[OpenVideo | VideoExpertError] | None = None,
    ) -> list[list[Row] | VideoExpertError]:
        """The rows of several videos, asked together where the backend can; the error of one that cannot be read.

        ``opened``: what ``try_open`` gave for each, where it was called before. Raises UnsupportedError for a task that
        the backend does not name in ``can``.
        """
        if opened is None:
            opened = [self.try_open(path, samples) for path, samples in tasks]
        pairs = [
            (video, samples)
            for video, (_, samples) in zip(opened, tasks, strict=True)
            if not isinstance(video, VideoExpertError)
        ]
        rows = iter(self._rows([video for video, _ in pairs], [samples for _, samples in pairs]))
        return [video if isinstance(video, VideoExpertError) else next(rows) for video in opened]

    def _rows(self, videos: Sequence[OpenVideo], samples: Sequence[list[Sample]]) -> list[list[Row]]:
        """One row a sample of each video, in order."""
        found = zip(
            videos,
            samples,
            self._grounded(videos, samples),
            self._captioned(videos, samples),
            self._asked(videos, samples),
            strict=True,
        )
        return [
            [self._row(video, s, *(answers.get(s.id) for answers in told)) for s in own]
            for video, own, *told in found
        ]

    def _row(self, video: OpenVideo, sample: Sample, moments: Any, captions: Any, answer: Any) -> Row:
        row: Row = {"id": sample.id, "video": sample.video}
        if moments is not None:
            return row | self._found(video, sample, moments)
        if captions is not None:
            row["moments"] = [{**_moment(m, video.start), "text": m.text} for m in captions]
            return row | _read(captions)
        row |= {"query": sample.query, "answer": answer.text, "choice": answer.choice}
        row["moments"] = [_moment(m, video.start) for m in answer.moments]
        return row | _read(answer)

    def _grounded(self, videos: Sequence[OpenVideo], samples: Sequence[list[Sample]]) -> list[dict[str, Any]]:
        asked = [[s for s in own if NEEDS[s.task] == "ground"] for own in samples]
        queries = [[s.query or "" for s in own] for own in asked]
        many = getattr(self.backend, "ground_many", None)
        if many is not None:
            found = many(videos, queries, self.top_k)
        else:
            found = [v.ground(own, self.top_k) if own else [] for v, own in zip(videos, queries, strict=True)]
        return _by_id(asked, found)

    def _captioned(
        self, videos: Sequence[OpenVideo], samples: Sequence[list[Sample]]
    ) -> list[dict[str, Any]]:
        asked = [[s for s in own if NEEDS[s.task] == "caption"] for own in samples]
        told = [video for video, own in zip(videos, asked, strict=True) if own]
        many = getattr(self.backend, "caption_many", None)
        captions = iter(many(told) if many is not None else [video.caption() for video in told])
        said = [next(captions) if own else None for own in asked]
        return [dict.fromkeys((s.id for s in own), told) for own, told in zip(asked, said, strict=True)]

    def _asked(self, videos: Sequence[OpenVideo], samples: Sequence[list[Sample]]) -> list[dict[str, Any]]:
        asked = [[s for s in own if NEEDS[s.task] == "ask"] for own in samples]
        questions = [[(s.query or "", list(s.choices) or None) for s in own] for own in asked]
        many = getattr(self.backend, "ask_many", None)
        if many is not None:
            found = many(videos, questions)
        else:
            found = [[v.ask(*q) for q in own] for v, own in zip(videos, questions, strict=True)]
        return _by_id(asked, found)

    def _found(self, video: OpenVideo, sample: Sample, moments: Moments) -> Row:
        row: Row = {"query": sample.query, "moments": [_moment(m, video.start) for m in moments]}
        row |= {"presence": moments.presence, **_read(moments)}
        if sample.clips:
            row["saliency"] = on_clips(clip_scores(video, moments, 1.0), sample.clips)
        elif sample.task == "highlight":
            row["moments"] = to_clips(row["moments"], sample.duration_s or video.duration)
            row["saliency"] = clip_scores(video, moments)
        return row

    def _check(self, samples: Sequence[Sample]) -> None:
        for sample in samples:
            if sample.task not in NEEDS:
                raise VideoExpertError(f"sample {sample.id} is a {sample.task}, which eval does not answer.")
            if NEEDS[sample.task] not in self.backend.can:
                raise UnsupportedError(
                    f"{self.name} does not {NEEDS[sample.task]}, which sample {sample.id} asks; "
                    f"it can {', '.join(sorted(self.backend.can))}: choose another benchmark or model."
                )


def to_clips(moments: Sequence[Row], duration_s: float) -> list[Row]:
    """Moments in whole clips, which is how QVHighlights annotates them; of equal ones the first, which is the best.

    Edges go to the nearest clip edge; a moment that would vanish becomes the clip that holds its middle.
    """
    edges = [min(float(clip * CLIP_S), duration_s) for clip in range(clip_count(duration_s) + 1)]

    def nearest(time_s: float) -> int:
        return min(range(len(edges)), key=lambda k: abs(edges[k] - time_s))

    found: dict[tuple[int, int], Row] = {}
    for moment in moments:
        first, last = nearest(moment["start"]), nearest(moment["end"])
        if first >= last:
            first = min(int((moment["start"] + moment["end"]) / 2 // CLIP_S), len(edges) - 2)
            last = first + 1
        window = {"start": edges[first], "end": edges[last]}
        found.setdefault((first, last), {**moment, **window})
    return list(found.values())


class Shuffled(BackendSystem):
    """A backend shown another video: what it says without the evidence. Times are scaled to the length."""

    def __init__(self, backend: Backend, videos: Sequence[Path]) -> None:
        super().__init__(backend)
        if len(videos) < 2:
            raise InputError(f"shuffling needs at least 2 videos, got {len(videos)}.")
        ordered = sorted(videos)
        self.other = {path: ordered[(i + 1) % len(ordered)] for i, path in enumerate(ordered)}
        self.name = "shuffled"

    def describe(self) -> dict[str, Any]:
        return {**super().describe(), "control": "another video"}

    def open(self, path: Path, sample: Sample) -> OpenVideo:
        return self.backend.open(self.other[path])

    def answer_many(
        self,
        tasks: Sequence[tuple[Path, list[Sample]]],
        opened: Sequence[OpenVideo | VideoExpertError] | None = None,
    ) -> list[list[Row] | VideoExpertError]:
        found = super().answer_many(tasks, opened)
        return [
            self._scaled(rows, path, samples[0]) for (path, samples), rows in zip(tasks, found, strict=True)
        ]

    def _scaled(
        self, rows: list[Row] | VideoExpertError, path: Path, sample: Sample
    ) -> list[Row] | VideoExpertError:
        if isinstance(rows, VideoExpertError):
            return rows
        try:
            scale = (sample.duration_s or duration_of(path)) / duration_of(self.other[path])
        except VideoError as error:
            return error
        for moment in (m for row in rows for m in row.get("moments", ())):
            moment["start"], moment["end"] = moment["start"] * scale, moment["end"] * scale
        return rows


class Blank(BackendSystem):
    """A backend shown a grey picture for the length of the video."""

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend)
        self.name = "blank"

    def describe(self) -> dict[str, Any]:
        return {**super().describe(), "control": "blank video"}

    def open(self, path: Path, sample: Sample) -> OpenVideo:
        return open_blank(self.backend, sample.duration_s or duration_of(path))


def _by_id(asked: Sequence[Sequence[Sample]], found: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
    """The answer to each sample, by its id, a table a video."""
    return [
        {s.id: answer for s, answer in zip(own, answers, strict=True)}
        for own, answers in zip(asked, found, strict=True)
    ]


def on_clips(seconds: Sequence[float], clips: Sequence[tuple[float, float]]) -> list[float]:
    """Scores of single seconds as scores of clips that a benchmark cuts in its own way: the mean over each clip."""
    found = []
    for start, end in clips:
        first = min(int(start), len(seconds) - 1)
        inside = seconds[first : max(first + 1, math.ceil(end))]
        found.append(sum(inside) / len(inside))
    return found


def clip_scores(video: OpenVideo, moments: Moments, clip_s: float = CLIP_S) -> list[float]:
    """Saliency of clips of ``clip_s`` seconds, from the curve that came with the moments where there is one."""
    if not moments.curve:
        return list(video.highlights(moments.query, clip_s=clip_s).scores)
    import torch

    from ..grounding.decoding import saliency

    curve = torch.tensor(moments.curve)
    if not moments.curve_times:
        return list(saliency(curve, video.duration, clip_s)[1])
    # Where a part of the video shows nothing, no frame is near, and nothing is salient.
    times = torch.tensor(moments.curve_times, dtype=torch.float64) - video.start
    middles = (torch.arange(max(1, math.ceil(video.duration / clip_s - 1e-9))) + 0.5) * clip_s
    far, nearest = (middles[:, None] - times[None]).abs().min(dim=1)
    reach = max(clip_s, float(times.diff().median()) if len(times) > 1 else 0.0)
    return torch.where(far <= reach, curve[nearest], 0.0).tolist()


def duration_of(path: Path) -> float:
    """Seconds of a video file."""
    from ..video.probe import probe

    return probe(path).duration_s


def _read(answer: Any) -> Row:
    """How an answer that came as text was read; nothing of other answers."""
    told: Told | None = getattr(answer, "told", None)
    if told is None:
        return {}
    return {"parsed": told.parsed} if told.choice is None else {"parsed": told.parsed, "chosen": told.choice}


def _moment(moment: Moment, offset: float) -> dict[str, float]:
    """Times as annotated: from the start of the input, which may be a part of the file."""
    return {"start": moment.start - offset, "end": moment.end - offset, "score": moment.score}
