"""Expert layers: what acts on which token, what trains, folding, and the gradient of an idle expert."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    MistralConfig,
    Phi3Config,
    PreTrainedModel,
    Qwen3Config,
)

from videoexpert.errors import InputError
from videoexpert.language.experts import (
    ExpertLinear,
    expert_layers,
    install_experts,
    keep_roles,
    token_roles,
)
from videoexpert.types import TokenRole

TEMPORAL, SPATIAL, TEXT = int(TokenRole.TEMPORAL), int(TokenRole.SPATIAL), int(TokenRole.TEXT)
SIZES = {
    "vocab_size": 50,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 4,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
SEVEN = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def language_model(config_class: type = LlamaConfig, **fields: Any) -> PreTrainedModel:
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config_class(**{**SIZES, **fields}))


def fill(module: nn.Module, seed: int = 1) -> nn.Module:
    """Both experts non-zero, as after training."""
    generator = torch.Generator().manual_seed(seed)
    for _, layer in expert_layers(module):
        with torch.no_grad():
            for parameter, std in ((layer.lora_A, 1.0), (layer.lora_B, 0.1)):
                parameter.copy_(std * torch.randn(parameter.shape, generator=generator))
    return module


def layer_of(
    temporal_rank: int = 3, spatial_rank: int = 2, base: nn.Linear | None = None, **options: Any
) -> ExpertLinear:
    torch.manual_seed(0)
    layer = ExpertLinear(
        base or nn.Linear(6, 5),
        temporal_rank=temporal_rank,
        spatial_rank=spatial_rank,
        alpha=options.pop("alpha", 5.0),
        **options,
    )
    fill(layer)
    return layer.eval()


def apply(layer: ExpertLinear, given_roles: Tensor | None, x: Tensor) -> Tensor:
    with token_roles(given_roles):
        return layer(x)


def roles(*rows: list[int]) -> Tensor:
    return torch.tensor(rows, dtype=torch.int8)


def test_by_hand() -> None:
    """One number in, one out: temporal rank 1 and spatial rank 1, alpha 3, so both are scaled by 3."""
    base = nn.Linear(1, 1, bias=False)
    layer = ExpertLinear(base, temporal_rank=1, spatial_rank=1, alpha=3.0)
    with torch.no_grad():
        base.weight.fill_(10.0)
        layer.lora_A.copy_(torch.tensor([[1.0], [2.0]]))
        layer.lora_B.copy_(torch.tensor([[5.0, 7.0]]))
    # 10 x + 3 * 5 * 1 x for the T-token, 10 x + 3 * 7 * 2 x for the others
    found = apply(layer, roles([TEMPORAL, SPATIAL, TEXT]), torch.tensor([[[1.0], [1.0], [2.0]]]))
    assert found.flatten().tolist() == [25.0, 52.0, 104.0]
    one = torch.tensor([[[1.0]]])
    assert layer(one).item() == apply(layer, None, one).item() == 52.0
    assert apply(layer, roles([TEMPORAL]), one).item() == 25.0  # roles are honoured for a single token too


def test_shared_is_one_lora_on_every_token() -> None:
    layer = layer_of(experts="shared")
    x = torch.randn(1, 3, 6)
    wanted = layer.base(x) + x @ layer.lora_A.T @ layer.lora_B.T * layer.scale
    for given_roles in (roles([TEMPORAL, SPATIAL, TEXT]), None):
        torch.testing.assert_close(apply(layer, given_roles, x), wanted)


def test_scale_is_alpha_over_the_mean_rank_however_the_rank_is_divided() -> None:
    base = nn.Linear(4, 4)
    for ranks in ((32, 32), (8, 56), (64, 0), (0, 64)):
        for experts in ("split", "shared"):
            layer = ExpertLinear(
                base,
                temporal_rank=ranks[0],
                spatial_rank=ranks[1],
                alpha=64.0,
                experts=experts,
            )
            assert layer.scale == 2.0


def test_a_new_layer_computes_what_its_base_computes() -> None:
    base = nn.Linear(6, 5)
    layer = ExpertLinear(base, temporal_rank=2, spatial_rank=2, alpha=4.0)
    x = torch.randn(1, 2, 6)
    assert torch.equal(apply(layer, roles([TEMPORAL, TEXT]), x), base(x))
    assert layer.lora_A.abs().max() > 0


@pytest.mark.parametrize(("temporal_rank", "spatial_rank"), [(4, 0), (0, 4)])
def test_an_expert_of_rank_zero_leaves_its_tokens_to_the_base(temporal_rank: int, spatial_rank: int) -> None:
    layer = layer_of(temporal_rank, spatial_rank)
    x = torch.randn(1, 2, 6)
    changed = (apply(layer, roles([TEMPORAL, TEXT]), x) != layer.base(x)).any(-1)[0]
    assert changed.tolist() == [temporal_rank > 0, spatial_rank > 0]
    assert bool((layer(x) != layer.base(x)).any()) == (spatial_rank > 0)


@settings(max_examples=25, deadline=None)
@given(
    given_roles=st.lists(st.sampled_from([TEXT, TEMPORAL, SPATIAL]), min_size=1, max_size=8),
    order=st.randoms(use_true_random=False),
    folded=st.booleans(),
    experts=st.sampled_from(["split", "shared"]),
)
def test_permuting_tokens_commutes(given_roles: list[int], order: Any, folded: bool, experts: str) -> None:
    layer = layer_of(experts=experts)
    if folded:
        layer.fold()
    x = torch.randn(1, len(given_roles), 6, generator=torch.Generator().manual_seed(len(given_roles)))
    places = list(range(len(given_roles)))
    order.shuffle(places)
    plain = apply(layer, roles(given_roles), x)
    permuted = apply(layer, roles([given_roles[place] for place in places]), x[:, places])
    torch.testing.assert_close(permuted, plain[:, places])


def test_text_and_spatial_tokens_are_treated_alike() -> None:
    layer = layer_of()
    x = torch.randn(1, 2, 6)
    outputs = []
    for given_roles in (roles([TEXT, SPATIAL]), roles([SPATIAL, TEXT]), None):
        outputs.append(apply(layer, given_roles, x))
    torch.testing.assert_close(outputs[0], outputs[1])
    torch.testing.assert_close(outputs[0], outputs[2])


@pytest.mark.parametrize(
    ("role", "idle"), [(TEMPORAL, slice(3, 5)), (TEXT, slice(0, 3)), (None, slice(0, 3))]
)
def test_an_idle_expert_has_a_gradient_that_is_exactly_zero_and_present(
    role: int | None, idle: slice
) -> None:
    layer = layer_of()
    given_roles = None if role is None else roles([role, role])
    apply(layer, given_roles, torch.randn(1, 2, 6)).square().sum().backward()
    busy = slice(0, 3) if idle == slice(3, 5) else slice(3, 5)
    assert layer.lora_A.grad is not None
    assert layer.lora_B.grad is not None
    assert layer.lora_A.grad[idle].abs().max() == 0
    assert layer.lora_B.grad[:, idle].abs().max() == 0
    assert layer.lora_A.grad[busy].abs().min() > 0
    assert layer.lora_B.grad[:, busy].abs().min() > 0


def test_dropout_acts_on_the_experts_input_in_training_only() -> None:
    layer = layer_of(dropout=0.5)
    x = torch.randn(1, 4, 6)
    assert torch.equal(layer(x), layer(x))
    layer.train()
    assert not torch.equal(layer(x), layer(x))
    layer.lora_B.data.zero_()
    torch.testing.assert_close(layer(x), layer.base(x))  # the base's input is left alone


@pytest.mark.parametrize("experts", ["split", "shared"])
def test_folded_equals_unfolded_and_unfold_restores_the_weight_bitwise(experts: str) -> None:
    layer = layer_of(experts=experts)
    before = layer.base.weight.detach().clone()
    x = torch.randn(2, 3, 6)
    cases = (roles([TEMPORAL, TEXT, SPATIAL], [TEXT, TEMPORAL, TEMPORAL]), None)
    plain = []
    for given_roles in cases:
        plain.append(apply(layer, given_roles, x))
    layer.fold()
    layer.fold()  # a second time changes nothing
    assert not torch.equal(layer.base.weight, before)
    for given_roles, wanted in zip(cases, plain, strict=True):
        torch.testing.assert_close(apply(layer, given_roles, x), wanted, atol=1e-5, rtol=1e-5)
    assert torch.equal(
        layer.state_dict()["base.weight"], before
    )  # what is saved never holds the expert twice
    layer.unfold()
    assert torch.equal(layer.base.weight, before)
    assert not layer.folded


def test_a_folded_decoding_step_is_the_base_layer_alone() -> None:
    layer = layer_of()
    layer.fold()
    x = torch.randn(1, 1, 6)
    with torch.no_grad():
        layer.lora_A.fill_(float("nan"))
        layer.lora_B.fill_(float("nan"))
    assert torch.equal(layer(x), layer.base(x))


def test_folding_is_refused_while_training_and_training_while_folded() -> None:
    layer = layer_of()
    with pytest.raises(InputError, match="call eval"):
        layer.train().fold()
    layer.eval().fold()
    with pytest.raises(InputError, match="unfold"):
        layer.train()(torch.randn(1, 1, 6))
    with pytest.raises(InputError, match="unfold"):
        layer.load_state_dict(layer.state_dict())


def test_a_quantised_base_refuses_to_fold() -> None:
    class Packed(nn.Module):
        """Two 4-bit numbers a byte, as bitsandbytes stores them."""

        in_features, out_features = 6, 5

        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(15, 1, dtype=torch.uint8), requires_grad=False)

        def forward(self, x: Tensor) -> Tensor:
            return x[..., :5]

    layer = ExpertLinear(Packed(), temporal_rank=1, spatial_rank=1, alpha=1.0).eval()
    assert layer(torch.randn(1, 2, 6)).shape == (1, 2, 5)
    with pytest.raises(InputError, match="quantised Packed"):
        layer.fold()


def test_a_bfloat16_base_keeps_float32_experts_and_gives_bfloat16() -> None:
    layer = layer_of(base=nn.Linear(6, 5).bfloat16())
    exact = copy.deepcopy(layer)
    exact.base.float()
    x = torch.randn(1, 4, 6).bfloat16()
    given_roles = roles([TEMPORAL, SPATIAL, TEXT, TEMPORAL])
    out = apply(layer, given_roles, x)
    wanted = apply(exact, given_roles, x.float())
    assert out.dtype == torch.bfloat16
    assert layer.lora_A.dtype == layer.lora_B.dtype == torch.float32
    torch.testing.assert_close(out.float(), wanted, atol=0.05, rtol=0.02)
    out.float().sum().backward()
    assert layer.lora_A.grad is not None
    before = layer.base.weight.detach().clone()
    layer.fold()
    assert layer.base.weight.dtype == torch.bfloat16
    torch.testing.assert_close(apply(layer, given_roles, x).float(), wanted, atol=0.05, rtol=0.02)
    layer.unfold()
    assert torch.equal(layer.base.weight, before)


def test_roles_of_another_pass_are_refused() -> None:
    layer = layer_of()
    with pytest.raises(InputError, match=r"roles have shape \(1, 2\).*tokens of shape \(1, 3\)"):
        apply(layer, roles([TEMPORAL, TEXT]), torch.randn(1, 3, 6))
    for wrong in (torch.ones(1, 2), torch.ones(1, 2, dtype=torch.bool), torch.ones(2, dtype=torch.long)):
        with pytest.raises(InputError, match="integers of TokenRole"), token_roles(wrong):
            pass


@pytest.mark.parametrize("ranks", [(0, 0), (-1, 4)])
def test_ranks_that_make_no_expert_are_refused(ranks: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="expected both at least 0 and not both 0"):
        layer_of(*ranks)


@pytest.mark.parametrize("config_class", [LlamaConfig, Qwen3Config, MistralConfig])
@pytest.mark.parametrize("tied", [False, True])
def test_the_seven_layers_of_every_block_get_experts_and_nothing_else_trains(
    config_class: type, tied: bool
) -> None:
    model = language_model(config_class, tie_word_embeddings=tied)
    install_experts(model, temporal_rank=3, spatial_rank=2, alpha=5.0, dropout=0.0)
    names = [name for name, _ in expert_layers(model)]
    assert len(names) == 2 * 7
    for block in ("0", "1"):
        assert sorted(name.rsplit(".", 1)[1] for name in names if f"layers.{block}." in name) == sorted(SEVEN)
    trained = {name: p.numel() for name, p in model.named_parameters() if p.requires_grad}
    assert set(trained) == {f"{name}.lora_{side}" for name in names for side in "AB"}
    # By hand, rank 5 in all: hidden 16, feed-forward 24, keys and values 2 heads of 4
    widths = [16 + 16, 16 + 8, 16 + 8, 16 + 16, 16 + 24, 16 + 24, 24 + 16]
    assert sum(trained.values()) == 2 * 5 * sum(widths)


def test_fused_layers_count_as_layers() -> None:
    model = language_model(Phi3Config)
    install_experts(model, temporal_rank=1, spatial_rank=1, alpha=1.0, dropout=0.0)
    endings = {name.rsplit(".", 1)[1] for name, _ in expert_layers(model)}
    assert endings == {"qkv_proj", "o_proj", "gate_up_proj", "down_proj"}


def test_install_takes_its_options_to_every_layer() -> None:
    model = language_model()
    install_experts(model, temporal_rank=1, spatial_rank=3, alpha=6.0, dropout=0.25, experts="shared")
    for _, layer in expert_layers(model):
        assert (layer.temporal_rank, layer.spatial_rank, layer.experts) == (1, 3, "shared")
        assert (layer.scale, layer.dropout.p) == (3.0, 0.25)


def test_install_is_refused_twice_and_without_blocks() -> None:
    model = language_model()
    install_experts(model, temporal_rank=1, spatial_rank=1, alpha=1.0, dropout=0.0)
    with pytest.raises(InputError, match="already has experts"):
        install_experts(model, temporal_rank=1, spatial_rank=1, alpha=1.0, dropout=0.0)
    with pytest.raises(InputError, match="no linear layer inside numbered decoder blocks"):
        install_experts(nn.Linear(2, 2), temporal_rank=1, spatial_rank=1, alpha=1.0, dropout=0.0)


def test_t_token_states_see_the_temporal_expert_only() -> None:
    """In a causal model with the T-tokens first, changing the spatial expert leaves their states alone."""
    model = language_model().eval()
    install_experts(model, temporal_rank=2, spatial_rank=2, alpha=4.0, dropout=0.0)
    fill(model)
    ids = torch.tensor([[5, 6, 7, 8, 9, 10]])
    with torch.no_grad(), token_roles(roles([TEMPORAL] * 3 + [SPATIAL] * 2 + [TEXT])):
        before = model(ids).logits
        for _, layer in expert_layers(model):
            layer.lora_B[:, 2:] += 1.0
        after = model(ids).logits
    assert torch.equal(before[:, :3], after[:, :3])
    assert (before[:, 3:] - after[:, 3:]).abs().amax(dim=(0, 2)).min() > 1e-3


def test_a_whole_model_folded_equals_unfolded() -> None:
    model = language_model()
    install_experts(model, temporal_rank=2, spatial_rank=2, alpha=4.0, dropout=0.1)
    fill(model).eval()
    ids = torch.tensor([[5, 6, 7, 8, 9]])
    with torch.no_grad(), token_roles(roles([TEXT, TEMPORAL, TEMPORAL, SPATIAL, TEXT])):
        plain = model(ids).logits
        for _, layer in expert_layers(model):
            layer.fold()
        torch.testing.assert_close(model(ids).logits, plain, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("reentrant", [False, True])
def test_gradient_checkpointing_gives_the_same_gradients(reentrant: bool) -> None:
    gradients = []
    for checkpointing in (False, True):
        model = language_model()
        install_experts(model, temporal_rank=2, spatial_rank=2, alpha=4.0, dropout=0.0)
        fill(model).train()
        if checkpointing:
            again = keep_roles(partial(checkpoint, use_reentrant=reentrant))
            model._set_gradient_checkpointing(True, again)
            model.enable_input_require_grads()
        ids = torch.tensor([[5, 6, 7, 8, 9]])
        with token_roles(roles([TEXT, TEMPORAL, TEMPORAL, SPATIAL, TEXT])):
            loss = model(ids, labels=ids).loss
        loss.backward()  # the roles have gone, and blocks run again
        gradients.append({n: p.grad for n, p in model.named_parameters() if p.requires_grad})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, msg=name)
    assert any(gradient.abs().max() > 1e-4 for gradient in gradients[0].values())


@pytest.mark.parametrize("span", [(1, 3), None])
def test_a_folded_layer_leaves_tokens_outside_the_span_alone(span: tuple[int, int] | None) -> None:
    layer = layer_of()
    x, given_roles = torch.randn(2, 4, 6), roles(*[[TEXT, TEMPORAL, TEMPORAL, SPATIAL]] * 2)
    wanted = apply(layer, given_roles, x)
    layer.fold()
    with token_roles(given_roles, span):
        torch.testing.assert_close(layer(x), wanted, atol=1e-5, rtol=1e-5)


def test_threads_have_roles_of_their_own() -> None:
    """One layer, two threads, in step: each sees its own roles between the other's."""
    layer, x, turn = layer_of(), torch.randn(1, 2, 6), Barrier(2)
    wanted = {role: apply(layer, roles([role, role]), x) for role in (TEMPORAL, TEXT)}

    def ask(role: int) -> Tensor:
        with token_roles(roles([role, role])):
            turn.wait(10)
            found = layer(x)
            turn.wait(10)
        return found

    with ThreadPoolExecutor(2) as pool:
        for role, found in zip((TEMPORAL, TEXT), pool.map(ask, (TEMPORAL, TEXT)), strict=True):
            assert torch.equal(found, wanted[role])
    assert torch.equal(layer(x), wanted[TEXT])


def test_a_4_bit_base_trains_its_experts() -> None:
    bitsandbytes = pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    base = bitsandbytes.nn.Linear4bit(64, 32, bias=False, compute_dtype=torch.float32).to(device)
    layer = ExpertLinear(base, temporal_rank=2, spatial_rank=2, alpha=4.0).eval()
    fill(nn.ModuleList([layer]))
    given_roles = roles([TEMPORAL, TEXT]).to(device)
    x = torch.randn(1, 2, 64, device=device)
    wanted = base(x)
    for place, part in ((0, slice(0, 2)), (1, slice(2, 4))):
        wanted[:, place] += x[:, place] @ layer.lora_A[part].T @ layer.lora_B[:, part].T * layer.scale
    torch.testing.assert_close(apply(layer, given_roles, x), wanted, atol=1e-3, rtol=1e-3)
    apply(layer, given_roles, x).sum().backward()
    assert layer.lora_A.grad is not None
    with pytest.raises(InputError, match="quantised Linear4bit"):
        layer.fold()
