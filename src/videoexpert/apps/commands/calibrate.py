"""``videoexpert calibrate``: fit a model's scores on labelled videos; all commands then use the fit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ...escapes import quantity
from ...limits import MOST_SEED
from .. import options, terminal
from ..inputs import model_options
from ..terminal import Format
from ..waiting import Waiting


def calibrate(
    *,
    annotations: Annotated[Path, typer.Option(help="Labelled queries: own data, or a benchmark's file.")],
    videos: Annotated[Path, typer.Option(help="Folder with the videos, named by id.")],
    model: options.Model = None,
    model_option: options.ModelOption = None,
    device: options.Device = "auto",
    benchmark: Annotated[
        str, typer.Option(help="Whose annotations: as for `data check` (default: own data).")
    ] = "jsonl",
    split: Annotated[str | None, typer.Option(help="Part of an annotation folder.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many labelled queries.")] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=MOST_SEED, help="Draws the queries that are asked of other videos.")
    ] = 0,
    format: Annotated[Format, typer.Option(help="How to print.")] = Format.table,
) -> None:
    """Fit a model's scores, and when it says that an event is absent, on labelled videos.

    Works for every kind of model. The fit is kept beside the model folder, else in the user's configuration, and
    used by all commands. An interrupted run resumes.
    """
    from ...backends.fitted import keep
    from ...evaluation.calibrate import calibrate as run
    from ...session import chosen, load_unfitted

    extra = model_options(model_option)
    name = chosen(model)
    backend = load_unfitted(name, device=device, **extra)
    with Waiting("asking", counted=True) as waiting, terminal.plain_warnings(terminal.FEW):
        found = run(
            backend,
            annotations,
            videos,
            benchmark=benchmark,
            split=split,
            limit=limit,
            seed=seed,
            progress=waiting.reach,
        )
    place = keep(found.fit, found.identity, backend.name, name)
    document = {"model": backend.name, "file": str(place), **found.fit.describe(), "fitted_on": found.report}
    if format is Format.json:
        terminal.print_json(document)
    else:
        _show(document)
    for video, sentence in found.failed.items():
        terminal.complain(f"Error: {video}: {sentence}")
    if found.failed:
        raise typer.Exit(1)


def _show(document: dict[str, Any]) -> None:
    told = document["fitted_on"]
    terminal.say(
        f"{document['model']}: {quantity(told['queries'], 'labelled query', 'labelled queries')} on "
        f"{quantity(told['videos'], 'video')}"
    )
    numbers = {
        "moment right": (told["right"], told["moments"] - told["right"], told["score_ece"]),
        "event there": (told["present_queries"], told["absent_queries"], told["presence_ece"]),
    }
    rows = [
        (name, str(yes), str(no), f"{error['before']:.1f}", f"{error['after']:.1f}")
        for name, (yes, no, error) in numbers.items()
    ]
    terminal.table(("", "yes", "no", "error before", "after"), rows, left=(0,))
    terminal.say(
        "error: expected calibration error in percent; after: fitted on the other half of the videos"
    )
    terminal.say(f"present told from absent: AUC {told['presence_auc']:.1f}")
    terminal.say(f"written to {document['file']}")


def register(app: typer.Typer) -> None:
    """Add this group's verb to the app."""
    app.command()(calibrate)
