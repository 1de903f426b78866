"""Stages 2-4 on one page; the same route in training and in use.

Frames --vision--> VisualTokens --adapter--> [text][T][S][question][answer] --language--> states --head--> moments
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint
from transformers import AutoConfig, AutoModelForCausalLM, DynamicCache, PreTrainedModel

from .config import VideoExpertConfig
from .errors import InputError
from .grounding.calibration import Calibration
from .grounding.decoding import decode_many
from .grounding.head import HeadOutput, TemporalHead
from .grounding.losses import alignment_loss, grounding_losses
from .grounding.targets import frame_centres
from .language.adapter import Adapter
from .language.attention import install_prefix_attention
from .language.caching import with_cache
from .language.experts import expert_layers, install_experts, keep_roles, token_roles
from .language.passes import CopiedPass, Prefix, RowPass, SharedPass
from .language.sequence import IGNORED, Segment, TokenSequence, block_causal_mask, build_sequence, pad_rows
from .language.vocabulary import install_loc
from .outputs import VideoExpertOutput
from .types import Frames, Moments, Stretch, TokenRole, VisualTokens
from .vision.encoder import VisionEncoder
from .vision.familiarity import Familiarity
from .vision.tokens import visual_tokens


class VideoExpertModel(PreTrainedModel):
    """A frozen vision encoder, a frozen causal language model with two experts, an adapter and a temporal head."""

    config_class = VideoExpertConfig
    base_model_prefix = ""
    main_input_name = "input_ids"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    config: VideoExpertConfig
    familiarity: Familiarity | None = None  # what it was trained on; not a parameter of the model
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
            language = AutoModelForCausalLM.from_config(AutoConfig.for_model(**config.language_config))
        self.vision.requires_grad_(False)
        self.language = language
        width = int(self.language.get_input_embeddings().weight.shape[1])
        install_loc(language, config.loc_token_id, train_vocabulary=config.train_vocabulary)
        install_experts(
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
        self.shares_prefixes = install_prefix_attention(language)
        self.adapter = Adapter(config.vision_width, width, config.temporal_differences or ())
        # times written as text need no head; the model then has none
        self.head = TemporalHead(width, config.head_width, config.fusion) if config.times == "head" else None
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Every part has initialised itself: nothing is drawn a second time."""

    def _set_gradient_checkpointing(  # type: ignore[override]  # releases of transformers differ in the rest
        self, enable: bool = True, gradient_checkpointing_func: Any = checkpoint, **options: Any
    ) -> None:
        """transformers' switch; blocks that run again in the backward pass keep the roles of their first run."""
        super()._set_gradient_checkpointing(enable, keep_roles(gradient_checkpointing_func), **options)

    # ------------------------------------------------------------------ stage 2

    def encode_video(self, frames: Frames, batch_size: int = 16) -> VisualTokens:
        """Frames -> T-tokens (N, C) and S-tokens (M, C), once per video."""
        return visual_tokens(self.vision, self.config, [frames], batch_size)[0]

    # ------------------------------------------------------------------ stages 3 and 4, training

    def forward(
        self,
        sequence: TokenSequence,
        temporal: Tensor,
        spatial: Tensor,
        foreground: Tensor | None = None,
        spans: Tensor | None = None,
        located: Tensor | None = None,
        return_states: bool = False,
    ) -> VideoExpertOutput:
        """One batch with its T-tokens (B, N, C) and S-tokens (B, M, C).

        The sequence's labels give the text loss, ``foreground`` (Q, N) and ``spans`` (Q, N, 2) the grounding losses
        of its Q ``<LOC>``; ``located`` (Q,) bool leaves out those without a target.
        """
        states = self.states(sequence, temporal, spatial)
        loc_positions = sequence.loc_positions
        output = VideoExpertOutput(states=states if return_states else None)
        output.text_loss = self.text_loss(states, sequence.labels)
        losses = [self.config.text_weight * output.text_loss]
        if len(loc_positions):
            frames, locs = self.projected(states, sequence.roles, loc_positions)
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
        output.loss = torch.stack(losses).sum()
        return output

    def states(
        self,
        sequence: TokenSequence,
        temporal: Tensor,
        spatial: Tensor,
        cache: DynamicCache | None = None,
    ) -> Tensor:
        """(B, L, D) states after the last norm, of a whole batch or of a prefix that fills ``cache``."""
        embeds = self.language.get_input_embeddings()(sequence.input_ids)
        frames, patches = self.adapter(temporal, spatial)
        for role, tokens in ((TokenRole.TEMPORAL, frames), (TokenRole.SPATIAL, patches)):
            embeds = embeds.masked_scatter((sequence.roles == role)[..., None], tokens.to(embeds.dtype))
        with token_roles(sequence.roles, sequence.temporal_span):
            return self._run(embeds, block_causal_mask(sequence.segments), sequence.position_ids, cache)

    def _run(
        self, embeds: Tensor, allowed: Tensor | None, position_ids: Tensor, cache: DynamicCache | None
    ) -> Tensor:
        mask = None
        if allowed is not None:  # additive, because eager attention adds what it is given
            mask = torch.zeros(allowed.shape, dtype=embeds.dtype, device=embeds.device)
            mask = mask.masked_fill_(~allowed, torch.finfo(embeds.dtype).min)
        base_model = self.language.base_model
        return base_model(
            inputs_embeds=embeds,
            attention_mask=mask,
            position_ids=position_ids,
            use_cache=cache is not None,
            **with_cache(base_model, cache),
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
        """(Q, D) the state used for each ``<LOC>``: its own, or the one before it (``loc_state``)."""
        return states[loc_positions[:, 0], loc_positions[:, 1] - self.loc_shift]

    @property
    def loc_shift(self) -> int:
        """0 to read the state of ``<LOC>`` itself (paper), 1 the state that predicts it (released code)."""
        return 1 if self.config.loc_state == "predicting" else 0

    def centres(self, num_frames: int) -> Tensor:
        """(N,) time of each frame as a fraction of the duration."""
        return frame_centres(num_frames, self.config.frame_times, self.device)

    # ------------------------------------------------------------------ stages 3 and 4, use

    @torch.no_grad()
    def open_prefixes(
        self, videos: Sequence[VisualTokens], prefix_ids: Sequence[int], stem: Sequence[int] = ()
    ) -> list[Prefix]:
        """The part of the prompt up to the last S-token of videos with equally many tokens, in one pass.

        It is computed once per video; no later query changes it. ``stem``: ids with which many questions begin.
        Raises InputError where the language model has too few positions.
        """
        n, m = len(videos[0].temporal), len(videos[0].spatial)
        length = len(prefix_ids) + n + m
        self.check_length(length, len(stem))
        after = [[Segment(tuple(stem))]] if stem else [[]]
        row = build_sequence(
            [prefix_ids] * len(videos), after * len(videos), num_frames=n, num_spatial_tokens=m
        ).to(self.device)
        cache = DynamicCache()
        states = self.states(
            row,
            torch.stack([v.temporal for v in videos]).to(self.device),
            torch.stack([v.spatial for v in videos]).to(self.device),
            cache,
        )
        frames = states[:, len(prefix_ids) : len(prefix_ids) + n]
        projected = self.head.project(frames.float()) if self.head else frames[..., :0]
        layers: Any = cache.layers
        return [
            Prefix(
                # a copy of their own where the batch holds several: an evicted video then frees its memory
                keys=tuple(_own(layer.keys, v) for layer in layers),
                values=tuple(_own(layer.values, v) for layer in layers),
                frame_states=_own(frames, v),
                projected_frames=_own(projected, v),
                length=length,
                stem=tuple(stem),
            )
            for v in range(len(videos))
        ]

    def open_prefix(self, video: VisualTokens, prefix_ids: Sequence[int]) -> Prefix:
        """``open_prefixes`` of one video."""
        return self.open_prefixes([video], prefix_ids)[0]

    @property
    def max_positions(self) -> int | None:
        """Positions that the language model was made for; None where its config does not say."""
        return getattr(self.language.config, "max_position_embeddings", None)

    def check_length(self, prefix: int, suffix: int) -> None:
        """Raises InputError where a prompt needs more positions than the language model has."""
        limit = self.max_positions
        if limit is not None and prefix + suffix > limit:
            raise InputError(
                f"the prompt needs {prefix + suffix} positions ({prefix} for the video, {suffix} for the text), "
                f"but the language model has {limit}; shorten the text or look at fewer frames."
            )

    @torch.no_grad()
    def read_rows(self, current: RowPass, ids: Tensor) -> Tensor:
        """(R, S, D) states of rows of ids (R, S) behind the prefixes of ``current``; padding comes last."""
        with token_roles(None):
            return current.run(self.language.base_model, self.language.get_input_embeddings()(ids))

    def row_pass(self, prefixes: Sequence[Prefix], counts: Sequence[int], **options: Any) -> RowPass:
        """A pass of ``counts`` rows behind each prefix; options as in RowPass."""
        kind = SharedPass if self.shares_prefixes else CopiedPass
        return kind(prefixes, counts, limit=self.max_positions, **options)

    def read_segments(self, prefix: Prefix, questions: Sequence[Segment]) -> Tensor:
        """States (sum of lengths, D) of questions on one video, end to end; each is a row of its own."""
        self.check_length(prefix.length, max(len(q.ids) for q in questions))
        current = self.row_pass([prefix], [len(questions)])
        states = self.read_rows(current, pad_rows([q.ids for q in questions]).to(self.device))
        return torch.cat([row[: len(q.ids)] for row, q in zip(states, questions, strict=True)])

    @torch.no_grad()
    def locate(self, prefix: Prefix, questions: Sequence[Segment]) -> HeadOutput:
        """Grounding without decoding: reads every ``<LOC>`` of the known texts ``questions``, in their order."""
        states = self.read_segments(prefix, questions)
        starts = torch.tensor([0, *[len(q.ids) for q in questions]]).cumsum(0)[:-1].tolist()
        places = [s + p for s, q in zip(starts, questions, strict=True) for p in q.loc_positions]
        locs = states[torch.tensor(places, dtype=torch.long, device=states.device) - self.loc_shift]
        return self.predict([prefix], locs, [len(places)])

    @torch.no_grad()
    def predict(self, prefixes: Sequence[Prefix], locs: Tensor, counts: Sequence[int]) -> HeadOutput:
        """The head's word on ``<LOC>`` states (Q, D), ``counts`` of them on each of the prefixes, in order."""
        frames = torch.stack([p.projected_frames for p in prefixes])
        rows = torch.arange(len(prefixes)).repeat_interleave(torch.tensor(counts)).to(locs.device)
        return self._head().predict(frames, self._head().project(locs.float()), rows)

    def moments(
        self,
        head: HeadOutput,
        clips: Sequence[Stretch],
        *,
        queries: Sequence[str] = (),
        top_k: int | None = None,
        moment_from: str | None = None,
    ) -> list[Moments]:
        """Logits of Q ``<LOC>`` to calibrated, ranked moments on each clip's clock: the one place that does it.

        ``clips`` (Q) were looked at; ``moment_from`` overrides the config's. Raises InputError for a ``top_k`` below
        1, VideoExpertError for logits that are not finite.
        """
        config = self.config
        logits = head.indicator_logits.float().cpu()
        right = Calibration(config.score_temperature, config.score_bias)(logits)
        peaks = Calibration(config.presence_temperature, config.presence_bias)(logits.amax(-1)).tolist()
        found = decode_many(
            right,
            head.offsets.cpu(),
            self.centres(logits.shape[-1]).cpu(),
            [clip.seen_s for clip in clips],
            [0.0 if clip.holes else clip.start_s for clip in clips],
            nms_iou=config.nms_iou,
            top_k=top_k,
            moment_from=moment_from or config.moment_from,
        )
        curves = logits.sigmoid().tolist()
        return [
            Moments(
                query,
                tuple(map(clip.moment, items) if clip.holes else items),
                peak,
                peak < config.absent_below,
                tuple(curve),
                curve_times=clip.centres(len(curve)) if clip.holes else (),
            )
            for query, items, peak, curve, clip in zip(
                queries or [""] * len(curves), found, peaks, curves, clips, strict=True
            )
        ]

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


def _own(batch: Tensor, row: int) -> Tensor:
    """A row of a batch that shares no memory with the others."""
    return batch[row] if len(batch) == 1 else batch[row].clone()
