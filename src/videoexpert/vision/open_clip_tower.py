"""OpenCLIP checkpoints that transformers does not know (PE-Core, MobileCLIP2, timm's SigLIP): needs open_clip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from .. import hub
from ..errors import CheckpointError, DependencyError, InputError
from ..marks import words_of
from .preprocess import CLIP_MEAN, CLIP_STD, Preprocessor

BATCH = 32
MARKS = ("<start_of_text>", "<end_of_text>", "<|startoftext|>", "<|endoftext|>", "</s>", "<pad>")


class OpenClipTower:
    """An ImageTextTower (image_text.py) over a model and a tokenizer of open_clip."""

    def __init__(
        self, model: Any, tokenizer: Any, preprocessing: Preprocessor, *, width: int, name: str, revision: str
    ) -> None:
        self.model, self.tokenizer, self.preprocessing = (
            model.requires_grad_(False).eval(),
            tokenizer,
            preprocessing,
        )
        self.width, self.name, self.revision = width, name, revision
        self.logit_scale = float(model.logit_scale.detach().float().exp())
        bias = getattr(model, "logit_bias", None)
        self.logit_bias = None if bias is None else float(bias.detach().float())
        first = next(iter(model.parameters()))
        self._device, self._dtype = first.device, first.dtype

    def resize(self, frame: np.ndarray) -> Tensor:
        """One upright RGB frame (h, w, 3) uint8 to (3, S, S) uint8."""
        return self.preprocessing.resize(frame)

    @torch.inference_mode()
    def encode_images(self, pixels: Tensor, batch_size: int = BATCH) -> Tensor:
        """Pictures (N, 3, h, w) uint8 to (N, C) unit rows. Raises InputError for another shape or type."""
        if pixels.ndim != 4 or pixels.shape[1] != 3 or pixels.dtype != torch.uint8:
            raise InputError(f"pixels must be (N, 3, h, w) uint8, got {tuple(pixels.shape)} {pixels.dtype}.")
        size = self.preprocessing.image_size
        rows = torch.empty(len(pixels), self.width)
        for first in range(0, len(pixels), batch_size):
            batch = pixels[first : first + batch_size].to(self._device)
            if batch.shape[-2:] != (size, size):
                batch = self.preprocessing.resize_pixels(batch)
            found = self.model.encode_image(self.preprocessing.normalise(batch).to(self._dtype))
            rows[first : first + batch_size] = normalize(found.float(), dim=-1).cpu()
        return rows

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Sentences to (Q, C) unit rows."""
        if not texts:
            return torch.empty(0, self.width)
        found = self.model.encode_text(
            self.tokenizer([words_of(text, MARKS) for text in texts]).to(self._device)
        )
        return normalize(found.float(), dim=-1).cpu()


def load_open_clip(name: str | Path, device: torch.device, dtype: torch.dtype) -> OpenClipTower:
    """The tower of a folder or hub id with open_clip_config.json and safetensors.

    Raises DependencyError without open_clip, CheckpointError for preprocessing that is not one square picture or
    weights that do not fit.
    """
    try:
        import open_clip
    except ImportError as error:
        raise DependencyError(
            f"{name} is an OpenCLIP checkpoint and open_clip is not installed; run `pip install videoexpert[openclip]`."
        ) from error
    folder = hub.files(name)
    fields = hub.read_config(folder)
    preprocessing = preprocessor_of(name, fields)
    where = f"local-dir:{folder}"  # its loader takes safetensors before anything else, and we saw that they are there
    try:
        model = open_clip.create_model(where, require_pretrained=True, weights_only=True)
        tokenizer = open_clip.get_tokenizer(where)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise CheckpointError(
            f"{name} cannot be loaded by open_clip ({reason}); download it again."
        ) from error
    return OpenClipTower(
        model.to(device=device, dtype=dtype),
        tokenizer,
        preprocessing,
        width=int(fields["model_cfg"]["embed_dim"]),
        name=str(name),
        revision=hub.weights_digest(folder),
    )


def preprocessor_of(name: str | Path, fields: Mapping[str, Any]) -> Preprocessor:
    """What open_clip_config.json says of pictures: ``preprocess_cfg`` over OpenCLIP's defaults.

    Raises CheckpointError where it asks for what Preprocessor does not do.
    """
    try:
        model = fields["model_cfg"]
        size = model["vision_cfg"].get("image_size", 224)
        int(model["embed_dim"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(
            f"{name} has an {hub.OPEN_CLIP_CONFIG} without model_cfg.vision_cfg and model_cfg.embed_dim; download it "
            "again."
        ) from error
    stored = fields.get("preprocess_cfg") or {}
    sides = {int(side) for side in (size if isinstance(size, list) else [size])}
    mode = stored.get("resize_mode", "shortest")
    if len(sides) != 1 or mode not in ("shortest", "squash"):
        raise CheckpointError(
            f"{name} resizes to {size} by {mode!r}, expected one square size by 'shortest' or 'squash'; use another "
            "model of `videoexpert models`."
        )
    return Preprocessor(
        sides.pop(),
        mean=tuple(stored.get("mean", CLIP_MEAN)),
        std=tuple(stored.get("std", CLIP_STD)),
        crop=mode == "shortest",
        interpolation=stored.get("interpolation", "bicubic"),
    )
