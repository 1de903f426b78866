"""The whole tiny model against the shared reference data (reference/full_model), at its README's tolerances.

One quirk of the released inference is not reproduced: without a mask it takes positions 35..134 for T-tokens
whatever stands there. Ours knows the roles, so a prompt whose video begins elsewhere must match the reference
that was computed with the true mask. ``test_hard_coded_positions_are_all_that_differs`` shows that the quirk,
put into our layers by hand, gives the released numbers too.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoTokenizer, DynamicCache

from parity.released import (
    forward_inputs,
    near,
    prompt_names,
    released_model,
    split_row,
    video_tokens,
    visual_count,
)
from shared_data import stored
from videoexpert.checkpoints.released.keys import Mapped
from videoexpert.engine.decode import decode
from videoexpert.language.experts import token_roles
from videoexpert.language.prompter import Prompter
from videoexpert.language.sequence import IGNORED, PADDING, TokenSequence, build_sequence
from videoexpert.language.vocabulary import add_loc_token
from videoexpert.model import VideoExpertModel
from videoexpert.outputs import VideoExpertOutput
from videoexpert.types import TokenRole, VisualTokens

CASES = [file.stem.removeprefix("case_") for file in stored("reference/full_model/case_*.safetensors")]
PROMPTS = prompt_names(stored("reference/full_model/inference.safetensors"))
NO_DATA = [pytest.param("", marks=pytest.mark.skip(reason="shared reference data not found"))]
LOGITS, PROBABILITIES, NORMS, GRADIENTS = 1e-4, 2e-5, 5e-4, 1e-4
Tensors = dict[str, Tensor]


@pytest.fixture(scope="module")
def reference(shared: Path) -> Path:
    return shared / "reference"


@pytest.fixture(scope="module")
def released(reference: Path) -> tuple[VideoExpertModel, tuple[Mapped, ...]]:
    return released_model(reference)


@pytest.fixture(scope="module")
def model(released: tuple[VideoExpertModel, tuple[Mapped, ...]]) -> VideoExpertModel:
    return released[0]


@pytest.fixture(scope="module")
def videos(reference: Path, model: VideoExpertModel) -> tuple[Tensor, Tensor]:
    return video_tokens(reference, model.config)


def block_input(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    """The states that a block of the language model is given."""
    return args[0] if args else kwargs["hidden_states"]


class Case:
    """A stored case run through our sequence building and our training forward, with gradients."""

    def __init__(
        self, name: str, reference: Path, model: VideoExpertModel, videos: tuple[Tensor, Tensor]
    ) -> None:
        self.name, self.stored = name, load_file(reference / f"full_model/case_{name}.safetensors")
        cls, spatial = (tokens[self.stored["video_index"]] for tokens in videos)
        spatial = spatial[:, : visual_count(self.stored) - cls.shape[1]]  # none, or all
        self.cls, self.spatial = cls, spatial
        parts = [
            split_row(ids[mask], labels[mask], model.config.loc_token_id)
            for ids, labels, mask in zip(
                self.stored["input_ids"], self.stored["labels"], self.stored["attention_mask"], strict=True
            )
        ]
        self.row: TokenSequence = build_sequence(
            [before for before, _ in parts],
            [[after] for _, after in parts],
            num_frames=cls.shape[1],
            num_spatial_tokens=spatial.shape[1],
        )
        self.streams: list[Tensor] = []  # input of every block of the language model
        hooks = [
            block.register_forward_pre_hook(
                lambda _, args, kwargs: self.streams.append(block_input(args, kwargs).detach()),
                with_kwargs=True,
            )
            for block in model.language.base_model.layers
        ]
        targets = {}
        if "timestamp_window" in self.stored:
            targets = {
                "foreground": self.stored["timestamp_window"] == 1,
                "spans": self.stored["span_label_nn"],
            }
        inputs = forward_inputs(self.row, cls, spatial)
        model.zero_grad()
        self.output: VideoExpertOutput = model(
            **inputs,
            **targets,
            return_states=True,
        )
        for hook in hooks:
            hook.remove()
        assert self.output.loss is not None
        self.output.loss.backward()
        self.gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.fixture(scope="module", params=CASES or NO_DATA)
def case(
    request: pytest.FixtureRequest, reference: Path, model: VideoExpertModel, videos: tuple[Tensor, Tensor]
) -> Case:
    return Case(request.param, reference, model, videos)


def test_expanded_positions(case: Case) -> None:
    stored, row = case.stored, case.row
    assert torch.equal(row.roles == TokenRole.TEMPORAL, stored["expanded.temporal_mask"])
    assert torch.equal(row.segments != PADDING, stored["expanded.attention_mask"])
    assert torch.equal(row.labels, stored["expanded.labels"])
    shifted = row.loc_positions - torch.tensor([0, 1])  # the released state stands before <LOC>
    assert torch.equal(shifted, stored["expanded.loc_positions"])


@torch.no_grad()
def test_states_and_logits(case: Case, model: VideoExpertModel) -> None:
    stored, states = case.stored, case.output.states
    assert states is not None
    rows, places = stored["logits_index"].unbind(-1)
    near(states[rows, places], stored["hidden_last_at_index"], LOGITS, "states")
    near(model.logits(states[rows, places]), stored["logits_at_index"], LOGITS, "logits")
    if "hidden_last" in stored:
        real = stored["expanded.attention_mask"]
        near(states[real], stored["hidden_last"][real], LOGITS, "all states")
    streams = [*case.streams, states]
    kept = [key for key in stored if key.startswith("hidden_states.")]
    assert len(kept) in (0, len(streams))
    real = stored["expanded.attention_mask"][:, stored["hidden_positions"]]
    for key in kept:
        ours = streams[int(key.split(".")[1])][:, stored["hidden_positions"]]
        near(ours[real], stored[key][real], LOGITS, key)


def test_head(case: Case) -> None:
    stored, output = case.stored, case.output
    if not len(case.row.loc_positions):
        assert output.indicator_logits is None
        assert "class_logits" not in stored
        return
    assert output.indicator_logits is not None
    assert output.boundary_logits is not None
    near(output.indicator_logits[..., None], stored["class_logits"], LOGITS, "indicator")
    near(output.boundary_logits, stored["span_logits"], LOGITS, "boundaries")
    near(output.indicator_logits.sigmoid()[..., None], stored["outputs_class"], PROBABILITIES, "probability")
    signed = output.boundary_logits.sigmoid() * torch.tensor([-1.0, 1.0])
    near(signed, stored["outputs_coord"], PROBABILITIES, "offsets")


def test_losses(case: Case) -> None:
    """With no frame of the batch inside a moment the released boundary losses are NaN; ours are zero."""
    stored, output = case.stored, case.output
    assert output.text_loss is not None
    near(output.text_loss, stored["loss.text"], PROBABILITIES, "text")
    parts = {"loss_f": output.indicator_loss, "loss_b": output.l1_loss, "loss_g": output.giou_loss}
    for name, ours in parts.items():
        theirs = stored.get(f"loss.{name}")
        assert (theirs is None) == (ours is None), name
        if theirs is not None and ours is not None:
            near(ours, theirs.nan_to_num(0.0), PROBABILITIES, name)
    assert output.loss is not None
    if stored["loss.total"].isfinite():
        near(output.loss, stored["loss.total"], PROBABILITIES, "total")
    else:
        assert output.loss.isfinite()


def their_gradients(case: Case, mapped: tuple[Mapped, ...]) -> Tensors:
    """Our gradients put together under the authors' keys, zero where a parameter took no part."""
    found = {}
    for entry in mapped:
        if not any(write.ours in case.gradients for write in entry.writes):
            continue
        whole = torch.zeros(entry.shape)
        for write in entry.writes:
            whole[write.of] = case.gradients[write.ours][write.into]
        found[entry.theirs] = whole
    return found


def test_gradients(
    case: Case, released: tuple[VideoExpertModel, tuple[Mapped, ...]], reference: Path
) -> None:
    if not case.stored["loss.total"].isfinite():
        assert all(gradient.isfinite().all() for gradient in case.gradients.values())
        return
    ours = their_gradients(case, released[1])
    for key in (key for key in case.stored if key.startswith("grad.")):
        name, loc = key.removeprefix("grad.").removesuffix(".LOC_row"), key.endswith(".LOC_row")
        gradient = ours[name][released[0].config.loc_token_id] if loc else ours[name]
        near(gradient, case.stored[key], GRADIENTS * float(case.stored[key].abs().max()), key)
    norms = json.loads((reference / "full_model/gradient_norms.json").read_text()).get(case.name)
    if norms is None:  # not stored for every case; the test below looks at those that are
        return
    idle = set(ours) - set(norms["per_parameter"])
    assert not any(ours[key].any() for key in idle), "a gradient that the released code does not have"
    for key, norm in norms["per_parameter"].items():
        assert float(ours[key].norm()) == pytest.approx(norm, rel=NORMS), key
    for group, norm in norms["groups"].items():
        squares = sum(float(gradient.norm()) ** 2 for key, gradient in ours.items() if group in key)
        assert squares**0.5 == pytest.approx(norm, rel=NORMS), group


def test_trainable_parameters_of_the_released_stage_2(
    released: tuple[VideoExpertModel, tuple[Mapped, ...]], reference: Path
) -> None:
    """Experts, head, projector and both whole vocabulary matrices: what has a gradient in the reference."""
    model, mapped = released
    trainable = {name for name, p in model.named_parameters() if p.requires_grad}
    theirs = {e.theirs for e in mapped if any(write.ours in trainable for write in e.writes)}
    norms = json.loads((reference / "full_model/gradient_norms.json").read_text())
    assert set(norms) <= set(CASES)
    assert theirs == set().union(*(norms[name]["per_parameter"] for name in norms))


def test_rows_from_the_data_sets_records(case: Case, reference: Path, model: VideoExpertModel) -> None:
    """The stored rows that are reference conversations come out of our prompter token for token."""
    examples = json.loads((reference / "conversation/conversations.json").read_text()).values()
    known = {tuple(e["tokenisations"]["fixture"]["input_ids"]): e for e in examples}
    tokenizer: Any = AutoTokenizer.from_pretrained(reference / "checkpoint_layout/base_model")
    add_loc_token(tokenizer, model.config.loc_text)
    prompter = Prompter(model.config, tokenizer)
    compared = 0
    for ids, labels, mask in zip(
        case.stored["input_ids"], case.stored["labels"], case.stored["attention_mask"], strict=True
    ):
        example = known.get(tuple(ids[mask].tolist()))
        if example is None or len(example["conversation"]) != 2:
            continue
        question, answer = (turn["value"].removeprefix("<video>\n") for turn in example["conversation"])
        before, after = split_row(ids[mask], labels[mask], model.config.loc_token_id)
        assert prompter.prefix_ids == before
        assert prompter.segment(question, answer) == after
        compared += 1
    if not compared:
        pytest.skip("no row of this case is a one-turn reference conversation")


# ---------------------------------------------------------------------- inference


class Prompt:
    """A stored prompt and its continuations."""

    def __init__(self, name: str, stored: Tensors, videos: tuple[Tensor, Tensor], loc_token_id: int) -> None:
        self.name = name
        self.stored = {k.removeprefix(f"{name}."): v for k, v in stored.items() if k.startswith(f"{name}.")}
        index = int(stored["video_index"][0])
        self.cls, self.spatial = videos[0][index], videos[1][index]
        self.before, self.asked = split_row(self.stored["input_ids"][0], None, loc_token_id)
        forced = (*self.asked.ids, *self.stored["forced_tokens"].tolist())
        self.forced = type(self.asked)(
            forced, (), tuple(i for i, t in enumerate(forced) if t == loc_token_id)
        )
        self.aligned = len(self.before) == 35  # where the released inference assumes the video

    @property
    def tokens(self) -> VisualTokens:
        return VisualTokens(self.cls, self.spatial, duration_s=1.0)


@pytest.fixture(scope="module", params=PROMPTS or NO_DATA)
def prompt(
    request: pytest.FixtureRequest, reference: Path, model: VideoExpertModel, videos: tuple[Tensor, Tensor]
) -> Prompt:
    stored = load_file(reference / "full_model/inference.safetensors")
    return Prompt(request.param, stored, videos, model.config.loc_token_id)


@torch.no_grad()
def test_one_pass_with_the_true_roles(prompt: Prompt, model: VideoExpertModel) -> None:
    states, _ = one_pass(prompt, model)
    positions = prompt.stored["prefill_positions"]
    near(model.logits(states[positions]), prompt.stored["prefill_logits_explicit_mask"], LOGITS)
    if prompt.aligned:
        near(states[positions], prompt.stored["prefill_hidden_last"], LOGITS)
        near(model.logits(states[positions]), prompt.stored["prefill_logits"], LOGITS)


def test_prefix_and_questions_behind_it(prompt: Prompt, model: VideoExpertModel) -> None:
    """``open_prefix`` then ``read_segments``: the route of every answer."""
    prefix = model.open_prefix(prompt.tokens, prompt.before)
    positions, first = prompt.stored["prefill_positions"], prefix.length
    explicit = prompt.stored["prefill_logits_explicit_mask"]
    at_frames = (positions >= len(prompt.before)) & (positions < len(prompt.before) + len(prompt.cls))
    behind = positions >= first
    assert at_frames.any()
    assert behind.any()
    frames = prefix.frame_states[positions[at_frames] - len(prompt.before)]
    near(model.logits(frames), explicit[at_frames], LOGITS, "T-tokens")
    states = model.read_segments(prefix, [prompt.forced])
    near(model.logits(states[positions[behind] - first]), explicit[behind], LOGITS, "question")
    forced = states[len(prompt.asked.ids) :]
    near(model.logits(forced), prompt.stored["one_pass_explicit_mask_logits"], LOGITS, "forced tokens")
    if prompt.aligned:
        near(model.logits(forced), prompt.stored["decode_logits"], LOGITS, "decoded tokens")
        near(forced, prompt.stored["decode_hidden_last"], LOGITS, "decoded states")


@torch.no_grad()
def test_decoding_one_token_at_a_time(prompt: Prompt, model: VideoExpertModel) -> None:
    cache, prefix = DynamicCache(), model.open_prefix(prompt.tokens, prompt.before)
    for layer, (keys, values) in enumerate(zip(prefix.keys, prefix.values, strict=True)):
        cache.update(keys[None], values[None], layer)
    found = []
    for token in prompt.forced.ids:
        output = model.language.base_model(
            input_ids=torch.tensor([[token]]), past_key_values=cache, use_cache=True
        )
        found.append(output.last_hidden_state[0, -1])
    decoded = model.logits(torch.stack(found[len(prompt.asked.ids) :]))
    near(decoded, prompt.stored["one_pass_explicit_mask_logits"], LOGITS)
    if prompt.aligned:
        near(decoded, prompt.stored["decode_logits"], LOGITS)


def test_generate(prompt: Prompt, model: VideoExpertModel, reference: Path) -> None:
    """Greedy tokens; for a misaligned prompt the first is known from the reference with the true mask."""
    prefix = model.open_prefix(prompt.tokens, prompt.before)
    end = json.loads((reference / "conversation/tokenizers.json").read_text())["eos"]
    greedy = prompt.stored["greedy_tokens"].tolist()
    (ours,) = decode(model, [prefix], [1], [prompt.asked], eos_token_id=end, max_new_tokens=len(greedy))
    if prompt.aligned:
        assert ours == (greedy[: greedy.index(end)] if end in greedy else greedy)
        assert greedy[0] == int(prompt.stored["greedy_first_token"])
    last = int(prompt.stored["prefill_positions"][-1])
    assert last == prefix.length + len(prompt.asked.ids) - 1  # the stored logits that predict the answer
    first = int(prompt.stored["prefill_logits_explicit_mask"][-1].argmax())
    assert (ours[0] if ours else end) == first


@torch.no_grad()
def test_hard_coded_positions_are_all_that_differs(prompt: Prompt, model: VideoExpertModel) -> None:
    """The released inference without a mask, forced on our layers: T-tokens are positions 35..134."""
    states, row = one_pass(prompt, model, released_positions=True)
    positions = prompt.stored["prefill_positions"]
    near(model.logits(states[positions]), prompt.stored["prefill_logits"], LOGITS)
    near(states[positions], prompt.stored["prefill_hidden_last"], LOGITS)
    true = row.roles[0] == TokenRole.TEMPORAL
    assert bool((true.nonzero()[0] == 35).all()) == prompt.aligned


def one_pass(
    prompt: Prompt, model: VideoExpertModel, released_positions: bool = False
) -> tuple[Tensor, TokenSequence]:
    """(L, D) states of prefix and question in one forward without a cache."""
    row = build_sequence(
        [prompt.before], [[prompt.asked]], num_frames=len(prompt.cls), num_spatial_tokens=len(prompt.spatial)
    )
    inputs = forward_inputs(row, prompt.cls[None], prompt.spatial[None])
    if not released_positions:
        return model.states(**inputs)[0], row
    seen: list[Tensor] = []
    block = model.language.base_model.layers[0]
    hook = block.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append(block_input(args, kwargs)), with_kwargs=True
    )
    model.states(**inputs)  # the embedded prompt, visual tokens in place
    hook.remove()
    place = torch.arange(row.roles.shape[1])[None]
    temporal = (place >= 35) & (place < 135)
    with token_roles(torch.where(temporal, int(TokenRole.TEMPORAL), int(TokenRole.TEXT))):
        states = model.language.base_model(
            inputs_embeds=seen[0], position_ids=row.position_ids, use_cache=False
        )
    return states.last_hidden_state[0], row


def test_no_supervised_token_is_lost(case: Case) -> None:
    stored = case.stored
    assert int((case.row.labels != IGNORED).sum()) == int((stored["labels"] != IGNORED).sum()) > 0
