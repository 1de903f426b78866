"""What commands print: tables for people, JSON for programs, and progress on stderr."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from threading import Timer
from typing import TYPE_CHECKING, Any

from ..escapes import printable
from ..export.text import clock
from ..types import Answer, Captions, Evidence, Highlights, Moment, Moments, Told, worth_showing

if TYPE_CHECKING:
    from rich.progress import Progress

    from ..export import Answers

PATIENCE_S = 2.0  # work that is done sooner shows no bar


class Format(str, Enum):
    """How a report is printed."""

    table = "table"
    json = "json"


# --- tables; ``end`` is the last second on the video's clock, which decides how times are written ---


def say(text: str = "") -> None:
    """One line on stdout; control characters and what is no text, in a file's name say, are escaped."""
    print(printable(text))


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[int] = ()) -> None:
    """A table on stdout; columns are aligned to the right but for those in ``left``, and need no names."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    made = Table(box=None, padding=(0, 0, 0, 3), header_style="dim", show_header=any(columns))
    for number, name in enumerate(columns):
        place = "left" if number in left else "right"
        made.add_column(name, justify=place, no_wrap=number not in left, overflow="fold")  # type: ignore[arg-type]
    for row in rows:
        made.add_row(*(Text(printable(cell)) for cell in row))
    Console(highlight=False).print(made)


def show_moments(moments: Sequence[Moment], end: float, told: Told | None = None) -> None:
    """Ranked moments, those that come near the best one; without scores where ``told`` says that there are none."""
    rows = [
        (str(rank), clock(m.start, end), clock(m.end, end), f"{m.score:.2f}")
        for rank, m in enumerate(worth_showing(moments), 1)
    ]
    shown = 3 if told is not None and told.score == "none" else 4
    table(("", "start", "end", "score")[:shown], [row[:shown] for row in rows])


def ignorance(moments: Sequence[Moment], end: float) -> str:
    """What is said of a query on a video unlike all that the model was trained on."""
    said = "the model cannot tell: it was never shown videos like this one"
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


def show_answers(item: Answers) -> None:
    """A line about the video, and what was found in it."""
    end, found = item.end, item.found
    part = f" from {clock(item.start, end)} on" if item.start else ""
    say(f"{item.video}: {clock(item.duration, end)}{part}, model {item.model}")
    if isinstance(found, Highlights):
        show_highlights(found, end)
    elif isinstance(found, Captions):
        show_captions(found, end)
    elif isinstance(found, Answer):
        show_answer(found, end)
    else:
        show_grounding(found, end, item.evidence)
    say()


def show_grounding(found: Sequence[Moments], end: float, evidence: Sequence[Evidence] = ()) -> None:
    """Each query with its moments, or the word that it is absent; below it what ``evidence`` says, if given."""
    for number, moments in enumerate(found):
        say(f'"{moments.query}"')
        if not moments.familiar:
            say(f"   {ignorance(moments, end)}")
        elif moments.absent:
            say(f"   {absence(moments.presence, moments, end)}")
        elif unread(moments.told, moments):
            say(f"   {unread(moments.told, moments)}")
        else:
            show_moments(moments, end, moments.told)
        if evidence:
            say(f"   evidence: {reliance(evidence[number], end)}")


def show_highlights(found: Highlights, end: float) -> None:
    """The best moments, and as many of the best clips."""
    say(f'"{found.query}"')
    if not found.familiar:
        say(f"   {ignorance(found.moments, end)}")
        return
    if found.absent:
        say(f"   {absence(found.presence, found.moments, end)}")
        return
    if unread(found.told, found.moments):
        say(f"   {unread(found.told, found.moments)}")
        return
    show_moments(found.moments, end, found.told)
    say(f"best clips of {found.clip_s:g} s")
    best = sorted(range(len(found.times)), key=lambda i: -found.scores[i])[: len(found.moments)]
    clips = [(found.times[i], min(found.times[i] + found.clip_s, end), found.scores[i]) for i in best]
    rows = [(clock(first, end), clock(last, end), f"{score:.2f}") for first, last, score in clips]
    table(("start", "end", "saliency"), rows)


def show_captions(captions: Sequence[Moment], end: float) -> None:
    """Sentences in the order in which they are told."""
    if not captions:
        said = unread(getattr(captions, "told", None), captions)
        say(f"   {said or 'the model describes no event'}")
        return
    rows = [(clock(m.start, end), clock(m.end, end), f"{m.score:.2f}", m.text or "") for m in captions]
    table(("start", "end", "score", "event"), rows, left=(3,))


def show_answer(answer: Answer, end: float) -> None:
    """The answer, how the choices compare, and the moments that prove it."""
    say(f'"{answer.question}"')
    say(f"   {answer.text or 'no answer'}")
    if answer.choices:
        marks = ["<--" if i == answer.choice else "" for i in range(len(answer.choices))]
        scores = [f"{score:.2f}" for score in answer.choice_scores] or [""] * len(answer.choices)
        rows = list(zip(answer.choices, scores, marks, strict=True))
        table(("choice", "score", ""), rows, left=(0, 2))
    if answer.moments:
        say("seen at")
        show_moments(answer.moments, end, answer.told)
    elif said := unread(answer.told, answer.moments):
        say(f"   where it is seen: {said}")


# --- JSON ---


def print_json(document: Any) -> None:
    """One document on stdout."""
    print(json.dumps(document, indent=2, ensure_ascii=False))


# --- stderr ---


def complain(text: str) -> None:
    """One line on stderr, escaped as on stdout."""
    print(printable(text), file=sys.stderr)


@contextmanager
def plain_warnings() -> Iterator[None]:
    """What videos and models warn of is told in one line on stderr; other libraries' warnings stay as they are."""
    from ..errors import ModelWarning
    from ..session import VideoWarning

    ours = (VideoWarning, ModelWarning)

    with warnings.catch_warnings():
        usual = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *rest: Any) -> None:
            if issubclass(category, ours):
                complain(f"Warning: {message}")
            else:
                usual(message, category, *rest)

        for kind in ours:
            warnings.simplefilter("always", kind)
        warnings.showwarning = show  # type: ignore[assignment]
        yield


class Waiting:
    """A bar on stderr: only on a terminal, and only once the work has lasted two seconds.

    ``total`` steps, or None where their number is unknown; ``counted`` where ``reach`` will tell it.
    """

    def __init__(self, what: str, total: int | None = None, *, counted: bool = False) -> None:
        self._bar: Progress | None = None
        self._timer: Timer | None = None
        if not sys.stderr.isatty():
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = [TextColumn("{task.description}"), BarColumn()]
        if total is not None or counted:
            columns += [MofNCompleteColumn(), TimeRemainingColumn()]
        # stdout is not the bar's: it may be a pipe
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False)
        self._task = self._bar.add_task(what, total=total)
        self._timer = Timer(PATIENCE_S, self._bar.start)
        self._timer.daemon = True

    def __enter__(self) -> Waiting:
        if self._timer is not None:
            self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None and self._bar is not None:
            self._timer.cancel()
            self._timer.join()
            if self._bar.live.is_started:
                self._bar.stop()

    def advance(self, steps: int = 1) -> None:
        """That many steps are done."""
        if self._bar is not None:
            self._bar.advance(self._task, steps)

    def reach(self, done: int, total: int) -> None:
        """``done`` of ``total`` steps are done."""
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=total)

    def say(self, what: str) -> None:
        """What the bar says beside it."""
        if self._bar is not None:
            self._bar.update(self._task, description=what)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """The bar is off the screen while something else is printed."""
        shown = self._bar is not None and self._bar.live.is_started
        if shown and self._bar is not None:
            self._bar.stop()
        yield
        if shown and self._bar is not None:
            self._bar.start()
