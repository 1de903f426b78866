"""The recipe of the ablations with every stage of toy size."""

from __future__ import annotations

from pathlib import Path

RECIPE = Path(__file__).parents[1] / "recipes" / "ablation.yaml"
STAGE = ("steps=1", "videos=2", "questions=2")
TOY = (
    *(f"{stage}.{part}" for stage in ("warm_start", "base", "variant") for part in STAGE),
    *("model.num_frames=8", "model.tokens_per_group=3", "model.key_tokens=2", "model.head_width=16"),
    *("model.temporal_rank=4", "model.spatial_rank=4", "videos=2", "calibration_videos=2", "test_videos=2"),
    *("language.hidden_size=32", "language.intermediate_size=48", "language.num_hidden_layers=1"),
    *("render_size=64", "variant.train_language=false"),
)
