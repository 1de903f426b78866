"""The authors' released checkpoint -> a model folder of ours, every key accounted for.

What the authors' training leaves (stage 1: the projector; stage 2: two experts, head, vocabulary) is matched
against the names and shapes that our model expects: nothing missing, nothing unexpected, nothing of ours
left unfilled. Their ``V_Expertlora_*`` is the temporal expert and ``L_Expertlora_*`` the spatial one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ... import pretrained
from ...columns import columns
from ...config import VideoExpertConfig
from ...errors import CheckpointError, InputError
from ...language.vocabulary import add_loc_token
from ...model import VideoExpertModel
from .. import folder as checkpoint
from .base import needs_safetensors, write_base
from .files import ROTARY, Stages, find_stages, read_json, read_pickle, stored_shapes
from .keys import (
    BASE_PART,
    EXPERT_PARTS,
    FUSION_KEYS,
    VOCABULARY_PART,
    Mapped,
    check_keys,
    key_map,
    translate,
)

RELEASED_SCALE = 2.0  # fixed in the released expert layer whatever its rank; no file records it
HEAD_WIDTHS = ("text_hidden_fcs_det.0.2.bias", "_embed_head.layers.0.bias", "_embed_head.layers.1.bias")
# What decides whether a base model is the one that was trained on, as far as the files show.
BASE_FIELDS = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "hidden_act",
    "rms_norm_eps",
    "tie_word_embeddings",
)


@dataclass(frozen=True)
class ConvertedKey:
    """A key that was read, and the parameters of ours that it filled."""

    theirs: str
    file: str
    part: str
    ours: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Conversion:
    """What became of every key. ``left_out``: key -> reason; ``notes``: what the files do not record."""

    entries: tuple[ConvertedKey, ...]
    left_out: Mapping[str, str]
    notes: tuple[str, ...] = ()

    def parts(self) -> dict[str, tuple[int, int]]:
        """Part -> (tensors, numbers)."""
        found: dict[str, tuple[int, int]] = {}
        for entry in self.entries:
            tensors, numbers = found.get(entry.part, (0, 0))
            found[entry.part] = (tensors + 1, numbers + torch.Size(entry.shape).numel())
        return found

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values: parts, every key, what was left out, notes."""
        parts = {part: {"tensors": t, "numbers": n} for part, (t, n) in self.parts().items()}
        return {
            "parts": parts,
            "keys": [asdict(entry) for entry in self.entries],
            "left_out": dict(self.left_out),
            "notes": list(self.notes),
        }

    def to_table(self, verbose: bool = False) -> str:
        """Counts by part; with ``verbose`` a line for every key."""
        rows, total = [], Counter[str]()
        for part, (tensors, numbers) in self.parts().items():
            rows.append((part, str(tensors), f"{numbers:,}"))
            total.update(tensors=tensors, numbers=numbers)
        rows.append(("all", str(total["tensors"]), f"{total['numbers']:,}"))
        lines = columns(("part", "tensors", "numbers"), rows, left=(0,))
        lines.append(f"missing 0, unexpected 0, left out {len(self.left_out)}")
        reasons = Counter(self.left_out.values())
        lines += [f"  left out: {count} x {reason}" for reason, count in reasons.items()]
        lines += [f"  note: {note}" for note in self.notes]
        if verbose:
            lines += [
                f"{e.theirs} {list(e.shape)} {e.dtype} ({e.file}) -> {', '.join(e.ours)}"
                for e in self.entries
            ]
            lines += [f"{key} -> nothing: {reason}" for key, reason in self.left_out.items()]
        return "\n".join(lines)


def convert(
    authors: str | Path,
    out: str | Path,
    *,
    language: str | Path,
    vision: str | Path,
    stage1: str | Path | None = None,
    stage2: str | Path | None = None,
    fusion: str | None = None,
) -> Conversion:
    """Write the authors' checkpoint as an adapter-only folder of ours with ``preset: released``.

    authors         folder with ``stage1/mm_projector.bin`` and ``stage2_output/``; ``stage1`` and ``stage2``
                    name the file and the folder if they are elsewhere
    language, vision    base models, a folder or a hub id each; the new folder names them
    fusion          only if the files do not show it: "none" has the same keys as "add", which is assumed

    The base language model is not loaded: its config, tokenizer and (of a folder) stored shapes are checked. One whose
    weights are pickles is written again as safetensors, to ``OUT-base``: nothing else opens a pickle.
    Raises CheckpointError for anything missing, unexpected, damaged or of another shape, InputError when
    ``out`` exists; nothing is written then.
    """
    target = Path(out)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"{target} exists already, expected a new folder; give another OUT.")
    if fusion is not None and fusion not in FUSION_KEYS:
        raise InputError(f"fusion is {fusion!r}, expected one of {', '.join(FUSION_KEYS)}.")
    stages = find_stages(Path(authors), stage1, stage2)
    weights, files, left_out = _read_stages(stages)
    notes = []
    if fusion is None:
        fusion = _fusion(weights)
        if fusion == "add":
            notes.append("no key tells fusion 'add' from 'none' or a stage-3 output; 'add' is assumed.")
    model, tokenizer = _empty_model(weights, read_json(stages.config), str(language), str(vision), fusion)
    complete = key_map(model)
    if Path(language).is_dir():
        left_out |= _check_base(Path(language), complete, int(model.config.loc_token_id or 0))
    mapped = [entry for entry in complete if entry.part != BASE_PART]
    shapes = {name: model.get_parameter(name).shape for name in model.trained_names()}
    state = translate(weights, mapped, shapes, str(authors))
    model.load_state_dict(state, strict=False, assign=True)
    if needs_safetensors(language):
        model.config.language_name = str(write_base(language, target.with_name(f"{target.name}-base")))
        notes.append(
            f"the base was a pickle; as safetensors it is {model.config.language_name}, beside the model."
        )
    checkpoint.save(model, tokenizer, target, adapter_only=True)
    entries = [
        ConvertedKey(
            entry.theirs,
            files[entry.theirs],
            entry.part,
            tuple(write.ours for write in entry.writes),
            entry.shape,
            str(weights[entry.theirs].dtype).removeprefix("torch."),
        )
        for entry in mapped
    ]
    return Conversion(tuple(entries), left_out, tuple(notes))


def _read_stages(stages: Stages) -> tuple[dict[str, Tensor], dict[str, str], dict[str, str]]:
    """(key -> tensor, key -> file, key left out -> reason) of all files, prefixes of wrappers taken off."""
    weights: dict[str, Tensor] = {}
    files: dict[str, str] = {}
    for file in (stages.experts, stages.others):
        for key, tensor in _unwrapped(read_pickle(file)).items():
            if key in weights:
                raise CheckpointError(
                    f"{key} stands in both {files[key]} and {file.name}, expected it once; "
                    "give the output of one training run."
                )
            weights[key], files[key] = tensor, file.name
    trained = any(key.startswith("model.mm_projector.") for key in weights)
    left_out: dict[str, str] = {}
    if stages.projector is None:
        if not trained:
            raise CheckpointError(
                f"{stages.others.parent} needs the projector of stage 1 and no mm_projector.bin was found; "
                "give it with --stage1."
            )
        return weights, files, left_out
    for key, tensor in read_pickle(stages.projector).items():
        # The released loader takes any key that contains mm_projector, whatever its prefix.
        name = f"model.mm_projector.{key.split('mm_projector.')[1]}" if "mm_projector." in key else key
        if trained and name in weights:
            left_out[f"{stages.projector.name}: {key}"] = "stage-1 projector, trained further in stage 2"
        elif name in weights:
            raise CheckpointError(
                f"{key} in {stages.projector} stands in {files[name]} too, expected it once; "
                "give the mm_projector.bin of stage 1."
            )
        else:
            weights[name], files[name] = tensor, stages.projector.name
    return weights, files, left_out


def _unwrapped(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Keys without the prefixes that training wrappers add, by the released loader's rule."""
    plain = {key.removeprefix("base_model."): tensor for key, tensor in weights.items()}
    if any(key.startswith("model.model.") for key in plain):
        plain = {key.removeprefix("model."): tensor for key, tensor in plain.items()}
    if len(plain) != len(weights):
        raise CheckpointError("a checkpoint file holds one key with and without prefix, expected it once.")
    return plain


def _fusion(weights: Mapping[str, Tensor]) -> str:
    for name, prefixes in FUSION_KEYS.items():
        if any(key.startswith(tuple(prefixes)) for key in weights):
            return name
    return "add"


def _empty_model(
    weights: Mapping[str, Tensor], theirs: Mapping[str, Any], language: str, vision: str, fusion: str
) -> tuple[VideoExpertModel, Any]:
    """Our model of the checkpoint's sizes, on the meta device, and the tokenizer with [LOC]."""
    base, tokenizer = pretrained.config_of(language, "the language model"), pretrained.tokenizer_of(language)
    _check_same_base(theirs, base, language)
    encoder = checkpoint.load_vision(vision)
    projector = weights.get("model.mm_projector.weight", torch.empty(0))
    if projector.ndim == 2 and projector.shape[1] != encoder.out_width:
        raise CheckpointError(
            f"{vision} gives tokens of width {encoder.out_width}, the checkpoint's projector expects "
            f"{projector.shape[1]}; give the vision encoder it was trained with."
        )
    ranks = [_common_size(weights, (f"{x}_Expertlora_A.weight",), EXPERT_PARTS[x]) for x in "VL"]
    config = VideoExpertConfig.from_preset(
        "released",
        vision_config=encoder.to_config(),
        language_config=base.to_dict(),
        vision_name=vision,
        language_name=language,
        temporal_rank=ranks[0],
        spatial_rank=ranks[1],
        lora_alpha=RELEASED_SCALE * sum(ranks) / 2,
        head_width=_common_size(weights, HEAD_WIDTHS, "temporal head"),
        fusion=fusion,
    )
    config.loc_token_id = add_loc_token(tokenizer, config.loc_text)
    if config.loc_token_id != base.vocab_size:
        raise CheckpointError(
            f"the tokenizer of {language} gives {config.loc_text} the id {config.loc_token_id}, the "
            "checkpoint "
            f"has it at {base.vocab_size}; give the base model with its own tokenizer."
        )
    with torch.device("meta"):
        return VideoExpertModel(config, vision=encoder), tokenizer


def _check_same_base(theirs: Mapping[str, Any], base: Any, language: str) -> None:
    if theirs.get("model_type") != "VTimeLLM":
        raise CheckpointError(
            f"the stage-2 config.json has model_type {theirs.get('model_type')!r}, expected 'VTimeLLM'; "
            "give the output folder of the authors' training."
        )
    ours = base.to_dict()
    ours["rope_theta"] = (ours.get("rope_parameters") or {}).get("rope_theta", ours.get("rope_theta"))
    wanted = {name: theirs[name] for name in BASE_FIELDS if theirs.get(name) is not None}
    wanted |= {"model_type": "llama", "rope_theta": theirs.get("rope_theta", 10000.0)}
    if "vocab_size" in theirs:
        wanted["vocab_size"] = theirs["vocab_size"] - 1  # without [LOC]
    for name, value in wanted.items():
        if ours.get(name) != value:
            raise CheckpointError(
                f"{language} has {name} {ours.get(name)}, the checkpoint was trained on a base with {value}; "
                f"give the model it was trained on (its config names {theirs.get('_name_or_path')!r})."
            )


def _check_base(folder: Path, complete: Sequence[Mapped], vocabulary: int) -> dict[str, str]:
    """Keys left out of a base folder; CheckpointError unless it stores every weight that is left to it."""
    found = stored_shapes(folder)
    rotary = {key for key in found if key.endswith(ROTARY)}
    wanted = {
        entry.theirs: (vocabulary, *entry.shape[1:]) if entry.part == VOCABULARY_PART else entry.shape
        for entry in complete
        if entry.part in (BASE_PART, VOCABULARY_PART)
    }
    check_keys(wanted, {key: shape for key, shape in found.items() if key not in rotary}, str(folder))
    return {key: "rotary table of the base model, which is computed" for key in sorted(rotary)}


def _common_size(weights: Mapping[str, Tensor], endings: tuple[str, ...], part: str) -> int:
    """First size of most tensors whose keys end so; one that differs is found when shapes are compared."""
    sizes = Counter(len(t) for key, t in weights.items() if key.endswith(endings) and t.ndim)
    if not sizes:
        raise CheckpointError(
            f"the checkpoint has no {part} (keys that end with {endings[0]}), expected the output of stage "
            "2; "
            "give the folder that the authors' training wrote."
        )
    return sizes.most_common(1)[0][0]
