"""Answers as the documents that the command line prints, field for field (docs/cli.md), and as files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...errors import InputError
from ...export import answers_json
from ...export.answers import Answers, AnswerSet, Found
from ...export.registry import FORMATS, ExportFormat, export, find_format
from ...types import Captions
from ..exporting import timed
from .state import StoredVideo

# the method of OpenVideo that a task of a request names -> the verb of the command line
VERBS = {"ground": "ground", "highlights": "highlight", "caption": "caption", "ask": "ask"}


def answered(
    task: str, found: Any, video: StoredVideo, model: str, known: Mapping[str, Any]
) -> dict[str, Any]:
    """The document of an answer, with the curve of each query where there is one; the video goes by its id."""
    item = Answers(video.id, video.duration, model, _found(task, found), **known)
    document = answers_json.document(item)
    if task == "ground" and any(moments.curve for moments in found):
        for query, moments in zip(document["queries"], found, strict=True):
            query["curve"] = [round(value, 4) for value in moments.curve]
    return document


def evidence(found: Any, video: StoredVideo, model: str) -> dict[str, Any]:
    """How far answers move without the video, by query."""
    told = [{"query": one.query, "evidence": answers_json.evidence_document(one)} for one in found]
    return {"video": video.id, "duration": round(video.duration, 3), "model": model, "queries": told}


def _found(task: str, found: Any) -> Found:
    if task == "ground":
        return tuple(found)
    return Captions(tuple(found)) if task == "caption" else found


def formats() -> list[dict[str, Any]]:
    """What the export menu offers: formats of one video, with the tasks of requests that each holds."""
    return [
        {
            "name": one.name,
            "title": f"{one.name} ({one.what})",
            "tasks": [task for task, verb in VERBS.items() if verb in one.tasks],
        }
        for one in FORMATS.values()
    ]


def as_file(document: dict[str, Any], name: str, video: StoredVideo, path: Path) -> tuple[str, ExportFormat]:
    """A document as the text of a file. Raises InputError, DataError or UnsupportedError."""
    format = find_format(name)
    items = answers_json.read(document, "document").answers
    if len(items) != 1:
        raise InputError("an export holds one answer; send a document as a verb answered it.")
    item = replace(items[0], video=video.name)
    if format.frames:
        item, _ = timed(item, file=path)
    return export(AnswerSet((item,)), name), format
