"""What threads that spin while they wait cost beside another busy process: the same work under each wait policy.

    python benchmarks/openmp.py [--videos 26] [--steps 20] [--neighbours 1] [--policies default passive active]
        [--save FILE.json]

Each policy has a process of its own, since OpenMP reads the variable when torch is imported: "default" leaves it
unset, as a program that imports the library does; "passive" is what the commands set; "active" is what a user may
ask for. Neighbours are processes that compute without end, each in a session of its own as another user's or another
terminal's would be: Linux shares cores between sessions first, so a neighbour of the same session costs far less
(twice the time, where another session's costs ten times). With ``--neighbours 0`` the machine is quiet.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

POLICIES: dict[str, str | None] = {"default": None, "passive": "PASSIVE", "active": "ACTIVE"}
QUERY = "the red square shrinks"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=int, default=26, help="in the folder that is asked")
    parser.add_argument("--steps", type=int, default=20, help="of fine-tuning")
    parser.add_argument("--neighbours", type=int, default=1)
    parser.add_argument("--policies", nargs="+", choices=sorted(POLICIES), default=["default", "passive"])
    parser.add_argument("--save", type=Path, default=None)
    parser.add_argument("--child", type=Path, default=None, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child is not None:
        print(json.dumps(measure(args.child, args.steps)))
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        world = Path(scratch)
        write_world(world, args.videos)
        with busy(args.neighbours):
            load = os.getloadavg()[0]
            seconds = {name: run(world, name, args.steps) for name in args.policies}
    passive = seconds.get("passive", {})
    ratios = {
        f"{name} over passive": {
            what: round(took / max(passive[what], 1e-3), 1) for what, took in found.items() if what in passive
        }
        for name, found in seconds.items()
        if passive and name != "passive"
    }
    report = {
        "hardware": f"{os.cpu_count()} CPU cores",
        "neighbours": args.neighbours,
        "load before": round(load, 1),
        "videos": args.videos,
        "steps": args.steps,
        "seconds": seconds,
        **ratios,
    }
    print(json.dumps(report, indent=1))
    if args.save:
        args.save.parent.mkdir(parents=True, exist_ok=True)
        args.save.write_text(json.dumps(report, indent=1) + "\n")
    return 0


def write_world(folder: Path, videos: int) -> None:
    """Clips of the synthetic world and one line of own data on each, the same for both policies."""
    from videoexpert.synthetic.write import WorldRecipe
    from videoexpert.synthetic.write import write_world as write

    write(WorldRecipe(videos=videos, seed=7, test_share=0.0), folder / "world")
    lines = [
        json.dumps({"video": file.name, "query": QUERY, "moments": [[1.0, 4.0]]})
        for file in sorted((folder / "world" / "videos").iterdir())
    ]
    (folder / "own.jsonl").write_text("\n".join(lines) + "\n")


@contextmanager
def busy(neighbours: int) -> Iterator[None]:
    """So many processes that compute without end, in sessions of their own."""
    spin = [sys.executable, "-c", "while True: pass"]
    made = [subprocess.Popen(spin, start_new_session=True) for _ in range(neighbours)]
    try:
        yield
    finally:
        for process in made:
            process.kill()
            process.wait()


def run(world: Path, policy: str, steps: int) -> dict[str, float]:
    """Seconds of each piece of work in a process under that policy, with torch's own number of threads."""
    environment = {k: v for k, v in os.environ.items() if k not in ("OMP_WAIT_POLICY", "OMP_NUM_THREADS")}
    wanted = POLICIES[policy]
    if wanted is not None:
        environment["OMP_WAIT_POLICY"] = wanted
    command = [sys.executable, __file__, "--child", str(world), "--steps", str(steps)]
    environment["VIDEOEXPERT_BENCHMARK"] = policy
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(world: Path, steps: int) -> dict[str, float]:
    """Seconds of each piece of work, here and now."""
    import videoexpert
    from videoexpert.assets import SHIPPED_VIDEO
    from videoexpert.training.finetune import finetune

    policy = os.environ.get("VIDEOEXPERT_BENCHMARK", "here")
    expert = videoexpert.load()
    files = sorted((world / "world" / "videos").iterdir())
    opened: list[Any] = []
    found = {"open": timed(lambda: opened.append(expert.open(SHIPPED_VIDEO)))}
    found |= {
        "first ground": timed(lambda: opened[0].ground(QUERY)),
        "caption": timed(opened[0].caption),
        "folder": timed(lambda: [expert.open(file).ground(QUERY) for file in files]),
    }
    overrides = [f"training.steps={steps}", f"training.log_every={steps}", f"training.save_every={steps}"]
    out = world / f"run-{policy}"
    own, videos = world / "own.jsonl", world / "world" / "videos"
    found["fine-tuning"] = timed(lambda: finetune(own, videos, None, out, overrides=overrides, log=_quiet))
    return found


def timed(work: Callable[[], object]) -> float:
    """Seconds of one call."""
    began = time.perf_counter()
    work()
    return round(time.perf_counter() - began, 2)


def _quiet(_: str) -> None:
    """Nothing."""


if __name__ == "__main__":
    raise SystemExit(main())
