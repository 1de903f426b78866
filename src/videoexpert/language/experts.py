"""Two experts in every linear layer of the language model (paper Eq. 7-9), as one LoRA with a gated rank.

``y = W x + B (gate(role) * (A x)) * scale``: the first r_t rank dimensions are the temporal expert, open for
T-tokens; the other r_s are the spatial expert, open for every other token. No index, no scatter: a product
with a 0/1 gate. The paper's rank split (Fig. 5) is where the gate cuts; the single LoRA of Table VII row 4
is the gate at one everywhere. In shapes, B is the batch and R = r_t + r_s.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import InputError
from ..types import TokenRole

# A linear layer belongs to a decoder block when its name has a number in it: `model.layers.3.mlp.up_proj`.
# Embeddings and the output layer have none. Phi's fused `qkv_proj` and `gate_up_proj` are layers like any.
_IN_BLOCK = re.compile(r"\.\d+\.")


class TokenRoles:
    """The token roles of one forward pass, and what expert layers derive from them, computed once for all layers.

    One object belongs to one forward pass: two threads that ask one model at a time share none of it.

    Raises InputError for ``roles`` that are not (B, L) integers of TokenRole.
    """

    def __init__(self, roles: Tensor, temporal_span: tuple[int, int] | None = None) -> None:
        if roles.ndim != 2 or roles.is_floating_point() or roles.dtype == torch.bool:
            raise InputError(
                f"roles must be (B, L) integers of TokenRole, got {tuple(roles.shape)} of {roles.dtype}; "
                "build them with the sequence."
            )
        self.roles, self.temporal_span = roles, temporal_span
        self._patterns: dict[tuple[object, ...], Tensor] = {}

    def check(self, x: Tensor) -> None:
        """Raises InputError unless ``x`` (B, L, ...) holds the tokens that these roles are of."""
        if self.roles.shape != x.shape[:2]:
            raise InputError(
                f"the roles have shape {tuple(self.roles.shape)} but the layer sees tokens of shape "
                f"{tuple(x.shape[:2])}; pass the roles of this forward pass, or None for a decoding step."
            )

    def pattern(
        self,
        ranks: tuple[int, int],
        on_temporal: tuple[float, float],
        on_others: tuple[float, float],
        like: Tensor,
    ) -> Tensor:
        """The factor on each rank dimension of ``like`` (B, L, R), which gives dtype and device.

        ``ranks`` (r_t, r_s) cut the rank dimension in two; the pairs hold the factor of either part on
        T-tokens and on all others.
        """
        key = (ranks, on_temporal, on_others, like.dtype, like.device)
        if key not in self._patterns:
            temporal = (self.roles.to(like.device) == TokenRole.TEMPORAL).unsqueeze(-1)
            rows = [by_rank(ranks, factors, like) for factors in (on_temporal, on_others)]
            self._patterns[key] = torch.where(temporal, rows[0], rows[1])
        return self._patterns[key]


def by_rank(ranks: tuple[int, int], factors: tuple[float, float], like: Tensor) -> Tensor:
    """(R,) one factor for each rank dimension of the two experts."""
    return torch.tensor(
        [factors[0]] * ranks[0] + [factors[1]] * ranks[1], dtype=like.dtype, device=like.device
    )


_ROLES: ContextVar[TokenRoles | None] = ContextVar("videoexpert_token_roles", default=None)


@contextmanager
def token_roles(roles: Tensor | None, temporal_span: tuple[int, int] | None = None) -> Iterator[None]:
    """The roles (B, L) of every forward pass inside the block; None: no token is a T-token (a decoding step).

    ``temporal_span`` is where all T-tokens are, [first, last + 1), if that is the same in every row: a folded
    layer then leaves the other tokens alone. The roles are bound to this thread (or task), never to the model.
    """
    token = _ROLES.set(None if roles is None else TokenRoles(roles, temporal_span))
    try:
        yield
    finally:
        _ROLES.reset(token)


def keep_roles(checkpointed: Callable[..., Any]) -> Callable[..., Any]:
    """A gradient-checkpointing function that runs a block again with the roles of its first run.

    The second run happens in the backward pass: after ``token_roles`` has ended, on CUDA in another thread.
    """

    def run(block: Callable[..., Any], *args: Any, **options: Any) -> Any:
        roles = _ROLES.get()

        def again(*inputs: Any) -> Any:
            token = _ROLES.set(roles)
            try:
                return block(*inputs)
            finally:
                _ROLES.reset(token)

        return checkpointed(again, *args, **options)

    return run


class ExpertLinear(nn.Module):
    """A frozen linear layer with a temporal and a spatial LoRA expert.

    lora_A  (R, in)   rows [0, r_t) temporal, the rest spatial; Kaiming-uniform at the start
    lora_B  (out, R)  columns likewise; zero at the start, so a new layer computes what its base computes

    Both are float32 whatever the base is; the output has the base's dtype. As both experts live in one
    parameter, an expert without tokens has a gradient that is exactly zero and present.

    The paper gives no scale and the released code a constant 2.0, which is alpha 64 over rank 32. Ours is
    alpha over the mean rank of the two experts: 2.0 again, and the same for every rank dimension however the
    rank is divided (Fig. 5) or shared (Table VII row 4), so that such a comparison changes the division and
    nothing else.

    Raises InputError for ranks that are negative or both zero, or roles of another shape than the tokens.
    """

    difference: Tensor

    def __init__(
        self,
        base: nn.Module,
        *,
        temporal_rank: int,
        spatial_rank: int,
        alpha: float,
        dropout: float = 0.0,
        experts: str = "split",
    ) -> None:
        super().__init__()
        if min(temporal_rank, spatial_rank) < 0 or temporal_rank + spatial_rank == 0:
            raise InputError(
                f"temporal_rank is {temporal_rank} and spatial_rank {spatial_rank}, "
                "expected both at least 0 and not both 0."
            )
        if experts not in ("split", "shared"):
            raise InputError(f"experts is {experts!r}, expected 'split' or 'shared'.")
        self.base = base
        self.temporal_rank, self.spatial_rank, self.experts = temporal_rank, spatial_rank, experts
        self.in_features = int(base.in_features)  # type: ignore[arg-type]
        self.out_features = int(base.out_features)  # type: ignore[arg-type]
        rank = temporal_rank + spatial_rank
        self.scale = 2.0 * alpha / rank
        device = next(base.parameters()).device
        self.lora_A = nn.Parameter(torch.empty(rank, self.in_features, dtype=torch.float32, device=device))
        self.lora_B = nn.Parameter(torch.empty(self.out_features, rank, dtype=torch.float32, device=device))
        self.dropout = nn.Dropout(dropout)
        # what T-tokens get beyond a folded base: the temporal expert less the spatial one
        factors = by_rank((temporal_rank, spatial_rank), (self.scale, -self.scale), self.lora_A)
        self.register_buffer("difference", factors, persistent=False)
        self._unfolded: Tensor | None = None  # the base weight while the spatial expert is folded into it
        self._plain: Callable[[Tensor], Tensor] | None = None  # the folded base, called as directly as can be
        self.reset_parameters()
        self.register_state_dict_post_hook(_save_unfolded)
        self.register_load_state_dict_pre_hook(_refuse_when_folded)

    def reset_parameters(self) -> None:
        """As a new LoRA: A Kaiming-uniform (its bound depends on ``in`` alone, not on the rank), B zero."""
        nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))
        nn.init.zeros_(self.lora_B)

    @property
    def folded(self) -> bool:
        """Whether the base weight holds the spatial expert (the one LoRA, if shared)."""
        return self._unfolded is not None

    @property
    def _first_alike(self) -> int:
        """First rank dimension of what a text token gets: the spatial expert, or a shared LoRA whole."""
        return 0 if self.experts == "shared" else self.temporal_rank

    @property
    def _base_weight(self) -> Tensor:
        weight = self.base.weight
        assert isinstance(weight, Tensor)
        return weight

    def forward(self, x: Tensor) -> Tensor:
        """``x`` (B, L, in) -> (B, L, out)."""
        roles, plain = _ROLES.get(), self._plain
        alike = roles is None or self.experts == "shared"  # every token gets the same
        folded = plain is not None
        if plain is not None:
            if self.training:
                raise InputError(
                    "this layer's expert is folded into its base weight; unfold() it before training."
                )
            if alike:  # a decoding step: nothing beside the base
                return plain(x)
        out: Tensor = self.base(x)
        if roles is not None:
            roles.check(x)
            if folded and roles.temporal_span is not None:
                first, last = roles.temporal_span
                self._add_difference(out[:, first:last], x[:, first:last])
                return out
        first = self._first_alike if alike else 0
        a, b = self.lora_A[first:], self.lora_B[:, first:]
        hidden = F.linear(self.dropout(x.to(a.dtype)), a)
        if roles is not None and not alike:
            hidden = hidden * roles.pattern(
                (self.temporal_rank, self.spatial_rank),
                # Folded, the base already adds the spatial expert everywhere: T-tokens take it off again.
                on_temporal=(1.0, -1.0) if folded else (1.0, 0.0),
                on_others=(0.0, 0.0) if folded else (0.0, 1.0),
                like=hidden,
            )
        return out + F.linear(hidden * self.scale, b).to(out.dtype)

    def _add_difference(self, out: Tensor, x: Tensor) -> None:
        """Adds to ``out`` (B, N, out) what T-tokens ``x`` (B, N, in) get beyond a folded base."""
        hidden = F.linear(x.to(self.lora_A.dtype), self.lora_A) * self.difference
        if hidden.dtype == out.dtype:  # one pass over ``out`` less
            out.baddbmm_(hidden, self.lora_B.t().expand(len(out), -1, -1))
        else:
            out += F.linear(hidden, self.lora_B).to(out.dtype)

    @torch.no_grad()
    def fold(self) -> None:
        """Adds the spatial expert to the base weight, in float32: decoding then costs what the base costs.

        T-tokens get the difference of rank R from then on. The weight as it was is kept in main memory, so
        that ``unfold`` and a saved state dict give it back bit for bit. Folding twice changes nothing.

        Raises InputError for a quantised base, and while training.
        """
        if self.folded:
            return
        weight = self._base_weight
        if not weight.is_floating_point() or weight.shape != (self.out_features, self.in_features):
            raise InputError(
                f"the expert cannot be folded into a quantised {type(self.base).__name__}; "
                "use it unfolded, or load the language model unquantised."
            )
        if self.training:
            raise InputError("an expert is folded for use only; call eval() on the model first.")
        first = self._first_alike
        update = self.lora_B[:, first:].float() @ self.lora_A[first:].float() * self.scale
        self._unfolded = weight.detach().to("cpu", copy=True)
        weight.copy_(weight.float() + update)
        self._plain = self.base.forward if type(self.base) is nn.Linear else self.base

    @torch.no_grad()
    def unfold(self) -> None:
        """Puts the base weight of before ``fold`` back, bit for bit."""
        if self._unfolded is not None:
            self._base_weight.copy_(self._unfolded)
            self._unfolded = self._plain = None

    def extra_repr(self) -> str:
        return (
            f"temporal_rank={self.temporal_rank}, spatial_rank={self.spatial_rank}, scale={self.scale:g}, "
            f"experts={self.experts}, folded={self.folded}"
        )


def install_experts(
    language_model: nn.Module,
    *,
    temporal_rank: int,
    spatial_rank: int,
    alpha: float,
    dropout: float,
    experts: str = "split",
) -> None:
    """Freezes the language model and gives every linear layer of its decoder blocks two experts.

    In Llama-like models these are the seven q, k, v, o, gate, up and down projections of each block (paper
    III-C); families that fuse some have fewer. ``token_roles`` gives all of them the role of each token.

    Raises InputError when the model has no such layer or has experts already.
    """
    if any(True for _ in expert_layers(language_model)):
        raise InputError("this language model already has experts; install them on the plain model, once.")
    found = [
        name
        for name, module in language_model.named_modules()
        if _IN_BLOCK.search(name) and hasattr(module, "in_features") and hasattr(module, "out_features")
    ]
    if not found:
        raise InputError(
            f"{type(language_model).__name__} has no linear layer inside numbered decoder blocks "
            "(such as 'layers.0.mlp.up_proj'); use a causal language model built of nn.Linear."
        )
    language_model.requires_grad_(False)
    for name in found:
        layer = ExpertLinear(
            language_model.get_submodule(name),
            temporal_rank=temporal_rank,
            spatial_rank=spatial_rank,
            alpha=alpha,
            dropout=dropout,
            experts=experts,
        )
        parent, _, child = name.rpartition(".")
        setattr(language_model.get_submodule(parent), child, layer.train(language_model.training))


def expert_layers(model: nn.Module) -> Iterator[tuple[str, ExpertLinear]]:
    """(name, layer) of every expert layer, in the model's order."""
    for name, module in model.named_modules():
        if isinstance(module, ExpertLinear):
            yield name, module


def _save_unfolded(module: nn.Module, state: dict[str, Any], prefix: str, metadata: Any) -> None:
    """A saved model never holds an expert twice: the weight of before ``fold`` is what is written."""
    assert isinstance(module, ExpertLinear)
    if module._unfolded is not None:
        state[f"{prefix}base.weight"] = module._unfolded


def _refuse_when_folded(module: nn.Module, state: Any, prefix: str, *args: Any) -> None:
    assert isinstance(module, ExpertLinear)
    if module.folded and any(key.startswith(prefix) for key in state):
        raise InputError("weights cannot be loaded into a folded expert layer; unfold() it first.")
