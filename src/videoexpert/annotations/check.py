"""``videoexpert data check``: counts against published ones, dirty records, state of the videos."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

from ..columns import columns
from ..errors import sentence
from ..escapes import printable, quantity
from .dirty import RULES, CleaningReport
from .readers import BENCHMARKS, read
from .samples import Dataset
from .videos import VideoFolder, leaves_folder

EXAMPLES = 3  # of each kind in the report


@dataclass(frozen=True)
class Count:
    """One line of the table of counts; ``published`` is None where nothing is published for this part."""

    split: str
    what: str
    found: int
    published: int | None


@dataclass
class VideoState:
    """What became of the videos of a data set; every video is in exactly one list or counted in ``good``."""

    good: int = 0
    missing: list[str] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)  # (video, the reason)
    too_short: list[tuple[str, str]] = field(default_factory=list)  # (video, its seconds and those needed)

    @property
    def broken(self) -> int:
        return len(self.missing) + len(self.unreadable) + len(self.too_short)


@dataclass(frozen=True)
class CheckReport:
    """All that was found. ``videos`` is None where no folder was given."""

    dataset: Dataset
    counts: tuple[Count, ...]
    dirty: CleaningReport
    videos: VideoState | None

    @property
    def ok(self) -> bool:
        """True if no video is missing, unreadable or too short. Dirty records do not count: each has its rule."""
        return self.videos is None or self.videos.broken == 0

    def to_json(self) -> dict[str, Any]:
        """The stable form that ``--format json`` prints (docs/data-formats.md)."""
        return {
            "benchmark": self.dataset.benchmark,
            "split": self.dataset.split,
            "annotations": [str(file) for file in self.dataset.files],
            "samples": len(self.dataset),
            "counts": [vars(count) for count in self.counts],
            "dirty": {
                kind: {
                    "count": self.dirty.counts[kind],
                    "rule": RULES[kind],
                    "examples": [vars(finding) for finding in self.dirty.findings[kind][:EXAMPLES]],
                }
                for kind in self.dirty
            },
            "videos": None
            if self.videos is None
            else {
                "good": self.videos.good,
                "missing": self.videos.missing,
                "unreadable": [
                    {"video": video, "reason": reason} for video, reason in self.videos.unreadable
                ],
                "too_short": [{"video": video, "reason": reason} for video, reason in self.videos.too_short],
            },
        }

    def to_table(self) -> str:
        """The same as aligned text, broken videos cut after 20 of a kind."""
        dataset = self.dataset
        blocks = [
            f"{dataset.benchmark}: {quantity(len(dataset), 'sample')} from {', '.join(map(str, dataset.files))}"
        ]
        rows: list[tuple[str, ...]] = [("split", "what", "found", "published", "")]
        for count in self.counts:
            published = "-" if count.published is None else str(count.published)
            verdict = "" if count.published in (None, count.found) else "differs"
            rows.append((count.split, count.what, str(count.found), published, verdict))
        blocks.append(_align(rows))
        rows = [("dirty records", "count", "rule", "for example")]
        for kind in self.dirty:
            example = self.dirty.findings[kind][0]
            rows.append(
                (kind, str(self.dirty.counts[kind]), RULES[kind], f"{example.id}  {example.detail}"[:70])
            )
        blocks.append(_align(rows) if len(rows) > 1 else "No dirty records.")
        if self.videos is not None:
            blocks.append(_video_table(self.videos))
        return printable("\n\n".join(blocks))


def check(
    benchmark: str,
    annotations: str | PathLike[str],
    videos: str | PathLike[str] | None = None,
    *,
    split: str | None = None,
    progress: Callable[[int, int], None] | None = None,
    **extra: Any,
) -> CheckReport:
    """Read annotations, compare, and look at every video that they name.

    videos    folder with the videos, in any subfolders and with any extension; None: not looked at
    progress  is called with the videos looked at so far, and how many there are
    split, extra  as in ``readers.read``

    Raises DataError or InputError where the annotations cannot be read at all.
    """
    dataset = read(benchmark, annotations, split=split, **extra)
    known = BENCHMARKS[benchmark]
    dirty = CleaningReport({kind: list(found) for kind, found in dataset.report.findings.items()})
    if known.inspect is not None:
        known.inspect(dataset.files, dataset.split, dirty)
    counts = tuple(
        Count(part, what, found, known.published.get(part, {}).get(what))
        for part, parts in dataset.counts.items()
        for what, found in parts.items()
    )
    state = None if videos is None else _look_at_videos(dataset, VideoFolder(Path(videos)), progress)
    return CheckReport(dataset, counts, dirty, state)


def _look_at_videos(
    dataset: Dataset,
    folder: VideoFolder,
    progress: Callable[[int, int], None] | None,
) -> VideoState:
    """Decode each video once and compare its length with the last second that an annotation needs."""
    from ..video.probe import probe
    from ..video.timeline import END_SLACK_S

    needed: dict[str, float] = {}
    for sample in dataset:
        needed[sample.video] = max(needed.get(sample.video, 0.0), sample.last_second or 0.0)

    def measure(video: str) -> tuple[str, float | None, str]:
        path = folder.find(video)
        if path is None:
            return video, None, "leaves the folder of the videos" if leaves_folder(video) else ""
        try:
            return video, probe(path).duration_s, ""
        except Exception as error:
            return video, None, sentence(error)

    state = VideoState()
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        results = pool.map(measure, needed)
        for done, (video, duration_s, reason) in enumerate(results, 1):
            if progress:
                progress(done, len(needed))
            if duration_s is not None and duration_s + END_SLACK_S < needed[video]:
                state.too_short.append((video, f"{duration_s:.1f} s of {needed[video]:.1f} s"))
            elif duration_s is not None:
                state.good += 1
            elif reason:
                state.unreadable.append((video, reason))
            else:
                state.missing.append(video)
    return state


def _video_table(state: VideoState, most: int = 20) -> str:
    rows: list[tuple[str, ...]] = [("videos", "count", "which")]
    rows.append(("good", str(state.good), ""))
    for name, items in (
        ("missing", [(video, "") for video in state.missing]),
        ("unreadable", state.unreadable),
        ("too short", state.too_short),
    ):
        rows.append((name, str(len(items)), ""))
        rows += [("", "", f"{video}  {reason}".rstrip()) for video, reason in items[:most]]
        if len(items) > most:
            rows.append(("", "", f"and {len(items) - most} more (--format json lists all)"))
    return _align(rows)


def _align(rows: list[tuple[str, ...]]) -> str:
    header, *rest = rows
    left = [i for i, title in enumerate(header) if title not in ("found", "published", "count")]
    return "\n".join(columns(header, rest, left))
