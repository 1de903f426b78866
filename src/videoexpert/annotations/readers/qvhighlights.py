"""QVHighlights: moments and highlights of a query, JSON lines."""

from __future__ import annotations

from pathlib import Path

from ..benchmark import Benchmark
from ..records import Records
from .moment_lines import clean_highlight, kept_highlight, read_lines


def parse(path: Path, split: str | None = None) -> Records:
    """One record a query, id = ``qid`` as text; see ``moment_lines``. The test split has no labels.

    path  ``highlight_{split}_release.jsonl``, or its folder (then val unless ``split`` says otherwise)

    Raises DataError with the line of a malformed record.
    """
    return read_lines(*BENCHMARK.locate(path, split))


BENCHMARK = Benchmark(
    name="qvhighlights",
    title="QVHighlights",
    parse=parse,
    clean=clean_highlight,
    kept=kept_highlight,
    layout={split: (f"highlight_{split}_release.jsonl",) for split in ("val", "test", "train")},
    published={
        "train": {"records": 7218, "videos": 7100},
        "val": {"records": 1550, "videos": 1519},
        "test": {"records": 1542, "videos": 1529},
    },
    tasks=("highlight",),
    scorer="highlights",
    shown=(
        *("R1@0.5", "R1@0.7", "mAP@0.5", "mAP@0.75", "mAP", "mAP/short", "mAP/middle", "mAP/long"),
        *("HL-mAP", "HIT@1", "HL-mAP/good", "HIT@1/good", "HL-mAP/fair", "HIT@1/fair"),
    ),
    answered=True,
    drawn=True,
    probed=True,
    submission=True,
    documented={
        "files": "`highlight_{train,val,test}_release.jsonl`",
        "sample": "highlight: windows and scores, one a query",
        "id": "`qid`",
        "task": "moments and highlights",
        "source": "moment_detr `data/`",
    },
)
