"""Every format that answers are exported to: a new one is one file with a ``write`` and one line of FORMATS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import InputError, UnsupportedError
from . import (
    answers_json,
    answers_jsonl,
    chapters,
    charades_sta,
    edl,
    fcpxml,
    ffmetadata,
    label_studio,
    matroska,
    otio,
    own_data,
    qvhighlights,
    resolve_markers,
    subrip,
    tables,
    vtimellm,
    webvtt,
    whisper,
    xmeml,
)
from .answers import TASKS, Answers, AnswerSet

Writer = Callable[[AnswerSet], str]


@dataclass(frozen=True)
class ExportFormat:
    """One format.

    write        pure: answers to the file's text
    many         whether one file holds several videos
    streams      whether a file of several videos is their texts, one after the other
    marks        whether it holds no more than titled spans: those that people are shown
    frames       whether it counts frames, and needs ``media`` and ``clock`` of the answers
    timecode     whether it has a timeline that starts somewhere
    tasks        whose answers it can hold
    """

    name: str
    suffix: str
    media_type: str
    what: str
    write: Writer
    many: bool = False
    streams: bool = False
    marks: bool = True
    frames: bool = False
    timecode: bool = False
    tasks: frozenset[str] = TASKS


def _whole(
    name: str, suffix: str, media_type: str, what: str, write: Writer, streams: bool = False
) -> ExportFormat:
    """A format that holds all that was answered, about any number of videos."""
    return ExportFormat(name, suffix, media_type, what, write, many=True, streams=streams, marks=False)


def _labels(name: str, suffix: str, media_type: str, write: Writer) -> ExportFormat:
    """A format of labels, which says what is absent, too."""
    return ExportFormat(name, suffix, media_type, "labels", write, many=True, marks=False)


def _spans(
    name: str, suffix: str, media_type: str, what: str, write: Callable[[Answers], str]
) -> ExportFormat:
    """A format that holds the titled spans of one video."""

    def alone(found: AnswerSet) -> str:
        (item,) = found.answers
        return write(item)

    return ExportFormat(name, suffix, media_type, what, alone)


def _editor(
    name: str, suffix: str, media_type: str, what: str, write: Callable[[Answers], str]
) -> ExportFormat:
    """The same for an editor, in frames of its timeline."""
    return replace(_spans(name, suffix, media_type, what, write), frames=True, timecode=True)


_TABLE = (
    _whole("json", ".json", "application/json", "everything", answers_json.write),
    _whole("jsonl", ".jsonl", "application/x-ndjson", "everything", answers_jsonl.write, streams=True),
    _whole("csv", ".csv", "text/csv", "a row a moment, clip or caption", tables.write),
    _spans("srt", ".srt", "application/x-subrip", "subtitles", subrip.write),
    _spans("vtt", ".vtt", "text/vtt", "subtitles", webvtt.write),
    _spans("chapters", ".txt", "text/plain", "chapters of a YouTube description", chapters.write),
    _spans("ffmetadata", ".ffmeta", "text/plain", "chapters for ffmpeg", ffmetadata.write),
    _spans("matroska", ".chapters.xml", "application/xml", "chapters for mkvmerge", matroska.write),
    _editor("edl", ".edl", "text/plain", "cuts, CMX3600", edl.write),
    _editor("resolve-markers", ".markers.edl", "text/plain", "markers", resolve_markers.write),
    _editor("otio", ".otio", "application/json", "cuts and markers", otio.write),
    _editor("fcpxml", ".fcpxml", "application/xml", "cuts and markers", fcpxml.write),
    _editor("xmeml", ".xml", "application/xml", "markers for Premiere", xmeml.write),
    ExportFormat(
        "label-studio",
        ".tasks.json",
        "application/json",
        "labels",
        label_studio.write,
        many=True,
        frames=True,
    ),
    ExportFormat("charades-sta", ".charades.txt", "text/plain", "labels", charades_sta.write, many=True),
    _labels("qvhighlights", ".qvhighlights.jsonl", "application/x-ndjson", qvhighlights.write),
    _labels("vtimellm", ".vtimellm.json", "application/json", vtimellm.write),
    _labels("own-data", ".own.jsonl", "application/x-ndjson", own_data.write),
    _spans("whisper", ".whisper.json", "application/json", "segments", whisper.write),
)
FORMATS = {format.name: format for format in _TABLE}


def find_format(name: str) -> ExportFormat:
    """Raises InputError for a name that is not in FORMATS."""
    if name not in FORMATS:
        raise InputError(f"the format is {name!r}, expected one of {', '.join(FORMATS)}.")
    return FORMATS[name]


def format_of(path: Path) -> ExportFormat:
    """The format that a file's name ends like. Raises InputError where none does."""
    name = path.name.lower()
    fitting = [format for format in FORMATS.values() if name.endswith(format.suffix)]
    if not fitting:
        raise InputError(
            f"the name {path.name!r} says no format, expected an ending such as "
            f"{', '.join(format.suffix for format in FORMATS.values())}: change it, or name the format."
        )
    return max(fitting, key=lambda format: len(format.suffix))


def export(found: AnswerSet | Answers, name: str) -> str:
    """The text of a file, to be written in UTF-8 with its line ends as they are.

    Raises InputError for an unknown format or several videos where it holds one, UnsupportedError for answers that
    the format cannot hold.
    """
    answers = AnswerSet((found,)) if isinstance(found, Answers) else found
    format = find_format(name)
    for item in answers.answers:
        if item.task not in format.tasks:
            raise UnsupportedError(
                f"{name} does not hold the answers of {item.task}, expected {' or '.join(sorted(format.tasks))}: "
                "choose another format."
            )
    if not format.many and len(answers.answers) != 1:
        raise InputError(
            f"{name} holds the answers about one video, got {len(answers.answers)}: export each alone."
        )
    # half a surrogate pair, from a file name that is not UTF-8, would stop the writing
    return format.write(answers).encode("utf-8", "backslashreplace").decode("utf-8")
