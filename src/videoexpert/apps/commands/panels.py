"""``videoexpert panels``: what systems answer, one above the other, as pictures (paper Figs. 6 and 7)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ... import files
from ...annotations.readers import DRAWN
from ...errors import InputError, VideoExpertError
from ...limits import MOST_SEED
from .. import options
from ..terminal import FEW, Format, complain, plain_warnings, print_json, say
from ..waiting import Waiting

if TYPE_CHECKING:
    from ...evaluation.panels import PanelVideo, SystemFiles


def panels(
    benchmark: Annotated[
        str,
        typer.Argument(help=f"One of {', '.join(DRAWN)}."),
    ],
    *,
    annotations: Annotated[Path, typer.Option(help="The benchmark's file, or the folder of the originals.")],
    videos: Annotated[Path, typer.Option(help="Folder with the videos, named by id.")],
    predictions: Annotated[
        list[Path], typer.Option(help="Prediction file (docs/predictions.md); repeat it for more systems.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for one PNG a video, and panels.json.")],
    name: Annotated[
        list[str] | None, typer.Option(help="Name of each system, in the order of --predictions.")
    ] = None,
    answers: Annotated[
        list[Path] | None, typer.Option(help="nextgqa: result file with the answers of each system.")
    ] = None,
    questions: Annotated[Path | None, typer.Option(help="nextgqa: CSV of the questions.")] = None,
    split: Annotated[str | None, typer.Option(help="Part of the annotations.")] = None,
    video: Annotated[
        list[str] | None, typer.Option(help="Show this video; may be repeated (default: drawn by lot).")
    ] = None,
    count: Annotated[
        int | None, typer.Option(min=1, help="How many videos to draw by lot (default: 6).")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=MOST_SEED, help="Seed of the lot (default: 0).")
    ] = None,
    queries: Annotated[int, typer.Option(min=1, help="Most queries of a video, the first in the file.")] = 4,
    format: options.Printed = Format.table,
) -> None:
    """Draw what systems answer to a benchmark's videos, beside what is annotated.

    The videos are drawn by lot, not chosen. Exit code 1 where one of them cannot be read; the others are drawn.
    """
    from ...evaluation.panels import select

    if video and (count is not None or seed is not None):
        raise InputError(
            "--count and --seed are for videos drawn by lot; leave them out, or leave out --video."
        )
    systems = _systems(predictions, name or [], answers or [])
    selection = select(
        benchmark,
        annotations,
        videos,
        systems,
        split=split,
        questions=questions,
        named=video or (),
        count=6 if count is None else count,
        seed=seed or 0,
        most=queries,
    )
    files.make_folder(out)
    rows: list[dict[str, Any]] = []
    failed = 0
    with Waiting("drawing", len(selection.videos)) as waiting, plain_warnings(FEW):
        for shown in selection.videos:
            picture = out / f"{re.sub(r'[^A-Za-z0-9._-]', '_', shown.video)}.png"
            try:
                _draw(shown, picture)
            except VideoExpertError as error:
                failed += 1
                with waiting.paused():
                    complain(f"Error: {error}")
            else:
                rows.append({"video": shown.video, "picture": picture.name, "ids": list(shown.ids)})
                if format is Format.table:
                    with waiting.paused():
                        say(str(picture))
            waiting.advance()
    document = {
        "benchmark": benchmark,
        "systems": {system.name: str(system.predictions) for system in systems},
        "rule": selection.rule,
        "videos": rows,
    }
    files.write_json(out / "panels.json", document)
    if format is Format.json:
        print_json(document)
    complain(f"{selection.rule}.")
    if failed:
        raise typer.Exit(1)


def _systems(predictions: list[Path], names: list[str], answers: list[Path]) -> list[SystemFiles]:
    from ...evaluation.panels import SystemFiles

    for option, given in (("--name", names), ("--answers", answers)):
        if given and len(given) != len(predictions):
            raise InputError(
                f"there are {len(given)} of {option} and {len(predictions)} of --predictions; give one for each, "
                "or none."
            )
    used = names or [file.stem if len(predictions) == 1 else str(file) for file in predictions]
    if len(set(used)) < len(used):
        raise InputError(f"the systems are called {', '.join(used)}; give each a --name of its own.")
    second: list[Path | None] = [*answers] if answers else [None] * len(predictions)
    return [SystemFiles(n, p, a) for n, p, a in zip(used, predictions, second, strict=True)]


def _draw(shown: PanelVideo, picture: Path) -> None:
    from ...evaluation.panels import length
    from ...plot.comparison import plot_comparison
    from ...windows import CLIP_S

    start, duration = length(shown)
    notes = []
    if shown.left_out:
        notes.append(f"the first {len(shown.items)} of {len(shown.items) + shown.left_out} queries")
    if any(voice.saliency for item in shown.items for voice in item.systems):
        notes.append("bars: saliency, each system's lowest to highest")
    plot_comparison(shown.path, shown.items, duration, start, picture, clip_s=CLIP_S, note="; ".join(notes))


def register(app: typer.Typer) -> None:
    """Add this group's verbs to the app."""
    app.command()(panels)
