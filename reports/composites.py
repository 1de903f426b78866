"""What docs/long-videos.md expects: ten long videos of synthetic clips joined by cuts, asked in windows and in one.

    python reports/composites.py --out DIR

Each sentence is true of one clip alone. The right moment is at IoU of at least 0.5 with the true one.
"""

from __future__ import annotations

import argparse
import random
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from videoexpert.synthetic.language import doings, query_for, windows_of
from videoexpert.synthetic.world import Script
from videoexpert.synthetic.write import WorldRecipe, write_script
from videoexpert.types import Moment
from videoexpert.windows import iou

FIRST_SEED = 900_100  # never trained on
SECONDS = (40, 48, 56, 60, 70, 80, 90, 100, 110, 120)  # about so long
SIZE, RATE, NEAR_S, RIGHT = 128, 10, 6, 0.5


@dataclass(frozen=True)
class Question:
    """A sentence that is true of one clip: its number, and when, in seconds of the whole."""

    query: str
    clip: int
    window: tuple[float, float]


def scripts_of(seed: int, seconds: float) -> list[Script]:
    """Clips of a world until they last about so long together."""
    recipe, found = WorldRecipe(videos=20, seed=seed, size=SIZE), []
    for index in range(recipe.videos):
        script = recipe.script(index)
        if found and sum(s.duration for s in found) + script.duration > seconds + NEAR_S:
            break
        found.append(script)
        if sum(s.duration for s in found) >= seconds - NEAR_S:
            break
    return found


def questions_of(scripts: Sequence[Script], rng: random.Random) -> list[Question]:
    """What one clip alone shows, and once."""
    found, start = [], 0.0
    for number, script in enumerate(scripts):
        for thing, action in doings(script):
            own = windows_of(script, thing.name, action)
            others = [s for other, s in enumerate(scripts) if other != number]
            if len(own) == 1 and not any(windows_of(s, thing.name, action) for s in others):
                window = (start + own[0][0], start + own[0][1])
                found.append(Question(query_for(thing, action, rng), number, window))
        start += script.duration
    return found


def place(moments: Sequence[Moment], window: tuple[float, float], shift: float = 0.0) -> int:
    """Rank of the first moment that is right, ``shift`` seconds later; 0 where none is."""
    for rank, moment in enumerate(moments, start=1):
        if iou((moment.start + shift, moment.end + shift), window) >= RIGHT:
            return rank
    return 0


def join(files: Sequence[Path], out: Path) -> None:
    """The clips one after the other."""
    import av

    with av.open(str(out), "w") as made:
        stream = made.add_stream("libx264", rate=RATE, options={"crf": "18"})
        stream.width = stream.height = SIZE
        stream.pix_fmt, count = "yuv420p", 0
        for file in files:
            with av.open(str(file)) as clip:
                for frame in clip.decode(video=0):
                    picture = frame.reformat(SIZE, SIZE, "yuv420p")
                    picture.pts, picture.time_base = count, Fraction(1, RATE)
                    made.mux(stream.encode(picture))
                    count += 1
        made.mux(stream.encode())


def measure(expert: Any, seed: int, seconds: float, out: Path) -> list[dict[str, int]]:
    """For each question the rank of the right moment in windows, in one window, and in its clip alone."""
    scripts, files = scripts_of(seed, seconds), []
    for script in scripts:
        files.append(out / f"{script.id}.mp4")
        if not files[-1].exists():
            write_script(script, files[-1], SIZE)
    whole = out / f"composite{seed}.mp4"
    join(files, whole)
    asked = questions_of(scripts, random.Random(seed))
    queries = [question.query for question in asked]
    ways = {"windows": expert.open_long(whole).ground(queries), "one": expert.open(whole).ground(queries)}
    clips = [expert.open(file).ground(queries) for file in files]
    starts = [sum(s.duration for s in scripts[:number]) for number in range(len(scripts))]
    return [
        {name: place(found[i], q.window) for name, found in ways.items()}
        | {"clip": place(clips[q.clip][i], q.window, starts[q.clip])}
        for i, q in enumerate(asked)
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for the videos")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    from videoexpert import load

    expert, ranks = load(), []
    for number, seconds in enumerate(SECONDS):
        ranks += measure(expert, FIRST_SEED + number, seconds, args.out)
    print(f"{len(ranks)} sentences, percent with the right moment first, and among five")
    for way in ("windows", "one", "clip"):
        first, five = (sum(test(row[way]) for row in ranks) / len(ranks) for test in ((1).__eq__, bool))
        print(f"{way:8} {100 * first:5.1f} {100 * five:5.1f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
