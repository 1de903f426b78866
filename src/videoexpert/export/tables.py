"""CSV for spreadsheets and data frames: a row a moment, clip or caption."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from ..types import Answer, Captions, Highlights, Moment, Moments
from .answers import AnswerSet
from .text import clean

COLUMNS = ("video", "kind", "query", "text", "rank", "start", "end", "score", "presence", "absent")


def write(found: AnswerSet) -> str:
    """A header and the rows of all videos; what a row has no value for stays empty."""
    out = io.StringIO()
    table = csv.DictWriter(out, COLUMNS, restval="", lineterminator="\r\n")
    table.writeheader()
    for item in found.answers:
        parts = item.found if isinstance(item.found, tuple) else (item.found,)
        for row in (row for part in parts for row in rows(part)):
            cells: dict[str, Any] = {
                key: clean(cell) if isinstance(cell, str) else cell for key, cell in row.items()
            }
            table.writerow({"video": clean(item.video), **cells})
    return out.getvalue()


def rows(found: Moments | Highlights | Captions | Answer) -> list[dict[str, Any]]:
    """One answer's rows, rounded as in the JSON; a query without a moment keeps one row."""
    if isinstance(found, Captions):
        return [{"kind": "caption", **_span(rank, m)} for rank, m in enumerate(found, 1)]
    if isinstance(found, Answer):
        head: dict[str, Any] = {"kind": "moment", "query": found.question, "text": found.text}
        return _ranked(head, found.moments)
    there = {"presence": round(found.presence, 4), "absent": found.absent}
    head = {"kind": "moment", "query": found.query, **there}
    if isinstance(found, Moments):
        return _ranked(head, found)
    clips: list[dict[str, Any]] = [
        {"kind": "clip", "start": round(t, 3), "end": round(t + found.clip_s, 3), "score": round(s, 4)}
        for t, s in zip(found.times, found.scores, strict=True)
    ]
    return [*_ranked(head, found.moments), *(head | clip for clip in clips)]


def _ranked(head: dict[str, Any], moments: Sequence[Moment]) -> list[dict[str, Any]]:
    return [{**head, **_span(rank, m)} for rank, m in enumerate(moments, 1)] or [head]


def _span(rank: int, moment: Moment) -> dict[str, Any]:
    span = {"rank": rank, "start": round(moment.start, 3), "end": round(moment.end, 3)}
    return span | {"score": round(moment.score, 4)} | ({} if moment.text is None else {"text": moment.text})
