"""``videoexpert watch``: standing queries over a video that is still coming in; one line per moment as it closes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...errors import InputError, UnsupportedError
from ...export.text import clock
from ...files.logs import append_lines
from .. import options, terminal
from ..inputs import as_window, model_options
from ..startup import lighten
from ..waiting import Waiting

if TYPE_CHECKING:
    from ...backends.watch import Sighting

JSONL = "jsonl"


def watch(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A video file that is being written, - for standard input, or, with --allow-network, an http, https "
            "or rtsp address.",
        ),
    ],
    queries: Annotated[list[str], typer.Argument(metavar="QUERY", help="Sentences, each in quotes.")],
    *,
    model: options.Model = None,
    model_option: options.ModelOption = None,
    device: options.Device = "auto",
    frames: options.Frames = None,
    window: Annotated[
        str,
        typer.Option(
            metavar="auto|TIME", help="Seconds looked at in one piece; auto: the model's training length."
        ),
    ] = "auto",
    overlap: options.Overlap = None,
    above: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Presence from which a moment is reported (default: the model's threshold of absence).",
        ),
    ] = None,
    keep: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Presence at which it still lasts (default: half of --above)."),
    ] = None,
    idle: Annotated[
        float,
        typer.Option(
            parser=options.seconds,
            metavar="TIME",
            help="A file that has not grown for so many seconds is finished.",
        ),
    ] = 10.0,
    allow_network: Annotated[
        bool, typer.Option("--allow-network", help="Read from an address; without it nothing is.")
    ] = False,
    format: Annotated[str, typer.Option(help=f"{options.TABLE} or {JSONL}, on stdout.")] = options.TABLE,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.jsonl", help="Append JSON lines to this file.")
    ] = None,
) -> None:
    """Watch a video that is still coming in and report each moment of a sentence when it is over (docs/watch.md)."""
    if format not in (options.TABLE, JSONL):
        raise InputError(f"format is {format!r}, expected {options.TABLE} or {JSONL}.")
    chosen = model_options(model_option)
    seconds = as_window(window)
    lighten(model)
    from ...session import load

    backend = load(model, device=device, **chosen)
    begin = getattr(backend, "watch", None)
    if begin is None:
        raise UnsupportedError(f"{backend.name} cannot watch; use a VideoExpert model.")
    with Waiting("watching") as waiting:

        def progress(until: float) -> None:
            waiting.say(f"watched {until / 60:.1f} min")

        found = begin(
            source,
            queries,
            window=seconds,
            overlap=overlap,
            num_frames=frames,
            above=above,
            keep=keep,
            network=allow_network,
            idle_s=idle,
            progress=progress,
        )
        for sighting in found:
            with waiting.paused():
                _tell(sighting, format, out)


def _tell(sighting: Sighting, format: str, out: Path | None) -> None:
    """One line, at once."""
    moment = sighting.moment
    row = {
        "query": sighting.query,
        "start": round(moment.start, 3),
        "end": round(moment.end, 3),
        "score": round(moment.score, 4),
        "presence": round(sighting.presence, 4),
        "seen_until": round(sighting.seen_until, 3),
    }
    line = json.dumps(row, ensure_ascii=False)
    if format == JSONL:
        print(terminal.json_for(sys.stdout, line), flush=True)
    else:
        times = " to ".join(clock(edge, sighting.seen_until) for edge in (moment.start, moment.end))
        terminal.say(f'{times}  {moment.score:.2f}  "{sighting.query}"')
        sys.stdout.flush()
    if out is not None:
        append_lines(out, line + "\n")


def register(app: typer.Typer) -> None:
    """Add this group's verb to the app."""
    app.command()(watch)
