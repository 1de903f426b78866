"""Prediction files: ours, the QVHighlights submission, TimeChat's, VTimeLLM's log, NExT-GQA's; plain or gzip.

docs/predictions.md describes each form. All become ``Prediction`` rows; a scorer never looks at the file's
form.
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import files
from ..errors import DataError
from ..limits import limits

# keys that a row or an entry may have: what is read, and what other programs write beside it
_READ = {
    *("id", "qid", "video", "vid", "video_id", "query", "question", "moments", "timestamp", "saliency"),
    *("pred_relevant_windows", "pred_saliency_scores", "choice", "answer", "prediction"),
}
_MOMENT = {"start", "end", "score", "text"}
_MANY = 100  # limits are looked up for what may pass them, not for every row


def digest(file: Path) -> str:
    """First 16 hexadecimal digits of a file's SHA-256: identifies the file in a result."""
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


class Repeating(dict[str, Any]):
    """A parsed object with a repeated key; ``pairs`` has every value, in order."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.pairs = pairs


def read_json(path: Path) -> Any:
    """One JSON value, or the list of rows of a JSON-lines file whatever its ending; NaN and Infinity are numbers here.

    An object that repeats a key comes as ``Repeating``. Raises DataError for an empty file too.
    """
    text = files.read_text(path).strip()
    if not text:
        raise DataError(f"{path} is empty, expected predictions (see docs/predictions.md).")
    try:
        return _without_loss(json.loads(text), text)
    except json.JSONDecodeError as error:
        lines = text.split("\n")  # splitlines() also cuts at U+2028, which occurs inside sentences
        if len(lines) == 1 or not text.startswith("{"):
            raise DataError(f"{path} is not JSON (line {error.lineno}: {files.json_fault(error)}).") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON that can be read ({error}).") from None
    return [_json_line(line, f"{path} line {number}") for number, line in enumerate(lines, 1) if line.strip()]


def _json_line(line: str, where: str) -> Any:
    try:
        return _without_loss(json.loads(line), line)
    except (ValueError, RecursionError) as error:
        said = files.json_fault(error) if isinstance(error, json.JSONDecodeError) else str(error)
        raise DataError(f"{where} is not JSON ({said}); expected one object a line.") from None


def _without_loss(value: Any, text: str) -> Any:
    """``value``, parsed anew where keys may have been lost: a hook on every object costs a tenth of all scoring."""
    if text.count('":') == _count_keys(value):
        return value
    return json.loads(
        text,
        object_pairs_hook=lambda pairs: (
            found if len(found := dict(pairs)) == len(pairs) else Repeating(pairs)
        ),
    )


def _count_keys(value: Any) -> int:
    if isinstance(value, dict):
        return len(value) + sum(_count_keys(item) for item in value.values() if type(item) in (dict, list))
    # lists of numbers are skipped
    return sum(map(_count_keys, value)) if isinstance(value, list) and value and type(value[0]) is dict else 0


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
        entries: Iterable[tuple[str, Any]] = (
            content.pairs if isinstance(content, Repeating) else content.items()
        )
        return [_from_entry(str(key), entry, path) for key, entry in entries]
    rows = [content] if isinstance(content, dict) else content
    if not isinstance(rows, list):
        raise DataError(
            f"{path} holds a {type(rows).__name__}, expected predictions (see docs/predictions.md)."
        )
    found = []
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise DataError(f"{path} row {number} is a {type(row).__name__}, expected an object.")
        check_keys(row, _READ, f"{path} row {number}")
        prediction = _from_row(row, f"{path} row {number}")
        if prediction is not None:
            found.append(prediction)
    return found


def check_keys(row: dict[str, Any], known: set[str], where: str) -> None:
    """Raises DataError for a repeated key, or a misspelt known one: its value would be lost.

    Other keys are somebody else's and are left alone.
    """
    if isinstance(row, Repeating):
        twice = next(key for place, (key, _) in enumerate(row.pairs) if key in dict(row.pairs[:place]))
        raise DataError(f"{where} has the key {twice!r} twice; expected each once.")
    if row.keys() <= known:
        return
    for key in row.keys() - known:
        meant = _misspelt(key, frozenset(known))
        if meant is not None and meant not in row:
            raise DataError(f"{where} has the unknown key {key!r}, did you mean {meant!r}?")


@lru_cache(maxsize=1000)
def _misspelt(key: str, known: frozenset[str]) -> str | None:
    """The known key that this one is a slip of: a letter or two away, not merely alike."""
    near = [name for name in known if abs(len(name) - len(key)) <= 2]
    close = difflib.get_close_matches(key.lower(), sorted(near), n=1, cutoff=0.8)
    return close[0] if close else None


_ROW_KEYS = {"id", "qid", "video_id", "pred_relevant_windows", "pred_saliency_scores", "moments", "task"}


def _from_row(row: dict[str, Any], where: str) -> Prediction | None:
    """One JSON-lines row: ours, a QVHighlights submission row, or a row of VTimeLLM's log (None: another
    task)."""
    if "task" in row and "video_id" in row and "answer" in row:
        return _from_log(row, where)
    video = _first(row, "video", "vid", "video_id")
    identifier = _first(row, "id", "qid")
    windows = _first(row, "pred_relevant_windows", "timestamp")
    if row.get("moments") is not None:
        moments = row["moments"]
        if not isinstance(moments, list):
            raise DataError(f"{where} has moments of type {type(moments).__name__}, expected a list.")
        windows = [_from_moment(moment, where) for moment in moments]
    choice = _first(row, "choice", "prediction", "answer")
    known = (identifier, video, windows, choice)
    if all(value is None for value in known):
        raise DataError(
            f"{where} has none of id, qid, video, moments; see docs/predictions.md for the forms."
        )
    query = _first(row, "query", "question")
    return Prediction(
        id=None if identifier is None else str(identifier),
        video=None if video is None else str(video),
        query=None if query is None else str(query),
        windows=checked_windows(windows, where),
        saliency=_first(row, "saliency", "pred_saliency_scores"),
        choice=choice,
        truth=row.get("answer") if row.get("prediction") is not None else None,
    )


def _first(row: dict[str, Any], *keys: str) -> Any:
    """The first of the values that the row has."""
    for key in keys:
        if (value := row.get(key)) is not None:
            return value
    return None


def _from_moment(moment: Any, where: str) -> list[float]:
    if not isinstance(moment, dict):
        raise DataError(f"{where} has a moment without start and end; expected objects with both.")
    if not moment.keys() <= _MOMENT:
        check_keys(moment, _MOMENT, where)
    if "start" not in moment or "end" not in moment:
        raise DataError(f"{where} has a moment without start and end; expected objects with both.")
    window = [moment["start"], moment["end"]]
    return [*window, moment["score"]] if moment.get("score") is not None else window


def _from_log(row: dict[str, Any], where: str) -> Prediction | None:
    """A row of VTimeLLM's evaluation log; rows of other tasks (captioning) are not grounding predictions."""
    if row["task"] != "grounding":
        return None
    info = row.get("info")
    sentence = info.get("sentence_id") if isinstance(info, dict) else None
    if not isinstance(sentence, (int, str)):
        raise DataError(f"{where} is a grounding log row without info.sentence_id; expected one.")
    iou = info.get("iou") if isinstance(info, dict) else None
    return Prediction(
        id=f"{row['video_id']}_{sentence}",
        video=str(row["video_id"]),
        log_answer=str(row["answer"]),
        log_iou=iou if isinstance(iou, (int, float)) else None,
    )


def _from_entry(key: str, entry: Any, path: Path) -> Prediction:
    """One entry of an object keyed by id: TimeChat's ``{"timestamp"}``, NExT-GQA's ``[start, end]`` or
    answers."""
    where = f"{path} entry {key!r}"
    if isinstance(entry, dict):
        check_keys(entry, _READ, where)
        return Prediction(
            id=key,
            video=None if entry.get("vid") is None else str(entry["vid"]),
            query=None if entry.get("query") is None else str(entry["query"]),
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
    if len(windows) > _MANY:
        limits().check("windows", len(windows), f"{where} has {len(windows)} windows", DataError)
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


def best_window(prediction: Prediction, by_score: bool) -> list[float] | None:
    """The window a top-1 metric looks at: the best score (first of ties), or the first in file order."""
    if not prediction.windows:
        return None
    if by_score and len(prediction.windows[0]) == 3:
        return max(prediction.windows, key=lambda window: -math.inf if math.isnan(window[2]) else window[2])[
            :2
        ]
    return prediction.windows[0][:2]


def saliency_list(listed: Any, identifier: str) -> NDArray[np.float64]:
    """Saliency scores of one query as an array. Raises DataError if they are not finite numbers."""
    try:
        given = np.asarray(listed, np.float64)
    except (TypeError, ValueError, OverflowError):
        given = np.array([np.nan])
    if given.ndim != 1 or not np.isfinite(given).all():
        raise DataError(
            f"qid {identifier} has saliency scores that are not finite numbers; expected one each clip."
        )
    return given
