"""Decoding steps that are recorded and replayed; on a CPU a graph of tensor operations stands in for one of CUDA."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from backbones import BACKBONES, PREFIX, STEM, make, shown
from videoexpert.engine import Engine, Opened
from videoexpert.engine.decode import decode
from videoexpert.errors import InputError
from videoexpert.language.sequence import Segment

ASKED = [Segment((7, 8, 2)), Segment((9, 10, 11, 12, 13)), Segment((33,)), Segment((7, 30))]
# what a CUDA graph cannot hold: numbers read back, shapes that depend on numbers, tensors made of Python's numbers
REFUSED = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "lift_fresh")


class Traced:
    """Records a step as its tensor operations: what Python does beside them happens once, as with a CUDA graph."""

    def __init__(self, lengths) -> None:
        self.lengths, self.names, self.replays = lengths, [], 0

    def __call__(self, step, tokens):
        before = [length.clone() for length in self.lengths()]
        graph = make_fx(partial(step))(tokens.clone())
        for length, was in zip(self.lengths(), before, strict=True):
            length.copy_(was)  # tracing has run the step, which capturing does not
        self.names += [str(node.target) for node in graph.graph.nodes if node.op == "call_function"]
        shape = tokens.shape

        def replay(given):
            assert given.shape == shape
            self.replays += 1
            return graph(given)

        return replay


@pytest.mark.parametrize(
    "backbone",
    [
        "llama",
        *(pytest.param(b, marks=pytest.mark.slow) for b in ("qwen3", "mistral", "multi-head", "softcap")),
    ],
)
@torch.no_grad()
def test_a_replayed_step_is_the_step(backbone):
    """Nothing of a step depends on what Python sees, so that a graph of it gives the same answers."""
    model = make(backbone)
    prefixes = [
        model.open_prefix(shown(model, 1), PREFIX),
        model.open_prefix(shown(model, 2, frames=4), PREFIX),
    ]
    passes = []
    row_pass = model.row_pass
    model.row_pass = lambda *a, **o: passes.append(row_pass(*a, **o)) or passes[-1]
    traced = Traced(lambda: [passes[-1].own.lengths])
    options = {"max_new_tokens": 9, "static": True}
    plain = decode(model, prefixes, [3, 1], ASKED, eos_token_id=-1, **options)
    ends = plain[0][3]  # then rows leave: those that stay have other shapes, and a graph of their own
    expected = decode(model, prefixes, [3, 1], ASKED, eos_token_id=ends, **options)
    assert decode(model, prefixes, [3, 1], ASKED, eos_token_id=ends, record=traced, **options) == expected
    assert traced.replays >= 3
    assert traced.names
    assert not [name for name in traced.names if any(word in name for word in REFUSED)]


def test_what_cannot_be_static_is_not_recorded():
    model = make("copied")
    prefix = model.open_prefix(shown(model, 1), PREFIX)

    def refuse(*_):
        raise AssertionError("recorded")

    for record, static in ((refuse, True), (None, True), (None, False)):
        told = decode(
            model, [prefix], [4], ASKED, eos_token_id=-1, max_new_tokens=5, static=static, record=record
        )
        assert [len(answer) for answer in told] == [5] * 4


def test_graphs_need_a_gpu():
    model = make()
    with pytest.raises(InputError, match="the model is on cpu, expected a GPU"):
        Engine(model, PREFIX, STEM, graphs=True)
    engine = Engine(model, PREFIX, STEM)
    engine.graphs = True
    with pytest.raises(InputError, match="CUDA graphs are made nowhere else"):
        engine.generate([Opened(shown(model, 1))], [ASKED[:1]], eos_token_id=-1, max_new_tokens=5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("backbone", BACKBONES)
def test_graphs_on_a_gpu_give_the_same_answers(backbone):
    model = make(backbone).to("cuda")
    videos = [Opened(shown(model, 1)), Opened(shown(model, 2, frames=4))]
    told = [
        Engine(model, PREFIX, STEM, graphs=graphs).generate(
            videos, [ASKED[:3], ASKED[3:]], eos_token_id=-1, max_new_tokens=9
        )
        for graphs in (False, True)
    ]
    assert told[0] == told[1]
