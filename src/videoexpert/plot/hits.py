"""What a search of a library found, as a grid of thumbnails."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .. import files
from ..errors import VideoError
from ..export.text import clock
from ..files.remote import local
from ..look import DIM, DPI, GREY, INK, LABEL, RULE, SMALL, TITLE, WIDTH, drawable, fit_fonts

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

    from ..library.find import Hit, Page

COLUMNS, MOST = 5, 40  # thumbnails side by side, and of one query
MARGIN, GAP, HEADING, CAPTION = 0.3, 0.15, 0.5, 0.5  # inches
CELL = (WIDTH - 2 * MARGIN - (COLUMNS - 1) * GAP) / COLUMNS
PICTURE = CELL * 9 / 16
LETTERS = 25  # of a name under a thumbnail


def plot_hits(pages: Sequence[Page], like: str, out: str | os.PathLike[str]) -> Path:
    """The middle picture of every hit, best first, with its score, video and times; a PNG, SVG or PDF.

    ``like`` names the picture that a page without a sentence was searched with. A video that is gone leaves an empty
    frame. Raises WriteError.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = [page.hits[:MOST] for page in pages]
    rows = [max(1, -(-len(hits) // COLUMNS)) for hits in shown]
    height = MARGIN + sum(HEADING + count * (PICTURE + CAPTION) for count in rows)
    figure = Figure(figsize=(WIDTH, height), facecolor="white")
    FigureCanvasAgg(figure)
    top = MARGIN / 2
    for page, hits, count in zip(pages, shown, rows, strict=True):
        said = f"“{page.query}”" if page.query else f"like {like}"
        more = f"   the first {MOST} of {len(page.hits)}" if len(page.hits) > MOST else ""
        found = "" if hits else "   nothing found"
        _write(figure, MARGIN, top + 0.25, f"{said}{more}{found}", height, TITLE, INK, bold=True)
        for place, (hit, picture) in enumerate(zip(hits, _pictures(hits), strict=True)):
            row, column = divmod(place, COLUMNS)
            left = MARGIN + column * (CELL + GAP)
            _cell(figure, hit, picture, left, top + HEADING + row * (PICTURE + CAPTION), height)
        top += HEADING + count * (PICTURE + CAPTION)
    fit_fonts(figure)
    path = Path(out)
    with files.whole_file(path) as part:
        figure.savefig(part, dpi=DPI, format=path.suffix[1:].lower() or "png")
    return path


def _cell(
    figure: Figure, hit: Hit, picture: np.ndarray | None, left: float, top: float, height: float
) -> None:
    """A thumbnail in its box of 16 to 9, and two lines under it."""
    box = (left / WIDTH, 1 - (top + PICTURE) / height, CELL / WIDTH, PICTURE / height)
    axes = figure.add_axes(box, facecolor="#F1F3F4")
    axes.set_xticks([])
    axes.set_yticks([])
    for edge in axes.spines.values():
        edge.set_color(RULE)
    if picture is not None:
        tall, wide = picture.shape[:2]
        # centred, whole, whatever its shape
        half = max(wide / CELL, tall / PICTURE) / 2
        axes.imshow(picture, aspect="auto", extent=(-wide / 2, wide / 2, -tall / 2, tall / 2))
        axes.set_xlim(-half * CELL, half * CELL)
        axes.set_ylim(-half * PICTURE, half * PICTURE)
    else:
        axes.text(0.5, 0.5, "no picture", ha="center", va="center", color=GREY, fontsize=SMALL)
    name = Path(hit.path).name
    name = name if len(name) <= LETTERS else f"{name[: LETTERS - 9]}…{name[-8:]}"
    _write(figure, left, top + PICTURE + 0.16, name, height, LABEL, INK)
    times = f"{clock(hit.start, hit.duration)} to {clock(hit.end, hit.duration)}   {hit.score:.2f}"
    _write(figure, left, top + PICTURE + 0.34, times, height, SMALL, DIM)


def _write(
    figure: Figure,
    left: float,
    baseline: float,
    text: str,
    height: float,
    size: float,
    colour: str,
    bold: bool = False,
) -> None:
    weight = "bold" if bold else "normal"
    figure.text(left / WIDTH, 1 - baseline / height, drawable(text), fontsize=size, color=colour,
                weight=weight, parse_math=False)  # fmt: skip


def _pictures(hits: Sequence[Hit]) -> list[np.ndarray | None]:
    """The picture in the middle of each hit, (height, width, 3) uint8; one pass over each video."""
    from ..video.thumbnails import shrink, thumbnails

    found: dict[int, np.ndarray] = {}
    for path in dict.fromkeys(hit.path for hit in hits):
        places = [place for place, hit in enumerate(hits) if hit.path == path]
        middles = [(hits[place].start + hits[place].end) / 2 for place in places]
        try:
            with local(path) as file:
                shown = thumbnails(file, [(t, t) for t in middles], resize=shrink(round(CELL * DPI)))
        except VideoError:
            continue
        found.update(zip(places, (pictures[0] for pictures in shown), strict=True))
    return [found.get(place) for place in range(len(hits))]
