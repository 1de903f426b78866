"""Words that a small tokenizer was never shown, and the texts of whom nothing is said."""

from __future__ import annotations

import random

import pytest

from videoexpert.assets import SHIPPED_CLIP, SHIPPED_MODEL
from videoexpert.language import words as module
from videoexpert.language.words import Words
from videoexpert.pretrained import tokenizer_of
from videoexpert.synthetic.samples import samples_of, true_queries
from videoexpert.synthetic.world import LEVELS, sample_script
from videoexpert.testing import tiny_tokenizer


@pytest.fixture(scope="module", params=[SHIPPED_MODEL, SHIPPED_CLIP], ids=["model", "clip"])
def words(request):
    return Words(tokenizer_of(request.param))


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("ein Hund bellt", ("ein", "Hund", "bellt")),
        ("un chien aboie, un chien court", ("un", "chien", "aboie", "court")),
        ("🐶 🎉", ("🐶", "🎉")),
        ("红色方块", ("红色方块",)),
        ("the red ball moves left", ("ball",)),
        ("the red square moves left.", ()),
        ("The RED Square moves left!", ()),
        ("“red” — square…", ()),
        ("?!", ()),
    ],
)
def test_by_hand(words, text, unknown):
    assert words.unknown(text) == unknown


def test_known_only_in_small_letters_is_read_so(words):
    assert words.spelled("The RED square, Hund") == "the red square, Hund"


@pytest.mark.parametrize("level", LEVELS)
def test_no_sentence_of_its_own_world_is_flagged(words, level):
    rng = random.Random(level)
    for number in range(12):
        for sample in samples_of(sample_script(rng, level, "v"), rng, held_out=number % 3 > 0):
            assert words.unknown(sample.query or "", *sample.choices, *sample.captions) == ()


def test_taught_words_are_known_and_new_ones_counted(words):
    assert words.new(["The red Hund moves left", "a dog, the Red square"]) == ["Hund", "Red", "dog"]
    taught = Words(words.tokenizer, ["Hund"])
    assert taught.unknown("the Hund bellt") == ("bellt",)


def test_only_so_many_words_are_remembered(words, monkeypatch):
    monkeypatch.setattr(module, "REMEMBERED", 5)
    made = [f"wug{number}" for number in range(40)]
    assert words.unknown(" ".join(made)) == tuple(made)
    assert len(words._known) <= 5
    assert words.unknown(" ".join(made)) == tuple(made)


def test_nothing_is_said_of_letters_of_large_vocabularies_and_of_no_tokenizer(words, monkeypatch):
    for other in (Words(tiny_tokenizer()), Words(None)):
        assert (other.unknown("zzz Ü"), other.spelled("RED"), other.new(["zzz"])) == ((), "RED", [])
    monkeypatch.setattr(module, "LARGE", 700)
    assert Words(words.tokenizer).unknown("ein Hund bellt") == ()


@pytest.mark.parametrize(
    ("query", "rest"),
    [
        ("the red circle grows", None),  # nothing is unknown
        ("please the red circle grows", "the red circle grows"),
        ("Please, the red circle grows quickly!", "the red circle grows!"),
        ("could you show the red circle grows", "the red circle grows"),
        ("Could you please show me when the red circle grows", "when the red circle grows"),
        ("the red circle grows quickly again", None),  # two unknown words for three that are known
        ("the dog grows", None),  # too little is left
        ("the cat sits on the red sofa and looks right", None),  # what is known of it says nothing
        ("ein Hund bellt", None),
    ],
)
def test_what_is_left_of_a_query(words, query, rest):
    assert words.rest(query) == rest


@pytest.mark.parametrize("level", [3, 4])
def test_held_out_queries_are_left_whole(words, level):
    """A harmless word, before, inside or behind: what is asked without it is the query."""
    rng, kept, asked = random.Random(level), 0, 0
    for _ in range(20):
        script = sample_script(rng, level, "v")
        for query, _windows in true_queries(script, rng, held_out=True):
            plain = query.rstrip(".?!")
            first, _, rest = plain.partition(" ")
            for text in (f"please {plain}", f"{first} quickly {rest}", f"{plain} somewhere"):
                left = words.rest(text)
                assert left in (None, words.spelled(plain))
                kept, asked = kept + (left is not None), asked + 1
    assert kept > 0.97 * asked > 200
