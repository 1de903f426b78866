"""Rows behind shared prefixes: equal to each question alone by the route of training, whatever is batched with it."""

from __future__ import annotations

import pytest
import torch
from transformers import MistralConfig

from backbones import BACKBONES, PREFIX, SIZES, STEM, make, shown
from videoexpert.engine import Engine, Opened, PrefixStore
from videoexpert.errors import InputError
from videoexpert.grounding.head import HeadOutput
from videoexpert.language.passes import CopiedPass, SharedPass
from videoexpert.language.sequence import IGNORED, Segment, build_sequence
from videoexpert.testing import LOC, batch_tensors, segment, tiny_model
from videoexpert.types import VisualTokens

QUESTIONS = [
    segment([7, 8, 2, 11, LOC, 3], 3),
    segment([7, 8, 30, 12, 14, 15, 16, LOC, 14, LOC, 3], 6),
    segment([9, 40, 41, LOC, 3], 2),
    segment([7, 8, 33, LOC, 3], 3),
]


@torch.no_grad()
def alone(model, tokens: VisualTokens, question: Segment) -> tuple[HeadOutput | None, torch.Tensor]:
    """The head's output and the states of one question behind one video, by ``forward``, as in training."""
    row = build_sequence(
        [PREFIX], [[question]], num_frames=len(tokens.temporal), num_spatial_tokens=len(tokens.spatial)
    )
    out = model(**batch_tensors(row, tokens.temporal[None], tokens.spatial[None]), return_states=True)
    head = None if out.indicator_logits is None else HeadOutput(out.indicator_logits, out.boundary_logits)
    return head, out.states[0, -len(question.ids) :]


def near(found, expected):
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("folded", [False, True])
def test_batched_equals_alone(backbone, folded):
    model = make(backbone)
    assert model.shares_prefixes == (backbone != "copied")
    if folded:
        model.fold()
    videos = [shown(model, 1), shown(model, 2), shown(model, 3, frames=4)]
    asked = [QUESTIONS, QUESTIONS[1:2], [QUESTIONS[3], QUESTIONS[0]]]
    engine = Engine(model, PREFIX, STEM)
    found = engine.locate([Opened(v) for v in videos], asked)
    for tokens, questions, head in zip(videos, asked, found, strict=True):
        expected = [alone(model, tokens, q)[0] for q in questions]
        near(head.indicator_logits, torch.cat([e.indicator_logits for e in expected]))
        near(head.boundary_logits, torch.cat([e.boundary_logits for e in expected]))


@pytest.mark.parametrize("backbone", ["llama", "softcap", "copied"])
@pytest.mark.parametrize("folded", [False, True])
def test_a_base_in_bfloat16_is_batched_to_its_own_precision(backbone, folded):
    """As on a GPU: the base in bfloat16, what trains in float32. Answers differ by less than they do from float32."""
    exact = make(backbone)
    videos = [Opened(shown(exact, 1)), Opened(shown(exact, 2, frames=4))]
    asked = [QUESTIONS, QUESTIONS[1:2]]
    right = Engine(exact, PREFIX, STEM).locate(videos, asked)
    model = make(backbone)
    for name, parameter in model.language.named_parameters():
        if not name.endswith(("lora_A", "lora_B", "loc_row")):
            parameter.data = parameter.data.bfloat16()
    if folded:
        model.fold()
    found = Engine(model, PREFIX, STEM).locate(videos, asked)
    for video, questions, head, other in zip(videos, asked, found, right, strict=True):
        assert head.indicator_logits.dtype == torch.float32
        expected = torch.cat([alone(model, video.tokens, q)[0].indicator_logits for q in questions])
        torch.testing.assert_close(head.indicator_logits, expected, atol=0.02, rtol=0.02)
        torch.testing.assert_close(head.indicator_logits, other.indicator_logits, atol=0.05, rtol=0.05)


@pytest.mark.parametrize("preset", ["paper", "released"])
@pytest.mark.parametrize("tokens_per_pass", [1, 17, 4096])
@pytest.mark.parametrize("static", [False, True])
def test_passes_of_any_size_and_shape_are_equal(preset, tokens_per_pass, static):
    model = make(preset=preset)
    video = shown(model, 1)
    engine = Engine(model, PREFIX, STEM, static=static)
    engine.tokens_per_pass = tokens_per_pass
    (head,) = engine.locate([Opened(video)], [QUESTIONS])
    near(head.indicator_logits, torch.cat([alone(model, video, q)[0].indicator_logits for q in QUESTIONS]))


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize("backbone", ["llama", "softcap", "multi-head"])
def test_flex_attention_is_equal(backbone):
    """One prefix and several of other lengths, known texts and answers token by token."""
    pytest.importorskip("torch.nn.attention.flex_attention")
    from torch.nn.attention import flex_attention

    if not hasattr(flex_attention, "AuxRequest"):
        pytest.skip("this torch has no AuxRequest")
    model = make(backbone)
    videos = [Opened(shown(model, 1)), Opened(shown(model, 2, frames=4))]
    plain, flex = Engine(model, PREFIX, STEM), Engine(model, PREFIX, STEM, kernel="flex")
    asked = [QUESTIONS, QUESTIONS[1:2]]
    for here in (slice(0, 1), slice(0, 2)):
        found, expected = (e.locate(videos[here], asked[here]) for e in (flex, plain))
        for one, other in zip(found, expected, strict=True):
            near(one.indicator_logits, other.indicator_logits)
    told = [
        e.generate(videos, [[Segment((7, 8, 2))], [Segment((33,))]], eos_token_id=-1, max_new_tokens=5)
        for e in (flex, plain)
    ]
    assert told[0] == told[1]


@pytest.mark.parametrize("kind", [SharedPass, CopiedPass])
def test_both_kinds_of_pass_are_equal(kind):
    model = make()
    model.shares_prefixes = kind is SharedPass
    videos = [shown(model, 1), shown(model, 2, frames=3)]
    prefixes = [model.open_prefix(v, PREFIX) for v in videos]
    current = model.row_pass(prefixes, [1, 1])
    assert isinstance(current, kind)
    ids = torch.tensor([QUESTIONS[0].ids, (*QUESTIONS[2].ids, 0)])
    states = model.read_rows(current, ids)
    near(states[0], alone(model, videos[0], QUESTIONS[0])[1])
    near(states[1, :5], alone(model, videos[1], QUESTIONS[2])[1])


def test_a_sliding_window_hides_what_is_far():
    model = tiny_model(language_config=MistralConfig(**SIZES, sliding_window=9).to_dict())
    video, question = shown(model, 1), QUESTIONS[1]
    prefix = model.open_prefix(video, PREFIX)
    assert prefix.length == 15
    found = model.read_segments(prefix, [question])
    row = build_sequence([PREFIX], [[question]], num_frames=6, num_spatial_tokens=6)
    with torch.no_grad():
        expected = model.states(row, video.temporal[None], video.spatial[None])[0, 15:]
    near(found, expected)
    wide = tiny_model(language_config=MistralConfig(**SIZES, sliding_window=None).to_dict())
    assert not torch.allclose(
        wide.read_segments(wide.open_prefix(video, PREFIX), [question]), found, atol=1e-3
    )


def test_the_stem_is_part_of_the_prefix_and_changes_nothing():
    model = make()
    video = shown(model, 1)
    with_stem, without = Engine(model, PREFIX, STEM), Engine(model, PREFIX)
    read = []
    rows = model.read_rows
    model.read_rows = lambda current, ids: read.append(ids.numel()) or rows(current, ids)
    heads = [e.locate([Opened(video)], [[QUESTIONS[0], QUESTIONS[3]]])[0] for e in (with_stem, without)]
    near(heads[0].indicator_logits, heads[1].indicator_logits)
    assert read == [2 * 3, 2 * 5]  # two rows as long as the longer, up to its <LOC>


def test_likelihoods_are_those_of_the_training_route():
    model = make()
    videos = [shown(model, 1), shown(model, 2)]
    asked = [QUESTIONS[:3], QUESTIONS[3:]]
    found = Engine(model, PREFIX, STEM).likelihoods([Opened(v) for v in videos], asked)
    for tokens, questions, values in zip(videos, asked, found, strict=True):
        for question, value in zip(questions, values, strict=True):
            labels = torch.tensor(question.labels)
            predicts = labels[1:] != IGNORED
            log_p = model.logits(alone(model, tokens, question)[1][:-1][predicts]).log_softmax(-1)
            near(value, log_p.gather(-1, labels[1:][predicts][:, None]).sum())


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("static", [False, True])
def test_many_answers_at_once_are_those_of_each_alone(backbone, static):
    """Rows that finish early leave the batch; each token is the likeliest by the route of training."""
    model = make(backbone)
    videos = [shown(model, 1), shown(model, 2), shown(model, 3, frames=4)]
    asked = [
        [Segment((7, 8, 2)), Segment((9, 10, 11, 12, 13))],
        [Segment((33,))],
        [Segment((7, 30)), Segment((31, 32))],
    ]
    engine = Engine(model, PREFIX, STEM, static=static)
    opened = [Opened(v) for v in videos]
    free = engine.generate(opened, asked, eos_token_id=-1, max_new_tokens=9)
    ends = free[0][0][2]  # then some rows finish early, at the first time they say this
    found = engine.generate(opened, asked, eos_token_id=ends, max_new_tokens=9)
    assert len({len(answer) for own in found for answer in own}) > 1
    for tokens, questions, answers, whole in zip(videos, asked, found, free, strict=True):
        for question, answer, all_said in zip(questions, answers, whole, strict=True):
            ids = list(question.ids) + all_said
            states = alone(model, tokens, segment(ids, len(question.ids)))[1]
            likeliest = model.logits(states[len(question.ids) - 1 : -1]).argmax(-1).tolist()
            assert likeliest == all_said
            assert answer == (all_said[: all_said.index(ends)] if ends in all_said else all_said)


def test_an_answer_ends_where_the_positions_end():
    model = make()
    model.language.config.max_position_embeddings = 20
    engine = Engine(model, PREFIX)
    ((answer,),) = engine.generate(
        [Opened(shown(model, 1))], [[Segment((7, 8, 2))]], eos_token_id=-1, max_new_tokens=9
    )
    assert len(answer) == 20 - 15 - 3


def test_a_question_longer_than_the_positions_is_refused_with_both_numbers():
    model = make()
    engine, video = Engine(model, PREFIX, STEM), Opened(shown(model, 1))
    fits = segment([7, 8, *[2] * 493, LOC, 3], 3)
    assert len(engine.locate([video], [[fits]])[0].indicator_logits) == 1
    longer = segment([7, 8, *[2] * 494, LOC, 3], 3)
    message = r"needs 513 positions \(15 for the video, 498 for the text\), but the language model has 512"
    with pytest.raises(InputError, match=message):
        engine.locate([video], [[longer]])
    with pytest.raises(InputError, match=message):
        engine.generate([video], [[Segment(longer.ids[:-1])]], eos_token_id=59, max_new_tokens=3)
    with pytest.raises(InputError, match="520 for the video"):
        engine.prefixes([Opened(shown(model, 1, frames=511))])


class TestStore:
    @pytest.mark.parametrize("backbone", BACKBONES)
    def test_evicted_equals_kept_whatever_the_backbone(self, backbone):
        model = make(backbone)
        videos = [Opened(shown(model, 1)), Opened(shown(model, 2, frames=4))]
        asked = [QUESTIONS, QUESTIONS[1:2]]
        kept = Engine(model, PREFIX, STEM)
        none = Engine(model, PREFIX, STEM, store=PrefixStore(0))
        host = Engine(model, PREFIX, STEM, store=PrefixStore(0, host_limit=1 << 20))
        expected = kept.locate(videos, asked)
        for engine in (kept, none, none, host, host):
            for one, other in zip(engine.locate(videos, asked), expected, strict=True):
                near(one.indicator_logits, other.indicator_logits)
                near(one.boundary_logits, other.boundary_logits)
        assert (len(none.store), len(host.store), host.store.nbytes) == (0, 2, 0)

    def test_evicted_equals_kept(self):
        model = make()
        videos, one = [Opened(shown(model, seed)) for seed in range(3)], [QUESTIONS[:2]]
        kept = Engine(model, PREFIX, STEM)
        size = kept.prefixes(videos[:1])[0].nbytes
        small = Engine(model, PREFIX, STEM, store=PrefixStore(2 * size))
        opened = []
        open_prefixes = model.open_prefixes
        model.open_prefixes = lambda tokens, *rest: opened.append(len(tokens)) or open_prefixes(tokens, *rest)
        expected = [kept.locate([v], one)[0] for v in videos]
        assert opened == [1, 1]  # the first was open
        for video, head in zip(videos, expected, strict=True):
            near(small.locate([video], one)[0].indicator_logits, head.indicator_logits)
        assert opened == [1, 1, 1, 1, 1]
        assert (len(small.store), small.store.nbytes) == (2, 2 * size)
        for number in (2, 1):  # still there
            small.locate([videos[number]], one)
        assert len(opened) == 5
        near(small.locate([videos[0]], one)[0].indicator_logits, expected[0].indicator_logits)
        assert len(opened) == 6
        small.locate([videos[1]], one)  # asked after the third, so the third has gone
        assert len(opened) == 6

    def test_what_waits_in_main_memory_comes_back_and_equals_kept(self):
        model = make()
        videos, one = [Opened(shown(model, seed)) for seed in range(3)], [QUESTIONS[:2]]
        kept = Engine(model, PREFIX, STEM)
        expected = [kept.locate([v], one)[0] for v in videos]
        size = kept.prefixes(videos[:1])[0].nbytes
        store = PrefixStore(size, host_limit=size)
        small = Engine(model, PREFIX, STEM, store=store)
        for video in videos:
            small.locate([video], one)
        assert (len(store), store.nbytes, store.host_nbytes) == (2, size, size)
        opened = []
        open_prefixes = model.open_prefixes
        model.open_prefixes = lambda tokens, *rest: opened.append(len(tokens)) or open_prefixes(tokens, *rest)
        for number in (1, 2, 1):  # the two change places
            head = small.locate([videos[number]], one)[0]
            assert torch.equal(head.indicator_logits, expected[number].indicator_logits)
            assert (store.nbytes, store.host_nbytes) == (size, size)
        assert opened == []
        small.locate([videos[0]], one)  # the first had gone for good
        assert opened == [1]
        small.forget(videos)
        assert (len(store), store.nbytes, store.host_nbytes) == (0, 0, 0)

    def test_the_environment_sets_the_bytes_of_both_places(self, monkeypatch):
        model = make()
        videos = [Opened(shown(model, seed)) for seed in range(3)]
        default = Engine(model, PREFIX).store
        assert (default.limit, default.host_limit) == (1 << 30, 0)
        size = Engine(model, PREFIX).prefixes(videos[:1])[0].nbytes
        monkeypatch.setenv("VIDEOEXPERT_PREFIX_BYTES", str(size))
        monkeypatch.setenv("VIDEOEXPERT_PREFIX_HOST_BYTES", f" {2 * size} ")
        engine = Engine(model, PREFIX)
        engine.prefixes(videos)
        assert (engine.store.nbytes, engine.store.host_nbytes) == (size, 2 * size)
        monkeypatch.setenv("VIDEOEXPERT_PREFIX_BYTES", "1 GiB")
        with pytest.raises(InputError, match="VIDEOEXPERT_PREFIX_BYTES is '1 GiB', expected a whole number"):
            Engine(model, PREFIX)

    def test_a_copy_in_main_memory_is_one_of_its_own(self):
        model = make()
        (prefix,) = Engine(model, PREFIX).prefixes([Opened(shown(model, 1))])
        waiting = prefix.in_main_memory()
        assert waiting.home == prefix.frame_states.device
        assert waiting.keys[0].data_ptr() != prefix.keys[0].data_ptr()
        again = waiting.back()
        assert again.home is None
        assert all(torch.equal(a, b) for a, b in zip(again.values, prefix.values, strict=True))

    def test_the_key_is_content_text_and_weights(self):
        model = make()
        tokens = shown(model, 1)
        engine = Engine(model, PREFIX)
        engine.prefixes([Opened(tokens), Opened(VisualTokens(tokens.temporal, tokens.spatial, 99.0))])
        assert len(engine.store) == 1  # the same tokens, whatever the length they stand for
        engine.prefixes([Opened(shown(model, 2))])
        assert len(engine.store) == 2
        other = Engine(model, (1, 5), store=engine.store)
        other.prefixes([Opened(tokens)])
        assert len(engine.store) == 3
        before = engine.prefixes([Opened(tokens)])[0]
        with torch.no_grad():
            model.adapter.linear.weight.mul_(1.5)
        after = engine.prefixes([Opened(tokens)])[0]
        assert len(engine.store) == 4
        assert not torch.allclose(before.keys[0], after.keys[0])

    def test_a_prefix_over_the_limit_is_not_kept(self):
        model = make()
        engine = Engine(model, PREFIX, store=PrefixStore(10))
        assert len(engine.locate([Opened(shown(model, 1))], [QUESTIONS[:1]])) == 1
        assert (len(engine.store), engine.store.nbytes) == (0, 0)


def test_videos_without_questions_and_no_videos():
    model = make()
    engine = Engine(model, PREFIX, STEM)
    video = Opened(shown(model, 1))
    first, second = engine.locate([video, video], [[], QUESTIONS[:1]])
    assert (len(first.indicator_logits), len(second.indicator_logits)) == (0, 1)
    assert engine.locate([], []) == []
    assert engine.generate([video], [[]], eos_token_id=2, max_new_tokens=3) == [[]]
    assert [len(v) for v in engine.likelihoods([video], [[]])] == [0]
    with pytest.raises(ValueError, match="1 videos but questions on 0"):
        engine.locate([video], [])
