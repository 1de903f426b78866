"""What is wrong with a file, all of it in one message: the first faults in words, the others counted."""

from __future__ import annotations

from collections.abc import Iterable

MOST = 100  # faults that a message names
LONGEST = 300  # characters of one: a key or a number of a foreign file may be of any length


class Faults:
    """Counts what is added, and holds the first ``MOST``: a file of a million broken lines takes no more memory."""

    def __init__(self) -> None:
        self.count = 0
        self._named: list[str] = []

    def add(self, faults: Iterable[str]) -> None:
        """Faults in the order of the file."""
        for fault in faults:
            self.count += 1
            if len(self._named) < MOST:
                self._named.append(fault if len(fault) <= LONGEST else f"{fault[: LONGEST - 3]}...")

    def __bool__(self) -> bool:
        return self.count > 0

    @property
    def counted(self) -> str:
        """``1 fault``, ``2,000 faults``."""
        return f"{self.count:,} fault{'s' if self.count > 1 else ''}"

    @property
    def listed(self) -> str:
        """A line each, indented; the last one counts those that are not named."""
        more = self.count - len(self._named)
        return "".join(f"\n  {line}" for line in [*self._named, *([f"and {more:,} more"] if more else [])])


__all__ = ["Faults"]
