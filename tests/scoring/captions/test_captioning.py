"""Dense-captioning scores with a plain tokenizer and a METEOR that is a share of equal words; no Java."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from videoexpert.errors import DataError, DependencyError, InputError
from videoexpert.scoring.captions import captioning
from videoexpert.scoring.captions import scoring as caption_scoring
from videoexpert.scoring.captions import text as caption_text
from videoexpert.scoring.captions.captioning import CONVENTIONS, score_captions
from videoexpert.scoring.captions.files import CaptionedSegment
from videoexpert.scoring.captions.meteor import Corpus
from videoexpert.scoring.score import score as score_files


class WordMeteor:
    """Share of the hypothesis' words that the reference has: not symmetric, like METEOR."""

    def start(self) -> None:
        pass

    def close(self) -> None:
        pass

    def scores(self, corpora):
        results = []
        for corpus in corpora:
            counts = [
                (sum(w in pair.references[0].split() for w in words), len(words))
                for pair in corpus
                for words in [pair.hypothesis.split()]
            ]
            hits, words = (sum(column) for column in zip(*counts, strict=True)) if counts else (0, 0)
            segments = tuple(h / n if n else 0.0 for h, n in counts)
            results.append(Corpus(hits / words if words else 0.0, segments))
        return results


def split_words(captions):
    return [tuple(caption.lower().split()) for caption in captions]


def score(predictions, *references, **options):
    return score_captions(predictions, references, tokenizer=split_words, meteor=WordMeteor(), **options)


def events(*rows):
    return tuple(CaptionedSegment(*row) for row in rows)


PERFECT = {
    "v": events((0, 10, "one red bird sings aloud"), (10, 20, "two blue cats walk home")),
    "w": events((0, 8, "three old men play chess"), (8, 9, "four fast cars drive past")),
}
every_convention = pytest.mark.parametrize("convention", CONVENTIONS)
moments = st.builds(
    lambda start, length, text: CaptionedSegment(start, start + length, text),
    st.integers(0, 20),
    st.integers(1, 10),
    st.lists(st.sampled_from(["a", "b", "c", "d", "e", "f"]), min_size=1, max_size=5).map(" ".join),
)
videos = st.dictionaries(st.sampled_from("uvw"), st.lists(moments, max_size=4), max_size=3)
annotated = st.dictionaries(st.sampled_from("uvw"), st.lists(moments, min_size=1, max_size=4), min_size=1)


@every_convention
def test_perfect_predictions(convention):
    result = score(PERFECT, PERFECT, convention=convention)
    # the 1e-8 in the union keeps an IoU of 1 just below 1
    assert result.metrics["SODA_c"] == pytest.approx(100, rel=1e-6)
    if not CONVENTIONS[convention].soda_only:
        assert result.metrics["CIDEr"] == pytest.approx(1000)
        for name in ("METEOR", "Precision", "Recall", "F1"):
            assert result.metrics[name] == pytest.approx(100)
    assert (result.missing, result.extra, result.not_computed) == ((), (), {})


def test_soda_exchanges_the_roles_of_meteor():
    predicted = {"v": events((0, 10, "a dog"))}
    reference = {"v": events((0, 10, "a dog runs away"))}
    # the reference event is METEOR's hypothesis: 2 of its 4 words are in the prediction
    result = score(predicted, reference)
    assert result.metrics["SODA_c"] == pytest.approx(50, rel=1e-6)
    assert result.metrics["METEOR"] == pytest.approx(100)


def test_one_prediction_pairs_with_every_reference_event_it_meets():
    predicted = {"v": events((0, 10, "x y"), (50, 60, "far away"))}
    reference = {"v": events((0, 9, "x"), (0, 8, "x y"))}
    # pairs at 0.3, 0.5, 0.7: (x y, x), (x y, x y) and the unmet one: 3 of 6 words; at 0.9 (IoU 0.9 is just
    # below) both are unmet: 0 of 4
    assert score(predicted, reference).metrics["METEOR"] == pytest.approx(100 * 3 / 4 * 3 / 6)


def test_precision_recall_by_hand():
    predicted = {"v": events((0, 10, "a"), (50, 60, "b"), (70, 80, "c"))}
    reference = {"v": events((0, 8, "a"), (90, 99, "b"))}
    metrics = score(predicted, reference).metrics  # the only IoU is 0.8
    assert metrics["Precision@0.7"] == pytest.approx(100 / 3)
    assert metrics["Recall@0.7"] == pytest.approx(50)
    assert metrics["Precision@0.9"] == metrics["Recall@0.9"] == 0
    assert metrics["Precision"] == pytest.approx(75 / 3)
    assert metrics["Recall"] == pytest.approx(75 / 2)
    assert metrics["F1"] == pytest.approx(2 * 25 * 37.5 / 62.5)


def test_a_caption_that_holds_the_stand_in_word_still_matches_nothing():
    predicted = {"v": events((50, 60, "qzxjvkwq"))}
    assert score(predicted, {"v": events((0, 10, "qzxjvkwqq"))}).metrics["METEOR"] == 0


@pytest.mark.parametrize(
    ("convention", "missing_is_wrong", "share"),
    [
        ("default", None, 50),
        ("default", False, 100),
        ("official_timechat", None, 50),
        ("official_densevid", None, 100),
        ("official_densevid", True, 50),
        ("official_soda", None, 100),
    ],
)
def test_a_missing_video(convention, missing_is_wrong, share):
    predicted = {"v": PERFECT["v"], "new": events((0, 1, "x"))}
    result = score(predicted, PERFECT, convention=convention, missing_is_wrong=missing_is_wrong)
    assert result.metrics["SODA_c"] == pytest.approx(share, rel=1e-6)
    assert result.missing == ("w",)
    assert result.extra == ("new",)


@every_convention
def test_no_prediction_at_all_is_zero(convention):
    metrics = score({}, PERFECT, convention=convention).metrics
    assert set(metrics.values()) == {0.0}


@every_convention
def test_an_empty_list_counts_zero(convention):
    result = score({"v": (), "w": PERFECT["w"]}, PERFECT, convention=convention)
    assert result.metrics["SODA_c"] == pytest.approx(50, rel=1e-6)
    assert result.missing == ()


def test_references_without_events():
    result = score(PERFECT, {**PERFECT, "empty": ()})
    assert result.unannotated == ("empty",)
    assert result.missing == ()
    assert result.metrics["F1"] == pytest.approx(100)
    with pytest.raises(DataError, match="no event"):
        score(PERFECT, {"v": ()})


def test_reversed_segments():
    turned = {v: tuple(CaptionedSegment(e.end, e.start, e.text) for e in x) for v, x in PERFECT.items()}
    assert score(turned, PERFECT).metrics["F1"] == pytest.approx(100)
    assert score(turned, PERFECT, convention="official_densevid").metrics["F1"] == 0


def test_ascii_conventions_lose_letters():
    predicted = {"v": events((0, 10, "café bar"))}
    reference = {"v": events((0, 10, "caf bar"))}
    assert score(predicted, reference).metrics["METEOR"] == pytest.approx(50)
    assert score(predicted, reference, convention="official_densevid").metrics["METEOR"] == pytest.approx(100)


def test_order_in_the_file_moves_timechat_only():
    backwards = {v: tuple(reversed(e)) for v, e in PERFECT.items()}
    for convention in CONVENTIONS:
        soda = score(backwards, PERFECT, convention=convention).metrics["SODA_c"]
        assert soda == pytest.approx(50 if convention == "official_timechat" else 100, rel=1e-6)


def test_timechat_confuses_predictions_from_the_eleventh_on():
    # numbers sorted as text: 0 1 10 2 3 ...; the IoU of the third event meets the caption of the eleventh
    rows = {"v": events(*((10 * i, 10 * i + 10, f"event{i}") for i in range(11)))}
    assert score(rows, rows).metrics["SODA_c"] == pytest.approx(100, rel=1e-6)
    official = score(rows, rows, convention="official_timechat").metrics["SODA_c"]
    assert official == pytest.approx(100 * 2 / 11, rel=1e-6)
    ten = {"v": rows["v"][:10]}
    assert score(ten, ten, convention="official_timechat").metrics["SODA_c"] == pytest.approx(100, rel=1e-6)


FIRST = {"v": events((0, 10, "a b"), (10, 20, "c d"))}
SECOND = {"v": events((0, 10, "a b")), "w": events((0, 5, "e f"))}


@pytest.mark.parametrize(
    ("convention", "expected"),
    [
        # v against FIRST: P = R = 1. v against SECOND: P = 1/2, R = 1, F1 = 2/3. w: 1.
        ("default", (5 / 6 + 1) / 2),
        ("official_densevid", (1 + (2 / 3 + 1) / 2) / 2),
        ("official_soda_multi_reference", 1.0),
        # merged, v has three events and two predictions that match two of them: P = 1, R = 2/3, F1 = 4/5
        ("official_soda", (4 / 5 + 1) / 2),
    ],
)
def test_several_reference_files(convention, expected):
    predicted = {"v": FIRST["v"], "w": SECOND["w"]}
    result = score(predicted, FIRST, SECOND, convention=convention)
    assert result.metrics["SODA_c"] == pytest.approx(100 * expected, rel=1e-6)
    if not CONVENTIONS[convention].soda_only:
        assert result.metrics["Recall"] == pytest.approx(100)  # the better reference


def test_options_that_cannot_be():
    with pytest.raises(InputError, match=r"unknown convention 'best'.*official_soda"):
        score(PERFECT, PERFECT, convention="best")
    with pytest.raises(InputError, match="one reference file, got 2"):
        score(PERFECT, PERFECT, PERFECT, convention="official_timechat")


@given(videos, annotated)
@settings(deadline=None, max_examples=25)
def test_scores_are_bounded_and_means_over_videos(predicted, reference):
    result = score(predicted, reference)
    for name, value in result.metrics.items():
        assert 0 <= value <= (1000 if name == "CIDEr" else 100) + 1e-6
        per_video = result.per_video[name]
        assert set(per_video) == set(reference)
        assert value == pytest.approx(sum(per_video.values()) / len(per_video))


@given(videos, annotated, st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=25)
def test_no_order_matters(predicted, reference, random):
    def shuffled(source):
        names = random.sample(sorted(source), len(source))
        return {v: random.sample(list(source[v]), len(source[v])) for v in names}

    expected = score(predicted, reference).metrics
    assert score(shuffled(predicted), shuffled(reference)).metrics == pytest.approx(expected)


@given(videos, annotated)
@settings(deadline=None, max_examples=25)
def test_a_prediction_that_meets_nothing_never_helps(predicted, reference):
    before = score(predicted, reference).metrics
    longer = {v: [*predicted.get(v, []), CaptionedSegment(900, 901, "g h")] for v in reference}
    after = score(longer, reference).metrics
    for name in ("SODA_c", "METEOR", "Precision", "F1"):
        assert after[name] <= before[name] + 1e-9


@pytest.mark.parametrize("lacking", ["java", "pycocoevalcap"])
def test_without_java_the_reason_is_given_and_the_rest_computed(monkeypatch, lacking):
    if lacking == "java":
        monkeypatch.setattr(caption_text.shutil, "which", lambda _: None)
    else:
        monkeypatch.setattr(caption_text.shutil, "which", lambda _: "/bin/java")
        monkeypatch.setattr(caption_text.importlib.util, "find_spec", lambda _: None)
    result = score_captions(PERFECT, [PERFECT])
    assert set(result.not_computed) == {"SODA_c", "CIDEr", "METEOR"}
    assert all(lacking in reason.lower() for reason in result.not_computed.values())
    assert not set(result.not_computed) & set(result.metrics)
    assert result.metrics["F1"] == pytest.approx(100)


def test_a_dying_meteor_takes_its_own_scores_only():
    class Dying(WordMeteor):
        def scores(self, corpora):
            raise DependencyError("METEOR ended")

    result = score_captions(PERFECT, [PERFECT], tokenizer=split_words, meteor=Dying())
    assert result.not_computed == dict.fromkeys(("SODA_c", "METEOR"), "METEOR ended")
    assert not {"SODA_c", "METEOR"} & set(result.metrics)
    assert result.metrics["CIDEr"] == pytest.approx(1000)  # needs the tokenizer only


def test_files_choose_their_official_scorer_and_match_ids(tmp_path, monkeypatch):
    heard = []

    def listen(*arguments, **options):
        heard.append(options["convention"])
        return score_captions(*arguments, **options, tokenizer=split_words, meteor=WordMeteor())

    monkeypatch.setattr(caption_scoring, "score_captions", listen)
    predictions, annotations = tmp_path / "p.json", tmp_path / "a.json"
    predictions.write_text(json.dumps({"abc.mp4": [{"caption": "a b", "timestamp": [0, 5]}]}))
    annotations.write_text(
        json.dumps({"v_abc": {"duration": 5, "timestamps": [[0, 5]], "sentences": ["a b"]}})
    )
    result = score_files("youcook2", predictions, annotations, convention="official")
    assert result["metrics"]["METEOR"] == pytest.approx(100)
    predictions.write_text(json.dumps({"results": {"v_abc": []}}))
    score_files("youcook2", predictions, annotations, convention="official")
    assert heard == ["official_timechat", "official_densevid"]
    assert captioning.OFFICIAL_BY_FORM["vtimellm"] == "official_densevid"
