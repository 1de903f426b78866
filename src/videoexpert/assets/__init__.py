"""What the package carries: the shipped model, its CLIP towers, and the demo video with its queries."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent
SHIPPED_MODEL = _HERE / "model"
# the vision tower's whole CLIPModel, text tower included
SHIPPED_CLIP = _HERE / "clip"
SHIPPED_VIDEO = _HERE / "demo.mp4"
# what to ask about the shipped video
SHIPPED_QUERIES = _HERE / "demo.json"
