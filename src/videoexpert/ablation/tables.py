"""The paper's tables as data: which variants each compares, and the paper's own numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

TG, DVC, GQA = "qvhighlights", "youcook2", "nextgqa"
TG_METRICS = (f"{TG}/R1@0.5", f"{TG}/R1@0.7", f"{TG}/mAP")
DVC_METRICS = (f"{DVC}/SODA_c", f"{DVC}/CIDEr", f"{DVC}/METEOR")
OWN = (
    "charades-sta/R1@0.5",
    "charades-sta/mIoU",
)  # beside the paper's: windows that are not cut to clips of 2 s


@dataclass(frozen=True)
class Variant:
    """One row: its name, the config fields that make it, and the paper's numbers by metric.

    ``paper_name`` is the row's name in the paper where ours is another.
    """

    name: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    paper: Mapping[str, float] = field(default_factory=dict)
    paper_name: str = ""

    @property
    def slug(self) -> str:
        """Folder name: rows of different tables with the same fields share their runs."""
        return "-".join(f"{k}={v}" for k, v in sorted(self.fields.items())) or "default"


@dataclass(frozen=True)
class Table:
    """One of the paper's tables. ``reference`` is the row the others are compared with."""

    name: str
    title: str
    metrics: tuple[str, ...]
    variants: tuple[Variant, ...]
    reference: str


def _rows(names: tuple[str, ...], values: tuple[float, ...]) -> dict[str, float]:
    return dict(zip(names, values, strict=True))


def fusion_table(config: Mapping[str, Any]) -> Table:
    """Table VI: how frames and ``<LOC>`` meet in the head."""
    metrics = (*TG_METRICS, f"{GQA}/IoU@0.3", f"{GQA}/IoU@0.5", f"{GQA}/mIoU")
    numbers = {
        "none": ("w/o <LOC>", (21.4, 12.7, 17.1, 14.3, 7.1, 10.7)),
        "add": ("Add", (52.4, 34.9, 31.1, 41.0, 22.4, 27.9)),
        "concat": ("Concat.", (50.0, 34.0, 30.4, 40.6, 21.2, 26.6)),
        "attention": ("Self-Atten.", (49.7, 34.7, 31.0, 40.7, 23.1, 27.3)),
    }
    variants = tuple(
        Variant(name, _unless_default(config, {"fusion": fusion}), _rows(metrics, values))
        for fusion, (name, values) in numbers.items()
    )
    return Table("fusion", "Table VI: interaction of <LOC> and T-tokens", (*metrics, *OWN), variants, "Add")


def components_table(config: Mapping[str, Any]) -> Table:
    """Table VII: without one component at a time."""
    metrics = (*TG_METRICS, *DVC_METRICS, f"{GQA}/IoU@0.3", f"{GQA}/mIoU", f"{GQA}/Acc@GQA")
    rows: tuple[tuple[str, dict[str, Any], tuple[float, ...]], ...] = (
        ("Ours", {}, (52.4, 34.9, 31.1, 2.1, 6.0, 2.7, 41.0, 27.9, 21.6)),
        (
            "w/o Spatial Compress",
            {"spatial_tokens": "random"},
            (52.1, 34.2, 31.0, 1.7, 5.1, 2.4, 40.8, 26.7, 19.6),
        ),
        (
            "w/o extra patch tokens",
            {"spatial_tokens": "none"},
            (52.7, 34.6, 31.0, 1.6, 4.8, 2.2, 40.7, 26.2, 19.4),
        ),
        (
            "one LoRA of equal size",
            {"experts": "shared"},
            (48.3, 32.5, 29.4, 1.3, 3.6, 1.8, 37.2, 24.5, 18.5),
        ),
        ("w/o temporal head", {"times": "text"}, (43.6, 28.3, 24.8, 1.1, 3.4, 1.3, 29.4, 19.3, 15.7)),
    )
    variants = tuple(Variant(name, fields, _rows(metrics, values)) for name, fields, values in rows)
    return Table(
        "components", "Table VII: model components", (*metrics, f"{GQA}/Acc@QA", *OWN), variants, "Ours"
    )


def head_table(config: Mapping[str, Any]) -> Table:
    """Rows 1 and 5 of Table VII alone: a head against times written as text."""
    found = components_table(config)
    rows = tuple(v for v in found.variants if v.name in ("Ours", "w/o temporal head"))
    return Table(
        "head", "Table VII, rows 1 and 5: head against timestamps as text", found.metrics, rows, "Ours"
    )


def times_table(config: Mapping[str, Any]) -> Table:
    """A head against every form that text can give times: the baseline at its best, not at its paper's form."""
    found = head_table(config)
    rows = (
        *found.variants,
        Variant("times as seconds", {"times": "seconds"}),
        Variant("times as words of their own", {"times": "tokens"}),
    )
    return Table("times", "A head against timestamps as text, in three forms", found.metrics, rows, "Ours")


def spatial_table(config: Mapping[str, Any]) -> Table:
    """Table VIII: U x W; doubled groups, doubled tokens a group, and both, from the recipe's own U x W."""
    u, w, key = config["groups"], config["tokens_per_group"], config["key_tokens"]
    variants = [Variant("0 x 0", {"spatial_tokens": "none"}, {f"{DVC}/CIDEr": 4.8})]
    for more_groups, more_tokens, cider in ((1, 1, 6.0), (1, 2, 6.1), (2, 1, 6.4), (2, 2, 6.4)):
        theirs = f"{4 * more_groups} x {64 * more_tokens}"
        fields = {
            "groups": u * more_groups,
            "tokens_per_group": w * more_tokens,
            "key_tokens": key * more_tokens,
        }
        name = f"{u * more_groups} x {w * more_tokens}"
        variants.append(Variant(name, _unless_default(config, fields), {f"{DVC}/CIDEr": cider}, theirs))
    metrics = (*DVC_METRICS, f"{GQA}/Acc@QA", f"{GQA}/Acc@GQA", *OWN)
    return Table("spatial", "Table VIII: U x W S-tokens", metrics, tuple(variants), f"{u} x {w}")


def ranks_table(config: Mapping[str, Any]) -> Table:
    """Fig. 5: temporal rank alpha * R, spatial rank (1 - alpha) * R. The figure gives no numbers to copy."""
    total = config["temporal_rank"] + config["spatial_rank"]
    variants = []
    for alpha in (0.0, 0.25, 0.5, 0.75, 1.0):
        temporal = round(alpha * total)
        fields = {"temporal_rank": temporal, "spatial_rank": total - temporal}
        variants.append(Variant(f"alpha {alpha:g}", _unless_default(config, fields)))
    metrics = (*TG_METRICS, f"{DVC}/SODA_c", f"{GQA}/mIoU", f"{GQA}/Acc@GQA", *OWN)
    return Table("ranks", "Fig. 5: rank of the two experts", metrics, tuple(variants), "alpha 0.5")


TABLES: dict[str, Callable[[Mapping[str, Any]], Table]] = {
    "fusion": fusion_table,
    "components": components_table,
    "head": head_table,
    "times": times_table,
    "spatial": spatial_table,
    "ranks": ranks_table,
}


def _unless_default(config: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Only the fields that differ from the recipe's, so that its own row is named ``default``."""
    return {name: value for name, value in fields.items() if config[name] != value}


__all__ = ["TABLES", "Table", "Variant"]
