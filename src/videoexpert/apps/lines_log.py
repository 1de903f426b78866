"""A file of JSON lines that grows by a line a video and is resumed after a kill."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files import append_lines, loads, whole_lines, write_text


class LinesLog:
    """The file at ``path``. Lines of videos that failed, and one that was cut off by a kill, are done again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._models: set[str] = set()

    def resume(self, texts: Sequence[str]) -> set[str]:
        """The videos that are answered; what is to be done again is taken out of the file.

        Raises InputError where the file holds something else than answers to ``texts``.
        """
        if not self.path.exists():
            return set()
        whole = whole_lines(self.path)
        kept: list[str] = []
        done: set[str] = set()
        for line in whole:
            document = self._document(line)
            if "error" in document:
                continue
            if list(_asked(document)) != list(texts):
                raise InputError(
                    f"{self.path} holds answers to other sentences, expected a new file or one that these sentences "
                    "began: choose another name."
                )
            self._models.add(str(document.get("model")))
            done.add(str(document["video"]))
            kept.append(line)
        if "".join(kept).encode() != self.path.read_bytes():
            write_text(self.path, "".join(kept))
        return done

    def check_model(self, name: str) -> None:
        """Raises InputError where answers of another model are in the file."""
        if others := self._models - {name}:
            raise InputError(
                f"{self.path} holds answers of {', '.join(sorted(others))}, expected those of {name}: choose another "
                "name."
            )

    def add(self, text: str) -> None:
        """Whole lines, on the disk before the next video is begun."""
        append_lines(self.path, text)

    def _document(self, line: str) -> dict[str, Any]:
        try:
            found = loads(line)
        except ValueError:
            found = None
        if not isinstance(found, dict) or "video" not in found:
            raise InputError(
                f"{self.path} is not a file of answers, expected a new file: choose another name."
            )
        return found


def _asked(document: dict[str, Any]) -> Sequence[str]:
    """The sentences that a document answers."""
    if "queries" in document:
        return [query["query"] for query in document["queries"]]
    return [document[key] for key in ("query", "question") if key in document]
