"""Our JSON lines schema for own data: one record a line, documented in docs/own-data.md.

``read_samples`` validates a whole file and reports its faults, each with its line; ``write_samples`` is its
inverse: own.jsonl -> samples -> own.jsonl is identical.

The checks are ours, and not pydantic's: a union of four forms answers one misspelt key with ten errors, each of
another form, where one sentence says "unknown key 'qeury', did you mean 'query'?". They take 14 microseconds a
record, pydantic's 5.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from .. import files
from ..errors import DataError
from ..files import is_number, lines, parse_json
from ..limits import limits
from ..windows import clip_count
from .samples import Sample, Turn

COMMON = ("id", "video", "duration", "clip", "source")
# The key that identifies the kind of record -> the keys allowed beside it, in the order they are written.
FORMS: dict[str, tuple[str, ...]] = {
    "query": ("query", "moments", "saliency"),
    "question": ("question", "moments", "choices", "answer"),
    "captions": ("moments", "captions"),
    "conversation": ("conversation", "times"),
}
TOLERANCE_S = 0.01  # a moment may end this much after the duration: rounding in other tools' exports
PLACEHOLDER = re.compile(r"<[a-z]\d+>")


def read_samples(path: Path) -> list[Sample]:
    """All samples of a file, in order. Without ``id`` a record is named by its line number.

    Raises DataError that names the faults of the file, each with its line; of very many the first ones.
    """
    faults = files.Faults()
    records: list[tuple[str, dict[str, Any]]] = []
    ids: dict[str, int] = {}
    for number, line in lines(path):
        try:
            record = parse_json(line, f"line {number}")
        except DataError as error:
            faults.add([str(error)])
            continue
        found = record_faults(record)
        faults.add(f"line {number}: {fault}" for fault in found)
        if found:
            continue
        id = record.get("id", str(number))
        if id in ids:
            faults.add([f"line {number}: id {id!r} is also that of line {ids[id]}, expected unique ids"])
        ids[id] = number
        records.append((id, record))
    if not (records or faults):
        raise DataError(f"{path} is empty, expected one JSON object a line (docs/own-data.md).")
    if faults:
        raise DataError(f"{path} has {faults.counted} (docs/own-data.md):{faults.listed}")
    return [to_sample(record, id) for id, record in records]


def write_samples(samples: Iterable[Sample], path: Path) -> int:
    """Write JSON lines, whole or not at all; returns how many. An id that is its line number is left out."""
    text = [
        json.dumps(to_record(sample, line), ensure_ascii=False) + "\n"
        for line, sample in enumerate(samples, 1)
    ]
    files.write_text(path, "".join(text))
    return len(text)


def to_record(sample: Sample, line: int | None = None) -> dict[str, Any]:
    """The sample as a record of the schema, keys in the schema's order."""
    record: dict[str, Any] = {} if sample.id == str(line) else {"id": sample.id}
    record["video"] = sample.video
    if sample.duration_s is not None:
        record["duration"] = sample.duration_s
    if sample.clip is not None:
        record["clip"] = list(sample.clip)
    if sample.source is not None:
        record["source"] = sample.source
    return record | _task_fields(sample)


def _task_fields(sample: Sample) -> dict[str, Any]:
    moments = [list(window) for window in sample.windows]
    if sample.task == "caption":
        return {"moments": moments, "captions": list(sample.captions)}
    if sample.task == "conversation":
        turns = [{"role": turn.role, "text": turn.text} for turn in sample.turns]
        return {"conversation": turns, **({"times": dict(sample.times)} if sample.times else {})}
    fields: dict[str, Any]
    if sample.task in ("grounding", "highlight"):
        fields = {"query": sample.query}
        if sample.labelled:
            fields["moments"] = moments
        if sample.saliency is not None:
            fields["saliency"] = [list(scores) for scores in sample.saliency]
        return fields
    fields = {"question": sample.query}
    if sample.task == "grounded_qa":
        fields["moments"] = moments
    if sample.choices:
        fields["choices"] = list(sample.choices)
    answer = sample.choice if sample.choice is not None else sample.answer
    return fields if answer is None else fields | {"answer": answer}


def record_faults(record: Any) -> list[str]:
    """Every way in which a parsed line is not of the schema; empty where it is."""
    if not isinstance(record, dict):
        return [f"expected one JSON object a line, got {type(record).__name__}"]
    faults = []
    if not _is_text(record.get("video")):
        faults.append(f"video is {_show(record, 'video')}, expected a file name or id")
    forms = [form for form in FORMS if form in record]
    if len(forms) != 1:
        got = f"both {' and '.join(forms)}" if forms else "none"
        faults.append(f"expected exactly one of {', '.join(FORMS)}, got {got}")
    allowed = set(COMMON) | {key for form in (forms or FORMS) for key in FORMS[form]}
    for key in record:
        if key not in allowed:
            faults.append(_unknown_key(key, allowed, forms))
    checks: dict[str, Callable[[dict[str, Any]], list[str]]] = {
        "id": _text_faults("id"),
        "source": _text_faults("source"),
        "query": _text_faults("query"),
        "question": _text_faults("question"),
        "duration": _duration_faults,
        "clip": _clip_faults,
        "moments": _moment_faults,
        "saliency": _saliency_faults,
        "choices": _choice_faults,
        "answer": _answer_faults,
        "captions": _caption_faults,
        "conversation": _conversation_faults,
        "times": _time_faults,
    }
    for key, check in checks.items():
        if key in record:
            faults += check(record)
    return faults


def _text_faults(key: str) -> Callable[[dict[str, Any]], list[str]]:
    def check(record: dict[str, Any]) -> list[str]:
        return [] if _is_text(record[key]) else [f"{key} is {_show(record, key)}, expected a text"]

    return check


def _duration_faults(record: dict[str, Any]) -> list[str]:
    value = record["duration"]
    if not (is_number(value) and value > 0):
        return [f"duration is {_show(record, 'duration')}, expected seconds above 0"]
    try:
        limits().check("video_seconds", value, f"duration is {value}", DataError)
    except DataError as error:
        return [str(error).rstrip(".")]
    return []


def _clip_faults(record: dict[str, Any]) -> list[str]:
    if _is_window(record["clip"]) and 0 <= record["clip"][0] < record["clip"][1]:
        return []
    return [f"clip is {_show(record, 'clip')}, expected [start, end] seconds of the video with start < end"]


def _moment_faults(record: dict[str, Any]) -> list[str]:
    moments, limit = record["moments"], _last_second(record)
    if not isinstance(moments, list):
        return [f"moments is {_show(record, 'moments')}, expected a list of [start, end] in seconds"]
    faults = []
    for index, moment in enumerate(moments):
        if not _is_window(moment):
            faults.append(f"moments[{index}] is {json.dumps(moment)}, expected [start, end] in seconds")
        elif not 0 <= moment[0] <= moment[1]:
            faults.append(f"moments[{index}] is {json.dumps(moment)}, expected 0 <= start <= end")
        elif moment[1] > limit:
            faults.append(
                f"moments[{index}] ends at {moment[1]}, after the duration of {record['duration']} s"
            )
    return faults


def _saliency_faults(record: dict[str, Any]) -> list[str]:
    value, duration_s = record["saliency"], record.get("duration", 0)
    if not (isinstance(value, list) and value and all(_is_numbers(scores) and scores for scores in value)):
        return ["saliency, expected for each 2 s clip a list of scores, one an annotator"]
    faults = []
    if len({len(scores) for scores in value}) > 1 or min(min(scores) for scores in value) < 0:
        faults.append("saliency, expected as many scores of at least 0 in every clip")
    if not (is_number(duration_s) and duration_s > 0):
        faults.append("saliency needs duration, which says how many clips there are")
    elif len(value) != clip_count(duration_s):
        faults.append(
            f"saliency has {len(value)} clips, expected {clip_count(duration_s)} of 2 s for {duration_s} s"
        )
    if "moments" not in record:
        faults.append("saliency needs moments, outside of which scores are 0")
    return faults


def _choice_faults(record: dict[str, Any]) -> list[str]:
    choices = record["choices"]
    if isinstance(choices, list) and len(choices) >= 2 and all(_is_text(choice) for choice in choices):
        return []
    return [f"choices is {_show(record, 'choices')}, expected a list of at least two texts"]


def _answer_faults(record: dict[str, Any]) -> list[str]:
    answer, choices = record["answer"], record.get("choices", [])
    if "choices" not in record:
        return [] if _is_text(answer) else [f"answer is {_show(record, 'answer')}, expected a text"]
    count = len(choices) if isinstance(choices, list) else 0
    if isinstance(answer, int) and not isinstance(answer, bool) and 0 <= answer < count:
        return []
    hint = f" (that text is choice {choices.index(answer)})" if count and answer in choices else ""
    return [f"answer is {_show(record, 'answer')}, expected the index of a choice, 0 to {count - 1}{hint}"]


def _caption_faults(record: dict[str, Any]) -> list[str]:
    captions, moments = record["captions"], record.get("moments")
    if not (isinstance(captions, list) and captions and all(_is_text(caption) for caption in captions)):
        return [f"captions is {_show(record, 'captions')}, expected a list of texts"]
    count = len(moments) if isinstance(moments, list) else 0
    return (
        [] if count == len(captions) else [f"{len(captions)} captions but {count} moments, expected as many"]
    )


def _conversation_faults(record: dict[str, Any]) -> list[str]:
    turns, times = record["conversation"], record.get("times", {})
    expected = "conversation, expected turns {role, text} that alternate: user, assistant, ..., assistant"
    if not (isinstance(turns, list) and turns and len(turns) % 2 == 0):
        return [expected]
    for place, turn in enumerate(turns):
        if not isinstance(turn, dict) or set(turn) != {"role", "text"} or not _is_text(turn["text"]):
            return [expected]
        if turn["role"] != ("user", "assistant")[place % 2]:
            return [expected]
    named = {match for turn in turns for match in PLACEHOLDER.findall(turn["text"])}
    known = set(times) if isinstance(times, dict) else set()
    return [f"{name} stands in a turn but not in times" for name in sorted(named - known)] + [
        f"{name} stands in times but in no turn" for name in sorted(known - named)
    ]


def _time_faults(record: dict[str, Any]) -> list[str]:
    times, limit = record["times"], _last_second(record)
    if not isinstance(times, dict):
        return ["times, expected an object of placeholder to seconds"]
    return [
        f"times[{name}] is {json.dumps(value)}, expected seconds from 0 to the duration"
        for name, value in times.items()
        if not (is_number(value) and 0 <= value <= limit)
    ]


def _last_second(record: dict[str, Any]) -> float:
    duration_s: Any = record.get("duration")
    return duration_s + TOLERANCE_S if is_number(duration_s) else math.inf


def to_sample(record: dict[str, Any], id: str) -> Sample:
    """The sample of a record without faults."""
    common: dict[str, Any] = {
        "id": id,
        "video": record["video"],
        "duration_s": record.get("duration"),
        "clip": tuple(record["clip"]) if "clip" in record else None,
        "source": record.get("source"),
        "windows": tuple((start, end) for start, end in record.get("moments", [])),
    }
    if "query" in record:
        scores = record.get("saliency")
        saliency = None if scores is None else tuple(tuple(clip) for clip in scores)
        return Sample(
            task="grounding" if saliency is None else "highlight",
            query=record["query"],
            saliency=saliency,
            labelled="moments" in record,
            **common,
        )
    if "captions" in record:
        return Sample(task="caption", captions=tuple(record["captions"]), **common)
    if "conversation" in record:
        turns = tuple(Turn(turn["role"], turn["text"]) for turn in record["conversation"])
        times = record.get("times", {})
        common["windows"] = tuple(  # the complete pairs <s0> and <e0>, ..., in order of their number
            (times[f"<s{number}>"], times[f"<e{number}>"])
            for number in sorted(int(name[2:-1]) for name in times if name.startswith("<s"))
            if times.get(f"<e{number}>", -1) >= times[f"<s{number}>"]
        )
        return Sample(task="conversation", turns=turns, times=tuple(times.items()), **common)
    choices, answer = tuple(record.get("choices", ())), record.get("answer")
    choice = answer if choices and answer is not None else None
    return Sample(
        task="grounded_qa" if "moments" in record else "qa",
        query=record["question"],
        choices=choices,
        choice=choice,
        answer=choices[choice] if choice is not None else answer,
        labelled="moments" in record or answer is not None,
        **common,
    )


def _unknown_key(key: str, allowed: set[str], forms: list[str]) -> str:
    if any(key in keys for keys in FORMS.values()) or key in COMMON:
        return f"{key} does not belong beside {' and '.join(forms)}"
    close = difflib.get_close_matches(key, allowed, n=1)
    return f"unknown key {key!r}" + (f", did you mean {close[0]!r}?" if close else "")


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(is_number(item) for item in value)


def _is_window(value: Any) -> bool:
    return _is_numbers(value) and len(value) == 2


def _show(record: dict[str, Any], key: str) -> str:
    if key not in record:
        return "missing"
    text = json.dumps(record[key], ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."
