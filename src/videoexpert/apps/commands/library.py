"""``videoexpert index``, ``search`` and ``library``: many videos."""

from __future__ import annotations

import re
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...errors import InputError
from .. import options
from ..inputs import as_seconds
from ..output import Format, Speed, Waiting, complain, print_json, say, table

if TYPE_CHECKING:
    from ...library.build import Tools
    from ...library.find import Filter, Library, Page

Folder = Annotated[Path, typer.Argument(metavar="LIBRARY", help="Folder of the library.")]
Model = Annotated[
    str | None,
    typer.Option(help="Model folder, hub id or contrastive:NAME (default: the model in the package)."),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]
Rate = Annotated[float, typer.Option(help="Pictures a second that are kept for search.")]


def index(
    folders: Annotated[
        list[str], typer.Argument(metavar="FOLDER...", help="Folders of videos, or single files.")
    ],
    library: Annotated[Path, typer.Option(help="Folder of the library; made where there is none.")],
    model: Model = None,
    device: Device = "auto",
    rate: Rate = 1.0,
    captions: Annotated[
        bool, typer.Option("--captions", help="Let the model describe each video, too.")
    ] = False,
    retry: Annotated[bool, typer.Option("--retry", help="Try videos again that failed before.")] = False,
    ray: options.Ray = None,
    workers: options.Workers = None,
    format: options.Printed = Format.table,
) -> None:
    """Index videos for search, each once; run it again after adding, moving or removing some."""
    from functools import partial

    from ...library.build import index as run
    from ...library.captions import captions_of
    from ...library.encoders import encoder_of
    from ...session import load

    cluster = options.cluster(ray, workers)
    backend = load(model, device=device)
    encoder = encoder_of(backend, rate)
    with Waiting("indexing", counted=True) as waiting:
        speed = Speed(waiting, "indexing")
        done = run(
            folders,
            library,
            encoder,
            captions=captions_of(backend) if captions else None,
            retry=retry,
            cluster=cluster,
            make=partial(_tools, model, device, rate, captions),
            progress=speed.reach,
        )
    for path, reason in sorted(done.failed.items()):
        complain(f"{path}: {reason}")
    if format is Format.json:
        print_json({"library": str(library), **asdict(done)})
    else:
        say(
            f"{library}: {done.found} videos found, {done.encoded} encoded ({speed.told(done.seconds)}), "
            f"{done.removed} gone, {len(done.failed)} failed"
        )
    if done.failed:
        raise typer.Exit(1)


def _tools(model: str | None, device: str, rate: float, captions: bool) -> Tools:
    """What a worker of a cluster encodes with; it may run on another machine."""
    from ...library.build import Tools
    from ...library.captions import captions_of
    from ...library.encoders import encoder_of
    from ...session import load

    backend = load(model, device=device)
    return Tools(encoder_of(backend, rate), captions_of(backend) if captions else None)


def search(
    library: Folder,
    queries: Annotated[
        list[str] | None, typer.Argument(metavar="QUERY...", help="Sentences, each in quotes.")
    ] = None,
    model: Model = None,
    device: Device = "auto",
    rate: Rate = 1.0,
    top: Annotated[int, typer.Option(min=1, max=1000, help="Most moments a query.")] = 10,
    method: Annotated[str, typer.Option(help="recall, rerank, text or hybrid.")] = "hybrid",
    within: Annotated[
        str | None, typer.Option("--in", metavar="GLOB", help="Only videos whose path matches.")
    ] = None,
    after: Annotated[
        str | None, typer.Option(metavar="DATE", help="Only files changed since (2026-01-31).")
    ] = None,
    before: Annotated[str | None, typer.Option(metavar="DATE", help="Only files changed before.")] = None,
    min_duration: Annotated[
        float, typer.Option(parser=options.seconds, metavar="TIME", help="Only videos at least this long.")
    ] = 0.0,
    like: Annotated[
        str | None, typer.Option(metavar="IMAGE|VIDEO@TIME", help="Moments that look like this picture.")
    ] = None,
    format: options.Printed = Format.table,
) -> None:
    """Find moments across all videos of a library."""
    if bool(queries) == bool(like):
        raise InputError("give sentences to search for, or --like a picture; one of the two.")
    chosen = _filter(within, after, before, min_duration)
    found = _open(library, model, device, rate)
    if like:
        pages = [found.search_like(_embedding(found, like), top=top, filter=chosen)]
    else:
        pages = [found.search(query, top=top, method=method, filter=chosen) for query in queries or ()]
    if format is Format.json:
        print_json({"library": str(library), "queries": [document(page) for page in pages]})
        return
    for page in pages:
        _show(page, like or "")


def document(page: Page) -> dict[str, Any]:
    """The JSON of a page of hits."""
    hits = [
        {key: round(value, 4) if isinstance(value, float) else value for key, value in asdict(hit).items()}
        for hit in page.hits
    ]
    return {"query": page.query, "results": hits, "cursor": page.cursor}


def _show(page: Page, like: str) -> None:
    from ...export.text import clock

    say(f'"{page.query}"' if page.query else f"like {like}")
    if not page.hits:
        say("   nothing found")
        return
    rows = [
        (
            f"{hit.score:.2f}",
            clock(hit.start, hit.duration),
            clock(hit.end, hit.duration),
            hit.path,
            hit.text or "",
        )
        for hit in page.hits
    ]
    table(("score", "start", "end", "video", "words"), rows, left=(3, 4))


def _open(library: Path, model: str | None, device: str, rate: float) -> Library:
    from ...backends.expert import Expert
    from ...library.encoders import encoder_of
    from ...library.find import Library
    from ...session import load

    backend = load(model, device=device)
    return Library(library, encoder_of(backend, rate), backend if isinstance(backend, Expert) else None)


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


care = typer.Typer(no_args_is_help=True, help="Look after a library: info, verify, remove, gc, duplicates.")


@care.command()
def info(library: Folder, format: options.Printed = Format.table) -> None:
    """How many videos, hours and bytes; which encoders; what failed and why."""
    from ...library import care as work

    found = work.info(library)
    if format is Format.json:
        print_json(asdict(found))
        return
    say(
        f"{found.videos} videos in {found.files} files, {found.hours:.2f} h, {found.frames} frames, "
        f"{found.bytes / 1e6:.1f} MB"
    )
    for encoder in found.encoders:
        say(f"encoder {encoder['name']}, {encoder.get('rate', 0):g} pictures a second")
    for path, reason in sorted(found.failed.items()):
        say(f"failed: {path}: {reason}")


@care.command()
def verify(
    library: Folder,
    repair: Annotated[
        bool, typer.Option("--repair", help="Take damaged videos off, to be indexed again.")
    ] = False,
    format: options.Printed = Format.table,
) -> None:
    """Read every shard and the manifest; exit code 1 where something is damaged."""
    from ...library import care as work

    found = work.verify(library, repair=repair)
    if format is Format.json:
        print_json({"damaged": list(found), "taken_off": bool(found) and repair})
    else:
        for sentence in found:
            say(sentence)
        repaired = ", taken off: index again" if repair else ""
        say(f"{len(found)} damaged{repaired}" if found else "nothing is damaged")
    if found:
        raise typer.Exit(1)


@care.command()
def remove(
    library: Folder,
    videos: Annotated[list[str], typer.Argument(help="Files to remove from the library; they stay on disk.")],
    format: options.Printed = Format.table,
) -> None:
    """Remove videos from a library."""
    from ...library import care as work

    count = work.remove(library, videos)
    if format is Format.json:
        print_json({"taken_off": count})
    else:
        say(f"{count} taken off")


@care.command()
def gc(library: Folder, format: options.Printed = Format.table) -> None:
    """Free the space of videos whose files are gone."""
    from ...library import care as work

    given_back = work.gc(library)
    if format is Format.json:
        print_json({"bytes_given_back": given_back})
    else:
        say(f"{given_back / 1e6:.1f} MB given back")


@care.command()
def duplicates(
    library: Folder,
    model: Model = None,
    device: Device = "auto",
    rate: Rate = 1.0,
    format: options.Printed = Format.table,
) -> None:
    """List near-duplicate videos."""
    from ...library import care as work

    found = _open(library, model, device, rate)
    groups = work.duplicates(library, found.number, found.encoder.width)
    if format is Format.json:
        print_json({"groups": [list(group) for group in groups]})
        return
    for group in groups:
        say("\n   ".join(group))


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(index)
    app.command()(search)
    app.add_typer(care, name="library")
