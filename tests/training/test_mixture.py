"""The mixture: shares, order, wording; packed and plain micro-batches give the same losses."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from training_world import records, tokens, write_records
from videoexpert.annotations.samples import Sample, Turn
from videoexpert.errors import DataError
from videoexpert.language.prompter import Prompter
from videoexpert.recipes import SourceRecipe
from videoexpert.testing import tiny_config, tiny_model, tiny_tokenizer
from videoexpert.training.conversation import usable_turns
from videoexpert.training.mixture import (
    MicroBatches,
    TrainingSource,
    example,
    open_source,
    plan,
    read_samples,
    text_length,
)


def source(name: str, videos: int, questions: int, weight: float = 1.0) -> TrainingSource:
    samples = [
        Sample(f"{name}{v}-{q}", f"{name}{v}", "grounding", 10.0, "x" * (1 + 7 * v % 50), ((1.0, 2.0),))
        for v in range(videos)
        for q in range(questions)
    ]
    return TrainingSource(name, tuple(samples), {}, weight)


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    file = write_records(tmp_path_factory.mktemp("own") / "own.jsonl", records(3))
    recipe = SourceRecipe(benchmark="jsonl", annotations=str(file), features="")
    return open_source(recipe, read_samples(recipe), tokens(3), tiny_config())


def test_shares_follow_the_weights():
    sources = [source("a", 30, 3, 4), source("b", 7, 1, 1), source("c", 90, 2, 1)]
    batches = plan(sources, micro_batch=6, count=200, questions_per_video=3, seed=0)
    drawn = Counter(pick.source for batch in batches for pick in batch)
    assert {len(batch) for batch in batches} == {6}
    assert sum(drawn.values()) == 1200
    assert [drawn[i] for i in range(3)] == [pytest.approx(share, abs=3) for share in (800, 200, 200)]


def test_every_video_is_seen_before_any_is_seen_twice():
    batches = plan([source("a", 16, 4)], micro_batch=8, count=24, questions_per_video=4, seed=1)
    order = [pick.sample for batch in batches for pick in batch]
    # 64 samples: in three pool-wide rounds each stands exactly three times
    assert set(Counter(order).values()) == {3}


def test_the_seed_decides_everything():
    sources = [source("a", 20, 3), source("b", 9, 2)]
    options = {"micro_batch": 4, "count": 40, "questions_per_video": 2}
    assert plan(sources, **options, seed=5) == plan(sources, **options, seed=5)
    assert plan(sources, **options, seed=5) != plan(sources, **options, seed=6)


def test_micro_batches_hold_similar_lengths():
    whole = source("a", 200, 1)
    batches = plan([whole], micro_batch=8, count=25, questions_per_video=1, seed=0)
    spread = [max(x) - min(x) for x in ([text_length(whole.samples[p.sample]) for p in b] for b in batches)]
    everything = [text_length(sample) for sample in whole.samples]
    assert sum(spread) / len(spread) < 0.2 * (max(everything) - min(everything))


def test_packed_and_plain_give_the_same_losses_and_gradients(own):
    model = tiny_model()
    prompter = Prompter(model.config, tiny_tokenizer())
    batches = plan([own], micro_batch=6, count=2, questions_per_video=4, seed=2)
    found = []
    for packed in (True, False):
        data = MicroBatches([own], batches, prompter, packed=packed, seed=2)
        model.zero_grad()
        inputs = data[1]
        output = model(**inputs)
        output.loss.backward()
        parts = (output.loss, output.text_loss, output.indicator_loss, output.l1_loss, output.giou_loss)
        gradient = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
        found.append((len(inputs["sequence"]), torch.stack(parts).detach(), gradient))
    (rows, losses, gradient), (plain_rows, plain_losses, plain_gradient) = found
    assert rows < plain_rows == 6
    torch.testing.assert_close(losses, plain_losses, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(gradient, plain_gradient, atol=1e-5, rtol=1e-4)


def test_wording_varies_with_the_place_and_comes_back(own):
    prompter = Prompter(tiny_config(), tiny_tokenizer())
    picks = [[p for p in plan([own], micro_batch=1, count=1, questions_per_video=1, seed=0)[0]]] * 30
    data = MicroBatches([own], picks, prompter, packed=True, seed=0)
    texts = [prompter.decode(list(data.rows(i)[1][0][0].segment.ids)) for i in range(30)]
    assert len(set(texts)) > 1
    assert texts == [prompter.decode(list(data.rows(i)[1][0][0].segment.ids)) for i in range(30)]
    fixed = MicroBatches([own], picks, prompter, packed=True, seed=0, fixed_wording=True)
    assert len({fixed.rows(i)[1][0][0].segment.ids for i in range(30)}) == 1


def test_what_cannot_be_trained_on_is_counted(tmp_path):
    rows = [*records(2), {"video": "v0", "duration": 10, "query": "unlabelled"}]
    recipe = SourceRecipe(
        benchmark="jsonl", annotations=str(write_records(tmp_path / "a.jsonl", rows)), features=""
    )
    found = open_source(recipe, read_samples(recipe), tokens(1), tiny_config())
    assert len(found.samples) == 4
    assert found.left_out == {"no features": 4, "no labels": 1}
    with pytest.raises(DataError, match=r"can be trained on: no features \(9\)"):
        open_source(recipe, read_samples(recipe), {}, tiny_config())


def test_captions_also_as_queries(tmp_path):
    file = write_records(tmp_path / "a.jsonl", records(1))
    recipe = SourceRecipe(benchmark="jsonl", annotations=str(file), features="", caption_queries=True)
    assert [s.task for s in read_samples(recipe)].count("grounding") == 4
    assert [s.query for s in read_samples(recipe)][-2:] == ["it runs", "it is a and then it stops"]


def test_the_clock_is_the_encoded_videos():
    prompter, shown = Prompter(tiny_config(), tiny_tokenizer()), tokens(1)["v0"]
    other = Sample("1", "v0", "grounding", 12.0, "it falls", ((1.0, 2.0),))
    assert example(prompter, other, shown).duration_s == 10.0
    unknown = Sample("1", "v0", "qa", None, "who is it?", answer="a")
    assert example(prompter, unknown, shown).duration_s == 10.0
    late = Sample("1", "v0", "grounding", 12.0, "it falls", ((11.0, 11.5),))
    assert example(prompter, late, shown).duration_s == 11.5


def conversation(*turns: str, **times: float) -> Sample:
    roles = ("user", "assistant")
    return Sample(
        "1",
        "v0",
        "conversation",
        10.0,
        turns=tuple(Turn(roles[i % 2], text) for i, text in enumerate(turns)),
        times=tuple((f"<{name}>", value) for name, value in times.items()),
    )


def test_times_of_a_conversation_become_loc():
    sample = conversation(
        "What happens?",
        "From <s0> to <e0>, he runs. She is seen from <s1> to <e1>.",
        "What is at <s0>?",
        "A dog.",
        "And then?",
        "It rains after <s0>.",
        "When does he stop?",
        "From <s1> to <e1>.",
        s0=1.0,
        e0=2.0,
        s1=3.0,
        e1=4.0,
    )
    turns, windows = usable_turns(sample, tiny_config())
    assert [(t.question, t.answer) for t in turns] == [
        ("What happens?", "During <LOC>, he runs. She is seen during <LOC>."),
        ("When does he stop?", "During <LOC>."),
    ]
    assert windows == [((1.0, 2.0),), ((3.0, 4.0),), ((3.0, 4.0),)]
    prompter = Prompter(tiny_config(), tiny_tokenizer())
    made = example(prompter, sample, tokens(1)["v0"])
    assert len(made.segment.loc_positions) == len(made.windows) == 3
    supervised = [t for t, label in zip(made.segment.ids, made.segment.labels, strict=True) if label >= 0]
    said = prompter.tokenizer.decode(supervised).replace(" ", "")
    assert said == "During<LOC>,heruns.Sheisseenduring<LOC>.</s>During<LOC>.</s>"


def test_a_conversation_that_only_asks_with_times_is_left_out(tmp_path):
    row = {
        "video": "v0",
        "conversation": [
            {"role": "user", "text": "What is from <s0> to <e0>?"},
            {"role": "assistant", "text": "A dog."},
        ],
        "times": {"<s0>": 1, "<e0>": 2},
    }
    recipe = SourceRecipe(
        benchmark="jsonl",
        annotations=str(write_records(tmp_path / "a.jsonl", [row, *records(1)])),
        features="",
    )
    found = open_source(recipe, read_samples(recipe), tokens(1), tiny_config())
    assert found.left_out == {"times in every question": 1}
