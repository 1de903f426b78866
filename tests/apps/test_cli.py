"""The command itself: help in a newcomer's order, the version, what Ctrl-C gives."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import typer

import videoexpert
from videoexpert.apps import cli, program


def test_every_command_stands_in_one_panel_and_every_panel_is_of_commands():
    app = program.build()
    known = [program.name_of(command) for command in (*app.registered_commands, *app.registered_groups)]
    named = [name for names in program.PANELS.values() for name in names]
    assert sorted(known) == sorted(named)


def test_a_command_imports_the_module_of_no_other():
    said = "import sys; from videoexpert.apps import cli; cli.main(['score', '--help']); "
    said += "print([m for m in sys.modules if m.startswith('videoexpert.apps.commands.')], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    assert "videoexpert score" in done.stdout
    assert done.stderr.count("videoexpert.apps.commands.") == 1


def test_every_command_alone_is_the_one_of_the_whole_program():
    whole = typer.main.get_command(program.build())
    for name in program.MODULES:
        alone = typer.main.get_command(program.build([name])).commands[name]
        assert [p.opts for p in alone.params] == [p.opts for p in whole.commands[name].params]


def test_the_version_both_ways():
    for start in (["-m", "videoexpert"], ["-m", "videoexpert.apps.cli"]):
        done = subprocess.run(
            [sys.executable, *start, "--version"], capture_output=True, text=True, check=True
        )
        assert done.stdout == f"videoexpert {videoexpert.__version__}\n"


def test_ctrl_c_is_130(monkeypatch, capsys):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(program, "program", lambda arguments: stopped)
    assert cli.main(["demo"]) == 130
    assert capsys.readouterr().err == "Stopped.\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ground", "a.mp4", "q", "--frames", "many"], "Invalid value for '--frames': "),
        (["ground", "a.mp4", "q", "--nonsense"], "No such option: --nonsense"),
        (["nonsense"], "No such command 'nonsense'"),
        (["ground"], "Missing argument 'VIDEO... QUERY'"),
        (["export", "nonsense"], "No such command 'nonsense'"),
    ],
)
def test_a_wrong_call_is_one_line_whatever_the_width(arguments, said, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    assert cli.main(arguments) == 2
    told = capsys.readouterr()
    assert told.out == ""
    (line,) = told.err.splitlines()
    assert line.startswith(f"Error: {said}")
    assert line.endswith("--help.")


@pytest.mark.parametrize(("name", "hinted"), [("-dash.mp4", True), ("--dash.mkv", True), ("-1.5", False)])
def test_a_name_with_a_dash_in_front_is_told_the_way_in(name, hinted, capsys):
    assert cli.main(["ground", name, "q"]) == 2
    said = capsys.readouterr().err
    assert ("begins with a dash comes after --, or as ./-NAME" in said) is hinted
    if hinted:
        assert cli.main(["ground", "--", name, "q"]) != 2 or "No such option" not in capsys.readouterr().err


def test_without_a_command_the_help_is_shown(capsys):
    assert cli.main([]) == 2
    told = capsys.readouterr()
    assert "Ask about a video" in told.out + told.err


def _commands(command, name=""):
    """Every command that does something, with its name, groups that work alone too."""
    for verb, below in getattr(command, "commands", {}).items():
        yield from _commands(below, f"{name} {verb}".strip())
    if name and (not hasattr(command, "commands") or command.invoke_without_command):
        yield name, command


def test_help_names_every_value_and_loses_no_word(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for name, command in _commands(program.program()):
        assert cli.main([*name.split(), "--help"]) == 0
        shown = capsys.readouterr().out
        assert not re.search(r"<[a-z]|\u2026", shown), name  # Python's types, and words that were cut
        words = {option.opts[0]: option.help for option in command.params}
        assert {option: text for option, text in words.items() if "[" in text} == {}, name  # rich's markup
        flags = [option.opts[0] for option in command.params if getattr(option, "is_flag", False)]
        for flag in flags:
            assert re.search(rf"{flag} {{4,}}\S", shown), (name, flag)


# these print nothing of their own: a server's answers are its result
SERVERS = {"serve", "mcp"}


def test_every_command_prints_json():
    found = dict(_commands(typer.main.get_command(program.build())))
    assert {"ground", "data import", "library gc", "models", "models use"} <= set(found)
    without = {
        name
        for name, command in found.items()
        if not any("--format" in option.opts for option in command.params)
    }
    assert without == SERVERS
