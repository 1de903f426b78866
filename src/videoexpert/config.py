"""VideoExpertConfig: with the weights alone it rebuilds the model. One place for every constant of the design."""

from __future__ import annotations

from typing import Any

from transformers import AutoConfig, PreTrainedConfig

from .errors import InputError

# Where the paper and the released code disagree (docs/fidelity.md). New models choose field by field.
PRESETS: dict[str, dict[str, Any]] = {
    "paper": {
        "gop": "similarity",
        "key_score": "attention",
        "static_reference": "previous",
        "loc_state": "token",
        "frame_times": "centre",
        "train_vocabulary": "loc",
        "loc_text": "<LOC>",
        "moment_prefix": "During",
    },
    "released": {
        "gop": "fixed",
        "key_score": "cosine",
        "static_reference": "idr",
        "loc_state": "predicting",
        "frame_times": "end",
        "train_vocabulary": "all",
        "loc_text": "[LOC]",
        "moment_prefix": "From",
    },
}

CHOICES: dict[str, tuple[Any, ...]] = {
    "weights": ("full", "adapter"),
    "gop": ("similarity", "fixed"),
    "key_score": ("attention", "cosine"),
    "static_reference": ("previous", "idr"),
    "spatial_tokens": ("compress", "random", "none"),
    "loc_state": ("token", "predicting"),
    "frame_times": ("centre", "end"),
    "train_vocabulary": ("loc", "all"),
    "experts": ("split", "shared"),
    "times": ("head", "text", "seconds", "tokens"),
    "fusion": ("add", "concat", "attention", "none"),
    "conversation": ("vicuna_v1", "chat_template"),
    "choice_format": ("letter", "text"),
    "moment_from": ("offsets", "run"),
}


class VideoExpertConfig(PreTrainedConfig):
    """Everything that decides what the model computes. Field comments name the source in the paper.

    Raises InputError for a value outside the listed choices or a contradictory size.
    """

    model_type = "videoexpert"

    preset: str = "custom"  # "paper", "released" or "custom": where the disputed fields came from
    # Base models: nested transformers configs rebuild them; names say where an adapter-only folder finds them.
    vision_config: dict[str, Any] | None = None
    language_config: dict[str, Any] | None = None
    vision_name: str | None = None
    language_name: str | None = None
    # "adapter": the folder holds only what was trained; base models come from the names
    weights: str = "full"

    # Length of the training videos in seconds, about; longer ones are looked at in windows of it. None: not known.
    trained_seconds: float | None = None

    # Stage 1 and 2
    num_frames: int = 100  # N
    groups: int = 4  # U, paper Table VIII
    tokens_per_group: int = 64  # W, paper Table VIII
    key_tokens: int = 28  # of the W; the other W - key_tokens are context tokens
    gop: str = "similarity"
    # a frame joins a group while its class token's cosine to the IDR frame is above
    gop_similarity: float = 0.7
    key_score: str = "attention"
    static_reference: str = "previous"
    spatial_tokens: str = "compress"  # "random", "none": paper Table VII rows 2 and 3
    # Extra T-token inputs of the adapter: class token at frame i+o minus that at i, for each offset o.
    # Empty in the paper; lets a very small language model see motion.
    temporal_differences: list[int] | None = None

    # Stage 3
    experts: str = "split"  # "shared": one LoRA of the joint rank on all tokens, paper Table VII row 4
    temporal_rank: int = 32  # r of the temporal expert; paper Fig. 5 splits 64
    spatial_rank: int = 32
    lora_alpha: float = 64.0
    lora_dropout: float = 0.05
    loc_text: str = "<LOC>"
    loc_token_id: int | None = None
    loc_state: str = "token"
    train_vocabulary: str = "loc"
    conversation: str = "vicuna_v1"
    system_text: str | None = None  # None: the conversation's own
    moment_prefix: str = "During"
    choice_format: str = "letter"

    # all but "head": no head and no <LOC>, times are written (paper Table VII row 5), as percents (VTimeLLM's form),
    # as seconds, or as percents that are words of their own; language/time_text.py
    times: str = "head"

    # Stage 4
    fusion: str = "add"  # paper Table VI
    head_width: int = 512  # H
    frame_times: str = "centre"
    text_weight: float = 1.0  # paper Eq. 11
    indicator_weight: float = 2.0
    l1_weight: float = 5.0
    giou_weight: float = 2.0
    background_weight: float = 0.1
    # Ours, 0 in the paper: frames and <LOC> of one moment point the same way in the head's width (losses.py). A small
    # language model otherwise learns for long where anything happens before it looks at what is asked.
    alignment_weight: float = 0.0
    nms_iou: float = 0.7
    moment_from: str = "offsets"
    # Calibration on held-out data: probability = sigmoid(logit / temperature + bias), of the highest frame for presence
    score_temperature: float = 1.0  # that a moment is right (IoU >= 0.5)
    score_bias: float = 0.0
    presence_temperature: float = 1.0  # that the event is in the video at all
    presence_bias: float = 0.0
    absent_below: float = 0.0  # a query whose presence is under this is said to be absent

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)  # type: ignore[no-untyped-call]
        for name, allowed in CHOICES.items():
            value = getattr(self, name)
            if value not in allowed:
                raise InputError(f"config field {name} is {value!r}, expected one of {', '.join(allowed)}.")
        if not 0 <= self.key_tokens <= self.tokens_per_group:
            raise InputError(
                f"key_tokens is {self.key_tokens}, expected 0 to tokens_per_group ({self.tokens_per_group})."
            )
        if self.trained_seconds is not None and not 0 < self.trained_seconds < float("inf"):
            raise InputError(
                f"trained_seconds is {self.trained_seconds}, expected a positive number, or none."
            )
        for name in ("num_frames", "groups", "tokens_per_group", "head_width"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}, expected at least 1.")

    @classmethod
    def from_preset(cls, preset: str, **fields: Any) -> VideoExpertConfig:
        """The preset's disputed fields, then ``fields`` on top."""
        if preset not in PRESETS:
            raise InputError(f"preset is {preset!r}, expected one of {', '.join(PRESETS)}.")
        return cls(**{"preset": preset, **PRESETS[preset], **fields})

    @property
    def vision_width(self) -> int:
        """C, the width of T- and S-tokens."""
        if self.vision_config is None:
            raise InputError("the config has no vision_config, expected the vision encoder's own config.")
        # towers that project nothing have no projection_dim
        return int(self.vision_config.get("projection_dim") or self.vision_config["hidden_size"])

    @property
    def num_spatial_tokens(self) -> int:
        """M, the S-tokens a video gives."""
        return 0 if self.spatial_tokens == "none" else self.groups * self.tokens_per_group

    @property
    def num_visual_tokens(self) -> int:
        """N + M."""
        return self.num_frames + self.num_spatial_tokens


# so that transformers' own loaders know our config.json
AutoConfig.register("videoexpert", VideoExpertConfig)
