"""Options that several commands share, each written once."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from ..errors import InputError
from ..export import FORMATS

if TYPE_CHECKING:
    from ..cluster import Cluster
from .inputs import as_seconds
from .terminal import Format

TABLE = "table"


def seconds(text: str | float) -> float:
    """A time of the command line, or a default. Raises typer.BadParameter."""
    try:
        found = as_seconds(str(text))
    except InputError as error:
        raise typer.BadParameter(str(error)) from error
    if found < 0:
        raise typer.BadParameter(f"a time is {found:g} s, expected 0 or more seconds.")
    return found


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
Verify = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL",
        help="A second model that decides inside the moments that --model proposes (docs/real-videos.md).",
    ),
]
VerifyOption = Annotated[
    list[str] | None,
    typer.Option("--verify-option", metavar="NAME=VALUE", help="An option of that second model; repeatable."),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]
Frames = Annotated[int | None, typer.Option(min=1, help="Frames to look at (default: the model's).")]
Window = Annotated[
    str,
    typer.Option(
        metavar="auto|TIME|off",
        help="Look at long videos in windows of this length; auto: of the model's training length, for videos "
        "over twice that (docs/long-videos.md).",
    ),
]
Overlap = Annotated[
    float | None,
    typer.Option(
        parser=seconds,
        metavar="TIME",
        help="What a window shares with the one before (default: a quarter of it).",
    ),
]
Start = Annotated[
    float | None,
    typer.Option(
        parser=seconds, metavar="TIME", help="Look from this time on, in seconds or h:mm:ss: 90 or 1:30."
    ),
]
End = Annotated[float | None, typer.Option(parser=seconds, metavar="TIME", help="Look until this time.")]
TopK = Annotated[
    int | None,
    typer.Option(min=1, help="Number of moments per query (default: up to five, those close to the best)."),
]
MinScore = Annotated[float, typer.Option(min=0, max=1, help="Leave out moments that score less.")]
Recursive = Annotated[bool, typer.Option("--recursive", help="Include the videos in subfolders.")]
Queries = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Text file with further sentences, one per line.")
]
Plot = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.png",
        help="Draw the answer: .png, .svg or .pdf; of several videos FILE-1.png, FILE-2.png.",
    ),
]
Printed = Annotated[Format, typer.Option("--format", help="How to print: table or json.")]
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
        help="Write the answer to this file; the ending sets the format. A folder gets one file per video.",
    ),
]
Rate = Annotated[
    str | None,
    typer.Option(
        metavar="FPS", help="Frames per second in formats for editors: 25, 29.97df (default: the video's)."
    ),
]
StartTimecode = Annotated[
    str | None,
    typer.Option(
        metavar="HH:MM:SS:FF",
        help="Where the editor's timeline starts; a semicolon before FF means drop frame.",
    ),
]
Ray = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Spread the work over a Ray cluster: its address, auto for the one on this machine, or local for one of "
        "its own (docs/library.md).",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(min=1, help="With --ray: most workers at a time (default: one for each GPU, or core)."),
]


def cluster(ray: str | None, workers: int | None) -> Cluster | None:
    """The cluster that the options name. Raises InputError for workers without one."""
    from ..cluster import Cluster

    if ray is None:
        if workers is not None:
            raise InputError("--workers belongs to --ray; leave it out, or name a cluster.")
        return None
    return Cluster(ray, workers)


@dataclass(frozen=True)
class Looking:
    """What all commands that ask about videos take: the model, how it looks, and where the answer goes."""

    model: Model = None
    model_option: ModelOption = None
    device: Device = "auto"
    frames: Frames = None
    recursive: Recursive = False
    window: Window = "auto"
    overlap: Overlap = None
    start: Start = None
    end: End = None
    format: HowToPrint = None
    out: Out = None
    rate: Rate = None
    start_timecode: StartTimecode = None
    plot: Plot = None


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """The command as typer sees it: each field of its dataclass parameters is an option of its own."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: kind for name, kind in hints.items() if is_dataclass(kind)}
    shown: list[inspect.Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        group = groups.get(parameter.name)
        if group is None:
            shown.append(parameter.replace(annotation=hints[parameter.name]))
            continue
        kinds = get_type_hints(group, include_extras=True)
        shown += [
            inspect.Parameter(
                field.name, parameter.KEYWORD_ONLY, default=field.default, annotation=kinds[field.name]
            )
            for field in fields(group)
        ]

    @wraps(command)
    def spelled_out(**given: Any) -> None:
        for name, group in groups.items():
            given[name] = group(**{field.name: given.pop(field.name) for field in fields(group)})
        command(**given)

    del spelled_out.__wrapped__  # its signature is not what the shell may say
    spelled_out.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    spelled_out.__annotations__ = {parameter.name: parameter.annotation for parameter in shown}
    return spelled_out
