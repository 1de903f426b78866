"""What the synthetic world is made of: colours, shapes, details, things, events, and the states of things in time.

Positions and sizes are in units of the picture (0 left/top, 1 right/bottom), angles in radians, times in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.90, 0.12, 0.12),
    "green": (0.10, 0.75, 0.20),
    "blue": (0.15, 0.30, 0.95),
    "yellow": (0.95, 0.88, 0.10),
    "purple": (0.65, 0.15, 0.80),
    "orange": (1.00, 0.52, 0.05),
    "cyan": (0.10, 0.85, 0.90),
    "white": (0.97, 0.97, 0.97),
}
COLOUR_INDEX = {name: i for i, name in enumerate(COLOURS)}
SHAPES = ("circle", "square", "triangle", "cross", "ring")
SHAPE_INDEX = {name: i for i, name in enumerate(SHAPES)}
# A turn by 1/SYMMETRY of a circle shows the same picture; what is not listed looks the same at every angle.
SYMMETRY = {"square": 4, "triangle": 3, "cross": 4}
# Details: 5 x 5 pictures that a thing may carry, by how they are said.
GLYPHS: dict[str, tuple[str, ...]] = {
    "letter A": (".###.", "#...#", "#####", "#...#", "#...#"),
    "letter T": ("#####", "..#..", "..#..", "..#..", "..#.."),
    "letter X": ("#...#", ".#.#.", "..#..", ".#.#.", "#...#"),
    "digit 1": ("..#..", ".##..", "..#..", "..#..", ".###."),
    "digit 4": ("#..#.", "#..#.", "#####", "...#.", "...#."),
    "dots": ("##.##", "##.##", ".....", "##.##", "##.##"),
    "stripes": ("#####", ".....", "#####", ".....", "#####"),
    "frame": ("#####", "#...#", "#...#", "#...#", "#####"),
}
GLYPH_INDEX = {name: i for i, name in enumerate(GLYPHS)}
# How far a detail reaches from a thing's middle, in units of its size; other shapes have no room for one.
GLYPH_ROOM = {"circle": 0.66, "square": 0.74, "triangle": 0.5}


@dataclass(frozen=True)
class SceneObject:
    """Initial state of one shape. ``glyph``: of GLYPHS, or "" for none."""

    colour: str
    shape: str
    x: float
    y: float
    size: float  # radius
    angle: float
    visible: bool = True
    glyph: str = ""

    @property
    def name(self) -> str:
        return f"{self.colour} {self.shape}"


@dataclass(frozen=True)
class Event:
    """Object ``object`` does ``action`` from ``start`` to ``end`` (seconds).

    ``amount`` is the distance moved, the factor of growth or the angle turned; ``to_colour`` the new colour of a
    recolouring.
    """

    object: int
    action: str
    start: float
    end: float
    amount: float = 0.0
    to_colour: str = ""


@dataclass
class Running:
    """An object on its way through its events: what an action needs to know, and changes, as a script is drawn.

    ``free``: colours that nothing else of the script has or gets, shared by its objects.
    """

    shape: str
    x: float
    y: float
    size: float
    colour: str
    free: list[str]
    pace: float = 1.0  # how much slower than in a video of 24 s things go
    visible: bool = True
    visible_at_first: bool = True
    fresh: bool = True  # nothing has happened to it yet
    done: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class States:
    """Objects of a script at K times. ``x, y, size, angle, alpha``: (K, O); ``shown``: (K, O, colours).

    ``shown`` is the mixture of COLOURS that is seen, shares that add up to one: half old and half new in the middle
    of a recolouring.
    """

    x: np.ndarray
    y: np.ndarray
    size: np.ndarray
    angle: np.ndarray
    alpha: np.ndarray
    shown: np.ndarray

    @property
    def rgb(self) -> np.ndarray:
        """(K, O, 3) in 0-1."""
        rgb: np.ndarray = self.shown @ np.array(list(COLOURS.values()))
        return rgb
