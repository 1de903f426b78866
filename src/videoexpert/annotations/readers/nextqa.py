"""NExT-QA (multiple choice) and NExT-OE (open-ended) question files; NExT-GQA shares the code."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from ... import files
from ...errors import DataError
from ..benchmark import Benchmark
from ..dirty import CleaningReport
from ..records import Record, Records, counted
from ..samples import Sample
from .clean import UniqueIds, clean_text, named

OPTIONS = ("a0", "a1", "a2", "a3", "a4")


def parse(path: Path, split: str | None = None, *, nextqa_csv: str | PathLike[str] | None = None) -> Records:
    """One record a question, id ``{video}_{qid}``, as the field's prediction files key it.

    path        ``{train,val,test}.csv``, ``nextoe_*.csv`` or the folder (then val unless ``split`` says)
    nextqa_csv  only for files whose answer is text: the file with the index of each answer

    Raises DataError with the line of a malformed row.
    """
    file, split = BENCHMARK.locate(path, split)
    report = CleaningReport()
    items = tuple(parse_questions(file, report, answer_indices(nextqa_csv)))
    part = split or "all"
    if items and not items[0].options:
        part += " open-ended"  # NExT-OE: other questions on the same splits
    return Records(items, counted(items, part), split, (file,), report)


def parse_questions(file: Path, report: CleaningReport, indices: dict[str, int]) -> list[Record]:
    """Every row. The answer is an index in NExT-QA (column ``video``), the option's text in NExT-GQA (column
    ``video_id``), free text in NExT-OE (no options)."""
    unique = UniqueIds(report)
    items: list[Record] = []
    columns: list[str] = []
    for line, row in files.csv_rows(file, ("question", "answer", "qid", "type")):
        where = f"{file}, line {line}"
        video = row.get("video") or row.get("video_id") or ""
        if not video:
            raise DataError(f"{where}: no video id, expected a column 'video' or 'video_id'.")
        if not row["question"].strip():
            raise DataError(f"{where}: empty question, expected a text.")
        key = f"{video}_{row['qid']}"
        columns = columns or [name for name in OPTIONS if name in row]
        raw = [row[name] for name in columns]  # as the file has them; cleaning counts their spaces
        options = tuple([" ".join(option.split()) for option in raw])
        answer, known = row["answer"], indices.get(key)
        if options and "video_id" not in row:
            known = _index(answer, len(options), where)
            answer = options[known]
        elif options:
            answer = " ".join(answer.split())
        right = frozenset([index for index, option in enumerate(options) if option == answer])
        items.append(
            Record(
                unique(key),
                video,
                row["question"],
                place=f"line {line}",
                kind=row["type"],
                options=options,
                right=right,
                answer=answer,
                raw=(raw, known if known in right else min(right, default=None), "video_id" in row),
            )
        )
    return items


def answer_indices(nextqa_csv: str | PathLike[str] | None) -> dict[str, int]:
    """``{video}_{qid}`` -> 0-based index of the right option, from an original NExT-QA file."""
    if nextqa_csv is None:
        return {}
    path = Path(nextqa_csv)
    return {
        f"{row['video']}_{row['qid']}": _index(row["answer"], len(OPTIONS), f"{path}, line {line}")
        for line, row in files.csv_rows(path, ("video", "qid", "answer"))
    }


def clean(record: Record, report: CleaningReport) -> Sample | None:
    """The question as a sample, with choices but for the open-ended files."""
    if not named(record, report):
        return None
    query = clean_text(_fix_encoding(record.text, report, record.id), report, record.id)
    if not query:
        return None  # counted: no text at all
    if query.endswith(("?", "？")):
        report.add("question_mark", record.id, query)
    answer = record.answer if record.options else clean_text(record.answer, report, record.id)
    choice = _choice(record, report)
    if record.options and choice is None:
        return None
    return Sample(
        record.id,
        record.video,
        "qa",
        query=query,
        choices=record.options,
        answer=answer,
        choice=choice,
        question_type=record.kind,
    )


def _choice(record: Record, report: CleaningReport) -> int | None:
    """Index of the right option; None where the answer is none of them, which is counted."""
    raw, choice, by_text = record.raw
    if any(option != option.strip() for option in raw):
        report.add("outer_spaces", record.id, repr(raw))
    if len(set(record.options)) < len(record.options):
        report.add("equal_options", record.id, str(record.options))
    if record.options and choice is None:
        report.add("answer_not_in_options", record.id, record.answer)
    if by_text and len(record.right) > 1:
        report.add("ambiguous_answer", record.id, record.answer)
    return None if choice is None else int(choice)


def _index(text: str, count: int, where: str) -> int:
    if not text.isdecimal() or int(text) >= count:
        raise DataError(f"{where}: answer is {text!r}, expected the index of an option, 0 to {count - 1}.")
    return int(text)


def _fix_encoding(text: str, report: CleaningReport, id: str) -> str:
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


BENCHMARK = Benchmark(
    name="nextqa",
    title="NExT-QA",
    parse=parse,
    clean=clean,
    layout={split: (f"{split}.csv",) for split in ("val", "test", "train")},
    published={
        "train": {"records": 34132, "videos": 3870},
        "val": {"records": 4996, "videos": 570},
        "test": {"records": 8564, "videos": 1000},
        "train open-ended": {"records": 37523, "videos": 3870},
        "val open-ended": {"records": 5343, "videos": 570},
        "test open-ended": {"records": 9178, "videos": 1000},
    },
    options={"nextqa_csv": "the file with the index of each answer, where this one has its text"},
    tasks=("qa",),
    scorer="choices",
    answered=True,
    drawn=True,
    documented={
        "files": "`{train,val,test}.csv`, `nextoe_*.csv`",
        "sample": "qa, with or without choices",
        "id": "`VIDEO_QID`",
        "task": "question answering",
        "source": "NExT-QA",
    },
)
