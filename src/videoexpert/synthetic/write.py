"""Writes a synthetic data set: mp4 files, and annotations in the benchmarks' own file formats.

Videos of the test split never appear in a training file. Benchmarks without a validation split have its videos in
their training file. Same seed, same bytes of annotation and same pixels.
"""

from __future__ import annotations

import csv
import io
import json
import os
import random
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files import make_folder, write_text
from ..limits import MOST_SEED
from ..runtime import clean_start
from ..windows import CLIP_S, shared_s
from .language import ABSENT_QUERIES, WORDINGS, Wording, absent_query, caption_of
from .questions import questions_of
from .relations import false_relation
from .render import render
from .samples import true_queries
from .world import LEVELS, SHIPPED_LEVEL, Script, frame_times, sample_script

CLIP = int(CLIP_S)  # QVHighlights writes its windows as whole seconds
MOST_VIDEOS = 100_000  # their names count in five digits
CHUNK = 256  # frames that are rendered at once
NEXT_COLUMNS = (
    "frame_count",
    "width",
    "height",
    "question",
    "answer",
    "qid",
    "type",
    *(f"a{i}" for i in range(5)),
)


@dataclass(frozen=True)
class WorldRecipe:
    """What ``synth`` was asked for.

    ``size``: pixels of a side; ``test_share``: part of the videos held out; ``wording``: of WORDINGS.
    """

    videos: int = 40
    seed: int = 0
    level: int = SHIPPED_LEVEL
    size: int = 128
    test_share: float = 0.3
    wording: str = "plain"

    def __post_init__(self) -> None:
        if not 1 <= self.videos <= MOST_VIDEOS:
            raise InputError(f"videos is {str(self.videos)[:20]}, expected 1 to {MOST_VIDEOS:,}.")
        if not 0 <= self.seed <= MOST_SEED:
            raise InputError(f"seed is {str(self.seed)[:20]}, expected 0 to {MOST_SEED:,}.")
        if self.level not in LEVELS:
            raise InputError(f"level is {self.level}, expected one of {', '.join(map(str, LEVELS))}.")
        if not 32 <= self.size <= 1024 or self.size % 2:
            raise InputError(f"size is {self.size}, expected an even number of pixels from 32 to 1024.")
        if not 0 <= self.test_share <= 1:
            raise InputError(f"test_share is {self.test_share}, expected 0 to 1.")
        if self.wording not in WORDINGS:
            raise InputError(f"wording is {self.wording!r}, expected one of {', '.join(WORDINGS)}.")

    def script(self, index: int) -> Script:
        """The script of one video; no other video's number changes it."""
        rng = random.Random(f"world-{self.seed}-{self.level}-{index}")
        return sample_script(rng, self.level, f"s{self.seed}v{index:05d}")

    def split(self, index: int) -> str:
        """``train``, ``val`` (a tenth of the rest) or ``test``; spread evenly over the numbers."""
        place = (index * 0.6180339887498949) % 1.0
        if place < self.test_share:
            return "test"
        return "val" if place > 1 - 0.1 * (1 - self.test_share) else "train"

    @property
    def phrases(self) -> Wording:
        """How sentences say what happens."""
        return WORDINGS[self.wording]

    def words(self, index: int) -> random.Random:
        """Random numbers for the sentences of one video."""
        return random.Random(f"words-{self.seed}-{self.level}-{index}")


def write_world(
    recipe: WorldRecipe,
    out: Path,
    *,
    workers: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Path:
    """Write the whole data set under ``out``; videos that are there already are kept, so a killed run resumes.

    Raises InputError where ``out`` holds another world.
    """
    scripts = [recipe.script(i) for i in range(recipe.videos)]
    files = annotation_files(recipe, scripts)
    world = out / "world.json"
    if world.exists() and world.read_text() != files["world.json"]:
        raise InputError(f"{out} holds another synthetic world; choose an empty folder or the same options.")
    make_folder(out / "videos")
    for name, text in files.items():
        write_text(out / name, text)
    missing = [s for s in scripts if not (out / "videos" / f"{s.id}.mp4").exists()]
    workers = workers or os.cpu_count() or 1
    if workers == 1 or len(missing) < 4:
        for script in missing:
            write_script(script, out / "videos" / f"{script.id}.mp4", recipe.size)
            if progress:
                progress(1)
        return out
    with ProcessPoolExecutor(workers, mp_context=clean_start(__name__), initializer=_one_thread) as pool:
        jobs = [pool.submit(write_script, s, out / "videos" / f"{s.id}.mp4", recipe.size) for s in missing]
        for job in jobs:
            job.result()
            if progress:
                progress(1)
    return out


def write_script(script: Script, path: Path, size: int) -> None:
    """Render one script to an H.264 mp4 whose frame times and duration are the script's."""
    from ..video.write import write_video

    times = frame_times(script.duration, script.frame_rate)
    parts = (times[i : i + CHUNK] for i in range(0, len(times), CHUNK))
    frames = (frame for part in parts for frame in render(script, part, size).permute(0, 2, 3, 1).numpy())
    write_video(path, frames, times.tolist(), duration_s=script.duration, crf=script.crf)


def annotation_files(recipe: WorldRecipe, scripts: list[Script]) -> dict[str, str]:
    """Relative path -> text of every annotation file."""
    world = {
        "seed": recipe.seed,
        "level": recipe.level,
        "size": recipe.size,
        "test_share": recipe.test_share,
        "wording": recipe.wording,
        "videos": [
            {**s.as_dict(), "split": recipe.split(i), "absent_queries": _absent(recipe, i, s)}
            for i, s in enumerate(scripts)
        ],
    }
    files = {"world.json": json.dumps(world, indent=1) + "\n"}
    for builder in (_charades, _qvhighlights, _youcook2, _next):
        files.update(builder(recipe, scripts))
    return files


def _is_test(recipe: WorldRecipe, index: int) -> bool:
    return recipe.split(index) == "test"


def _queries(recipe: WorldRecipe, index: int, script: Script, salt: str) -> list[tuple[str, Any]]:
    """True queries with their windows; in the test split half of them in held-out phrasings."""
    rng = random.Random(f"{salt}-{recipe.words(index).random()}")
    test = _is_test(recipe, index)
    seen = list(true_queries(script, rng, wording=recipe.phrases))
    new = list(true_queries(script, rng, held_out=True, wording=recipe.phrases))
    return [n if test and rng.random() < 0.5 else s for s, n in zip(seen, new, strict=True)]


def _absent(recipe: WorldRecipe, index: int, script: Script) -> list[str]:
    rng = random.Random(f"absent-{recipe.words(index).random()}")
    made = []
    for _ in range(ABSENT_QUERIES):
        held_out = _is_test(recipe, index) and rng.random() < 0.5
        made.append(absent_query(script, rng, held_out=held_out, wording=recipe.phrases))
    if LEVELS[script.level].relations:
        made[-1] = false_relation(script, rng, False, recipe.phrases) or made[-1]
    return [query for query in made if query is not None]


def _charades(recipe: WorldRecipe, scripts: list[Script]) -> dict[str, str]:
    lines: dict[str, list[str]] = {"train": [], "test": []}
    lengths: dict[str, list[list[str]]] = {"train": [], "test": []}
    for i, script in enumerate(scripts):
        split = "test" if _is_test(recipe, i) else "train"
        actions = ";".join(f"c{e.object:03d} {e.start:.2f} {e.end:.2f}" for e in script.events)
        objects = ";".join(o.name for o in script.objects)
        text = ". ".join(caption_of(script, e, recipe.phrases) for e in script.events)
        row = [
            script.id,
            "S",
            "World",
            "7",
            "7",
            "Yes",
            text,
            objects,
            text,
            actions,
            f"{script.duration:.2f}",
        ]
        lengths[split].append(row)
        for query, windows in _queries(recipe, i, script, "charades"):
            if (
                len(windows) == 1
            ):  # the format holds one window a query: an event that comes twice is no question
                lines[split] += [f"{script.id} {a:.1f} {b:.1f}##{query}.\n" for a, b in windows]
    header = [
        "id",
        "subject",
        "scene",
        "quality",
        "relevance",
        "verified",
        "script",
        "objects",
        "descriptions",
        "actions",
        "length",
    ]
    files = {}
    for split, found in lines.items():
        files[f"charades-sta/charades_sta_{split}.txt"] = "".join(found)
        files[f"charades-sta/Charades_v1_{split}.csv"] = _csv([header, *lengths[split]], "\r\n")
    return files


def _qvhighlights(recipe: WorldRecipe, scripts: list[Script]) -> dict[str, str]:
    rows: dict[str, list[str]] = {"train": [], "val": []}
    qid = 0
    for i, script in enumerate(scripts):
        rng = random.Random(f"saliency-{recipe.words(i).random()}")
        for query, windows in _queries(recipe, i, script, "qvhighlights"):
            qid += 1
            clips, scores = _saliency(script.duration, windows, rng)
            row = {
                "qid": qid,
                "query": query,
                "duration": int(script.duration),
                "vid": script.id,
                "relevant_windows": _clips_to_windows(clips),
                "relevant_clip_ids": clips,
                "saliency_scores": scores,
            }
            rows["val" if _is_test(recipe, i) else "train"].append(json.dumps(row))
    return {f"qvhighlights/highlight_{split}_release.jsonl": "\n".join(made) for split, made in rows.items()}


def _saliency(duration: float, windows: Any, rng: random.Random) -> tuple[list[int], list[list[int]]]:
    """Clips at least half inside a window (the fullest one if none is), and three annotators' scores 0-4.

    The fullest clips are Very Good (4) however short the moment: of QVHighlights' own queries 98% have such a clip.
    """
    inside = []
    for clip in range(int(duration) // CLIP):
        start, end = clip * CLIP, (clip + 1) * CLIP
        inside.append(max(0.0, *(shared_s((start, end), window) for window in windows)) / CLIP)
    fullest = max(inside)
    clips = [c for c, share in enumerate(inside) if share >= 0.5] or [inside.index(fullest)]
    scores = []
    for clip in clips:
        level = 4 if inside[clip] >= min(fullest, 0.9) else 3 if inside[clip] > 0.7 else 2
        scores.append([min(4, max(0, level + rng.choice((-1, 0, 0, 0, 1)))) for _ in range(3)])
    return clips, scores


def _clips_to_windows(clips: list[int]) -> list[list[int]]:
    windows: list[list[int]] = []
    for clip in clips:
        if windows and windows[-1][1] == clip * CLIP:
            windows[-1][1] += CLIP
        else:
            windows.append([clip * CLIP, (clip + 1) * CLIP])
    return windows


def _youcook2(recipe: WorldRecipe, scripts: list[Script]) -> dict[str, str]:
    """YouCook2's own segments are whole seconds; ours keep tenths, because events last a few seconds only."""
    database = {}
    for i, script in enumerate(scripts):
        events = sorted(script.events, key=lambda e: e.start)
        database[script.id] = {
            "duration": script.duration,
            "subset": "validation" if _is_test(recipe, i) else "training",
            "recipe_type": str(100 + script.level),
            "annotations": [
                {"segment": [e.start, e.end], "id": k, "sentence": caption_of(script, e, recipe.phrases)}
                for k, e in enumerate(events)
            ],
            "video_url": "",
        }
    return {"youcook2/youcookii_annotations_trainval.json": json.dumps({"database": database})}


def _next(recipe: WorldRecipe, scripts: list[Script]) -> dict[str, str]:
    rows: dict[str, list[list[Any]]] = {"train": [], "val": [], "test": []}
    grounded: list[list[Any]] = []
    spans: dict[str, Any] = {}
    for i, script in enumerate(scripts):
        split = recipe.split(i)
        frames = round(script.duration * script.frame_rate)
        if split == "test":
            spans[script.id] = {"duration": int(script.duration), "location": {}, "fps": script.frame_rate}
        for qid, q in enumerate(questions_of(script, recipe.words(i), recipe.phrases)):
            common = [script.id, frames, recipe.size, recipe.size, q.question]
            rows[split].append([*common, q.answer, qid, q.type, *q.choices])
            if split == "test":
                grounded.append([*common, q.choices[q.answer], qid, q.type, *q.choices])
                spans[script.id]["location"][str(qid)] = [list(w) for w in q.windows]
    files = {f"nextqa/{split}.csv": _csv([["video", *NEXT_COLUMNS], *made]) for split, made in rows.items()}
    files["nextgqa/test.csv"] = _csv([["video_id", *NEXT_COLUMNS], *grounded])
    files["nextgqa/gsub_test.json"] = json.dumps(spans)
    return files


def _csv(rows: list[Any], line_end: str = "\n") -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator=line_end).writerows(rows)
    return out.getvalue()


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)
