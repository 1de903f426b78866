"""Each reader on a few hand-written records: what comes out, and what is counted."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from videoexpert.annotations.readers import BENCHMARKS, read
from videoexpert.errors import DataError, InputError

CHARADES = """\
AO8RW 0.0 6.9##a person is putting a book on a shelf.
AO8RW 5.0 30.0##person  begins to ##play.
AO8RW 8.0 7.0##person closes the door behind them.
LONG1 1.5 2.5##a person sneezes today.
AO8RW 20.0 21.0##a person is late for it.
AO8RW 0.0 6.9##a person is putting a book on a shelf.
"""
LENGTHS = (
    "id,subject,script,objects,actions,length,quality\r\n"
    'AO8RW,X1,"A person, who ""reads""",book;shelf,c092 11.90 21.20;c147 0.00 12.60,12.50,6\r\n'
)


def write(path: Path, content: Any) -> Path:
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def json_lines(*records: dict[str, Any]) -> str:
    return "\n".join(json.dumps(record) for record in records)  # the originals have no newline after the last


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_charades_is_clipped_to_the_lengths_beside_it(tmp_path: Path, ending: str) -> None:
    write(tmp_path / f"charades_sta_test.txt{ending}", CHARADES)
    write(tmp_path / f"Charades_v1_test.csv{ending}", LENGTHS)
    dataset = read("charades-sta", tmp_path, split="test")
    assert [(s.id, s.windows, s.duration_s) for s in dataset] == [
        ("AO8RW_1", ((0.0, 6.9),), 12.5),
        ("AO8RW_2", ((5.0, 12.5),), 12.5),
        ("LONG1_4", ((1.5, 2.5),), None),
        ("AO8RW_6", ((0.0, 6.9),), 12.5),
    ]
    assert dataset[1].query == "person begins to ##play."  # cut at the first ## only
    assert dataset.report["reversed_dropped"] == ["AO8RW_3"]
    assert dataset.report["end_after_duration"] == ["AO8RW_2", "AO8RW_5"]
    assert dataset.report["outside_video"] == ["AO8RW_5"]
    assert dataset.report["duplicate"] == ["AO8RW_6"]
    assert dataset.report["no_duration"] == ["LONG1_4"]
    assert dataset.report["double_spaces"] == ["AO8RW_2"]
    assert dataset.counts == {"test": {"records": 6, "videos": 2}}


def test_charades_takes_lengths_from_another_table(tmp_path: Path) -> None:
    file = write(tmp_path / "charades_sta_test.txt", CHARADES)
    table = write(tmp_path / "elsewhere.csv", LENGTHS)
    dataset = read("charades-sta", file, lengths_csv=table)
    assert [s.windows[0] for s in dataset] == [(0.0, 6.9), (5.0, 12.5), (1.5, 2.5), (0.0, 6.9)]
    assert dataset.report["end_after_duration"] == ["AO8RW_2", "AO8RW_5"]
    assert [s.windows[0][1] for s in read("charades-sta", file)] == [6.9, 30.0, 2.5, 21.0, 6.9]


def qv(**change: Any) -> dict[str, Any]:
    record = {
        "qid": 7,
        "query": "A dog barks",
        "duration": 8,
        "vid": "-a_b_360.0_510.0",
        "relevant_clip_ids": [1, 3],
        "saliency_scores": [[4, 1, 2], [2, 2, 2]],
        "relevant_windows": [[2, 4], [6, 8]],
    }
    return {key: value for key, value in {**record, **change}.items() if value is not ...}


def test_qvhighlights_gives_a_score_for_every_clip(tmp_path: Path) -> None:
    file = write(tmp_path / "highlight_val_release.jsonl", json_lines(qv()))
    (sample,) = read("qvhighlights", tmp_path)
    assert (sample.id, sample.video, sample.task) == ("7", "-a_b_360.0_510.0", "highlight")
    assert sample.windows == ((2, 4), (6, 8))
    assert sample.saliency == ((0, 0, 0), (4, 1, 2), (0, 0, 0), (2, 2, 2))
    assert read("qvhighlights", file).report.counts == {"leading_dash": 1, "shorter_than_id": 1}


def test_qvhighlights_dirty_records(tmp_path: Path) -> None:
    bare = {"relevant_clip_ids": ..., "saliency_scores": ...}
    lines = json_lines(
        qv(qid="s1_0", vid="plain", saliency_scores=[[3, 1, 2], [2, 2, 2]]),
        qv(qid=8, vid="plain", relevant_clip_ids=[1, 2]),
        qv(qid=9, vid="plain", query="x", relevant_windows=[[9, 12]]),
        qv(qid=10, vid="plain", query="y", relevant_windows=None, label=[[1]], **bare),
        qv(qid=10, vid="plain", query=" z ", relevant_windows=..., **bare),
    )  # fmt: skip
    dataset = read("qvhighlights", write(tmp_path / "any.json", lines.replace("\n", "\r\n")))
    assert [(s.id, s.task, s.labelled) for s in dataset] == [
        ("s1_0", "highlight", True),
        ("8", "grounding", True),
        ("10", "highlight", False),
        ("10#2", "highlight", False),
    ]
    assert dataset.report.counts == {
        "end_after_duration": 1, "outside_video": 1, "no_window_left": 1, "outer_spaces": 1,
        "duplicate_id": 1, "repeated_query": 1, "no_very_good_clip": 1, "saliency_mismatch": 1,
        "other_clip_grid": 1,
    }  # fmt: skip
    assert dataset[3].query == "z"


def test_a_prediction_file_is_not_taken_for_annotations(tmp_path: Path) -> None:
    file = write(tmp_path / "p.jsonl", json_lines(qv(), qv(pred_relevant_windows=[[0, 2, 0.5]])))
    with pytest.raises(DataError, match=r"p\.jsonl, line 2: a prediction"):
        read("qvhighlights", file)


def test_activitynet_repairs_and_counts(tmp_path: Path) -> None:
    database = {
        "v_-a_b": {
            "duration": 70.28999999999999,
            "timestamps": [[10, 70.29], [61.29, 60.71], [0, 12.72], [5, 5], [6, 6.2]],
            "sentences": [" A man\nwalks.", "He  runs", "Piñata ", "falls", "rises"],
        },
        "v_none": {"duration": 3, "timestamps": [[0, 2]], "sentences": ["  "]},
    }
    write(tmp_path / "val_1.json", database)
    dataset = read("activitynet-captions", tmp_path, split="val")
    (sample,) = dataset
    # what reaches past the end is kept as annotated, as the scorers of captions take it; a point is dropped
    assert sample.windows == ((10, 70.29), (60.71, 61.29), (0, 12.72), (6, 6.2))
    assert sample.captions == ("A man walks.", "He runs", "Piñata", "rises")
    assert sample.numbers == (0, 1, 2, 4)
    assert dataset.counts == {"val_1": {"videos": 2, "segments": 6}}
    assert {kind: dataset.report[kind] for kind in dataset.report} == {
        "reversed_swapped": ["v_-a_b_1"],
        "end_after_duration": ["v_-a_b_0"],
        "zero_length": ["v_-a_b_3"],
        "short": ["v_-a_b_3", "v_-a_b_4"],
        "unsorted": ["v_-a_b"],
        "overlapping": ["v_-a_b"],
        "no_window_left": ["v_none"],
        "outer_spaces": ["v_-a_b_0", "v_-a_b_2", "v_none_0"],
        "line_breaks": ["v_-a_b_0"],
        "double_spaces": ["v_-a_b_1"],
        "empty_text": ["v_none_0"],
        "non_ascii": ["v_-a_b_2"],
    }


def test_youcook2_takes_the_id_from_the_key(tmp_path: Path) -> None:
    def video(subset: str, url: str, *segments: list[int]) -> dict[str, Any]:
        events = [{"segment": s, "id": i, "sentence": f"step {i}"} for i, s in enumerate(segments)]
        return {
            "duration": 60.5,
            "subset": subset,
            "recipe_type": "113",
            "annotations": events,
            "video_url": url,
        }

    watch = "https://www.youtube.com/watch?v="
    database = {
        "-a_b": video("training", f"{watch}-a_b", [1, 4], [5, 6]),
        "FHv": video("validation", "cc", [1, 4]),
    }
    write(tmp_path / "youcookii_annotations_trainval.json", {"database": database})
    dataset = read("youcook2", tmp_path)
    assert [s.video for s in dataset] == ["-a_b", "FHv"]
    assert dataset.report.counts == {"short": 1, "leading_dash": 1, "url_mismatch": 1}
    assert dataset.counts == {
        "training": {"videos": 1, "segments": 2},
        "validation": {"videos": 1, "segments": 1},
    }
    assert [s.video for s in read("youcook2", tmp_path, split="val")] == ["FHv"]


def test_youcook2_in_the_converted_layout_drops_placeholders(tmp_path: Path) -> None:
    file = write(
        tmp_path / "yc2_test.json",
        {"v_x": {"duration": 9, "timestamps": [[0, 1]], "sentences": ["None"]},
         "v_y": {"duration": 9, "timestamps": [[0, 3]], "sentences": ["None"]}},
    )  # fmt: skip
    dataset = read("youcook2", file)
    assert [(s.video, s.captions) for s in dataset] == [("v_y", ("None",))]
    assert dataset.report.counts == {"placeholder": 1, "no_window_left": 1}


HEAD = "video,frame_count,width,height,question,answer,qid,type"
MC = f"{HEAD},a0,a1,a2,a3,a4\n"


def test_nextqa_keeps_ids_and_texts_as_they_are(tmp_path: Path) -> None:
    rows = "13810038884,9,6,4,why is he glad,3,0,CW,NA, hat ,nan,none,hat\n"
    rows += "0012,9,6,4,how many dogs are there?,1,0,DC,one,2,3,4,5\n"
    write(tmp_path / "val.csv", MC + rows)
    first, second = dataset = read("nextqa", tmp_path)
    assert (first.id, first.choices, first.answer, first.choice) == (
        "13810038884_0", ("NA", "hat", "nan", "none", "hat"), "none", 3,
    )  # fmt: skip
    assert (second.video, second.answer, second.question_type, second.duration_s) == ("0012", "2", "DC", None)
    assert dataset.report.counts == {"outer_spaces": 1, "equal_options": 1, "question_mark": 1}


def test_open_ended_questions_with_the_same_key_are_both_kept(tmp_path: Path) -> None:
    text = f"{HEAD}\n77,9,6,4,what is the man鈥檚 hat,red,2,DO\n77,9,6,4,is it bright？,yes,2,DB\n"
    dataset = read("nextqa", write(tmp_path / "nextoe_train.csv", text))
    assert [(s.id, s.query, s.answer, s.choices) for s in dataset] == [
        ("77_2", "what is the man’s hat", "red", ()),
        ("77_2#2", "is it bright？", "yes", ()),
    ]
    assert dataset.report.counts == {"non_ascii": 2, "mojibake": 1, "duplicate_id": 1, "question_mark": 1}
    assert dataset.counts == {"train open-ended": {"records": 2, "videos": 1}}


def gqa_folder(folder: Path) -> Path:
    header = MC.replace("video,", "video_id,")
    rows = [
        "1,9,6,4,why a,happy,4,CW,sad,red,blue,happy,happy",
        "1,9,6,4,why b,dog,5,CH, dog,cat,cow,hen,pig",
        "1,9,6,4,why c,bird,6,TN,dog,cat,cow,hen,pig",
        "1,9,6,4,why d,dog,7,TC,dog,cat,cow,hen,pig",
    ]
    write(folder / "test.csv", header + "\n".join(rows) + "\n")
    spans = {
        "1": {"duration": 21, "fps": 29.97, "location": {
            "4": [[-0.1, 2], [3.5, 4]], "5": [[20, 21.5]], "6": [[1, 2]], "9": [[1, 2]]}},
        "2": {"duration": 3, "fps": 10, "location": {}},
    }  # fmt: skip
    write(folder / "gsub_test.json", spans)
    return folder


def test_nextgqa_joins_questions_and_spans(tmp_path: Path) -> None:
    dataset = read("nextgqa", gqa_folder(tmp_path))
    assert [(s.id, s.windows, s.duration_s, s.choice) for s in dataset] == [
        ("1_4", ((-0.1, 2), (3.5, 4)), 21, 3),  # a start just before 0 is rounding
        ("1_5", ((20, 21.5),), 21.5, 0),
    ]
    assert {kind: dataset.report[kind] for kind in dataset.report} == {
        "start_before_zero": ["1_4"],
        "end_after_rounded_duration": ["1_5"],
        "outer_spaces": ["1_5"],
        "equal_options": ["1_4"],
        "ambiguous_answer": ["1_4"],
        "answer_not_in_options": ["1_6"],
        "empty_location": ["2"],
        "question_without_spans": ["1_7"],
        "spans_without_question": ["1_9"],
    }
    assert dataset.counts == {"test": {"records": 3, "videos": 1, "segments": 5}}


def test_the_index_of_nextqa_decides_between_equal_options(tmp_path: Path) -> None:
    folder = gqa_folder(tmp_path)
    index = write(tmp_path / "nextqa_test.csv", MC + "1,9,6,4,why a,4,4,CW,sad,red,blue,happy,happy\n")
    assert read("nextgqa", folder, nextqa_csv=index)[0].choice == 4


def test_nextgqa_needs_its_questions(tmp_path: Path) -> None:
    (gqa_folder(tmp_path) / "test.csv").unlink()
    with pytest.raises(DataError, match=r"no question file.*--questions"):
        read("nextgqa", tmp_path)


def test_video_chatgpt_keeps_repeated_questions_and_both_wordings(tmp_path: Path) -> None:
    again = {"Q": "What happens?", "A": " It’s a game ", "video_name": "v_1"}
    write(tmp_path / "generic_qa.json", [again, {**again, "A": "A match"}])
    write(
        tmp_path / "consistency_qa.json",
        [{"Q1": "Who runs?", "Q2": "Who is it?", "A": "Ann", "video_name": "v_1"}],
    )
    dataset = read("video-chatgpt", tmp_path)
    assert [(s.id, s.answer) for s in dataset] == [
        ("generic_0", "It’s a game"),
        ("generic_1", "A match"),
        ("consistency_0_1", "Ann"),
        ("consistency_0_2", "Ann"),
    ]
    assert dataset.report.counts == {"outer_spaces": 1, "non_ascii": 1, "repeated_question": 1}
    assert len(read("video-chatgpt", tmp_path, split="consistency")) == 2


def instruction(human: str, gpt: str, **meta: Any) -> dict[str, Any]:
    turns = [{"from": "human", "value": f"<video>\n{human}"}, {"from": "gpt", "value": gpt}]
    return {"source": "anet", "id": "v_a", "conversations": turns, **({"meta": meta} if meta else {})}


def test_instruction_times_stay_placeholders(tmp_path: Path) -> None:
    tokens = {"<s0>": 0, "<e0>": 9.4, "<s1>": 40, "<e1>": 55.0, "<s10>": 7, "<e10>": 8}
    record = instruction(
        "When?", "From <s0> to <e0>, a. From <s10> to <e10>, b. From <s1> to <e1>, c.",
        split=[129.8, 184.0], duration=54.2, token=tokens,
    )  # fmt: skip
    dataset = read("instruction", write(tmp_path / "stage2.json", [record]))
    (sample,) = dataset
    assert (sample.id, sample.source, sample.clip, sample.duration_s) == (
        "v_a_0",
        "anet",
        (129.8, 184.0),
        54.2,
    )
    assert sample.windows == ((0, 9.4), (40, 54.2), (7, 8))
    assert dict(sample.times)["<s10>"] == 7
    assert [(turn.role, turn.text[:7]) for turn in sample.turns] == [
        ("user", "When?"),
        ("assistant", "From <s"),
    ]
    assert dataset.report.counts == {"unsorted": 1, "overlapping": 1, "time_after_duration": 1}


@pytest.mark.parametrize(
    ("record", "kind", "kept"),
    [
        (instruction("When?", "From <s0> on.", duration=9, token={"<s0>": 1}), "start_only", 1),
        (instruction("When?", "It is at <s1>.", duration=9, token={"<s0>": 1}), "unknown_placeholder", 0),
        (instruction("When?", "Now.", duration=9, token={"<s0>": 1}), "unused_time", 1),
        (instruction("", "Now."), "empty_text", 0),
        (
            instruction("Say", "A man runs, from <s0> to <e0>.", duration=9, token={"<s0>": 1, "<e0>": 2}),
            "times_after_sentence",
            1,
        ),
        (
            instruction("Say", "It is at <s0> to <e0>.", duration=9, token={"<s0>": 3, "<e0>": 2}),
            "reversed_swapped",
            1,
        ),
        (instruction("Say", "At <e0>.", duration=9, token={"<e0>": 9.0}), "time_at_end", 1),
        (
            {**instruction("a", "b"), "conversations": [{"from": "gpt", "value": "b"}]},
            "turns_not_alternating",
            0,
        ),
    ],
)
def test_instruction_oddities(tmp_path: Path, record: dict[str, Any], kind: str, kept: int) -> None:
    dataset = read("instruction", write(tmp_path / "x.json", [record]))
    assert dataset.report.counts == {kind: 1}
    assert len(dataset) == kept


def test_timeit_answers_are_read_back_by_their_patterns(tmp_path: Path) -> None:
    def line(q: str, a: str) -> dict[str, Any]:
        return {"video": "YouCook2/-a.mp4", "QA": [{"q": q, "a": a}], "source": "YouCook2"}

    file = write(
        tmp_path / "train.jsonl",
        json_lines(
            line("List.", "90.0 - 102.0 seconds, add 2 - 3 eggs, stir.  "
                 "114.0 - 127.5 seconds, bake at 200 - 250 seconds, cool."),
            line("When: 'the dog's tail'?", "The given query happens in 3.0 - 4.5 seconds."),
            line("Find 'x' now", "There are 3 highlight moments in the 2.0, 4.0, 8.0 second. "
                 "Their saliency scores are 2.7, 3.0, 1.0."),
            line("Why?", "Because it rains in 2 - 3 weeks."),
        ),
    )  # fmt: skip
    caption, grounding, highlight, qa = read("timeit", file)
    assert caption.windows == ((90.0, 102.0), (114.0, 127.5))
    assert caption.captions == ("add 2 - 3 eggs, stir.", "bake at 200 - 250 seconds, cool.")
    assert (grounding.query, grounding.windows) == ("the dog's tail", ((3.0, 4.5),))
    assert (highlight.query, highlight.windows) == ("x", ((2.0, 6.0), (8.0, 10.0)))
    assert highlight.saliency == ((0.0,), (2.7,), (3.0,), (0.0,), (1.0,))
    assert (qa.task, qa.answer) == ("qa", "Because it rains in 2 - 3 weeks.")


@pytest.mark.parametrize(
    ("benchmark", "name", "content", "message"),
    [
        (
            "charades-sta",
            "a.txt",
            "A 0.0 1.0##x\nA 0.0##x\n",
            r"a\.txt, line 2: got 'A 0.0##x', expected 'VIDEO",
        ),
        ("charades-sta", "a.txt", "A 0.0 nan##x\n", "line 1: time is 'nan', expected seconds"),
        ("qvhighlights", "a.jsonl", "{}\n{", r"line 1: qid is missing, expected an id"),
        ("qvhighlights", "a.jsonl", json_lines(qv()) + "\n{", r"a\.jsonl, line 2: not valid JSON"),
        (
            "qvhighlights",
            "a.jsonl",
            json_lines(qv(duration="8")),
            'line 1: duration is "8", expected a number',
        ),
        (
            "qvhighlights",
            "a.jsonl",
            json_lines(qv(relevant_windows=[[1]])),
            r"got \[1\], expected \[start, end\]",
        ),
        ("qvhighlights", "a.jsonl", "[1]", "record 0: expected an object, got int"),
        ("qvhighlights", "a.jsonl", '{"qid": NaN}', "NaN is not a JSON number"),
        ("activitynet-captions", "a.json", '{"v":\n\n {]}', "a.json, line 3: not valid JSON"),
        (
            "activitynet-captions",
            "a.json",
            {"v": {"duration": 3, "timestamps": [[0, 1]], "sentences": []}},
            "video v: 1 timestamps but 0 sentences",
        ),
        ("youcook2", "a.json", {"database": []}, "expected an object with the key 'database'"),
        ("nextqa", "a.csv", "video,question\n", "line 1: no column answer, qid, type"),
        ("nextqa", "a.csv", MC + "1,2\n", "line 2: 2 fields, expected 13"),
        ("nextqa", "a.csv", MC + "1,9,6,4,q,5,0,CW,a,b,c,d,e\n", "line 2: answer is '5', expected the index"),
        ("video-chatgpt", "generic_qa.json", {}, "expected a list of questions, got dict"),
        ("instruction", "a.json", [{"id": "v"}], "record 0: conversations is missing, expected a list"),
        (
            "instruction",
            "a.json",
            [{**instruction("a", "<s0>"), "meta": {"token": {"<s0>": 1}}}],
            "times without meta.duration",
        ),
        ("timeit", "a.jsonl", '{"video": "x", "QA": 3}', "line 1: QA is 3, expected a list"),
    ],
)
def test_a_malformed_file_is_named_with_its_place(
    tmp_path: Path, benchmark: str, name: str, content: Any, message: str
) -> None:
    file = write(tmp_path / name, content)
    with pytest.raises(DataError, match=message):
        read(benchmark, file)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    cut = tmp_path / "val_1.json.gz"
    cut.write_bytes(gzip.compress(b'{"a": 1}' * 100)[:-12])
    with pytest.raises(DataError, match="cannot be read"):
        read("activitynet-captions", cut)
    latin = tmp_path / "latin.txt"
    latin.write_bytes(b"A 0 1##x\nA 0 1##pi\xf1ata\n")
    with pytest.raises(DataError, match="line 2: not UTF-8"):
        read("charades-sta", latin)
    with pytest.raises(DataError, match="does not exist"):
        read("charades-sta", tmp_path / "nowhere")


@pytest.mark.parametrize("benchmark", sorted(set(BENCHMARKS)))
def test_an_empty_folder_says_what_was_expected(tmp_path: Path, benchmark: str) -> None:
    with pytest.raises(DataError, match=r"holds none of|expected one"):
        read(benchmark, tmp_path)


def test_a_wrong_call_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="benchmark is 'charades', expected one of charades-sta"):
        read("charades", tmp_path)
    with pytest.raises(InputError, match="qvhighlights does not take lengths_csv"):
        read("qvhighlights", tmp_path, lengths_csv="x")
    for benchmark in BENCHMARKS:
        with pytest.raises(InputError, match="split"):
            read(benchmark, tmp_path, split="dev")
