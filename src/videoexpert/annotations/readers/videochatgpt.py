"""Video-ChatGPT text-generation benchmark: generic, temporal and consistency questions."""

from __future__ import annotations

from pathlib import Path

from ... import files
from ...errors import DataError, InputError
from ..dirty import Report
from ..samples import Dataset, Sample
from .clean import clean_text

EXTRA = ()
SPLITS = ("generic", "temporal", "consistency")


def read(path: Path, *, split: str | None = None) -> Dataset:
    """One open QA sample a question; ``question_type`` is the file it comes from.

    Ids are ``{file}_{index}`` by place in the list, because (video, question) pairs repeat with other
    answers; the two wordings of a consistency record are ``consistency_{index}_1`` and ``_2``.

    path   ``{generic,temporal,consistency}_qa.json`` or their folder (then every one that is there)
    split  one of the three

    Raises DataError with the place in the list of a malformed record.
    """
    if split is not None and split not in SPLITS:
        raise InputError(f"split of video-chatgpt is {split!r}, expected one of {', '.join(SPLITS)}.")
    if path.is_file():
        kind = split or files.split_in_name(path, SPLITS)
        parts = [(kind, path)]
    else:
        kinds = (split,) if split else SPLITS
        found = [(kind, files.existing(path, [f"{kind}_qa.json"])) for kind in kinds]
        parts = [(kind, file) for kind, file in found if file is not None]
        if not parts:
            files.locate(path, [f"{kind}_qa.json" for kind in kinds])  # raises with the expected names
    report, samples, counts = Report(), [], {}
    for kind, file in parts:
        rows, count = _read_file(file, kind, report)
        samples += rows
        counts[kind or "all"] = count
    return Dataset("video-chatgpt", tuple(samples), report, counts, split, tuple(file for _, file in parts))


def _read_file(file: Path, kind: str | None, report: Report) -> tuple[list[Sample], dict[str, int]]:
    records = files.load_json(file)
    if not isinstance(records, list):
        raise DataError(f"{file}: expected a list of questions, got {type(records).__name__}.")
    samples, videos, seen = [], set(), set()
    for index, record in enumerate(records):
        where = f"{file}, record {index}"
        if not isinstance(record, dict):
            raise DataError(f"{where}: expected an object with Q, A and video_name.")
        id = f"{kind or file.name.split('.')[0]}_{index}"
        video = files.id_field(record, "video_name", where)
        videos.add(video)
        answer = clean_text(files.text_field(record, "A", where), report, id)
        wordings = ("Q1", "Q2") if "Q1" in record else ("Q",)
        for number, key in enumerate(wordings, 1):
            text = clean_text(files.text_field(record, key, where), report, id)
            if (video, text) in seen:
                report.add("repeated_question", id, text)
            seen.add((video, text))
            if not text or not answer:
                report.add("empty_text", id)
                continue
            samples.append(
                Sample(
                    f"{id}_{number}" if len(wordings) > 1 else id,
                    video,
                    "qa",
                    query=text,
                    answer=answer,
                    question_type=kind,
                )
            )
    return samples, {"records": len(records), "videos": len(videos)}
