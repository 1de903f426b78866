"""Commands that make models: ``train``, ``finetune``, ``convert`` the authors' checkpoint or pickled weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ...limits import MOST_SEED
from .. import options, terminal
from ..terminal import Format
from ..waiting import Waiting

MISSING = "missing"  # begins the lines of a dry run that say what is not here


def register(app: typer.Typer) -> None:
    """Add this group's verbs to the app."""
    app.command("train")(train)
    app.command("finetune")(finetune)
    app.command("convert")(convert)


def train(
    recipe: Annotated[
        Path, typer.Argument(help="A recipe in YAML, or the name of a ready one, such as pretrain.")
    ],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", help="e.g. training.steps=100")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the run; a stopped run resumes.")] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Only report what would train: parameters, tokens, memory, steps; exit code 1 where something is "
            "missing.",
        ),
    ] = False,
    format: options.Printed = Format.table,
) -> None:
    """Train a model by a recipe; the finished folder is OUT/model."""
    from ...errors import InputError

    if out is None and not dry_run:
        raise InputError("train needs --out, the folder of the run; or --dry-run to only look.")
    from ...recipes import load_recipe

    found = load_recipe(recipe, overrides or [])
    if dry_run:
        _look(found, format)
        return
    assert out is not None
    if found.kind == "ablation":
        raise InputError(f"{recipe} describes an ablation, not one run; give it to `videoexpert ablate`.")
    if found.kind == "shipped":
        from ...shipped.pipeline import train_shipped

        folder = train_shipped(found, out, log=terminal.complain)
    else:
        from ...training.run import train as run

        folder = run(found, out, log=terminal.complain)
    _tell(folder, format)


def _tell(folder: Path, format: Format) -> None:
    if format is Format.json:
        terminal.print_json({"model": str(folder)})
    else:
        terminal.say(f"model in {folder}")


def _look(recipe: Any, format: Format) -> None:
    """What a recipe would train, and what of it is not here; exits with 1 where something is missing."""
    lines = _described(recipe)
    missing = [line.removeprefix(MISSING).strip() for line in lines if line.startswith(MISSING)]
    if format is Format.json:
        terminal.print_json({"recipe": recipe.model_dump(mode="json"), "lines": lines, "missing": missing})
    else:
        for line in lines:
            terminal.say(line)
    if missing:
        raise typer.Exit(1)


def _described(recipe: Any) -> list[str]:
    """Lines on any kind of recipe."""
    if recipe.kind == "shipped":
        from ...shipped.describe import describe as of_shipped

        return of_shipped(recipe)
    if recipe.kind == "ablation":
        from ...ablation.describe import describe as of_ablation

        return of_ablation(recipe)
    from ...training.dryrun import dry_run

    return dry_run(recipe).lines()


def finetune(
    annotations: Annotated[Path, typer.Argument(help="JSON lines file of docs/own-data.md.")],
    videos: Annotated[Path, typer.Option(help="Folder with the videos.")],
    out: Annotated[Path, typer.Option(help="Folder of the run; a stopped run resumes.")],
    model: Annotated[
        str | None, typer.Option(help="Model folder or hub id to start from (default: the shipped model).")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="e.g. training.steps=100")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=MOST_SEED, help="Split, order and wording.")] = 0,
    format: options.Printed = Format.table,
) -> None:
    """Teach a model your own clips; the finished folder is OUT/model."""
    from ...training.finetune import finetune as run

    with Waiting("encoding videos", counted=True) as waiting:

        def progress(done: int, total: int) -> None:
            waiting.reach(done, total)
            if done == total:
                waiting.close()

        folder = run(
            annotations,
            videos,
            model,
            out,
            overrides=overrides or [],
            seed=seed,
            log=terminal.complain,
            progress=progress,
        )
    _tell(folder, format)


def convert(
    source: Annotated[
        str,
        typer.Argument(
            metavar="AUTHORS_DIR|MODEL",
            help="The authors' folder, with stage1/ and stage2_output/; or a model (folder or hub id) whose weights "
            "are a pickle, which is written again as safetensors.",
        ),
    ],
    out: Annotated[Path, typer.Argument(help="New model folder; of the authors' it holds what was trained.")],
    language: Annotated[
        str | None, typer.Option(help="Of the authors': base language model, folder or hub id.")
    ] = None,
    vision: Annotated[
        str | None, typer.Option(help="Of the authors': base vision encoder (CLIP), folder or hub id.")
    ] = None,
    stage1: Annotated[Path | None, typer.Option(help="mm_projector.bin, if it is elsewhere.")] = None,
    stage2: Annotated[Path | None, typer.Option(help="Stage-2 output folder, if it is elsewhere.")] = None,
    fusion: Annotated[
        str | None, typer.Option(help="add, none, concat or attention, where the files do not tell.")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="A line for every key.")] = False,
    format: Annotated[str, typer.Option(help="How to print the report: table or json.")] = "table",
) -> None:
    """Convert the authors' released checkpoint to a model folder; or write a pickled model again as safetensors.

    Of the authors' files every key is accounted for. No other command opens a pickle, and this one reads numbers
    alone: a pickle that holds anything else is refused, and nothing in it is run.
    """
    from ...errors import InputError

    if format not in ("table", "json"):
        raise InputError(f"format is {format!r}, expected table or json.")
    of_authors = (stage1, stage2, fusion, verbose or None)
    if language is None and vision is None and not any(given is not None for given in of_authors):
        _rewrite(source, out, format)
        return
    if language is None or vision is None:
        raise InputError("the authors' checkpoint needs both bases; give --language and --vision.")
    from ...checkpoints.released.convert import convert as run

    report = run(
        Path(source), out, language=language, vision=vision, stage1=stage1, stage2=stage2, fusion=fusion
    )
    if format == "json":
        terminal.print_json({"out": str(out), **report.to_json()})
    else:
        terminal.say(report.to_table(verbose))
        terminal.say(f"written to {out}")


def _rewrite(name: str, out: Path, format: str) -> None:
    from ... import hub
    from ...checkpoints.released.base import needs_safetensors, write_base
    from ...errors import InputError

    if (Path(name) / "stage1").is_dir():
        raise InputError(
            f"{name} looks like the authors' checkpoint; name its bases with --language and --vision."
        )
    if not needs_safetensors(name):
        hub.files(name)  # says what else is wrong
        raise InputError(
            f"{name} has safetensors, expected a model whose weights are a pickle; use it as it is."
        )
    if out.exists():
        raise InputError(f"{out} exists, expected a folder to be made; name another.")
    with Waiting("rewriting"):
        write_base(name, out)
    if format == "json":
        terminal.print_json({"out": str(out)})
    else:
        terminal.say(f"written to {out}")
