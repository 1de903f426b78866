"""``eval``: answer a whole benchmark from video files, resumably, then score it.

Predictions are appended as they come, one JSON line a sample (docs/predictions.md), so a killed run goes on
where it stopped and ends with the same result file. A video that cannot be read is reported and skipped; its
samples count as missing.
"""

from __future__ import annotations

import json
import platform
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .. import files
from ..annotations.readers import ANSWERED, read
from ..annotations.readers import benchmark as known
from ..annotations.samples import Dataset, Sample, sentences_as_queries
from ..annotations.videos import VideoFolder
from ..backends.base import check_question
from ..backends.chat.answers import FAILURES
from ..cluster import Cluster
from ..errors import InputError, VideoError
from ..locks import held
from ..scoring.predictions import digest
from ..scoring.score import score
from .answering import Ranks, answer_all
from .systems import System

RUN, PREDICTIONS, RESULT, SUBMISSION = "run.json", "predictions.jsonl", "result.json", "submission.zip"


@dataclass(frozen=True)
class Outcome:
    """The result as written to ``result.json``, and the videos that failed with their sentence."""

    result: dict[str, Any]
    failed: dict[str, str]


def evaluate(
    benchmark: str,
    system: System,
    annotations: str | Path,
    videos: str | Path | None,
    out: str | Path,
    *,
    split: str | None = None,
    limit: int | None = None,
    sentences: bool = False,
    cluster: Cluster | None = None,
    make: Callable[[], System] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Outcome:
    """Answer every sample of a benchmark and score the answers; ``progress`` is called with (done, all) samples.

    annotations  the benchmark's original file or folder
    videos       folder with the videos, named by id; None for a system that opens no files (features from a store)
    out          folder for predictions.jsonl, result.json and, for QVHighlights, submission.zip
    limit        only the first so many samples; the result then says so and counts no other as missing
    sentences    activitynet-captions: its sentences are queries to find, not captions to give
    cluster      answer on a Ray cluster, whose workers ``make`` the system and see the same folder of videos

    Raises InputError for a benchmark that is not answered from videos, or an ``out`` that another run began or holds.
    """
    found = known(benchmark, ANSWERED)
    if sentences and not found.sentences:
        raise InputError(
            f"sentences are queries in activitynet-captions only, not in {benchmark}; leave it out."
        )
    dataset = read(benchmark, annotations, split=split)
    samples = (sentences_as_queries(dataset.samples) if sentences else list(dataset.samples))[:limit]
    folder = Path(out)
    files.make_folder(folder)
    run = describe_run(benchmark, system, dataset, limit, len(samples))
    run |= {"task": "grounding"} if sentences else {}
    asked, unasked = _askable(samples)
    equipped = None if make is None else partial(_equipped, make, videos)
    with Ranks() as ranks, held(folder) if ranks.first else nullcontext():
        if ranks.first:
            _begin(folder / RUN, run)
        failed = unasked | answer_all(
            system, asked, _finder(videos), folder / PREDICTIONS, ranks, progress, cluster, equipped
        )
        if not ranks.first:
            ranks.wait()
            return Outcome(files.load_json(folder / RESULT), failed)
        _check_any(folder / PREDICTIONS, failed)
        in_parts = Path(annotations).is_dir() or found.parts_in_file
        part = dataset.split if in_parts else None
        missing = "wrong" if limit is None else "skip"
        result = score(benchmark, folder / PREDICTIONS, annotations, split=part, missing=missing)
        result["run"] |= {**run, "failed_videos": failed, **_parsing(folder / PREDICTIONS)}
        if found.submission:
            write_submission(folder / PREDICTIONS, folder / SUBMISSION)
        files.write_json(folder / RESULT, result)
        ranks.wait()
        return Outcome(result, failed)


def _askable(samples: Sequence[Sample]) -> tuple[list[Sample], dict[str, str]]:
    """The samples that a model can be asked, and the others by id with the reason."""
    asked, others = [], {}
    for sample in samples:
        try:
            if sample.query is not None:
                check_question(sample.query, list(sample.choices) or None)
            asked.append(sample)
        except InputError as error:
            others[sample.id] = str(error)
    return asked, others


def _check_any(predictions: Path, failed: dict[str, str]) -> None:
    """Raises VideoError where every video failed."""
    if failed and not files.whole_lines(predictions):
        video, reason = next(iter(failed.items()))
        raise VideoError(f"none of {len(failed)} videos could be answered; {video[:80]!r}: {reason}")


def _finder(videos: str | Path | None) -> Callable[[str], Path]:
    return Path if videos is None else VideoFolder(Path(videos)).require


def _equipped(make: Callable[[], System], videos: str | Path | None) -> tuple[System, Callable[[str], Path]]:
    """What a worker of a cluster answers with."""
    return make(), _finder(videos)


def describe_run(
    benchmark: str, system: System, dataset: Dataset, limit: int | None, count: int
) -> dict[str, Any]:
    """What a number needs to be reproduced."""
    return {
        "benchmark": benchmark,
        "system": system.describe(),
        "samples": count,
        "limit": limit,
        "split": dataset.split,
        "annotation_files": {f.name: digest(f) for f in dataset.files},
        "python": platform.python_version(),
        "torch": version("torch"),
        "transformers": version("transformers"),
    }


def _begin(file: Path, run: dict[str, Any]) -> None:
    """Refuse to mix two runs in one folder. A file that a full disk left empty says nothing, so all is done again."""
    text = json.dumps(run, indent=1, sort_keys=True) + "\n"
    there = file.read_bytes().decode("utf-8", "replace") if file.exists() else None
    if there is not None and not _is_object(there):
        predictions = file.with_name(PREDICTIONS)
        if predictions.exists():  # of an unknown run
            predictions.replace(predictions.with_suffix(".set-aside"))
        there = None
    if there is not None and there != text:
        raise InputError(
            f"{file.parent} holds a run with another model, data or version; "
            "choose another --out, or delete it."
        )
    files.write_text(file, text)


def _is_object(text: str) -> bool:
    try:
        return isinstance(files.loads(text), dict)
    except ValueError:
        return False


def _parsing(predictions: Path) -> dict[str, Any]:
    """How answers in text were read, {"parsed": {rule: count}, "parse_failures"}; nothing of other systems' answers."""
    rows = [files.loads(line) for line in files.whole_lines(predictions)]
    parsed = Counter(str(row["parsed"]) for row in rows if "parsed" in row)
    failed = sum(count for how, count in parsed.items() if how in FAILURES)
    return {"parsed": dict(sorted(parsed.items())), "parse_failures": failed}


def write_submission(predictions: Path, out: Path) -> None:
    """The zip that the QVHighlights server takes: ``hl_val_submission.jsonl`` and the same rows as test."""
    rows = []
    for line in files.whole_lines(predictions):
        row = files.loads(line)
        rows.append(
            {
                "qid": int(row["id"]) if row["id"].isdigit() else row["id"],
                "query": row["query"],
                "vid": row["video"],
                "pred_relevant_windows": [[m["start"], m["end"], m["score"]] for m in row["moments"]],
                "pred_saliency_scores": row["saliency"],
            }
        )
    text = "\n".join(json.dumps(row) for row in rows)
    with files.whole_file(out) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("hl_val_submission.jsonl", "hl_test_submission.jsonl"):
            archive.writestr(zipfile.ZipInfo(name), text)  # no time stamp: same answers, same bytes
