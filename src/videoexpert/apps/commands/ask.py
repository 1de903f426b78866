"""Commands that ask the model about videos: ``ground``, ``highlight``, ``caption``, ``ask``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...errors import InputError, VideoExpertError
from .. import output
from ..inputs import Inputs, check_clip, check_picture, picture_name, split_arguments
from ..output import Format, Waiting

if TYPE_CHECKING:
    from ...session import Video

_VIDEOS = "Video files, or folders of them; broken ones are told, the others done."
_QUERIES = f"{_VIDEOS} Then sentences, each in quotes."
_QUERY = f"{_VIDEOS} Then a sentence in quotes."
_QUESTION = f"{_VIDEOS} Then a question in quotes."
Model = Annotated[
    str | None, typer.Option(help="Model folder or hub id (default: the model in the package).")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]
Frames = Annotated[int | None, typer.Option(min=1, help="Frames to look at (default: the model's).")]
Start = Annotated[float | None, typer.Option(help="Look from this second on.")]
End = Annotated[float | None, typer.Option(help="Look until this second.")]
HowToPrint = Annotated[Format, typer.Option("--format", help="How to print; docs/cli.md describes the JSON.")]
Plot = Annotated[
    Path | None,
    typer.Option(metavar="FILE.png", help="Draw the answer; of several videos FILE-1.png, FILE-2.png."),
]
TopK = Annotated[int, typer.Option(min=1, help="Most moments a query.")]


@dataclass(frozen=True)
class Request:
    """The options that all commands of this module share."""

    inputs: Inputs
    model: str | None
    device: str
    frames: int | None
    start: float | None
    end: float | None
    format: Format
    plot: Path | None

    def __post_init__(self) -> None:
        check_clip(self.start, self.end)
        check_picture(self.plot)


@dataclass(frozen=True)
class Job:
    """What one command does with an open video; ``end`` is the last second on the video's clock."""

    answer: Callable[[Video], Any]
    show: Callable[[Any, float], None]
    to_json: Callable[[Any], dict[str, Any]]
    draw: Callable[[str, Any, float, float, Path], Path]


def ground(
    arguments: Annotated[list[str], typer.Argument(metavar="VIDEO... QUERY...", help=_QUERIES)],
    model: Model = None,
    device: Device = "auto",
    frames: Frames = None,
    start: Start = None,
    end: End = None,
    format: HowToPrint = Format.table,
    plot: Plot = None,
    top_k: TopK = 5,
    evidence: Annotated[
        bool, typer.Option("--evidence", help="Say how far the answer moves when the video is taken away.")
    ] = False,
) -> None:
    """Find the moments of a video that a sentence describes, or say that it is not there."""
    inputs = split_arguments(arguments, "query", many=True)
    queries = list(inputs.texts)

    def draw(path: str, found: Any, duration: float, first: float, out: Path) -> Path:
        from ...plot import plot_grounding

        return plot_grounding(path, found[0], duration, first, out)

    job = Job(
        lambda video: (video.ground(queries, top_k), video.evidence(queries) if evidence else None),
        lambda found, last: output.show_grounding(found[0], last, found[1]),
        lambda found: output.grounding_json(*found),
        draw,
    )
    _run(Request(inputs, model, device, frames, start, end, format, plot), job)


def highlight(
    arguments: Annotated[list[str], typer.Argument(metavar="VIDEO... QUERY", help=_QUERY)],
    model: Model = None,
    device: Device = "auto",
    frames: Frames = None,
    start: Start = None,
    end: End = None,
    format: HowToPrint = Format.table,
    plot: Plot = None,
    top_k: TopK = 5,
) -> None:
    """Rate every two-second clip of a video by how well it shows what a sentence describes."""
    inputs = split_arguments(arguments, "query")

    def draw(path: str, found: Any, duration: float, first: float, out: Path) -> Path:
        from ...plot import plot_highlights

        return plot_highlights(path, found, duration, first, out)

    job = Job(
        lambda video: video.highlights(inputs.texts[0], top_k),
        output.show_highlights,
        output.highlights_json,
        draw,
    )
    _run(Request(inputs, model, device, frames, start, end, format, plot), job)


def caption(
    arguments: Annotated[list[str], typer.Argument(metavar="VIDEO...", help=_VIDEOS)],
    model: Model = None,
    device: Device = "auto",
    frames: Frames = None,
    start: Start = None,
    end: End = None,
    format: HowToPrint = Format.table,
    plot: Plot = None,
) -> None:
    """Tell the events of a video, each with its time."""
    inputs = split_arguments(arguments)

    def draw(path: str, found: Any, duration: float, first: float, out: Path) -> Path:
        from ...plot import plot_captions

        return plot_captions(path, found, duration, first, out)

    job = Job(
        lambda video: video.caption(),
        output.show_captions,
        lambda found: {"captions": output.moments_json(found)},
        draw,
    )
    _run(Request(inputs, model, device, frames, start, end, format, plot), job)


def ask(
    arguments: Annotated[list[str], typer.Argument(metavar="VIDEO... QUESTION", help=_QUESTION)],
    choice: Annotated[
        list[str] | None, typer.Option(help="An answer to choose from; give it at least twice.")
    ] = None,
    model: Model = None,
    device: Device = "auto",
    frames: Frames = None,
    start: Start = None,
    end: End = None,
    format: HowToPrint = Format.table,
    plot: Plot = None,
) -> None:
    """Answer a question about a video, with the moments that prove it."""
    inputs = split_arguments(arguments, "question")
    choices = list(choice or ())
    if len(choices) == 1 or any(not c.strip() for c in choices):
        raise InputError(
            f"--choice was given as {', '.join(map(repr, choices))}, expected at least two, none empty: "
            "repeat --choice, or leave it out for an open question."
        )

    def draw(path: str, found: Any, duration: float, first: float, out: Path) -> Path:
        from ...plot import plot_grounding
        from ...types import Moments

        sentence = f"{found.question}   {found.text}"
        return plot_grounding(path, [Moments(sentence, found.moments)], duration, first, out)

    job = Job(
        lambda video: video.ask(inputs.texts[0], choices or None),
        lambda found, last: output.show_answer(found, choices, last),
        lambda found: output.answer_json(found, choices),
        draw,
    )
    _run(Request(inputs, model, device, frames, start, end, format, plot), job)


def _run(request: Request, job: Job) -> None:
    """Each video in turn. One that cannot be opened is told on stderr and, of several, the others are done.

    Raises the error itself where it is the only video; exits with 1 after several of which some failed.
    """
    from ...session import load

    count = len(request.inputs.videos)
    several, documents, failed = request.inputs.several, [], 0
    with (
        Waiting("looking", len(request.inputs.videos) if several else None) as waiting,
        output.plain_warnings(),
    ):
        expert: Any = load(request.model, device=request.device)
        for number, path in enumerate(request.inputs.videos, 1):
            try:
                video = expert.open(path, start=request.start, end=request.end, num_frames=request.frames)
            except VideoExpertError as error:
                if not several:
                    raise
                failed += 1
                documents.append({"video": path, "error": str(error)})
                with waiting.paused():
                    output.complain(f"Error: {error}")
                waiting.advance()
                continue
            found = job.answer(video)
            picture = None
            if request.plot is not None:
                picture = picture_name(request.plot, number if several else None)
                job.draw(path, found, video.duration, video.start, picture)
            documents.append(_document(request, video, job.to_json(found)))
            with waiting.paused():
                if request.format is Format.table:
                    _show(video, job, found)
                if picture is not None:
                    output.complain(f"picture saved as {picture}")
            waiting.advance()
    if request.format is Format.json:
        output.print_json(documents if several else documents[0])
    if failed:
        output.complain(f"{failed} of {count} videos failed.")
        raise typer.Exit(1)


def _document(request: Request, video: Video, answer: dict[str, Any]) -> dict[str, Any]:
    part = {} if request.start is None and request.end is None else {"start": round(video.start, 3)}
    head = {"video": video.path, "duration": round(video.duration, 3), "model": video.expert.name}
    return {**head, **part, **answer}


def _show(video: Video, job: Job, found: Any) -> None:
    end = video.start + video.duration
    part = f" from {output.seconds(video.start, end)} on" if video.start else ""
    output.say(f"{video.path}: {output.seconds(video.duration, end)}{part}, model {video.expert.name}")
    job.show(found, end)
    output.say()


def register(app: typer.Typer) -> None:
    """Add this group's verbs to the app."""
    for verb in (ground, highlight, caption, ask):
        app.command()(verb)
