"""VideoExpertConfig: with the weights alone it rebuilds the model. One place for every constant of the design."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from transformers import AutoConfig, PreTrainedConfig

from .errors import InputError
from .limits import limits

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
# Smallest and largest value of every number: whole ones, then the others, which are finite.
COUNTS: dict[str, tuple[int, int]] = {
    "num_frames": (1, 10**9),  # limits() decide
    "groups": (1, 10_000),
    "tokens_per_group": (1, 10_000),
    "key_tokens": (0, 10_000),
    "temporal_rank": (0, 65_536),
    "spatial_rank": (0, 65_536),
    "head_width": (1, 65_536),
}
_MOST = 1e6  # of a weight, temperature or bias
NUMBERS: dict[str, tuple[float, float]] = {
    "gop_similarity": (-1.0, 1.0),
    "lora_alpha": (0.0, _MOST),
    "lora_dropout": (0.0, 0.999),
    "text_weight": (0.0, _MOST),
    "indicator_weight": (0.0, _MOST),
    "l1_weight": (0.0, _MOST),
    "giou_weight": (0.0, _MOST),
    "background_weight": (0.0, _MOST),
    "alignment_weight": (0.0, _MOST),
    "nms_iou": (0.0, 1.0),
    "score_temperature": (1e-6, _MOST),
    "score_bias": (-_MOST, _MOST),
    "presence_temperature": (1e-6, _MOST),
    "presence_bias": (-_MOST, _MOST),
    "absent_below": (0.0, 1.0),
}
TEXTS = ("preset", "loc_text", "moment_prefix")
OPTIONAL = {
    "vision_name": str,
    "language_name": str,
    "system_text": str,
    "vision_config": dict,
    "language_config": dict,
    "taught_words": list,
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
    # Words that training showed beyond those that the tokenizer takes whole; language/words.py. None: no such.
    taught_words: list[str] | None = None

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
            if not isinstance(value, str) or value not in allowed:
                raise InputError(f"config field {name} is {value!r}, expected one of {', '.join(allowed)}.")
        self._check_numbers()
        for name in TEXTS:
            if not isinstance(getattr(self, name), str) or not getattr(self, name).strip():
                raise InputError(f"config field {name} is {_short(getattr(self, name))}, expected some text.")
        for name, kind in OPTIONAL.items():
            if not isinstance(getattr(self, name), (kind, type(None))):
                what = {str: "text", list: "a list of words", dict: "an object"}[kind]
                raise InputError(
                    f"config field {name} is {_short(getattr(self, name))}, expected {what}, or null."
                )
        if not all(isinstance(word, str) for word in self.taught_words or ()):
            raise InputError(
                f"config field taught_words is {_short(self.taught_words)}, expected a list of words."
            )

    def _check_numbers(self) -> None:
        for name, (least, most) in (COUNTS | NUMBERS).items():
            _check_number(name, getattr(self, name), least, most, whole=name in COUNTS)
        limits().check("frames", self.num_frames, f"config field num_frames is {self.num_frames:,}")
        if self.key_tokens > self.tokens_per_group:
            raise InputError(
                f"key_tokens is {self.key_tokens}, expected 0 to tokens_per_group ({self.tokens_per_group})."
            )
        if self.trained_seconds is not None:
            _check_number("trained_seconds", self.trained_seconds, 1e-3, 1e9)
        if self.loc_token_id is not None:
            _check_number("loc_token_id", self.loc_token_id, 0, 10**9, whole=True)
        for offset in _listed("temporal_differences", self.temporal_differences):
            _check_number("an entry of temporal_differences", offset, -10_000, 10_000, whole=True)

    @classmethod
    def checked(cls, stored: Mapping[str, Any]) -> VideoExpertConfig:
        """The config that a file holds. Raises InputError for a field that no config has, or a wrong value."""
        known = {field.name for field in fields(cls)} | _WRITTEN_TOO
        unknown = [name for name in stored if name not in known]
        if unknown:
            raise InputError(
                f"{_short(unknown[0])} is not a field of the config; take it out, or copy it again."
            )
        return cls.from_dict(dict(stored))

    @classmethod
    def from_preset(cls, preset: str, **fields: Any) -> VideoExpertConfig:
        """The preset's disputed fields, then ``fields`` on top."""
        if not isinstance(preset, str) or preset not in PRESETS:
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


# what transformers writes into any config beside its fields
_WRITTEN_TOO = {"model_type", "_name_or_path", "output_attentions", "torch_dtype", "use_cache"}


def _check_number(name: str, value: Any, least: float, most: float, *, whole: bool = False) -> None:
    kinds = (int,) if whole else (int, float)
    sound = isinstance(value, kinds) and not isinstance(value, bool)
    if not sound or not least <= value <= most:  # which NaN and infinity are not
        kind = "a whole number" if whole else "a number"
        raise InputError(
            f"config field {name} is {_short(value)}, expected {kind} from {least:.12g} to {most:.12g}."
        )


def _listed(name: str, value: Any) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, (list, tuple)) or len(value) > 100:
        raise InputError(
            f"config field {name} is {_short(value)}, expected a list of at most 100 numbers, or null."
        )
    return list(value)


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


# so that transformers' own loaders know our config.json
AutoConfig.register("videoexpert", VideoExpertConfig)
