"""The picture of predicted windows: every panel and word is there and readable, sizes say how often."""

from __future__ import annotations

import math

import numpy as np
import pytest

from layout import check_layout
from videoexpert.plot import bias

ANNOTATED = [[0, 25, 3.0], [40, 70, 2.0], [80, 100, 1.0]]


def report(conditions=("true", "another", "blank"), found=((10, 30, 4.0), (50, 100, 1.0)), system="us"):
    values = {"R1@0.5": 33.3, "repeated": 0.41, "distance": 0.27, "moment_bits": {"bits": 1.07, "sd": 0.1}}
    return {
        "benchmark": "charades-sta",
        "system": system,
        "conditions": {condition: values for condition in conditions},
        "windows": {
            "annotated": ANNOTATED,
            **{condition: [list(w) for w in found] for condition in conditions},
        },
    }


def points(axes):
    """(start, end, area) of every point."""
    (found,) = axes.collections[-1:]
    return sorted(
        (*xy, size) for xy, size in zip(found.get_offsets().tolist(), found.get_sizes(), strict=True)
    )


def panels(figure):
    return [axes for axes in figure.axes if axes.get_xlim() == (-0.02, 1.02)]


def test_a_panel_for_each_condition_and_a_row_for_each_system(drawn, tmp_path):
    long = "a system with a name that is longer than any that people give to their systems and has no end"
    reports = [report(), report(("true",), system=long), report(("true", "blank"))]
    out = bias.plot_bias(reports, ["us", long, "$x$_y"], tmp_path / "a.png")
    assert out.read_bytes().startswith(b"\x89PNG")
    figure = drawn[0]
    shown = check_layout(figure, stacked=False)
    for part in ("true video", "another video", "blank video", "us", "a system with a name", "$x$_y"):
        assert part in shown
    assert shown.count("R1@0.5 33.3\nrepeated 0.41\ndistance 0.27\n1.07 bits") == 6
    assert len(panels(figure)) == 6
    boxes = [axes.get_position() for axes in panels(figure)]
    assert all(
        a.x1 < b.x0 or b.x1 < a.x0 or a.y1 < b.y0 or b.y1 < a.y0 for a in boxes for b in boxes if a is not b
    )


def test_one_panel_alone(drawn, tmp_path):
    bias.plot_bias([report(("true",))], ["us"], tmp_path / "a.png")
    assert "50%" in check_layout(drawn[0], stacked=False)


def test_points_are_sized_by_how_often_a_window_is_predicted(drawn, tmp_path):
    bias.plot_bias([report(("true",))], ["us"], tmp_path / "a.png")
    found = points(panels(drawn[0])[0])
    assert found == [
        (0.1, 0.3, pytest.approx(bias.AREA * 0.8)),
        (0.5, 1.0, pytest.approx(bias.AREA * 0.2)),
    ]
    assert bias.areas(np.array([1.0, 5000.0]), 10000.0).tolist() == [bias.SMALLEST, bias.AREA / 2]


def test_density_has_its_peaks_where_the_annotations_are():
    height = bias.density(np.array([[0.0, 0.25, 3.0], [0.8, 1.0, 1.0]]))
    peak = np.unravel_index(height.argmax(), height.shape)
    assert (peak[0] / (bias.GRID - 1), peak[1] / (bias.GRID - 1)) == pytest.approx((0.25, 0.0), abs=0.01)
    assert height.max() == pytest.approx(1.0)
    second = height[-1, round(0.8 * (bias.GRID - 1))]
    assert second == pytest.approx(1 / 3, abs=0.01)
    one_sd = height[round((0.25 + bias.SMOOTH) * (bias.GRID - 1)), 0]
    assert one_sd == pytest.approx(math.exp(-0.5), abs=0.08)


def test_a_system_that_answered_nothing(drawn, tmp_path):
    empty = report(("true",), found=())
    empty["conditions"]["true"] = {
        "R1@0.5": 0.0, "repeated": None, "distance": None, "moment_bits": None,
    }  # fmt: skip
    bias.plot_bias([empty], ["us"], tmp_path / "a.png")
    assert "R1@0.5 0.0" in check_layout(drawn[0], stacked=False)
