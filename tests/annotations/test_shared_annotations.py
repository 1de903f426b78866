"""Every dirty record that a README of the shared annotations lists is found, one case a line.

The numbers are the READMEs', counted there by other means. They hold for the files beside them only.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from videoexpert.annotations.check import CheckReport, check
from videoexpert.annotations.readers import read
from videoexpert.annotations.samples import Dataset
from videoexpert.errors import DataError


@cache
def checked(benchmark: str, path: Path, **extra: Any) -> CheckReport:
    return check(benchmark, path, **extra)


@pytest.fixture(scope="session")
def annotations(shared: Path) -> Path:
    return shared / "annotations"


PUBLISHED = [
    ("charades-sta", "charades_sta", "train"),
    ("qvhighlights", "qvhighlights", "train"),
    ("qvhighlights", "qvhighlights", "val"),
    ("qvhighlights", "qvhighlights", "test"),
    ("activitynet-captions", "activitynet_captions", "train"),
    ("activitynet-captions", "activitynet_captions", "val"),
    ("youcook2", "youcook2", "train"),
    ("nextqa", "nextqa", "val"),
    ("nextgqa", "nextgqa", "val"),
    ("video-chatgpt", "video_chatgpt_bench", "generic"),
    ("video-chatgpt", "video_chatgpt_bench", "consistency"),
]


@pytest.mark.parametrize(("benchmark", "folder", "split"), PUBLISHED)
def test_counts_are_the_published_ones(annotations: Path, benchmark: str, folder: str, split: str) -> None:
    report = checked(benchmark, annotations / folder, split=split)
    assert report.counts
    for count in report.counts:
        assert count.found == count.published, count


def test_the_cut_file_of_youcook2_differs_from_the_published_counts(annotations: Path) -> None:
    counts = {
        (c.split, c.what): (c.found, c.published)
        for c in checked("youcook2", annotations / "youcook2").counts
    }
    assert counts["training", "segments"] == (10337, 10337)
    assert counts["validation", "videos"] == (100, 457)


# benchmark, folder or file, split, kind, how many the README says
FOUND = [
    ("charades-sta", "charades_sta", "train", "reversed_dropped", 4),
    ("charades-sta", "charades_sta", "train", "end_after_duration", 1805),
    ("charades-sta", "charades_sta", "train", "double_spaces", 33),
    ("charades-sta", "charades_sta", "train", "few_words", 672),
    ("charades-sta", "charades_sta", "train", "empty_text", 0),
    ("charades-sta", "charades_sta", "train", "duplicate", 0),
    ("charades-sta", "charades_sta", "train", "v1_empty_actions", 174),
    ("charades-sta", "charades_sta", "train", "v1_empty_quality", 17),
    ("charades-sta", "charades_sta", "train", "v1_action_after_length", 14596),
    ("charades-sta", "charades_sta", "train", "v1_action_reversed", 7),
    ("activitynet-captions", "activitynet_captions", "train", "reversed_swapped", 2),
    ("activitynet-captions", "activitynet_captions", "val", "reversed_swapped", 0),
    ("activitynet-captions", "activitynet_captions", "train", "zero_length", 2),
    ("activitynet-captions", "activitynet_captions", "val", "zero_length", 0),
    ("activitynet-captions", "activitynet_captions", "train", "end_after_duration", 261),
    ("activitynet-captions", "activitynet_captions", "val", "end_after_duration", 134),
    ("activitynet-captions", "activitynet_captions", "train", "outer_spaces", 25731),
    ("activitynet-captions", "activitynet_captions", "train", "line_breaks", 5),
    ("activitynet-captions", "activitynet_captions", "val", "line_breaks", 2),
    ("activitynet-captions", "activitynet_captions", "train", "double_spaces", 321),
    ("activitynet-captions", "activitynet_captions", "train", "non_ascii", 24),
    ("activitynet-captions", "activitynet_captions", "val", "non_ascii", 24),
    ("activitynet-captions", "activitynet_captions", "train", "empty_text", 0),
    ("activitynet-captions", "activitynet_captions", "train", "unsorted", 546),
    ("activitynet-captions", "activitynet_captions", "val", "unsorted", 293),
    ("activitynet-captions", "activitynet_captions", "train", "overlapping", 5706),
    ("activitynet-captions", "activitynet_captions", "val", "overlapping", 2876),
    ("youcook2", "youcook2", "train", "overlapping", 34),
    ("youcook2", "youcook2", "train", "reversed_swapped", 0),
    ("youcook2", "youcook2", "train", "end_after_duration", 0),
    ("youcook2", "youcook2", "train", "non_ascii", 0),
    ("qvhighlights", "qvhighlights", "train", "leading_dash", 111),
    ("qvhighlights", "qvhighlights", "train", "shorter_than_id", 213),
    ("qvhighlights", "qvhighlights", "val", "shorter_than_id", 39),
    ("qvhighlights", "qvhighlights", "test", "shorter_than_id", 47),
    ("qvhighlights", "qvhighlights", "train", "no_very_good_clip", 140),
    ("qvhighlights", "qvhighlights", "val", "no_very_good_clip", 35),
    ("qvhighlights", "qvhighlights", "train", "repeated_query", 37),
    ("qvhighlights", "qvhighlights", "train", "non_ascii", 6),
    ("qvhighlights", "qvhighlights", "val", "non_ascii", 1),
    ("qvhighlights", "qvhighlights", "test", "non_ascii", 1),
    ("qvhighlights", "qvhighlights", "train", "double_spaces", 87),
    ("qvhighlights", "qvhighlights", "train", "saliency_mismatch", 0),
    ("nextqa", "nextqa", "val", "equal_options", 3),
    ("nextqa", "nextqa", "val", "outer_spaces", 4),
    ("nextqa", "nextqa", "val", "question_mark", 1),
    ("nextqa", "nextqa/nextoe_train.csv.gz", None, "duplicate_id", 3),
    ("nextqa", "nextqa/nextoe_train.csv.gz", None, "mojibake", 1),
    ("nextqa", "nextqa/nextoe_train.csv.gz", None, "non_ascii", 3),  # mojibake, quote, ？
    ("nextgqa", "nextgqa", "val", "empty_location", 3),
    ("nextgqa", "nextgqa", "val", "end_after_rounded_duration", 3),
    ("nextgqa", "nextgqa", "val", "frame_time_after_duration", 87),
    ("nextgqa", "nextgqa", "val", "ambiguous_answer", 0),
    ("nextgqa", "nextgqa", "val", "equal_options", 1),
    ("nextgqa", "nextgqa", "val", "outer_spaces", 3),
    ("video-chatgpt", "video_chatgpt_bench", "generic", "repeated_question", 33),
    ("video-chatgpt", "video_chatgpt_bench", "generic", "outer_spaces", 54 + 6),
    ("video-chatgpt", "video_chatgpt_bench", "generic", "empty_text", 0),
    ("instruction", "instruction_json/derived_anet_instruct.json", None, "turns_not_alternating", 0),
    ("qvhighlights", "lighthouse_extras/tvsum_train_release.jsonl", None, "other_clip_grid", 40),
    ("qvhighlights", "lighthouse_extras/tvsum_train_release.jsonl", None, "non_ascii", 2),
    ("qvhighlights", "lighthouse_extras/youtube_highlight_train_release.jsonl", None, "other_clip_grid", 233),
]  # fmt: skip


@pytest.mark.parametrize(("benchmark", "path", "split", "kind", "expected"), FOUND)
def test_dirty_records_of_the_readme(
    annotations: Path, benchmark: str, path: str, split: str | None, kind: str, expected: int
) -> None:
    report = checked(benchmark, annotations / path, split=split)
    assert len(report.dirty[kind]) == expected


def findings(report: CheckReport, kind: str) -> dict[str, str]:
    return {finding.id: finding.detail for finding in report.dirty.findings[kind]}


def test_charades_reversed_records_are_those_of_the_readme(annotations: Path) -> None:
    report = checked("charades-sta", annotations / "charades_sta", split="train")
    assert findings(report, "reversed_dropped") == {
        "LEOL6_8252": "8.0 7.0",
        "IOL8Q_8440": "20.9 12.0",
        "AKKWU_9623": "38.0 13.0",
        "AKKWU_9624": "38.0 13.0",
    }
    late = [detail.split(" of ") for detail in findings(report, "end_after_duration").values()]
    assert sum(float(end) - float(length) > 1 for end, length in late) == 734


def test_charades_equals_the_copy_cleaned_by_others(annotations: Path) -> None:
    ours = checked("charades-sta", annotations / "charades_sta", split="train").dataset
    theirs = read("charades-sta", annotations / "charades_sta" / "lighthouse_charades_train_release.jsonl.gz")
    assert len(theirs) == 12404

    def rows(dataset: Dataset) -> list[Any]:
        return [(s.video, s.query, s.duration_s, s.windows) for s in dataset]

    assert rows(ours) == rows(theirs)


def test_no_clipped_charades_span_is_shorter_than_half_a_second(annotations: Path) -> None:
    dataset = checked("charades-sta", annotations / "charades_sta", split="train").dataset
    assert min(s.windows[0][1] - s.windows[0][0] for s in dataset) >= 0.5 - 1e-9


def test_activitynet_reversed_and_zero_length_spans(annotations: Path) -> None:
    report = checked("activitynet-captions", annotations / "activitynet_captions", split="train")
    reversed_ = findings(report, "reversed_swapped")
    assert {id.rsplit("_", 1)[0]: detail for id, detail in reversed_.items()} == {
        "v_0bosp4-pyTM": "61.29 60.71",
        "v_rhOtqArO-3Y": "173.44 150.31",
    }
    zero = [id.rsplit("_", 1)[0] for id in report.dirty["zero_length"]]
    assert sorted(zero) == ["v_4rKTw99bM8g", "v_N7ppHQNikv8"]
    late = [detail.split(" of ") for detail in findings(report, "end_after_duration").values()]
    assert max(float(end) - float(length) for end, length in late) <= 0.01 + 1e-9
    # The README counts end - start < 0.5, which the two reversed spans are as well.
    assert len(report.dirty["short"]) + len(reversed_) == 91


def test_youcook2_urls_and_ids(annotations: Path) -> None:
    dataset = checked("youcook2", annotations / "youcook2").dataset
    assert set(dataset.report["url_mismatch"]) == {"FHvZgt3ExDI", "yDZvPCG51zw"}
    listed = (annotations / "youcook2" / "train_list.txt").read_text().split()
    training = checked("youcook2", annotations / "youcook2", split="train").dataset
    assert {s.video for s in training} == {line.partition("/")[2] for line in listed}
    dashed = {s.video for s in dataset if s.video.startswith("-")}
    assert dashed
    assert set(dataset.report["leading_dash"]) == dashed


def test_qvhighlights_ids_windows_and_scores(annotations: Path) -> None:
    dataset = checked("qvhighlights", annotations / "qvhighlights", split="train").dataset
    youtube = [sample.video.rsplit("_", 2)[0] for sample in dataset]
    assert sum("_" in id for id in youtube) == 1022
    assert sum(len(sample.windows) > 1 for sample in dataset) == 2363
    assert sum(len(sample.windows) for sample in dataset) == 12803
    assert all(sample.saliency is not None for sample in dataset)
    test = checked("qvhighlights", annotations / "qvhighlights", split="test").dataset
    assert not any(sample.labelled for sample in test)


def test_json_lines_in_spite_of_the_extension_and_crlf(annotations: Path) -> None:
    same = read("qvhighlights", annotations / "timechat_eval" / "vhd_example_gt_file.json")
    assert same.samples == checked("qvhighlights", annotations / "qvhighlights", split="val").dataset.samples


def test_prediction_files_are_refused_as_annotations(annotations: Path) -> None:
    for file in ("qvhighlights/sample_val_preds.jsonl.gz", "timechat_eval/vhd_example_pred_file.json"):
        with pytest.raises(DataError):
            read("qvhighlights", annotations / file)


def test_nextoe_keeps_both_questions_of_a_key(annotations: Path) -> None:
    report = checked("nextqa", annotations / "nextqa" / "nextoe_train.csv.gz", split=None)
    assert set(report.dirty["duplicate_id"]) == {"4598213889_2", "4598213889_5", "3617262562_2"}
    assert len(report.dataset) == 37523
    (mended,) = [s for s in report.dataset if s.id == "6175457658_1"]
    assert "man’s" in str(mended.query)
    assert len({s.id for s in report.dataset}) == 37523


def test_text_answers_map_back_to_the_indices_of_nextqa(annotations: Path) -> None:
    by_index = checked("nextqa", annotations / "nextqa", split="val").dataset
    by_text = read("nextqa", annotations / "nextgqa" / "nextqa_val_text_answers.csv")
    assert [(s.id, s.choice) for s in by_text] == [(s.id, s.choice) for s in by_index]


def test_nextgqa_oddities(annotations: Path, shared: Path) -> None:
    report = checked("nextgqa", annotations / "nextgqa", split="val")
    assert set(report.dirty["empty_location"]) == {"2830899473", "2940373590", "6272786009"}
    assert set(report.dirty["end_after_rounded_duration"]) == {"2482028659_2", "2482028659_5", "6413546609_1"}
    assert report.dirty["equal_options"] == ["5256928210_7"]
    golden = shared / "golden" / "grounded_video_qa"
    test = read(
        "nextgqa",
        golden / "ground_truth_test.json.gz",
        questions=golden / "questions_test.csv.gz",
    )
    assert test.report["ambiguous_answer"] == ["3842638015_4"]
    assert len(test.report["empty_location"]) == 999 - 990


def test_video_chatgpt_has_one_set_of_videos(annotations: Path) -> None:
    dataset = read("video-chatgpt", annotations / "video_chatgpt_bench")
    assert len({sample.video for sample in dataset}) == 499
    assert len(dataset) == 1996 + 2 * 499
    assert max(len(str(sample.answer)) for sample in dataset) > 1000
    quoted = set(
        read("video-chatgpt", annotations / "video_chatgpt_bench", split="generic").report["non_ascii"]
    )
    assert 1996 / 70 < len(quoted) < 1996 / 45  # "about 1 in 60", and a few other letters


def test_instruction_records(annotations: Path) -> None:
    (sample,) = read("instruction", annotations / "instruction_json" / "documented_example.json")
    assert (sample.clip, sample.duration_s) == ((129.8, 184.0), 54.2)
    assert sample.windows == ((0, 9.4), (49.4, 53.2))
    derived = read("instruction", annotations / "instruction_json" / "derived_anet_instruct.json")
    assert len(derived) == 480
    assert sum(sample.duration_s is None for sample in derived) == 80  # plain conversation without meta
    assert sum(sample.clip is not None for sample in derived) == 80
    assert derived.report["overlapping"]
    assert derived.report["unsorted"]
    assert derived.report["time_after_duration"]
    assert derived.report["time_at_end"]


def test_timeit_records_are_those_they_derive_from(annotations: Path) -> None:
    dataset = read("timeit", annotations / "instruction_json" / "timeit_style_samples.jsonl")
    tasks = [sample.task for sample in dataset]
    assert [tasks.count(task) for task in ("caption", "grounding", "highlight", "qa")] == [16, 15, 15, 0]
    cook = {sample.video: sample for sample in checked("youcook2", annotations / "youcook2").dataset}
    for sample in dataset:
        if sample.source == "derived_from_YouCook2":
            video = sample.video.removeprefix("YouCook2/").removesuffix(".mp4")
            assert sample.windows == cook[video].windows
            # the derived answers end each sentence in a full stop
            assert [text.removesuffix(".") for text in sample.captions] == list(cook[video].captions)
    queries = {s.query for s in checked("charades-sta", annotations / "charades_sta", split="train").dataset}
    grounding = [s for s in dataset if s.task == "grounding"]
    assert all(f"{s.query}." in queries or s.query in queries for s in grounding)
    highlights = {
        s.query: s for s in checked("qvhighlights", annotations / "qvhighlights", split="train").dataset
    }
    for sample in (s for s in dataset if s.task == "highlight"):
        original = highlights[sample.query]
        assert sample.windows
        assert sample.saliency
        assert original.saliency
        means = [round(sum(scores) / len(scores), 1) for scores in original.saliency]
        assert [scores[0] for scores in sample.saliency] == means[: len(sample.saliency)]


def test_tacos_ids_are_text(annotations: Path) -> None:
    dataset = read("qvhighlights", annotations / "lighthouse_extras" / "tacos_val_release.jsonl")
    assert dataset[0].id == "s34-d28_0"
    assert (len(dataset), dataset.counts["val"]["videos"]) == (4436, 27)
    assert all(len(sample.windows) == 1 for sample in dataset)
