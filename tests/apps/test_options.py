"""Options that commands share as one dataclass are spelled out for the shell, each once and in its place."""

from __future__ import annotations

import inspect
from dataclasses import dataclass

import typer
from typer.main import get_command

from videoexpert.apps.options import Device, Looking, Model, Recursive, spread


@dataclass(frozen=True)
class Shared:
    model: Model = None
    device: Device = "auto"


def test_fields_become_options_in_their_place_and_come_back_as_one():
    got = []

    def command(*, before: Recursive = False, shared: Shared, after: Recursive = False) -> None:
        """Says it."""
        got.append((before, shared, after))

    spelled = spread(command)
    assert list(inspect.signature(spelled).parameters) == ["before", "model", "device", "after"]
    assert spelled.__doc__ == "Says it."
    spelled(before=True, model="m", device="cpu", after=False)
    assert got == [(True, Shared("m", "cpu"), False)]


def test_a_command_takes_them_from_the_shell_with_their_defaults():
    got = []

    def command(video: str, *, looking: Looking) -> None:
        got.append((video, looking))

    app = typer.Typer()
    app.command()(spread(command))
    get_command(app).main(["a.mp4", "--start", "1:30", "--recursive"], standalone_mode=False)
    assert got == [("a.mp4", Looking(start=90.0, recursive=True))]
