"""METEOR 1.5 (Denkowski and Lavie, 2014) through the Java program that ``pycocoevalcap`` carries.

Starting it costs several seconds (a paraphrase table of 62 MB is read), a pair costs under a millisecond: one
process serves all pairs, and a pair asked for twice is aligned once.
"""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import IO, NamedTuple

from ..errors import DependencyError
from .caption_text import java_and_library


class Pair(NamedTuple):
    """A hypothesis and its references, each a string of tokens joined by single spaces."""

    hypothesis: str
    references: tuple[str, ...]


class Corpus(NamedTuple):
    """METEOR of a corpus, all in [0, 1]: the aggregate (not the mean of the segments), and each segment's."""

    aggregate: float
    segments: tuple[float, ...]


class Meteor:
    """A METEOR process, started on first use; close it or use it as a context manager."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None
        self._statistics: dict[Pair, str] = {}

    def __enter__(self) -> Meteor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Start the process now, so that it reads its table while the caller does other work.

        Raises DependencyError without Java or pycocoevalcap.
        """
        if self._process is not None:
            return
        java, library = java_and_library()
        # Memory and collector affect speed only: the table makes hundreds of megabytes of long-lived objects.
        memory = ["-Xms1500m", "-Xmn800m", "-Xmx2G", "-XX:+UseSerialGC"]
        command = [java, *memory, "-Dfile.encoding=UTF-8", "-jar", "meteor-1.5.jar"]
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed by close()
        self._process = subprocess.Popen(
            [*command, "-", "-", "-stdio", "-l", "en", "-norm"],
            cwd=library / "meteor",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )

    def close(self) -> None:
        """End the process; a later question starts another one."""
        if self._process is None:
            return
        process, self._process = self._process, None
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, self._errors):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()

    def statistics(self, pairs: Sequence[Pair]) -> list[str]:
        """The line of 23 match statistics of each pair, as the program prints it; additive over a corpus."""
        new = list(dict.fromkeys(pair for pair in pairs if pair not in self._statistics))
        answers = self._ask([_score_line(pair) for pair in new], len(new))
        self._statistics.update(zip(new, answers, strict=True))
        return [self._statistics[pair] for pair in pairs]

    def scores(self, corpora: Sequence[Sequence[Pair]]) -> list[Corpus]:
        """METEOR of several corpora; an empty one scores 0.

        Raises DependencyError without Java or pycocoevalcap, or if the program dies.
        """
        lines = iter(self.statistics([pair for corpus in corpora for pair in corpus]))
        asked = ["EVAL ||| " + " ||| ".join(next(lines) for _ in corpus) for corpus in corpora if corpus]
        values = map(float, self._ask(asked, sum(len(corpus) + 1 for corpus in corpora if corpus)))
        scores = []
        for corpus in corpora:
            segments = tuple(next(values) for _ in corpus)
            scores.append(Corpus(next(values) if corpus else 0.0, segments))
        return scores

    def _ask(self, lines: Sequence[str], answers: int) -> list[str]:
        """Send ``lines`` and read ``answers`` lines back; a thread writes, since both pipes have bounds."""
        if not lines:
            return []
        self.start()
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        writer = threading.Thread(target=_write, args=(process.stdin, lines), daemon=True)
        writer.start()
        read = [line.decode().strip() for _, line in zip(range(answers), process.stdout, strict=False)]
        if len(read) < answers:
            problem = self._last_error()
            self.close()
            raise DependencyError(
                f"METEOR ended after {len(read)} of {answers} answers ({problem}): it needs 2 GB of memory"
            )
        writer.join()
        return read

    def _last_error(self) -> str:
        if self._errors is None:
            return "no message"
        self._errors.seek(0)
        return (self._errors.read().decode(errors="replace").strip().splitlines() or ["no message"])[-1]


def _score_line(pair: Pair) -> str:
    """One SCORE request; ``|||`` separates the fields, so it may not occur in one."""
    fields = (*pair.references, pair.hypothesis)
    return " ||| ".join(("SCORE", *(" ".join(field.replace("|||", " ").split()) for field in fields)))


def _write(stream: IO[bytes], lines: Iterable[str]) -> None:
    # a broken pipe shows as missing answers, which the reader reports
    with contextlib.suppress(BrokenPipeError, ValueError):
        stream.write("".join(f"{line}\n" for line in lines).encode("utf-8", errors="replace"))
        stream.flush()
