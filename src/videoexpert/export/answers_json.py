"""The documented JSON of the command line (docs/cli.md), written and read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..errors import DataError
from ..files import list_field, number, pair, text_field
from ..types import Answer, Captions, Evidence, Highlights, Moment, Moments, Told, Verified
from .answers import Answers, AnswerSet, Failed, Found
from .hits import documents, is_search


def write(found: AnswerSet) -> str:
    """One object; a list of them where several videos were named."""
    documents = [document(item) for item in found.items]
    return json.dumps(documents if found.several else documents[0], indent=2, ensure_ascii=False) + "\n"


def document(item: Answers | Failed) -> dict[str, Any]:
    """The object of one video."""
    if isinstance(item, Failed):
        return {"video": item.video, "error": item.error}
    head: dict[str, Any] = {"video": item.video, "duration": round(item.duration, 3), "model": item.model}
    if item.familiarity is not None:
        head |= {"familiar": item.familiar, "familiarity": round(item.familiarity, 4)}
    if item.calibrated is not None:
        head |= {"calibrated": item.calibrated}
    part = {} if item.start is None else {"start": round(item.start, 3)}
    looked = {} if item.looked_at is None else {"looked_at": _rounded(item.looked_at)}
    warned = {"warnings": list(item.warnings)} if item.warnings else {}
    return {**head, **part, **looked, **warned, **_answer(item.found, item.evidence)}


def _rounded(numbers: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 3) for name, value in numbers.items()}


def plain(found: Moments | Highlights | Captions | Answer) -> dict[str, Any]:
    """The part of the object that one answer makes up; of ``ground``, that of one query."""
    return _query(found) if isinstance(found, Moments) else _answer(found)


def _answer(found: Found, evidence: Sequence[Evidence] = ()) -> dict[str, Any]:
    if isinstance(found, Captions):
        return {"captions": _moments(found), **_told(found.told)}
    if isinstance(found, Highlights):
        return _highlights(found)
    if isinstance(found, Answer):
        return _reply(found)
    queries = [_query(moments) for moments in found]
    for query, one in zip(queries, evidence, strict=False):
        query["evidence"] = evidence_document(one)
    return {"queries": queries}


def _moments(moments: Sequence[Moment]) -> list[dict[str, Any]]:
    """Seconds to the millisecond, scores to four digits; ``text`` where there is one."""
    return [
        {"start": round(m.start, 3), "end": round(m.end, 3), "score": round(m.score, 4)}
        | ({} if m.text is None else {"text": m.text})
        for m in moments
    ]


def _query(found: Moments) -> dict[str, Any]:
    return {
        "query": found.query,
        "presence": round(found.presence, 4),
        "absent": found.absent,
        **_unknown(found),
        "moments": _moments(found),
        **({} if found.verified is None else {"verified": _verified(found.verified)}),
        **_told(found.told),
    }


def _verified(found: Verified) -> dict[str, Any]:
    return {
        "model": found.model,
        "verdict": found.verdict,
        "probability": round(found.probability, 4),
        "read": round(found.read, 3),
        "of": round(found.duration, 3),
        "windows": [[round(a, 3), round(b, 3)] for a, b in found.windows],
    }


def _highlights(found: Highlights) -> dict[str, Any]:
    return {
        "query": found.query,
        "presence": round(found.presence, 4),
        "absent": found.absent,
        **_unknown(found),
        "clip": found.clip_s,
        "times": [round(t, 3) for t in found.times],
        "scores": [round(s, 4) for s in found.scores],
        "moments": _moments(found.moments),
        **_told(found.told),
    }


def _reply(found: Answer) -> dict[str, Any]:
    scores: list[dict[str, Any]] = [{"score": round(score, 4)} for score in found.choice_scores]
    pairs = zip(found.choices, scores or [{}] * len(found.choices), strict=True)
    return {
        "question": found.question,
        **_unknown(found),
        "answer": found.text,
        "choices": [{"text": text, **score} for text, score in pairs],
        "choice": found.choice,
        "moments": _moments(found.moments),
        **_told(found.told),
    }


def _unknown(found: Moments | Highlights | Answer) -> dict[str, Any]:
    """Words of the question that the model was never shown, where there are any, and what they make of the answer."""
    if not found.unknown_words:
        return {}
    return {"unknown_words": list(found.unknown_words), "guess": found.guess}


def _told(told: Told | None) -> dict[str, Any]:
    """How the text of a chat model was read; nothing of other models."""
    if told is None:
        return {}
    choice = {} if told.choice is None else {"choice": told.choice}
    return {"told": {"parsed": told.parsed, "score": told.score, **choice, "text": told.text}}


def evidence_document(found: Evidence) -> dict[str, Any]:
    guess = found.blank_moment
    return {
        "overlap": round(found.overlap, 4),
        "shift": None if found.shift_s is None else round(found.shift_s, 3),
        "presence": round(found.presence, 4),
        "blank_presence": round(found.blank_presence, 4),
        "blank_moment": None if guess is None else _moments([guess])[0],
    }


# --- and back ---


def read(value: Any, where: str) -> AnswerSet:
    """The answers of a document, of a list of them, or of a search; a fault begins with ``where``. Raises DataError.

    What the document leaves out (curves) stays out.
    """
    if is_search(value):
        value = documents(value, where)
    several = isinstance(value, list)
    return AnswerSet(tuple(_read_one(one, where) for one in (value if several else [value])), several)


def _read_one(value: Any, where: str) -> Answers | Failed:
    if not isinstance(value, dict):
        raise DataError(
            f"{where}: expected an object of ground, highlight, caption or ask, got {_kind(value)}."
        )
    if "video" not in value:
        raise DataError(
            f"{where} holds no answer: expected the json or jsonl of ground, highlight, caption, ask or search."
        )
    video = text_field(value, "video", where)
    if "error" in value:
        return Failed(video, text_field(value, "error", where))
    start = number(value["start"], "start", where) if "start" in value else None
    found, evidence = _read_found(value, where)
    known = number(value["familiarity"], "familiarity", where) if "familiarity" in value else None
    calibrated = value.get("calibrated")
    return Answers(
        video,
        number(value.get("duration"), "duration", where),
        text_field(value, "model", where),
        found,
        start,
        evidence,
        looked_at=_read_looked_at(value["looked_at"], where) if "looked_at" in value else None,
        familiarity=known,
        calibrated=calibrated if isinstance(calibrated, bool) else None,
        warnings=tuple(map(str, list_field(value, "warnings", where))) if "warnings" in value else (),
    )


def _read_looked_at(value: Any, where: str) -> dict[str, float]:
    return {str(name): number(part, str(name), where) for name, part in _object(value, where).items()}


def _read_found(value: dict[str, Any], where: str) -> tuple[Found, tuple[Evidence, ...]]:
    if "queries" in value:
        queries = [_object(query, where) for query in list_field(value, "queries", where)]
        known = value.get("familiar") is not False
        found = tuple(_read_query(query, where, known) for query in queries)
        told = [(q, m) for q, m in zip(queries, found, strict=True) if "evidence" in q]
        return found, tuple(_read_evidence(q["evidence"], m, where) for q, m in told)
    if "captions" in value:
        return Captions(_read_moments(value, "captions", where), _read_told(value, where)), ()
    if "question" in value:
        return _read_reply(value, where), ()
    if "times" in value:
        query = _read_query(value, where, value.get("familiar") is not False)
        times, scores = (
            tuple(number(v, key, where) for v in list_field(value, key, where)) for key in ("times", "scores")
        )
        clip = number(value.get("clip"), "clip", where)
        try:
            return replace(
                Highlights(query.query, times, scores, query.items, clip, query.presence, query.absent),
                told=query.told,
                familiar=query.familiar,
                unknown_words=query.unknown_words,
                guess=query.guess,
            ), ()
        except ValueError as error:
            raise DataError(f"{where}: {error}.") from error
    raise DataError(
        f"{where}: expected queries, captions, times or a question, as ground, highlight, caption and ask print with "
        "--format json."
    )


def _read_query(value: dict[str, Any], where: str, familiar: bool) -> Moments:
    moments, unknown = _read_moments(value, "moments", where), _read_words(value, where)
    presence = number(value.get("presence"), "presence", where)
    return Moments(
        text_field(value, "query", where),
        tuple(moments),
        presence,
        value.get("absent") is True and familiar and not unknown,
        told=_read_told(value, where),
        familiar=familiar,
        verified=_read_verified(value["verified"], where) if "verified" in value else None,
        unknown_words=unknown,
        guess=bool(unknown) and value.get("guess") is not False,
    )


def _read_words(value: dict[str, Any], where: str) -> tuple[str, ...]:
    return tuple(map(str, list_field(value, "unknown_words", where))) if "unknown_words" in value else ()


def _read_verified(value: Any, where: str) -> Verified:
    found = _object(value, where)
    windows = [pair(window, where) for window in list_field(found, "windows", where)]
    try:
        return Verified(
            text_field(found, "model", where),
            text_field(found, "verdict", where),
            number(found.get("probability"), "probability", where),
            tuple(windows),
            number(found.get("of"), "of", where),
        )
    except ValueError as error:
        raise DataError(f"{where}: {error}.") from error


def _read_reply(value: dict[str, Any], where: str) -> Answer:
    choices = [_object(choice, where) for choice in list_field(value, "choices", where)]
    choice = value.get("choice")
    if choice is not None and not (isinstance(choice, int) and 0 <= choice < len(choices)):
        raise DataError(
            f"{where}: choice is {choice!r}, expected the number of one of the {len(choices)} choices."
        )
    return Answer(
        text_field(value, "question", where),
        text_field(value, "answer", where),
        choice,
        tuple(_read_moments(value, "moments", where)),
        tuple(number(c["score"], "score", where) for c in choices if "score" in c),
        told=_read_told(value, where),
        choices=tuple(text_field(c, "text", where) for c in choices),
        unknown_words=_read_words(value, where),
    )


def _read_told(value: dict[str, Any], where: str) -> Told | None:
    if "told" not in value:
        return None
    told = _object(value["told"], where)
    parsed, score, text = (text_field(told, key, where) for key in ("parsed", "score", "text"))
    return Told(text, parsed, score, text_field(told, "choice", where) if "choice" in told else None)


def _read_evidence(value: Any, asked: Moments, where: str) -> Evidence:
    told = _object(value, where)
    guess = told.get("blank_moment")
    shift = told.get("shift")
    try:
        return Evidence(
            asked.query,
            # without a shift one of the two was missing
            asked[0] if asked and (shift is not None or guess is None) else None,
            None if guess is None else _read_moment(guess, where),
            number(told.get("presence"), "presence", where),
            number(told.get("blank_presence"), "blank_presence", where),
            number(told.get("overlap"), "overlap", where),
            None if shift is None else number(shift, "shift", where),
        )
    except ValueError as error:
        raise DataError(f"{where}: {error}.") from error


def _read_moments(value: dict[str, Any], key: str, where: str) -> list[Moment]:
    return [_read_moment(moment, where) for moment in list_field(value, key, where)]


def _read_moment(value: Any, where: str) -> Moment:
    told = _object(value, where)
    start, end, score = (number(told.get(key), key, where) for key in ("start", "end", "score"))
    try:
        return Moment(start, end, score, text_field(told, "text", where) if "text" in told else None)
    except ValueError as error:
        raise DataError(f"{where}: {error}.") from error


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DataError(f"{where}: expected an object, got {_kind(value)}.")
    return value


def _kind(value: Any) -> str:
    return type(value).__name__
