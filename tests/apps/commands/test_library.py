"""``index``, ``search`` and ``library`` from the command line."""

from __future__ import annotations

import json
import shutil

from videoexpert.apps.cli import main
from videoexpert.assets import SHIPPED_VIDEO


def test_index_search_and_look_after(tmp_path, capsys):
    folder, library = tmp_path / "videos", str(tmp_path / "lib")
    folder.mkdir()
    shutil.copy(SHIPPED_VIDEO, folder / "demo.mp4")
    (folder / "demo.srt").write_text("1\n00:00:03,000 --> 00:00:05,000\nlook at the door\n")
    assert main(["index", str(folder), "--library", library]) == 0, capsys.readouterr().err
    assert "1 video found, 1 encoded" in capsys.readouterr().out
    sentence = "the purple triangle moves right"
    assert main(["search", library, sentence, "--method", "rerank"]) == 0
    assert sentence in capsys.readouterr().out
    assert main(["search", library, sentence, "--method", "rerank", "--format", "json"]) == 0
    best = json.loads(capsys.readouterr().out)["queries"][0]["results"][0]
    assert best["path"].endswith("demo.mp4")
    assert 14 < best["start"] < 16 < best["end"] < 18
    assert main(["search", library, "door", "--method", "text", "--format", "json"]) == 0
    (hit,) = json.loads(capsys.readouterr().out)["queries"][0]["results"]
    assert (hit["start"], hit["end"], hit["text"]) == (3.0, 5.0, "look at the door")
    assert main(["search", library, "--like", f"{SHIPPED_VIDEO}@0:16", "--format", "json"]) == 0
    assert "demo.mp4" in capsys.readouterr().out
    assert main(["library", "info", library]) == 0
    assert "1 video in 1 file" in capsys.readouterr().out
    assert main(["library", "verify", library]) == 0
    assert main(["library", "duplicates", library]) == 0
    assert main(["library", "remove", library, str(folder / "demo.mp4")]) == 0
    assert main(["library", "gc", library]) == 0
    capsys.readouterr()
    assert main(["search", library, "door"]) == 0
    assert "nothing found" in capsys.readouterr().out


def test_wrong_calls(tmp_path, capsys):
    assert main(["search", str(tmp_path)]) == 2
    assert "give sentences" in capsys.readouterr().err
    assert main(["search", str(tmp_path), "a"]) == 1
    assert "holds no library" in capsys.readouterr().err
    assert main(["index", str(tmp_path / "none"), "--library", str(tmp_path / "lib")]) == 2
    assert main(["search", str(tmp_path), "a", "--after", "yesterday"]) == 2
    assert "2026-01-31" in capsys.readouterr().err


def test_a_broken_video_is_reported_and_the_others_are_indexed(tmp_path, capsys):
    folder = tmp_path / "videos"
    folder.mkdir()
    shutil.copy(SHIPPED_VIDEO, folder / "demo.mp4")
    (folder / "broken.mp4").write_bytes(b"\0\1\2")
    assert main(["index", str(folder), "--library", str(tmp_path / "lib")]) == 1
    told = capsys.readouterr()
    assert "broken.mp4" in told.err
    assert "1 failed" in told.out
