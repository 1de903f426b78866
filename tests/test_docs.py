"""The Python of the docs runs, and every command line of README and docs is one that the commands take."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

import videoexpert
from videoexpert.apps.program import build
from videoexpert.assets import SHIPPED_VIDEO
from videoexpert.testing import tiny_video

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
WITH_PYTHON = ("cli", "exports", "features", "library", "long-videos", "real-videos")
NOT_RUN = {"watch"}  # waits for a file to grow
COMMAND = typer.main.get_command(build())


def blocks(page: Path, *kinds: str) -> list[str]:
    """The fenced blocks of a page whose fence says one of these kinds, in order."""
    found: list[str] = []
    inside: list[str] | None = None
    kind = ""
    for line in page.read_text(encoding="utf-8").splitlines(keepends=True):
        if not line.startswith("```"):
            if inside is not None:
                inside.append(line)
        elif inside is None:
            inside, kind = [], line[3:].strip()
        else:
            if kind in kinds:
                found.append("".join(inside))
            inside = None
    return found


@pytest.fixture(scope="module")
def expert():
    return videoexpert.load(device="cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, expert) -> Path:
    """What the pages speak of: videos of some length, a feature store, a library."""
    from videoexpert.features.clips import Clip
    from videoexpert.features.encode import encode_to_store
    from videoexpert.library.build import index
    from videoexpert.library.encoders import encoder_of

    made = tmp_path_factory.mktemp("docs")
    tiny_video(made / "kitchen.mp4", 61.0, rate=2)
    for name in ("talk", "film", "yoga"):
        shutil.copy(SHIPPED_VIDEO, made / f"{name}.mp4")
    encode_to_store([Clip("abc", made / "talk.mp4")], expert.model, made / "STORE")
    index([made / "talk.mp4"], made / "LIB", encoder_of(expert))
    return made


@pytest.mark.parametrize("name", WITH_PYTHON)
@pytest.mark.filterwarnings("ignore::videoexpert.errors.ModelWarning")
def test_the_python_of_a_page_runs(name, folder, expert, monkeypatch):
    monkeypatch.chdir(folder)
    # the models of the hub are not here: whatever is named, the shipped one comes
    monkeypatch.setattr(videoexpert, "load", lambda *_, **__: expert)
    found = blocks(ROOT / "docs" / f"{name}.md", "python")
    assert found
    names = {"videoexpert": videoexpert, "expert": expert, "video": expert.open("film.mp4")}
    for number, block in enumerate(found, 1):
        exec(compile(block, f"{name}.md, block {number}", "exec"), names)


def test_no_page_with_python_is_left_out():
    there = {page.stem for page in PAGES if blocks(page, "python")}
    assert there - {"README"} == {*WITH_PYTHON, *NOT_RUN}


def command_lines() -> Iterator[tuple[str, str]]:
    """Page and line of each command, lines that go on put together; of synopses only those without brackets."""
    for page in PAGES:
        for block in blocks(page, "", "sh", "bash"):
            for line in block.replace("\\\n", " ").splitlines():
                text = re.split(r"\s{2,}|\s#\s|\s[|>]\s", line.strip())[0]
                text = re.sub(r"^(\w+=\S+\s+)+", "", text)
                if text.startswith("videoexpert ") and not re.search(r"\[|\.\.\.|<|;", text):
                    yield page.name, text


def test_every_command_line_is_one_that_the_command_takes():
    lines = list(command_lines())
    assert len(lines) > 60
    wrong = [f"{page}: {line}: {reason}" for page, line in lines if (reason := refused(line))]
    assert not wrong, "\n".join(wrong)
    assert "nonsense" in refused("videoexpert ground a.mp4 q --nonsense")
    assert refused("videoexpert library nonsense")


def refused(line: str) -> str:
    """Why the command's parser does not take a line; '' where it does."""
    command, words = COMMAND, shlex.split(line)[1:]
    context = None
    while getattr(command, "commands", None) and words and words[0] in command.commands:
        name = words.pop(0)
        command = command.commands[name]
    if getattr(command, "commands", None) and not command.invoke_without_command:
        return "no such command"
    context = command.context_class(command)
    try:
        command.make_parser(context).parse_args(list(words))
    except Exception as error:
        return str(error) or type(error).__name__
    return ""
