"""The look of every picture: one palette, one scale of type, and letters that no usual font has."""

from __future__ import annotations

from functools import cache
from math import ceil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's colours: distinct for everyone
BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY = "#CC79A7", "#56B4E9"
SYSTEMS = (ORANGE, BLUE, PURPLE, SKY)
INK, DIM, GREY, RULE, CREAM = "#202124", "#5F6368", "#9AA0A6", "#E3E5E8", "#FFF3D6"

TITLE, TEXT, LABEL, SMALL = 12.0, 10.5, 9.5, 9.0  # points
WIDTH, DPI = 10.0, 150  # inches, and pixels of each

USUAL = "DejaVu Sans"  # comes with matplotlib
# fonts of the systems that people have, for letters that the usual one lacks; asked before all others
FALLBACKS = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Noto Sans JP", "Source Han Sans SC"),
    *("PingFang SC", "Hiragino Sans", "Microsoft YaHei", "Yu Gothic", "Malgun Gothic", "WenQuanYi Zen Hei"),
    *("Noto Sans Arabic", "Noto Sans Hebrew", "Noto Sans Devanagari", "Noto Sans Thai", "Arial Unicode MS"),
    *("Noto Emoji", "Segoe UI Emoji", "Segoe UI Symbol", "Symbola"),
)
_JOINERS = {0x200C, 0x200D, 0xFE0E, 0xFE0F}  # have no look of their own


# seconds between two marks of an axis that counts minutes or hours
_ROUND_S = (
    *(5, 10, 15, 30, 60, 120, 300, 600, 900, 1800),
    *(3600, 7200, 10800, 21600, 43200, 86400),
)


def round_step(seconds: float, most: int = 9) -> int:
    """The smallest step of round seconds, minutes or hours that goes at most so often into this length."""
    fits = (step for step in _ROUND_S if seconds <= most * step)
    return next(fits, _ROUND_S[-1] * ceil(seconds / most / _ROUND_S[-1]))


def drawable(text: str) -> str:
    """The text, with letters that no installed font has replaced by words instead of boxes."""
    missing = _lacking(text) - _JOINERS
    if missing:
        missing -= {code for family in _fonts_for(frozenset(missing)) for code in _letters(family)}
    if not missing:
        return text
    parts: list[str] = []
    run = 0
    for letter in text + "\0":
        if ord(letter) in missing or (run and ord(letter) in _JOINERS):
            run += 1
            continue
        if run:
            parts.append(f"[{run} letter{'s' if run > 1 else ''} that no font here has]")
            run = 0
        parts.append(letter)
    return "".join(parts)[:-1]


def fit_fonts(figure: Figure) -> None:
    """Gives every text of the figure the fonts that have its letters."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        missing = _lacking(text.get_text())
        if missing:
            text.set_fontfamily([USUAL, *_fonts_for(frozenset(missing))])


def in_fonts(text: str) -> list[tuple[str, str | None]]:
    """``drawable`` text in runs, each with the file of the font that has its letters; None: the usual font has."""
    shown = drawable(text)
    missing = _lacking(shown) - _JOINERS
    families = _fonts_for(frozenset(missing)) if missing else ()
    found: list[tuple[str, str | None]] = []
    for letter in shown:
        code = ord(letter)
        family = next((f for f in families if code in _letters(f)), None) if code in missing else None
        file = None if family is None else _families()[family]
        # spaces and joiners stay with what they follow
        if found and (found[-1][1] == file or letter.isspace() or code in _JOINERS):
            found[-1] = (found[-1][0] + letter, found[-1][1])
        else:
            found.append((letter, file))
    return found


def _lacking(text: str) -> set[int]:
    """Code points of the text that the usual font has not."""
    if text.isascii():
        return set()
    return {ord(letter) for letter in text if not letter.isspace()} - _letters(USUAL)


@cache
def _fonts_for(missing: frozenset[int]) -> tuple[str, ...]:
    """As few installed fonts as have these letters, as far as any has them."""
    left, found = set(missing), []
    for family in _families():
        if not left:
            break
        has = left & _letters(family)
        if has:
            found.append(family)
            left -= has
    return tuple(found)


@cache
def _families() -> dict[str, str]:
    """Installed fonts and a file of each, those of FALLBACKS first."""
    from matplotlib.font_manager import fontManager

    # the most usual of a family's files comes last, and stays
    entries = sorted(
        fontManager.ttflist, key=lambda e: (e.style == "normal", str(e.weight) in ("400", "normal"))
    )
    files = {entry.name: entry.fname for entry in entries}
    order = [*(name for name in FALLBACKS if name in files), *sorted(files)]
    return {name: files[name] for name in order if not name.startswith("Last Resort")}


@cache
def _letters(family: str) -> frozenset[int]:
    """The code points that a font draws; none of a font that matplotlib cannot read, such as one of colours."""
    from matplotlib.ft2font import FT2Font

    try:
        font: Any = FT2Font(_families()[family])
        return frozenset(font.get_charmap())
    except (OSError, RuntimeError, ValueError):
        return frozenset()


__all__ = [
    "BLUE",
    "CREAM",
    "DIM",
    "DPI",
    "GREEN",
    "GREY",
    "INK",
    "LABEL",
    "ORANGE",
    "PURPLE",
    "RED",
    "RULE",
    "SKY",
    "SMALL",
    "SYSTEMS",
    "TEXT",
    "TITLE",
    "WIDTH",
    "drawable",
    "fit_fonts",
    "in_fonts",
]
