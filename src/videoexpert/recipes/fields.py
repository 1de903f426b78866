"""Kinds of values that recipes of every kind share."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ..limits import MOST_SEED

Seed = Annotated[int, Field(ge=0, le=MOST_SEED)]

__all__ = ["Seed"]
