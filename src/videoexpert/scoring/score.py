"""``score``: any system's predictions of one benchmark against its annotations, in the paper's metrics.

Each benchmark names its scorer; a scorer is imported when it is asked for, so that one that needs Java or a network
does not weigh on the others.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..annotations import readers
from ..annotations.benchmark import Benchmark
from ..annotations.records import Record, Records
from ..errors import DataError, InputError
from .bootstrap import RESAMPLES, SEED, bootstrap_intervals
from .outcome import CONVENTIONS, MISSING, Rules, Scored, means_in_percent
from .predictions import read_predictions

if TYPE_CHECKING:
    from .judge.scoring import Judge

LEVEL = 0.95
_FEW = 0.1  # a file that speaks of fewer of the items than this, and whose rows are mostly of others, is another's


@dataclass(frozen=True)
class Call:
    """What a scorer works on; ``annotations`` are several only where a benchmark has several references."""

    benchmark: Benchmark
    predictions: Path
    annotations: tuple[Records, ...]
    answers: Path | None
    judge: Judge | None
    rules: Rules

    def records(self) -> list[Record]:
        """The records of the one annotation file, as scorers take them.

        Raises DataError where there is none, and for a split whose labels are withheld.
        """
        records = readers.queries(self.benchmark.name, self.annotations[0])
        if not records:
            raise DataError(
                f"{self.annotations[0].files[0]} holds no record, expected annotations of {self.benchmark.title}."
            )
        bare = next((record for record in records if not (record.labelled or record.clips)), None)
        if bare is not None:
            raise DataError(
                f"{self.annotations[0].files[0]}, {bare.place}: no relevant_windows; expected a labelled split "
                "(train or val): the test split is scored by the benchmark's server."
            )
        return records


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
    split        which part of a folder, or of a file that holds several, to score
    seed         of the resampling behind the 95% ``intervals``
    judge        video-chatgpt: who judges; its metrics are 0 to 5, without intervals

    Raises InputError for a call that does not fit the benchmark, DataError for a file that cannot be read.
    """
    found = readers.benchmark(benchmark, readers.SCORED)
    if convention not in CONVENTIONS:
        raise InputError(f"convention is {convention!r}, expected one of {', '.join(CONVENTIONS)}.")
    if missing not in (None, *MISSING):
        raise InputError(f"missing is {missing!r}, expected one of {', '.join(MISSING)}.")
    paths = [Path(annotations)] if isinstance(annotations, (str, Path)) else [Path(p) for p in annotations]
    _check_call(found, paths, split, answers, questions, judge)
    options = {} if questions is None else {"questions": Path(questions)}
    part = split or found.score_split
    default = "skip" if convention == "official" else "wrong"
    rules = Rules(convention, missing or default, chosen=missing is not None)

    def scored() -> dict[str, Any]:
        parsed = tuple(readers.records(benchmark, path, split=part, **options) for path in paths)
        call = Call(found, Path(predictions), parsed, Path(answers) if answers else None, judge, rules)
        try:
            parts = SCORERS[str(found.scorer)](call)
        except OverflowError as error:
            raise DataError(f"{predictions} holds a number that is too large ({error}).") from error
        return _result(call, parts, split, paths, questions, seed)

    with nullcontext() if judge else _uncollected():
        return scored()


@contextmanager
def _uncollected() -> Iterator[None]:
    """No search for cycles: files become a million small lists that hold none, and each search goes through all."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _result(
    call: Call,
    parts: Sequence[Scored],
    split: str | None,
    paths: Sequence[Path],
    questions: Path | str | None,
    seed: int,
) -> dict[str, Any]:
    metrics: dict[str, float | None] = {}
    intervals: dict[str, list[float] | None] = {}
    for part in parts:
        means = means_in_percent(part.values)
        metrics |= part.fixed | {name: value for name, value in means.items() if name not in part.fixed}
        intervals |= bootstrap_intervals(part.values, seed=seed, level=LEVEL)
    coverage = parts[0].coverage
    if len(parts) > 1:  # ActivityNet's two tasks on one file
        coverage = coverage | {"captions": parts[1].coverage}
    run = {
        "convention": call.rules.convention,
        "missing": call.rules.missing,
        "split": split,
        "data": _data(call.benchmark, call.annotations[0]),
        "predictions": str(call.predictions),
        "annotations": [str(path) for path in paths],
        "answers": str(call.answers) if call.answers else None,
        "questions": str(questions) if questions else None,
        "bootstrap": {"resamples": RESAMPLES, "seed": seed, "level": LEVEL},
        "version": __version__,
        "notes": [note for part in parts for note in part.notes],
        "failed": sum(part.failed for part in parts),
    }
    return {
        "benchmark": call.benchmark.name,
        "metrics": metrics,
        "coverage": coverage,
        "intervals": {name: intervals.get(name) for name in metrics},
        "run": run,
    }


def _data(benchmark: Benchmark, records: Records) -> dict[str, Any]:
    """What was scored: split, counts, and whether they are those of the published split."""
    totals: dict[str, int] = {}
    for counts in records.counts.values():
        for what, count in counts.items():
            totals[what] = totals.get(what, 0) + count
    published = all(benchmark.published.get(part) == counts for part, counts in records.counts.items())
    return {"split": records.split, **totals, "published": published and bool(totals)}


def _check_call(
    benchmark: Benchmark,
    paths: Sequence[Path],
    split: str | None,
    answers: Path | str | None,
    questions: Path | str | None,
    judge: Judge | None,
) -> None:
    name = benchmark.name
    if not paths:
        raise InputError("no annotation file given, expected one.")
    if len(paths) > 1 and not benchmark.references:
        raise InputError(f"{name} takes one annotation file, got {len(paths)}.")
    if (answers or questions) and "questions" not in benchmark.options:
        raise InputError(f"answers and questions belong to nextgqa, not to {name}; leave them out.")
    if judge and benchmark.scorer != "judged answers":
        raise InputError(f"a judge belongs to video-chatgpt, not to {name}; leave it out.")
    if split and paths[0].is_file() and not benchmark.parts_in_file:
        raise InputError(
            f"split is {split!r} but {paths[0]} is one file; give its folder, or leave split out."
        )


def refuse_another_file(result: dict[str, Any]) -> None:
    """Raises DataError where the predictions are not about these annotations.

    None of their ids is known, or so few on either side that they meet by chance, as plain numbers do.
    """
    parts = [
        result["coverage"],
        *([result["coverage"]["captions"]] if "captions" in result["coverage"] else []),
    ]
    for coverage in parts:
        known, expected, extra = coverage["predicted"], coverage["expected"], coverage["extra"]
        rows = known + extra
        if known and (known > _FEW * expected or known > _FEW * rows):
            continue
        files = f"{result['run']['predictions']} and {', '.join(result['run']['annotations'])}"
        if not rows:
            raise DataError(
                f"{result['run']['predictions']} holds no prediction, expected some (docs/predictions.md)."
            )
        examples = ", ".join(coverage["extra_ids"][:3]) or "none"
        raise DataError(
            f"{files} are not about the same items: {known} of {rows} predictions belong to one of {expected} "
            f"annotated items (predicted but not annotated: {examples}; annotated: "
            f"{', '.join(coverage['missing_ids'][:3])}); check benchmark, split and ids (docs/predictions.md)."
        )


def _grounding(call: Call) -> list[Scored]:
    from .grounding import score_queries

    return [score_queries(read_predictions(call.predictions), call.records(), call.rules)]


def _highlights(call: Call) -> list[Scored]:
    from .highlights import score_predictions

    return [score_predictions(read_predictions(call.predictions), call.records(), call.rules)]


def _best_clips(call: Call) -> list[Scored]:
    from .clips import BEST, score_clips

    return [score_clips(read_predictions(call.predictions), call.records(), call.rules, BEST)]


def _clips(call: Call) -> list[Scored]:
    from .clips import score_clips

    return [score_clips(read_predictions(call.predictions), call.records(), call.rules, None)]


def _choices(call: Call) -> list[Scored]:
    from .gqa import score_choices

    return [score_choices(call.records(), read_predictions(call.predictions), call.rules)]


def _grounded_questions(call: Call) -> list[Scored]:
    from .gqa import score_grounded

    answers = read_predictions(call.answers) if call.answers else None
    return [score_grounded(call.records(), read_predictions(call.predictions), answers, call.rules)]


def _captions(call: Call) -> list[Scored]:
    from .captions.scoring import score_events

    references = [readers.kept(call.benchmark.name, parsed.items) for parsed in call.annotations]
    return [score_events(call.predictions, references, call.rules)]


def _sentences_and_captions(call: Call) -> list[Scored]:
    """Grounding of its sentences, dense captions, or both, by what the predictions hold."""
    from .captions.scoring import tasks_in
    from .grounding import score_queries

    tasks = tasks_in(call.predictions)
    scored = []
    if "grounding" in tasks:
        if len(call.annotations) > 1:
            raise InputError(
                f"grounding takes one annotation file, got {len(call.annotations)}; give one split."
            )
        scored.append(score_queries(read_predictions(call.predictions), call.records(), call.rules))
    if "caption" in tasks:
        scored += _captions(call)
    return scored


def _judged_answers(call: Call) -> list[Scored]:
    from .judge.scoring import score_answers

    return [score_answers(read_predictions(call.predictions), call.records(), call.rules, call.judge)]


SCORERS: dict[str, Callable[[Call], list[Scored]]] = {
    "grounding": _grounding,
    "highlights": _highlights,
    "best clips": _best_clips,
    "clips": _clips,
    "choices": _choices,
    "grounded questions": _grounded_questions,
    "captions": _captions,
    "sentences and captions": _sentences_and_captions,
    "judged answers": _judged_answers,
}
