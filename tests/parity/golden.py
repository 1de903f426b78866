"""Reading of the golden scorer results, shared by the parity tests of this folder."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

RELATIVE = 1e-9  # the official sums run in varying order; see the golden README


def load(path: Path) -> Any:
    """JSON, plain or gzip; the string "NaN" stands for a float NaN."""
    data = path.read_bytes()
    text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode()
    return with_nan(json.loads(text))


def with_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: with_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [with_nan(item) for item in value]
    return float("nan") if value == "NaN" else value


def write(folder: Path, name: str, value: Any) -> Path:
    path = folder / name
    path.write_text(json.dumps(value))
    return path
