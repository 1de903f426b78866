"""`make bench`: every claim of the README that is a number, measured here and now.

Each script also runs on its own, with options; see its first lines.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
SCRIPTS = (
    "score_speed.py",
    "query_speed.py",
    "encode_throughput.py",
    "training_speed.py",
    "backbone_speed.py",
    "spatial_tokens.py",
    "training_free.py",
    "contrastive_speed.py",
    "engine.py",
    "openmp.py",
    "library_search.py",
    "serve_load.py",
)


def main() -> int:
    failed = []
    for script in SCRIPTS:
        print(f"\n== {script}", flush=True)
        if subprocess.run([sys.executable, str(HERE / script)], check=False).returncode:
            failed.append(script)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
