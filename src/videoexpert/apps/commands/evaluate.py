"""``videoexpert eval``: answer a benchmark from video files, then score the answers."""

from __future__ import annotations

import json
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...annotations.readers import ANSWERED
from .. import options
from ..inputs import model_options, verifier
from ..terminal import FEW, complain, plain_warnings, say
from ..waiting import Waiting

if TYPE_CHECKING:
    from ...evaluation.systems import System


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("eval")(evaluate)


class Baseline(StrEnum):
    """Guesses that need no model."""

    random = "random"
    constant = "constant"
    clip = "clip"


class Control(StrEnum):
    """The model shown something else than the video."""

    shuffled = "shuffled"
    blank = "blank"


def evaluate(
    benchmark: Annotated[
        str,
        typer.Argument(help=f"One of {', '.join(ANSWERED)}."),
    ],
    *,
    annotations: Annotated[Path, typer.Option(help="The benchmark's file, or the folder of the originals.")],
    videos: Annotated[Path | None, typer.Option(help="Folder with the videos, named by id.")] = None,
    features: Annotated[
        Path | None,
        typer.Option(help="In place of the videos: a feature store of `encode`, or public VIDEO.npz files."),
    ] = None,
    clip_seconds: Annotated[
        float | None, typer.Option(help="Of --features in VIDEO.npz files: seconds a row (default: 2).")
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Folder for predictions.jsonl and result.json; a killed run resumes.")
    ],
    model: options.Model = None,
    model_option: options.ModelOption = None,
    verify: options.Verify = None,
    verify_option: options.VerifyOption = None,
    device: options.Device = "auto",
    split: Annotated[str | None, typer.Option(help="Part of an annotation folder.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many samples.")] = None,
    baseline: Annotated[
        Baseline | None,
        typer.Option(metavar="KIND", help="In place of the model a guess: random, constant or clip."),
    ] = None,
    train_annotations: Annotated[
        Path | None, typer.Option(help="constant: training annotations of the same benchmark.")
    ] = None,
    clip: Annotated[
        str | None, typer.Option(help="clip: folder or hub id of a CLIP model (default: the shipped one).")
    ] = None,
    control: Annotated[
        Control | None, typer.Option(help="Show the model another video, or a blank one.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Frames through the vision encoder at once.")] = 16,
    ray: options.Ray = None,
    workers: options.Workers = None,
    format: Annotated[str, typer.Option(help="table, json or markdown.")] = "table",
) -> None:
    """Answer a whole benchmark from video files, resumably, and score it (docs/benchmarks.md)."""
    from ...errors import InputError
    from ...evaluation.runner import evaluate as run
    from ...runtime import rank_of_process
    from ...scoring.tables import FORMATS, render

    if format not in FORMATS:
        raise InputError(f"format is {format!r}, expected one of {', '.join(FORMATS)}.")
    cluster = options.cluster(ray, workers)
    chosen: dict[str, Any] = {**verifier(verify, verify_option), **model_options(model_option)}
    _check(videos, features, model, chosen, baseline, train_annotations, clip, control)
    _check_clip_seconds(features, clip_seconds)
    make = partial(
        _system,
        benchmark,
        videos,
        features,
        clip_seconds,
        model,
        chosen,
        device,
        baseline,
        train_annotations,
        clip,
        control,
        batch_size,
    )
    system = make()
    with Waiting(f"answering {benchmark}", counted=True) as waiting, plain_warnings(FEW):
        outcome = run(
            benchmark,
            system,
            annotations,
            videos,
            out,
            split=split,
            limit=limit,
            cluster=cluster,
            make=make,
            progress=waiting.reach,
        )
    if rank_of_process()[0]:
        return  # of several processes the first one speaks
    say(render(outcome.result, format) if format != "json" else json.dumps(outcome.result, indent=1))
    for video, sentence in outcome.failed.items():
        complain(f"Error: {video}: {sentence}")
    if outcome.failed:
        raise typer.Exit(1)


def _check(
    videos: Path | None,
    features: Path | None,
    model: str | None,
    chosen: dict[str, Any],
    baseline: Baseline | None,
    train_annotations: Path | None,
    clip: str | None,
    control: Control | None,
) -> None:
    """Options that contradict each other raise InputError."""
    from ...errors import InputError

    if baseline and (control or model or chosen):
        raise InputError(
            "--baseline replaces a model; leave out --model, its options, --verify and --control."
        )
    if features is not None and chosen:
        raise InputError(
            "--features holds the tokens of a VideoExpert, which has no options; leave out --model-option and --verify."
        )
    if baseline is Baseline.constant:
        if train_annotations is None:
            raise InputError("--baseline constant needs --train-annotations, to choose the window from.")
    elif train_annotations is not None:
        raise InputError("--train-annotations belongs to --baseline constant; leave it out.")
    if clip is not None and baseline is not Baseline.clip:
        raise InputError("--clip belongs to --baseline clip; leave it out.")
    if (videos is None) == (features is None):
        raise InputError(
            "eval needs --videos, the folder of the videos, or --features, a store of them; one."
        )
    if features is not None and (baseline or control):
        raise InputError(
            "--baseline and --control look at video files; give --videos in place of --features."
        )


def _check_clip_seconds(features: Path | None, clip_seconds: float | None) -> None:
    from ...errors import InputError

    if clip_seconds is None:
        return
    if features is None or (features / "store.json").exists():
        raise InputError("--clip-seconds belongs to --features of VIDEO.npz files; leave it out.")
    if not 0 < clip_seconds < float("inf"):
        raise InputError(f"--clip-seconds is {clip_seconds:g}, expected a positive number.")


def _system(
    benchmark: str,
    videos: Path | None,
    features: Path | None,
    clip_seconds: float | None,
    model: str | None,
    chosen: dict[str, Any],
    device: str,
    baseline: Baseline | None,
    train: Path | None,
    clip: str | None,
    control: Control | None,
    batch_size: int,
) -> System:
    from ...evaluation import guesses as baselines

    if baseline is Baseline.random:
        return baselines.RandomGuess()
    if baseline is Baseline.constant:
        from ...annotations.readers import benchmark as known
        from ...annotations.readers import read

        split = known(benchmark).train_split
        return baselines.ConstantGuess(read(benchmark, train or "", split=split).samples)
    from ...evaluation.systems import BackendSystem, Blank, Shuffled
    from ...session import Expert, load, load_expert

    if baseline is Baseline.clip:
        return BackendSystem(load(f"contrastive:{clip or ''}", device=device))
    if features is not None:
        from ...backends.fitted import with_stored_fit
        from ...backends.stored import StoredExpert
        from ...features.lighthouse import open_features
        from ...windows import CLIP_S

        expert = load_expert(model, device=device)
        with_stored_fit(expert, model)
        return BackendSystem(
            StoredExpert(expert, open_features(features, expert.config, clip_seconds or CLIP_S))
        )
    backend = load(model, device=device, **chosen)
    if isinstance(backend, Expert):
        backend.batch_size = batch_size
    assert videos is not None
    if control is Control.blank:
        return Blank(backend)
    if control is Control.shuffled:
        from ...annotations.videos import VideoFolder

        return Shuffled(backend, VideoFolder(videos).paths)
    return BackendSystem(backend)
