"""Video-ChatGPT's five judged dimensions (Maaz et al., ACL 2024) through any OpenAI-compatible endpoint.

A chat model reads a question, the correct answer and the answer to judge, and gives 0 to 5; a dimension's
score is the mean over its questions. The prompts are ours (the benchmark's idea of what each dimension looks
at is kept), and published numbers depend on the judge's version: compare only what one judge has judged.

Every judgement is appended to a log as it comes, so that an interrupted run resumes where it was.
"""

from __future__ import annotations

import ast
import hashlib
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from ... import files
from ...errors import InputError
from .endpoint import ChatReply, Endpoint, Refused, ask

LOWEST, HIGHEST = 0, 5

#: What the judge is asked to look at. correctness, detail and context are asked on the generic questions,
#: temporal on the temporal ones, consistency on pairs of wordings of one question.
DIMENSIONS: dict[str, str] = {
    "correctness": (
        "factual correctness: whether what the answer states about the video agrees with the correct answer, "
        "without anything false or made up"
    ),
    "detail": (
        "detail: whether the answer covers all important points of the correct answer, and names particular "
        "things instead of speaking in general terms"
    ),
    "context": (
        "context: whether the answer has understood the situation, theme and mood of the video as the "
        "correct answer shows them"
    ),
    "temporal": (
        "temporal understanding: whether events come in the same order in the answer as in the correct "
        "answer; other words for an event are fine only if its place in the order is kept"
    ),
    "consistency": (
        "consistency: whether the two answers, given to two wordings of one question, agree with each other "
        "and with the correct answer"
    ),
}

_SYSTEM = (
    "You grade answers to questions about videos. You do not see the video; the correct answer is the truth. "
    "Grade one thing only: {look_at}. Synonyms and paraphrases count as equal. Grade with a whole number "
    f"from {LOWEST} (wrong throughout) to {HIGHEST} (nothing to improve). "
    'Reply with JSON and nothing else, for instance {{"score": 3}}.'
)
_REMINDER = f'Reply with nothing but JSON of the form {{"score": n}}, n from {LOWEST} to {HIGHEST}.'


@dataclass(frozen=True)
class JudgeItem:
    """One thing to judge. ``questions`` and ``predictions`` have two entries for consistency, else one."""

    video: str
    questions: tuple[str, ...]
    reference: str
    predictions: tuple[str, ...]

    def __post_init__(self) -> None:
        if not len(self.questions) == len(self.predictions) in (1, 2):
            raise ValueError(f"{len(self.questions)} questions but {len(self.predictions)} predictions")


@dataclass(frozen=True)
class JudgeScores:
    """Result of a run.

    metrics     dimension -> mean score, 0 to 5, over the judged items; a dimension with none is absent
    judged      dimension -> number of items judged; asked: number of items there are
    failures    (dimension, index, reason) of every item that got no score: it is in no mean
    tokens_in, tokens_out   as the endpoint counts them, this run and the runs it resumes together
    cost        in the currency of the prices; None if no prices were given
    """

    metrics: dict[str, float]
    judged: dict[str, int]
    asked: dict[str, int]
    failures: tuple[tuple[str, int, str], ...]
    tokens_in: int
    tokens_out: int
    cost: float | None

    def cost_line(self) -> str:
        """One line: judgements, tokens, and money where prices are known."""
        money = "price unknown" if self.cost is None else f"cost {self.cost:.4f}"
        done = f"{sum(self.judged.values())} of {sum(self.asked.values())} judged"
        return f"{done}, {self.tokens_in} tokens in, {self.tokens_out} tokens out, {money}"


def judge(
    items: Mapping[str, Sequence[JudgeItem]],
    endpoint: Endpoint,
    log: Path,
    *,
    workers: int = 4,
    progress: Callable[[int, int], None] | None = None,
) -> JudgeScores:
    """Judge every item of every dimension; ``items`` is by dimension.

    ``log`` is JSON lines, one a judgement, keyed by dimension and index; an item already logged with the
    same prompt and judge is not asked again. ``workers`` requests are under way at once; ``progress`` is
    called with (done, all).
    Raises InputError for an unknown dimension or an endpoint that refuses the caller.
    """
    work = {
        (_known(dimension), index): messages_of(dimension, item)
        for dimension, listed in items.items()
        for index, item in enumerate(listed)
    }
    state = _State(log, {key: _fingerprint(endpoint, messages) for key, messages in work.items()})
    waiting = [key for key in work if key not in state.scores]
    done = len(work) - len(waiting)
    with ThreadPoolExecutor(max_workers=workers) as pool:
        asked = {pool.submit(_judge_one, endpoint, work[key]): key for key in waiting}
        try:
            for future in as_completed(asked):
                state.add(asked[future], *future.result())
                done += 1
                if progress is not None:
                    progress(done, len(work))
        except BaseException:  # an interrupt too: what waits is not sent
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return state.result({dimension: len(listed) for dimension, listed in items.items()}, endpoint)


def messages_of(dimension: str, item: JudgeItem) -> list[dict[str, str]]:
    """The chat messages that ask for one judgement."""
    lines = ["Grade this."]
    several = len(item.questions) > 1
    for i, question in enumerate(item.questions, 1):
        lines.append(f"Question{f' {i}' if several else ''}: {question.strip()}")
    lines.append(f"Correct answer: {item.reference.strip()}")
    for i, prediction in enumerate(item.predictions, 1):
        lines.append(f"Answer{f' to question {i}' if several else ''} to grade: {prediction.strip()}")
    return [
        {"role": "system", "content": _SYSTEM.format(look_at=DIMENSIONS[_known(dimension)])},
        {"role": "user", "content": "\n".join(lines)},
    ]


def parse_score(reply: str) -> float | None:
    """The score in a judge's reply, or None if there is none from 0 to 5.

    What the judge thinks aloud (``<think>``) is cut off. Then the last JSON object with a score decides, with either
    kind of quotes; without one a bare number, or the last "score: n" of the text. A fractional score is kept (the
    original scorer cuts 4.8 to 4); one of another scale, such as 4/10, is none.
    """
    text = re.sub(r"<think>.*?(?:</think>|$)", " ", reply, flags=re.IGNORECASE | re.DOTALL)
    score = next((found for said in _said_in_objects(text) if (found := _score_in(said)) is not None), None)
    if score is None:
        bare = _BARE.fullmatch(text)
        score = _number(bare[1]) if bare else _last_said(re.sub(r"\{[^{}]*\}", " ", text))
    return score if score is not None and LOWEST <= score <= HIGHEST else None


_NUMBER = r"(-?\d+(?:[.,]\d+)?)"
_OF_FIVE = r"(?:\s*(?:/|out of)\s*5(?:\.0)?)?"
_BARE = re.compile(rf"[\s*_]*{_NUMBER}{_OF_FIVE}[\s*_.]*", re.IGNORECASE)
_SAID = re.compile(
    # with the marks of JSON and Markdown; "4/10" is another scale, "0 to 5" a range
    rf"""\bscore["'*_`]{{0,4}}\s*(?:[:=\uff1a]|is\b|of\b)[\s"'*_`]{{0,6}}{_NUMBER}"""
    r"(?![.,]?\d|\s*(?:/|out of)\s*(?!5\b)\d|\s*(?:to|-|\u2013)\s*\d)",
    re.IGNORECASE,
)
_DECODER = json.JSONDecoder()
_NOT_READ = (ValueError, TypeError, SyntaxError, RecursionError, MemoryError)


def _said_in_objects(text: str) -> Iterator[Any]:
    """The objects of a text, the last first; where JSON finds none, Python's reading of the braces."""
    found, place = [], 0
    while (place := text.find("{", place)) >= 0:
        try:
            value, place = _DECODER.raw_decode(text, place)
            found.append(value)
        except (ValueError, RecursionError):
            place += 1
    yield from reversed(found)
    # braces that hold no other braces, and are perhaps not objects after all, such as {""score"": 4}
    for braced in (text[text.find("{") : text.rfind("}") + 1], *reversed(re.findall(r"\{[^{}]*\}", text))):
        for parse in (json.loads, ast.literal_eval):
            try:
                yield parse(braced)
                break
            except _NOT_READ:
                continue
        else:
            yield braced if braced.count("{") == 1 else None


def _score_in(value: Any) -> float | None:
    """The number under "score" of an object, or of an object in it; None where it has none. A text says it itself."""
    if isinstance(value, str):
        return _last_said(value)
    if not isinstance(value, dict):
        return None
    own = {str(key).lower(): item for key, item in value.items()}.get("score")
    if own is not None:
        return _number(own)
    return next(
        (
            found
            for item in value.values()
            if isinstance(item, dict) and (found := _score_in(item)) is not None
        ),
        None,
    )


def _number(value: Any) -> float | None:
    """A number, or a text that says one: "4", "4,5", "4/5", "4 out of 5"."""
    if isinstance(value, str):
        said = _BARE.fullmatch(value)
        return float(said[1].replace(",", ".")) if said else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if abs(value) <= HIGHEST else math.inf


def _last_said(text: str) -> float | None:
    said = _SAID.findall(text)
    return _number(said[-1]) if said else None


def _known(dimension: str) -> str:
    if dimension not in DIMENSIONS:
        raise InputError(f"unknown dimension {dimension!r}: choose among {', '.join(DIMENSIONS)}")
    return dimension


def _fingerprint(endpoint: Endpoint, messages: Sequence[Mapping[str, str]]) -> str:
    """Changes with the item, the prompt and the judge; an old score under another key does not count."""
    return hashlib.sha256(json.dumps([endpoint.model, list(messages)]).encode()).hexdigest()[:16]


def _judge_one(endpoint: Endpoint, messages: list[dict[str, str]]) -> tuple[float | None, ChatReply, str]:
    """(score, what it cost, reason if there is no score); a reply without a score is asked again."""
    total = ChatReply("", 0, 0)
    left = endpoint.attempts
    while left > 0:
        try:
            reply = ask(endpoint, messages, left)
        except Refused as refusal:
            return None, total, str(refusal)
        left -= reply.attempts
        total = ChatReply(reply.text, total.tokens_in + reply.tokens_in, total.tokens_out + reply.tokens_out)
        score = parse_score(reply.text)
        if score is not None:
            return score, total, ""
        # at temperature 0 the same question gets the same reply: the next one says what was wrong
        said = [{"role": "assistant", "content": reply.text}, {"role": "user", "content": _REMINDER}]
        messages = [*messages[:2], *said]
    return None, total, f"no score in {endpoint.attempts} replies, the last {total.text[:60]!r}"


@dataclass
class _State:
    """Scores so far, and the log they are appended to."""

    log: Path
    fingerprints: dict[tuple[str, int], str]
    scores: dict[tuple[str, int], float] = field(default_factory=dict)
    failures: list[tuple[str, int, str]] = field(default_factory=list)
    tokens_in: int = 0
    tokens_out: int = 0

    def __post_init__(self) -> None:
        for line in files.whole_lines(self.log):
            try:
                row: dict[str, Any] = files.loads(line)
                key = (str(row["dimension"]), int(row["index"]))
                current = self.fingerprints.get(key) == row["fingerprint"]
                tokens = int(row["tokens_in"]), int(row["tokens_out"])
                score = None if row["score"] is None else float(row["score"])
            except (ValueError, KeyError, TypeError, OverflowError):
                continue  # a line cut by a kill: its item is asked again
            if current:
                self.tokens_in += tokens[0]
                self.tokens_out += tokens[1]
                if score is not None:
                    self.scores[key] = score
        files.make_folder(self.log.parent)
        if self.log.exists() and self.log.read_bytes()[-1:] not in (b"", b"\n"):
            self._append("\n")

    def add(self, key: tuple[str, int], score: float | None, reply: ChatReply, reason: str) -> None:
        """Note one judgement; a failure is logged too, without a score, and asked again by the next run."""
        self.tokens_in += reply.tokens_in
        self.tokens_out += reply.tokens_out
        if score is None:
            self.failures.append((*key, reason))
        else:
            self.scores[key] = score
        row = {
            "dimension": key[0],
            "index": key[1],
            "score": score,
            "tokens_in": reply.tokens_in,
            "tokens_out": reply.tokens_out,
            "fingerprint": self.fingerprints[key],
        }
        self._append(json.dumps({**row, "reason": reason} if reason else row) + "\n")

    def _append(self, text: str) -> None:
        files.append_lines(self.log, text)

    def result(self, asked: dict[str, int], endpoint: Endpoint) -> JudgeScores:
        by_dimension = {d: [s for (name, _), s in self.scores.items() if name == d] for d in asked}
        prices = endpoint.price_in, endpoint.price_out
        cost = None
        if prices[0] is not None and prices[1] is not None:
            cost = (self.tokens_in * prices[0] + self.tokens_out * prices[1]) / 1e6
        return JudgeScores(
            {d: fmean(scores) for d, scores in by_dimension.items() if scores},
            {d: len(scores) for d, scores in by_dimension.items()},
            asked,
            tuple(sorted(self.failures)),
            self.tokens_in,
            self.tokens_out,
            cost,
        )
