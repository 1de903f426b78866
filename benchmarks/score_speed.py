"""How long ``videoexpert score`` takes: the whole process, and the work after imports.

    python benchmarks/score_speed.py [--repeats 3]

Reads the golden files of the shared reference data ($VIDEOEXPERT_SHARED, or ``shared`` beside the
checkout), prints a table beside the official scorers' times recorded there, and writes
benchmarks/results/score_speed.json. The recorded times are another machine's; for a claim, run the
official scorer beside this on one machine.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
# An empty process of the same interpreter, then one with the command's imports, then the scoring itself
PROGRAM = """
import sys, time, resource
began = time.perf_counter(), time.process_time()
from videoexpert.scoring.tables import render
from videoexpert.scoring.score import score
import importlib, json
importlib.import_module("videoexpert.scoring." + sys.argv[1])
imported = time.perf_counter(), time.process_time()
call = json.loads(sys.argv[2])
render(score(**call), "json")
done = time.perf_counter(), time.process_time()
print(json.dumps({
    "import_wall_s": imported[0] - began[0],
    "work_wall_s": done[0] - imported[0],
    "work_cpu_s": done[1] - imported[1],
    "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
}))
"""


def calls(golden: Path) -> dict[str, tuple[str, dict[str, Any], Path]]:
    """Name -> (module that does the work, arguments of ``score``, the official result with its recorded
    times)."""
    qv, gqa = golden / "qvhighlights", golden / "grounded_video_qa"
    vhd, tvg = golden / "highlight_detection", golden / "temporal_grounding"
    detr = qv / "moment_detr_sample_val"
    truth = str(qv / "ground_truth.jsonl.gz")
    found = {
        "qvhighlights, moment_detr": (
            "highlights",
            "qvhighlights",
            detr / "predictions.jsonl.gz",
            truth,
            detr,
        ),
        "qvhighlights, TimeChat": (
            *("highlights", "qvhighlights", vhd / "timechat_example" / "predictions.json.gz", truth),
            vhd / "timechat_example",
        ),
        "charades-sta": (
            *("grounding", "charades-sta", tvg / "constructed_charades_a" / "predictions.json.gz"),
            *(tvg / "constructed_charades_a" / "ground_truth.json.gz", tvg / "constructed_charades_a"),
        ),
        "nextgqa, test": (
            *("gqa", "nextgqa", gqa / "constructed_test_seed1" / "predictions_grounding.json.gz"),
            *(gqa / "ground_truth_test.json.gz", gqa / "constructed_test_seed1"),
        ),
    }
    result = {}
    for name, (module, benchmark, predictions, truth_file, folder) in found.items():
        call = {"benchmark": benchmark, "predictions": str(predictions), "annotations": str(truth_file)}
        if benchmark == "nextgqa":
            call |= {
                "answers": str(folder / "predictions_qa.json.gz"),
                "questions": str(gqa / "questions_test.csv.gz"),
            }
        result[name] = (module, call, folder / "expected.json")
    return result


def command(call: dict[str, Any]) -> list[str]:
    """The same call on the command line."""
    options = [part for key, value in call.items() if key != "benchmark" for part in (f"--{key}", value)]
    program = "import sys; from videoexpert.apps.cli import main; sys.exit(main())"
    return [sys.executable, "-c", program, "score", call["benchmark"], *options, "--format", "json"]


def measured(arguments: list[str]) -> tuple[float, float, str]:
    """Wall seconds, CPU seconds and output of one process."""
    before = os.times()
    began = time.perf_counter()
    run = subprocess.run(arguments, check=True, capture_output=True, text=True)
    wall = time.perf_counter() - began
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return wall, cpu, run.stdout


def recorded(path: Path) -> tuple[float, float]:
    """The official command line's wall and CPU seconds; of several, the one that computes what ours does."""
    timing = json.loads(path.read_text())["timing"]
    entries = [entry for entry in timing.values() if "cpu_seconds_median_of_3" in entry]
    chosen = max(entries, key=lambda entry: entry["wall_seconds_median_of_3"])
    return chosen["wall_seconds_median_of_3"], chosen["cpu_seconds_median_of_3"]


def measure(repeats: int, golden: Path) -> list[dict[str, Any]]:
    rows = []
    for name, (module, call, expected) in calls(golden).items():
        inner = [
            json.loads(measured([sys.executable, "-c", PROGRAM, module, json.dumps(call)])[2])
            for _ in range(repeats)
        ]
        whole = [measured(command(call))[:2] for _ in range(repeats)]
        official_wall, official_cpu = recorded(expected)
        rows.append(
            {
                "case": name,
                **{key: statistics.median(run[key] for run in inner) for key in inner[0]},
                "process_wall_s": statistics.median(wall for wall, _ in whole),
                "process_cpu_s": statistics.median(cpu for _, cpu in whole),
                "official_recorded_wall_s": official_wall,
                "official_recorded_cpu_s": official_cpu,
            }
        )
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=3, help="runs of each; medians are shown")
    repeats = parser.parse_args().repeats
    golden = Path(os.environ.get("VIDEOEXPERT_SHARED", ROOT.parent / "shared")) / "golden"
    if not golden.is_dir():
        print("The shared reference data is not here: set VIDEOEXPERT_SHARED.", file=sys.stderr)
        return 1
    load = os.getloadavg()
    rows = measure(repeats, golden)
    columns = list(rows[0])
    print("  ".join(f"{column:>24}" for column in columns))
    for row in rows:
        print("  ".join(f"{v:>24}" if isinstance(v, str) else f"{v:>24.3f}" for v in row.values()))
    result = {"repeats": repeats, "cores": os.cpu_count(), "load_average_at_start": load, "rows": rows}
    target = ROOT / "benchmarks" / "results" / "score_speed.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(result, indent=2) + "\n")
    print(f"load average at start {load[0]:.1f}; written to {target.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
