"""Spatial Compress: the patch tokens of all frames to M = U*W S-tokens (paper section III-C, Eq. 3, Fig. 4).

No trainable parameters, deterministic. A video is seen as T slots, each a frame in one group of pictures
(GOP): similarity groups have one slot a frame, fixed groups three a group. Steps (a) to (d) are then
products with one-hot matrices over slots, patches and centres. Letters: see types.py.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property

import torch
import torch.nn.functional as F

from ..config import CHOICES, VideoExpertConfig
from ..errors import InputError

_FIXED_FRAMES = 3  # frames of a group in the released code


@dataclass(frozen=True)
class CompressorConfig:
    """The fields of VideoExpertConfig that decide the S-tokens, by the same names.

    Raises InputError for a value outside an option's range.
    """

    groups: int
    tokens_per_group: int
    key_tokens: int
    gop: str = "similarity"
    key_score: str = "attention"
    static_reference: str = "previous"
    gop_similarity: float = 0.7

    def __post_init__(self) -> None:
        if self.groups < 1 or self.tokens_per_group < 1:
            raise InputError(
                f"groups is {self.groups} and tokens_per_group {self.tokens_per_group}, expected at least 1 of each."
            )
        if not 0 <= self.key_tokens <= self.tokens_per_group:
            raise InputError(
                f"key_tokens is {self.key_tokens}, expected 0 to tokens_per_group ({self.tokens_per_group})."
            )
        if not -1 <= self.gop_similarity <= 1:
            raise InputError(f"gop_similarity is {self.gop_similarity}, expected a cosine from -1 to 1.")
        for name in ("gop", "key_score", "static_reference"):
            if getattr(self, name) not in CHOICES[name]:
                raise InputError(
                    f"{name} is {getattr(self, name)!r}, expected one of {', '.join(CHOICES[name])}."
                )

    @classmethod
    def of(cls, config: VideoExpertConfig) -> CompressorConfig:
        """Those fields of a model's config."""
        return cls(**{field.name: getattr(config, field.name) for field in fields(cls)})


@dataclass(frozen=True)
class _Groups:
    """Which frames form which group. Everything but ``inside`` depends on N and U alone, not on the video.

    frame       (T,) frame of each slot; the slots of one group follow each other in time
    group       (T,) group of each slot
    inside      (B, T) False where the slot's frame was not taken into the group
    idr_slot    (U,) slot of each group's IDR frame
    class_frame (U,) frame whose class token scores the IDR patches
    """

    frame: torch.Tensor
    group: torch.Tensor
    inside: torch.Tensor
    idr_slot: torch.Tensor
    class_frame: torch.Tensor

    @cached_property
    def idr_frame(self) -> torch.Tensor:
        return self.frame[self.idr_slot]  # (U,)

    @cached_property
    def is_idr(self) -> torch.Tensor:
        slots = torch.arange(len(self.frame), device=self.frame.device)
        return slots == self.idr_slot[self.group]  # (T,)

    def reference_slot(self, static_reference: str) -> torch.Tensor:
        """(T,) the slot whose equal label makes a patch of this slot static; not read for an IDR frame."""
        idr_slot = self.idr_slot[self.group]
        if static_reference == "idr":
            return idr_slot
        # "The frame before" is the neighbour on the IDR frame's side, for both directions of growth: the
        # paper compares consecutive frames and retains a repeated token "only in the IDR-frame", so of
        # two equal neighbours the one further from the IDR frame goes.
        slots = torch.arange(len(self.frame), device=self.frame.device)
        return slots - (slots - idr_slot).sign()


@dataclass(frozen=True)
class _Compressed:
    """S-tokens and every discrete decision behind them (for tests).

    tokens (B, U, W, C); centres (B, U, W) patch number of each centre in its IDR frame; labels (B, T, P)
    centre number of each patch; kept (B, T, P) patches that are averaged; members (B, U, W) how many per
    centre.
    """

    tokens: torch.Tensor
    groups: _Groups
    centres: torch.Tensor
    labels: torch.Tensor
    kept: torch.Tensor
    members: torch.Tensor


def compress(
    cls: torch.Tensor,
    patches: torch.Tensor,
    cls_attention: torch.Tensor | None,
    config: CompressorConfig,
) -> torch.Tensor:
    """S-tokens (M, C), or (B, M, C) of a batch; M = groups * tokens_per_group whatever N and P are.

    cls (N, C), patches (N, P, C) and cls_attention (N, P) come from ``VisionEncoder.encode``; all may
    lead with B. Similarities and means are computed in float32 at least; the result has the dtype of ``patches``.

    ``gop="similarity"`` (paper): a frame belongs to the IDR frame nearest in time (the earlier of two),
    and joins its group if its class token and those of all frames in between have a cosine above
    ``gop_similarity`` to the IDR frame's. ``gop="fixed"`` (released code): an IDR frame and the two
    frames after it; a group that would leave the video moves back inside, but its patches are still
    scored against the class token of the frame it came from. ``key_score="attention"`` always reads the
    attention row of the frame that holds the patches.

    With fewer frames than groups IDR frames repeat, and so do their S-tokens. With fewer patches than
    ``tokens_per_group`` centres repeat; like any centre without members, a repeat returns its own IDR token.

    Raises InputError for inputs that do not fit each other.
    """
    single = cls.ndim == 2
    if single:
        cls, patches = cls[None], patches[None]
        cls_attention = None if cls_attention is None else cls_attention[None]
    result = _compress(cls, patches, cls_attention, config)
    tokens = result.tokens.flatten(1, 2)
    return tokens[0] if single else tokens


def random_tokens(patches: torch.Tensor, count: int, seed: int = 0) -> torch.Tensor:
    """``count`` patch tokens drawn at random in place of S-tokens (Table VII row 2), by frame, then patch.

    patches (N, P, C) gives (count, C); (B, N, P, C) gives (B, count, C) with the same places in every
    video. Drawn without replacement; a video with fewer than ``count`` patches repeats all of them as
    often as needed. The same seed draws the same places. Raises InputError for a negative count or
    another shape.
    """
    if patches.ndim not in (3, 4) or 0 in patches.shape or count < 0:
        raise InputError(
            f"patches must be ((B,) N, P, C) and count >= 0, got {tuple(patches.shape)} and {count}."
        )
    flat = patches.flatten(-3, -2)
    total = flat.shape[-2]
    order = torch.randperm(total, generator=torch.Generator().manual_seed(seed))
    places = order.repeat(-(-count // total))[:count].sort().values
    return flat.index_select(-2, places.to(patches.device))


@torch.no_grad()
def _compress(
    cls: torch.Tensor,
    patches: torch.Tensor,
    cls_attention: torch.Tensor | None,
    config: CompressorConfig,
) -> _Compressed:
    """``compress`` for a batch, with the decisions."""
    similar = config.gop == "similarity"
    _check_tensors(cls, patches, cls_attention, config.key_score)
    # Under autocast matmul would run in half precision, where decisions tie.
    with torch.autocast(patches.device.type, enabled=False):
        idr, copies = _spread(cls.shape[1], config.groups, cls.device).unique(return_inverse=True)
        plan = _similarity_groups(cls, idr, config.gop_similarity) if similar else _fixed_groups(cls, idr)
        score = _key_score(cls, patches, cls_attention if config.key_score == "attention" else None, plan)
        centres = _choose_centres(score, config.tokens_per_group, config.key_tokens)
        idr_tokens = patches[:, plan.idr_frame]  # (B, U, P, C)
        centre_tokens = idr_tokens.gather(2, centres[..., None].expand(-1, -1, -1, patches.shape[-1]))
        slots = patches if similar else patches[:, plan.frame]  # (B, T, P, C)
        labels = _nearest_centre(slots, centre_tokens, plan)
        static = labels == labels[:, plan.reference_slot(config.static_reference)]
        kept = (plan.is_idr[:, None] | ~static) & plan.inside[..., None]
        tokens, members = _merge(slots, centre_tokens, labels, kept, plan)
    return _Compressed(tokens[:, copies], plan, centres[:, copies], labels, kept, members[:, copies])


def _spread(length: int, count: int, device: torch.device) -> torch.Tensor:
    """(count,) positions spread uniformly over ``length``, ends included; they repeat where count > length.

    Always on the CPU and in float32, so that every device rounds the same way.
    """
    return torch.linspace(0, length - 1, count, dtype=torch.float32, device="cpu").round().long().to(device)


def _similarity_groups(cls: torch.Tensor, idr: torch.Tensor, threshold: float) -> _Groups:
    """Groups grown from the IDR frames backward and forward, one slot a frame."""
    frames = torch.arange(cls.shape[1], device=cls.device)
    # argmin of equals is not defined on every device: half a frame less for the earlier settles it.
    group = ((frames[:, None] - idr).abs() * 2 + (idr > frames[:, None])).argmin(1)  # (N,)
    own_idr = idr[group]
    direction = F.normalize(cls.to(torch.float32), dim=-1)
    alike = (direction * direction[:, own_idr]).sum(-1) > threshold  # (B, N)
    strangers = ~alike & (frames != own_idr)
    # Inside: no stranger between the IDR frame and this one, counted with running sums to either side of
    # the frame.
    through = strangers.cumsum(1)
    before = through - strangers.long()
    at_idr = through[:, own_idr]
    inside = torch.where(frames > own_idr, through == at_idr, before == at_idr)
    return _Groups(frame=frames, group=group, inside=inside, idr_slot=idr, class_frame=idr)


def _fixed_groups(cls: torch.Tensor, idr: torch.Tensor) -> _Groups:
    """The released code's groups: three frames from each IDR position, three slots a group."""
    batch, frames = cls.shape[:2]
    start = idr.clamp(max=max(frames - _FIXED_FRAMES, 0))
    frame = (start[:, None] + torch.arange(_FIXED_FRAMES, device=cls.device)).flatten()
    group = torch.arange(len(idr), device=cls.device).repeat_interleave(_FIXED_FRAMES)
    return _Groups(
        frame=frame.clamp(max=frames - 1),
        group=group,
        inside=(frame < frames).expand(batch, -1),  # a video of one or two frames has shorter groups
        idr_slot=torch.arange(0, len(frame), _FIXED_FRAMES, device=cls.device),
        class_frame=idr,
    )


def _key_score(
    cls: torch.Tensor, patches: torch.Tensor, cls_attention: torch.Tensor | None, plan: _Groups
) -> torch.Tensor:
    """(B, U, P) how much each IDR patch matters: class-token attention, or cosine to the class token."""
    if cls_attention is not None:
        return cls_attention[:, plan.idr_frame].to(torch.float32)
    idr_patches = F.normalize(patches[:, plan.idr_frame].to(torch.float32), dim=-1)
    class_tokens = F.normalize(cls[:, plan.class_frame].to(torch.float32), dim=-1)
    return (idr_patches @ class_tokens[..., None]).squeeze(-1)


def _choose_centres(score: torch.Tensor, tokens_per_group: int, key_tokens: int) -> torch.Tensor:
    """Step (a): (B, U, W) patch numbers, the best-scored ``key_tokens`` in patch order, then context tokens.

    Context tokens are spread uniformly over the other patches; over all patches if every one is a key token.
    """
    patches = score.shape[-1]
    keys_wanted = min(key_tokens, patches)
    keys = score.argsort(dim=-1, descending=True, stable=True)[..., :keys_wanted].sort(-1).values
    is_key = torch.zeros_like(score, dtype=torch.uint8).scatter_(-1, keys, 1)
    rest = is_key.argsort(dim=-1, stable=True)[..., : patches - keys_wanted or patches]
    context = rest[..., _spread(rest.shape[-1], tokens_per_group - keys_wanted, score.device)]
    return torch.cat([keys, context], dim=-1)


def _nearest_centre(slots: torch.Tensor, centre_tokens: torch.Tensor, plan: _Groups) -> torch.Tensor:
    """Step (b): (B, T, P) number of the centre of the slot's group with the highest cosine to the patch.

    The patch's own length scales all its cosines alike, so only the centres are normalised.
    """
    directions = F.normalize(centre_tokens.to(torch.float32), dim=-1)[:, plan.group]  # (B, T, W, C)
    return (slots.to(torch.float32) @ directions.transpose(-1, -2)).argmax(-1)


def _merge(
    slots: torch.Tensor, centre_tokens: torch.Tensor, labels: torch.Tensor, kept: torch.Tensor, plan: _Groups
) -> tuple[torch.Tensor, torch.Tensor]:
    """Step (d): the mean of each centre's kept tokens (B, U, W, C) and their number (B, U, W)."""
    precise = torch.promote_types(slots.dtype, torch.float32)
    centre_numbers = torch.arange(centre_tokens.shape[2], device=labels.device)
    joins = ((labels[..., None] == centre_numbers) & kept[..., None]).to(precise)  # (B, T, P, W)
    slot_sums = joins.transpose(-1, -2) @ slots.to(precise)  # (B, T, W, C)
    group_numbers = torch.arange(len(plan.idr_slot), device=labels.device)
    belongs = (plan.group == group_numbers[:, None]).to(precise)  # (U, T)
    sums = (belongs @ slot_sums.flatten(2)).unflatten(2, slot_sums.shape[2:])
    members = belongs @ joins.sum(2)  # (B, U, W)
    means = sums / members.clamp(min=1)[..., None]
    tokens = torch.where(members[..., None] > 0, means, centre_tokens.to(precise))
    return tokens.to(slots.dtype), members.long()


def _check_tensors(
    cls: torch.Tensor, patches: torch.Tensor, cls_attention: torch.Tensor | None, key_score: str
) -> None:
    if patches.ndim != 4 or 0 in patches.shape or cls.shape != patches[:, :, 0].shape:
        raise InputError(
            f"cls must be ((B,) N, C) and patches ((B,) N, P, C) with the same B, N and C, none of them 0; "
            f"got {tuple(cls.shape)} and {tuple(patches.shape)} with B in front."
        )
    if key_score == "attention":
        if cls_attention is None:
            raise InputError(
                "key_score 'attention' needs cls_attention ((B,) N, P); pass it or use 'cosine'."
            )
        if cls_attention.shape != patches.shape[:3]:
            raise InputError(
                f"cls_attention must be (B, N, P) = {tuple(patches.shape[:3])}, "
                f"got {tuple(cls_attention.shape)}."
            )
