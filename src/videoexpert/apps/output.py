"""Answers as commands print them for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..export.text import clock, not_understood
from ..types import Answer, Captions, Evidence, Highlights, Moment, Moments, Told, Verified, worth_showing
from .terminal import ABSENT, HEADING, say, table

if TYPE_CHECKING:
    from ..export import Answers

FAINTEST = 0.05  # a best moment below this score is no evidence


# --- tables; ``end`` is the last second on the video's clock, which decides how times are written ---


@dataclass(frozen=True)
class Listing:
    """What was asked to be shown of ranked moments.

    top_k      how many, where the caller said so; None: those that come near the best one
    min_score  the least score, where the caller said so
    hints      whether to say how more are shown
    """

    top_k: int | None = None
    min_score: float = 0.0
    hints: bool = True


DEFAULT = Listing()


def show_moments(
    moments: Sequence[Moment], end: float, told: Told | None = None, shown: Listing = DEFAULT
) -> None:
    """Ranked moments: as many as were asked for, or those that come near the best one.

    Without scores if ``told`` says that there are none.
    """
    if not moments:
        least = f" with a score of {shown.min_score:g} or more" if shown.min_score else ""
        say(f"   no moment{least}", ABSENT)
        return
    near = worth_showing(moments) if shown.top_k is None else moments
    rows = [
        (str(rank), clock(m.start, end), clock(m.end, end), f"{m.score:.2f}")
        for rank, m in enumerate(near, 1)
    ]
    width = 3 if told is not None and told.score == "none" else 4
    table(("", "start", "end", "score")[:width], [row[:width] for row in rows])
    if shown.top_k is not None and len(moments) < shown.top_k and not shown.min_score:
        say(f"   {shown.top_k} were asked for; the model names no other moment", "dim")


GUESSES = "guesses: the model was never shown videos like this one"


def ignorance(found: Moments | Highlights, moments: Sequence[Moment], end: float) -> str:
    """What is said of a query on a video, or in words, unlike all that the model was trained on."""
    said = not_understood(found.unknown_words)
    if not found.familiar:
        new = f"; {said}" if said else ""
        said = f"the model cannot tell: it was never shown videos like this one{new}"
    if not moments:
        return said
    return f"{said}; its guess is {clock(moments[0].start, end)} to {clock(moments[0].end, end)}"


def absence(presence: float, moments: Sequence[Moment], end: float) -> str:
    """What is said instead of moments when the event is not there."""
    said = f"not in this video (presence {presence:.2f})"
    if not moments:
        return said
    return f"{said}; best guess {clock(moments[0].start, end)} to {clock(moments[0].end, end)}"


def unread(told: Told | None, moments: Sequence[Moment]) -> str:
    """What is said instead of moments when a chat model's answer names none that could be read; else ''."""
    if told is None or moments or told.parsed == "empty":
        return ""
    plain = " ".join(told.text.split())
    said = f"{plain[:100]}..." if len(plain) > 100 else plain
    why = "names no time in the video" if told.parsed == "outside" else "names no moment that could be read"
    return f"the model's answer {why}: {said!r}"


def reliance(evidence: Evidence, end: float) -> str:
    """What would be answered without the video, in one sentence."""
    guess, presence = evidence.blank_moment, evidence.presence
    said = "the model would name no moment"
    if guess is not None:
        said = f"the best guess would be {clock(guess.start, end)} to {clock(guess.end, end)}"
    if evidence.shift_s is not None:
        said += f" (overlap {evidence.overlap:.2f}, shift {clock(evidence.shift_s, end)})"
    return f"without the video {said}, presence {evidence.blank_presence:.2f} instead of {presence:.2f}"


def looked(item: Answers) -> str:
    """How many frames were looked at, and how close together: ``, 64 frames (3.2 a second)``."""
    seen = item.looked_at
    if not seen:
        return ""
    windows, window = int(seen["windows"]), seen["window"]
    each = seen["frames"] / windows
    rate = f"{each:.0f} frames ({each / window:.2g} a second)"
    return f", {rate}" if windows == 1 else f", {windows} windows of {window:g} s, each {rate}"


def verification(found: Verified, end: float) -> str:
    """What a second model decided, and how much of the video it was shown for that."""
    read, of = (clock(seconds, end) for seconds in (found.read, found.duration))
    said = f"verified by {found.model}: {found.verdict} (probability {found.probability:.2f})"
    return (
        f"{said}; read {read} of {of}"
        if found.windows
        else f"not verified: nothing was proposed to {found.model}"
    )


def show_answers(item: Answers, shown: Listing = DEFAULT) -> None:
    """A line about the video, and what was found in it."""
    end, found = item.end, item.found
    part = f" from {clock(item.start, end)} on" if item.start else ""
    say(f"{item.video}: {clock(item.duration, end)}{part}{looked(item)}, model {item.model}", HEADING)
    if item.familiar is False and isinstance(found, (Captions, Answer)):
        say(f"   {GUESSES}", ABSENT)
    if isinstance(found, Highlights):
        show_highlights(found, end, shown)
    elif isinstance(found, Captions):
        show_captions(found, end)
    elif isinstance(found, Answer):
        show_answer(found, end)
    else:
        show_grounding(found, end, item.evidence, shown)
    say()


def show_grounding(
    found: Sequence[Moments], end: float, evidence: Sequence[Evidence] = (), shown: Listing = DEFAULT
) -> None:
    """Each query with its moments, or the word that it is absent; below it what ``evidence`` says, if given."""
    hidden = 0
    for number, moments in enumerate(found):
        say(f'"{moments.query}"')
        instead = _instead(moments, moments, end)
        if instead:
            say(f"   {instead}", ABSENT)
        else:
            show_moments(moments, end, moments.told, shown)
            _tell_unknown(moments)
            hidden += _left_out(moments, shown)
        if moments.verified is not None:
            say(f"   {verification(moments.verified, end)}")
        if evidence:
            say(f"   evidence: {reliance(evidence[number], end)}")
    _tell_left_out(hidden, shown)


def _tell_unknown(found: Moments | Highlights) -> None:
    """The unknown words of a query that is found without them."""
    if found.unknown_words:
        say(f"   {not_understood(found.unknown_words)}: this answers the rest", "dim")


def _left_out(moments: Sequence[Moment], shown: Listing) -> int:
    return 0 if shown.top_k is not None or not moments else len(moments) - len(worth_showing(moments))


def _tell_left_out(count: int, shown: Listing) -> None:
    if count and shown.hints:
        what = "moment" if count == 1 else "moments"
        say(f"{count} {what} below a tenth of the best score left out; --top-k 5 shows up to five", "dim")


def _instead(found: Moments | Highlights, moments: Sequence[Moment], end: float) -> str:
    """What is said in place of moments; '' where they are shown."""
    if found.cannot_tell:
        return ignorance(found, moments, end)
    if found.absent:
        return absence(found.presence, moments, end)
    return unread(found.told, moments)


def show_highlights(found: Highlights, end: float, shown: Listing = DEFAULT) -> None:
    """The best moments, and as many of the best clips."""
    say(f'"{found.query}"')
    if instead := _instead(found, found.moments, end):
        say(f"   {instead}", ABSENT)
        return
    show_moments(found.moments, end, found.told, shown)
    _tell_unknown(found)
    _tell_left_out(_left_out(found.moments, shown), shown)
    say(f"best clips of {found.clip_s:g} s")
    best = sorted(range(len(found.times)), key=lambda i: -found.scores[i])[: max(len(found.moments), 1)]
    clips = [(found.times[i], min(found.times[i] + found.clip_s, end), found.scores[i]) for i in best]
    rows = [(clock(first, end), clock(last, end), f"{score:.2f}") for first, last, score in clips]
    table(("start", "end", "saliency"), rows)


def show_captions(captions: Sequence[Moment], end: float) -> None:
    """Sentences in the order of time."""
    if not captions:
        said = unread(getattr(captions, "told", None), captions)
        say(f"   {said or 'the model describes no event'}", ABSENT)
        return
    rows = [(clock(m.start, end), clock(m.end, end), f"{m.score:.2f}", m.text or "") for m in captions]
    table(("start", "end", "score", "event"), rows, left=(3,))


def show_answer(answer: Answer, end: float) -> None:
    """The answer, how the choices compare, and the moments that prove it."""
    say(f'"{answer.question}"')
    if answer.unknown_words:
        say(f"   a guess: {not_understood(answer.unknown_words)}", ABSENT)
    if not answer.text:
        # moments of a question without an answer prove nothing
        said = unread(answer.told, answer.moments)
        say(f"   {said or 'the model gives no answer to this question'}", ABSENT)
        return
    say(f"   {answer.text}")
    if answer.choices:
        marks = ["<--" if i == answer.choice else "" for i in range(len(answer.choices))]
        scores = [f"{score:.2f}" for score in answer.choice_scores] or [""] * len(answer.choices)
        rows = list(zip(answer.choices, scores, marks, strict=True))
        table(("choice", "score", ""), rows, left=(0, 2))
    if answer.moments and answer.moments[0].score < FAINTEST:
        best = answer.moments[0]
        where = f"{clock(best.start, end)} to {clock(best.end, end)}, score {best.score:.2f}"
        say(f"   the model cannot say where this is seen (best guess {where})", ABSENT)
    elif answer.moments:
        say("seen at")
        show_moments(answer.moments, end, answer.told)
    elif said := unread(answer.told, answer.moments):
        say(f"   where it is seen: {said}", ABSENT)
