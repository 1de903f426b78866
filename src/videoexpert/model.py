"""Stages 2-4 on one page; the same route in training and in use.

Frames --vision--> VisualTokens --adapter--> [text][T][S][question][answer] --language--> states --head--> moments
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoConfig, AutoModelForCausalLM, DynamicCache, PreTrainedModel
from transformers.utils import ModelOutput

from .config import VideoExpertConfig
from .errors import InputError
from .grounding.head import HeadOutput, TemporalHead
from .grounding.losses import alignment_loss, grounding_losses
from .grounding.targets import frame_centres
from .language.adapter import Adapter
from .language.experts import expert_layers, install_experts
from .language.sequence import IGNORED, Segment, block_causal_mask, build_sequence
from .language.vocabulary import install_loc
from .types import Frames, TokenRole, VisualTokens
from .vision.compressor import compress, random_tokens
from .vision.encoder import VisionEncoder


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


@dataclass(frozen=True)
class Prefix:
    """``[system][T][S]`` of one video, computed once: keys and values per layer, and T states (N, D)."""

    cache: tuple[tuple[Tensor, Tensor], ...]
    frame_states: Tensor
    projected_frames: Tensor  # (N, H), the head's projection of frame_states; (N, 0) without a head
    length: int

    def as_cache(self) -> DynamicCache:
        """A cache that starts with the prefix; appending to it leaves the prefix as it is."""
        cache = DynamicCache()
        for layer, (keys, values) in enumerate(self.cache):
            cache.update(keys, values, layer)
        return cache


@torch.no_grad()
def visual_tokens(
    vision: VisionEncoder, config: VideoExpertConfig, videos: Sequence[Frames], batch_size: int = 16
) -> list[VisualTokens]:
    """Stage 2: T-tokens (N, C) and S-tokens (M, C) of each video; encoder passes run across videos."""
    count = len(videos)
    pixels = torch.cat([video.pixels for video in videos]).to(vision.device)
    features = vision.encode(pixels, batch_size)
    cls, patches = features.cls.unflatten(0, (count, -1)), features.patches.unflatten(0, (count, -1))
    if config.spatial_tokens == "none":
        spatial = cls[:, :0]
    elif config.spatial_tokens == "random":
        spatial = random_tokens(patches, config.num_spatial_tokens)
    else:
        spatial = compress(
            cls,
            patches,
            features.cls_attention.unflatten(0, (count, -1)),
            groups=config.groups,
            tokens_per_group=config.tokens_per_group,
            key_tokens=config.key_tokens,
            gop=config.gop,
            key_score=config.key_score,
            static_reference=config.static_reference,
            gop_similarity=config.gop_similarity,
        )
    return [
        VisualTokens(t, s, video.duration_s, video.start_s, video.holes)
        for t, s, video in zip(cls, spatial, videos, strict=True)
    ]


class VideoExpertModel(PreTrainedModel):
    """A frozen vision encoder, a frozen causal language model with two experts, an adapter and a temporal head."""

    config_class = VideoExpertConfig
    base_model_prefix = ""
    main_input_name = "input_ids"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    config: VideoExpertConfig
    language: Any  # a causal language model of transformers, whose own types are wide
    vision: VisionEncoder
    _no_split_modules: list[str] = []  # noqa: RUF012  # transformers reads it as a class attribute

    def __init__(
        self,
        config: VideoExpertConfig,
        *,
        vision: VisionEncoder | None = None,
        language: PreTrainedModel | None = None,
    ) -> None:
        """Builds everything from the config; ``vision`` and ``language`` bring base models already loaded."""
        super().__init__(config)
        if config.vision_config is None or config.language_config is None or config.loc_token_id is None:
            raise InputError(
                "the config lacks vision_config, language_config or loc_token_id; "
                "build new models with videoexpert.checkpoints.folder.assemble()."
            )
        self.vision = vision or VisionEncoder.from_config(config.vision_config)
        if language is None:
            fields = dict(config.language_config)
            language = AutoModelForCausalLM.from_config(
                AutoConfig.for_model(fields.pop("model_type"), **fields)
            )
        self.vision.requires_grad_(False)
        self.language = language
        width = int(self.language.get_input_embeddings().weight.shape[1])
        install_loc(language, config.loc_token_id, train_vocabulary=config.train_vocabulary)
        # The gate is shared by all expert layers; it is state of the forward pass, not a module.
        self.gate = install_experts(
            language,
            temporal_rank=config.temporal_rank,
            spatial_rank=config.spatial_rank,
            alpha=config.lora_alpha,
            dropout=config.lora_dropout,
            experts=config.experts,
        )
        for part in (self.language.get_input_embeddings(), self.language.get_output_embeddings()):
            part.loc_row.requires_grad_(True)
            part.base.requires_grad_(config.train_vocabulary == "all")
        self.adapter = Adapter(config.vision_width, width, config.temporal_differences or ())
        # times written as text need no head; the model then has none
        self.head = TemporalHead(width, config.head_width, config.fusion) if config.times == "head" else None
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Every part has initialised itself: nothing is drawn a second time."""

    # ------------------------------------------------------------------ stage 2

    def encode_video(self, frames: Frames, batch_size: int = 16) -> VisualTokens:
        """Frames -> T-tokens (N, C) and S-tokens (M, C), once per video."""
        return visual_tokens(self.vision, self.config, [frames], batch_size)[0]

    # ------------------------------------------------------------------ stages 3 and 4, training

    def forward(
        self,
        input_ids: Tensor,
        temporal: Tensor,
        spatial: Tensor,
        roles: Tensor,
        segments: Tensor,
        position_ids: Tensor,
        labels: Tensor | None = None,
        loc_positions: Tensor | None = None,
        foreground: Tensor | None = None,
        spans: Tensor | None = None,
        located: Tensor | None = None,
        return_states: bool = False,
    ) -> VideoExpertOutput:
        """One batch of ``TokenSequence`` tensors with its T-tokens (B, N, C) and S-tokens (B, M, C).

        ``labels`` (B, L) give the text loss, ``foreground`` (Q, N) and ``spans`` (Q, N, 2) the grounding losses of
        the Q ``<LOC>`` at ``loc_positions`` (Q, 2); ``located`` (Q,) bool leaves out those without a target.
        """
        states = self.states(input_ids, temporal, spatial, roles, segments, position_ids)
        output = VideoExpertOutput(states=states if return_states or labels is None else None)
        losses: list[Tensor] = []
        if labels is not None:
            output.text_loss = self.text_loss(states, labels)
            losses.append(self.config.text_weight * output.text_loss)
        if loc_positions is not None and len(loc_positions):
            frames, locs = self.projected(states, roles, loc_positions)
            head = self._head().predict(frames, locs, loc_positions[:, 0])
            output.indicator_logits, output.boundary_logits = head.indicator_logits, head.boundary_logits
            if foreground is not None and spans is not None:
                keep = slice(None) if located is None else located
                parts = grounding_losses(
                    head.indicator_logits[keep],
                    head.boundary_logits[keep],
                    foreground[keep],
                    spans[keep],
                    self.centres(foreground.shape[1]),
                    background_weight=self.config.background_weight,
                )
                output.indicator_loss, output.l1_loss, output.giou_loss = parts
                losses.append(
                    self.config.indicator_weight * parts.indicator
                    + self.config.l1_weight * parts.l1
                    + self.config.giou_weight * parts.giou
                )
                if self.config.alignment_weight:
                    output.alignment_loss = alignment_loss(
                        frames[loc_positions[:, 0]][keep],
                        locs[keep],
                        foreground[keep],
                        background_weight=self.config.background_weight,
                    )
                    losses.append(self.config.alignment_weight * output.alignment_loss)
        output.loss = torch.stack(losses).sum() if losses else None
        return output

    def states(
        self,
        input_ids: Tensor,
        temporal: Tensor,
        spatial: Tensor,
        roles: Tensor,
        segments: Tensor,
        position_ids: Tensor,
        cache: DynamicCache | None = None,
    ) -> Tensor:
        """(B, L, D) states after the last norm, of a whole batch or of a prefix that fills ``cache``."""
        embeds = self.language.get_input_embeddings()(input_ids)
        frames, patches = self.adapter(temporal, spatial)
        embeds = embeds.masked_scatter((roles == TokenRole.TEMPORAL)[..., None], frames.to(embeds.dtype))
        embeds = embeds.masked_scatter((roles == TokenRole.SPATIAL)[..., None], patches.to(embeds.dtype))
        self.gate.set(roles)
        return self._run(embeds, block_causal_mask(segments), position_ids, cache)

    def _run(
        self, embeds: Tensor, allowed: Tensor | None, position_ids: Tensor, cache: DynamicCache | None
    ) -> Tensor:
        mask = None
        if allowed is not None:  # additive, because eager attention adds what it is given
            mask = torch.zeros(allowed.shape, dtype=embeds.dtype, device=embeds.device)
            mask = mask.masked_fill_(~allowed, torch.finfo(embeds.dtype).min)
        return self.language.base_model(
            inputs_embeds=embeds,
            attention_mask=mask,
            position_ids=position_ids,
            past_key_values=cache,
            use_cache=cache is not None,
        ).last_hidden_state

    def logits(self, states: Tensor) -> Tensor:
        """(..., D) -> (..., V + 1): the vocabulary with ``<LOC>``."""
        return self.language.get_output_embeddings()(states)

    def text_loss(self, states: Tensor, labels: Tensor) -> Tensor:
        """Mean cross-entropy over the supervised tokens of the batch (paper Eq. 12); zero if there is none."""
        predicts = labels[:, 1:] != IGNORED
        logits = self.logits(states[:, :-1][predicts]).float()
        if not len(logits):
            return states.sum() * 0.0
        return F.cross_entropy(logits, labels[:, 1:][predicts])

    def projected(self, states: Tensor, roles: Tensor, loc_positions: Tensor) -> tuple[Tensor, Tensor]:
        """Frames (B, N, H) and every ``<LOC>`` (Q, H) in the head's width, from states (B, L, D)."""
        locs = self.loc_states(states, loc_positions)
        frames = states[roles == TokenRole.TEMPORAL].unflatten(0, (len(states), -1))
        return self._head().project(frames.float()), self._head().project(locs.float())

    def _head(self) -> TemporalHead:
        assert self.head is not None, "times written as text have no head"
        return self.head

    def loc_states(self, states: Tensor, loc_positions: Tensor) -> Tensor:
        """(Q, D) the states that stand for each ``<LOC>``: its own, or the one before it (``loc_state``)."""
        return states[loc_positions[:, 0], loc_positions[:, 1] - self._loc_shift]

    @property
    def _loc_shift(self) -> int:
        """0 to read the state of ``<LOC>`` itself (paper), 1 the state that predicts it (released code)."""
        return 1 if self.config.loc_state == "predicting" else 0

    def centres(self, num_frames: int) -> Tensor:
        """(N,) time of each frame as a fraction of the duration."""
        return frame_centres(num_frames, self.config.frame_times, self.device)

    # ------------------------------------------------------------------ stages 3 and 4, use

    @torch.no_grad()
    def open_prefix(self, video: VisualTokens, prefix_ids: Sequence[int]) -> Prefix:
        """The part of the prompt up to the last S-token, once per video; no later query changes it."""
        n, m = len(video.temporal), len(video.spatial)
        row = build_sequence([prefix_ids], [[]], num_frames=n, num_spatial_tokens=m)
        cache = DynamicCache()
        states = self.states(
            row.input_ids.to(self.device),
            video.temporal[None].to(self.device),
            video.spatial[None].to(self.device),
            row.roles.to(self.device),
            row.segments.to(self.device),
            row.position_ids.to(self.device),
            cache,
        )
        frame_states = states[0][row.roles[0].to(self.device) == TokenRole.TEMPORAL]
        return Prefix(
            cache=tuple((layer.keys, layer.values) for layer in cache.layers),  # type: ignore[union-attr, misc]
            frame_states=frame_states,
            projected_frames=self.head.project(frame_states.float()) if self.head else frame_states[:, :0],
            length=states.shape[1],
        )

    @torch.no_grad()
    def read_segments(self, prefix: Prefix, questions: Sequence[Segment]) -> Tensor:
        """States (sum of lengths, D) of many questions in one forward over the shared prefix, end to end."""
        row = build_sequence([[]], [questions], num_frames=0, num_spatial_tokens=0)
        self.gate.set(None)
        embeds = self.language.get_input_embeddings()(row.input_ids.to(self.device))
        allowed = block_causal_mask(row.segments.to(self.device), past=prefix.length)
        positions = row.position_ids.to(self.device) + prefix.length
        return self._run(embeds, allowed, positions, prefix.as_cache())[0]

    @torch.no_grad()
    def locate(self, prefix: Prefix, questions: Sequence[Segment]) -> HeadOutput:
        """Grounding without decoding: reads every ``<LOC>`` of the known texts ``questions``, in their order."""
        states = self.read_segments(prefix, questions)
        starts = torch.tensor([0, *[len(q.ids) for q in questions]]).cumsum(0)[:-1].tolist()
        places = [s + p for s, q in zip(starts, questions, strict=True) for p in q.loc_positions]
        locs = states[torch.tensor(places, dtype=torch.long, device=states.device) - self._loc_shift]
        rows = torch.zeros(len(places), dtype=torch.long, device=states.device)
        return self._head().predict(prefix.projected_frames[None], self._head().project(locs.float()), rows)

    @torch.no_grad()
    def likelihoods(self, prefix: Prefix, questions: Sequence[Segment]) -> Tensor:
        """(len(questions),) log-probability of each question's supervised tokens."""
        states = self.read_segments(prefix, questions)
        found, start = [], 0
        for question in questions:
            labels = torch.tensor(question.labels, device=states.device)
            own = states[start : start + len(labels)]
            predicts = labels[1:] != IGNORED
            log_p = self.logits(own[:-1][predicts]).float().log_softmax(-1)
            found.append(log_p.gather(-1, labels[1:][predicts][:, None]).sum())
            start += len(labels)
        return torch.stack(found)

    @torch.no_grad()
    def generate(
        self,
        prefix: Prefix,
        question: Segment,
        *,
        eos_token_id: int,
        max_new_tokens: int = 512,
        **options: Any,
    ) -> list[int]:
        """Ids of the answer, without the end token. ``options`` go to transformers' ``generate``.

        ``<LOC>`` states of the answer come from ``locate`` on question + answer: the route of training.
        """
        self.gate.set(None)
        # transformers skips what the cache already holds: the prefix ids only count places
        ids = torch.tensor([[0] * prefix.length + list(question.ids)], device=self.device)
        options = {"do_sample": False, "pad_token_id": eos_token_id, **options}
        made = self.language.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            past_key_values=prefix.as_cache(),
            max_new_tokens=max_new_tokens,
            eos_token_id=eos_token_id,
            **options,
        )
        answer = made[0, ids.shape[1] :].tolist()
        return answer[: answer.index(eos_token_id)] if eos_token_id in answer else answer

    # ------------------------------------------------------------------ what trains, what is folded

    def trained_names(self) -> list[str]:
        """Names of the parameters an adapter-only folder holds: everything that is not a base model's."""
        base_vocabulary = self.config.train_vocabulary == "all"
        names = []
        for name, _ in self.named_parameters():
            own = name.startswith(("adapter.", "head.")) or name.endswith((".loc_row", ".lora_A", ".lora_B"))
            vocabulary = base_vocabulary and name.startswith("language.") and self._is_vocabulary(name)
            if own or vocabulary:
                names.append(name)
        return names

    def _is_vocabulary(self, name: str) -> bool:
        tables = (self.language.get_input_embeddings().base, self.language.get_output_embeddings().base)
        parameter = self.get_parameter(name)
        return any(parameter is table.weight for table in tables)

    def fold(self) -> VideoExpertModel:
        """Spatial expert into the base weights, for use: a decoding step then costs what the base model costs."""
        for _, layer in expert_layers(self.language):
            layer.fold()
        return self

    def unfold(self) -> VideoExpertModel:
        """Takes the spatial expert out again, bit for bit."""
        for _, layer in expert_layers(self.language):
            layer.unfold()
        return self
