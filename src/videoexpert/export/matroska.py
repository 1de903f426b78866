"""Matroska chapters: ``mkvmerge --chapters FILE -o OUT.mkv VIDEO``."""

from __future__ import annotations

from .answers import Answers
from .markup import document, element, texts
from .text import milliseconds, one_line, timestamp


def write(item: Answers) -> str:
    """A chapter a moment, by time."""
    atoms = [
        element(
            "ChapterAtom",
            *texts(
                ChapterUID=number,
                ChapterTimeStart=_time(mark.start),
                ChapterTimeEnd=_time(mark.end),
                ChapterFlagHidden=0,
                ChapterFlagEnabled=1,
            ),
            element("ChapterDisplay", *texts(ChapterString=one_line(mark.title), ChapterLanguage="und")),
        )
        for number, mark in enumerate(item.marks(), 1)
    ]
    edition = element("EditionEntry", *texts(EditionUID=1, EditionFlagHidden=0, EditionFlagDefault=1), *atoms)
    return document(element("Chapters", edition), 'Chapters SYSTEM "matroskachapters.dtd"')


def _time(seconds: float) -> str:
    return timestamp(milliseconds(seconds), ".") + "000000"
