"""Commands that look into how a system answers: ``probe bias``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ... import files
from ...annotations.readers import PROBED
from ...errors import InputError
from ...files import make_folder
from .. import options, terminal
from ..inputs import model_options

if TYPE_CHECKING:
    from ...backends.base import Backend
    from ...evaluation.bias.probe import Report

probe = typer.Typer(
    name="probe", help="Look into how a system answers, beside how well.", no_args_is_help=True
)


@probe.callback()
def _group() -> None:
    """Look into how a system answers, beside how well."""


@probe.command()
def bias(
    benchmark: Annotated[str, typer.Argument(help=f"One of {', '.join(PROBED)}.")],
    *,
    annotations: Annotated[Path, typer.Option(help="The benchmark's file, or the folder of the originals.")],
    out: Annotated[
        Path,
        typer.Option(help="Folder for bias.json, bias.md, bias.png and the answers; a killed run resumes."),
    ],
    videos: Annotated[Path | None, typer.Option(help="Folder with the videos, named by id.")] = None,
    model: options.Model = None,
    model_option: options.ModelOption = None,
    device: options.Device = "auto",
    predictions: Annotated[
        Path | None,
        typer.Option(help="Instead of a model: prediction file of any system, on the true videos."),
    ] = None,
    another: Annotated[
        Path | None, typer.Option(help="With --predictions: the same queries, asked of other videos.")
    ] = None,
    blank: Annotated[
        Path | None, typer.Option(help="With --predictions: the same queries, asked of blank videos.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="What to call the system (default: the model's or the file's name).")
    ] = None,
    compare: Annotated[
        list[Path] | None, typer.Option(help="bias.json of another run to set beside; may be repeated.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Part of an annotation folder.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="With a model: the first so many queries.")] = None,
    lengths: Annotated[
        Path | None, typer.Option(help="Table of video lengths, where annotations and --videos tell none.")
    ] = None,
    format: Annotated[str, typer.Option(help="table, json or markdown.")] = "table",
) -> None:
    """Does a system look at the video, or guess from language? (docs/cli.md)

    Asks about the true videos, other ones and blank ones, and measures how the best windows change.
    """
    from ...evaluation.bias import probe as bias_probe
    from ...evaluation.bias import report as bias_report
    from ...scoring.tables import FORMATS

    if format not in FORMATS:
        raise InputError(f"format is {format!r}, expected one of {', '.join(FORMATS)}.")
    bias_probe.check_benchmark(benchmark)
    files: dict[str, Path] = {}
    chosen = model_options(model_option)
    if predictions is not None:
        if model is not None or chosen or limit is not None or device != "auto":
            raise InputError(
                "--predictions replaces a model; leave out --model, --model-option, --device and --limit."
            )
        files = {"true": predictions}
        files |= {c: file for c, file in (("another", another), ("blank", blank)) if file is not None}
    elif another is not None or blank is not None:
        raise InputError("--another and --blank go with --predictions; give it, or leave them out.")
    elif videos is None:
        raise InputError("a model needs --videos, the folder with the videos; or give --predictions.")
    asked = bias_probe.read_asked(benchmark, annotations, split, lengths, videos, limit)
    others = [bias_report.read_report(file, asked) for file in compare or ()]
    make_folder(out)
    failed: dict[str, str] = {}
    weights = None
    if not files:
        assert videos is not None
        files, failed, backend = _answer(
            benchmark, annotations, videos, out, model, chosen, device, split, limit
        )
        name, weights = name or backend.name, backend.describe().get("weights")
    report = bias_probe.report(
        asked, name or files["true"].stem, files, weights=weights, answered_only=limit is not None
    )
    _write([report, *others], out)
    terminal.say(bias_report.render([report, *others], format))
    for video, sentence in failed.items():
        terminal.complain(f"Error: {video}: {sentence}")
    if failed:
        raise typer.Exit(1)


def _answer(
    benchmark: str,
    annotations: Path,
    videos: Path,
    out: Path,
    model: str | None,
    chosen: dict[str, str],
    device: str,
    split: str | None,
    limit: int | None,
) -> tuple[dict[str, Path], dict[str, str], Backend]:
    """Prediction files by condition, videos that failed, and the model."""
    from ...evaluation.bias.probe import answer
    from ...session import load
    from ..terminal import FEW, plain_warnings
    from ..waiting import Waiting

    backend = load(model, device=device, **chosen)
    with Waiting(f"answering {benchmark}", counted=True) as waiting, plain_warnings(FEW):
        found = answer(
            benchmark, backend, annotations, videos, out, split=split, limit=limit, progress=waiting.reach
        )
    return (*found, backend)


def _write(reports: list[Report], out: Path) -> None:
    """The first report as JSON, all of them as a table and as a picture."""
    from ...evaluation.bias.report import JSON, PICTURE, TABLE, names, render, to_json
    from ...plot.bias import plot_bias

    files.write_text(out / JSON, to_json(reports[0]) + "\n")
    files.write_text(out / TABLE, f"{render(reports, 'markdown')}\n\n![windows]({PICTURE})\n")
    plot_bias(reports, names(reports), out / PICTURE)


def register(app: typer.Typer) -> None:
    """Add this group's verbs to the app."""
    app.add_typer(probe)
