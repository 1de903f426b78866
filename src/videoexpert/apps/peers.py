"""``encode --layout``: a feature store in the files that lighthouse and Moment-DETR train on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..escapes import quantity
from .terminal import complain

STORE = "store"  # the store's name under --out


@dataclass(frozen=True)
class Peer:
    """The options of ``encode`` that decide what a peer gets; ``layout`` None: nothing."""

    layout: str | None
    store: Path | None
    clip_seconds: float | None
    text: str | None
    annotations: Path | None
    benchmark: str | None
    split: str | None
    model: str | None
    vision: str | None

    def check(self, videos: str | None, out: Path) -> None:
        """Raises InputError for options that contradict each other."""
        if self.layout is None:
            for name, value in (
                ("--store", self.store),
                ("--clip-seconds", self.clip_seconds),
                ("--text", self.text),
            ):
                if value is not None:
                    raise InputError(f"{name} belongs to --layout; name a layout, or leave it out.")
            if videos is None:
                raise InputError("encode needs --videos, the folder of the videos.")
            return
        from ..features.lighthouse import LAYOUTS

        if self.layout not in LAYOUTS:
            raise InputError(f"--layout is {self.layout!r}, expected one of {', '.join(LAYOUTS)}.")
        if (videos is None) == (self.store is None):
            raise InputError("--layout needs --videos to encode, or --store, a store of them; one.")
        if (self.annotations is None) != (self.benchmark is None):
            raise InputError("annotations and their benchmark belong together, got only one of them.")
        if self.store is not None and self.store.resolve() == out.resolve():
            raise InputError(f"--out is the store {out} itself; name another folder for the layout.")

    def store_of(self, out: Path) -> Path:
        """Where the feature store is."""
        if self.layout is None:
            return out
        return self.store or out / STORE

    def write(self, out: Path, device: str) -> bool:
        """The files of the layout, once one process has all. True where some could not be written."""
        from ..features import lighthouse
        from ..features.store import FeatureStore
        from ..runtime import rank_of_process
        from ..windows import CLIP_S

        if rank_of_process()[1] > 1:
            raise InputError(
                "several processes encode, and one writes the layout: run it again with --store."
            )
        assert self.layout is not None
        queries = []
        if self.annotations is not None and self.benchmark is not None:
            queries = lighthouse.queries_of(self.benchmark, self.annotations, self.split)
        done = lighthouse.export(
            FeatureStore.open(self.store_of(out)),
            out,
            self.layout,
            queries=queries,
            texts=self._tower(device) if queries else None,
            clip_s=self.clip_seconds or CLIP_S,
        )
        for sentence in done.failed.values():
            complain(f"Error: {sentence}")
        complain(
            f"{quantity(done.videos, 'video')} and {quantity(done.queries, 'query', 'queries')} "
            f"written into {out} for {self.layout}"
        )
        return bool(done.failed)

    def _tower(self, device: str) -> Any:
        from ..assets import SHIPPED_CLIP
        from ..runtime import pick_device
        from ..vision.image_text import TransformersTower, load_tower

        named = self.text or self.vision
        if named is None and self.model is not None:
            raise InputError(
                "a model folder has no text tower; name the CLIP that its vision tower is of by --text."
            )
        tower = load_tower(named or SHIPPED_CLIP, device=pick_device(device))
        if not isinstance(tower, TransformersTower):
            raise InputError(f"{named} is not a CLIP or SigLIP of transformers; name one by --text.")
        return tower


__all__ = ["Peer"]
