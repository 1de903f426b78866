"""Answers -> files (docs/exports.md): pure functions from an answer to the text of a file, behind one table.

>>> found = video.ground("a person opens the fridge")
>>> export(answers_about(found), "srt")
"""

from . import answers_json
from .answers import TASKS, Answers, AnswerSet, Clock, Failed, Mark
from .registry import FORMATS, ExportFormat, export, find_format, format_of
from .timeline import choose_clock

__all__ = [
    "FORMATS",
    "TASKS",
    "AnswerSet",
    "Answers",
    "Clock",
    "ExportFormat",
    "Failed",
    "Mark",
    "answers_json",
    "choose_clock",
    "export",
    "find_format",
    "format_of",
]
