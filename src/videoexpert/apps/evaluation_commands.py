"""Commands that measure: ``score``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_BENCHMARK_HELP = (
    "charades-sta, activitynet-captions, qvhighlights, youcook2, nextqa, nextgqa or video-chatgpt."
)


def register(app: typer.Typer) -> None:
    """Add this group's verbs to the app."""
    app.command("score")(score)


def score(
    benchmark: Annotated[str, typer.Argument(help=_BENCHMARK_HELP)],
    predictions: Annotated[Path, typer.Option(help="Prediction file; docs/predictions.md lists the forms.")],
    annotations: Annotated[
        list[Path], typer.Option(help="Annotation file or its folder; repeat it for several references.")
    ],
    answers: Annotated[Path | None, typer.Option(help="nextgqa: result file with the answers.")] = None,
    questions: Annotated[Path | None, typer.Option(help="nextgqa: CSV of the questions.")] = None,
    format: Annotated[str, typer.Option(help="table, json or markdown.")] = "table",
    convention: Annotated[
        str, typer.Option(help="corrected, or official: the benchmark's own scorer, faults included.")
    ] = "corrected",
    missing: Annotated[
        str | None,
        typer.Option(help="Items without a prediction: wrong or skip.  [default: wrong; official: skip]"),
    ] = None,
    split: Annotated[str | None, typer.Option(help="Part of an annotation folder to score.")] = None,
) -> None:
    """Score any system's predictions, with coverage, 95% intervals and the paper's rows beside."""
    from ..errors import InputError
    from ..evaluation.report import FORMATS, render
    from ..evaluation.score import score as score_files

    if format not in FORMATS:
        raise InputError(f"format is {format!r}, expected one of {', '.join(FORMATS)}.")
    result = score_files(
        benchmark,
        predictions,
        annotations,
        answers=answers,
        questions=questions,
        convention=convention,
        missing=missing,
        split=split,
    )
    typer.echo(render(result, format))
