"""Attention over a shared prefix and a row of one's own: two products with one softmax over both.

The queries of all rows on a video meet the prefix's keys in one product, and each row's own keys in another; the two
results are merged by the log of their sums of exponentials, which is exact. No key or value of a prefix is copied
for a row, and nothing is computed to be masked away.

transformers reaches ``attend`` through its AttentionInterface; outside of a pass (passes.py) it is the
implementation that the model had before. Letters as in passes.py.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache, partial
from typing import Any, Protocol, cast

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from ..errors import InputError

_NAME = "videoexpert_"  # prefix of the name of the implementation that ``attend`` replaces


class Pass(Protocol):
    """What attention asks of the pass that is under way; ``passes.SharedPass`` answers."""

    @property
    def own(self) -> Any: ...
    @property
    def kernel(self) -> str: ...
    def places(self, width: int) -> Tensor: ...
    def prefix(self, layer: int) -> tuple[Tensor, Tensor]: ...
    def biases(
        self, width: int, reach: int, heads: int, groups: int, window: int | None, like: Tensor, fuse: bool
    ) -> tuple[Tensor | None, Tensor | None]: ...
    def grouped(self, rows: Tensor, heads: int) -> Tensor: ...
    def ungrouped(self, grouped: Tensor, groups: int, width: int) -> Tensor: ...


_PASS: ContextVar[Pass | None] = ContextVar("videoexpert_pass", default=None)


@contextmanager
def attending(current: Pass) -> Iterator[None]:
    """Attention inside the block is that of ``current``, in this thread (or task) alone."""
    token = _PASS.set(current)
    try:
        yield
    finally:
        _PASS.reset(token)


def install_prefix_attention(language_model: Any) -> bool:
    """Lets a causal language model of transformers attend to shared prefixes; nothing else of it changes.

    Returns False for the families that do not take attention through the AttentionInterface.
    """
    if not getattr(language_model, "_supports_attention_backend", False):
        return False
    config = language_model.config
    before = config._attn_implementation or "eager"
    if not before.startswith(_NAME):
        name = _NAME + before
        if name not in ALL_ATTENTION_FUNCTIONS:
            AttentionInterface.register(name, partial(attend, before))
            if before in ALL_MASK_ATTENTION_FUNCTIONS:
                AttentionMaskInterface.register(name, ALL_MASK_ATTENTION_FUNCTIONS[before])
        config._attn_implementation = name
    return True


def plain_attention(name: str, module: Any) -> Callable[..., Any]:
    """The implementation of that name; "eager" is each family's own."""
    eager: Any = getattr(sys.modules[type(module).__module__], "eager_attention_forward", None)
    found: Callable[..., Any] = ALL_ATTENTION_FUNCTIONS.get_interface(name, eager)
    return found


def attend(
    before: str,
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **options: Any,
) -> tuple[Tensor, Tensor | None]:
    """transformers' attention: query (R, H, S, d), key and value (R, K, S, d) -> (R, S, H, d).

    Raises InputError in a pass for attention that is more than products and a softmax (sinks, position biases).
    """
    current = _PASS.get()
    if current is None:
        return plain_attention(before, module)(
            module,
            query,
            key,
            value,
            attention_mask,
            scaling=scaling,
            sliding_window=sliding_window,
            softcap=softcap,
            **options,
        )
    for name in ("s_aux", "position_bias"):
        if options.get(name) is not None:
            raise InputError(
                f"{type(module).__name__} attends with {name}, which cannot be split into prefix and suffix; "
                "use another language model."
            )
    width, depth = query.shape[2:]
    kv_heads, groups = key.shape[1], query.shape[1] // key.shape[1]
    scale = depth**-0.5 if scaling is None else scaling
    if current.own is not None:
        key, value = current.own.update(module.layer_idx, key, value, current.places(width))
    prefix_keys, prefix_values = current.prefix(module.layer_idx)
    weigh = KERNELS[current.kernel]
    fuse = softcap is None and weigh is plain and is_fused(query)
    seen, behind = current.biases(width, key.shape[2], kv_heads, groups, sliding_window, query, fuse)
    shared, shared_sum = weigh(
        current.grouped(query, kv_heads), prefix_keys, prefix_values, scale, seen, softcap
    )
    own, own_sum = weigh_rows(weigh, query, key, value, scale, behind, softcap)
    shared, shared_sum = (current.ungrouped(t, groups, width) for t in (shared, shared_sum.unsqueeze(-1)))
    share = torch.sigmoid(shared_sum - own_sum.unsqueeze(-1))  # of the prefix in the softmax over both
    merged = torch.lerp(own.float(), shared.float(), share).to(query.dtype)
    return merged.transpose(1, 2).contiguous(), None


def weigh_rows(
    weigh: Kernel,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    scale: float,
    bias: Tensor | None,
    softcap: float | None,
) -> tuple[Tensor, Tensor]:
    """A kernel's answer for rows among themselves: (R, H, S, d) and (R, H, S). Without a ``bias`` they are causal."""
    if bias is None:
        return _fused(query, key, value, scale, None, causal=True)
    groups = query.shape[1] // key.shape[1]
    parts = query.unflatten(1, (-1, groups)).flatten(2, 3)  # (R, K, G * S, d)
    found = weigh(parts, key, value, scale, bias, softcap)
    out, total = (t.unflatten(2, (groups, -1)).flatten(1, 2) for t in found)
    return out, total


def plain(
    query: Tensor, key: Tensor, value: Tensor, scale: float, bias: Tensor | None, softcap: float | None
) -> tuple[Tensor, Tensor]:
    """Attention (B, K, M, d) and the log of each query's sum of exponentials (B, K, M), in float32.

    ``bias`` (broadcast to (B, K, M, L)) is added to the scores: very low where a query may not look.
    """
    if softcap is None and is_fused(query):
        return _fused(query, key, value, scale, bias, causal=False)
    scores = (query @ key.transpose(-1, -2)).float() * scale
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    if bias is not None:
        scores = scores + bias
    total = scores.logsumexp(-1)
    weights = (scores - total[..., None]).exp().to(value.dtype)
    return weights @ value, total


def flex(
    query: Tensor, key: Tensor, value: Tensor, scale: float, bias: Tensor | None, softcap: float | None
) -> tuple[Tensor, Tensor]:
    """``plain`` by FlexAttention, compiled on a GPU: one kernel, and the scores are never in memory."""

    def changed(score: Tensor, b: Tensor, h: Tensor, m: Tensor, k: Tensor) -> Tensor:
        if softcap is not None:
            score = torch.tanh(score / softcap) * softcap
        if bias is None:
            return score
        rows = bias.shape[-2] > 1  # else the same for all of a video's
        return score + bias[b, h if bias.shape[1] > 1 else 0, m if rows else 0, k]

    from torch.nn.attention.flex_attention import AuxRequest  # of newer torch

    as_they_are = bias is None and softcap is None
    out, more = flex_attention_on(query.device.type)(
        query,
        key,
        value,
        score_mod=None if as_they_are else changed,
        scale=scale,
        return_aux=AuxRequest(lse=True),
    )
    return out, more.lse


@lru_cache
def flex_attention_on(device: str) -> Callable[..., Any]:
    """FlexAttention: compiled on CUDA, and as it is elsewhere."""
    from torch.nn.attention.flex_attention import flex_attention

    found: Any = torch.compile(flex_attention) if device == "cuda" else flex_attention
    return cast("Callable[..., Any]", found)


def is_fused(query: Tensor) -> bool:
    """Whether torch has a kernel here that also returns the sums; elsewhere the two products are written out."""
    return query.device.type == "cpu" and query.dtype in (torch.float32, torch.bfloat16, torch.float16)


def _fused(
    query: Tensor, key: Tensor, value: Tensor, scale: float, bias: Tensor | None, *, causal: bool
) -> tuple[Tensor, Tensor]:
    out, total = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        query, key, value, 0.0, causal, attn_mask=bias, scale=scale
    )
    return out, total.float()


Kernel = Callable[
    [Tensor, Tensor, Tensor, float, Tensor | None, float | None],
    tuple[Tensor, Tensor],
]
KERNELS: dict[str, Kernel] = {"plain": plain, "flex": flex}


def as_bias(allowed: Tensor, like: Tensor) -> Tensor:
    """0 where allowed, else the lowest number of the dtype."""
    bias = torch.zeros(allowed.shape, dtype=like.dtype, device=like.device)
    return bias.masked_fill_(~allowed, torch.finfo(like.dtype).min)
