"""A contact sheet: a row a moment, its pictures above its times and its sentence."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..look import in_fonts
from .text import one_line

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image, ImageDraw, ImageFont

WIDTH, GAP, MARGIN, TALLEST = 1200, 8, 20, 320  # pixels
PAPER, INK, FAINT = "#FFFFFF", "#202124", "#5F6368"
MOST_ROWS = 100  # a larger picture is no overview


@dataclass(frozen=True)
class Row:
    """One moment: pictures (height, width, 3) uint8 RGB in order, a sentence, and what else there is to say."""

    pictures: Sequence[np.ndarray]
    title: str
    detail: str


def contact_sheet(rows: Sequence[Row], heading: str) -> bytes:
    """A JPEG of 1200 pixels in width; of more than a hundred rows the first hundred."""
    from PIL import Image, ImageDraw

    shown = rows[:MOST_ROWS]
    title, detail = _font(19, bold=True), _font(15)
    strips = [_strip(row.pictures) for row in shown]
    tall = MARGIN + 40 + sum(strip.height + 2 * GAP + 58 for strip in strips) + MARGIN
    sheet = Image.new("RGB", (WIDTH, tall), PAPER)
    draw = ImageDraw.Draw(sheet)
    _write(draw, MARGIN - 4, heading, detail, FAINT)
    top = MARGIN + 30
    for row, strip in zip(shown, strips, strict=True):
        sheet.paste(strip, (MARGIN, top))
        top += strip.height + GAP
        _write(draw, top, row.title, title, INK)
        _write(draw, top + 27, row.detail, detail, FAINT)
        top += 58 + GAP
    out = io.BytesIO()
    sheet.save(out, "JPEG", quality=88)
    return out.getvalue()


def _strip(pictures: Sequence[np.ndarray]) -> Image.Image:
    """The pictures side by side, all equally tall."""
    from PIL import Image

    inner = WIDTH - 2 * MARGIN
    wide = (inner - GAP * (len(pictures) - 1)) // len(pictures)
    height, width = pictures[0].shape[:2]
    tall = max(1, min(TALLEST, round(wide * height / width)))
    wide = max(1, min(wide, round(tall * width / height)))
    strip = Image.new("RGB", (inner, tall), PAPER)
    for place, picture in enumerate(pictures):
        small = Image.fromarray(picture).resize((wide, tall), Image.Resampling.LANCZOS)
        strip.paste(small, (place * (wide + GAP), 0))
    return strip


def _font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu, which comes with matplotlib: more scripts than Pillow's own."""
    from pathlib import Path

    import matplotlib
    from PIL import ImageFont

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name, size)


def _write(draw: ImageDraw.ImageDraw, top: int, text: str, font: ImageFont.FreeTypeFont, colour: str) -> None:
    """The text on one line, cut where it would leave the sheet; letters that the font lacks in one that has them."""
    from PIL import ImageFont

    def runs(line: str) -> list[tuple[str, ImageFont.FreeTypeFont]]:
        return [
            (run, font if file is None else ImageFont.truetype(file, font.size))
            for run, file in in_fonts(line)
        ]

    line = one_line(text)
    while line and sum(draw.textlength(run, font=f) for run, f in runs(line)) > WIDTH - 2 * MARGIN:
        line = line[: int(len(line) * 0.95) - 1].rstrip() + "…"
    across, baseline = float(MARGIN), top + font.getmetrics()[0]
    for run, own in runs(line):
        draw.text((across, baseline), run, font=own, fill=colour, anchor="ls")
        across += draw.textlength(run, font=own)
