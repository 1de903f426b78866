"""Dense captioning against the results of the official scorers, and the Java programs themselves.

One METEOR process and one tokenizer cache serve the whole file: starting them is most of the cost.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from videoexpert.annotations import readers
from videoexpert.errors import DependencyError
from videoexpert.scoring.captions.captioning import OFFICIAL_BY_FORM, CaptionScores, score_captions
from videoexpert.scoring.captions.cider import cider
from videoexpert.scoring.captions.files import CaptionedSegment, read_caption_predictions, references_of
from videoexpert.scoring.captions.meteor import Meteor, Pair
from videoexpert.scoring.captions.text import PTBTokenizer, java_and_library
from videoexpert.scoring.matching import match_names

REL = 1e-9
TIMECHAT = {
    "CIDER": "CIDEr",
    "SODA_c_2": "SODA_c",
    "Precision_Mean": "Precision",
    "Recall_Mean": "Recall",
    "F1_Score": "F1",
    "Para_CIDER": "Para_CIDEr",
}
#: Printed by TimeChat's scorer, measured by nothing.
NO_METRIC = {"SODA_c_1", "n_preds"}


@pytest.fixture(scope="module")
def tools():
    """Tokenizer and METEOR for score_captions; the tests are skipped where they cannot run."""
    try:
        java_and_library()
    except DependencyError as error:
        pytest.skip(str(error))
    with Meteor() as meteor:
        meteor.start()
        yield {"tokenizer": PTBTokenizer(), "meteor": meteor}


@pytest.fixture(scope="module")
def golden(shared) -> Path:
    return shared / "golden" / "dense_captioning"


@pytest.fixture(scope="module")
def edge_cases(golden, tools) -> list[dict]:
    cases = json.loads((golden / "edge_cases/cases.json").read_text())
    references = [c[key] for c in cases for key in c if key.startswith("ground_truth")]
    texts = [s for reference in references for video in reference.values() for s in video["sentences"]]
    texts += [e["sentence"] for c in cases for video in c["predictions"].values() for e in video]
    tools["tokenizer"](texts)  # all in one start of Java
    return cases


def score_caption_files(
    predictions: Path, annotations: list[Path], *, convention: str, **tools
) -> CaptionScores:
    """As ``score`` does it, in any convention; "official" is the scorer of the predictions' form."""
    records = [readers.records("youcook2", path) for path in annotations]
    references = [references_of(readers.kept("youcook2", own.items)) for own in records]
    lengths = {record.video: record.duration_s for own in records for record in own}
    predicted = read_caption_predictions(predictions, lengths)
    names = match_names(list(predicted.videos), [video for own in references for video in own])
    return score_captions(
        {names[video]: events for video, events in predicted.videos.items()},
        references,
        convention=OFFICIAL_BY_FORM[predicted.form] if convention == "official" else convention,
        **tools,
    )


def near(value: float):
    return pytest.approx(value, rel=REL, abs=1e-9)


def file_of(folder: Path, name: str) -> Path:
    plain = folder / name
    return plain if plain.exists() else folder / f"{name}.gz"


def check_timechat(result: CaptionScores, expected: dict) -> None:
    for name, value in expected["full_precision_percent"].items():
        if name not in NO_METRIC:
            assert result.metrics[TIMECHAT.get(name, name)] == near(value), name
    for line in expected.get("paragraph_and_dense_as_printed", expected.get("printed", [])):
        name, _, printed = line.rpartition(" ")
        if re.fullmatch(r"[\w@.]+", name) and name not in NO_METRIC:
            value = result.metrics[TIMECHAT.get(name, name)]
            assert float(f"{value:.1f}") == pytest.approx(float(printed), abs=1e-6), line
    per_video = expected.get("per_video", {})
    for name in set(per_video) - {"key", *NO_METRIC}:
        for video, value in zip(per_video["key"], per_video[name], strict=True):
            assert result.per_video[TIMECHAT.get(name, name)][video] == near(100 * value), (name, video)


def check_densevid(result: CaptionScores, expected: dict, soda: float) -> None:
    for name, value in expected["full_precision_fraction"].items():
        assert result.metrics[name] == near(100 * value), name
    assert result.metrics["SODA_c"] == near(100 * soda)


def check_soda(result: CaptionScores, expected: dict) -> None:
    names = ("SODA_c/precision", "SODA_c/recall", "SODA_c")
    for name, value in zip(names, expected["precision_recall_f1_fraction"], strict=True):
        assert result.metrics[name] == near(100 * value), name
    assert set(result.metrics) == set(names)


@pytest.mark.parametrize("name", ["tiny", "youcook2_a"])
def test_sets(golden, tools, name):
    folder = golden / name
    expected = json.loads((folder / "expected.json").read_text())
    theirs = file_of(folder, "timechat_predictions.json"), [file_of(folder, "timechat_ground_truth.json")]
    result = score_caption_files(*theirs, convention="official", **tools)
    assert result.convention == "official_timechat"
    check_timechat(result, expected["timechat_eval_dvc"])
    plain = file_of(folder, "predictions.json"), [file_of(folder, "ground_truth.json")]
    result = score_caption_files(*plain, convention="official", **tools)
    assert result.convention == "official_densevid"
    check_densevid(result, expected["vtimellm_eval_dvc"], expected["vtimellm_eval_soda"]["soda_c_fraction"])
    check_soda(score_caption_files(*plain, convention="official_soda", **tools), expected["soda_c"])


def test_vtimellm_log(golden, tools):
    folder = golden / "vtimellm_example"
    result = score_caption_files(
        folder / "predictions.jsonl", [folder / "ground_truth.json"], convention="official", **tools
    )
    expected = json.loads((folder / "expected.json").read_text())["full_precision_percent"]
    for name, value in expected.items():
        assert result.metrics[{"soda_c": "SODA_c"}.get(name, name)] == near(value), name


def segments_of(predictions: dict) -> dict[str, list[CaptionedSegment]]:
    return {v: [CaptionedSegment(*e["timestamp"], e["sentence"]) for e in x] for v, x in predictions.items()}


def test_edge_cases(edge_cases, tools, tmp_path):
    assert len(edge_cases) >= 16
    for case in edge_cases:
        expected, predictions = case["expected"], segments_of(case["predictions"])
        references = []
        for key in sorted(key for key in case if key.startswith("ground_truth")):
            path = tmp_path / f"{key}.json"
            path.write_text(json.dumps(case[key]))
            references.append(references_of(readers.records("youcook2", path)))

        def scored(convention, predictions=predictions, references=references):
            return score_captions(predictions, references, convention=convention, **tools)

        checks = {
            "timechat_eval_dvc": lambda e: check_timechat(scored("official_timechat"), e),
            "vtimellm_eval_dvc": lambda e, x=expected: check_densevid(
                scored("official_densevid"), e, x["vtimellm_eval_soda"]["soda_c_fraction"]
            ),
            "vtimellm_eval_dvc_two_references": lambda e, x=expected: check_densevid(
                scored("official_densevid"), e, x["vtimellm_eval_soda_two_references"]["soda_c_fraction"]
            ),
            "soda_c": lambda e: check_soda(scored("official_soda"), e),
            "soda_c_merged_references": lambda e: check_soda(scored("official_soda"), e),
            "soda_c_multi_reference_flag": lambda e: check_soda(scored("official_soda_multi_reference"), e),
        }
        done = set()
        for scorer, expectation in expected.items():
            if "raises" in expectation:
                # SODA stops at an empty list; ours counts the video 0
                assert case["name"] == "empty_prediction_list"
                assert scored("official_soda").per_video["SODA_c"]["tiny_1.mp4"] == 0
            elif scorer in checks:
                checks[scorer](expectation)
            done.add(scorer)
        unchecked = done - set(checks) - {"vtimellm_eval_soda", "vtimellm_eval_soda_two_references"}
        assert not unchecked, case["name"]


def test_ptb_tokens(golden, tools):
    rows = json.loads((golden / "caption_scorers/ptb_tokens.json").read_text())
    tokens = PTBTokenizer()([row["sentence"] for row in rows])
    assert [" ".join(t) for t in tokens] == [row["tokens"] for row in rows]


@pytest.fixture(scope="module")
def pairs(golden) -> dict:
    return json.loads((golden / "caption_scorers/meteor_pairs.json").read_text())


def test_meteor_of_single_pairs_and_corpora(pairs, tools):
    rows = [Pair(x["hypothesis_tokens"], (x["reference_tokens"],)) for x in pairs["pairs"]]
    swapped = [Pair(x["reference_tokens"], (x["hypothesis_tokens"],)) for x in pairs["pairs"]]
    several = [[Pair(x["hypothesis_tokens"], tuple(x["reference_tokens"]))] for x in pairs["multi_reference"]]
    groups = [[rows[i] for i in group["rows"]] for group in pairs["aggregate_of_groups"]]
    forward, backward, *rest = tools["meteor"].scores([rows, swapped, *several, *groups])
    assert forward.aggregate == near(pairs["aggregate_over_all_pairs"])
    assert backward.aggregate == near(pairs["aggregate_over_all_pairs_roles_swapped"])
    assert forward.segments == near([x["meteor"] for x in pairs["pairs"]])
    assert backward.segments == near([x["meteor_roles_swapped"] for x in pairs["pairs"]])
    split = len(several)
    assert [c.aggregate for c in rest[:split]] == near([x["meteor"] for x in pairs["multi_reference"]])
    assert [c.aggregate for c in rest[split:]] == near([g["aggregate"] for g in pairs["aggregate_of_groups"]])


def test_cider_of_groups(golden, pairs):
    hypotheses = [x["hypothesis_tokens"].split() for x in pairs["pairs"]]
    references = [x["reference_tokens"].split() for x in pairs["pairs"]]
    groups = json.loads((golden / "caption_scorers/cider_groups.json").read_text())
    for group in groups:
        rows = group["rows"]
        own = [[references[i]] for i in rows]
        if "two references" in group.get("note", ""):
            own = [[references[i], references[(i + 1) % len(rows)]] for i in rows]
        scores = cider([hypotheses[i] for i in rows], own)
        assert scores == near(group["per_row"])
        assert sum(scores) / len(scores) == near(group["cider"])


# Without the shared reference data:


def test_tokens_of_a_caption_do_not_depend_on_its_neighbours(tools):
    captions = [
        "No.",
        "5 eggs at 5 a.m.",
        "Mr.",
        "Smith\u2028walks\rin",
        "[a] (b) ?!",
        "",
        "a < b",
        "c > d",
        "x",
    ]
    alone = PTBTokenizer()(captions)
    assert PTBTokenizer()(captions[::-1]) == alone[::-1]
    assert alone[3] == ("smith", "walks", "in")
    assert alone[4] == ("-lsb-", "a", "-rsb-", "-lrb-", "b", "-rrb-", "?!")
    assert alone[5] == ()


def test_meteor_knows_stems_and_synonyms(tools):
    same, stem, other = tools["meteor"].scores(
        [
            [Pair("a man cuts apples", ("a man cuts apples",))],
            [Pair("a man cutting apples", ("a man cuts apples",))],
            [Pair("rain falls", ("a man cuts apples",))],
        ]
    )
    assert same.aggregate == 1
    assert 0.5 < stem.aggregate < 1
    assert other.aggregate == 0


def test_default_convention_by_hand(tools):
    events = [CaptionedSegment(10, 20, "Two dogs run."), CaptionedSegment(0, 10, "A man cuts apples!")]
    result = score_captions({"v": events, "w": []}, [{"v": events[::-1], "w": events}], **tools)
    assert result.not_computed == {}
    assert result.metrics["SODA_c"] == pytest.approx(50, rel=1e-6)
    assert result.metrics["METEOR"] == pytest.approx(50)
    # "two dogs run" has no 4-gram: (3/4 + 1) / 2 of 10, for one of two videos
    assert result.metrics["CIDEr"] == pytest.approx(1000 * (3 / 4 + 1) / 2 / 2)
