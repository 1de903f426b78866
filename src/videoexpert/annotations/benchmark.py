"""Everything one benchmark knows, as one object; ``readers/NAME.py`` holds one each.

Help texts, ``data check``, ``score``, ``eval``, ``panels``, ``probe`` and the tables of the documentation read these
objects and name no benchmark themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import files
from ..errors import InputError
from .dirty import CleaningReport
from .records import Record, Records
from .samples import Sample

Counts = dict[str, int]


@dataclass(frozen=True)
class Benchmark:
    """A data set, its files, and how it is answered and scored.

    name, title    as on the command line; as in a sentence
    parse          (file or folder, split, **options) -> every record of the file
    clean          (record, report) -> the sample asked of a system, or None where the record is dropped
    kept           a record as scorers take it, where cleaning it for that would be wrong or slow
    layout         split -> its original file names; a folder is searched in this order where no split is given
    aliases        another name of a split -> the name in ``layout``
    published      part -> what -> number, as the data set's papers or files give it
    options        what ``parse`` takes beside file and split -> one line that says what it is
    tasks          what its samples ask: see ``samples.TASKS``
    scorer         the scorer of ``scoring.score`` that takes its records; None where it is for training only
    shown          the metrics that tables show, where there are too many for one
    answered       ``eval`` answers it from videos
    drawn          ``panels`` draws it: its samples have windows, captions or answers to show
    probed         ``probe bias`` takes it: its queries are windows to find
    sentences      its captions can be asked as queries to find
    references     several annotation files may be given: each video has several references
    train_split    the split a guess may learn from
    score_split    the part of a file of several that is scored where no split is given
    parts_in_file  one file holds several splits
    submission     its test split is scored by a server that takes a file of predictions
    documented     columns of the tables in docs/: "files", "sample", "id", "source", "task"
    inspect        (files read, report): dirty records beside the ones that are read, for ``data check``
    """

    name: str
    title: str
    parse: Callable[..., Records]
    clean: Callable[[Record, CleaningReport], Sample | None]
    layout: Mapping[str, tuple[str, ...]]
    documented: Mapping[str, str]
    tasks: tuple[str, ...]
    kept: Callable[[Record], Record] | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)
    published: Mapping[str, Counts] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    scorer: str | None = None
    shown: tuple[str, ...] = ()
    answered: bool = False
    drawn: bool = False
    probed: bool = False
    sentences: bool = False
    references: bool = False
    train_split: str = "train"
    score_split: str | None = None
    parts_in_file: bool = False
    submission: bool = False
    inspect: Callable[[tuple[Path, ...], str | None, CleaningReport], None] | None = None

    def known_split(self, split: str | None) -> str | None:
        """The split under its name in ``layout``. Raises InputError for one that the benchmark lacks."""
        if split is None:
            return None
        known = self.aliases.get(split, split)
        if known not in self.layout:
            if not self.layout:
                raise InputError(f"{self.title} has no splits; keep one file for each, and leave split out.")
            names = ", ".join(dict.fromkeys([*self.layout, *self.aliases]))
            raise InputError(f"split of {self.name} is {split!r}, expected one of {names}.")
        return known

    def locate(self, path: Path, split: str | None = None) -> tuple[Path, str | None]:
        """The file itself, or the original name in a folder, and the split where it is known.

        Raises InputError for an unknown split, DataError where the folder holds none of the names.
        """
        split = self.known_split(split)
        wanted = [split] if split else list(self.layout)
        names = dict.fromkeys(name for part in wanted for name in self.layout[part])
        file = files.locate(path, list(names))
        return file, split or files.split_in_name(file, list(self.layout))

    def check_options(self, given: Mapping[str, Any]) -> None:
        """Raises InputError for an option that this benchmark does not take."""
        unknown = sorted(set(given) - set(self.options))
        if unknown:
            known = ", ".join(self.options) or "none"
            raise InputError(f"{self.name} does not take {', '.join(unknown)}; its extra arguments: {known}.")
