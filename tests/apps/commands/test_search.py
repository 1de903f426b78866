"""What ``search`` finds, in any format: printed or written, and read back by ``export answer`` and ``clip``."""

from __future__ import annotations

import csv
import io
import json

import pytest

from videoexpert.apps.commands.search import document
from videoexpert.export import answers_json
from videoexpert.library.find import Hit, Page

SENTENCE = "the purple triangle moves right"


def test_the_json_that_is_printed_is_the_json_that_is_written(call, library, tmp_path):
    printed = call("search", library, SENTENCE, "--format", "json")
    assert printed.code == 0
    assert printed.json["queries"][0]["results"][0]["path"].endswith("demo.mp4")
    written = call("search", library, SENTENCE, "--out", tmp_path / "hits.json")
    assert (written.code, written.out) == (0, "")
    assert json.loads((tmp_path / "hits.json").read_text()) == printed.json


def test_hits_go_into_tables_and_editors(call, library, tmp_path):
    hits = call("search", library, SENTENCE, "--format", "json").json["queries"][0]["results"]
    table = call("search", library, SENTENCE, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(table.out, newline="")))
    spans = {(hit["path"], round(hit["start"], 3)) for hit in hits}
    assert {(row["video"], float(row["start"])) for row in rows} == spans
    assert {row["query"] for row in rows} == {SENTENCE}
    # a file a video where a format holds one video
    (tmp_path / "cuts").mkdir()
    assert call("search", library, SENTENCE, "--format", "edl", "--out", tmp_path / "cuts").code == 0
    assert {file.name for file in (tmp_path / "cuts").iterdir()} == {"demo.edl", "other.edl"}
    assert SENTENCE in (tmp_path / "cuts" / "demo.edl").read_text()
    refused = call("search", library, SENTENCE, "--format", "edl")
    assert refused.code == 2
    assert "give --out an existing folder" in refused.err
    alone = call("search", library, SENTENCE, "--in", "*demo*", "--top", 1, "--format", "srt")
    assert alone.out.splitlines()[2] == SENTENCE


def test_a_saved_search_is_exported_and_cut_later(call, library, tmp_path):
    saved = tmp_path / "hits.json"
    assert call("search", library, SENTENCE, "--in", "*demo*", "--top", 1, "--out", saved).code == 0
    (hit,) = json.loads(saved.read_text())["queries"][0]["results"]
    later = call("export", "answer", saved, "--format", "csv")
    assert later.out == call("search", library, SENTENCE, "--in", "*demo*", "--top", 1, "--format", "csv").out
    cut = call("clip", "--from", saved, "--exact", "--out", tmp_path / "clips", "--format", "json")
    assert cut.code == 0, cut.err
    (clip,) = cut.json["clips"]
    assert (clip["title"], clip["video"]) == (SENTENCE, hit["path"])
    assert clip["start"] == pytest.approx(hit["start"], abs=0.1)


def test_json_lines_are_written_whole(call, library, tmp_path):
    out = tmp_path / "hits.jsonl"
    for _ in range(2):
        assert call("search", library, SENTENCE, "--out", out).code == 0
    assert sorted(json.loads(line)["video"].split("/")[-1] for line in out.read_text().splitlines()) == [
        "demo.mp4",
        "other.mp4",
    ]


def test_where_nothing_is_found_nothing_is_written(call, library, tmp_path):
    done = call("search", library, SENTENCE, "--in", "*none*", "--out", tmp_path / "a.csv")
    assert (done.code, done.out) == (0, "")
    assert "nothing was found" in done.err
    assert not (tmp_path / "a.csv").exists()


def test_hits_of_one_video_are_the_moments_of_its_queries():
    def hit(path: str, start: float, score: float) -> Hit:
        return Hit(path, start, start + 1, score, 9.0, "c")

    pages = [
        Page("a dog", (hit("b.mp4", 1, 0.9), hit("a.mp4", 2, 0.8), hit("b.mp4", 5, 0.5))),
        Page("", (hit("a.mp4", 3, 0.7),)),
    ]
    told = {"library": "lib", "model": "m", "like": "dog.png", "queries": [document(page) for page in pages]}
    found = answers_json.read(told, "x")
    assert found.several
    said = {
        item.video: [(query.query, [(m.start, m.score) for m in query]) for query in item.found]
        for item in found.answers
    }
    assert said == {
        "b.mp4": [("a dog", [(1, 0.9), (5, 0.5)])],
        "a.mp4": [("a dog", [(2, 0.8)]), ("like dog.png", [(3, 0.7)])],
    }
