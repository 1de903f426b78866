"""Which videos of a benchmark are shown, and what the annotators and each system say to their questions.

``plot.comparison`` draws it. Prediction files may have any form of docs/predictions.md.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..annotations.readers import BENCHMARKS, DRAWN, read
from ..annotations.readers import benchmark as known
from ..annotations.records import Record
from ..annotations.samples import Sample, sentences_as_queries
from ..annotations.videos import VideoFolder
from ..errors import DataError, InputError
from ..scoring.captions.files import CaptionedSegment, read_caption_predictions
from ..scoring.captions.scoring import tasks_in
from ..scoring.choices import chosen
from ..scoring.gqa import are_fractions
from ..scoring.grounding import window_in_answer
from ..scoring.highlights import LEVELS
from ..scoring.matching import match, match_names
from ..scoring.outcome import Rules
from ..scoring.predictions import Prediction, read_predictions
from ..types import Moment
from ..windows import clip_count, iou
from .voices import Item, Voice

Window = tuple[float, float]


@dataclass(frozen=True)
class SystemFiles:
    """A name with its prediction file, and for nextgqa perhaps a second file with the answers."""

    name: str
    predictions: Path
    answers: Path | None = None


@dataclass(frozen=True)
class PanelVideo:
    """One video to draw: its file, the part of it that is the input, and its questions with all voices.

    ``left_out`` counts the questions of this video that are not among ``items``.
    """

    video: str
    path: Path
    clip: Window | None
    items: tuple[Item, ...]
    ids: tuple[str, ...]
    left_out: int


@dataclass(frozen=True)
class Selection:
    """The videos in the order in which they were drawn, and the rule by which."""

    videos: tuple[PanelVideo, ...]
    rule: str


def select(
    benchmark: str,
    annotations: Path,
    videos: Path,
    systems: Sequence[SystemFiles],
    *,
    split: str | None = None,
    questions: Path | None = None,
    named: Sequence[str] = (),
    count: int = 6,
    seed: int = 0,
    most: int = 4,
) -> Selection:
    """``count`` videos drawn by lot from those that every system speaks of, or the ``named`` ones.

    At most ``most`` questions of a video, the first in the file's order. Raises InputError for a benchmark
    without panels or a name that is not annotated, DataError where no video is left or a named one has no file.
    """
    known(benchmark, DRAWN)
    samples = read_samples(benchmark, annotations, split, questions, systems)
    said = [statements(benchmark, samples, system) for system in systems]
    by_video: dict[str, list[Sample]] = {}
    for sample in samples:
        by_video.setdefault(sample.video, []).append(sample)
    folder = VideoFolder(videos)
    if named:
        chosen, rule = _named(by_video, folder, named), "the videos that were named"
    else:
        spoken_of = [{sample.video for sample in samples if sample.id in voices} for voices in said]
        common = sorted(video for video in by_video if all(video in known for known in spoken_of))
        there = [video for video in common if folder.find(video) is not None]
        if not there:
            raise DataError(
                f"of {len(by_video)} annotated videos every system speaks of {len(common)}, and {videos} holds "
                "none of these; give predictions on one split and the folder of its videos."
            )
        chosen = random.Random(seed).sample(there, min(count, len(there)))
        every = "every system speaks" if len(systems) > 1 else "the system speaks"
        videos_there = "the one video" if len(there) == 1 else f"{len(chosen)} of the {len(there)} videos"
        rule = f"{videos_there} of which {every}, drawn by lot (seed {seed})"
    return Selection(tuple(_shown(v, by_video[v], folder, systems, said, most) for v in chosen), rule)


def _named(by_video: Mapping[str, Any], folder: VideoFolder, named: Sequence[str]) -> list[str]:
    names = match_names(named, list(by_video))
    for asked, video in names.items():
        if video not in by_video:
            raise InputError(f"--video {asked} is not annotated in this split; name one that is.")
        if folder.find(video) is None:
            raise DataError(f"{folder.folder} holds no file for {video}; check the folder of the videos.")
    return list(dict.fromkeys(names[asked] for asked in named))


def _shown(
    video: str,
    samples: Sequence[Sample],
    folder: VideoFolder,
    systems: Sequence[SystemFiles],
    said: Sequence[Mapping[str, Voice]],
    most: int,
) -> PanelVideo:
    """The first questions of a video; of one that is cut into clips, those of its first clip."""
    path = folder.find(video)
    assert path is not None
    clip = samples[0].clip
    taken = [sample for sample in samples if sample.clip == clip][:most]
    items = []
    for sample in taken:
        voices = [
            voices.get(sample.id, Voice(system.name, silent=True))
            for system, voices in zip(systems, said, strict=True)
        ]
        kind = {"grounded_qa": "qa"}.get(sample.task, sample.task)
        items.append(Item(kind, sample.query or "", _annotated(sample), tuple(voices), sample.choices))
    ids = tuple(sample.id for sample in taken)
    return PanelVideo(video, path, clip, tuple(items), ids, len(samples) - len(taken))


def read_samples(
    benchmark: str,
    annotations: Path,
    split: str | None,
    questions: Path | None,
    systems: Sequence[SystemFiles],
) -> list[Sample]:
    """The benchmark's samples; ActivityNet's captions, or its sentences as queries, as the predictions are."""
    if questions is not None and "questions" not in BENCHMARKS[benchmark].options:
        raise InputError(f"questions belong to nextgqa, not to {benchmark}; leave them out.")
    if BENCHMARKS[benchmark].sentences:
        tasks = {frozenset(tasks_in(system.predictions)) for system in systems}
        if frozenset({"grounding"}) in tasks:
            if len(tasks) > 1:
                raise InputError("some predictions are captions and some windows; give files of one task.")
            return sentences_as_queries(read(benchmark, annotations, split=split).samples)
    extra = {} if questions is None else {"questions": questions}
    return list(read(benchmark, annotations, split=split, **extra).samples)


def _annotated(sample: Sample) -> Voice:
    moments = _moments(sample.windows, sample)
    if sample.task == "caption":
        moments = tuple(replace(m, text=t) for m, t in zip(moments, sample.captions, strict=True))
    highest = LEVELS[0][1]
    saliency = tuple(sum(marks) / len(marks) / highest for marks in sample.saliency or ())
    return Voice("annotated", moments, saliency, sample.answer)


def statements(benchmark: str, samples: Sequence[Sample], system: SystemFiles) -> dict[str, Voice]:
    """What a system says, by the id of the sample. Raises DataError for a file of another benchmark."""
    if system.answers is not None and "questions" not in BENCHMARKS[benchmark].options:
        raise InputError(f"answers belong to nextgqa, not to {benchmark}; leave them out.")
    kinds: dict[str, Callable[[Sequence[Sample], SystemFiles], dict[str, Voice]]] = {
        "caption": _captions,
        "qa": _answers,
        "grounded_qa": _answers,
    }
    found = kinds.get(samples[0].task, _windows)(samples, system) if samples else {}
    if not found:
        raise DataError(
            f"{system.predictions} holds nothing about the annotated samples; give a file of this benchmark."
        )
    return found


def _windows(samples: Sequence[Sample], system: SystemFiles) -> dict[str, Voice]:
    """Grounding and highlights."""
    by_id = {sample.id: sample for sample in samples}
    found = {}
    for query, prediction in match(read_predictions(system.predictions), _records(samples), Rules()).pairs:
        sample = by_id[query.id]
        windows = prediction.windows or []
        if prediction.log_answer is not None:
            told = window_in_answer(prediction.log_answer, official=False)
            windows = [] if told is None or not sample.duration_s else [[t * sample.duration_s for t in told]]
        moments = _moments(_ranked(windows), sample)
        saliency = _scaled(prediction.saliency or [], sample)
        found[query.id] = Voice(system.name, moments, saliency, overlap=_overlap(moments, sample))
    return found


def _answers(samples: Sequence[Sample], system: SystemFiles) -> dict[str, Voice]:
    """Question answering, with or without evidence."""
    predictions = read_predictions(system.predictions)
    rows = _last_rows(predictions, samples)
    answers = rows if system.answers is None else _last_rows(read_predictions(system.answers), samples)
    fractions = are_fractions(predictions)
    found = {}
    for sample in samples:
        row, answer = rows.get(sample.id), answers.get(sample.id)
        if row is None and answer is None:
            continue
        scale = (sample.duration_s or math.nan) if fractions else 1.0
        windows = _ranked(row.windows or []) if row is not None else []
        moments = _moments(windows, sample, scale)
        text, right = _judged(answer, sample)
        found[sample.id] = Voice(
            system.name, moments, answer=text, right=right, overlap=_overlap(moments, sample)
        )
    return found


def _judged(answer: Prediction | None, sample: Sample) -> tuple[str | None, bool | None]:
    """The text of the chosen option, and whether it is right; open answers are not judged."""
    if answer is None or answer.choice is None:
        return None, False if sample.choices else None
    if not sample.choices:
        return str(answer.choice), None
    index = chosen(answer.choice, sample.choices)
    option = str(answer.choice) if index is None else sample.choices[index]
    return option, option == sample.answer


def _records(samples: Sequence[Sample]) -> list[Record]:
    return [Record(s.id, s.video, s.query or "", s.windows, s.duration_s) for s in samples]


def _last_rows(predictions: Sequence[Prediction], samples: Sequence[Sample]) -> dict[str, Prediction]:
    """What is said of each question; of several rows the last."""
    return {id: rows[-1] for id, rows in match(predictions, _records(samples), Rules()).rows.items()}


def _captions(samples: Sequence[Sample], system: SystemFiles) -> dict[str, Voice]:
    lengths = {sample.video: sample.duration_s for sample in samples if sample.duration_s}
    told = read_caption_predictions(system.predictions, lengths).videos
    names = match_names(list(told), [sample.video for sample in samples])
    by_video: dict[str, Sequence[CaptionedSegment]] = {names[video]: events for video, events in told.items()}
    return {
        sample.id: Voice(system.name, _events(by_video[sample.video], sample))
        for sample in samples
        if sample.video in by_video
    }


def _events(events: Sequence[CaptionedSegment], sample: Sample) -> tuple[Moment, ...]:
    offset = sample.clip[0] if sample.clip else 0.0
    return tuple(Moment(offset + e.start, offset + e.end, text=e.text) for e in events if e.start <= e.end)


def _ranked(windows: Sequence[Sequence[float]]) -> Sequence[Sequence[float]]:
    """Best score first; without scores, in file order; a score outside [0, 1] is dropped."""
    if not windows or len(windows[0]) < 3:
        return windows
    ranked = sorted(windows, key=lambda w: math.inf if math.isnan(w[2]) else -w[2])
    return ranked if all(0 <= w[2] <= 1 for w in ranked) else [w[:2] for w in ranked]


def _moments(windows: Sequence[Sequence[float]], sample: Sample, scale: float = 1.0) -> tuple[Moment, ...]:
    """Moments on the clock of the whole video; a window that ends before it starts can not be drawn."""
    offset = sample.clip[0] if sample.clip else 0.0
    return tuple(
        Moment(offset + w[0] * scale, offset + w[1] * scale, w[2] if len(w) == 3 else 1.0)
        for w in windows
        if math.isfinite(w[0]) and math.isfinite(w[1]) and w[0] <= w[1]
    )


def _overlap(moments: Sequence[Moment], sample: Sample) -> float | None:
    """IoU of the best moment with the annotated window it fits best."""
    truth = _moments(sample.windows, sample)
    if not moments or not truth:
        return None
    best = moments[0]
    return max(iou((best.start, best.end), (m.start, m.end)) for m in truth)


def _scaled(scores: Sequence[float], sample: Sample) -> tuple[float, ...]:
    """Saliency from the lowest to the highest of this query as 0 to 1: systems have scales of their own."""
    shown = [float(s) for s in scores][: clip_count(sample.duration_s) if sample.duration_s else None]
    if not shown or not all(map(math.isfinite, shown)):
        return ()
    low, high = min(shown), max(shown)
    return tuple((s - low) / (high - low) if high > low else 0.0 for s in shown)


def length(shown: PanelVideo) -> tuple[float, float]:
    """(start, duration) of what is drawn: the clip that is the input, or the whole file, as far as it goes."""
    from ..video.probe import probe

    whole = probe(shown.path).duration_s
    if shown.clip is None:
        return 0.0, whole
    start, end = shown.clip[0], min(shown.clip[1], whole)
    if end <= start:
        raise DataError(f"{shown.path} lasts {whole:.1f} s, but the annotated part begins at {start:g} s.")
    return start, end - start


__all__ = ["PanelVideo", "Selection", "SystemFiles", "length", "select"]
