"""One new word: ``<LOC>`` asks for a localisation where other models write a time (paper III-C).

Its embedding row and its output row are parameters of their own beside the untouched base matrices. So
exactly two rows train, the base stays frozen bit for bit, and an adapter-only checkpoint holds the two rows
alone.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AddedToken

from ..errors import InputError


class LocEmbedding(nn.Module):
    """An embedding of V words with the row ``loc_row`` (1, D) for id ``loc_id``, which may be V."""

    def __init__(self, base: nn.Embedding, loc_id: int) -> None:
        super().__init__()
        self.base, self.loc_id = base, loc_id
        self.loc_row = nn.Parameter(_mean_row(base.weight))

    @property
    def weight(self) -> Tensor:
        """(V, D), the base matrix alone; libraries ask it for dtype and device."""
        return self.base.weight

    def forward(self, ids: Tensor) -> Tensor:
        """``ids`` (B, L) -> (B, L, D) in the base's dtype."""
        is_loc = ids == self.loc_id
        rows = self.base(ids.masked_fill(is_loc, 0))
        return torch.where(is_loc.unsqueeze(-1), self.loc_row.to(rows.dtype), rows)


class LocOutput(nn.Module):
    """An output layer over V words whose column ``loc_id`` is ``h @ loc_row^T``.

    The column is appended when ``loc_id`` is V. Below V it replaces a spare row of a padded matrix, as
    Qwen's are.
    """

    def __init__(self, base: nn.Linear, loc_id: int) -> None:
        super().__init__()
        self.base, self.loc_id = base, loc_id
        self.loc_row = nn.Parameter(_mean_row(base.weight))

    @property
    def weight(self) -> Tensor:
        """(V, D), the base matrix alone; libraries ask it for dtype and device."""
        return self.base.weight

    def forward(self, hidden: Tensor) -> Tensor:
        """``hidden`` (B, L, D) -> logits (B, L, max(V, loc_id + 1))."""
        logits = self.base(hidden)
        column = F.linear(hidden, self.loc_row.to(hidden.dtype)).to(logits.dtype)
        return torch.cat((logits[..., : self.loc_id], column, logits[..., self.loc_id + 1 :]), dim=-1)


def install_loc(language_model: Any, loc_token_id: int, *, train_vocabulary: str = "loc") -> None:
    """Gives a causal language model of transformers the two ``<LOC>`` rows, at first the base rows' mean.

    ``train_vocabulary`` "loc" trains these two rows only; "all" the base matrices too, as the released code
    does. Tied base matrices stay tied; the two rows are apart. The model's ``config.vocab_size`` counts
    ``<LOC>`` afterwards: a config that is to rebuild the base model has to be saved before.

    Raises InputError for an id that the vocabulary has no place for, or a model that has ``<LOC>`` already.
    """
    embedding, output = language_model.get_input_embeddings(), language_model.get_output_embeddings()
    if isinstance(embedding, LocEmbedding):
        raise InputError(f"this language model already has <LOC> as id {embedding.loc_id}; install it once.")
    if output is None:
        raise InputError(f"{type(language_model).__name__} has no output layer; use a causal language model.")
    size = int(embedding.weight.shape[0])
    if not 0 <= loc_token_id <= size:
        raise InputError(
            f"the id of <LOC> is {loc_token_id}, expected 0 to the {size} words of the language model; "
            "use the tokenizer that belongs to it."
        )
    names = {module: name for name, module in language_model.named_modules() if module in (embedding, output)}
    for base in (embedding, output):
        base.weight.requires_grad_(train_vocabulary == "all")
    language_model.set_input_embeddings(LocEmbedding(embedding, loc_token_id))
    language_model.set_output_embeddings(LocOutput(output, loc_token_id))
    _rename_tied(language_model, {f"{name}.weight": f"{name}.base.weight" for name in names.values()})
    total = max(size, loc_token_id + 1)
    language_model.config.vocab_size = total
    if hasattr(language_model, "vocab_size"):
        language_model.vocab_size = total


def add_loc_token(tokenizer: Any, loc_text: str) -> int:
    """Adds ``loc_text`` to any tokenizer of transformers and returns its id.

    An ordinary added token, as in the released code: not special, so that decoded text shows it.

    Raises InputError for an empty text.
    """
    if not loc_text.strip():
        raise InputError(f"loc_text is {loc_text!r}, expected a visible word such as '<LOC>'.")
    tokenizer.add_tokens([AddedToken(loc_text, normalized=False, special=False)])
    return int(tokenizer.convert_tokens_to_ids(loc_text))


def _mean_row(weight: Tensor) -> Tensor:
    """(V, D) -> (1, D) float32."""
    return weight.detach().float().mean(dim=0, keepdim=True)


def _rename_tied(language_model: Any, renamed: dict[str, str]) -> None:
    """Gives transformers the new names of tied matrices: loading and saving still treat them as one."""
    for attribute in ("_tied_weights_keys", "all_tied_weights_keys"):
        tied = getattr(language_model, attribute, None)
        if tied:
            setattr(
                language_model, attribute, {renamed.get(k, k): renamed.get(v, v) for k, v in tied.items()}
            )
