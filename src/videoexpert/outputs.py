"""What a forward pass of the model returns."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from transformers.utils.generic import ModelOutput


@dataclass
class VideoExpertOutput(ModelOutput):
    """``loss`` is the weighted sum (paper Eq. 11); its parts are unweighted. Q is the number of ``<LOC>``.

    states              (B, L, D) of the language model after its last norm
    indicator_logits    (Q, N)
    boundary_logits     (Q, N, 2)
    """

    loss: Tensor | None = None
    text_loss: Tensor | None = None
    indicator_loss: Tensor | None = None
    l1_loss: Tensor | None = None
    giou_loss: Tensor | None = None
    alignment_loss: Tensor | None = None
    states: Tensor | None = None
    indicator_logits: Tensor | None = None
    boundary_logits: Tensor | None = None
