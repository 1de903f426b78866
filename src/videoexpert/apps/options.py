"""Options that several commands share, each written once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..export import FORMATS

TABLE = "table"


def _known_format(name: str | None) -> str | None:
    if name is not None and name not in (TABLE, *FORMATS):
        raise typer.BadParameter(f"{name!r} is not one of {TABLE}, {', '.join(FORMATS)}.")
    return name


Model = Annotated[
    str | None,
    typer.Option(
        help="Model folder, hub id, or http://HOST:PORT/v1#NAME of a server (default: that of `models use`)."
    ),
]
ModelOption = Annotated[
    list[str] | None,
    typer.Option(
        "--model-option",
        metavar="NAME=VALUE",
        help="An option of the model, such as fps=1 or dtype=bfloat16; repeatable (docs/real-videos.md).",
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]
Frames = Annotated[int | None, typer.Option(min=1, help="Frames to look at (default: the model's).")]
Window = Annotated[
    str,
    typer.Option(
        metavar="auto|SECONDS|off",
        help="Look at long videos in windows of so many seconds; auto: of the model's training length, for videos "
        "over twice that (docs/long-videos.md).",
    ),
]
Overlap = Annotated[
    float | None,
    typer.Option(help="Seconds that a window shares with the one before (default: a quarter of it)."),
]
Start = Annotated[float | None, typer.Option(help="Look from this second on.")]
End = Annotated[float | None, typer.Option(help="Look until this second.")]
TopK = Annotated[int, typer.Option(min=1, help="Most moments a query.")]
Plot = Annotated[
    Path | None,
    typer.Option(metavar="FILE.png", help="Draw the answer; of several videos FILE-1.png, FILE-2.png."),
]
HowToPrint = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="FORMAT",
        callback=_known_format,
        help=f"{TABLE} (default), {', '.join(FORMATS)}; docs/exports.md describes them.",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Write the answer here; its ending says the format. A folder gets a file a video.",
    ),
]
Rate = Annotated[
    str | None,
    typer.Option(
        metavar="FPS", help="Frames a second of formats for editors: 25, 29.97df (default: the video's)."
    ),
]
StartTimecode = Annotated[
    str | None,
    typer.Option(
        metavar="HH:MM:SS:FF",
        help="Where the editor's timeline starts; a semicolon before FF means drop frame.",
    ),
]
