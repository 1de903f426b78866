"""Sentences -> ranked moments across the videos of a library."""

from __future__ import annotations

import base64
import fnmatch
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..backends.base import check_queries
from ..backends.expert import Expert
from ..errors import InputError, UnsupportedError
from ..files import loads
from ..language.words import Words
from ..windows import iou
from .encoders import LibraryEncoder
from .manifest import Manifest, Video
from .shards import read_shard, shard_path
from .snapshot import Snapshot, open_snapshot

METHODS = ("recall", "rerank", "text", "hybrid")
# Videos that a search ends with at most, and of them those that the expert looks at, in so many windows each: however
# large the library is.
VIDEOS, CANDIDATES, WINDOWS = 100, 20, 4
# of reciprocal rank fusion (Cormack et al., 2009)
RANK_CONSTANT = 60
# two hits of one video that overlap by more are one
SAME = 0.5
# mean frames of two videos above this cosine are near-duplicates
DUPLICATE = 0.995


@dataclass(frozen=True)
class Hit:
    """A moment of a video, seconds; ``score`` in [0, 1] compares across videos of one search.

    copies      paths of near-duplicates that would have answered the same
    text        the words that matched, where words did
    familiar    False where the expert that looked was never shown videos like this one; None where none looked
    """

    path: str
    start: float
    end: float
    score: float
    duration: float
    content: str
    copies: tuple[str, ...] = ()
    text: str | None = None
    familiar: bool | None = None


@dataclass(frozen=True)
class Page:
    """Hits of a query, best first; ``cursor`` asks for the next page, None at the end.

    ``unknown_words`` of the query, which the model that looks at frames was never shown.
    """

    query: str
    hits: tuple[Hit, ...]
    cursor: str | None = None
    unknown_words: tuple[str, ...] = ()

    @property
    def head(self) -> dict[str, Any]:
        """How its JSON begins: the query, and its unknown words where there are any."""
        unknown = {"unknown_words": list(self.unknown_words)} if self.unknown_words else {}
        return {"query": self.query, **unknown}


@dataclass(frozen=True)
class Filter:
    """Which videos are searched: a glob on the path, duration and time of change when indexed (seconds since 1970)."""

    within: str | None = None
    min_duration: float = 0.0
    after: float | None = None
    before: float | None = None

    def takes(self, video: Video) -> bool:
        """Whether a video is searched."""
        if video.duration < self.min_duration:
            return False
        if self.within is not None and not any(_matches(path, self.within) for path in video.paths):
            return False
        if self.after is None and self.before is None:
            return True
        return any((self.after or 0) <= t / 1e9 < (self.before or float("inf")) for t in video.changed)


class Library:
    """An indexed library, open for search; a library that is being indexed is searched as far as it is whole.

    ``encoder`` is the one it was indexed with; ``expert`` reranks from stored tokens.
    Raises DataError for a folder that holds no library, or one of another encoder.
    """

    def __init__(
        self, folder: str | os.PathLike[str], encoder: LibraryEncoder, expert: Expert | None = None
    ) -> None:
        self.folder, self.encoder, self.expert = Path(folder), encoder, expert
        self.manifest = Manifest(self.folder)
        self.number = self.manifest.encoder(encoder.fields)
        self._words = Words(getattr(getattr(encoder, "tower", None), "tokenizer", None))
        self._snapshot: Snapshot | None = None
        self._change = -1

    def snapshot(self) -> Snapshot:
        """All embeddings as they are now."""
        change = self.manifest.change()
        if self._snapshot is None or self._change != change:
            videos = self.manifest.videos(self.number)
            if self._snapshot is None or self._snapshot.videos != videos:
                self._snapshot = open_snapshot(self.folder, self.number, videos, self.encoder.width)
            self._change = change
        return self._snapshot

    def search(
        self,
        query: str,
        *,
        top: int = 10,
        method: str = "hybrid",
        filter: Filter = Filter(),  # frozen
        cursor: str | None = None,
    ) -> Page:
        """The best moments for a sentence.

        method  recall: frames alone. rerank: the expert looks into the best CANDIDATES. text: words of transcripts and
                captions. hybrid: both, fused by their ranks; the expert (if there is one) looks into what either finds
        Raises InputError for an empty query, another method or a cursor of another search.
        """
        check_queries([query])
        if method not in METHODS:
            raise InputError(f"the method is {method!r}, expected one of {', '.join(METHODS)}.")
        if method == "rerank" and self.expert is None:
            raise UnsupportedError(
                "this library has no tokens to rerank from; search it with --method recall."
            )
        snapshot = self.snapshot()
        hits = self._hits(snapshot, query, method, filter)
        page = _page(query, hits, top, cursor, [query, method, repr(filter), snapshot.name])
        return page if method == "text" else replace(page, unknown_words=self._words.unknown(query))

    def search_like(
        self, embedding: np.ndarray, *, top: int = 10, filter: Filter = Filter(), cursor: str | None = None
    ) -> Page:
        """Moments that look like a picture, given as its (C,) unit embedding (``encoder.encode_images``)."""
        snapshot = self.snapshot()
        hits = _fold(snapshot, self._recall(snapshot, embedding, filter))
        picture = hashlib.sha256(np.ascontiguousarray(embedding).tobytes()).hexdigest()[:16]
        return _page("", hits, top, cursor, [picture, "like", repr(filter), snapshot.name])

    def _hits(self, snapshot: Snapshot, query: str, method: str, filter: Filter) -> list[Hit]:
        seen: list[Hit] = []
        if method != "text" and len(snapshot.rows):
            row = self.encoder.encode_texts([query])[0].numpy()
            seen = self._recall(snapshot, row, filter)
        said = self._text(snapshot, query, filter) if method in ("text", "hybrid") else []
        if method == "text":
            return _fold(snapshot, said)
        if method == "recall" or self.expert is None:
            return _fold(snapshot, seen) if method == "recall" else self._fused(snapshot, seen, said)
        # what words find is looked at, too
        looked = self._rerank(query, fuse([seen, said])[:CANDIDATES])
        found = self._fused(snapshot, looked, said) if method == "hybrid" else _fold(snapshot, looked)
        return found + _behind(found, _fold(snapshot, _others(seen, looked)))

    def _fused(self, snapshot: Snapshot, seen: Sequence[Hit], said: Sequence[Hit]) -> list[Hit]:
        """Both lists by their ranks; one that is empty has nothing to say."""
        lists = [_fold(snapshot, hits) for hits in (seen, said) if hits]
        return lists[0] if len(lists) == 1 else fuse(lists)

    def _recall(self, snapshot: Snapshot, row: np.ndarray, filter: Filter) -> list[Hit]:
        """The best segment of each of the videos with the best frames."""
        found: list[Hit] = []
        for frames in snapshot.best_videos(row, VIDEOS, lambda c: filter.takes(snapshot.videos[c])):
            video = snapshot.videos[frames.content]
            start, end, score = segment(frames.times, frames.scores, video.duration)
            found.append(Hit(video.paths[0], start, end, score, video.duration, frames.content))
        return sorted(found, key=lambda hit: (-hit.score, hit.path))

    def _rerank(self, query: str, candidates: Sequence[Hit]) -> list[Hit]:
        """What the expert says of candidates, from their stored tokens: its best moment of each video."""
        assert self.expert is not None
        asked, owners = [], []
        for hit in {hit.content: hit for hit in reversed(candidates)}.values():
            shard = read_shard(shard_path(self.folder, hit.content, self.number))
            near = sorted(shard.tokens, key=lambda t: _distance(t.start_s, t.start_s + t.duration_s, hit))[
                :WINDOWS
            ]
            asked += [self.expert.open_tokens(tokens, hit.path) for tokens in near]
            owners += [replace(hit, text=None)] * len(near)
        best: dict[str, Hit] = {}
        for owner, (answer,) in zip(owners, self.expert.ground_many(asked, [query]), strict=True):
            for moment in answer[:1]:
                score = moment.score * answer.presence
                if owner.content not in best or score > best[owner.content].score:
                    told = {"start": moment.start, "end": moment.end, "score": score}
                    best[owner.content] = replace(owner, **told, familiar=answer.familiar)
        return sorted(best.values(), key=lambda hit: (-hit.score, hit.path))

    def _text(self, snapshot: Snapshot, query: str, filter: Filter) -> list[Hit]:
        found = []
        for text, score in self.manifest.search_texts(query):
            video = snapshot.videos.get(text.content)
            if video is not None and filter.takes(video):
                found.append(
                    Hit(
                        video.paths[0],
                        text.start,
                        text.end,
                        score,
                        video.duration,
                        text.content,
                        (),
                        text.words,
                    )
                )
        return found


def _others(seen: Sequence[Hit], looked: Sequence[Hit]) -> list[Hit]:
    """Videos that the expert did not look at."""
    known = {hit.content for hit in looked}
    return [hit for hit in seen if hit.content not in known]


def _behind(found: Sequence[Hit], rest: Sequence[Hit]) -> list[Hit]:
    """What no better judge has seen, never above what one has."""
    least = min((hit.score for hit in found), default=1.0)
    known = {hit.content for hit in found}
    return [replace(hit, score=least * max(hit.score, 0.0) / 2) for hit in rest if hit.content not in known]


def segment(times: np.ndarray, scores: np.ndarray, duration: float) -> tuple[float, float, float]:
    """The run of frames around the best one whose similarity is above halfway from the video's mean to that peak.

    times (F,) seconds, scores (F,). Returns start and end (seconds; halfway to the frames outside) and the peak.
    """
    peak = int(scores.argmax())
    level = (scores.mean() + scores[peak]) / 2
    low = high = peak
    while low > 0 and scores[low - 1] >= level:
        low -= 1
    while high < len(scores) - 1 and scores[high + 1] >= level:
        high += 1
    start = 0.0 if low == 0 else float(times[low - 1] + times[low]) / 2
    end = duration if high == len(scores) - 1 else float(times[high] + times[high + 1]) / 2
    return start, end, float(scores[peak])


def fuse(lists: Sequence[Sequence[Hit]]) -> list[Hit]:
    """Reciprocal rank fusion: overlapping hits of one video are merged, and count for every list that has them.

    The score of a hit is its share of what the first of all lists would get.
    """
    merged: list[tuple[Hit, dict[int, float]]] = []
    places: dict[str, list[int]] = {}  # of each video's hits in ``merged``
    for number, hits in enumerate(lists):
        for rank, hit in enumerate(hits):
            weight = 1 / (RANK_CONSTANT + rank + 1)
            own = places.setdefault(hit.content, [])
            for i in own:
                other, weights = merged[i]
                if iou((other.start, other.end), (hit.start, hit.end)) > 0:
                    known = hit.familiar if other.familiar is None else other.familiar
                    merged[i] = (replace(other, text=other.text or hit.text, familiar=known), weights)
                    # of several hits of one list the best counts: the first
                    weights.setdefault(number, weight)
                    break
            else:
                own.append(len(merged))
                merged.append((hit, {number: weight}))
    most = len(lists) / (RANK_CONSTANT + 1)
    fused = [replace(hit, score=sum(weights.values()) / most) for hit, weights in merged]
    return sorted(fused, key=lambda hit: (-hit.score, hit.path, hit.start))


def _fold(snapshot: Snapshot, hits: Sequence[Hit]) -> list[Hit]:
    """Near-duplicates behind the first of them, and moments of one video that are the same."""
    first = _firsts(snapshot, list(dict.fromkeys(hit.content for hit in hits)))
    kept: dict[str, list[Hit]] = {}
    for hit in hits:
        own = kept.setdefault(first[hit.content], [])
        others = snapshot.videos[hit.content].paths
        if first[hit.content] != hit.content:
            copies = (*own[0].copies, *others)
            own[0] = replace(own[0], copies=tuple(dict.fromkeys(copies)))
        elif all(iou((hit.start, hit.end), (other.start, other.end)) <= SAME for other in own):
            own.append(replace(hit, copies=(*hit.copies, *others[1:])))
    return sorted((hit for own in kept.values() for hit in own), key=lambda hit: -hit.score)


def _firsts(snapshot: Snapshot, contents: Sequence[str]) -> dict[str, str]:
    """Each video's first near-duplicate among these: itself where it is like none before it."""
    found: dict[str, str] = {}
    alike = snapshot.likeness(contents, contents) > DUPLICATE if contents else np.empty((0, 0), bool)
    for row, content in zip(alike, contents, strict=True):
        before = (contents[i] for i in np.flatnonzero(row[: len(found)]).tolist())
        found[content] = next((other for other in before if found[other] == other), content)
    return found


def _distance(start: float, end: float, hit: Hit) -> float:
    """How far a window is from a hit; more overlap comes first."""
    overlap = min(end, hit.end) - max(start, hit.start)
    return -overlap


def _matches(path: str, pattern: str) -> bool:
    return fnmatch.fnmatch(path, pattern) or fnmatch.fnmatch(path, f"*/{pattern}")


def _page(query: str, hits: Sequence[Hit], top: int, cursor: str | None, of: list[str]) -> Page:
    """``top`` hits from where the cursor stands; ``of`` is what a cursor belongs to."""
    first = 0 if cursor is None else _offset(cursor, of)
    shown = tuple(hits[first : first + top])
    if first + top >= len(hits):
        return Page(query, shown)
    text = json.dumps({"of": of, "o": first + top})
    return Page(query, shown, base64.urlsafe_b64encode(text.encode()).decode())


def _offset(cursor: str, of: list[str]) -> int:
    """Where a cursor stands. Raises InputError for one of another search, or of a library that has changed."""
    try:
        value = loads(base64.urlsafe_b64decode(cursor.encode()))
        known, offset = value["of"], int(value["o"])
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise InputError("this cursor is not one of a search; leave it out to begin.") from error
    if known != of or offset < 0:
        raise InputError(
            "this cursor is of another search, or the library has changed since; search again without it."
        )
    return offset


__all__ = ["METHODS", "Filter", "Hit", "Library", "Page", "fuse", "segment"]
