"""METEOR's formula by hand, and the talk with its process, played by a stand-in program; no Java."""

from __future__ import annotations

import stat
import sys

import pytest

from videoexpert.errors import DependencyError
from videoexpert.scoring.captions import meteor as meteor_module
from videoexpert.scoring.captions.meteor import Meteor, Pair, meteor_score
from videoexpert.scoring.captions.text import PTBTokenizer, ascii_only


def statistics(lengths, function_words, exact=(0, 0, 0, 0), stem=(0, 0, 0, 0), ends=(0, 0, 0)):
    return tuple(map(float, (*lengths, *function_words, *exact, *stem, *[0] * 8, *ends)))


def test_score_by_hand():
    # 4 and 5 words, no function words, 2 exact matches in 1 chunk: P = 2/4, R = 2/5
    mean = 0.5 * 0.4 / (0.85 * 0.5 + 0.15 * 0.4)
    expected = mean * (1 - 0.6 * (1 / 2) ** 0.2)
    assert meteor_score(statistics((4, 5), (0, 0), (2, 2, 0, 0), ends=(1, 2, 2))) == pytest.approx(expected)


def test_function_words_weigh_a_third_and_stems_less():
    # 2 content words and 2 function words on both sides, weight 0.75 * 2 + 0.25 * 2 = 2;
    # one content word by stem (0.6 * 0.75) and one function word exactly (0.25): P = R = 0.7 / 2
    row = statistics((4, 4), (2, 2), (0, 0, 1, 1), (1, 1, 0, 0), ends=(2, 2, 2))
    assert meteor_score(row) == pytest.approx(0.35 * (1 - 0.6))


def test_nothing_in_common_or_empty_is_zero():
    assert meteor_score(statistics((3, 4), (1, 1))) == 0
    assert meteor_score(statistics((0, 4), (0, 1))) == 0
    assert meteor_score(statistics((0, 0), (0, 0))) == 0


PROGRAM = """#!{python}
# answers SCORE with statistics of equal words, position by position; logs what it was asked
import sys
log = open({log!r}, "a")
for number, line in enumerate(sys.stdin):
    log.write(line)
    log.flush()
    if "die" in line:
        sys.exit("java.lang.OutOfMemoryError")
    _, *references, hypothesis = line.rstrip("\\n").split(" ||| ")
    h, r = hypothesis.split(), references[0].split()
    n = sum(a == b for a, b in zip(h, r))
    chunks = 1 if n else 0
    row = [len(h), len(r), 0, 0, n, n] + [0] * 14 + [chunks, n, n]
    print(" ".join(map(str, row)), flush=True)
"""


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """A METEOR whose program is the one above; yields the file of its questions."""
    log, program = tmp_path / "asked.txt", tmp_path / "java"
    program.write_text(PROGRAM.format(python=sys.executable, log=str(log)))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "meteor").mkdir()
    monkeypatch.setattr(meteor_module, "java_and_library", lambda: (str(program), tmp_path))
    return log


def test_pairs_are_asked_once_and_scores_come_in_order(stand_in):
    same, half, none = Pair("a b", ("a b",)), Pair("a b", ("a c",)), Pair("a", ("b",))
    with Meteor() as meteor:
        first, second, empty = meteor.scores([[half, same, half], [none], []])
        again = meteor.scores([[same]])[0]
    one_half = 0.5 * (1 - 0.6)  # one chunk of one word
    assert first.segments == pytest.approx((one_half, 1.0, one_half))
    # sums: 6 words, 4 matched, chunks 1 + 0 + 1 (a pair that matches whole is not fragmented)
    assert first.aggregate == pytest.approx(4 / 6 * (1 - 0.6 * (2 / 4) ** 0.2))
    assert second == (0.0, (0.0,))
    assert empty == (0.0, ())
    assert again == (1.0, (1.0,))
    assert len(stand_in.read_text().splitlines()) == 3


def test_more_pairs_than_the_pipes_hold(stand_in):
    pairs = [Pair(f"word {i} " + "x " * 50, (f"word {i}",)) for i in range(3000)]
    with Meteor() as meteor:
        assert len(meteor.statistics(pairs)) == 3000


def test_separators_in_a_caption_cannot_break_the_protocol(stand_in):
    with Meteor() as meteor:
        meteor.statistics([Pair("a ||| b  c", ("d\ne |||",))])
    assert stand_in.read_text() == "SCORE ||| d e ||| a b c\n"


def test_a_program_that_dies_is_reported_and_can_be_started_again(stand_in):
    with Meteor() as meteor:
        with pytest.raises(DependencyError, match=r"after 1 of 3 answers \(java.lang.OutOfMemoryError\)"):
            meteor.statistics([Pair("a", ("a",)), Pair("die", ("a",)), Pair("b", ("b",))])
        assert meteor.scores([[Pair("b", ("b",))]])[0].aggregate == 1.0


def test_ascii_only_puts_one_space_for_each_character():
    assert ascii_only("café — 中文") == "caf      "


def test_tokenizer_needs_no_java_for_no_captions():
    assert PTBTokenizer()([]) == []
