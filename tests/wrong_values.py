"""Every command of the program with a small call of it that works, and wrong values for each kind of parameter."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from videoexpert.apps.program import program

SURROGATE = "\udcff"
NUMBERS = ("", "x", "nan", "inf", "-1", "0", "1" + 400 * "0", "1e400", SURROGATE)
WORDS = ("", "no-such", SURROGATE)
FILES = ("empty", "latin", "deep", "folder", "missing")
PLACES = ("full", "below a file")
WRITTEN = ("--out", "--plot", "--reel", "--judge-log", "--state", "--store")
READ = ("--videos", "--like")  # paths or addresses, which the program keeps as text


@dataclass(frozen=True)
class Parameter:
    """An option, or the place of an argument, and the kind of its values."""

    name: str
    kind: str
    pair: bool = False


def make_files(folder: Path) -> dict[str, str]:
    """Paths that are wrong nearly everywhere, by name."""
    (folder / "empty").write_bytes(b"")
    (folder / "latin").write_bytes("query\tcafé\n".encode("latin-1"))
    (folder / "deep").write_text(100_000 * "[")
    (folder / "folder").mkdir()
    found = {name: str(folder / name) for name in FILES}
    return {**found, "full": "/dev/full", "below a file": str(folder / "empty" / "x")}


def values_of(kind: str) -> tuple[str, ...]:
    """Wrong values for a parameter, files by their names in ``make_files``."""
    if kind == "number":
        return NUMBERS
    return WORDS if kind == "text" else (*FILES, *(PLACES if kind == "out" else ()), "", SURROGATE)


def cases(
    name: str, command: Any, base: tuple[list[str], list[tuple[str, str]]], paths: dict[str, str]
) -> Iterator[tuple[str, str, list[str]]]:
    """(parameter, value, arguments of the call) for every wrong value of every option and argument of a command."""
    given, placed = base
    words, texts = name.split(), [text for text, _ in placed]
    for parameter in options(command):
        for value in values_of(parameter.kind):
            text = value if parameter.kind == "text" else paths.get(value, value)
            option = [parameter.name, text, text] if parameter.pair else [f"{parameter.name}={text}"]
            yield parameter.name, value, [*words, *given, *option, *(["--", *texts] if texts else [])]
    for place, (_, kind) in enumerate(placed):
        for value in values_of(kind):
            text = value if kind == "text" else paths.get(value, value)
            yield (
                f"argument {place + 1}",
                value,
                [*words, *given, "--", *texts[:place], text, *texts[place + 1 :]],
            )


def commands() -> dict[str, Any]:
    """Every command that runs something, by its full name."""
    return dict(_below(program(), ()))


def _below(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    if inner is None or command.invoke_without_command:
        yield " ".join(path), command
    for name, one in (inner or {}).items():
        yield from _below(one, (*path, name))


def options(command: Any) -> Iterator[Parameter]:
    """The options of a command that take a value."""
    for found in command.params:
        if found.param_type_name == "option" and not found.is_flag:
            yield Parameter(found.opts[0], kind_of(found), found.nargs == 2)


def kind_of(parameter: Any) -> str:
    """path, out (a path to write to), number or text: of lists and pairs that of their members."""
    annotation = parameter.type_descriptor.annotation
    while get_args(annotation):
        annotation = get_args(annotation)[0]
    if issubclass(annotation, int | float):
        return "number"
    if parameter.opts[0] in WRITTEN:
        return "out"
    return "path" if issubclass(annotation, Path) or parameter.opts[0] in READ else "text"


def bases(world: Path, library: Path, out: Path) -> dict[str, tuple[list[str], list[tuple[str, str]]]]:
    """For each command options that work, and its arguments with their kinds."""
    model, video, videos = (
        f"--model={world / 'model'}",
        str(world / "videos" / "a.mp4"),
        str(world / "videos"),
    )
    sta = [f"--annotations={world / 'sta.txt'}"]
    asked = [(video, "path"), ("it falls", "text")]
    lib = (str(library), "path")
    made = (str(out / "made"), "out")
    scored = [*sta, f"--predictions={world / 'sta.jsonl'}"]
    return {
        "demo": ([], []),
        "doctor": ([], [(video, "path")]),
        "docs": ([], [("cli", "text")]),
        "models": ([], []),
        "models use": ([], [("shipped", "text")]),
        "ground": ([model], asked),
        "highlight": ([model], asked),
        "caption": ([model], asked[:1]),
        "ask": ([model], asked),
        "clip": ([model, f"--out={out / 'clips'}"], asked),
        "export peft": ([], [(str(world / "model"), "path"), made]),
        "export answer": ([], [(str(world / "answer.json"), "path")]),
        "watch": ([model, "--idle=0.1"], asked),
        "index": ([f"--library={out / 'lib'}", "--model=shipped"], [(videos, "path")]),
        "search": ([], [lib, ("a circle", "text")]),
        "library info": ([], [lib]),
        "library verify": ([], [lib]),
        "library remove": ([], [lib, ("nothing.mp4", "path")]),
        "library gc": ([], [lib]),
        "library duplicates": ([], [lib]),
        "library export": ([f"--out={out / 'made'}"], [lib]),
        "library reel": ([f"--out={out / 'reel.mp4'}"], [lib, ("a circle", "text")]),
        "serve": ([f"--state={out / 'state'}"], [(videos, "path")]),
        "mcp": ([f"--root={videos}", model], []),
        "score": (scored, [("charades-sta", "text")]),
        "eval": ([*sta, f"--videos={videos}", f"--out={out / 'eval'}", model], [("charades-sta", "text")]),
        "calibrate": (
            [f"--annotations={world / 'own.jsonl'}", f"--videos={videos}", f"--model={out / 'model'}"],
            [],
        ),
        "probe bias": ([*scored, f"--videos={videos}", f"--out={out / 'bias'}"], [("charades-sta", "text")]),
        "panels": ([*scored, f"--videos={videos}", f"--out={out / 'panels'}"], [("charades-sta", "text")]),
        "synth": (["--videos=1"], [made]),
        "data check": ([f"--annotations={world / 'own.jsonl'}"], [("jsonl", "text")]),
        "data import": (
            [],
            [("srt", "text"), (str(world / "captions.srt"), "path"), (str(out / "x.jsonl"), "out")],
        ),
        "encode": ([f"--videos={videos}", f"--out={out / 'tokens'}", model], []),
        "train": (
            [f"--out={out / 'train'}"],
            [(str(world / "recipe.yaml"), "path"), ("training.steps=1", "text")],
        ),
        "finetune": (
            [f"--videos={videos}", f"--out={out / 'tuned'}", model, "--set=training.steps=1"],
            [(str(world / "own.jsonl"), "path")],
        ),
        "convert": (
            [f"--language={world / 'bases' / 'language'}", f"--vision={world / 'bases' / 'vision'}"],
            [(str(world / "authors"), "path"), made],
        ),
        "ablate": ([f"--recipe={world / 'recipe.yaml'}", f"--out={out / 'table'}"], [("times", "text")]),
    }


ANSWER = {
    "video": "a.mp4",
    "duration": 4.0,
    "model": "tiny",
    "queries": [
        {
            "query": "it falls",
            "presence": 0.9,
            "absent": False,
            "moments": [{"start": 1, "end": 2, "score": 0.9}],
        }
    ],
}


def write_answer(world: Path) -> None:
    """A saved answer about the first video of the world."""
    (world / "answer.json").write_text(json.dumps({**ANSWER, "video": str(world / "videos" / "a.mp4")}))


@dataclass(frozen=True)
class Fine:
    """Values that may be right: the commands and parameters by pattern, the values, and why."""

    commands: str
    parameter: str
    values: tuple[str, ...]
    why: str

    def of(self, name: str, parameter: str, value: str) -> bool:
        """Whether this is about that case."""
        return bool(
            re.fullmatch(self.commands, name)
            and re.fullmatch(self.parameter, parameter)
            and value in self.values
        )


BIG = "1" + 400 * "0"
NEW = ("folder", "missing", SURROGATE)
LATE = ("no-such", SURROGATE)
FINE = (
    Fine(
        ".*",
        "--(start|overlap|idle|pad|min-duration|min-score|keep|above|seed|port|test-share)",
        ("0",),
        "zero",
    ),
    Fine(".*", "--(out|state|plot|reel)", NEW, "a new place, or an empty folder"),
    Fine("index", "--library", NEW, "a new place, or an empty folder"),
    Fine("synth", "argument 1", NEW, "a new place, or an empty folder"),
    Fine("export peft|convert", "argument 2", NEW, "a new place, or an empty folder"),
    Fine("data import", "argument 3", (*FILES, SURROGATE), "a file that is written anew"),
    Fine("ground|highlight|ask|clip|watch|search|library reel", "argument 2", ("no-such",), "a sentence"),
    Fine("search", "--in", LATE, "a pattern that fits no name"),
    Fine("panels|probe bias", "--name", LATE, "any name"),
    Fine("serve", "--allow-host", LATE, "any name"),
    Fine("score", "--judge-key", LATE, "no judge is asked"),
    Fine("mcp", "--(model|verify|device)", LATE, "the model is loaded for the first question"),
    Fine("mcp", "--root", ("folder",), "videos may come to it"),
    Fine("serve|index", "argument 1", ("folder",), "videos may come to it"),
    Fine("data check", "--videos", ("folder",), "the table says which are missing"),
    Fine("serve", "--(max-upload|queue)", (BIG,), "as many as there are"),
    Fine(".*", "--(count|queries|limit|batch-size|workers)", (BIG,), "as many as there are"),
    Fine(
        "library remove", "argument 2", (*FILES, "", SURROGATE), "what is not in the library is not removed"
    ),
)


def reason(name: str, parameter: str, value: str) -> str | None:
    """Why a command may take this value; None where it is wrong."""
    return next((entry.why for entry in FINE if entry.of(name, parameter, value)), None)
