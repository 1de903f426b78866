"""Commands that ask the model about videos: ``ground``, ``highlight``, ``caption``, ``ask``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...errors import InputError, UnsupportedError, WriteError, sentence
from ...export import Answers, Failed
from ...export.answers import at_least
from ...types import Captions
from .. import options, output, terminal
from ..exporting import Exporter, Target, target
from ..inputs import (
    Inputs,
    as_window,
    check_clip,
    check_picture,
    model_options,
    picture_name,
    split_arguments,
    verifier,
)
from ..known import known, open_video
from ..output import Listing
from ..startup import lighten
from ..waiting import Waiting

if TYPE_CHECKING:
    from ...backends.base import Backend, OpenVideo
    from ...export.answers import Found
    from ...types import Evidence

TOP_K = 5  # moments a query by default
_VIDEOS = "Video files, or folders of them. Unreadable files are reported and skipped."
_QUERIES = f"{_VIDEOS} Then sentences, each in quotes."
_QUERY = f"{_VIDEOS} Then a sentence in quotes."
_QUESTION = f"{_VIDEOS} Then a question in quotes."

# what one command asks an open video, and the evidence of each query where that is asked for
Question = Callable[["OpenVideo"], tuple["Found", tuple["Evidence", ...]]]


@dataclass(frozen=True)
class Request:
    """One call of a command of this module, checked before anything heavy is loaded."""

    inputs: Inputs
    looking: options.Looking
    shown: Listing = output.DEFAULT
    verify: str | None = None
    verify_option: list[str] | None = None

    def __post_init__(self) -> None:
        looking = self.looking
        model_options(looking.model_option)
        verifier(self.verify, self.verify_option)
        as_window(looking.window)
        check_clip(looking.start, looking.end)
        check_picture(looking.plot)

    @cached_property
    def target(self) -> Target:
        """Where the answer goes. Raises InputError for options that do not fit together."""
        asked = self.looking
        return target(asked.format, asked.out, asked.rate, asked.start_timecode, self.inputs)


def ground(
    arguments: Annotated[list[str], typer.Argument(metavar="VIDEO... QUERY", help=_QUERIES)],
    *,
    queries: options.Queries = None,
    looking: options.Looking,
    top_k: options.TopK = None,
    min_score: options.MinScore = 0.0,
    verify: options.Verify = None,
    verify_option: options.VerifyOption = None,
    evidence: Annotated[
        bool, typer.Option("--evidence", help="Also report how much the answer changes without the video.")
    ] = False,
) -> None:
    """Find the moments of a video that a sentence describes, or say that it is not there."""
    inputs = split_arguments(arguments, "query", many=True, recursive=looking.recursive, listed=queries)
    asked = list(inputs.texts)

    def question(video: OpenVideo) -> tuple[Found, tuple[Evidence, ...]]:
        found = tuple(video.ground(asked, top_k or TOP_K))
        return found, _evidence(video, asked) if evidence else ()

    _run(Request(inputs, looking, Listing(top_k, min_score), verify, verify_option), question)


def highlight(
    arguments: Annotated[list[str], typer.Argument(metavar="VIDEO... QUERY", help=_QUERY)],
    *,
    looking: options.Looking,
    top_k: options.TopK = None,
    min_score: options.MinScore = 0.0,
) -> None:
    """Rate every two-second clip of a video by how well it shows what a sentence describes."""
    inputs = split_arguments(arguments, "query", recursive=looking.recursive)
    _run(
        Request(inputs, looking, Listing(top_k, min_score)),
        lambda video: (video.highlights(inputs.texts[0], top_k or TOP_K), ()),
    )


def caption(
    arguments: Annotated[list[str], typer.Argument(metavar="VIDEO", help=_VIDEOS)],
    *,
    looking: options.Looking,
) -> None:
    """Describe the events of a video, each with its time."""
    inputs = split_arguments(arguments, recursive=looking.recursive)
    _run(Request(inputs, looking), lambda video: (_captions(video), ()))


def ask(
    arguments: Annotated[list[str], typer.Argument(metavar="VIDEO... QUESTION", help=_QUESTION)],
    *,
    choice: Annotated[
        list[str] | None, typer.Option(help="An answer to choose from; give it at least twice.")
    ] = None,
    looking: options.Looking,
) -> None:
    """Answer a question about a video, with the moments that prove it."""
    inputs = split_arguments(arguments, "question", recursive=looking.recursive)
    choices = list(choice or ())
    if len(choices) == 1 or any(not c.strip() for c in choices):
        raise InputError(
            f"--choice was given as {', '.join(map(repr, choices))}, expected at least two, none empty: "
            "repeat --choice, or leave it out for an open question."
        )
    _run(Request(inputs, looking), lambda video: (video.ask(inputs.texts[0], choices or None), ()))


def _captions(video: OpenVideo) -> Captions:
    found = video.caption()
    return found if isinstance(found, Captions) else Captions(found)


def _evidence(video: OpenVideo, queries: list[str]) -> tuple[Evidence, ...]:
    """What a backend says of its evidence. Raises UnsupportedError for one that has no way to."""
    ask_for_it = getattr(video, "evidence", None)
    if ask_for_it is None:
        raise UnsupportedError("this model cannot answer without its video: leave --evidence out.")
    return tuple(ask_for_it(queries))


def _run(request: Request, question: Question) -> None:
    """Each video in turn. A video without an answer is reported on stderr; with several videos, the rest still run.

    Raises the error itself for a single video; exits with 1 if any of several failed.
    """
    several = request.inputs.several
    exporter = Exporter(request.target, several, grows=True)
    if request.verify is None:
        lighten(request.looking.model)
    from ...session import load

    videos = exporter.left(request.inputs)
    failed = 0
    with Waiting("looking", len(videos) if several else None) as waiting:
        chosen = model_options(request.looking.model_option)
        second = verifier(request.verify, request.verify_option)
        expert: Backend = load(request.looking.model, device=request.looking.device, **second, **chosen)
        exporter.check_model(expert.name)
        for number, path in enumerate(videos, 1):
            try:
                item = _answers(request, expert, path, question, waiting)
                with waiting.paused():
                    _show(request, exporter, item, number)
            except WriteError:
                raise  # no fault of the video: the next one would be written no better
            except Exception as error:
                if not several:
                    raise
                failed += 1
                with waiting.paused():
                    exporter.add(Failed(path, sentence(error)))
                    terminal.complain(f"Error: {_naming(path, sentence(error))}")
            waiting.advance()
    exporter.close()
    if failed:
        terminal.complain(f"{failed} of {len(videos)} videos failed.")
        raise typer.Exit(1)


def _naming(path: str, said: str) -> str:
    """A sentence that names its video."""
    return said if path in said or repr(path) in said else f"{path!r}: {said}"


def _show(request: Request, exporter: Exporter, item: Answers, number: int) -> None:
    """One video's answers: the picture, the table or what is exported."""
    if request.looking.plot is not None:
        _draw(item, picture_name(request.looking.plot, number if request.inputs.several else None))
    if request.target.format is None:
        output.show_answers(item, request.shown)
    exporter.add(item)


def _answers(request: Request, expert: Backend, path: str, question: Question, waiting: Waiting) -> Answers:
    video = _open(request, expert, path, waiting)
    found, evidence = question(video)
    start = None if request.looking.start is None and request.looking.end is None else video.start
    return Answers(
        video.path,
        video.duration,
        expert.name,
        at_least(found, request.shown.min_score),
        start,
        evidence,
        **known(expert, video),
    )


def _open(request: Request, expert: Backend, path: str, waiting: Waiting) -> OpenVideo:
    looking = request.looking

    def progress(done: float, total: float) -> None:
        waiting.say(f"looked at {done / 60:.1f} of {total / 60:.1f} min")

    return open_video(
        expert,
        path,
        start=looking.start,
        end=looking.end,
        num_frames=looking.frames,
        window=as_window(looking.window),
        overlap=looking.overlap,
        progress=progress,
    )


def _draw(item: Answers, picture: Path) -> None:
    from ...plot import plot_answers

    plot_answers(item, picture)
    terminal.complain(f"picture saved as {picture}")


def register(app: typer.Typer) -> None:
    """Add this group's verbs to the app."""
    for verb in (ground, highlight, caption, ask):
        app.command()(options.spread(verb))
