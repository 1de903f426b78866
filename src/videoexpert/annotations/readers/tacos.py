"""TACoS: cooking steps in long kitchen videos, as JSON lines of QVHighlights' layout (from lighthouse)."""

from __future__ import annotations

from pathlib import Path

from ..benchmark import Benchmark
from ..records import Records
from .moment_lines import clean_grounding, read_lines


def parse(path: Path, split: str | None = None) -> Records:
    """One record a query, id = ``qid``, a text. Raises DataError with the line of a malformed record.

    path  ``tacos_{split}_release.jsonl``, or its folder (then test unless ``split`` says otherwise)
    """
    return read_lines(*BENCHMARK.locate(path, split))


BENCHMARK = Benchmark(
    name="tacos",
    title="TACoS",
    parse=parse,
    clean=clean_grounding,
    layout={split: (f"tacos_{split}_release.jsonl",) for split in ("test", "val", "train")},
    published={
        "train": {"records": 9790, "videos": 75},
        "val": {"records": 4436, "videos": 27},
        "test": {"records": 4001, "videos": 25},
    },
    tasks=("grounding",),
    scorer="grounding",
    answered=True,
    drawn=True,
    probed=True,
    documented={
        "files": "`tacos_{train,val,test}_release.jsonl`",
        "sample": "grounding, one a line",
        "id": "`qid`",
        "task": "temporal grounding",
        "source": "lighthouse `data/`",
    },
)
