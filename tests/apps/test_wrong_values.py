"""Every option and argument of every command with wrong values: one sentence, exit 1 or 2, and nothing is left."""

from __future__ import annotations

import functools
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from videoexpert import session
from videoexpert.apps import mcp, program
from videoexpert.session import load
from writers import build
from wrong_values import FINE, bases, cases, commands, make_files, reason, write_answer

pytest.importorskip("uvicorn")
RAW = re.compile(r"Traceback|--debug shows|\b[A-Z]\w*(Error|Exception)\b")
COMMANDS = commands()


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    folder = build(tmp_path_factory.mktemp("wrong"))
    write_answer(folder)
    return folder


loaded = functools.cache(load)
made = program.program


def once(model: str | None = None, **how: Any) -> Any:
    """A model, loaded once for all calls: what is wrong with their other values shows as well."""
    return load(model, **how) if how.get("verify") else loaded(model, device=how.get("device", "auto"))


@functools.cache
def parsed(name: str) -> Any:
    """The program for this command."""
    return made([name])


@pytest.fixture
def quiet(monkeypatch, tmp_path):
    """Servers that end at once, a hub that is not asked, and a folder to work in that must stay empty."""
    import uvicorn

    class Desk:
        def run(self, transport: str) -> None:
            assert transport == "stdio"

    monkeypatch.setattr(uvicorn, "run", lambda app, **_: app.state.service.close())
    monkeypatch.setattr(session, "load", once)
    monkeypatch.setattr(program, "program", lambda arguments: parsed(arguments[0]))
    monkeypatch.setattr(mcp, "serve", lambda desk: Desk())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


def fault(code: int, err: str) -> str | None:
    """What is wrong with how a command refused a wrong value."""
    if code not in (1, 2):
        return f"exit {code}"
    if RAW.search(err):
        return "a raw exception"
    # what fails in one video of several has a line without a word before it
    said = err[err.rfind("Error: ") :].strip() if "Error: " in err else err.strip().rpartition("\n")[2]
    first, *others = said.splitlines() or [""]
    if others:  # faults of a file, a line each
        return (
            None
            if first.endswith(":") and all(line.startswith("  ") for line in others)
            else "lines, no sentence"
        )
    return None if first.endswith(".") and len(first) > len("Error: .") else "no sentence"


def clear(folder: Path) -> None:
    """Takes away what is in it; the folder stays, for the process may work in it."""
    for inside in folder.iterdir():
        if inside.is_dir():
            shutil.rmtree(inside)
        else:
            inside.unlink()


def run(name: str, call, world: Path, library: Path, folder: Path, fine: bool) -> tuple[int, list[str]]:
    """How many wrong values the command was given, and those that it answered wrongly."""
    out, bad, here = folder / "out", folder / "bad", folder / "here"
    count, found = 0, []
    base = bases(world, folder / "lib", out)[name]
    shutil.copytree(library, folder / "lib")
    for used in (out, bad):
        used.mkdir()
    paths = make_files(bad)
    shutil.copytree(world / "model", out / "model")
    for parameter, value, arguments in cases(name, COMMANDS[name], base, paths):
        if (reason(name, parameter, value) is not None) is not fine:
            continue
        count += 1
        done = call(*arguments)
        if fine:
            # what is right depends on the value; that it is refused or done, and never raw, does not
            said = None if done.code == 0 or (done.code == 1 and done.out) else fault(done.code, done.err)
            for used in (out, bad, here):
                clear(used)
            make_files(bad)
            shutil.copytree(world / "model", out / "model")
        else:
            said = fault(done.code, done.err)
            if said is None and any(here.iterdir()):
                said = f"left {[file.name for file in here.iterdir()]}"
            clear(here)
        if said is not None:
            found.append(f"{name} {parameter} {value[:12]!r}: {said} | {done.err.strip()[-300:]}")
    return count, found


def test_every_command_is_in_the_table(tmp_path):
    assert set(COMMANDS) == set(bases(tmp_path, tmp_path, tmp_path))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_wrong_value_is_one_sentence(name, call, world, library, quiet):
    count, found = run(name, call, world, library, quiet, fine=False)
    assert not found, "\n".join(found)
    assert count


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_value_that_may_be_right_is_used_or_refused(name, call, world, library, quiet):
    _, found = run(name, call, world, library, quiet, fine=True)
    assert not found, "\n".join(found)


def test_no_reason_is_stale(tmp_path):
    """Each entry of the list of values that may be right is about a case that there is."""
    used = set()
    for name, base in bases(tmp_path, tmp_path, tmp_path).items():
        for parameter, value, _ in cases(name, COMMANDS[name], base, {}):
            used |= {entry for entry in FINE if entry.of(name, parameter, value)}
    assert used == set(FINE)


@pytest.mark.parametrize(
    ("code", "err", "expected"),
    [
        (2, "Error: a is b.\n", None),
        (1, "Error: a has 1 fault:\n  line 1: x\n", None),
        (0, "", "exit 0"),
        (1, "Error: KeyError: 'a'.\n", "a raw exception"),
        (1, "Error: a\n", "no sentence"),
        (1, "", "no sentence"),
        (1, "Error: a\nb\n", "lines, no sentence"),
        (1, "a.mp4 is empty.\n", None),
    ],
)
def test_faults_are_seen(code, err, expected):
    assert fault(code, err) == expected
