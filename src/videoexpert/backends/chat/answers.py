"""A chat model's answer -> moments, by one strict order of rules, and which rule read it.

1. ``<think>`` is cut, of ``<answer>`` the content is kept.
2. JSON, fenced or bare: ``pairs`` are lists of [start, end], ``json`` are objects; times may be strings.
3. ``mm:ss``: pairs of [HH:]MM:SS[.ff].
4. ``range``: a - b, a to b, "starts at a ... ends at b", "from a until the end".
5. ``tags``: <t>a</t><t>b</t>.
6. ``numbers``: the first two numbers, whatever words are between them; lengths ("for 2 seconds") and counts
   ("2 men") are none, and of two numbers either both bear a unit or neither does.

Then reversed ends are swapped, times clamped to the video, empty moments dropped, touching ones merged. An
explicitly empty list is ``empty``: the model says that there is nothing. ``outside`` and ``failed`` are failures:
they give no moments and are counted; a failure never becomes the whole video, and neither does a refusal that names
it ("not between 0 and 30 s").
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from . import literals

PARSER = "strict-3"  # written to result files; changes whenever the same answer would be read differently
FAILURES = frozenset({"failed", "outside"})
LONGEST = 50_000  # characters looked at; a server may send anything

_STARTS = ("start", "start_time", "starttime", "start_s", "start_sec", "begin", "from", "start_timestamp")
_ENDS = ("end", "end_time", "endtime", "end_s", "end_sec", "stop", "to", "until", "end_timestamp")
_TEXTS = ("description", "caption", "event", "text", "sentence", "label", "action", "content", "summary")
_DECODER = json.JSONDecoder(parse_int=float)  # int() refuses thousands of digits, float() makes them infinite
_OPENING = re.compile(r"[\[{](?:\s*[\[{])*")
_FENCE = re.compile(r"```[a-zA-Z]*\s*\n?(.*?)```", re.DOTALL)
_START_WORD = re.compile(r"\b(?:start|begin|commenc|from)\w*\b.{0,60}$", re.IGNORECASE | re.DOTALL)
_END_WORD = re.compile(r"\b(?:end|finish|stop|conclud|until|to)\w*\b.{0,60}$", re.IGNORECASE | re.DOTALL)
_REFUSAL = re.compile(
    r"\b(?:does|do|did|is|are|was|were|can|could)(?:\s+not|n['’]t)\b"
    r"|\b(?:cannot|unable to|there (?:is|are|was|were) no|no such|never|nowhere)\b",
    re.IGNORECASE,
)
_OF_VIDEO = r"(?:\s+of\s+the\s+(?:video|clip|footage))?"
_TO_THE_END = re.compile(
    rf"[^.;\n\d]{{0,30}}\b(?:until|till|to|through)\s+the\s+(?:very\s+)?end{_OF_VIDEO}\s*(?:[.,;)*]|$)",
    re.IGNORECASE,
)
_FROM_THE_START = re.compile(
    rf"\bfrom\s+the\s+(?:very\s+)?(?:beginning|start){_OF_VIDEO}\s+(?:until|till|to|through)\s+"
    r"(?:about\s+|around\s+)?[\"'*`(<]*$",
    re.IGNORECASE,
)
_PROSE = frozenset({"mm:ss", "range", "numbers"})
_WHOLE = 0.95  # of the video: a span that long is the video
_CHOICE = re.compile(
    r"(?:(?:the )?(?:best |correct )?(?:answer|option|choice)(?: is)?[\s:]*)?[\s(\[\"'*]*([A-Z])(?![\w'])",
    re.IGNORECASE,
)
# keys of places in the picture, of counted frames, and of scores: no times
_NO_TIMES = re.compile(r"^(?:bbox|box|point|coord|score|confidence|prob)|(?<!time)(?<!time_)frame")
_LAST_COMMA = re.compile(r",(\s*[\]}])")
_DECIMAL_COMMA = re.compile(r"(\d+),(\d{1,3})")
_SEPARATORS = " \t\"'*`:,–—-"
_DECORATION = " \t\"'*`"


@dataclass(frozen=True)
class Span:
    """One moment as read: seconds, start < end, inside the video; ``text`` for captions."""

    start: float
    end: float
    text: str | None = None


@dataclass(frozen=True)
class Reading:
    """What an answer says, and ``how`` it was read: the rule's name, "empty", "outside" or "failed"."""

    spans: tuple[Span, ...]
    how: str

    @property
    def failed(self) -> bool:
        """True where no moment could be read although the answer does not say that there is none."""
        return self.how in FAILURES


def read_moments(answer: str, duration: float) -> Reading:
    """Moments inside ``[0, duration]``, ordered by time; touching ones are merged. Never raises."""
    text = spoken(answer)
    raw, how = _read(text)
    spans = merge(tidy(raw, duration))
    if how in _PROSE and spans and _REFUSAL.search(text):
        spans = [span for span in spans if span.end - span.start < _WHOLE * duration]
        how = how if spans else "failed"
    return _finish(spans, raw if how != "failed" else (), how)


def read_captions(answer: str, duration: float) -> Reading:
    """Moments with their sentences, ordered by time; none are merged. Never raises."""
    text = spoken(answer)
    raw = [span for span in _json_spans(text)[0] if span.text]
    how = "json"
    if not raw:
        raw, how = _caption_lines(text)
    spans = tidy(raw, duration)
    return _finish(spans, raw, how if raw or how == "empty" else "failed")


def read_choice(answer: str, choices: Sequence[str]) -> int | None:
    """The choice that an answer names: by its letter, or by its text where it names one alone."""
    text = spoken(answer).strip()
    match = _CHOICE.match(text)
    # "a man runs" begins with an article, not with choice A
    if match and (match[1].isupper() or len(text) <= 3):
        index = ord(match[1].upper()) - ord("A")
        if index < len(choices):
            return index
    named = [i for i, choice in enumerate(choices) if choice.strip().lower().rstrip(".") in text.lower()]
    return named[0] if len(named) == 1 else None


def spoken(answer: str) -> str:
    """The answer without its thoughts: what follows ``</think>``, the content of ``<answer>``."""
    text = answer[:LONGEST]
    lower = text.lower()
    # a chat template may have opened the thought in the prompt: then the answer holds only its end
    closed = lower.rfind("</think>")
    if closed >= 0:
        text = text[closed + len("</think>") :]
    elif "<think>" in lower:
        text = text[: lower.index("<think>")]  # cut short while it was thinking
    found = re.findall(r"<answer>(.*?)(?:</answer>|$)", text, re.DOTALL | re.IGNORECASE)
    return found[-1] if found else text


def tidy(spans: Sequence[Span], duration: float) -> list[Span]:
    """Swapped if reversed, clamped to ``[0, duration]``, without empty ones, ordered by time."""
    kept = []
    for span in spans:
        low, high = sorted((span.start, span.end))
        low, high = max(0.0, low), min(duration, high)
        if low < high:
            kept.append(Span(low, high, span.text))
    return sorted(kept, key=lambda span: (span.start, span.end))


def merge(spans: Sequence[Span]) -> list[Span]:
    """Touching and overlapping spans as one. ``spans`` are ordered by time and have no text."""
    merged: list[Span] = []
    for span in spans:
        if merged and span.start <= merged[-1].end:
            merged[-1] = Span(merged[-1].start, max(merged[-1].end, span.end))
        else:
            merged.append(Span(span.start, span.end))
    return merged


def _finish(spans: Sequence[Span], raw: Sequence[Span], how: str) -> Reading:
    return Reading(tuple(spans), "outside" if raw and not spans else how)


def _read(text: str) -> tuple[list[Span], str]:
    """Spans as written, and the rule that found them."""
    spans, json_how = _json_spans(text)
    if spans or json_how == "empty":
        return spans, json_how
    return _read_prose(text, json_how)


def _read_prose(text: str, json_how: str) -> tuple[list[Span], str]:
    times = literals.find(text)
    clocks = [time for time in times if time.clock]
    if not clocks and (pairs := literals.bracketed(text, times)):
        return _spans(pairs), "pairs"
    pairs = literals.joined(text, clocks, comma=True) or _start_and_end(text, clocks)
    pairs = pairs or literals.in_rows(text, clocks) or _first_two(literals.points(text, clocks))
    if pairs:
        return _spans(pairs), "mm:ss"
    pairs = literals.joined(text, times) or literals.in_rows(text, times) or _worded(text, times)
    if pairs:
        return _spans(pairs), "range"
    if half := _half_open(text, literals.points(text, times)):
        return half, "range"
    tagged = [
        time
        for match in re.finditer(r"<t>([^<]{0,40})</t>", text, re.IGNORECASE)
        for time in literals.find(match[1])[:1]
    ]
    if len(tagged) > 1:
        return _spans(list(zip(tagged[::2], tagged[1::2], strict=False))), "tags"
    # numbers of an object that names no times are something else: boxes, counts, scores
    if json_how != "object" and (pairs := _first_two(literals.points(text, times))):
        return _spans(pairs), "numbers"
    return [], "failed"


Pairs = list[tuple[literals.Literal, literals.Literal]]


def _first_two(times: Sequence[literals.Literal]) -> Pairs:
    return [(times[0], times[1])] if len(times) > 1 else []


def _worded(text: str, times: Sequence[literals.Literal]) -> Pairs:
    """Pairs by words of beginning and ending; measured times before bare numbers."""
    said = [time for time in literals.placed(text, times) if literals.stands_as_time(text, time)]
    return _start_and_end(text, [time for time in said if time.unit is not None]) or _start_and_end(
        text, said
    )


def _half_open(text: str, times: Sequence[literals.Literal]) -> list[Span]:
    """ "from 5 s until the end", "from the beginning to 7 s": one time; the video's own end settles the other."""
    if len(times) != 1:
        return []
    (time,) = times
    if _TO_THE_END.match(text, time.end):
        return [Span(time.seconds, math.inf)]
    before = text[max(0, time.start - 2 * literals.LONGEST_BETWEEN) : time.start]
    return [Span(0.0, time.seconds)] if _FROM_THE_START.search(before) else []


def _spans(pairs: Sequence[tuple[literals.Literal, literals.Literal]]) -> list[Span]:
    return [Span(a.seconds, b.seconds) for a, b in pairs]


def _start_and_end(text: str, times: Sequence[literals.Literal]) -> Pairs:
    """ "starts at 3.2 s and ends at 7": times behind a word of beginning, then behind one of ending."""
    pairs = []
    begun: literals.Literal | None = None
    last = 0
    for time in times:
        before = text[last : time.start]
        last = time.end
        if begun is not None and _END_WORD.search(before):
            pairs.append((begun, time))
            begun = None
        elif _START_WORD.search(before):
            begun = time
    return pairs


def _json_spans(text: str) -> tuple[list[Span], str]:
    """Spans of all JSON values of the text; without any: "empty", "object" (one without times) or "none"."""
    other = "none"
    text = _LAST_COMMA.sub(r"\1", text)  # as Python writes lists
    for block in (*reversed(_FENCE.findall(text)), text):
        spans: list[Span] = []
        how, empty = "pairs", False
        for value in _json_values(block):
            found, is_object = _from_json(value)
            spans += found
            how = "json" if is_object and found else how
            empty = empty or _says_nothing(value)
            other = "object" if isinstance(value, dict) else other
        if spans:
            return spans, how
        if empty:
            return [], "empty"
    return [], other


def _json_values(text: str) -> Iterator[Any]:
    """Each list and object of the text in order; of one that is cut short, the whole ones inside."""
    place = 0
    while True:
        opening = _OPENING.search(text, place)
        if opening is None:
            return
        try:
            value, place = _DECODER.raw_decode(text, opening.start())
        except ValueError:
            place = opening.start() + 1
        except RecursionError:
            # no sane answer nests so deep: the whole run of brackets is skipped instead of trying each of them
            place = opening.end()
        else:
            yield value


def _from_json(value: Any) -> tuple[list[Span], bool]:
    """Spans of a parsed value, and whether they came from an object."""
    if isinstance(value, dict):
        return _from_object(value), True
    if not isinstance(value, list):
        return [], False
    flat = [time for item in value if (time := _time(item)) is not None]
    if len(flat) == len(value) and (len(value) == 2 or (len(value) % 2 == 0 and flat == sorted(flat))):
        return [Span(a, b) for a, b in zip(flat[::2], flat[1::2], strict=True)], False
    if len(value) == len(flat) == 3 and flat[0] < flat[1] and 0 <= flat[2] <= 1:
        return [Span(flat[0], flat[1])], False  # with a score
    if len(value) == 3 and len(flat) == 2 and isinstance(value[2], str) and _time(value[2]) is None:
        return [Span(flat[0], flat[1], value[2].strip())], False
    found = [
        _from_json(item) if isinstance(item, (list, dict)) else (_from_text(item), True) for item in value
    ]
    return [span for spans, _ in found for span in spans], any(is_object for _, is_object in found)


def _from_object(value: dict[str, Any]) -> list[Span]:
    keys = {key.lower().replace(" ", "_"): item for key, item in value.items()}
    text = next((str(keys[key]).strip() for key in _TEXTS if isinstance(keys.get(key), str)), None)
    start = next((t for key in _STARTS if (t := _time(keys.get(key))) is not None), None)
    end = next((t for key in _ENDS if (t := _time(keys.get(key))) is not None), None)
    if start is not None and end is None and (length := _time(keys.get("duration"))) is not None:
        end = start + length
    if start is not None and end is not None:
        return [Span(start, end, text)]
    found = []
    for key, item in keys.items():
        if _NO_TIMES.search(key):
            continue
        if isinstance(item, str) and (told := _from_text(key.replace("_", " "))):
            found += [Span(span.start, span.end, item.strip()) for span in told]
            continue
        inner = _from_json(item)[0] if isinstance(item, (list, dict)) else []
        inner = inner or (_from_text(item) if key not in _TEXTS else [])
        found += [Span(span.start, span.end, span.text or text) for span in inner]
    return found


def _from_text(value: Any) -> list[Span]:
    """A moment written as one string: "00:05 - 00:09"."""
    if not isinstance(value, str):
        return []
    return _spans(literals.joined(value, literals.find(value), comma=True))


def _time(value: Any) -> float | None:
    """Seconds of a JSON value: a number, or a string that is one time and nothing else."""
    if isinstance(value, float):  # whole numbers too: the decoder reads them as floats
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        stripped = value.strip(" \t\n<>[]().")
        if alone := _DECIMAL_COMMA.fullmatch(stripped):
            return float(f"{alone[1]}.{alone[2]}")
        times = literals.find(stripped)
        if len(times) == 1 and times[0].start == 0 and times[0].end == len(stripped):
            return times[0].seconds
    return None


def _says_nothing(value: Any) -> bool:
    """True for ``[]``, and for an object whose lists are empty."""
    if isinstance(value, list):
        return not value or all(_says_nothing(item) for item in value)
    return isinstance(value, dict) and any(item == [] for item in value.values())


def _caption_lines(text: str) -> tuple[list[Span], str]:
    """Lines that name a moment and say something: "0.0 - 3.5: A man runs.", in any of the rules' forms."""
    if _json_spans(text)[1] == "empty":
        return [], "empty"
    spans: list[Span] = []
    how = "failed"
    for line in text.splitlines():
        times = literals.find(line)
        clocks = [time for time in times if time.clock]
        pairs = literals.joined(line, clocks, comma=True) or literals.joined(line, times, comma=True)
        if not pairs:
            continue
        (a, b), said = pairs[0], _without(line, pairs[0])
        if said:
            spans.append(Span(a.seconds, b.seconds, said))
            how = "mm:ss" if a.clock else "range"
    return spans, how


def _without(line: str, pair: tuple[literals.Literal, literals.Literal]) -> str:
    """What a line says beside its moment; list marks, brackets and separators around it go too."""
    before, after = line[: pair[0].start], line[pair[1].end :]
    before = re.sub(r"^\s*(?:[-*•]|\d+[.)])\s*", "", before).rstrip(_SEPARATORS + "[({<")
    before = re.sub(r"\b(?:from|at|between)$", "", before, flags=re.IGNORECASE).rstrip(_SEPARATORS)
    after = after.lstrip(_SEPARATORS + "])}>.")
    return " ".join(f"{before} {after}".split()).strip(_DECORATION)
