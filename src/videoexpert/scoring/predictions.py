"""Prediction files: ours, the QVHighlights submission, TimeChat's, VTimeLLM's log, NExT-GQA's; plain or gzip.

docs/predictions.md describes each form. All become ``Prediction`` rows; a scorer never looks at the file's
form.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import files
from ..errors import DataError
from ..files import read_text


def digest(file: Path) -> str:
    """First 16 hexadecimal digits of a file's SHA-256: tells in a result which file it is about."""
    return files.digest(file)[:16]


@dataclass(
    slots=True
)  # not frozen: tens of thousands are made a file, and frozen ones take three times as long
class Prediction:
    """What one system says about one query.

    windows     moments in file order, ``[start, end]`` or ``[start, end, score]`` in seconds; None: not
                attempted
    saliency    one score per clip; None: not attempted
    choice      0-based option, or the option's text; None: not answered
    truth       the right option where the file repeats it (NExT-QA result files)
    log_answer  VTimeLLM's answer text, which holds the window as percent of the duration
    log_iou     the IoU VTimeLLM stored beside it
    """

    id: str | None
    video: str | None = None
    query: str | None = None
    windows: list[list[float]] | None = None
    saliency: list[float] | None = None
    choice: Any = None
    truth: Any = None
    log_answer: str | None = None
    log_iou: float | None = None


def read_json(path: Path) -> Any:
    """One JSON value, or the list of rows of a JSON-lines file whatever its ending. Raises DataError."""
    text = read_text(path)
    stripped = text.strip()
    if not stripped:
        return []
    try:
        return json.loads(stripped)
    except json.JSONDecodeError as error:
        lines = stripped.split("\n")  # splitlines() also cuts at U+2028, which occurs inside sentences
        if len(lines) == 1 or not stripped.startswith("{"):
            raise DataError(f"{path} is not JSON (line {error.lineno}: {error.msg}).") from None
    rows = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise DataError(
                f"{path} line {number} is not JSON ({error.msg}); expected one object a line."
            ) from None
    return rows


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Rows of a JSON list or JSON-lines file of objects. Raises DataError for anything else."""
    content = read_json(path)
    if isinstance(content, dict):
        content = [content]
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        raise DataError(
            f"{path} holds {type(content).__name__}, expected a list of objects or one object a line."
        )
    return content


def read_predictions(path: Path) -> list[Prediction]:
    """Every prediction of a file, in file order; ids may repeat. Raises DataError for an unknown form."""
    content = read_json(path)
    if isinstance(content, dict) and not (_ROW_KEYS & content.keys()):
        return [_from_entry(str(key), entry, path) for key, entry in content.items()]
    rows = [content] if isinstance(content, dict) else content
    if not isinstance(rows, list):
        raise DataError(
            f"{path} holds a {type(rows).__name__}, expected predictions (see docs/predictions.md)."
        )
    found = []
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise DataError(f"{path} row {number} is a {type(row).__name__}, expected an object.")
        prediction = _from_row(row, f"{path} row {number}")
        if prediction is not None:
            found.append(prediction)
    return found


_ROW_KEYS = {"id", "qid", "video_id", "pred_relevant_windows", "pred_saliency_scores", "moments", "task"}


def _from_row(row: dict[str, Any], where: str) -> Prediction | None:
    """One JSON-lines row: ours, a QVHighlights submission row, or a row of VTimeLLM's log (None: another
    task)."""
    if "task" in row and "video_id" in row and "answer" in row:
        return _from_log(row, where)
    video = row.get("video", row.get("vid", row.get("video_id")))
    identifier = row.get("id", row.get("qid"))
    windows = row.get("pred_relevant_windows", row.get("timestamp"))
    if row.get("moments") is not None:
        windows = [_from_moment(moment, where) for moment in row["moments"]]
    choice = row.get("choice", row.get("answer"))
    known = (identifier, video, windows, choice)
    if all(value is None for value in known):
        raise DataError(
            f"{where} has none of id, qid, video, moments; see docs/predictions.md for the forms."
        )
    return Prediction(
        id=None if identifier is None else str(identifier),
        video=None if video is None else str(video),
        query=row.get("query", row.get("question")),
        windows=checked_windows(windows, where),
        saliency=row.get("saliency", row.get("pred_saliency_scores")),
        choice=choice,
    )


def _from_moment(moment: Any, where: str) -> list[float]:
    try:
        window = [moment["start"], moment["end"]]
    except (TypeError, KeyError):
        raise DataError(f"{where} has a moment without start and end; expected objects with both.") from None
    return [*window, moment["score"]] if moment.get("score") is not None else window


def _from_log(row: dict[str, Any], where: str) -> Prediction | None:
    """A row of VTimeLLM's evaluation log; rows of other tasks (captioning) are not grounding predictions."""
    if row["task"] != "grounding":
        return None
    info = row.get("info") or {}
    if "sentence_id" not in info:
        raise DataError(f"{where} is a grounding log row without info.sentence_id; expected one.")
    return Prediction(
        id=sentence_key(str(row["video_id"]), int(info["sentence_id"])),
        video=str(row["video_id"]),
        log_answer=str(row["answer"]),
        log_iou=info.get("iou"),
    )


def _from_entry(key: str, entry: Any, path: Path) -> Prediction:
    """One entry of an object keyed by id: TimeChat's ``{"timestamp"}``, NExT-GQA's ``[start, end]`` or
    answers."""
    where = f"{path} entry {key!r}"
    if isinstance(entry, dict):
        return Prediction(
            id=key,
            video=entry.get("vid"),
            query=entry.get("query"),
            windows=checked_windows(entry.get("timestamp"), where),
            choice=entry.get("prediction"),
            truth=entry.get("answer"),
        )
    if isinstance(entry, list):
        single = bool(entry) and not isinstance(entry[0], list)
        return Prediction(id=key, windows=checked_windows([entry] if single else entry, where))
    raise DataError(f"{where} is {type(entry).__name__}, expected [start, end] or an object.")


def checked_windows(windows: Any, where: str) -> list[list[float]] | None:
    """The same list when every window is two or three numbers. Raises DataError naming the row."""
    if windows is None:
        return None
    if not isinstance(windows, list):
        raise DataError(
            f"{where} has windows of type {type(windows).__name__}, expected a list of [start, end]."
        )
    if not _are_number_lists(windows):
        faulty = next(window for window in windows if not _are_number_lists([window]))
        raise DataError(f"{where} has the window {faulty!r}, expected [start, end] or [start, end, score].")
    if len(set(map(len, windows))) > 1:
        raise DataError(
            f"{where} has windows with and without a score; give every window of a query one, or none."
        )
    return windows


def _are_number_lists(windows: list[Any]) -> bool:
    """Whether every item is a list of two or three numbers (sets of types, not a test per number: files
    are big)."""
    if not set(map(type, windows)) <= {list} or not set(map(len, windows)) <= {2, 3}:
        return False
    return {type(number) for window in windows for number in window} <= {int, float}


def sentence_key(video: str, index: int) -> str:
    """Id of sentence ``index`` of a video in files that number sentences per video (ActivityNet,
    VTimeLLM)."""
    return f"{video}_{index}"


def best_window(prediction: Prediction, by_score: bool) -> list[float] | None:
    """The window a top-1 metric looks at: the best score (first of ties), or the first in file order."""
    if not prediction.windows:
        return None
    if by_score and len(prediction.windows[0]) == 3:
        return max(prediction.windows, key=lambda window: -math.inf if math.isnan(window[2]) else window[2])[
            :2
        ]
    return prediction.windows[0][:2]
