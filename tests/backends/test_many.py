"""Many videos, many questions, many threads: the same answers as one at a time."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import torch

from videoexpert.backends.expert import Expert, Video
from videoexpert.engine import PrefixStore
from videoexpert.errors import InputError
from videoexpert.language.experts import expert_layers
from videoexpert.testing import tiny_model, tiny_tokenizer
from videoexpert.types import Moments, VisualTokens

WORDS = ("a red ball jumps", "it falls", "the blue square moves", "x", "she runs to the left and stops")


def make_expert(**options) -> Expert:
    return Expert(tiny_model(num_frames=16, **options), tiny_tokenizer(), "tiny")


def open_videos(expert: Expert, count: int, frames: int = 16) -> list[Video]:
    config = expert.config
    rng = torch.Generator().manual_seed(7)
    return [
        expert.open_tokens(
            VisualTokens(
                torch.randn(frames, config.vision_width, generator=rng),
                torch.randn(config.num_spatial_tokens, config.vision_width, generator=rng),
                10.0 + number,
            ),
            f"video {number}",
        )
        for number in range(count)
    ]


def near(found: Moments, expected: Moments) -> None:
    assert found.query == expected.query
    torch.testing.assert_close(torch.tensor(found.curve), torch.tensor(expected.curve), atol=1e-5, rtol=1e-5)
    assert found.presence == pytest.approx(expected.presence, abs=1e-5)
    for edge in ("start", "end", "score"):
        ours, theirs = ([getattr(m, edge) for m in own] for own in (found, expected))
        # edges are seconds: fractions to 1e-5, times a length of at least ten seconds
        assert ours == pytest.approx(theirs, abs=1e-5 if edge == "score" else 1e-4)


def test_many_videos_equal_each_alone():
    expert = make_expert()
    videos = [*open_videos(expert, 3), *open_videos(expert, 2, frames=5)]
    asked = [WORDS[:3], WORDS[3:], WORDS, (), WORDS[1:2]]
    for video, queries, found in zip(videos, asked, expert.ground_many(videos, asked), strict=True):
        assert [m.query for m in found] == list(queries)
        alone = make_expert().open_tokens(video.tokens, video.path)
        for query, moments in zip(queries, found, strict=True):
            near(moments, alone.ground(query))
            assert moments.source.path == video.path
    for found, video in zip(expert.ground_many(videos, WORDS[:2], top_k=1), videos, strict=True):
        assert [len(m) for m in found] == [1, 1]
        near(found[1], video.ground(WORDS[1], top_k=1))


def test_a_quantised_base_stays_unfolded_and_answers_alike():
    model = tiny_model(num_frames=16)
    model.language.is_quantized = True
    quantised, plain = Expert(model, tiny_tokenizer(), "tiny"), make_expert()
    folded = [{layer.folded for _, layer in expert_layers(e.model)} for e in (quantised, plain)]
    assert folded == [{False}, {True}]
    for one, other in zip(
        quantised.ground_many(open_videos(quantised, 2), WORDS),
        plain.ground_many(open_videos(plain, 2), WORDS),
        strict=True,
    ):
        for found, expected in zip(one, other, strict=True):
            near(found, expected)


def test_captions_and_answers_of_many_videos_equal_each_alone():
    expert = make_expert()
    videos = open_videos(expert, 4)
    alone = [video.caption(max_new_tokens=12) for video in videos]
    assert [[m.text for m in own] for own in expert.caption_many(videos, 12)] == [
        [m.text for m in own] for own in alone
    ]
    questions = [
        [("what falls?", None), ("which?", ["a", "b", "c"])],
        [],
        [("why?", ["no", "yes"])],
        [("who?", None)],
    ]
    for video, own, answers in zip(videos, questions, expert.ask_many(videos, questions, 9), strict=True):
        for (text, choices), answer in zip(own, answers, strict=True):
            single = video.ask(text, choices, max_new_tokens=9)
            assert (answer.text, answer.choice, answer.question) == (single.text, single.choice, text)
            assert answer.choice_scores == pytest.approx(single.choice_scores, abs=1e-5)
            assert [m.start for m in answer.moments] == pytest.approx(
                [m.start for m in single.moments], abs=1e-4
            )


def test_eight_threads_with_fifty_questions_each_equal_one_after_the_other():
    """Half of the threads ask about one video, half about several; prefixes are evicted all the time."""
    expert, words = make_expert(), ("it falls", "she runs", "x", "a dog")
    videos = open_videos(expert, 4, frames=6)
    size = expert.engine.prefixes([videos[0].opened])[0].nbytes
    asked = [
        [(random.Random(f"{t}-{q}").randrange(4) if t % 2 else 0, words[(t + q) % 4]) for q in range(50)]
        for t in range(8)
    ]
    pairs = sorted({pair for own in asked for pair in own})
    expected = {pair: videos[pair[0]].ground(pair[1]) for pair in pairs}
    expert.engine.store = PrefixStore(2 * size)
    together = Barrier(8)

    def ask(own: list[tuple[int, str]]) -> list[Moments]:
        together.wait(60)
        return [videos[video].ground(query) for video, query in own]

    with ThreadPoolExecutor(8) as pool:
        for own, found in zip(asked, pool.map(ask, asked), strict=True):
            assert len(found) == 50
            for pair, moments in zip(own, found, strict=True):
                near(moments, expected[pair])


def test_threads_that_open_captions_and_questions_at_once():
    expert = make_expert()
    videos = open_videos(expert, 2)
    work = [
        lambda: [m.text for m in videos[0].caption(max_new_tokens=8)],
        lambda: videos[1].ask("which?", ["a", "b"]).choice_scores,
        lambda: videos[0].ground(WORDS[0]).curve,
        lambda: videos[1].blank().ground(WORDS[1]).curve,
    ]
    alone = [job() for job in work]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            for found, expected in zip(pool.map(lambda job: job(), work), alone, strict=True):
                assert (
                    found == pytest.approx(expected, abs=1e-5)
                    if isinstance(expected, tuple)
                    else found == expected
                )


def test_queries_for_each_video_or_for_all():
    expert = make_expert()
    videos = open_videos(expert, 2)
    assert expert.ground_many(videos, []) == [[], []]
    assert expert.ground_many([], ["it falls"]) == []
    with pytest.raises(InputError, match="2 videos and 3 lists of queries"):
        expert.ground_many(videos, [["a"], ["b"], ["c"]])
    with pytest.raises(InputError, match="2 videos and 2 lists of queries"):
        expert.ground_many(videos, ["a", ["b"]])
    with pytest.raises(InputError, match="query is empty"):
        expert.ground_many(videos, [["it falls"], [" "]])


def test_a_query_longer_than_the_model_s_positions_is_refused():
    expert = make_expert()
    (video,) = open_videos(expert, 1)
    assert video.ground("x" * 200)
    with pytest.raises(InputError, match=r"the prompt needs \d+ positions .* but the language model has 512"):
        video.ground("x" * 500)
