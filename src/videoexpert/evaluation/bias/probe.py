"""``probe bias``: a grounding benchmark answered with the true video, with another and with a blank one.

Answers come from a model, through ``runner.evaluate`` and the controls of ``baselines``, or from prediction files
of any system; ``bias`` measures them, ``bias_report`` writes them down.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ... import __version__
from ...annotations import readers
from ...annotations.records import Record
from ...annotations.videos import video_name
from ...backends.base import Backend
from ...errors import DataError, InputError
from ...escapes import quantity
from ...scoring.grounding import score_queries, window_in_answer
from ...scoring.matching import match
from ...scoring.outcome import Rules, means_in_percent
from ...scoring.predictions import Prediction, best_window, digest, read_predictions
from . import measures as bias

CONDITIONS = ("true", "another", "blank")
_SHOWN = 5  # ids that a sentence names
Report = dict[str, Any]


def answer(
    benchmark: str,
    backend: Backend,
    annotations: Path,
    videos: Path,
    out: Path,
    *,
    split: str | None = None,
    limit: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[dict[str, Path], dict[str, str]]:
    """Prediction files of a backend by condition, each in a folder of ``out``, and the videos that failed.

    Resumable as ``evaluate`` is, whose errors it raises; ``progress`` is called with (done, all) queries of all three.
    """
    from ...annotations.videos import VideoFolder
    from ..runner import PREDICTIONS, evaluate
    from ..systems import BackendSystem, Blank, Shuffled

    check_benchmark(benchmark)
    systems = (BackendSystem(backend), Shuffled(backend, VideoFolder(videos).paths), Blank(backend))
    files: dict[str, Path] = {}
    failed: dict[str, str] = {}
    for number, (condition, system) in enumerate(zip(CONDITIONS, systems, strict=True)):

        def heard(done: int, total: int, before: int = number) -> None:
            if progress:
                progress(before * total + done, len(CONDITIONS) * total)

        outcome = evaluate(
            benchmark,
            system,
            annotations,
            videos,
            out / condition,
            split=split,
            limit=limit,
            sentences=readers.BENCHMARKS[benchmark].sentences,
            progress=heard,
        )
        files[condition] = out / condition / PREDICTIONS
        failed |= outcome.failed
    return files, failed


def check_benchmark(benchmark: str) -> None:
    """Raises InputError for a benchmark without queries to find."""
    readers.benchmark(benchmark, readers.PROBED)


@dataclass(frozen=True)
class Asked:
    """Queries of a benchmark, each with the length of its video, and what they were read from.

    split    as requested; None: taken from the file's name
    lengths  the tables that gave lengths
    """

    benchmark: str
    queries: tuple[Record, ...]
    annotations: Path
    lengths: tuple[Path, ...] = ()
    split: str | None = None


def read_asked(
    benchmark: str,
    annotations: Path,
    split: str | None = None,
    lengths: Path | None = None,
    videos: Path | None = None,
    limit: int | None = None,
) -> Asked:
    """The benchmark's queries, each with the length of its video.

    lengths  table with the columns id and length, for annotation files without lengths; None:
             ``Charades_v1_*.csv`` beside it
    videos   folder whose files are measured where no table gives a length
    limit    only the queries that ``answer`` asks with it; no other needs a length

    Raises InputError for another benchmark, DataError where a length is not found anywhere, or is none.
    """
    check_benchmark(benchmark)
    if split and annotations.is_file():
        raise InputError(
            f"split is {split!r} but {annotations} is one file; give its folder, or leave split out."
        )
    options = (
        {"lengths_csv": lengths} if lengths and "lengths_csv" in readers.BENCHMARKS[benchmark].options else {}
    )
    parsed = readers.records(benchmark, annotations, split=split, **options)
    file = parsed.files[0]
    queries = readers.as_annotated(benchmark, parsed)
    if limit is not None:
        first = _first(benchmark, annotations, split, limit)
        queries = [query for query in queries if query.id in first]
    unknown = sorted({query.video for query in queries if query.duration_s is None})
    known, tables = _lengths(unknown, file, lengths, videos) if unknown else ({}, ())
    queries = [
        query if query.duration_s is not None else replace(query, duration_s=known[query.video])
        for query in queries
    ]
    _check_lengths(queries, file)
    return Asked(benchmark, tuple(queries), file, tuple(dict.fromkeys([*parsed.files[1:], *tables])), split)


def _first(benchmark: str, annotations: Path, split: str | None, limit: int) -> set[str]:
    """Ids of the first queries that ``answer`` asks: the benchmark's reader leaves out broken records."""
    from ...annotations.readers import read
    from ...annotations.samples import Sample, sentences_as_queries

    samples: Sequence[Sample] = read(benchmark, annotations, split=split).samples
    if readers.BENCHMARKS[benchmark].sentences:
        samples = sentences_as_queries(samples)
    return {sample.id for sample in samples[:limit]}


def _lengths(
    names: Sequence[str], file: Path, lengths: Path | None, videos: Path | None
) -> tuple[dict[str, float], tuple[Path, ...]]:
    """Seconds of each video, from a table or measured, and the tables read. Raises DataError where one lacks."""
    from ...annotations.readers.charades import video_lengths

    table, tables = video_lengths(file, lengths)
    known = {name: table[video_name(name)] for name in names if video_name(name) in table}
    known |= _measured([name for name in names if name not in known], videos)
    lacking = [name for name in names if name not in known]
    if lacking:
        raise DataError(_lacking(lacking, file, lengths, videos))
    return known, tables


def _lacking(names: Sequence[str], file: Path, lengths: Path | None, videos: Path | None) -> str:
    """That these videos have no length: where it was looked for, and what to do."""
    looked = [f"not in {lengths}"] * (lengths is not None) + [f"no file in {videos}"] * (videos is not None)
    table = "a fuller table" if lengths else "a table such as Charades_v1_test.csv"
    folder = "a folder that holds the rest" if videos else "the folder with the videos"
    return (
        f"{quantity(len(names), 'video')} of {file} {'has' if len(names) == 1 else 'have'} no known "
        f"length{''.join(f', {place}' for place in looked)} ({_some(names)}); give --lengths, {table}, "
        f"or --videos, {folder}."
    )


def _check_lengths(queries: Sequence[Record], file: Path) -> None:
    for query in queries:
        seconds = query.duration_s
        if seconds is None or not 0 < seconds < math.inf:
            raise DataError(
                f"{file}: the length of video {query.video} is {seconds} seconds, expected more than 0; "
                "correct it, or take the video out."
            )


def _measured(names: Sequence[str], videos: Path | None) -> dict[str, float]:
    """Seconds of each video whose file is in the folder."""
    if videos is None or not names:
        return {}
    from ...annotations.videos import VideoFolder
    from ...video.probe import probe

    folder = VideoFolder(videos)
    files = {name: folder.find(name) for name in names}
    return {name: probe(file).duration_s for name, file in files.items() if file is not None}


def report(
    asked: Asked,
    system: str,
    files: Mapping[str, Path],
    *,
    weights: str | None = None,
    answered_only: bool = False,
    seed: int = bias.SEED,
) -> Report:
    """Every measure of one system under each condition, and the windows to draw, as ``bias.json`` holds them.

    files          condition -> prediction file in any form of docs/predictions.md; "true" must be among them
    weights        digest of the model that gave the answers, None where they came as files
    answered_only  leave out the queries that the file with the true video does not speak of

    Metrics are percent, measures as ``bias.measure`` gives them, ``overlap_with_true`` the mean IoU with the
    answer to the true video. Raises DataError where a file holds no prediction on these queries.
    """
    rows = {condition: read_predictions(file) for condition, file in files.items()}
    queries: Sequence[Record] = asked.queries
    if answered_only:
        spoken_of = match(rows["true"], queries, Rules()).rows
        queries = [query for query in queries if query.id in spoken_of]
    windows = {c: best_windows(part, queries, files[c]) for c, part in rows.items()}
    names = [video_name(query.video) for query in queries]
    videos = np.unique(names, return_inverse=True)[1].reshape(-1)
    written = [np.array(query.windows).reshape(-1, 2) / query.duration_s for query in queries]
    annotated = [bias.within(own) for own in written]
    conditions, notes = {}, [f"annotations: {note}" for note in _outside_notes(np.concatenate(written))]
    for condition, found in windows.items():
        scored = score_queries(rows[condition], queries, Rules())
        conditions[condition] = {
            **means_in_percent(scored.values),
            **bias.measure(found, annotated, videos, seed),
            "overlap_with_true": None if condition == "true" else bias.overlap(found, windows["true"]),
        }
        told = (*scored.notes, *_coverage_notes(scored.coverage), *_outside_notes(found))
        notes += [f"{condition}: {note}" for note in told]
    first = np.array([one[0] if len(one) else (np.nan, np.nan) for one in annotated])
    return {
        "benchmark": asked.benchmark,
        "system": system,
        "queries": len(queries),
        "videos": len(set(names)),
        "annotations": {
            **bias.measure(first, annotated, videos, seed),
            "chance_distance": bias.chance_distance(annotated, seed),
        },
        "conditions": conditions,
        "run": {**_run(asked, files, weights, seed), "notes": notes},
        "windows": {
            "annotated": _weighted(annotated),
            **{c: _weighted([bias.within(row[None]) for row in found if np.isfinite(row).all()])
               for c, found in windows.items()},
        },
    }  # fmt: skip


def _run(asked: Asked, files: Mapping[str, Path], weights: str | None, seed: int) -> dict[str, Any]:
    """What the numbers were made from, and how."""
    return {
        "split": asked.split,
        "annotation_files": {asked.annotations.name: digest(asked.annotations)},
        "length_tables": {table.name: digest(table) for table in asked.lengths},
        "predictions": {condition: str(file) for condition, file in files.items()},
        "prediction_digests": {condition: digest(file) for condition, file in files.items()},
        "weights": weights,
        "distance": f"total variation over {bias.DISTANCE_CELLS} x {bias.DISTANCE_CELLS} cells",
        "information": f"{bias.INFORMATION_CELLS} x {bias.INFORMATION_CELLS} cells, "
        f"less the mean of {bias.PERMUTATIONS} permutations",
        "seed": seed,
        "version": __version__,
    }


def _coverage_notes(coverage: Mapping[str, Any]) -> list[str]:
    """The ids that a file lacks, and those that match no query, in the words of ``score``."""
    notes = []
    if coverage["missing"]:
        notes.append(
            f"{coverage['missing']} missing, {coverage['missing_are']}: {_some(coverage['missing_ids'])}"
        )
    if coverage["extra"]:
        notes.append(
            f"{coverage['extra']} predicted but not annotated, ignored: {_some(coverage['extra_ids'])}"
        )
    return notes


def _outside_notes(windows: bias.Floats) -> list[str]:
    """A sentence if windows (fractions of their videos) fall outside; empty if none does."""
    windows = windows[np.isfinite(windows).all(axis=1)]
    wholly, partly = int(bias.wholly_outside(windows).sum()), int(bias.partly_outside(windows).sum())
    if not wholly + partly:
        return []
    return [
        f"outside the video: {wholly} of {quantity(len(windows), 'window')} wholly (left out of "
        f"repeated, distance and bits), {partly} partly (cut at its edge); check that times are seconds and "
        "lengths right."
    ]


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")


def best_windows(predictions: Sequence[Prediction], queries: Sequence[Record], file: Path) -> bias.Floats:
    """(Q, 2) best window of each query as fractions of its video; NaN where the system gives none."""
    pairs = match(predictions, queries, Rules()).pairs
    if not pairs:
        raise DataError(
            f"{file} holds no prediction on the annotated queries; give a file of this benchmark."
        )
    place = {query.id: row for row, query in enumerate(queries)}
    found = np.full((len(queries), 2), np.nan)
    for query, prediction in pairs:
        window: Sequence[float] | None
        if prediction.log_answer is not None:  # written in percent of the video
            window, scale = window_in_answer(prediction.log_answer, official=False), 1.0
        else:
            window, scale = best_window(prediction, by_score=True), float(query.duration_s or np.nan)
        if window is not None:
            found[place[query.id]] = np.array(window, dtype=np.float64) / scale
    return found


def _weighted(windows: Sequence[bias.Floats]) -> list[list[float]]:
    """``[start, end, weight]`` of each different window in whole percents; a query's weight is 1."""
    total: dict[tuple[int, int], float] = {}
    for own in windows:
        for start, end in bias.percents(own).tolist():
            total[start, end] = total.get((start, end), 0.0) + 1 / len(own)
    return [[start, end, round(weight, 4)] for (start, end), weight in sorted(total.items())]
