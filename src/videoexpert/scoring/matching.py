"""Which prediction belongs to which annotated item: the same rule for every scorer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..annotations.records import Record
from ..annotations.videos import video_name
from ..errors import DataError
from .outcome import Rules
from .predictions import Prediction


@dataclass(frozen=True)
class Matched:
    """Predictions by what they speak of.

    records   the items that count: those that a system is asked, and others that a prediction speaks of
    rows      id -> the predictions of that item, in file order; under the corrected rules only the last
    extra     ids of predictions that belong to no item
    repeated  ids predicted more than once
    """

    records: tuple[Record, ...]
    rows: dict[str, list[Prediction]]
    extra: tuple[str, ...]
    repeated: tuple[str, ...]

    @property
    def pairs(self) -> list[tuple[Record, Prediction]]:
        """Each prediction with its item, in the order of the items: the order of rows must not decide a resampling."""
        return [(record, row) for record in self.records for row in self.rows.get(record.id, ())]


def match(predictions: Sequence[Prediction], records: Sequence[Record], rules: Rules) -> Matched:
    """Pair predictions with items.

    By id. A row whose id is unknown, or whose own video or text is not that of the item with this id, is looked
    for by video and text; where there is none, an item of the same video keeps it. The official scorers look at a
    known id alone. Raises DataError where records share an id.
    """
    by_id = {record.id: record for record in records}
    if len(by_id) != len(records):
        raise DataError("the annotations name an id twice, expected unique ids.")
    by_text: dict[tuple[str, str], list[Record]] = {}
    found: dict[str, list[Prediction]] = {}
    extra: list[str] = []
    for prediction in predictions:
        record = by_id.get(prediction.id or "")
        if record is None or not (rules.official or _agrees(prediction, record)):
            if not by_text:
                by_text = _by_text(records)
            record = _by_content(prediction, record, by_text, found)
        if record is None:
            extra.append(prediction.id or f"{prediction.video}: {prediction.query}")
        else:
            found.setdefault(record.id, []).append(prediction)
    repeated = tuple(id for id, rows in found.items() if len(rows) > 1)
    if not rules.official:
        found = {id: rows[-1:] for id, rows in found.items()}
    counted = tuple(record for record in records if record.asked or record.id in found)
    return Matched(counted, found, tuple(extra), repeated)


def _by_text(records: Iterable[Record]) -> dict[tuple[str, str], list[Record]]:
    by_text: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        by_text.setdefault(_text_key(record.video, record.text), []).append(record)
    return by_text


def _by_content(
    prediction: Prediction,
    record: Record | None,
    by_text: dict[tuple[str, str], list[Record]],
    found: dict[str, list[Prediction]],
) -> Record | None:
    """The item that the row's video and text name, a free one first; else ``record`` if the videos agree.

    A row with an id of its own is not taken for a second answer to an item that has one.
    """
    if prediction.video is not None and prediction.query is not None:
        named = by_text.get(_text_key(prediction.video, prediction.query), [])
        free = [candidate for candidate in named if candidate.id not in found]
        if free or (named and prediction.id is None):
            return (free or named)[0]
    same_video = record is not None and same_name(prediction.video or record.video, record.video)
    return record if same_video else None


def _agrees(prediction: Prediction, record: Record) -> bool:
    """Whether the row's own video and text, where it has them, are those of the item its id names."""
    if prediction.video is not None and not same_name(prediction.video, record.video):
        return False
    query = prediction.query
    return query is None or query == record.text or _plain(query) == _plain(record.text)


def _text_key(video: str, text: str) -> tuple[str, str]:
    return video_name(video).removeprefix("v_"), _plain(text)


@lru_cache(maxsize=100_000)
def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(".")


def same_name(first: str, second: str) -> bool:
    """Whether two names mean one video: as id, file name or path, with or without ActivityNet's ``v_``."""
    return first == second or video_name(first).removeprefix("v_") == video_name(second).removeprefix("v_")


def match_names(predicted: Sequence[str], known: Sequence[str]) -> dict[str, str]:
    """Predicted video -> annotated video, for those that differ only in a file ending or in a leading ``v_``."""
    bare = {video_name(video).removeprefix("v_"): video for video in known}
    exact = set(known)
    return {v: v if v in exact else bare.get(video_name(v).removeprefix("v_"), v) for v in predicted}


def annotated_windows(records: Sequence[Record]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(Q, G, 2) seconds of Q items, NaN beyond the windows of each, and (Q,) how many those are."""
    counts = np.array([len(record.windows) for record in records], np.int64)
    windows = np.full((len(records), max(1, counts.max(initial=0)), 2), np.nan)
    listed = [window for record in records for window in record.windows]
    windows[np.arange(windows.shape[1]) < counts[:, None]] = np.array(listed, np.float64).reshape(-1, 2)
    return windows, counts
