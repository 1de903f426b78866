"""``probe bias``: a grounding benchmark answered with the true video, with another and with a blank one.

Answers come from a model, through ``runner.evaluate`` and the controls of ``baselines``, or from prediction files
of any system; ``bias`` measures them, ``bias_report`` writes them down.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..errors import DataError, InputError
from . import bias
from .files import Prediction, best_window, read_predictions
from .grounding_metrics import (
    Query,
    match_predictions,
    read_queries,
    score_queries,
    video_stem,
    window_in_answer,
)
from .outcome import Rules, means_in_percent
from .score import annotation_file

BENCHMARKS = ("charades-sta", "activitynet-captions", "qvhighlights")
CONDITIONS = ("true", "another", "blank")
Report = dict[str, Any]


def answer(
    benchmark: str,
    expert: Any,
    annotations: Path,
    videos: Path,
    out: Path,
    *,
    split: str | None = None,
    limit: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[dict[str, Path], dict[str, str]]:
    """Prediction files of a model by condition, each in a folder of ``out``, and the videos that failed.

    Resumable as ``evaluate`` is, whose errors it raises; ``progress`` hears (done, all) queries of all three.
    """
    from ..data.videos import VideoFolder
    from .baselines import Blank, Shuffled
    from .runner import PREDICTIONS, ModelSystem, evaluate

    check_benchmark(benchmark)
    systems = (ModelSystem(expert), Shuffled(expert, VideoFolder(videos).paths), Blank(expert))
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
            sentences=benchmark == "activitynet-captions",
            progress=heard,
        )
        files[condition] = out / condition / PREDICTIONS
        failed |= outcome.failed
    return files, failed


def check_benchmark(benchmark: str) -> None:
    """Raises InputError for a benchmark without queries to find."""
    if benchmark not in BENCHMARKS:
        raise InputError(f"benchmark is {benchmark!r}, expected one of {', '.join(BENCHMARKS)}.")


def read_asked(
    benchmark: str,
    annotations: Path,
    split: str | None = None,
    lengths: Path | None = None,
    videos: Path | None = None,
) -> list[Query]:
    """The benchmark's queries, each with the length of its video.

    lengths  table with the columns id and length, where the annotation file tells no lengths; None:
             ``Charades_v1_*.csv`` beside it
    videos   folder whose files are measured where no table tells a length

    Raises InputError for another benchmark, DataError where a length is not found anywhere.
    """
    check_benchmark(benchmark)
    if split and annotations.is_file():
        raise InputError(
            f"split is {split!r} but {annotations} is one file; give its folder, or leave split out."
        )
    file = annotation_file(benchmark, annotations, split)
    queries = read_queries(file)
    unknown = sorted({query.video for query in queries if query.duration_s is None})
    if not unknown:
        return queries
    from ..data.readers.charades import video_lengths

    table = video_lengths(file, lengths)[0]
    known = {video: table[video_stem(video)] for video in unknown if video_stem(video) in table}
    known |= _measured([video for video in unknown if video not in known], videos)
    lacking = [video for video in unknown if video not in known]
    if lacking:
        raise DataError(
            f"{len(lacking)} videos of {file} have no known length ({', '.join(lacking[:3])}, ...); give "
            "--lengths Charades_v1_test.csv, or --videos, the folder with the videos."
        )
    return [query if query.duration_s else replace(query, duration_s=known[query.video]) for query in queries]


def _measured(names: Sequence[str], videos: Path | None) -> dict[str, float]:
    """Seconds of each video whose file is in the folder."""
    if videos is None or not names:
        return {}
    from ..data.videos import VideoFolder
    from ..video.probe import probe

    folder = VideoFolder(videos)
    files = {name: folder.find(name) for name in names}
    return {name: probe(file).duration_s for name, file in files.items() if file is not None}


def report(
    benchmark: str,
    system: str,
    queries: Sequence[Query],
    files: Mapping[str, Path],
    *,
    answered_only: bool = False,
    seed: int = bias.SEED,
) -> Report:
    """Every measure of one system under each condition, and the windows to draw, as ``bias.json`` holds them.

    queries        of the benchmark, with lengths (``read_asked``)
    files          condition -> prediction file in any form of docs/predictions.md; "true" must be among them
    answered_only  leave out the queries that the file with the true video does not speak of

    Metrics are percent, measures as ``bias.measure`` gives them, ``overlap_with_true`` the mean IoU with the
    answer to the true video. Raises DataError where a file holds no prediction on these queries.
    """
    rows = {condition: read_predictions(file) for condition, file in files.items()}
    if answered_only:
        spoken_of = {query.id for query, _ in match_predictions(rows["true"], queries, Rules())[0]}
        queries = [query for query in queries if query.id in spoken_of]
    windows = {c: best_windows(part, queries, files[c]) for c, part in rows.items()}
    names = [video_stem(query.video) for query in queries]
    videos = np.unique(names, return_inverse=True)[1].reshape(-1)
    annotated = [np.array(query.windows).reshape(-1, 2) / query.duration_s for query in queries]
    conditions, notes = {}, []
    for condition, found in windows.items():
        scored = score_queries(rows[condition], queries, Rules())
        moved = None if condition == "true" else bias.overlap(found, windows["true"])
        measured = bias.measure(found, annotated, videos, seed)
        conditions[condition] = {
            **means_in_percent(scored.values),
            **measured,
            "overlap_with_true": moved,
        }
        notes += [f"{condition}: {note}" for note in scored.notes]
    first = np.array([one[0] if len(one) else (np.nan, np.nan) for one in annotated])
    return {
        "benchmark": benchmark,
        "system": system,
        "queries": len(queries),
        "videos": len(set(names)),
        "annotations": {
            **bias.measure(first, annotated, videos, seed),
            "chance_distance": bias.chance_distance(annotated, seed),
        },
        "conditions": conditions,
        "run": {
            "predictions": {condition: str(file) for condition, file in files.items()},
            "distance": f"total variation over {bias.DISTANCE_CELLS} x {bias.DISTANCE_CELLS} cells",
            "information": f"{bias.INFORMATION_CELLS} x {bias.INFORMATION_CELLS} cells, "
            f"less the mean of {bias.PERMUTATIONS} permutations",
            "seed": seed,
            "version": __version__,
            "notes": notes,
        },
        "windows": {
            "annotated": _weighted(annotated),
            **{c: _weighted([row[None] for row in found if np.isfinite(row).all()]) for c, found in windows.items()},
        },
    }  # fmt: skip


def best_windows(predictions: Sequence[Prediction], queries: Sequence[Query], file: Path) -> bias.Floats:
    """(Q, 2) best window of each query as fractions of its video; NaN where the system gives none."""
    pairs, _ = match_predictions(predictions, queries, Rules())
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
