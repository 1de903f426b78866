"""Video-ChatGPT text-generation benchmark: generic, temporal and consistency questions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ... import files
from ...errors import DataError
from ..benchmark import Benchmark
from ..dirty import CleaningReport
from ..records import Record, Records, counted
from ..samples import Sample
from .clean import clean_text, named


def parse(path: Path, split: str | None = None) -> Records:
    """One record a question; ``kind`` is the file it comes from.

    Ids are ``{file}_{index}`` by place in the list, because (video, question) pairs repeat with other
    answers; the two wordings of a consistency record are ``consistency_{index}_1`` and ``_2``.

    path   ``{generic,temporal,consistency}_qa.json`` or their folder (then every one that is there)
    split  one of the three

    Raises DataError with the place in the list of a malformed record.
    """
    split = BENCHMARK.known_split(split)
    if path.is_file():
        parts = [BENCHMARK.locate(path, split)]
    else:
        kinds = (split,) if split else tuple(BENCHMARK.layout)
        there = [kind for kind in kinds if files.existing(path, BENCHMARK.layout[kind])]
        # without any of them locate names what was expected
        parts = [BENCHMARK.locate(path, kind) for kind in there or kinds]
    report, counts = CleaningReport(), {}
    items: list[Record] = []
    for file, kind in parts:
        found, places = _read_file(file, kind, report)
        items += found
        counts[kind or "all"] = counted(found, kind)[kind or "all"] | {"records": places}
    return Records(tuple(items), counts, split, tuple(file for file, _ in parts), report)


def _read_file(file: Path, kind: str | None, report: CleaningReport) -> tuple[list[Record], int]:
    rows = files.load_json(file)
    if not isinstance(rows, list):
        raise DataError(f"{file}: expected a list of questions, got {type(rows).__name__}.")
    items, seen = [], set()
    for index, row in enumerate(rows):
        where = f"{file}, record {index}"
        if not isinstance(row, dict):
            raise DataError(f"{where}: expected an object with Q, A and video_name.")
        id = f"{kind or file.name.split('.')[0]}_{index}"
        video = files.id_field(row, "video_name", where)
        answer = files.text_field(row, "A", where)
        wordings = ("Q1", "Q2") if "Q1" in row else ("Q",)
        for number, key in enumerate(wordings, 1):
            text = files.text_field(row, key, where)
            plain = (video, " ".join(text.split()))
            if plain in seen:
                report.add("repeated_question", id, plain[1])
            seen.add(plain)
            own = f"{id}_{number}" if len(wordings) > 1 else id
            items.append(
                Record(own, video, text, place=f"record {index}", kind=kind or "", answer=answer, raw=id)
            )
    return items, len(rows)


def clean(record: Record, report: CleaningReport) -> Sample | None:
    """The question as an open QA sample. Faults are filed under the id of the item, which may have two wordings."""
    if not named(record, report):
        return None
    # the second wording repeats the answer, which is counted once
    again = record.id.endswith("_2") and record.raw != record.id
    answer = clean_text(record.answer, CleaningReport() if again else report, record.raw)
    text = clean_text(record.text, report, record.raw)
    if not text or not answer:
        report.add("empty_text", record.raw)
        return None
    return Sample(record.id, record.video, "qa", query=text, answer=answer, question_type=record.kind or None)


def kept(record: Record) -> Record:
    """The record as it is scored: asked where ``clean`` gives a sample."""
    return replace(record, asked=clean(record, CleaningReport()) is not None)


BENCHMARK = Benchmark(
    name="video-chatgpt",
    title="Video-ChatGPT",
    parse=parse,
    clean=clean,
    kept=kept,
    layout={kind: (f"{kind}_qa.json",) for kind in ("generic", "temporal", "consistency")},
    published={
        "generic": {"records": 1996, "videos": 499},
        "temporal": {"records": 499, "videos": 499},
        "consistency": {"records": 499, "videos": 499},
    },
    tasks=("qa",),
    scorer="judged answers",
    parts_in_file=True,
    documented={
        "files": "`{generic,temporal,consistency}_qa.json`",
        "sample": "qa; both wordings of a consistency record",
        "id": "`FILE_INDEX`",
        "task": "judged answers",
        "source": "Video-ChatGPT benchmark",
    },
)
