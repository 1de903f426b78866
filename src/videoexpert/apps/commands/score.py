"""``videoexpert score``: any system's predictions on a benchmark."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...annotations.readers import SCORED

if TYPE_CHECKING:
    from ...scoring.judge.scoring import Judge


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(score)


def score(
    benchmark: Annotated[str, typer.Argument(help=f"One of {', '.join(SCORED)}.")],
    *,
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
        typer.Option(help="Items without a prediction: wrong or skip (default: wrong; official: skip)."),
    ] = None,
    split: Annotated[str | None, typer.Option(help="Part of an annotation folder to score.")] = None,
    judge_url: Annotated[
        str | None,
        typer.Option(help="video-chatgpt: OpenAI-compatible endpoint, up to and without /chat/completions."),
    ] = None,
    judge_model: Annotated[str | None, typer.Option(help="video-chatgpt: the judge's name there.")] = None,
    judge_key: Annotated[
        str, typer.Option(help="Environment variable with the judge's key; none for a server without.")
    ] = "OPENAI_API_KEY",
    judge_log: Annotated[
        Path | None,
        typer.Option(help="Judgements; an existing log is resumed (default: PREDICTIONS.judged.jsonl)."),
    ] = None,
    judge_prices: Annotated[
        tuple[float, float] | None,
        typer.Option(help="Price of a million tokens in and out, for the cost line."),
    ] = None,
) -> None:
    """Score any system's predictions, with coverage, 95% intervals and the paper's rows beside."""
    from ...errors import InputError
    from ...scoring.score import refuse_another_file
    from ...scoring.score import score as score_files
    from ...scoring.tables import FORMATS, render
    from ..terminal import say
    from ..waiting import Waiting

    if format not in FORMATS:
        raise InputError(f"format is {format!r}, expected one of {', '.join(FORMATS)}.")
    judge = None
    if (judge_log is not None or judge_prices is not None) and not judge_url:
        raise InputError(
            "--judge-log and --judge-prices belong to --judge-url; leave them out, or name a judge."
        )
    if judge_url or judge_model:
        judge = _judge(
            judge_url, judge_model, judge_key, judge_log or Path(f"{predictions}.judged.jsonl"), judge_prices
        )
    with Waiting(f"scoring {benchmark}"):
        result = score_files(
            benchmark,
            predictions,
            annotations,
            answers=answers,
            questions=questions,
            convention=convention,
            missing=missing,
            split=split,
            judge=judge,
        )
    refuse_another_file(result)
    say(render(result, format))
    if result["run"]["failed"]:
        raise typer.Exit(1)


def _judge(
    url: str | None, model: str | None, key: str, log: Path, prices: tuple[float, float] | None
) -> Judge:
    from ...errors import InputError
    from ...scoring.judge.endpoint import Endpoint
    from ...scoring.judge.scoring import Judge

    if not (url and model):
        raise InputError("a judge needs both --judge-url and --judge-model.")
    if not all(0 <= price < math.inf for price in prices or ()):
        raise InputError(f"--judge-prices are {prices}, expected two numbers from 0 up.")
    price_in, price_out = prices or (None, None)
    variable = None if key.lower() == "none" else key
    endpoint = Endpoint(url, model, key_variable=variable, price_in=price_in, price_out=price_out)
    return Judge(endpoint, log)
