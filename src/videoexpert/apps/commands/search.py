"""``videoexpert search``: moments across the videos of a library, printed or in any format of ``export``."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...errors import InputError
from ...export import answers_json
from ...files import write_text
from ...files.remote import is_address
from .. import options
from ..exporting import Exporter, Target, target
from ..inputs import Inputs, as_seconds, check_picture
from ..known import open_library
from ..terminal import ABSENT, complain, print_json, say, table
from .library import Device, Folder, Method, Model, Rate

if TYPE_CHECKING:
    from ...library.find import Filter, Library, Page


def search(
    library: Folder,
    queries: Annotated[
        list[str] | None, typer.Argument(metavar="QUERY", help="Sentences, each in quotes.")
    ] = None,
    *,
    model: Model = None,
    device: Device = "auto",
    rate: Rate = 1.0,
    top: Annotated[int, typer.Option(min=1, max=1000, help="Most moments a query.")] = 10,
    method: Method = "hybrid",
    within: Annotated[
        str | None, typer.Option("--in", metavar="GLOB", help="Only videos whose path matches.")
    ] = None,
    after: Annotated[
        str | None, typer.Option(metavar="DATE", help="Only files changed since (2026-01-31).")
    ] = None,
    before: Annotated[str | None, typer.Option(metavar="DATE", help="Only files changed before.")] = None,
    min_duration: Annotated[
        float,
        typer.Option(
            parser=options.seconds,
            metavar="TIME",
            help="Only videos at least this long: 90 or 1:30.",
        ),
    ] = 0.0,
    like: Annotated[
        str | None, typer.Option(metavar="IMAGE|VIDEO@TIME", help="Moments that look like this picture.")
    ] = None,
    cursor: Annotated[
        str | None,
        typer.Option(help="The next page: the cursor that --format json printed with the one before."),
    ] = None,
    format: options.HowToPrint = None,
    out: options.Out = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.png", help="Draw a picture of every moment in a grid: .png, .svg or .pdf."
        ),
    ] = None,
) -> None:
    """Find moments across all videos of a library."""
    if bool(queries) == bool(like):
        raise InputError("give sentences to search for, or --like a picture; one of the two.")
    if cursor is not None and len(queries or ()) > 1:
        raise InputError("--cursor belongs to one sentence; give one.")
    if plot is not None:
        check_picture(plot)
    chosen = _filter(within, after, before, min_duration)
    from ...session import load

    where = target(format, out, None, None, Inputs((), (), False))
    found = open_library(library, load(model, device=device), rate)
    if like:
        pages = [found.search_like(_embedding(found, like), top=top, filter=chosen, cursor=cursor)]
    else:
        how: dict[str, Any] = {"top": top, "method": method, "filter": chosen, "cursor": cursor}
        pages = [found.search(query, **how) for query in queries or ()]
    if plot is not None:
        from ...plot.hits import plot_hits

        complain(f"drawn in {plot_hits(pages, like or '', plot)}")
    if where.format is None:
        for page in pages:
            _show(page, like or "")
        return
    model_name = found.expert.name if found.expert is not None else str(found.encoder.fields["name"])
    told: dict[str, Any] = {"library": str(library), "model": model_name}
    told |= {"queries": [document(page) for page in pages]} | ({"like": like} if like else {})
    _export(told, where)


def _export(told: dict[str, Any], where: Target) -> None:
    """The object itself as JSON; in other formats, and in a folder, what ``ground`` would say of each video."""
    assert where.format is not None
    if where.format.name == "json" and not where.folder:
        if where.out is None:
            print_json(told)
        else:
            write_text(where.out, json.dumps(told, indent=2, ensure_ascii=False) + "\n")
            complain(f"written to {where.out}")
        return
    found = answers_json.read(told, "search")
    videos = tuple(item.video for item in found.answers)
    # only now it is known how many there are
    several = len(videos) > 1 or where.format.many
    where = target(where.format.name, where.out, None, None, Inputs(videos, (), several))
    if not videos:
        complain("nothing was found; nothing was written.")
        return
    exporter = Exporter(where, several)
    for item in found.answers:
        exporter.add(item)
    exporter.close()


def document(page: Page) -> dict[str, Any]:
    """The JSON of a page of hits."""
    hits = [
        {key: round(value, 4) if isinstance(value, float) else value for key, value in asdict(hit).items()}
        for hit in page.hits
    ]
    return {**page.head, "results": hits, "cursor": page.cursor}


def _show(page: Page, like: str) -> None:
    from ...export.text import clock, not_understood

    say(f'"{page.query}"' if page.query else f"like {like}")
    if page.unknown_words:
        say(f"   {not_understood(page.unknown_words)}: what looks like it is a guess", ABSENT)
    if not page.hits:
        say("   nothing found")
        return
    folder, names = under([hit.path for hit in page.hits])
    if folder:
        say(f"   in {folder}", "dim")
    rows = [
        (
            f"{hit.score:.2f}",
            clock(hit.start, hit.duration),
            clock(hit.end, hit.duration),
            name,
            hit.text or "",
        )
        for hit, name in zip(page.hits, names, strict=True)
    ]
    table(("score", "start", "end", "video", "words"), rows, left=(3, 4))
    guessed = sum(hit.familiar is False for hit in page.hits)
    if guessed:
        these = "all" if guessed == len(page.hits) else f"{guessed} of {len(page.hits)}"
        say(f"   {these} are guesses: the model was never shown videos like these", ABSENT)


def under(paths: Sequence[str]) -> tuple[str, list[str]]:
    """The folder that holds all paths, and what is left of each: long paths are told once. "" where none does."""
    cut = [path.split("/" if is_address(path) else os.sep)[:-1] for path in paths]
    common = [parts[0] for parts in takewhile(lambda parts: len(set(parts)) == 1, zip(*cut, strict=False))]
    if not any(common) or not common[-1]:
        return "", list(paths)
    folder = paths[0][: sum(len(part) + 1 for part in common) - 1]
    return folder, [path[len(folder) + 1 :] for path in paths]


def _filter(within: str | None, after: str | None, before: str | None, min_duration: float) -> Filter:
    from ...library.find import Filter

    return Filter(within, min_duration, _date(after, "--after"), _date(before, "--before"))


def _date(text: str | None, option: str) -> float | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise InputError(
            f"{option} is {text!r}, expected a date such as 2026-01-31 or 2026-01-31T18:00."
        ) from None


def _embedding(library: Library, like: str) -> Any:
    """The (C,) embedding of a picture file, or of a video's picture at VIDEO@SECONDS."""
    import numpy as np
    import torch
    from PIL import Image, UnidentifiedImageError

    from ...video import read_frames

    moment = re.fullmatch(r"(.+)@([\d.:]+)", like)
    if moment and not Path(like).exists():
        time = as_seconds(moment[2])
        pixels = read_frames(moment[1], 1, start_s=time, end_s=time + 0.1).pixels
    else:
        try:
            with Image.open(like) as image:
                image.draft("RGB", (1024, 1024))
                pixels = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)[None]
        except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
            raise InputError(f"--like {like!r} is neither a readable picture nor VIDEO@TIME.") from error
    return library.encoder.encode_images(pixels)[0].numpy()


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(search)
