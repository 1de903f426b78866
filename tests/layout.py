"""What a drawn figure says, and that all of it can be read."""

from __future__ import annotations

from itertools import combinations, pairwise

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

TOLERANCE = 2.5  # pixels of line height that letters do not fill


def texts(figure: Figure):
    """(text, its box in pixels) of all that can be read."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    found = [*figure.texts]
    for axes in figure.axes:
        found += [
            *axes.texts,
            axes.xaxis.label,
            axes.yaxis.label,
            *axes.get_xticklabels(),
            *axes.get_yticklabels(),
        ]
    renderer = canvas.get_renderer()
    return [(t.get_text(), t.get_window_extent(renderer)) for t in found if t.get_text() and t.get_visible()]


def check_layout(figure: Figure, stacked: bool = True) -> str:
    """All text of the figure; fails where some is cut off or lies over other. ``stacked``: panels never meet."""
    boxes = texts(figure)
    width, height = figure.canvas.get_width_height()
    for text, box in boxes:
        assert min(box.x0, box.y0, width - box.x1, height - box.y1) >= 0, f"{text!r} is cut off"
    for (one, a), (other, b) in combinations(boxes, 2):
        over = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
        assert min(over) <= TOLERANCE, f"{one!r} lies over {other!r}"
    panels = [axes.get_position() for axes in figure.axes]
    assert not stacked or all(lower.y1 <= upper.y0 + 1e-6 for upper, lower in pairwise(panels))
    return "\n".join(text for text, _ in boxes)
