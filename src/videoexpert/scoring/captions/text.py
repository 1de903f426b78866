"""Tokens of captions, as every dense-captioning scorer makes them: Stanford PTB tokenizer 3.4.1, lower case.

The tokenizer is a Java program that the package ``pycocoevalcap`` carries. All captions go through it in one
process, because starting Java costs more than a thousand captions.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from ...errors import DependencyError

#: Dropped after tokenising. The tokenizer writes brackets in lower case, so the upper-case entries of the
#: list drop nothing and brackets stay as ``-lrb-``; every published number has that, so it is kept.
PUNCTUATION = frozenset(
    ["''", "'", "``", "`", "-LRB-", "-RRB-", "-LCB-", "-RCB-", ".", "?", "!", ",", ":", "-", "--", "...", ";"]
)

#: A line between two captions: the tokenizer looks past the end of a line ("No." before a digit), and no
#: caption's tokens may depend on its neighbours.
_SEPARATOR = "x"


def java_and_library() -> tuple[str, Path]:
    """The Java program and the folder of ``pycocoevalcap``; DependencyError says which is missing."""
    java = shutil.which("java")
    if java is None:
        raise DependencyError(
            "Java was not found on the PATH, and METEOR and the caption tokenizer are Java programs: "
            "install a Java runtime (8 or newer)"
        )
    spec = importlib.util.find_spec("pycocoevalcap")
    if spec is None or not spec.submodule_search_locations:
        raise DependencyError(
            "the package pycocoevalcap, which carries METEOR and the caption tokenizer, is not installed: "
            "pip install 'videoexpert[eval]'"
        )
    return java, Path(next(iter(spec.submodule_search_locations)))


def ascii_only(text: str) -> str:
    """Each non-ASCII character replaced by a space, as the ActivityNet scorer and SODA do."""
    return "".join(c if c.isascii() else " " for c in text)


class PTBTokenizer:
    """Callable: captions -> tokens. Remembers every caption it has seen."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, ...]] = {}

    def __call__(self, captions: Sequence[str]) -> list[tuple[str, ...]]:
        """Tokens of each caption, in the order given; a caption of punctuation only has none.

        Raises DependencyError without Java or pycocoevalcap.
        """
        # Any line break becomes a space. (The official scorers do so for "\n" only; with "\r" or "\u2028" in
        # a caption they give all later captions the tokens of their neighbours.)
        lines = [" ".join(caption.splitlines()) for caption in captions]
        new = list(dict.fromkeys(line for line in lines if line not in self._known))
        if new:
            self._known.update(zip(new, _tokenize(new), strict=True))
        return [self._known[line] for line in lines]


def _tokenize(lines: Sequence[str]) -> Iterable[tuple[str, ...]]:
    java, library = java_and_library()
    jar = library / "tokenizer" / "stanford-corenlp-3.4.1.jar"
    command = [java, "-Dfile.encoding=UTF-8", "-cp", str(jar), "edu.stanford.nlp.process.PTBTokenizer"]
    text = "".join(f"{line}\n{_SEPARATOR}\n" for line in lines)
    done = subprocess.run(
        [*command, "-preserveLines", "-lowerCase"],
        input=text.encode("utf-8", errors="replace"),
        capture_output=True,
        check=False,
    )
    out = done.stdout.decode("utf-8").split("\n")
    # 2 lines a caption and an empty string after the last "\n"
    if done.returncode or len(out) != 2 * len(lines) + 1 or set(out[1::2]) != {_SEPARATOR}:
        problem = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
        raise DependencyError(
            f"the caption tokenizer gave {len(out) // 2} lines for {len(lines)} captions "
            f"(exit code {done.returncode}, {problem[0]!r}): check the Java installation"
        )
    return [tuple(t for t in line.split() if t not in PUNCTUATION) for line in out[0:-1:2]]
