"""What an annotation file says, before anything is repaired: one type for every data set.

``Sample`` is the question that is asked of a system; ``Record`` is the line of the file behind it. A reader makes
samples of records, a scorer takes the records themselves, and both know an item by the same id.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .dirty import CleaningReport
from .samples import Window

OTHER_GRID = "other grid"  # ``kind`` of a query whose scores are for clips of another length
MISMATCH = "mismatch"  # ``kind`` of a query whose scores do not belong to its windows


@dataclass(slots=True)  # not frozen: tens of thousands are made a file
class Record:
    """One annotated item as its file has it: parsed and checked, nothing dropped and nothing moved.

    id          from the item's place in the file, so that no dropped neighbour moves it; unique in the file
    text        the query or the question
    windows     (start, end) seconds as annotated: they may be reversed, empty or outside the video
    duration_s  of the video; None where the file does not say
    place       where it is in the file, such as "line 3"
    form        the layout it was read from, where a benchmark has several and their rules differ
    labelled    False where the file withholds the windows
    captions    dense captioning: one sentence a window
    numbers     dense captioning: place of each window in the file, where some have been left out
    clip_ids, marks  highlights: numbers of the marked clips of ``CLIP_S`` seconds, and for each one score an annotator
    clips       highlights on another grid: (start, end) seconds of every clip, ``marks`` then belong to these
    kind        the data set's own type of the item: a question type, a domain
    options, right, answer  questions: the options, which of them are right (two may have one text), and the answer
    raw         what only the data set's own cleaning looks at
    asked       False where cleaning drops the item: it then counts only where a prediction speaks of it
    """

    id: str
    video: str
    text: str = ""
    windows: Sequence[Window] = ()
    duration_s: float | None = None
    place: str = ""
    form: str = ""
    labelled: bool = True
    captions: Sequence[str] = ()
    numbers: Sequence[int] = ()
    clip_ids: Sequence[int] = ()
    marks: Sequence[Sequence[float]] | None = None
    clips: Sequence[Window] = ()
    kind: str = ""
    options: tuple[str, ...] = ()
    right: frozenset[int] = frozenset()
    answer: str = ""
    raw: Any = None
    asked: bool = True


@dataclass(frozen=True)
class Records:
    """All records of a file, in order.

    report  what was noticed between records and beside them (repeated ids, spans without a question)
    counts, split, files  as in ``Dataset``
    """

    items: tuple[Record, ...]
    counts: dict[str, dict[str, int]]
    split: str | None
    files: tuple[Path, ...]
    report: CleaningReport = field(default_factory=CleaningReport)

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.items)

    def __getitem__(self, index: int) -> Record:
        return self.items[index]


def counted(
    items: Sequence[Record], part: str | None, segments: int | None = None
) -> dict[str, dict[str, int]]:
    """``Dataset.counts`` of one part of a data set."""
    counts = {"records": len(items), "videos": len({record.video for record in items})}
    return {part or "all": counts | ({} if segments is None else {"segments": segments})}
