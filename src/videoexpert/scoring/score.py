"""``score``: any system's predictions of one benchmark against its annotations, in the paper's metrics.

Each benchmark's scorer is imported when it is asked for, so that one that needs Java or a network does not
weigh on the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..errors import InputError
from .bootstrap import RESAMPLES, SEED, bootstrap_intervals
from .outcome import CONVENTIONS, MISSING, Rules, Scored, means_in_percent

if TYPE_CHECKING:
    from .judge.scoring import Judge

LEVEL = 0.95


@dataclass(frozen=True)
class Files:
    """What one call reads; several ``annotations`` only where a benchmark has several references."""

    predictions: Path
    annotations: tuple[Path, ...]
    answers: Path | None = None
    questions: Path | None = None
    split: str | None = None
    judge: Judge | None = None


def score(
    benchmark: str,
    predictions: Path | str,
    annotations: Path | str | Sequence[Path | str],
    *,
    answers: Path | str | None = None,
    questions: Path | str | None = None,
    convention: str = "corrected",
    missing: str | None = None,
    split: str | None = None,
    seed: int = SEED,
    judge: Judge | None = None,
) -> dict[str, Any]:
    """``{"benchmark", "metrics", "coverage", "intervals", "run"}`` of a prediction file, metrics in percent.

    annotations  the benchmark's file, or the folder with its original file names; several files where a
                 benchmark has several references (activitynet-captions)
    answers      NExT-GQA: the result file with the answers, where the predictions hold only windows
    questions    NExT-GQA: the CSV with the right options and the question types
    convention   "corrected", or "official": the benchmark's own scorer, faults included
    missing      "wrong" or "skip" for items without a prediction; None: "wrong", and under "official" "skip",
                 which is what the official scorers that do not stop there do
    split        which part of a folder, or of YouCook2's file, to score
    seed         of the resampling behind the 95% ``intervals``
    judge        video-chatgpt: who judges; its metrics are 0 to 5, without intervals

    Raises InputError for a call that does not fit the benchmark, DataError for a file that cannot be read.
    """
    if benchmark not in BENCHMARKS:
        raise InputError(f"benchmark is {benchmark!r}, expected one of {', '.join(BENCHMARKS)}.")
    if convention not in CONVENTIONS:
        raise InputError(f"convention is {convention!r}, expected one of {', '.join(CONVENTIONS)}.")
    if missing not in (None, *MISSING):
        raise InputError(f"missing is {missing!r}, expected one of {', '.join(MISSING)}.")
    paths = [annotations] if isinstance(annotations, (str, Path)) else list(annotations)
    files = Files(
        Path(predictions),
        tuple(Path(path) for path in paths),
        Path(answers) if answers else None,
        Path(questions) if questions else None,
        split,
        judge,
    )
    _check_call(benchmark, files)
    default = "skip" if convention == "official" else "wrong"
    rules = Rules(convention, missing or default, chosen=missing is not None)
    parts = BENCHMARKS[benchmark](files, rules)
    metrics: dict[str, float | None] = {}
    intervals: dict[str, list[float] | None] = {}
    for part in parts:
        metrics |= means_in_percent(part.values) | part.fixed
        intervals |= bootstrap_intervals(part.values, seed=seed, level=LEVEL)
    coverage = parts[0].coverage
    if len(parts) > 1:  # ActivityNet's two tasks on one file
        coverage = coverage | {"captions": parts[1].coverage}
    run = {
        "convention": rules.convention,
        "missing": rules.missing,
        "split": split,
        "predictions": str(predictions),
        "annotations": [str(path) for path in paths],
        "answers": str(answers) if answers else None,
        "questions": str(questions) if questions else None,
        "bootstrap": {"resamples": RESAMPLES, "seed": seed, "level": LEVEL},
        "version": __version__,
        "notes": [note for part in parts for note in part.notes],
        "failed": sum(part.failed for part in parts),
    }
    return {
        "benchmark": benchmark,
        "metrics": metrics,
        "coverage": coverage,
        "intervals": {name: intervals.get(name) for name in metrics},
        "run": run,
    }


def _check_call(benchmark: str, files: Files) -> None:
    if not files.annotations:
        raise InputError("no annotation file given, expected one.")
    if len(files.annotations) > 1 and benchmark != "activitynet-captions":
        raise InputError(f"{benchmark} takes one annotation file, got {len(files.annotations)}.")
    if benchmark != "nextgqa" and (files.answers or files.questions):
        raise InputError(f"answers and questions belong to nextgqa, not to {benchmark}; leave them out.")
    if benchmark != "video-chatgpt" and files.judge:
        raise InputError(f"a judge belongs to video-chatgpt, not to {benchmark}; leave it out.")
    single_file = files.annotations[0].is_file() and benchmark not in ("youcook2", "video-chatgpt")
    if files.split and single_file:
        raise InputError(
            f"split is {files.split!r} but {files.annotations[0]} is one file; "
            "give its folder, or leave split out."
        )


# original file names, and the splits that are tried in this order where none is named
_LAYOUTS = {
    "charades-sta": ("charades_sta_{}.txt", ("test", "train")),
    "qvhighlights": ("highlight_{}_release.jsonl", ("val", "train")),
    "activitynet-captions": ("{}.json", ("val_1", "val_2", "train")),
    "nextqa": ("{}.csv", ("val", "test", "train")),
    "nextgqa": ("gsub_{}.json", ("test", "val")),
}


def annotation_file(benchmark: str, path: Path, split: str | None) -> Path:
    """The file itself, or the original name in a folder: of ``split``, else the first usual one there."""
    from ..files import locate

    pattern, usual = _LAYOUTS[benchmark]
    if benchmark == "activitynet-captions":
        split = {"val": "val_1", "test": "val_2"}.get(split or "", split)
    return locate(path, [pattern.format(name) for name in ([split] if split else usual)])


def _charades(files: Files, rules: Rules) -> list[Scored]:
    from .grounding import score_files

    annotations = annotation_file("charades-sta", files.annotations[0], files.split)
    return [score_files(files.predictions, annotations, rules)]


def _qvhighlights(files: Files, rules: Rules) -> list[Scored]:
    from .highlights import score_files

    annotations = annotation_file("qvhighlights", files.annotations[0], files.split)
    return [score_files(files.predictions, annotations, rules)]


def _nextqa(files: Files, rules: Rules) -> list[Scored]:
    from .gqa import score_nextqa_files

    annotations = annotation_file("nextqa", files.annotations[0], files.split)
    return [score_nextqa_files(files.predictions, annotations, rules)]


def _nextgqa(files: Files, rules: Rules) -> list[Scored]:
    from .gqa import score_nextgqa_files

    annotations = annotation_file("nextgqa", files.annotations[0], files.split)
    questions = files.questions or _questions_beside(annotations)
    return [score_nextgqa_files(files.predictions, annotations, rules, files.answers, questions)]


def _questions_beside(annotations: Path) -> Path | None:
    """``test.csv`` beside ``gsub_test.json``: where the reader of the benchmark looks too."""
    from ..files import existing

    name = annotations.name.split(".")[0]
    return (
        existing(annotations.parent, [name.removeprefix("gsub_") + ".csv"])
        if name.startswith("gsub_")
        else None
    )


def _captions(files: Files, rules: Rules) -> list[Scored]:
    from .captions.scoring import score_files

    return [score_files(files.predictions, files.annotations, rules, files.split)]


def _activitynet(files: Files, rules: Rules) -> list[Scored]:
    """Grounding of its sentences, dense captions, or both, by what the predictions hold."""
    from .captions.scoring import tasks_in
    from .grounding import score_files

    located = tuple(annotation_file("activitynet-captions", path, files.split) for path in files.annotations)
    tasks = tasks_in(files.predictions)
    scored = []
    if "grounding" in tasks:
        if len(located) > 1:
            raise InputError(f"grounding takes one annotation file, got {len(located)}; give one split.")
        scored.append(score_files(files.predictions, located[0], rules))
    if "caption" in tasks:
        scored += _captions(Files(files.predictions, located), rules)
    return scored


def _video_chatgpt(files: Files, rules: Rules) -> list[Scored]:
    from .judge.scoring import score_files

    return [score_files(files.predictions, files.annotations[0], rules, files.split, files.judge)]


BENCHMARKS: dict[str, Callable[[Files, Rules], list[Scored]]] = {
    "charades-sta": _charades,
    "activitynet-captions": _activitynet,
    "qvhighlights": _qvhighlights,
    "youcook2": _captions,
    "nextqa": _nextqa,
    "nextgqa": _nextgqa,
    "video-chatgpt": _video_chatgpt,
}
