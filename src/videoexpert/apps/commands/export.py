"""``export``: what was made or answered, in other tools' formats."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ... import files
from ...errors import DataError, InputError, VideoExpertError
from ...export import AnswerSet, answers_json
from .. import options, terminal
from ..exporting import Exporter, target
from ..inputs import Inputs

group = typer.Typer(
    name="export", help="Write a saved answer or a model in other tools' formats.", no_args_is_help=True
)


@group.command()
def peft(
    model: Annotated[str, typer.Argument(help="Model folder, or a hub id.")],
    out: Annotated[Path, typer.Argument(help="New LoRA folder.")],
    expert: Annotated[str, typer.Option(help="spatial or temporal.")] = "spatial",
    format: options.Printed = terminal.Format.table,
) -> None:
    """Write one expert as a plain LoRA folder that PEFT loads onto the base language model."""
    from ...checkpoints.folder import load
    from ...checkpoints.peft import export_peft

    found, _ = load(model)
    export_peft(found, out, expert)
    if format is terminal.Format.json:
        terminal.print_json({"expert": expert, "out": str(out)})
    else:
        terminal.say(f"{expert} expert written to {out}")
    if found.config.train_vocabulary == "all":
        terminal.complain("Note: this model's trained vocabulary matrices are not part of a LoRA folder.")


@group.command()
def answer(
    saved: Annotated[
        Path, typer.Argument(metavar="ANSWER.json", help="What a command printed as json or jsonl.")
    ],
    format: options.HowToPrint = None,
    out: options.Out = None,
    rate: options.Rate = None,
    start_timecode: options.StartTimecode = None,
) -> None:
    """Write a saved answer in another format, without asking the model again."""
    found = read_answers(saved)
    inputs = Inputs(tuple(item.video for item in found.items), (), found.several)
    where = target(format, out, rate, start_timecode, inputs)
    if where.format is None:
        raise InputError("no format was named, expected --format, or --out with an ending that says it.")
    failed, exporter = 0, Exporter(where, found.several)
    for item in found.items:
        try:
            exporter.add(item)
        except VideoExpertError as error:
            if not found.several:
                raise
            failed += 1
            terminal.complain(f"Error: {error}")
    exporter.close()
    if failed:
        terminal.complain(f"{failed} of {len(found.items)} videos failed.")
        raise typer.Exit(1)


def read_answers(path: Path) -> AnswerSet:
    """The answers of a file of JSON, or of JSON lines. Raises DataError for another kind, and for a file of none."""
    lines = list(files.lines(path))
    if len(lines) > 1 and lines[0][1].startswith("{") and lines[0][1].rstrip().endswith("}"):
        values = [files.parse_json(line, f"{path}, line {number}") for number, line in lines]
        found = answers_json.read(values, str(path))
    else:
        found = answers_json.read(files.load_json(path), str(path))
    if not found.answers:
        raise DataError(
            f"{path} holds no answer, expected what ground, highlight, caption or ask print as json."
        )
    return found


def register(app: typer.Typer) -> None:
    """Add this group to the app."""
    app.add_typer(group)
