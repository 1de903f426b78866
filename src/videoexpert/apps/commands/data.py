"""``videoexpert synth``, ``encode``, ``data check`` and ``data import``."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...annotations.readers import BENCHMARKS
from ...escapes import quantity
from ...limits import MOST_SEED
from .. import options, peers
from ..terminal import Format, complain, print_json, say, table
from ..waiting import Waiting, hours

if TYPE_CHECKING:
    from ...features.encode import Summary

data = typer.Typer(
    name="data", help="Check annotation files and videos; import own data.", no_args_is_help=True
)


@data.command()
def check(
    benchmark: Annotated[
        str,
        typer.Argument(help=f"One of {', '.join(BENCHMARKS)}; jsonl is own data."),
    ],
    annotations: Annotated[Path, typer.Option(help="Annotation file, or the folder of the originals.")],
    videos: Annotated[Path | None, typer.Option(help="Folder with the videos: each is decoded.")] = None,
    split: Annotated[str | None, typer.Option(help="Which split of a folder.")] = None,
    lengths: Annotated[Path | None, typer.Option(help="charades-sta: Charades_v1_*.csv.")] = None,
    questions: Annotated[Path | None, typer.Option(help="nextgqa: the question CSV.")] = None,
    format: Annotated[Format, typer.Option(help="How to print.")] = Format.table,
) -> None:
    """Counts against the published ones, dirty records with the rule for each, and broken videos.

    Exit code 1 if videos are missing, unreadable or too short; dirty records alone do not count as failure.
    """
    from ...annotations.check import check as run

    extra = {"lengths_csv": lengths, "questions": questions}
    given = {name: value for name, value in extra.items() if value is not None}
    with Waiting("decoding videos", counted=True) as waiting:
        report = run(benchmark, annotations, videos, split=split, progress=waiting.reach, **given)
    if format is Format.json:
        print_json(report.to_json())
    else:
        say(report.to_table())
    if not report.ok:
        raise typer.Exit(1)


@data.command(name="import")
def import_(
    format: Annotated[
        str, typer.Argument(help="charades-sta, vtimellm, qvhighlights, webvtt, srt or label-studio.")
    ],
    source: Annotated[Path, typer.Argument(help="The file; for subtitles also a folder of them.")],
    out: Annotated[Path, typer.Argument(help="JSON lines file to write (docs/own-data.md).")],
    fps: Annotated[
        float | None, typer.Option(help="label-studio: frames a second, where regions count frames.")
    ] = None,
    printed: options.Printed = Format.table,
) -> None:
    """Write annotations of another format as JSON lines of our own schema."""
    from ...annotations.importers import import_data

    dataset = import_data(format, source, out, fps=fps)
    from ...annotations.dirty import RULES

    counts = dataset.report.counts
    if printed is Format.json:
        print_json({"records": len(dataset), "out": str(out), "dirty": dict(counts)})
        return
    say(f"{quantity(len(dataset), 'record')} written to {out}")
    if counts:
        table(("dirty", "count", "rule"), [(k, str(n), RULES[k]) for k, n in counts.items()], left=(0, 2))


def synth(
    out: Annotated[Path, typer.Argument(help="Folder to write: videos, annotations and world.json.")],
    videos: Annotated[int, typer.Option(min=1, help="How many videos.")] = 40,
    seed: Annotated[
        int, typer.Option(min=0, max=MOST_SEED, help="Same seed, same bytes of annotation and same pixels.")
    ] = 0,
    level: Annotated[
        int | None,
        typer.Option(
            help="How hard the world is, 1 to 5, or 6 for details on things (default: that of the shipped model)."
        ),
    ] = None,
    size: Annotated[int, typer.Option(help="Pixels of a side, an even number from 32 to 1024.")] = 128,
    test_share: Annotated[float, typer.Option(help="Part of the videos held out, 0 to 1.")] = 0.3,
    wording: Annotated[
        str, typer.Option(help="other: sentences in verbs that the shipped model has never met.")
    ] = "plain",
    format: options.Printed = Format.table,
) -> None:
    """Make videos and their annotations in the benchmarks' own formats.

    Existing files are kept, so an interrupted run resumes.
    """
    from ...synthetic.world import SHIPPED_LEVEL
    from ...synthetic.write import WorldRecipe, write_world

    level = SHIPPED_LEVEL if level is None else level
    recipe = WorldRecipe(videos, seed, level, size, test_share, wording)
    with Waiting("rendering videos", videos) as waiting:
        write_world(recipe, out, progress=waiting.advance)
    folders = sorted(p.name for p in out.iterdir() if p.is_dir() and p.name != "videos")
    if format is Format.json:
        made = {"videos": videos, "level": recipe.level, "seed": seed, "out": str(out)}
        print_json({**made, "benchmarks": folders})
    else:
        say(
            f"{quantity(videos, 'video')} of level {recipe.level} in {out}, with annotations for {', '.join(folders)}"
        )


def encode(
    *,
    videos: Annotated[
        str | None, typer.Option(help="A video, or a folder with videos, or an address (s3://...) of one.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Feature store: a new folder, or one to continue.")],
    annotations: Annotated[
        Path | None, typer.Option(help="Only the videos, or parts of them, that this file speaks of.")
    ] = None,
    benchmark: Annotated[str | None, typer.Option(help="Whose annotations: as for `data check`.")] = None,
    split: Annotated[str | None, typer.Option(help="Which split of an annotation folder.")] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Model folder or hub id whose encoder is used (default: the shipped model)."),
    ] = None,
    vision: Annotated[
        str | None, typer.Option(help="Instead of --model: a CLIP or SigLIP folder or hub id.")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="With --vision: paper or released (default: paper).")
    ] = None,
    frames: Annotated[
        int | None, typer.Option(min=1, help="Frames a video (default: the model's own).")
    ] = None,
    fields: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="FIELD=VALUE", help="Of the S-tokens, e.g. groups=8 tokens_per_group=64."
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    batch_size: Annotated[int, typer.Option(min=1, help="Frames in one pass of the encoder.")] = 64,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, help="Decoding threads (default: one a core, up to 8); with --ray: most workers."
        ),
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(
            help="lighthouse or moment-detr: also write clip and text features as these projects read them; the store "
            "is then OUT/store."
        ),
    ] = None,
    store: Annotated[
        Path | None, typer.Option(help="With --layout: a store that is there, in place of --videos.")
    ] = None,
    clip_seconds: Annotated[
        float | None, typer.Option(help="With --layout: seconds of a clip (default: 2).")
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(
            help="With --layout: the CLIP that reads the queries (default: --vision, or the shipped)."
        ),
    ] = None,
    format: options.Printed = Format.table,
    ray: options.Ray = None,
) -> None:
    """Encode videos once into a feature store, for training and use.

    An interrupted run resumes. Under torchrun or accelerate each process takes its share.
    Exit code 1 where videos could not be encoded; the others are.
    """
    peer = peers.Peer(layout, store, clip_seconds, text, annotations, benchmark, split, model, vision)
    peer.check(videos, out)
    failed = False
    if videos is not None:
        failed = _encode(
            videos,
            peer.store_of(out),
            (annotations, benchmark, split),
            (model, vision, preset),
            _fields(fields or []) | ({} if frames is None else {"num_frames": frames}),
            device,
            batch_size,
            workers,
            ray,
            format,
        )
    if layout is not None:
        failed |= peer.write(out, device)
    if failed:
        raise typer.Exit(1)


def _encode(
    videos: str,
    out: Path,
    annotated: tuple[Path | None, str | None, str | None],
    encoder_of: tuple[str | None, str | None, str | None],
    changed: dict[str, Any],
    device: str,
    batch_size: int,
    workers: int | None,
    ray: str | None,
    format: Format,
) -> bool:
    """The store of the videos. True where some could not be encoded."""
    from ...assets import SHIPPED_MODEL
    from ...errors import InputError
    from ...features import unchanged
    from ...features.clips import clips_of
    from ...features.encode import Summary, encode_to_store, load_encoder
    from ...features.ray import encode_on
    from ...runtime import rank_of_process

    model, vision, preset = encoder_of
    rank, world_size = rank_of_process()
    cluster = None if ray is None else options.cluster(ray, workers)
    if cluster is not None and world_size > 1:
        raise InputError("--ray spreads the work itself; start one process, without torchrun or accelerate.")
    clips = clips_of(videos, *annotated)
    source = Path(vision or model or SHIPPED_MODEL)
    made_by = unchanged.stamp(source, {"vision": vision, "preset": preset, **changed})
    there = unchanged.kept(out, made_by, clips)
    if there is not None:  # all is done: no weights need be read
        return _tell_encoded(Summary(kept=there), out, "", format, time.monotonic())
    make = partial(load_encoder, model, vision=vision, preset=preset, fields=changed, device=device)
    encoder = make()
    began = time.monotonic()
    with Waiting("encoding videos", len(clips[rank::world_size])) as waiting:
        done = encode_to_store(
            clips,
            encoder,
            out,
            rank=rank,
            world_size=world_size,
            batch_size=batch_size,
            workers=None if cluster is not None else workers,
            spread=None if cluster is None else encode_on(cluster, encoder, make, batch_size),
            progress=waiting.advance,
        )
    who = f"process {rank + 1} of {world_size}: " if world_size > 1 else ""
    if rank == 0:
        unchanged.remember(out, made_by)
    return _tell_encoded(done, out, who, format, began)


def _tell_encoded(done: Summary, out: Path, who: str, format: Format, began: float) -> bool:
    """What was encoded since ``began``. True where something failed."""
    for key, reason in done.failed.items():
        complain(f"{who}{key} failed: {reason}")
    if format is Format.json:
        print_json({"out": str(out), "encoded": done.encoded, "kept": done.kept, "failed": done.failed})
    else:
        speed = f" ({hours(done.seconds, began)})" if done.encoded else ""
        counts = f"{quantity(done.encoded, 'video')} encoded into {out}, {done.kept} there before"
        say(f"{who}{counts}, {len(done.failed)} failed{speed}")
    return bool(done.failed)


def _fields(texts: list[str]) -> dict[str, Any]:
    """``FIELD=VALUE`` as a mapping; values are YAML."""
    from ...errors import InputError
    from ...files import parse_yaml

    found = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not (name and separator):
            raise InputError(f"--set was given {text!r}, expected FIELD=VALUE such as groups=8.")
        found[name] = parse_yaml(value, f"--set {name}")
    return found


def register(app: typer.Typer) -> None:
    """Add this group's verbs to the app."""
    app.command()(synth)
    app.command()(encode)
    app.add_typer(data)
