"""The VideoExpert paper's own tables II, III, IV and V, to print beside a score. Percent; None where it
has a dash.

Copied from the paper as printed, CIDEr and METEOR of Table IV included, whose scorer the paper does not name.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PaperRow:
    """One method. ``setting``: "zero-shot", "fine-tuned", or what the table says of it; ``values`` by
    column."""

    method: str
    setting: str
    values: tuple[float | None, ...]


@dataclass(frozen=True)
class PaperTable:
    """A table of the paper: title, the split it is on, metric names of its columns, rows in its order."""

    title: str
    split: str
    columns: tuple[str, ...]
    rows: tuple[PaperRow, ...]


_ZERO, _TUNED, _SPECIAL = "zero-shot", "fine-tuned", "specialist"

CHARADES = PaperTable(
    "Table II: Charades-STA, test",
    "test",
    ("R1@0.3", "R1@0.5", "R1@0.7", "mIoU"),
    (
        PaperRow("2D-TAN", _SPECIAL, (58.8, 46.0, 27.5, 41.3)),
        PaperRow("VSL-Net", _SPECIAL, (60.3, 42.7, 24.1, 41.6)),
        PaperRow("M-DETR", _SPECIAL, (65.8, 52.1, 30.6, 45.5)),
        PaperRow("Momentor", _ZERO, (42.6, 26.6, 11.6, 28.5)),
        PaperRow("TimeChat", _ZERO, (46.0, 29.4, 12.9, 30.4)),
        PaperRow("VTimeLLM", _ZERO, (51.0, 27.5, 11.4, 31.2)),
        PaperRow("VTGLLM", _ZERO, (52.0, 33.8, 15.7, None)),
        PaperRow("HawkEye", _ZERO, (50.6, 31.4, 14.5, 33.7)),
        PaperRow("VideoExpert (paper)", _ZERO, (61.5, 40.3, 20.9, 41.1)),
        PaperRow("VideoExpert (paper)", _TUNED, (74.3, 60.8, 36.5, 52.2)),
    ),
)
QVHIGHLIGHTS = PaperTable(
    "Table III: QVHighlights, test",
    "test",
    ("R1@0.5", "R1@0.7", "mAP@0.5", "mAP@0.75", "mAP", "HL-mAP", "HIT@1"),
    (
        PaperRow("M-DETR", "specialist, zero-shot", (2.45, 0.58, 1.6, 0.33, 0.52, 26.12, 31.61)),
        PaperRow("M-DETR", "specialist, pre-trained", (59.78, 40.33, 60.51, 35.36, 36.14, 37.43, 60.17)),
        PaperRow("M-DETR", _SPECIAL, (52.89, 33.02, 54.82, 29.40, 30.73, 35.69, 55.60)),
        PaperRow("Momentor", _ZERO, (17.00, None, None, None, None, 7.60, None)),
        PaperRow("TimeChat", _ZERO, (9.92, 4.86, 7.49, 3.03, 3.72, 14.37, 23.92)),
        PaperRow("VTimeLLM", _ZERO, (49.81, 30.32, 40.58, 22.73, 22.86, None, None)),
        PaperRow("VTGLLM", _ZERO, (None, None, None, None, None, 16.50, 33.50)),
        PaperRow("SeViLA", "trained on it only", (54.50, 36.50, None, None, 32.30, None, None)),
        PaperRow("VideoExpert (paper)", _ZERO, (54.77, 35.35, 53.61, 30.97, 31.06, 35.76, 52.71)),
        PaperRow("VideoExpert (paper)", _TUNED, (67.23, 47.81, 63.09, 40.50, 39.62, 36.13, 60.97)),
    ),
)
YOUCOOK2 = PaperTable(
    "Table IV: YouCook2",
    "validation",
    ("SODA_c", "CIDEr", "METEOR"),
    (
        PaperRow("MT", _SPECIAL, (None, 6.1, 3.2)),
        PaperRow("Vid2Seq", _SPECIAL, (4.0, 18.0, 4.6)),
        PaperRow("VideoChat", _ZERO, (0.2, 0.6, None)),
        PaperRow("TimeChat", _ZERO, (1.2, 3.4, None)),
        PaperRow("VTGLLM", _ZERO, (1.5, 5.0, 1.9)),
        PaperRow("VTimeLLM", _ZERO, (0.9, 3.4, 1.1)),
        PaperRow("VideoExpert (paper)", _ZERO, (2.1, 6.0, 2.7)),
        PaperRow("TimeChat", _TUNED, (3.4, 11.0, None)),
        PaperRow("VTGLLM", _TUNED, (3.6, 13.4, None)),
        PaperRow("VideoExpert (paper)", _TUNED, (4.2, 18.7, 4.8)),
    ),
)
NEXTGQA = PaperTable(
    "Table V: NExT-GQA, test",
    "test",
    ("Acc@QA", "Acc@GQA", "IoP@0.3", "IoP@0.5", "mIoP", "IoU@0.3", "IoU@0.5", "mIoU"),
    (
        PaperRow("Random", "control", (20.0, 1.7, 20.6, 8.7, 21.1, 20.6, 8.7, 21.1)),
        PaperRow("Human", "control", (93.3, 82.1, 91.7, 86.2, 72.1, 86.9, 70.3, 61.2)),
        PaperRow("IGV", _SPECIAL, (50.1, 10.2, 26.9, 18.9, 21.4, 19.8, 9.6, 14.0)),
        PaperRow("Violet-V2", _SPECIAL, (52.9, 12.8, 25.1, 23.3, 23.6, 4.3, 1.3, 3.1)),
        PaperRow("Temp[CLIP]", _SPECIAL, (60.2, 16.0, 31.4, 25.5, 25.7, 17.5, 8.9, 12.1)),
        PaperRow("FrozenBiLM", "generalist", (70.8, 17.5, 28.5, 23.7, 24.2, 13.5, 6.1, 9.6)),
        PaperRow("LLoVi", "generalist", (None, 11.2, None, 20.5, 20.7, None, 6.0, 8.7)),
        PaperRow("LangRepo", "generalist", (None, 11.2, None, 20.0, 20.3, None, 6.0, 8.7)),
        PaperRow("SeViLA", "generalist", (68.1, 16.6, 34.7, 22.9, 29.5, 29.2, 13.8, 21.7)),
        PaperRow("VTimeLLM", "generalist", (None, 12.7, 30.3, 23.8, 27.9, 27.7, 14.1, 18.3)),
        PaperRow("VideoStream", "generalist", (None, 17.8, None, 31.0, 32.2, None, 13.3, 17.8)),
        PaperRow("HawkEye", "generalist", (None, None, None, None, None, 37.0, 19.5, 25.7)),
        PaperRow("VideoExpert (paper)", "generalist", (71.1, 21.6, 45.3, 29.3, 34.6, 41.0, 22.4, 27.9)),
    ),
)

#: benchmark -> the paper's table; the paper has none for the other benchmarks
PAPER_TABLES: dict[str, PaperTable] = {
    "charades-sta": CHARADES,
    "qvhighlights": QVHIGHLIGHTS,
    "youcook2": YOUCOOK2,
    "nextgqa": NEXTGQA,
}
