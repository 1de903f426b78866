"""``calibrate``: what a backend's scores and presence are worth, fitted on labelled queries (backends/fitted.py).

Every labelled query is asked of its own video, and as many of other videos' queries, which count as absent. The score
is fitted on the moments of own queries (right: IoU >= 0.5 with an annotated window), presence on all queries. Answers
are saved while they are gathered, so that an interrupted run resumes.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .. import files, settings
from ..annotations.readers import read
from ..annotations.samples import Dataset, Sample, captions_to_grounding
from ..annotations.videos import VideoFolder
from ..backends.base import Backend
from ..backends.chat.answers import FAILURES
from ..backends.fitted import Fit, identity, key_of, to_logits
from ..errors import DataError
from ..grounding.calibration import Calibration, auc, expected_calibration_error, fit
from ..windows import iou
from .answering import Ranks, answer_all
from .systems import BackendSystem, Row

RIGHT = 0.5  # IoU from which on a moment counts as right
TOP_K = 5  # moments of a query that are judged
LEAST = 10  # labelled queries, and as many absent ones, that say anything
WORK = "calibrating"  # in the user's configuration folder
PREDICTIONS = "predictions.jsonl"


@dataclass(frozen=True)
class Evidence:
    """Probabilities that a backend gave (K,), whether they held true (K,), and which video each is about (K,)."""

    given: Tensor
    true: Tensor
    video: Tensor

    def fit(self) -> Calibration:
        """The calibration of highest likelihood."""
        return fit(to_logits(self.given), self.true)

    def held_out(self) -> Tensor:
        """(K,) probabilities of a calibration that was fitted on the other half of the videos."""
        found = self.given.clone()
        for half in (0, 1):
            own = self.video % 2 == half
            if own.any() and not own.all():
                made = fit(to_logits(self.given[~own]), self.true[~own])
                found[own] = made(to_logits(self.given[own])).double()
        return found

    def error(self, probabilities: Tensor) -> float:
        """Expected calibration error in percent."""
        return round(100 * expected_calibration_error(probabilities, self.true), 2)


@dataclass(frozen=True)
class Calibrated:
    """A fit, the identity that it belongs to, what it was made from, and the failed videos with their reasons."""

    fit: Fit
    identity: dict[str, Any]
    report: dict[str, Any]
    failed: dict[str, str]


def calibrate(
    backend: Backend,
    annotations: str | Path,
    videos: str | Path,
    *,
    benchmark: str = "jsonl",
    split: str | None = None,
    limit: int | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Calibrated:
    """Ask an unfitted backend about labelled videos, and fit.

    limit   only the first so many labelled queries

    Raises DataError for annotations without enough queries to find, and what ``read`` raises.
    """
    dataset = read(benchmark, annotations, split=split)
    own = labelled_queries(dataset)[:limit]
    asked = [*own, *borrowed_queries(own, seed)]
    who = identity(backend)
    work = _work_folder(who, asked)
    answers = work / PREDICTIONS
    with Ranks() as ranks:
        failed = answer_all(
            BackendSystem(backend, TOP_K), asked, VideoFolder(Path(videos)).require, answers, ranks, progress
        )
    rows = {row["id"]: row for row in map(files.loads, files.whole_lines(answers))}
    scores, presence = evidence(asked, rows)
    made = Fit(
        scores.fit(), presence.fit(), made_with=_made_with(dataset, benchmark, own, scores, presence, seed)
    )
    shutil.rmtree(work, ignore_errors=True)
    return Calibrated(made, who, made.made_with, failed)


def labelled_queries(dataset: Dataset) -> list[Sample]:
    """Every query with its windows as a plain grounding sample; dense captions count as queries."""
    found: list[Sample] = []
    for sample in dataset:
        if not sample.labelled:
            continue
        if sample.task == "caption":
            found += captions_to_grounding(sample)
        elif sample.task in ("grounding", "highlight"):
            found.append(replace(sample, task="grounding", saliency=None, clips=()))
    if len(found) < LEAST:
        raise DataError(
            f"there are {len(found)} labelled queries to find, expected at least {LEAST} ({LEAST * 10} and more say "
            "more): name annotations of grounding, highlights or captions."
        )
    return found


def borrowed_queries(own: Sequence[Sample], seed: int) -> list[Sample]:
    """For each query with a window another video's query on its video, where no query of that video says the same.

    They count as absent. Raises DataError where fewer than LEAST can be made.
    """
    said: dict[str, set[str]] = {}
    for sample in own:
        said.setdefault(sample.video, set()).add(_plain(sample.query))
    found = []
    for number, sample in enumerate(own):
        rng = random.Random(f"{seed}-{number}")
        others = [other for other in rng.sample(own, min(len(own), 20)) if other.video != sample.video]
        other = next((o for o in others if _plain(o.query) not in said[sample.video]), None)
        if sample.windows and other is not None:
            found.append(replace(sample, id=f"{sample.id}#absent", query=other.query, windows=()))
    absent = len(found) + sum(not sample.windows for sample in own)
    if absent < LEAST:
        raise DataError(
            f"only {absent} queries can be asked of a video that does not show them, expected at least {LEAST}: name "
            "annotations of several videos with queries that differ."
        )
    return found


def evidence(asked: Sequence[Sample], rows: dict[str, Row]) -> tuple[Evidence, Evidence]:
    """(moments of the annotated queries, presence of all queries) from the answers by id; failures say nothing.

    Raises DataError where too few videos could be read.
    """
    numbers = {video: i for i, video in enumerate(dict.fromkeys(sample.video for sample in asked))}
    moments: list[tuple[float, bool, int]] = []
    present: list[tuple[float, bool, int]] = []
    for sample in asked:
        row = rows.get(sample.id)
        if row is None or row.get("parsed") in FAILURES:
            continue
        number = numbers[sample.video]
        present.append((row["presence"], bool(sample.windows), number))
        if not sample.windows:
            continue
        for moment in row["moments"]:
            span = (moment["start"], moment["end"])
            moments.append((moment["score"], any(iou(span, w) >= RIGHT for w in sample.windows), number))
    if min(len(moments), sum(p for _, p, _ in present), sum(not p for _, p, _ in present)) < LEAST:
        raise DataError(
            f"{len(moments)} moments of {len(present)} queries were answered, expected {LEAST} moments or more, and as "
            "many queries that are there and that are not; check --videos, or name more annotations."
        )
    return _stacked(moments), _stacked(present)


def _stacked(rows: Sequence[tuple[float, bool, int]]) -> Evidence:
    given, true, video = zip(*rows, strict=True)
    return Evidence(
        torch.tensor(given, dtype=torch.float64), torch.tensor(true).double(), torch.tensor(video)
    )


def _made_with(
    dataset: Dataset,
    benchmark: str,
    own: Sequence[Sample],
    scores: Evidence,
    presence: Evidence,
    seed: int,
) -> dict[str, Any]:
    """What a fit rests on. Errors are percent; "after" is that of fits on the other half of the videos."""
    return {
        "benchmark": benchmark,
        "annotation_files": {file.name: files.digest(file) for file in dataset.files},
        "seed": seed,
        "queries": len(own),
        "videos": len({sample.video for sample in own}),
        "moments": len(scores.given),
        "right": int(scores.true.sum()),
        "score_ece": {"before": scores.error(scores.given), "after": scores.error(scores.held_out())},
        "present_queries": int(presence.true.sum()),
        "absent_queries": int((1 - presence.true).sum()),
        "presence_auc": round(100 * auc(presence.given, presence.true), 2),
        "presence_ece": {
            "before": presence.error(presence.given),
            "after": presence.error(presence.held_out()),
        },
    }


def _work_folder(who: dict[str, Any], asked: Sequence[Sample]) -> Path:
    """Where the answers to these questions by this model are gathered: always the same folder."""
    questions = [[s.id, s.video, s.query, s.clip, s.windows] for s in asked]
    folder = settings.config_folder() / WORK / key_of({"model": who, "asked": questions})
    files.make_folder(folder)
    return folder


def _plain(query: str | None) -> str:
    return " ".join((query or "").lower().strip(" .").split())


__all__ = ["Calibrated", "borrowed_queries", "calibrate", "evidence", "labelled_queries"]
