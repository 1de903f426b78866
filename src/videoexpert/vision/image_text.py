"""Pictures and sentences in one space: CLIP, MetaCLIP, SigLIP, SigLIP 2 and NaFlex as transformers stores them.

``load_tower`` gives an ImageTextTower by folder or hub id; what it embeds equals transformers' own route
(tests/vision/test_image_text.py). OpenCLIP checkpoints come through ``open_clip_tower.py``.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from .. import hub, pretrained
from ..errors import CheckpointError, InputError, ModelWarning
from ..marks import marks_of, words_of
from .naflex import PatchPreprocessor
from .preprocess import Preprocessor

BATCH = 32
FAMILIES = {  # model_type of a config: what people call it
    "clip": "CLIP",
    "metaclip_2": "MetaCLIP 2",
    "siglip": "SigLIP",
    "siglip2": "SigLIP 2 NaFlex",
    "open_clip": "OpenCLIP",
}
SIGLIP_LENGTH = 64  # tokens: what SigLIP and SigLIP 2 were trained with, padding included
_HALF = (0.5, 0.5, 0.5)


@runtime_checkable
class ImageTextTower(Protocol):
    """Pictures (N, 3, h, w) and sentences to unit rows of one space of ``width`` C.

    An index of embeddings is keyed by ``name``, ``revision`` and ``preprocessing``: rows of two keys must not be
    compared.
    """

    name: str
    revision: str
    width: int
    logit_scale: float
    logit_bias: float | None

    @property
    def preprocessing(self) -> Preprocessor | PatchPreprocessor: ...

    def resize(self, frame: np.ndarray) -> Tensor:
        """One upright RGB frame (h, w, 3) uint8 to the (3, S, S) uint8 that the tower reads; for decoding.

        NaFlex keeps the picture's shape: (3, H, W).
        """
        ...

    def encode_images(self, pixels: Tensor, batch_size: int = ...) -> Tensor:
        """Pictures (N, 3, h, w) uint8 to (N, C) float32 unit rows on the CPU."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Q sentences to (Q, C) float32 unit rows on the CPU."""
        ...


class TransformersTower:
    """A CLIPModel, MetaClip2Model, SiglipModel or Siglip2Model with its tokenizer and preprocessing, frozen."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        preprocessing: Preprocessor | PatchPreprocessor,
        *,
        name: str,
        revision: str = "unsaved",
    ) -> None:
        self.model = model.requires_grad_(False).eval()
        self.tokenizer, self.preprocessing = tokenizer, preprocessing
        self.name, self.revision = name, revision
        self.is_siglip = model.config.model_type in ("siglip", "siglip2")
        text = model.config.text_config
        positions = int(text.max_position_embeddings)
        self.most_tokens = min(SIGLIP_LENGTH, positions) if self.is_siglip else positions
        self.width = int(text.projection_size if self.is_siglip else model.config.projection_dim)
        self.logit_scale = float(model.logit_scale.detach().float().exp())
        bias = getattr(model, "logit_bias", None)
        self.logit_bias = None if bias is None else float(bias.detach().float())
        # CLIP reads a sentence at its end token; a tokenizer that adds none gets it written out
        self._marks = marks_of(tokenizer)
        ids = tokenizer("a")["input_ids"]
        self._end = "" if self.is_siglip or ids[-1] == tokenizer.eos_token_id else tokenizer.eos_token or ""

    def resize(self, frame: np.ndarray) -> Tensor:
        """One upright RGB frame (h, w, 3) uint8 to (3, S, S) uint8, or (3, H, W) of NaFlex."""
        return self.preprocessing.resize(frame)

    @torch.inference_mode()
    def encode_images(self, pixels: Tensor, batch_size: int = BATCH) -> Tensor:
        """Pictures (N, 3, h, w) uint8 to (N, C) unit rows, ``batch_size`` at a time.

        Raises InputError for another shape or type.
        """
        if pixels.ndim != 4 or pixels.shape[1] != 3 or pixels.dtype != torch.uint8:
            raise InputError(f"pixels must be (N, 3, h, w) uint8, got {tuple(pixels.shape)} {pixels.dtype}.")
        if batch_size < 1:
            raise InputError(f"batch_size is {batch_size}, expected at least 1.")
        rows = torch.empty(len(pixels), self.width)
        for first in range(0, len(pixels), batch_size):
            batch = pixels[first : first + batch_size].to(self.model.device)
            if batch.shape[-2:] != self.preprocessing.shape(*batch.shape[-2:]):
                batch = self.preprocessing.resize_pixels(batch)
            inputs = self.preprocessing.inputs(batch)
            inputs["pixel_values"] = inputs["pixel_values"].to(self.model.dtype)
            found = _pooled(self.model.get_image_features(**inputs))
            rows[first : first + batch_size] = normalize(found.float(), dim=-1).cpu()
        return rows

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Sentences to (Q, C) unit rows. Words past what the tower reads are left out, with a ModelWarning."""
        if not texts:
            return torch.empty(0, self.width)
        found = _pooled(self.model.get_text_features(**self._tokenised(texts)))
        return normalize(found.float(), dim=-1).cpu()

    @torch.inference_mode()
    def text_states(self, texts: Sequence[str]) -> list[tuple[Tensor, Tensor]]:
        """Of each sentence the states of its L tokens after the last norm (L, W), and its embedding (C,) as it is.

        Start and end token are included, padding is not. Float32 on the CPU.
        """
        batch = self._tokenised(texts)
        states = self.model.text_model(**batch).last_hidden_state.float().cpu()
        pooled = _pooled(self.model.get_text_features(**batch)).float().cpu()
        if "attention_mask" in batch:
            lengths = batch["attention_mask"].sum(-1).tolist()
        else:  # SigLIP's tokenizer gives none, and pads with a token of its own
            lengths = (batch["input_ids"] != self.tokenizer.pad_token_id).sum(-1).clamp(min=1).tolist()
        return [(row[:length].clone(), own) for row, own, length in zip(states, pooled, lengths, strict=True)]

    def _tokenised(self, texts: Sequence[str]) -> dict[str, Tensor]:
        ended = [words_of(text, self._marks) + self._end for text in texts]
        self._warn_of_long(ended)
        options: dict[str, Any] = {"padding": "max_length"} if self.is_siglip else {"padding": True}
        batch = self.tokenizer(
            ended, return_tensors="pt", truncation=True, max_length=self.most_tokens, **options
        )
        return {name: value.to(self.model.device) for name, value in batch.items()}

    def _warn_of_long(self, texts: Sequence[str]) -> None:
        lengths = [len(ids) for ids in self.tokenizer(list(texts), verbose=False)["input_ids"]]
        longest = max(range(len(texts)), key=lengths.__getitem__)
        if lengths[longest] > self.most_tokens:
            warnings.warn(
                f"{self.name} reads the first {self.most_tokens} tokens of a sentence, and {texts[longest][:40]!r}... "
                f"has {lengths[longest]}: the rest is left out.",
                ModelWarning,
                stacklevel=4,
            )


def load_tower(
    name: str | Path,
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
    config: Mapping[str, Any] | None = None,
) -> ImageTextTower:
    """The tower of a model folder or hub id; no code of the model's runs, and only safetensors are read.

    ``dtype``: float32 on a CPU and float16 elsewhere unless given. ``config`` where it was read already. Raises
    CheckpointError for a model of another kind or an incomplete one, DependencyError for an OpenCLIP checkpoint
    without open_clip.
    """
    fields = hub.read_config(name) if config is None else config
    kind = fields.get("model_type")
    where = torch.device(device)
    dtype = dtype or (torch.float32 if where.type == "cpu" else torch.float16)
    if kind == "open_clip":
        from .open_clip_tower import load_open_clip

        return load_open_clip(name, where, dtype)
    if kind not in FAMILIES:
        raise CheckpointError(
            f"{name} is a model of type {kind!r}, which does not embed pictures and sentences in one space; use a CLIP "
            "or SigLIP (`videoexpert models` lists some)."
        )
    folder = hub.files(name)
    model, tokenizer = _load(name, folder, dtype)
    preprocessing = _preprocessing(folder, str(kind), model.config.vision_config)
    return TransformersTower(
        model.to(where),
        tokenizer,
        preprocessing,
        name=str(name),
        revision=hub.weights_digest(folder),
    )


def _load(name: str | Path, folder: Path, dtype: torch.dtype) -> tuple[Any, Any]:
    from transformers import AutoModel

    with _quietly():
        model, report = pretrained.model_of(AutoModel, folder, "model of pictures and text", dtype=dtype)
        tokenizer = pretrained.tokenizer_of(folder)
    missing = sorted(key for key in report["missing_keys"] if not key.endswith(".position_ids"))
    if missing:
        raise CheckpointError(
            f"{name} lacks {len(missing)} of its weights ({missing[0]} first); download it again."
        )
    return model, tokenizer


def _preprocessing(folder: Path, kind: str, vision: Any) -> Preprocessor | PatchPreprocessor:
    """What the folder says of its pictures, else the family's own."""
    for name in ("preprocessor_config.json", "processor_config.json"):
        if (folder / name).is_file():
            if kind != "siglip2":
                return Preprocessor.from_file(folder / name)
            stored = pretrained.read_object(folder / name)
            return PatchPreprocessor.from_stored(stored.get("image_processor", stored), str(folder / name))
    if kind == "siglip2":
        return PatchPreprocessor(int(vision.patch_size), int(vision.num_patches))
    image_size = int(vision.image_size)
    if kind == "siglip":
        # SigLIP 2, which shares the model type, has Gemma's tokenizer and other pictures
        described = folder / "tokenizer_config.json"
        tokenizer = (
            str(pretrained.read_object(described).get("tokenizer_class")) if described.is_file() else ""
        )
        resampling = "bilinear" if tokenizer.startswith("Gemma") else "bicubic"
        return Preprocessor(image_size, mean=_HALF, std=_HALF, crop=False, interpolation=resampling)
    return Preprocessor(image_size)


def _pooled(found: Any) -> Tensor:
    """transformers 5 gives an object where 4 gave the rows."""
    rows: Tensor = found if isinstance(found, Tensor) else found.pooler_output
    return rows


@contextmanager
def _quietly() -> Iterator[None]:
    """Replaces the table of keys and the bar: one sentence names missing keys, and unknown keys are ignored.

    SigLIP's published configs leave out start and end token, of whose defaults transformers warns; nothing uses them.
    """
    from transformers.utils import logging as theirs

    loggers = [
        logging.getLogger(f"transformers.{name}") for name in ("modeling_utils", "configuration_utils")
    ]
    bars = theirs.is_progress_bar_enabled()

    def hide(record: logging.LogRecord) -> bool:
        return (
            not record.getMessage().startswith("Model config: ") and "LOAD REPORT" not in record.getMessage()
        )

    for logger in loggers:
        logger.addFilter(hide)
    theirs.disable_progress_bar()
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(hide)
        if bars:
            theirs.enable_progress_bar()


__all__ = ["BATCH", "FAMILIES", "ImageTextTower", "TransformersTower", "load_tower"]
