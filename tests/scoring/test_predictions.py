"""Prediction files: every form becomes the same rows; a faulty one is named."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from videoexpert.errors import DataError
from videoexpert.scoring.predictions import Prediction, best_window, read_predictions


def read(folder: Path, content: Any, lines: bool = False, packed: bool = False) -> list[Prediction]:
    text = "\n".join(map(json.dumps, content)) if lines else json.dumps(content)
    path = folder / "predictions"
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    return read_predictions(path)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("rows", [1, 2])
def test_lines_and_lists_and_gzip(tmp_path: Path, packed: bool, rows: int) -> None:
    content = [
        {"qid": i, "vid": "v", "query": "q\u2028q", "pred_relevant_windows": [[0, 2, 0.5]]}
        for i in range(rows)
    ]
    expected = [Prediction(str(i), "v", "q\u2028q", [[0, 2, 0.5]]) for i in range(rows)]
    assert read(tmp_path, content, lines=True, packed=packed) == expected
    assert read(tmp_path, content, packed=packed) == expected


def test_a_raw_line_separator_inside_a_sentence_does_not_cut_the_line(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    path.write_text(
        '{"id": "a", "query": "x\u2028y", "moments": []}\r\n{"id": "b", "moments": []}\r\n', "utf-8"
    )
    assert [row.id for row in read_predictions(path)] == ["a", "b"]


def test_our_own_rows(tmp_path: Path) -> None:
    row = {
        "id": "v_3",
        "video": "v",
        "question": "why",
        "moments": [{"start": 1, "end": 2, "score": 0.5}],
        "saliency": [0.1, 0.2],
        "answer": "he fell",
        "choice": 2,
    }
    assert read(tmp_path, [row]) == [Prediction("v_3", "v", "why", [[1, 2, 0.5]], [0.1, 0.2], 2)]
    del row["choice"]
    assert read(tmp_path, [row])[0].choice == "he fell"
    row["moments"] = [{"start": 1, "end": 2}]
    assert read(tmp_path, [row])[0].windows == [[1, 2]]


def test_forms_keyed_by_id(tmp_path: Path) -> None:
    timechat = {"3": {"timestamp": [[1, 2], [3, 4]], "query": "q", "vid": "v.mp4"}, "4": {"timestamp": []}}
    assert read(tmp_path, timechat) == [
        Prediction("3", "v.mp4", "q", [[1, 2], [3, 4]]),
        Prediction("4", windows=[]),
    ]
    grounding = {"v_1": [1, 2.5], "v_2": [[1, 2]], "v_3": []}
    assert [row.windows for row in read(tmp_path, grounding)] == [[[1, 2.5]], [[1, 2]], []]
    answers = read(tmp_path, {"v_1": {"answer": 3, "prediction": 0}})[0]
    assert (answers.choice, answers.truth, answers.windows) == (0, 3, None)


def test_log_rows_of_other_tasks_are_passed_over(tmp_path: Path) -> None:
    rows = [
        {"video_id": "v", "task": "captioning", "query_id": 0, "answer": "..."},
        {
            "video_id": "v",
            "task": "grounding",
            "answer": "from 10 to 20",
            "info": {"sentence_id": 2, "iou": 0.5},
        },
    ]
    (found,) = read(tmp_path, rows, lines=True)
    assert (found.id, found.log_answer, found.log_iou) == ("v_2", "from 10 to 20", 0.5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"id": 1,', "is not JSON"),
        ('{"id": 1}\n{"id": ', "line 2 is not JSON"),
        ('[{"id": 1},\n ]', r"\(line \d: a comma before the closing \]: take it out\)"),
        ('{"id": 1}\n{"id": 1, }', r"line 2 is not JSON \(a comma before the closing }: take it out\)"),
        ("[1, 2]", "row 1 is a int"),
        ("7", "holds a int"),
        ('[{"id": 1, "moments": [{"start": 1}]}]', "without start and end"),
        ('[{"id": 1, "pred_relevant_windows": [[1]]}]', r"the window \[1\]"),
        ('[{"id": 1, "pred_relevant_windows": [[1, "2"]]}]', "the window"),
        ('[{"id": 1, "pred_relevant_windows": [[1, 2, 0.5], [1, 2]]}]', "with and without a score"),
        ('[{"id": 1, "pred_relevant_windows": {"a": 1}}]', "windows of type dict"),
        ('[{"score": 1}]', "none of id"),
        ('{"a": 3}', "expected \\[start, end\\]"),
        ('[{"task": "grounding", "video_id": "v", "answer": "x"}]', "sentence_id"),
        ("", "is empty"),
        (" \n ", "is empty"),
        ('[{"id": 1, "moment": [{"start": 1, "end": 2}]}]', "unknown key 'moment', did you mean 'moments'"),
        ('[{"qid": 1, "pred_relevant_window": [[1, 2]]}]', "did you mean 'pred_relevant_windows'"),
        (
            '{"a": {"timestamps": [[1, 2]]}}',
            "entry 'a' has the unknown key 'timestamps', did you mean 'timestamp'",
        ),
        ('[{"id": 1, "moments": [{"start": 1, "end": 2, "scroe": 1}]}]', "did you mean 'score'"),
        ('[{"id": 1, "id": 2, "moments": []}]', "the key 'id' twice"),
        (
            '{"id": 1, "moments": []}\n{"id": 2, "moments": [], "moments": []}',
            "row 2 has the key 'moments' twice",
        ),
        ('[{"id": 1, "moments": 3}]', "moments of type int"),
        ('[{"id": 1, "moments": [3]}]', "without start and end"),
        ("[" * 100_000, "not JSON that can be read"),
        ('{"id": ' + "[" * 100_000, "not JSON that can be read|is not JSON"),
        ("[" + "9" * 5000 + "]", "not JSON that can be read"),
    ],
)
def test_faulty_files_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "predictions.json"
    path.write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        read_predictions(path)
    assert "predictions.json" in str(caught.value)


def test_an_entry_that_comes_twice_is_two_rows(tmp_path: Path) -> None:
    path = tmp_path / "predictions.json"
    path.write_text('{"v_1": [0, 5], "v_2": [1, 2], "v_1": [6, 7]}')
    assert [(row.id, row.windows) for row in read_predictions(path)] == [
        ("v_1", [[0, 5]]), ("v_2", [[1, 2]]), ("v_1", [[6, 7]]),
    ]  # fmt: skip


def test_keys_of_other_programs_are_left_alone(tmp_path: Path) -> None:
    extra = {
        "relevant_windows": [[1, 2]],
        "duration": 3,
        "saliency_scores": [],
        "model": "x",
        "idx": 7,
        "presence": 1,
    }
    assert read(tmp_path, [{"id": "a", "moments": [], **extra}])[0].windows == []
    # a colon inside a text is no key
    assert read(tmp_path, [{"id": "a", "query": '"x": 1', "moments": []}])[0].query == '"x": 1'


def test_a_prediction_has_at_most_so_many_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDEOEXPERT_MAX_WINDOWS", "150")
    assert len(read(tmp_path, [{"id": "a", "pred_relevant_windows": [[0, 1]] * 150}])[0].windows or ()) == 150
    with pytest.raises(DataError, match="VIDEOEXPERT_MAX_WINDOWS"):
        read(tmp_path, [{"id": "a", "pred_relevant_windows": [[0, 1]] * 151}])


def test_choices_of_rows(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "choice": None, "answer": "run"},
        {"id": "b", "prediction": "C", "answer": 2},
        {"id": "c", "choice": 1, "answer": "run"},
    ]
    assert [(row.choice, row.truth) for row in read(tmp_path, rows)] == [("run", None), ("C", 2), (1, None)]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_predictions(tmp_path / "absent.json")
    broken = tmp_path / "broken.gz"
    broken.write_bytes(gzip.compress(b"[]" * 500)[:-9])
    with pytest.raises(DataError, match="cannot be read"):
        read_predictions(broken)
    binary = tmp_path / "binary"
    binary.write_bytes(b"\x80\xff\x00\xfe")
    with pytest.raises(DataError, match="not UTF-8"):
        read_predictions(binary)


def test_best_window() -> None:
    row = Prediction("a", windows=[[0, 1, 0.2], [2, 3, 0.9], [4, 5, 0.9], [6, 7, float("nan")]])
    assert best_window(row, by_score=True) == [2, 3]
    assert best_window(row, by_score=False) == [0, 1]
    assert best_window(Prediction("a", windows=[[0, 1], [2, 3]]), by_score=True) == [0, 1]
    assert best_window(Prediction("a", windows=[]), by_score=True) is None
