"""The key map: the authors' names of the released model's tensors, and where each goes in ours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...errors import CheckpointError
from ...language.experts import expert_layers
from ...model import VideoExpertModel

# Prefixes of the authors' keys and of ours inside ``head.``.
HEAD_KEYS = {
    "model.text_hidden_fcs_det.0.": "projection.",
    "model.class_embed_head.layers.0.": "indicator_branch.0.",
    "model.class_embed_head.layers.1.": "indicator_branch.2.",
    "model.class_embed_head.layers.2.": "indicator_branch.4.",
    "model.span_embed_head.layers.0.": "boundary_branch.0.",
    "model.span_embed_head.layers.1.": "boundary_branch.2.",
    "model.span_embed_head.layers.2.": "boundary_branch.4.",
}
# The same for the interaction types simp_add, simp-atten, intact_add and self-atten.
FUSION_KEYS: dict[str, dict[str, str]] = {
    "add": {},
    "none": {},
    "concat": {"model.loc_interact.0.": "fusion.layers."},
    "attention": {
        "model.token_type_embeddings.": "fusion.token_type.",
        "model.loc_interact.encoder.layers.0.self_attn.": "fusion.attention.",
        "model.loc_interact.encoder.layers.0.linear1.": "fusion.feed_forward.0.",
        "model.loc_interact.encoder.layers.0.linear2.": "fusion.feed_forward.2.",
        "model.loc_interact.encoder.layers.0.norm1.": "fusion.attention_norm.",
        "model.loc_interact.encoder.layers.0.norm2.": "fusion.feed_forward_norm.",
    },
}
_FUSION_PREFIXES = ("model.loc_interact.", "model.token_type_embeddings.")
EXPERT_PARTS = {"V": "temporal expert", "L": "spatial expert"}
BASE_PART = "language model"
VOCABULARY_PART = "vocabulary"
FLOATS = (torch.bfloat16, torch.float16, torch.float32)


@dataclass(frozen=True)
class Write:
    """The block ``of`` of an authors' tensor goes to the block ``into`` of our parameter ``ours``."""

    ours: str
    into: tuple[slice, ...] = ()
    of: tuple[slice, ...] = ()


@dataclass(frozen=True)
class Mapped:
    """One of the authors' keys: the shape it must have, and where its numbers go."""

    theirs: str
    part: str
    shape: tuple[int, ...]
    writes: tuple[Write, ...]


def key_map(model: VideoExpertModel) -> tuple[Mapped, ...]:
    """Every key of the authors' that fills ``model``, base language model included, vision encoder not.

    Made from our parameters, so that none of them can be forgotten. Raises CheckpointError for a model that
    the released code cannot express (motion inputs, a shared LoRA, <LOC> inside the base vocabulary).
    """
    config = model.config
    size = model.language.get_input_embeddings().weight.shape[0]
    if config.times == "head" and config.fusion not in FUSION_KEYS:
        raise CheckpointError(
            f"the released code has no fusion {config.fusion!r}, only {', '.join(FUSION_KEYS)}; this model's weights "
            "cannot be matched with the authors'."
        )
    if config.experts != "split" or config.temporal_differences or config.loc_token_id != size:
        raise CheckpointError(
            "the released code has two experts, no motion inputs and <LOC> behind the base vocabulary; "
            "this model differs, so its weights cannot be matched with the authors'."
        )
    expert_modules = {
        f"language.{name}": layer.temporal_rank for name, layer in expert_layers(model.language)
    }
    found: dict[str, Mapped] = {}
    for name, parameter in model.named_parameters():
        if name.startswith("vision."):
            continue
        for mapped in _matches(name, tuple(parameter.shape), expert_modules, size, config.fusion):
            known = found.get(mapped.theirs)
            writes = (*known.writes, *mapped.writes) if known else mapped.writes
            found[mapped.theirs] = Mapped(mapped.theirs, mapped.part, mapped.shape, writes)
    return tuple(found.values())


def _matches(
    name: str, shape: tuple[int, ...], experts: Mapping[str, int], vocabulary: int, fusion: str
) -> list[Mapped]:
    """The authors' keys of one parameter of ours."""
    if name.startswith("adapter.linear."):
        theirs = name.replace("adapter.linear.", "model.mm_projector.")
        return [Mapped(theirs, "projector", shape, (Write(name),))]
    if name.startswith("head."):
        prefixes = HEAD_KEYS | FUSION_KEYS[fusion]
        theirs, ours = next(pair for pair in prefixes.items() if name.startswith(f"head.{pair[1]}"))
        part = "fusion" if ours.startswith("fusion.") else "head"
        return [Mapped(theirs + name.removeprefix(f"head.{ours}"), part, shape, (Write(name),))]
    module, _, leaf = name.rpartition(".")
    if module in experts and leaf in ("lora_A", "lora_B"):
        return _expert_matches(name, module.removeprefix("language."), leaf[-1], shape, experts[module])
    inner = module.removesuffix(".base")
    theirs = f"{inner.removeprefix('language.')}.{'weight' if leaf == 'loc_row' else leaf}"
    if leaf == "loc_row":
        row = Write(name, of=(slice(vocabulary, vocabulary + 1),))
        return [Mapped(theirs, VOCABULARY_PART, (vocabulary + 1, shape[1]), (row,))]
    if inner != module and inner not in experts:
        rows = Write(name, of=(slice(0, vocabulary),))
        return [Mapped(theirs, VOCABULARY_PART, (vocabulary + 1, shape[1]), (rows,))]
    return [Mapped(theirs, BASE_PART, shape, (Write(name),))]


def _expert_matches(name: str, module: str, side: str, shape: tuple[int, ...], first: int) -> list[Mapped]:
    """Temporal rows of A (columns of B) come first, the spatial ones after."""
    dim = 0 if side == "A" else 1
    found = []
    for letter, (start, stop) in {"V": (0, first), "L": (first, shape[dim])}.items():
        block = (slice(None),) * dim + (slice(start, stop),)
        theirs_shape = tuple(stop - start if d == dim else size for d, size in enumerate(shape))
        theirs = f"{module}.{letter}_Expertlora_{side}.weight"
        found.append(Mapped(theirs, EXPERT_PARTS[letter], theirs_shape, (Write(name, into=block),)))
    return found


def translate(
    weights: Mapping[str, Tensor], mapped: Sequence[Mapped], shapes: Mapping[str, Sequence[int]], where: str
) -> dict[str, Tensor]:
    """The authors' tensors under our names. ``shapes``: those of our parameters to be filled.

    Base matrices keep the dtype they have in the file; all else becomes float32, which holds it exactly.
    Raises CheckpointError, naming ``where``, for keys missing or unexpected, a shape or dtype that is wrong,
    or numbers that are not finite.
    """
    check_keys({m.theirs: m.shape for m in mapped}, {k: v.shape for k, v in weights.items()}, where)
    ours: dict[str, Tensor] = {}
    filled = Counter[str]()
    for entry in mapped:
        tensor = weights[entry.theirs]
        if tensor.dtype not in FLOATS:
            raise CheckpointError(
                f"{entry.theirs} in {where} is {tensor.dtype}, expected bfloat16, float16 or float32; "
                "give the checkpoint as it was trained."
            )
        if not bool(tensor.isfinite().all()):
            raise CheckpointError(
                f"{entry.theirs} in {where} holds numbers that are not finite; the training run has diverged "
                "or the file is damaged, so take another checkpoint."
            )
        for write in entry.writes:
            if write.ours not in ours:
                dtype = tensor.dtype if ".base." in write.ours else torch.float32
                ours[write.ours] = torch.empty(tuple(shapes[write.ours]), dtype=dtype)
            block = tensor[write.of]
            ours[write.ours][write.into] = block.to(ours[write.ours].dtype)
            filled[write.ours] += block.numel()
    unfilled = [name for name in shapes if filled[name] != torch.Size(shapes[name]).numel()]
    assert not unfilled, f"the key map leaves parts of {unfilled[:3]} unfilled"
    return ours


def check_keys(wanted: Mapping[str, Sequence[int]], found: Mapping[str, Sequence[int]], where: str) -> None:
    """CheckpointError unless both hold the same keys with the same shapes."""
    missing, extra = [k for k in wanted if k not in found], [k for k in found if k not in wanted]
    if missing and not extra and all(key.startswith(_FUSION_PREFIXES) for key in missing):
        raise CheckpointError(
            f"{where} lacks the fusion's weights ({_some(missing)}): a stage-3 run does not write them, "
            "expected those of stage 2; convert the stage-2 output."
        )
    if missing or extra:
        raise CheckpointError(
            f"{where} does not hold exactly the released model's keys: {len(missing)} missing "
            f"({_some(missing)}), {len(extra)} unexpected ({_some(extra)}); "
            "give the complete output of one training run."
        )
    wrong = [k for k in wanted if tuple(wanted[k]) != tuple(found[k])]
    if wrong:
        raise CheckpointError(
            f"{wrong[0]} in {where} has shape {tuple(found[wrong[0]])}, expected {tuple(wanted[wrong[0]])} "
            f"({len(wrong)} such keys); give the checkpoint and the base models that belong together."
        )


def _some(keys: Sequence[str]) -> str:
    return ", ".join(keys[:3]) + (", ..." if len(keys) > 3 else "") or "none"
