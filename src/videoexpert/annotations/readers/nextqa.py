"""NExT-QA (multiple choice) and NExT-OE (open-ended) question files; NExT-GQA shares the code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from ... import files
from ...errors import DataError, InputError
from ..dirty import Report
from ..samples import Dataset, Sample
from .clean import UniqueIds, clean_text

EXTRA = ("nextqa_csv",)
SPLITS = ("train", "val", "test")
OPTIONS = ("a0", "a1", "a2", "a3", "a4")


@dataclass(frozen=True)
class Question:
    """One row after cleaning; ``choice`` and ``choices`` are empty for open-ended questions."""

    id: str  # "{video}_{qid}", as the field's prediction files key it
    video: str
    qid: str
    text: str
    type: str
    answer: str
    choices: tuple[str, ...]
    choice: int | None


def read(path: Path, *, split: str | None = None, nextqa_csv: str | PathLike[str] | None = None) -> Dataset:
    """One QA sample a question, id ``{video}_{qid}``; without choices for the open-ended files.

    path        ``{train,val,test}.csv``, ``nextoe_*.csv`` or the folder (then val unless ``split`` says)
    nextqa_csv  only for files whose answer is text: the file with the index of each answer

    Raises DataError with the line of a malformed row.
    """
    if split is not None and split not in SPLITS:
        raise InputError(f"split of nextqa is {split!r}, expected one of {', '.join(SPLITS)}.")
    file = files.locate(path, [f"{name}.csv" for name in ([split] if split else ["val", "test", "train"])])
    split = split or files.split_in_name(file, SPLITS)
    report = Report()
    samples, videos, total = [], set(), 0
    for question in questions(file, report, answer_indices(nextqa_csv)):
        total += 1
        videos.add(question.video)
        if question.choices and question.choice is None:
            continue  # the answer is none of the options; counted
        samples.append(
            Sample(
                question.id,
                question.video,
                "qa",
                query=question.text,
                choices=question.choices,
                answer=question.answer,
                choice=question.choice,
                question_type=question.type,
            )
        )
    part = split or "all"
    if samples and not samples[0].choices:
        part += " open-ended"  # NExT-OE: other questions on the same splits
    counts = {part: {"records": total, "videos": len(videos)}}
    return Dataset("nextqa", tuple(samples), report, counts, split, (file,))


def questions(file: Path, report: Report, indices: dict[str, int]) -> Iterator[Question]:
    """Every row, cleaned and counted. The answer is an index in NExT-QA (column ``video``), the option's
    text in NExT-GQA (column ``video_id``), free text in NExT-OE (no options)."""
    unique = UniqueIds(report)
    for line, row in files.csv_rows(file, ("question", "answer", "qid", "type")):
        where = f"{file}, line {line}"
        video = row.get("video") or row.get("video_id") or ""
        if not video:
            raise DataError(f"{where}: no video id, expected a column 'video' or 'video_id'.")
        id = f"{video}_{row['qid']}"
        text = clean_text(_fix_encoding(row["question"], report, id), report, id)
        if not text:
            raise DataError(f"{where}: empty question, expected a text.")
        if text.endswith(("?", "？")):
            report.add("question_mark", id, text)
        choices = _options(row, report, id)
        if not choices:
            answer, choice = clean_text(row["answer"], report, id), None
        elif "video_id" in row:
            answer = " ".join(row["answer"].split())
            choice = _find(answer, choices, indices.get(id), report, id)
        else:
            choice = _index(row["answer"], len(choices), where)
            answer = choices[choice]
        yield Question(unique(id), video, row["qid"], text, row["type"], answer, choices, choice)


def answer_indices(nextqa_csv: str | PathLike[str] | None) -> dict[str, int]:
    """``{video}_{qid}`` -> 0-based index of the right option, from an original NExT-QA file."""
    if nextqa_csv is None:
        return {}
    path = Path(nextqa_csv)
    return {
        f"{row['video']}_{row['qid']}": _index(row["answer"], len(OPTIONS), f"{path}, line {line}")
        for line, row in files.csv_rows(path, ("video", "qid", "answer"))
    }


def _options(row: dict[str, str], report: Report, id: str) -> tuple[str, ...]:
    raw = [row[name] for name in OPTIONS if name in row]
    if any(option != option.strip() for option in raw):
        report.add("outer_spaces", id, repr(raw))
    choices = tuple(" ".join(option.split()) for option in raw)
    if len(set(choices)) < len(choices):
        report.add("equal_options", id, str(choices))
    return choices


def _find(answer: str, choices: tuple[str, ...], known: int | None, report: Report, id: str) -> int | None:
    matches = [index for index, option in enumerate(choices) if option == answer]
    if not matches:
        report.add("answer_not_in_options", id, answer)
        return None
    if len(matches) > 1:
        report.add("ambiguous_answer", id, answer)
    return known if known in matches else matches[0]


def _index(text: str, count: int, where: str) -> int:
    if not text.isdecimal() or int(text) >= count:
        raise DataError(f"{where}: answer is {text!r}, expected the index of an option, 0 to {count - 1}.")
    return int(text)


def _fix_encoding(text: str, report: Report, id: str) -> str:
    """UTF-8 bytes that were once read as GBK ("man鈥檚" is "man’s"): undone where it is
    certain, that is where the bytes are valid UTF-8 and fewer letters outside ASCII come out."""
    if text.isascii():
        return text
    try:
        fixed = text.encode("gbk").decode("utf-8")
    except UnicodeError:
        return text
    if sum(not c.isascii() for c in fixed) >= sum(not c.isascii() for c in text):
        return text
    report.add("mojibake", id, text)
    return fixed
