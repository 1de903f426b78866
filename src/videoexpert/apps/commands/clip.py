"""``clip``: the moments that a sentence describes, or those of a saved answer, as video files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...errors import InputError, sentence
from ...escapes import quantity
from ...export import Answers
from ...export.text import clock, not_understood
from .. import clipping, options, terminal
from ..inputs import Inputs, check_clip, check_reel, model_options, split_arguments, verifier
from ..known import known, open_video
from ..terminal import Format
from ..waiting import Waiting
from .export import read_answers

if TYPE_CHECKING:
    from ...video.clip import WrittenClip

FAR_S = 1.0  # a clip that begins this much early gets a word about --exact


def clip(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="VIDEO... QUERY", help="Video files, or folders of them; then sentences."),
    ] = None,
    *,
    saved: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="ANSWER.json", help="Cut what a saved answer names; no model is asked."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the clips go.")] = Path("clips"),
    exact: Annotated[
        bool,
        typer.Option(
            "--exact", help="Encode anew, exact to the picture, instead of copying from a key frame on."
        ),
    ] = False,
    reel: Annotated[
        Path | None,
        typer.Option(metavar="FILE.mp4", help="All moments one after the other in one file as well."),
    ] = None,
    pad: Annotated[
        float,
        typer.Option(
            parser=options.seconds, metavar="TIME", help="To add at both ends, in seconds or h:mm:ss."
        ),
    ] = 0.0,
    top_k: Annotated[int, typer.Option(min=1, help="Most moments a query.")] = 5,
    min_score: options.MinScore = 0.0,
    model: options.Model = None,
    model_option: options.ModelOption = None,
    verify: options.Verify = None,
    verify_option: options.VerifyOption = None,
    device: options.Device = "auto",
    frames: options.Frames = None,
    start: options.Start = None,
    end: options.End = None,
    format: options.Printed = Format.table,
) -> None:
    """Cut the moments of a video that a sentence describes into files, with a contact sheet.

    Exit code 3: the sentence is not in the video, and no file is written.
    """
    _check(out, reel)
    check_clip(start, end)
    if saved is not None:
        if arguments:
            raise InputError("--from names the videos and sentences itself: leave VIDEO and QUERY out.")
        given = (model, model_option or None, verify, verify_option or None, frames, start, end)
        if any(one is not None for one in given):
            raise InputError(
                "--from asks no model: leave --model, --verify, their options, --frames, --start and --end out."
            )
        items, asked, failed = list(read_answers(saved).answers), 0, 0
    elif not arguments:
        raise InputError("there is nothing to cut, expected VIDEO and QUERY, or --from ANSWER.json.")
    else:
        inputs = split_arguments(arguments, "query", many=True)
        loaded = {**verifier(verify, verify_option), **model_options(model_option)}
        asking = _Asking(model, loaded, device, frames, start, end)
        items = _ask(inputs, top_k, asking)
        asked = len(inputs.videos)
        failed = asked - len(items)
    chosen = clipping.choose(items, top_k, min_score, pad)
    if not chosen:
        if format is Format.json:
            terminal.print_json({"clips": [], "sheet": None, "reel": None})
        for line in _absent(items, min_score):
            terminal.complain(line)
        raise typer.Exit(1 if failed else clipping.NOTHING)
    _cut(chosen, out, exact, reel, format)
    if failed:
        terminal.complain(f"{failed} of {asked} videos failed.")
        raise typer.Exit(1)


def _check(out: Path, reel: Path | None) -> None:
    if out.exists() and not out.is_dir():
        raise InputError(f"--out is {str(out)!r}, which is a file, expected a folder for the clips.")
    if reel is not None:
        check_reel("--reel", reel)


@dataclass(frozen=True)
class _Asking:
    """How the model is asked."""

    model: str | None
    options: dict[str, Any]  # of ``load``
    device: str
    frames: int | None
    start: float | None
    end: float | None


def _ask(inputs: Inputs, top_k: int, how: _Asking) -> list[Answers]:
    """What the model finds in each video; with several videos, one without an answer is reported and skipped."""
    from ...session import load

    items = []
    with Waiting("looking", len(inputs.videos) if inputs.several else None) as waiting:
        backend = load(how.model, device=how.device, **how.options)
        for path in inputs.videos:
            try:
                video = open_video(backend, path, start=how.start, end=how.end, num_frames=how.frames)
                found = tuple(video.ground(list(inputs.texts), top_k))
                items.append(Answers(path, video.duration, backend.name, found, **known(backend, video)))
            except Exception as error:
                if not inputs.several:
                    raise
                with waiting.paused():
                    terminal.complain(f"Error: {path!r}: {sentence(error)}")
            waiting.advance()
    return items


def _absent(items: list[Answers], min_score: float) -> list[str]:
    """Why there is nothing to cut, a line a video."""
    lines = []
    for item in items:
        marks = item.marks()
        if marks:
            best = max(mark.score for mark in marks)
            lines.append(
                f"{item.video}: no moment scores {min_score:g}, the best one {best:.2f}; nothing was cut."
            )
        else:
            why = not_understood(item.unknown_words) or "nothing was found"
            lines.append(f"{item.video}: {why}; nothing was cut.")
    return lines


def _cut(chosen: list[clipping.Chosen], out: Path, exact: bool, reel: Path | None, format: Format) -> None:
    said = format is Format.table
    with Waiting("cutting", len(chosen) + 1 + (reel is not None)) as waiting:

        def done(made: WrittenClip, one: clipping.Chosen) -> None:
            if said:
                with waiting.paused():
                    terminal.say(f"{made.path}   {_said(made, one)}")
            waiting.advance()

        clips = clipping.cut_all(chosen, out, exact, done)
        sheet = clipping.write_sheet(chosen, clips, out)
        waiting.advance()
        if reel is not None:
            from ...video.encode import Span, encode_spans

            encode_spans([Span(one.video, one.start, one.end) for one in chosen], reel)
    if not said:
        terminal.print_json(_document(clips, chosen, sheet, reel))
    else:
        terminal.say(f"{sheet}   contact sheet")
    if any(one.start - made.start_s >= FAR_S for made, one in zip(clips, chosen, strict=True)):
        terminal.complain("A copied clip begins at a key frame; --exact begins where it was asked to.")
    if reel is not None and said:
        length = sum(one.end - one.start for one in chosen)
        terminal.say(f"{reel}   {quantity(len(chosen), 'moment')}, {clock(length, length)}")


def _document(
    clips: list[WrittenClip], chosen: list[clipping.Chosen], sheet: Path, reel: Path | None
) -> dict[str, Any]:
    """What was written, for programs: seconds to the millisecond."""
    rows = [
        {
            "path": str(made.path),
            "video": one.video,
            "title": one.mark.title,
            "score": round(one.mark.score, 4),
            "start": round(made.start_s, 3),
            "end": round(made.end_s, 3),
            "exact": made.exact,
        }
        for made, one in zip(clips, chosen, strict=True)
    ]
    return {"clips": rows, "sheet": str(sheet), "reel": None if reel is None else str(reel)}


def _said(made: WrittenClip, one: clipping.Chosen) -> str:
    """What the file holds, and how far that is from what was asked for."""
    held = f"{clock(made.start_s, made.end_s)} to {clock(made.end_s, made.end_s)}"
    if made.exact:
        return f"{held}, encoded"
    early, late = one.start - made.start_s, made.end_s - one.end
    edges = [f"{by:.2f} s {what}" for by, what in ((early, "earlier"), (late, "later")) if by >= 0.01]
    return f"{held}, copied" + (f" ({' and '.join(edges)} than asked: key frames)" if edges else "")


def register(app: typer.Typer) -> None:
    """Add this command to the app."""
    app.command()(clip)
