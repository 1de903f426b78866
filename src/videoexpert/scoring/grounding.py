"""Temporal grounding with one true moment per query: R1@0.3, R1@0.5, R1@0.7 and mIoU (Charades-STA,
ActivityNet)."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import windows as intervals
from ..errors import DataError
from .outcome import Rules, Scored, coverage_of, repeated_note
from .predictions import Prediction, best_window, read_json, read_predictions, read_text, sentence_key

THRESHOLDS = (0.3, 0.5, 0.7)
_MEDIA_ENDINGS = (".mp4", ".mkv", ".webm", ".avi", ".mov")
# VTimeLLM reads exactly two digits; whoever answers 5, 100 or 10.5 percent is misread or not read at all.
_OFFICIAL_ANSWER = re.compile(r"(\d{2}) (?:to|and) (\d{2})")
_ANSWER = re.compile(
    r"(?<![\d.])(\d+(?:\.\d+)?)\s*%?\s*(?:to|and|-|–)\s*(?:frames?\s*)?(\d+(?:\.\d+)?)(?![\d])", re.I
)


@dataclass(frozen=True)
class Query:
    """A sentence and its true windows in seconds (one, but for files in QVHighlights' layout);
    ``duration_s`` where
    the file tells. Ids are those of ``videoexpert.annotations.readers``."""

    id: str
    video: str
    text: str
    windows: tuple[tuple[float, float], ...]
    duration_s: float | None = None


def read_queries(path: Path) -> list[Query]:
    """Queries of ``charades_sta_*.txt``, ActivityNet Captions / VTimeLLM JSON, TimeChat's ``annotations``
    JSON, or
    JSON lines in QVHighlights' layout.

    Raises DataError for any other form, for a malformed record and for a file without queries.
    """
    text = read_text(path)
    stripped = text.lstrip()
    if not stripped:
        raise DataError(f"{path} is empty, expected temporal grounding annotations.")
    queries = _from_json(read_json(path), path) if stripped[0] in "{[" else _from_charades(text, path)
    if not queries:
        raise DataError(f"{path} holds no query, expected temporal grounding annotations.")
    return queries


def _from_charades(text: str, path: Path) -> list[Query]:
    """``VIDEO START END##sentence`` lines; the id is ``{video}_{line number}``."""
    queries = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        head, separator, sentence = line.partition("##")
        fields = head.split()
        try:
            video, start, end = fields[0], float(fields[1]), float(fields[2])
        except (IndexError, ValueError):
            separator = ""
        if not separator:
            raise DataError(f"{path} line {number} is {line[:60]!r}, expected 'VIDEO START END##sentence'.")
        queries.append(Query(f"{video}_{number}", video, sentence.strip(), ((start, end),)))
    return queries


def _from_json(content: Any, path: Path) -> list[Query]:
    try:
        if isinstance(content, dict) and "annotations" in content:
            return [
                Query(str(row["id"]), str(row["image_id"]), str(row["caption"]), (_pair(row["timestamp"]),))
                for row in content["annotations"]
            ]
        if isinstance(content, list) or "qid" in content:
            return [
                Query(
                    str(row["qid"]),
                    str(row["vid"]),
                    str(row["query"]),
                    tuple(_pair(window) for window in row["relevant_windows"]),
                    float(row["duration"]),
                )
                for row in (content if isinstance(content, list) else [content])
            ]
        if isinstance(content, dict):
            return [
                Query(
                    sentence_key(video, i),
                    video,
                    sentence.strip(),
                    (_pair(window),),
                    float(entry["duration"]),
                )
                for video, entry in content.items()
                for i, (window, sentence) in enumerate(
                    zip(entry["timestamps"], entry["sentences"], strict=True)
                )
            ]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path} has a record that cannot be read ({error!r}); expected ActivityNet Captions "
            "(duration, timestamps, sentences), a list 'annotations' of id, image_id, caption, timestamp, "
            "or JSON lines of qid, vid, query, duration, relevant_windows."
        ) from None
    raise DataError(f"{path} holds a JSON {type(content).__name__}, expected an object of annotations.")


def _pair(window: Sequence[float]) -> tuple[float, float]:
    start, end = window
    return float(start), float(end)


def window_in_answer(answer: str, official: bool) -> tuple[float, float] | None:
    """Window as fractions of the duration in a VTimeLLM answer ("from 28 to 71"); None where there is none.

    The corrected reading takes one to three digits, decimals, dashes, any case; numbers above 100 are no
    percentages.
    """
    if official:
        match = _OFFICIAL_ANSWER.search(answer)
        return (int(match[1]) / 100, int(match[2]) / 100) if match else None
    for match in _ANSWER.finditer(answer):
        start, end = float(match[1]), float(match[2])
        if max(start, end) <= 100:
            return start / 100, end / 100
    return None


def match_predictions(
    predictions: Sequence[Prediction], queries: Sequence[Query], rules: Rules
) -> tuple[list[tuple[Query, Prediction]], list[str]]:
    """Pairs of query and prediction, and the ids of predictions that belong to no query.

    By id; a row whose id is unknown, or whose video or text is not that of the query with this id, is
    found by video and text. The official scorers look at a known id alone. Of two rows on one query the
    last counts; VTimeLLM's scorer, which counts rows, counts both.
    """
    by_id = {listed.id: listed for listed in queries}
    by_text: dict[tuple[str, str], list[Query]] = {}
    for listed in queries:
        by_text.setdefault(_text_key(listed.video, listed.text), []).append(listed)
    pairs: list[tuple[Query, Prediction]] = []
    extra: list[str] = []
    taken: set[str] = set()
    for prediction in predictions:
        query: Query | None = by_id.get(prediction.id or "")
        if query is None or not (rules.official or _agrees(prediction, query)):
            named = by_text.get(_text_key(prediction.video or "", prediction.query or ""), [])
            free = [candidate for candidate in named if candidate.id not in taken] or named
            same_video = query is not None and video_stem(query.video) == video_stem(
                prediction.video or query.video
            )
            query = free[0] if free else query if same_video else None
        if query is None:
            extra.append(prediction.id or f"{prediction.video}: {prediction.query}")
            continue
        taken.add(query.id)
        pairs.append((query, prediction))
    if not rules.official:
        pairs = list({query.id: (query, prediction) for query, prediction in pairs}.values())
    return pairs, extra


def _agrees(prediction: Prediction, query: Query) -> bool:
    """Whether the row's own video and text, where it has them, are those of the query its id names."""
    video_agrees = prediction.video is None or video_stem(prediction.video) == video_stem(query.video)
    text_agrees = prediction.query is None or _plain(prediction.query) == _plain(query.text)
    return video_agrees and text_agrees


def _text_key(video: str, text: str) -> tuple[str, str]:
    return video_stem(video), _plain(text)


@lru_cache(maxsize=100_000)
def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(".")


@lru_cache(maxsize=100_000)  # videos repeat, once for each of their queries
def video_stem(video: str) -> str:
    """A video's id, whether it was written as id, as file name or as path."""
    base = os.path.basename(video)
    stem, ending = os.path.splitext(base)
    return stem if ending.lower() in _MEDIA_ENDINGS else base


def pair_ious(pairs: Sequence[tuple[Query, Prediction]], rules: Rules) -> NDArray[np.float64]:
    """(pairs,) IoU of each query's top window (with the true window it fits best); 0 where the system gave
    none.

    The official scorers divide 0 by 0 where prediction and truth are the same point and stop there; that
    is 0 here.
    """
    width = max((len(query.windows) for query, _ in pairs), default=1) or 1
    predicted = np.full((len(pairs), 1, 2), np.nan)
    truth = np.full((len(pairs), width, 2), np.nan)
    for row, (query, prediction) in enumerate(pairs):
        scale = 1.0
        window: Sequence[float] | None
        if prediction.log_answer is None:
            window = best_window(prediction, by_score=not rules.official)
        elif query.duration_s:
            scale = query.duration_s
            window = window_in_answer(prediction.log_answer, rules.official)
        else:
            raise DataError(
                f"query {query.id!r} has no duration, which a VTimeLLM log needs; "
                "expected annotations with 'duration', such as ActivityNet Captions."
            )
        if query.windows:
            truth[row, : len(query.windows)] = np.asarray(query.windows) / scale
        if window is not None:
            predicted[row, 0] = window
    ious = intervals.clean(intervals.hull_iou(predicted, truth), predicted, truth).max(1)
    if rules.official:
        for row, (_, prediction) in enumerate(pairs):
            if prediction.log_answer is not None:  # VTimeLLM stores the IoU rounded and counts that
                logged = prediction.log_iou
                ious[row] = round(float(ious[row]), 2) if logged is None else logged
    return ious


def score_queries(predictions: Sequence[Prediction], queries: Sequence[Query], rules: Rules) -> Scored:
    """R1 at the thresholds and mIoU, values per query in the order of the annotations."""
    if len({query.id for query in queries}) != len(queries):
        raise DataError("the annotations name a query id twice, expected unique ids.")
    pairs, extra = match_predictions(predictions, queries, rules)
    place = {query.id: index for index, query in enumerate(queries)}
    pairs.sort(key=lambda pair: place[pair[0].id])  # the order of the rows must not decide a resampling
    covered = {query.id for query, _ in pairs}
    absent = len(queries) - len(covered)
    ious = np.concatenate([pair_ious(pairs, rules), np.full(absent, rules.absent_value)])
    values = {
        f"R1@{threshold}": np.where(np.isnan(ious), np.nan, ious >= threshold) for threshold in THRESHOLDS
    }
    coverage = coverage_of([query.id for query in queries], covered, rules, extra)
    repeated = len(predictions) - len(extra) - len(covered)
    return Scored({**values, "mIoU": ious}, coverage, (*_notes(pairs, queries), *repeated_note(repeated)))


def _notes(pairs: Sequence[tuple[Query, Prediction]], queries: Sequence[Query]) -> list[str]:
    notes = []
    reversed_truth = sum(start > end for query in queries for start, end in query.windows)
    if reversed_truth:
        notes.append(f"{reversed_truth} annotated windows end before they start; no prediction can hit them.")
    empty = sum(prediction.log_answer is None and not prediction.windows for _, prediction in pairs)
    if empty:
        notes.append(f"{empty} predictions hold no window and count as wrong.")
    flipped = sum(
        not (window[0] <= window[1])
        for _, prediction in pairs
        for window in [best_window(prediction, by_score=True)]
        if window is not None
    )
    if flipped:
        notes.append(f"{flipped} predicted windows end before they start and count as wrong.")
    return notes


def score_files(predictions: Path, annotations: Path, rules: Rules) -> Scored:
    """Score a prediction file against an annotation file (any form named above)."""
    return score_queries(read_predictions(predictions), read_queries(annotations), rules)
