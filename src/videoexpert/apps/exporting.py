"""Where answers go: printed, or written to a file or a folder, each file whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from ..annotations.videos import VIDEO_SUFFIXES
from ..errors import InputError
from ..export import Answers, AnswerSet, ExportFormat, Failed, choose_clock, export, find_format, format_of
from ..export.text import not_understood
from ..export.timecode import check_timecode, parse_rate
from ..files import write_text
from . import terminal
from .inputs import Inputs
from .lines_log import LinesLog
from .options import TABLE

_JSON = (".json", ".jsonl", ".otio")


@dataclass(frozen=True)
class Target:
    """What the options ask for; ``format`` None: a table for people."""

    format: ExportFormat | None
    out: Path | None = None
    rate: str | None = None
    start_timecode: str | None = None

    @property
    def folder(self) -> bool:
        """Whether each video gets a file of its own."""
        return self.out is not None and self.out.is_dir()


def target(
    format: str | None, out: Path | None, rate: str | None, start_timecode: str | None, inputs: Inputs
) -> Target:
    """The options, checked before anything heavy is loaded. Raises InputError for those that do not fit together."""
    if format is None and out is not None and not out.is_dir():
        chosen: ExportFormat | None = format_of(out)
    else:
        chosen = None if format in (None, TABLE) else find_format(str(format))
    found = Target(chosen, out, rate, start_timecode)
    _check_out(found, inputs.several, inputs.videos)
    for name, value, fits in (
        ("--rate", rate, chosen is not None and chosen.frames),
        ("--start-timecode", start_timecode, chosen is not None and chosen.timecode),
    ):
        if value is not None and not fits:
            raise InputError(
                f"{name} is for formats whose times are frames, and {chosen.name if chosen else TABLE} has none of it: "
                "leave it out."
            )
    if rate is not None:
        parse_rate(rate)
    if start_timecode is not None:
        check_timecode(start_timecode)
    return found


def _check_out(found: Target, several: bool, videos: Sequence[str]) -> None:
    format, out = found.format, found.out
    if format is None:
        if out is not None:
            raise InputError(f"--out {out} needs a format, expected --format with one such as json or srt.")
        return
    if several and not format.many and not found.folder:
        raise InputError(
            f"{format.name} holds one video a file, and several were named: give --out an existing folder."
        )
    if out is None or found.folder:
        return
    if out.suffix.lower() in VIDEO_SUFFIXES or any(_same_file(out, video) for video in videos):
        raise InputError(
            f"--out is {str(out)!r}, which would overwrite a video; expected a name that ends in {format.suffix}."
        )
    if not out.absolute().parent.is_dir():
        raise InputError(f"--out is {str(out)!r}, but its folder does not exist: make it first.")


def _same_file(out: Path, video: str) -> bool:
    return out.exists() and os.path.exists(video) and os.path.samefile(out, video)


def timed(
    item: Answers, rate: str | None = None, start_timecode: str | None = None, file: Path | None = None
) -> tuple[Answers, str | None]:
    """The answers with what formats need that count frames, and what has to be said about the rate.

    ``file`` is the path of a video that answers refer to by name alone: do not leak its folder.
    Raises VideoError if the video no longer exists, InputError for an invalid rate or timecode.
    """
    from ..video.media import media_info

    media = media_info(item.video if file is None else file)
    if file is not None:
        media = replace(media, path=f"/{item.video}")
    clock, said = choose_clock(media, rate, start_timecode)
    return replace(item, media=media, clock=clock), said


class Exporter:
    """Takes answers as they come and writes them; ``close`` ends a file that holds several videos.

    ``grows``: a file of JSON lines gets each line as its video is done, and is resumed; else it is written whole.
    """

    def __init__(self, target: Target, several: bool, *, grows: bool = False) -> None:
        self.target, self.several = target, several
        self._items: list[Answers | Failed] = []
        self._names: set[Path] = set()
        self._log: LinesLog | None = None
        format, out = target.format, target.out
        if grows and format is not None and format.streams and out is not None and not target.folder:
            self._log = LinesLog(out)

    def left(self, inputs: Inputs) -> list[str]:
        """The videos that an earlier, stopped run has not answered. Raises InputError for a file of other questions."""
        if self._log is None:
            return list(inputs.videos)
        done = self._log.resume(inputs.texts)
        left = [video for video in inputs.videos if video not in done]
        if len(left) < len(inputs.videos):
            count = len(inputs.videos)
            terminal.complain(
                f"{count - len(left)} of {count} videos are answered in {self._log.path} already."
            )
        return left

    def check_model(self, name: str) -> None:
        """Raises InputError where the file that is resumed holds another model's answers."""
        if self._log is not None:
            self._log.check_model(name)

    def add(self, item: Answers | Failed) -> None:
        """One video's answers. Raises what ``export`` raises for answers that the format cannot hold."""
        format = self.target.format
        if format is None:
            return
        if isinstance(item, Answers):
            if format.frames:
                item, said = timed(item, self.target.rate, self.target.start_timecode)
                if said is not None:
                    terminal.complain(f"Note: {said}")
            if format.marks and not item.marks():
                why = not_understood(item.unknown_words) or "nothing was found"
                terminal.complain(f"{item.video}: {why}; the {format.name} file holds no moment.")
        if self._log is not None:
            self._log.add(export(AnswerSet((item,), self.several), format.name))
        elif format.streams and self.target.out is None:
            self._print(export(AnswerSet((item,), self.several), format.name))
        elif not self.target.folder:
            self._items.append(item)
        elif isinstance(item, Answers):
            self._write(self._free_name(item.video, format), export(item, format.name))

    def close(self) -> None:
        """Prints or writes what is still open."""
        format = self.target.format
        if self._log is not None:
            terminal.complain(f"written to {self._log.path}")
        if format is None or not self._items:
            return
        text = export(AnswerSet(tuple(self._items), self.several), format.name)
        if self.target.out is None:
            self._print(text)
        else:
            self._write(self.target.out, text)

    def _free_name(self, video: str, format: ExportFormat) -> Path:
        """The video's name with the format's ending; with a number where two videos share a name."""
        assert self.target.out is not None
        stem, number = PurePath(video).stem, 1
        path = self.target.out / f"{stem}{format.suffix}"
        while path in self._names:
            number += 1
            path = self.target.out / f"{stem}-{number}{format.suffix}"
        self._names.add(path)
        return path

    def _write(self, path: Path, text: str) -> None:
        write_text(path, text)
        terminal.complain(f"written to {path}")

    def _print(self, text: str) -> None:
        suffix = self.target.format.suffix if self.target.format else ""
        terminal.print_file(text, suffix in _JSON)
