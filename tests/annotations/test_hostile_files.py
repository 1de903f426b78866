"""Files that no honest tool writes end in one sentence or are counted; no raw exception, no endless memory."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from videoexpert.annotations import readers
from videoexpert.errors import VideoExpertError
from videoexpert.scoring.score import score

HUGE = "1" * 400
# a file in each form of JSON layout whose numbers are the text at %s
NUMBERS = {
    "tacos": '{"qid": 1, "vid": "v", "query": "a dog", "duration": %s, "relevant_windows": [[1, %s]]}',
    "qvhighlights": (
        '{"qid": 1, "vid": "v", "query": "a dog", "duration": %s, "relevant_windows": [[0, %s]],'
        ' "relevant_clip_ids": [0], "saliency_scores": [[1, 1, 1]]}'
    ),
    "tvsum": '{"qid": 1, "vid": "v", "query": "a dog", "duration": %s, "domain": "BK", "label": [[%s]]}',
    "activitynet-captions": '{"v": {"duration": %s, "timestamps": [[1, %s]], "sentences": ["a dog"]}}',
    "youcook2": '{"database": {"v": {"duration": %s, "subset": "validation", "annotations":'
    ' [{"segment": [1, %s], "sentence": "a dog", "id": 0}]}}}',
    "nextgqa": '{"v": {"duration": %s, "location": {"0": [[1, %s]]}}}',
    "jsonl": '{"id": "a", "video": "v", "query": "a dog", "duration": %s, "moments": [[1, %s]]}',
}


def written(folder: Path, benchmark: str, text: str | bytes) -> Path:
    lines = benchmark in ("tacos", "qvhighlights", "tvsum", "jsonl", "timeit")
    path = folder / ("a_test.jsonl" if lines else "a_val.json")
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def outcome(benchmark: str, path: Path) -> str:
    """The kinds of dirt that are counted, or the sentence of the error; any other exception is a failure."""
    try:
        return str(dict(readers.read(benchmark, path).report.counts))
    except VideoExpertError as error:
        return str(error)


@pytest.mark.parametrize("benchmark", NUMBERS)
@pytest.mark.parametrize("number", [HUGE, "-" + HUGE, "1e400", "NaN", "-Infinity", "1e12"])
@pytest.mark.parametrize("place", [0, 1])
def test_numbers(tmp_path: Path, benchmark: str, number: str, place: int) -> None:
    values = [("20", "4")[i] if i != place else number for i in (0, 1)]
    said = outcome(benchmark, written(tmp_path, benchmark, NUMBERS[benchmark] % tuple(values)))
    assert said
    if number == "1e12" and place == 0:
        assert "VIDEOEXPERT_MAX_VIDEO_SECONDS" in said


@pytest.mark.parametrize("benchmark", [*NUMBERS, "video-chatgpt", "instruction", "timeit"])
def test_deep_nesting(tmp_path: Path, benchmark: str) -> None:
    path = written(tmp_path, benchmark, "[" * 200_000)
    with pytest.raises(VideoExpertError, match="nested too deep"):
        readers.read(benchmark, path)


@pytest.mark.parametrize("start", ["999999999999", HUGE, "1e300", "inf", "nan"])
def test_a_highlight_far_beyond_any_video(tmp_path: Path, start: str) -> None:
    answer = f"There are 2 highlight moments in the 2, {start} second. Their saliency scores are 1.3, 2.0."
    row = {"video": "v.mp4", "QA": [{"q": 'Find highlights of "a dog"', "a": answer}]}
    read = readers.read("timeit", written(tmp_path, "timeit", json.dumps(row)))
    assert all(sample.task == "qa" for sample in read.samples)  # no grid of clips of such a length


@pytest.mark.parametrize("number", [HUGE, "1e400", "NaN", '"' + HUGE + '"', "[" * 50_000])
@pytest.mark.parametrize("benchmark", ["qvhighlights", "activitynet-captions", "nextqa"])
def test_predictions(tmp_path: Path, benchmark: str, number: str) -> None:
    row = {
        "qvhighlights": '{"qid": 1, "pred_relevant_windows": [[0, %s, 1]], "pred_saliency_scores": [%s]}',
        "activitynet-captions": '{"id": "v_0", "pred_relevant_windows": [[0, %s]], "duration": %s}',
        "nextqa": '{"id": "v_0", "answer": %s, "score": %s}',
    }[benchmark]
    predictions = tmp_path / "p.jsonl"
    predictions.write_text(row.replace("%s", number))
    truth: Any = {
        "qvhighlights": NUMBERS["qvhighlights"] % (20, 4),
        "activitynet-captions": NUMBERS["activitynet-captions"] % (20, 4),
        "nextqa": "video,frame_count,width,height,question,answer,qid,type,a0,a1,a2,a3,a4\n"
        "v,30,2,2,why,0,0,CW,a,b,c,d,e\n",
    }[benchmark]
    path = tmp_path / "val.csv" if benchmark == "nextqa" else written(tmp_path, benchmark, truth)
    path.write_text(truth)
    try:
        coverage = score(benchmark, predictions, path)["coverage"]
    except VideoExpertError:
        return  # no JSON, or no number: a sentence
    assert sum(entry["count"] for entry in coverage["unusable"]) == 1


@pytest.mark.parametrize("cut", [0, 1, 12, 30, -9, -1])
@pytest.mark.parametrize("as_predictions", [False, True])
def test_a_gzip_that_was_cut(tmp_path: Path, cut: int, as_predictions: bool) -> None:
    truth = (NUMBERS["qvhighlights"] % (20, 4)).encode()
    whole, broken = tmp_path / "a_test.jsonl", tmp_path / "b_test.jsonl.gz"
    whole.write_bytes(truth)
    broken.write_bytes(gzip.compress(truth)[:cut])
    with pytest.raises(VideoExpertError, match=r"b_test\.jsonl\.gz"):
        score("qvhighlights", *((broken, whole) if as_predictions else (whole, broken)))


@pytest.mark.parametrize("name", ["corrupt.json.gz", "cut.json.gz"])
def test_broken_archives_from_the_field(shared: Path, name: str) -> None:
    path = shared / "field" / "annotations" / name
    with pytest.raises(VideoExpertError, match=name):
        score("activitynet-captions", path, path)


def test_a_gzip_that_grows_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDEOEXPERT_MAX_DECOMPRESSED_BYTES", "1000000")
    path = tmp_path / "val_1.json.gz"
    path.write_bytes(gzip.compress(b" " * 2_000_000))
    with pytest.raises(VideoExpertError, match="VIDEOEXPERT_MAX_DECOMPRESSED_BYTES"):
        readers.read("activitynet-captions", path)
