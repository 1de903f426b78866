"""What ``search`` finds, in any format: printed or written, and read back by ``export answer`` and ``clip``."""

from __future__ import annotations

import csv
import io
import json
import os
from contextlib import ExitStack

import pytest

from videoexpert.apps.commands.library import moments_of
from videoexpert.apps.commands.search import document, under
from videoexpert.assets import SHIPPED_VIDEO
from videoexpert.export import answers_json
from videoexpert.library.find import Hit, Page
from videoexpert.video.glance import glance

SENTENCE = "the purple triangle moves right"


def test_the_json_that_is_printed_is_the_json_that_is_written(call, library, tmp_path):
    printed = call("search", library, SENTENCE, "--format", "json")
    assert printed.code == 0
    assert printed.json["queries"][0]["results"][0]["path"].endswith("demo.mp4")
    written = call("search", library, SENTENCE, "--out", tmp_path / "hits.json")
    assert (written.code, written.out) == (0, "")
    assert json.loads((tmp_path / "hits.json").read_text()) == printed.json


def test_moments_of_videos_unlike_any_that_the_model_was_shown_are_guesses(call, library):
    hits = call("search", library, SENTENCE, "--format", "json").json["queries"][0]["results"]
    known = {os.path.basename(hit["path"]): hit["familiar"] for hit in hits}
    assert known == {"demo.mp4": True, "other.mp4": False}
    said = "are guesses: the model was never shown videos like these"
    assert f"1 of {len(hits)} {said}" in call("search", library, SENTENCE).out
    assert f"all {said}" in call("search", library, SENTENCE, "--in", "*other*").out
    assert said not in call("search", library, SENTENCE, "--in", "*demo*").out
    unlooked = call("search", library, SENTENCE, "--method", "recall", "--format", "json").json
    assert {hit["familiar"] for hit in unlooked["queries"][0]["results"]} == {None}


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


def test_pages_follow_one_another(call, library):
    whole = call("search", library, SENTENCE, "--format", "json").json["queries"][0]["results"]
    first = call("search", library, SENTENCE, "--top", 1, "--format", "json").json["queries"][0]
    rest = call("search", library, SENTENCE, "--cursor", first["cursor"], "--format", "json").json["queries"][
        0
    ]
    assert first["results"] + rest["results"] == whole
    assert call("search", library, "a", "b", "--cursor", first["cursor"]).code == 2


def test_dates_and_lengths_choose_videos(call, library):
    def names(*options: str) -> set[str]:
        found = call("search", library, SENTENCE, *options, "--format", "json").json["queries"][0]["results"]
        return {os.path.basename(hit["path"]) for hit in found}

    both = {"demo.mp4", "other.mp4"}
    assert names("--after", "2000-01-31") == names("--before", "2100-01-31T18:00") == both
    assert names("--before", "2000-01-31") == names("--after", "2100-01-31") == set()
    assert names("--min-duration", "0:15") == {"demo.mp4"}
    assert names("--min-duration", "1") == both


def test_the_folder_of_long_paths_is_told_once(call, library):
    lines = call("search", library, SENTENCE).out.splitlines()
    hits = call("search", library, SENTENCE, "--format", "json").json["queries"][0]["results"]
    folder = lines[1].strip().removeprefix("in ")
    assert [os.path.dirname(hit["path"]) for hit in hits] == [folder] * len(hits)
    assert [line.split()[-1] for line in lines[3:-1]] == [os.path.basename(hit["path"]) for hit in hits]
    assert under(["/a/b/c.mp4", "/a/d.mp4"]) == ("/a", ["b/c.mp4", "d.mp4"])
    assert under(["/a/c.mp4", "/b/d.mp4"]) == ("", ["/a/c.mp4", "/b/d.mp4"])
    assert under(["/ab/c.mp4", "/a/d.mp4"]) == ("", ["/ab/c.mp4", "/a/d.mp4"])
    assert under(["s3://b/x/c.mp4", "s3://b/d.mp4"]) == ("s3://b", ["x/c.mp4", "d.mp4"])
    assert under(["s3://b/c.mp4", "s3://d/c.mp4"]) == ("", ["s3://b/c.mp4", "s3://d/c.mp4"])
    assert under(["s3://b/c.mp4", "/b/c.mp4"]) == ("", ["s3://b/c.mp4", "/b/c.mp4"])


def test_hits_are_drawn(call, library, tmp_path):
    from PIL import Image

    done = call("search", library, SENTENCE, "--plot", tmp_path / "hits.png")
    assert done.code == 0, done.err
    assert f"drawn in {tmp_path / 'hits.png'}" in done.err
    with Image.open(tmp_path / "hits.png") as picture:
        assert picture.width == 1500
        # the thumbnails are there: more than black, white and grey
        assert len(picture.convert("RGB").resize((300, 60)).getcolors(20_000)) > 50
    assert call("search", library, SENTENCE, "--plot", tmp_path / "hits.txt").code == 2


def test_a_reel_of_the_best_moments(call, library, tmp_path):
    out = tmp_path / "reel.mp4"
    done = call("library", "reel", library, SENTENCE, "--out", out, "--top", 2, "--format", "json")
    assert done.code == 0, done.err
    hits = call("search", library, SENTENCE, "--top", 2, "--format", "json").json["queries"][0]["results"]
    cut = done.json["moments"]
    assert [(one["video"], round(one["start"], 3)) for one in cut] == [
        (hit["path"], round(hit["start"], 3)) for hit in hits
    ]
    length = sum(one["end"] - one["start"] for one in cut)
    assert glance(out).duration_s == pytest.approx(length, abs=0.2)
    assert call("library", "reel", library, SENTENCE, "--out", tmp_path / "reel.gif").code == 2


def test_what_a_reel_cannot_show_is_told():
    there = Hit(str(SHIPPED_VIDEO), 0.5, 1.0, 0.9, 20.0, "a")
    moved = Hit("gone.mp4", 2, 2, 0.8, 20.0, "b", (str(SHIPPED_VIDEO),))
    with ExitStack() as fetched:
        cuts, gone = moments_of([there, moved, Hit("gone.mp4", 0, 1, 0.7, 20.0, "c")], 1.0, fetched)
    assert gone == ["gone.mp4"]
    assert [(span.video, span.start_s, span.end_s) for _, span in cuts] == [
        (str(SHIPPED_VIDEO), 0.0, 2.0),
        (str(SHIPPED_VIDEO), 1.0, 3.0),
    ]


def test_a_library_is_exported(call, library, tmp_path):
    out = tmp_path / "plain"
    done = call("library", "export", library, "--out", out, "--format", "json")
    assert done.code == 0, done.err
    assert done.json["videos"] == 2
    assert call("library", "export", library, "--out", out).code == 0
    assert call("library", "export", library, "--out", tmp_path).code == 2


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
