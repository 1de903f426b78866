"""``videoexpert index`` and ``library``: many videos."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...escapes import quantity
from .. import options
from ..clipping import NOTHING, padded
from ..inputs import check_reel
from ..known import open_library
from ..terminal import Format, complain, plain_warnings, print_json, say
from ..waiting import Speed, Waiting

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ...library.build import Tools
    from ...library.encoders import LibraryEncoder
    from ...library.find import Hit
    from ...video.encode import Span

Folder = Annotated[Path, typer.Argument(metavar="LIBRARY", help="Folder of the library.")]
Model = Annotated[
    str | None,
    typer.Option(help="Model folder, hub id or contrastive:NAME (default: the model in the package)."),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]
NAMES = 5  # files that are named of those left out for one reason
Method = Annotated[str, typer.Option(help="recall, rerank, text or hybrid.")]
Rate = Annotated[float, typer.Option(help="Pictures a second that are kept for search.")]


def index(
    folders: Annotated[
        list[str],
        typer.Argument(metavar="FOLDER", help="Folders of videos, single files, or addresses (s3://...)."),
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
    with Waiting("indexing", counted=True) as waiting, plain_warnings():
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
        complain(reason if path in reason else f"{path}: {reason}")
    graph = _graph(library, encoder)
    if format is Format.json:
        print_json({"library": str(library), **asdict(done), "graph": graph})
    else:
        say(
            f"{library}: {quantity(done.found, 'video')} found, {done.encoded} encoded ({speed.told(done.seconds)}), "
            f"{done.removed} gone, {len(done.failed)} failed"
        )
        for line in _skipped(done.skipped):
            say(line)
        if graph is not None:
            say(_told(graph))
    if done.failed:
        raise typer.Exit(1)


def _graph(library: Path, encoder: LibraryEncoder) -> dict[str, Any] | None:
    """What was built where the library is large; without usearch searches stay exact."""
    from ...errors import DependencyError
    from ...library.build import build_graph

    try:
        with Waiting("building the search graph", counted=True) as waiting:
            return build_graph(library, encoder, waiting.reach)
    except DependencyError as error:
        complain(f"Warning: {error} Until then each search reads all pictures.")
        return None


def _told(graph: dict[str, Any]) -> str:
    if graph["breadth"] is None:
        return f"the search graph finds {graph['recall']:.1%} of the nearest pictures: too few, so search stays exact"
    return (
        f"search graph of {graph['rows']:,} pictures: a search reads {graph['breadth']:,} and finds "
        f"{graph['recall']:.1%} of the nearest"
    )


def _skipped(reasons: dict[str, str]) -> list[str]:
    """Files that are not videos, one line per reason; --format json has every path."""
    by_reason: dict[str, list[str]] = {}
    for path, reason in reasons.items():
        by_reason.setdefault(reason, []).append(Path(path).name)
    lines = []
    for reason, names in by_reason.items():
        more = f" and {len(names) - NAMES} more" if len(names) > NAMES else ""
        lines.append(f"left out, {reason}: {', '.join(names[:NAMES])}{more}")
    return lines


def _tools(model: str | None, device: str, rate: float, captions: bool) -> Tools:
    """What a worker of a cluster encodes with; it may run on another machine."""
    from ...library.build import Tools
    from ...library.captions import captions_of
    from ...library.encoders import encoder_of
    from ...session import load

    backend = load(model, device=device)
    return Tools(encoder_of(backend, rate), captions_of(backend) if captions else None)


care = typer.Typer(
    no_args_is_help=True, help="Look after a library: info, verify, remove, gc, duplicates, export, reel."
)


@care.command()
def info(library: Folder, format: options.Printed = Format.table) -> None:
    """How many videos, hours and bytes; which encoders; what failed and why."""
    from ...library import care as work

    found = work.info(library)
    if format is Format.json:
        print_json(asdict(found))
        return
    say(
        f"{quantity(found.videos, 'video')} in {quantity(found.files, 'file')}, {found.hours:.2f} h, "
        f"{quantity(found.frames, 'frame')}, "
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
    """Free the space of videos whose files no longer exist."""
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
    from ...session import load

    found = open_library(library, load(model, device=device), rate)
    groups = work.duplicates(library, found.number, found.encoder.width)
    if format is Format.json:
        print_json({"groups": [list(group) for group in groups]})
        return
    for group in groups:
        say("\n   ".join(group))
    if not groups:
        say("no two videos show the same")


def moments_of(
    hits: Iterable[Hit], pad: float, fetched: ExitStack
) -> tuple[list[tuple[str, Span]], list[str]]:
    """Each hit's video and what to cut of it, ``pad`` seconds wider as far as it goes; and files that are gone.

    Videos in an object store stay ``fetched`` until that ends.
    """
    from ...files.remote import is_address, local
    from ...video.encode import Span
    from ...video.glance import glance

    cuts: list[tuple[str, Span]] = []
    gone: list[str] = []
    files: dict[str, str] = {}
    for hit in hits:
        there = [path for path in (hit.path, *hit.copies) if is_address(path) or Path(path).is_file()]
        if not there:
            gone.append(hit.path)
            continue
        video = there[0]
        if video not in files:
            files[video] = str(fetched.enter_context(local(video)))
        span = padded(hit.start, hit.end, pad, glance(files[video]).duration_s)
        cuts.append((video, Span(files[video], *span)))
    return cuts, gone


@care.command()
def export(
    library: Folder,
    out: Annotated[
        str,
        typer.Option(metavar="FOLDER", help="A new folder or address (s3://...), or an export to replace."),
    ],
    format: options.Printed = Format.table,
) -> None:
    """Write a library as plain files: JSON lines of its videos and words, numpy arrays of its embeddings."""
    from ...library.export import export as run

    counts = run(library, out)
    if format is Format.json:
        print_json({"out": out, **counts})
    else:
        say(
            f"{out}: {quantity(counts['videos'], 'video')}, {quantity(counts['rows'], 'embedding')}, "
            f"{quantity(counts['texts'], 'text')}"
        )


@care.command()
def reel(
    library: Folder,
    query: Annotated[str, typer.Argument(help="A sentence, in quotes.")],
    out: Annotated[Path, typer.Option(metavar="FILE.mp4", help="The video to write.")],
    model: Model = None,
    device: Device = "auto",
    rate: Rate = 1.0,
    top: Annotated[int, typer.Option(min=1, max=100, help="Most moments.")] = 5,
    method: Method = "hybrid",
    pad: Annotated[
        float,
        typer.Option(
            parser=options.seconds, metavar="TIME", help="To add at both ends, in seconds or h:mm:ss."
        ),
    ] = 0.0,
    format: options.Printed = Format.table,
) -> None:
    """Cut the best moments of all videos for a sentence into one video, the best first."""
    from ...session import load
    from ...video.encode import encode_spans

    check_reel("--out", out)
    found = open_library(library, load(model, device=device), rate)
    hits = found.search(query, top=top, method=method).hits
    with ExitStack() as fetched:
        cuts, gone = moments_of(hits, pad, fetched)
        for path in gone:
            complain(f"Error: {path}: the file is gone; index its folder again.")
        if not cuts:
            complain("nothing was found; nothing was cut.")
            raise typer.Exit(NOTHING)
        with Waiting("cutting"):
            encode_spans([span for _, span in cuts], out)
    if format is Format.json:
        told = [{"video": video, "start": span.start_s, "end": span.end_s} for video, span in cuts]
        print_json({"out": str(out), "moments": told})
    else:
        say(
            f"{out}: {quantity(len(cuts), 'moment')}, {sum(span.end_s - span.start_s for _, span in cuts):.1f} s"
        )
    if gone:
        raise typer.Exit(1)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(index)
    app.add_typer(care, name="library")
