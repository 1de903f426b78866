"""METEOR 1.5 (Denkowski and Lavie, 2014) through the Java program that ``pycocoevalcap`` carries.

The program aligns; the score is computed here from its match statistics, by the paper's formula. Starting it
costs several seconds (a paraphrase table of 62 MB is read), a pair about a millisecond: one process serves
all pairs, and a pair asked for twice is aligned once.
"""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import IO, NamedTuple

from ...errors import DependencyError
from .text import java_and_library


class Pair(NamedTuple):
    """A hypothesis and its references, each a string of tokens joined by single spaces."""

    hypothesis: str
    references: tuple[str, ...]


class Corpus(NamedTuple):
    """METEOR of a corpus, all in [0, 1]: the aggregate (not the mean of the segments), and each segment's."""

    aggregate: float
    segments: tuple[float, ...]


#: Lengths of hypothesis and reference, function words of both; then for exact, stem, synonym and paraphrase
#: matches content words of hypothesis and of reference and function words of both; chunks, matched words of
#: both.
Statistics = tuple[float, ...]

#: English defaults of METEOR 1.5: precision against recall, fragmentation exponent and weight, content words
#: against function words, and the worth of a match by exact form, stem, synonym and paraphrase.
ALPHA, BETA, GAMMA, DELTA = 0.85, 0.2, 0.6, 0.75
MATCHERS = (1.0, 0.6, 0.8, 0.6)


def meteor_score(statistics: Statistics) -> float:
    """METEOR of one pair, or of a corpus by the sums of its pairs' statistics; 0 if nothing matches.

    ``(1 - GAMMA * fragmentation**BETA) * F`` with F the weighted harmonic mean of precision and recall
    (Denkowski and Lavie, 2014).
    """
    chunks, *matched = statistics[20:]
    precision, recall = (
        _weighted_share(
            statistics[side] - statistics[2 + side],
            statistics[2 + side],
            [(statistics[4 + 4 * i + side], statistics[6 + 4 * i + side]) for i in range(len(MATCHERS))],
        )
        for side in (0, 1)
    )
    if not (precision and recall):
        return 0.0
    mean = precision * recall / (ALPHA * precision + (1 - ALPHA) * recall)
    fragmentation = chunks / (sum(matched) / 2)
    return mean * (1 - GAMMA * fragmentation**BETA)


def _weighted_share(content: float, function: float, matches: Sequence[tuple[float, float]]) -> float:
    """Matched words over words, each (content, function), function words weighing less."""
    weight = DELTA * content + (1 - DELTA) * function
    matched = sum(w * (DELTA * c + (1 - DELTA) * f) for w, (c, f) in zip(MATCHERS, matches, strict=True))
    return matched / weight if weight else 0.0


def _perfect_has_no_chunk(statistics: Statistics) -> Statistics:
    """A pair that matches whole in one chunk is not fragmented: it counts 0 chunks, in sums too."""
    chunks, *matched = statistics[20:]
    perfect = chunks == 1 and tuple(matched) == statistics[:2]
    return (*statistics[:20], 0.0, *matched) if perfect else statistics


class Meteor:
    """A METEOR process, started on first use; close it or use it as a context manager."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None
        self._statistics: dict[Pair, Statistics] = {}

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
        # affects speed only: a parallel collector gains nothing on one long-lived table
        memory = ["-Xms1g", "-Xmx2G", "-XX:+UseSerialGC"]
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

    def statistics(self, pairs: Sequence[Pair]) -> list[Statistics]:
        """The 23 match statistics of each pair, as the program prints them."""
        new = list(dict.fromkeys(pair for pair in pairs if pair not in self._statistics))
        answers = self._ask([_score_line(pair) for pair in new], len(new))
        for pair, answer in zip(new, answers, strict=True):
            self._statistics[pair] = tuple(map(float, answer.split()))
        return [self._statistics[pair] for pair in pairs]

    def scores(self, corpora: Sequence[Sequence[Pair]]) -> list[Corpus]:
        """METEOR of several corpora; an empty one scores 0.

        Raises DependencyError without Java or pycocoevalcap, or if the program dies.
        """
        statistics = iter(self.statistics([pair for corpus in corpora for pair in corpus]))
        scores = []
        for corpus in corpora:
            rows = [_perfect_has_no_chunk(next(statistics)) for _ in corpus]
            total = tuple(map(sum, zip(*rows, strict=True)))
            scores.append(Corpus(meteor_score(total) if rows else 0.0, tuple(map(meteor_score, rows))))
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
