"""Commands about the installation: ``demo`` shows it at work, ``doctor`` says what it can do, ``docs`` reads to you."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from ...errors import DataError, InputError
from ...export import Answers
from ...export.answers_json import document
from ...export.text import clock
from .. import options, output, terminal
from ..inputs import check_clip, check_picture
from ..terminal import Format
from ..waiting import Waiting


def demo(
    plot: Annotated[Path, typer.Option(metavar="FILE.png", help="Where to draw what was found.")] = Path(
        "demo.png"
    ),
    device: options.Device = "auto",
    format: options.Printed = Format.table,
) -> None:
    """Find moments in the video of the package with the model of the package, and draw them."""
    check_picture(plot)
    stages: list[tuple[str, float]] = []
    with Waiting("looking"):
        with _stage("start torch and transformers", stages):
            from ... import assets, session
            from ...plot import plot_grounding
        with _stage("load the model", stages):
            expert = session.load(device=device)
        queries, truth = _shipped_queries(assets.SHIPPED_QUERIES)
        video = expert.open(assets.SHIPPED_VIDEO)
        stages.append(("decode the video", video.timings["decode"]))
        stages.append(("encode its frames", video.timings["encode"]))
        with _stage("read the video with the language model", stages):
            expert.engine.prefixes([video.opened])
        with _stage(f"answer {len(queries)} queries", stages):
            found = video.ground(queries)
        with _stage("draw", stages):
            plot_grounding(
                assets.SHIPPED_VIDEO, found, video.duration, video.start, plot, truth, "shipped", True
            )
    if format is Format.json:
        answers = Answers(video.path, video.duration, expert.name, tuple(found), calibrated=expert.calibrated)
        took = {name: round(seconds, 3) for name, seconds in stages}
        terminal.print_json({**document(answers), "picture": str(plot), "seconds": took})
        return
    terminal.say(f"{assets.SHIPPED_VIDEO}: {clock(video.duration, video.duration)}")
    output.show_grounding(found, video.duration, shown=output.Listing(hints=False))
    terminal.table(("stage", "time"), [(name, f"{took:.2f} s") for name, took in stages], left=(0,))
    terminal.say(f"picture saved as {plot}")


@contextmanager
def _stage(name: str, stages: list[tuple[str, float]]) -> Iterator[None]:
    began = time.perf_counter()
    yield
    stages.append((name, time.perf_counter() - began))


def _shipped_queries(file: Path) -> tuple[list[str], list[list[tuple[float, float]]]]:
    """Queries of ``demo.json`` and their true windows: ``{"queries": [{"query", "windows": [[s, e]]}]}``."""
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))["queries"]
        truth = [[(float(a), float(b)) for a, b in row["windows"]] for row in rows]
        return [str(row["query"]) for row in rows], truth
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file} does not hold the demo's queries; reinstall videoexpert.") from error


def doctor(
    video: Annotated[str | None, typer.Argument(help="A video to look into.")] = None,
    frames: options.Frames = None,
    start: options.Start = None,
    end: options.End = None,
    format: Annotated[Format, typer.Option(help="How to print.")] = Format.table,
) -> None:
    """Say what is in a video and whether its times are sound; without one, what this installation has and can do.

    Exit code 1: something is wrong with the video, or with the installation where no video is named.
    """
    from ..doctor import environment, model_report, video_report

    check_clip(start, end)
    if video is None and not (frames is None and start is None and end is None):
        raise InputError("--frames, --start and --end have no effect without a video: name one.")
    with Waiting("looking", counted=video is not None) as waiting:
        # on a terminal the facts about a video would scroll away above those about the installation
        report = environment() if video is None or format is Format.json else {"model": model_report()}
        problem = report["model"]["problem"]
        if video is not None:
            report |= video_report(video, report["model"], frames, start, end, waiting.reach)
            problem = report["problems"]
    if format is Format.json:
        terminal.print_json(report)
    else:
        (_show_installation if video is None else _show_video)(report)
    if problem:
        raise typer.Exit(1)


def _show_installation(report: dict[str, Any]) -> None:
    for name in ("versions", "devices", "codecs", "extras", "model"):
        terminal.say(name, terminal.HEADING)
        rows = [(key, _plain(value)) for key, value in report[name].items()]
        terminal.table(("", ""), rows, left=(0, 1))


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else str(value)


def _show_video(report: dict[str, Any]) -> None:
    terminal.say(report["video"], terminal.HEADING)
    turned = f", turned {report['rotation']} degrees" if report["rotation"] else ""
    steady = "variable" if report["variable_frame_rate"] else "constant"
    rows = [
        ("file", f"{report['container']}, {', '.join(report['streams'])}"),
        ("pictures", f"{report['codec']} {report['pixel_format']}, {report['pictures']} that decode"),
        (
            "colour",
            "standard" if report["dynamic_range"] == "SDR" else f"{report['dynamic_range']}, tone-mapped",
        ),
        ("upright size", f"{report['width']} x {report['height']}{turned}"),
        ("duration", f"{report['duration']:.3f} s"),
        ("rate", f"{report['average_fps']:.3f} a second, {steady}"),
        ("first picture", f"at {report['first_picture']:.3f} s"),
        ("looked at", _looked(report)),
        *(("no picture", f"from {first:.3f} s to {last:.3f} s") for first, last in report["holes"]),
        *(("problem", problem) for problem in report["problems"]),
    ]
    if not report["problems"]:
        rows.append(("times", "sound"))
    terminal.table(("", ""), rows, left=(0, 1))


def _looked(report: dict[str, Any]) -> str:
    """What the shipped model would look at: frames, or windows of a long video, and how close together."""
    seen, times = report["looked_at"], report["times"]
    each = seen["frames"] // seen["windows"]
    rate = f"{each / seen['window']:.2g} a second"
    if seen["windows"] > 1:
        return f"{seen['windows']} windows of {seen['window']:g} s, {each} frames in each, {rate}"
    different = len(set(times))
    pictures = "" if different == len(times) else f" of {different} pictures, some more than once"
    return f"{each} frames{pictures}, {rate}, from {times[0]:.3f} s to {times[-1]:.3f} s"


def docs(
    page: Annotated[str | None, typer.Argument(help="Its name, such as predictions.")] = None,
    format: Annotated[Format, typer.Option(help="How to print the list.")] = Format.table,
) -> None:
    """List the pages of the documentation, or print one."""
    from ..pages import pages, read_page

    if page is not None:
        terminal.say(read_page(page).rstrip())
    elif format is Format.json:
        terminal.print_json(
            [{"page": name, "title": title, "path": str(path)} for name, title, path in pages()]
        )
    else:
        terminal.table(("page", "about"), [(name, title) for name, title, _ in pages()], left=(0, 1))


def register(app: typer.Typer) -> None:
    """Add this group's verbs to the app."""
    for verb in (demo, doctor, docs):
        app.command()(verb)
