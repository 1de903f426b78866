"""How often the shipped model says of a synthetic video that it does not know such videos, and of others that it does.

    python reports/familiarity.py --out /tmp/familiarity --save FILE        measures the model of the package
    python reports/familiarity.py --out /tmp/familiarity --write            fits the file in the package anew
    python reports/familiarity.py --out /tmp/familiarity --others FOLDER    also judges the videos of a folder

Held-out videos are mp4 files of seeds that no fit saw: every level, three sizes, then harder compression, half the
frame rate, a part of the video, another number of frames, a wider picture. Videos of nowhere are those of
synthetic/elsewhere.py beyond the ones that the fit saw.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
SEED = 4711  # of the held-out worlds
SIZES = (96, 128, 320)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for videos and tokens; kept between runs"
    )
    parser.add_argument("--videos", type=int, default=40, help="of each level and size")
    parser.add_argument("--write", action="store_true", help="fit, and write into the package")
    parser.add_argument(
        "--others", type=Path, default=None, help="a folder of other videos, each to be unfamiliar"
    )
    parser.add_argument("--save", type=Path, default=None, help="write the table as JSON here")
    args = parser.parse_args(argv)
    from videoexpert import assets, session

    expert = session.load_expert(device="cpu")
    if args.write:
        write(expert, args.out)
        expert = session.load_expert(device="cpu")
    if expert.model.familiarity is None:
        print(f"{assets.SHIPPED_MODEL} holds no familiarity; use --write", file=sys.stderr)
        return 1
    rows = dict(measure(expert, args.out, args.videos))
    if args.others:
        rows["others"] = summary([f for _, f in others(expert, args.others)])
    for name, row in rows.items():
        print(f"{name:<34} " + "  ".join(f"{k} {v}" for k, v in row.items()))
    if args.save:
        args.save.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return 0


def write(expert: Any, out: Path) -> None:
    """Fit on the tower of the package and put the file into its model folder."""
    from videoexpert import assets, files
    from videoexpert.shipped.familiar import learn_world
    from videoexpert.vision.familiarity import FILE

    model = expert.model
    found = learn_world(assets.SHIPPED_CLIP, model.vision, model.config, out / "tokens")
    assert found is not None
    files.write_bytes(assets.SHIPPED_MODEL / FILE, found.to_bytes())


def measure(expert: Any, out: Path, count: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """(name, summary) of each kind of video."""
    from videoexpert.synthetic.elsewhere import elsewhere
    from videoexpert.synthetic.world import LEVELS
    from videoexpert.synthetic.write import WorldRecipe, write_script
    from videoexpert.training.familiarity import REFERENCE, SIDE

    for level in LEVELS:
        for size in SIZES:
            recipe = WorldRecipe(videos=count, seed=SEED, level=level, size=size)
            found = []
            for index in range(count):
                script = recipe.script(index)
                path = out / "videos" / f"level{level}-{size}-{index}.mp4"
                path.parent.mkdir(parents=True, exist_ok=True)
                if not path.exists():
                    write_script(script, path, size)
                found.append(expert.open(path).familiarity)
            yield f"level {level}, {size} pixels", summary(found)
    paths = [out / "videos" / f"level{1 + i % 4}-128-{i}.mp4" for i in range(count)]
    for name, change in changes(out / "changed").items():
        yield name, summary([change(expert, path) for path in paths])
    frames = expert.config.num_frames
    side = round(SIDE * expert.model.vision.image_size)
    held = [elsewhere(REFERENCE + i, frames, side) for i in range(count)]
    yield "videos of nowhere", summary([expert.open_frames(_frames(pixels)).familiarity for pixels in held])


def changes(folder: Path) -> dict[str, Callable[[Any, Path], float]]:
    """What may happen to a video before it reaches the model."""
    folder.mkdir(parents=True, exist_ok=True)

    def rewritten(name: str, **options: Any) -> Callable[[Any, Path], float]:
        def run(expert: Any, path: Path) -> float:
            target = folder / f"{name}-{path.name}"
            if not target.exists():
                _rewrite(path, target, **options)
            return float(expert.open(target).familiarity)

        return run

    return {
        "compressed hard (crf 35)": rewritten("crf", crf=35),
        "half the frame rate": rewritten("slow", step=2),
        "stretched to 16:9": rewritten("wide", wide=True),
        "its middle third": lambda e, p: float(_middle(e, p)),
        "32 frames": lambda e, p: float(e.open(p, num_frames=32).familiarity),
        "128 frames": lambda e, p: float(e.open(p, num_frames=128).familiarity),
    }


def _middle(expert: Any, path: Path) -> float:
    from videoexpert.video.probe import probe

    length = probe(path).duration_s
    found: float = expert.open(path, start=length / 3, end=2 * length / 3).familiarity
    return found


def _rewrite(path: Path, target: Path, *, crf: int = 18, step: int = 1, wide: bool = False) -> None:
    from PIL import Image

    from videoexpert.video.decode import read_frames
    from videoexpert.video.probe import probe
    from videoexpert.video.write import write_video

    info = probe(path)
    times = info.picture_times_s[::step]
    pixels = read_frames(path, len(info.picture_times_s)).pixels[::step].permute(0, 2, 3, 1).numpy()
    if wide:
        pixels = np.stack([np.asarray(Image.fromarray(p).resize((228, 128))) for p in pixels])
    write_video(target, list(pixels), times.tolist(), duration_s=info.duration_s, crf=crf)


def others(expert: Any, folder: Path) -> Iterator[tuple[str, float]]:
    """(file, familiarity) of each video of a folder that opens."""
    from videoexpert.errors import VideoExpertError

    for path in sorted(folder.iterdir()):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                video = expert.open(path)
        except (VideoExpertError, OSError):
            continue
        print(f"   {path.name:<36} {video.familiarity:.3f}")
        yield path.name, video.familiarity


def summary(found: Sequence[float]) -> dict[str, Any]:
    """How many, which share counts as familiar, and the extremes."""
    values = np.array(found)
    return {
        "videos": len(values),
        "familiar": f"{100 * (values >= 0.5).mean():.1f}%",
        "lowest": round(float(values.min()), 3),
        "median": round(float(np.median(values)), 3),
        "highest": round(float(values.max()), 3),
    }


def _frames(pixels: Any) -> Any:
    import torch

    from videoexpert.types import Frames

    count = len(pixels)
    return Frames(pixels, torch.arange(count, dtype=torch.float64), float(count))


if __name__ == "__main__":
    raise SystemExit(main())
