"""``panels``: pictures and the list of them, what is told about the rule, broken videos, wrong calls."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pictures import size_of
from videoexpert.testing import tiny_video


@pytest.fixture
def world(tmp_path) -> Path:
    (tmp_path / "charades_sta_test.txt").write_text(
        "aaa 0.0 5.0##it falls.\naaa 4.0 8.0##a dog runs.\nb b 0.0 5.0##wrong.\n".replace("b b", "bbb")
    )
    (tmp_path / "videos").mkdir()
    tiny_video(tmp_path / "videos" / "aaa.mp4", 8.0)
    tiny_video(tmp_path / "videos" / "bbb.mp4", 6.0)
    for name, end in (("one", 4.0), ("two", 6.0)):
        rows = [
            {"id": i, "moments": [{"start": 1.0, "end": end, "score": 1.0}]}
            for i in ("aaa_1", "aaa_2", "bbb_3")
        ]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


@pytest.fixture
def asked(world):
    return (
        *("panels", "charades-sta", "--annotations", world, "--videos", world / "videos"),
        *("--predictions", world / "one.jsonl", "--predictions", world / "two.jsonl", "--out", world / "out"),
    )


def test_one_picture_a_video(call, asked, world):
    done = call(*asked, "--name", "ours", "--name", "theirs", "--seed", 3)
    assert done.code == 0
    assert done.err == "2 of the 2 videos of which every system speaks, drawn by lot (seed 3).\n"
    pictures = [Path(line) for line in done.out.splitlines()]
    assert sorted(p.name for p in pictures) == ["aaa.png", "bbb.png"]
    assert all(size_of(p)[0] > 1000 for p in pictures)
    document = json.loads((world / "out" / "panels.json").read_text())
    assert document["systems"] == {"ours": str(world / "one.jsonl"), "theirs": str(world / "two.jsonl")}
    assert document["rule"] == done.err.strip(".\n")
    assert [v["picture"] for v in document["videos"]] == [p.name for p in pictures]
    assert {v["video"]: v["ids"] for v in document["videos"]} == {"aaa": ["aaa_1", "aaa_2"], "bbb": ["bbb_3"]}


def test_named_videos_and_fewer_queries_give_another_picture(call, asked, world):
    tall = {}
    for most in (1, 4):
        done = call(*asked, "--video", "aaa", "--queries", most)
        assert done.out.splitlines() == [str(world / "out" / "aaa.png")]
        tall[most] = size_of(world / "out" / "aaa.png")[1]
    assert tall[4] > tall[1] + 50
    assert not (world / "out" / "bbb.png").exists()


def test_a_broken_video_is_told_and_the_others_are_drawn(call, asked, world):
    (world / "videos" / "bbb.mp4").write_text("this is a text")
    done = call(*asked)
    assert done.code == 1
    assert "bbb.mp4' is not a readable video" in done.err
    assert done.out.splitlines() == [str(world / "out" / "aaa.png")]
    document = json.loads((world / "out" / "panels.json").read_text())
    assert [v["video"] for v in document["videos"]] == ["aaa"]


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--name", "ours"], 2, "there are 1 of --name and 2 of --predictions; give one for each"),
        (["--answers", "a.json"], 2, "there are 1 of --answers and 2 of --predictions"),
        (["--name", "a", "--name", "a"], 2, "the systems are called a, a; give each a --name"),
        (["--video", "zzz"], 2, "--video zzz is not annotated"),
        (["--video", "aaa", "--seed", "0"], 2, "--count and --seed are for videos drawn by lot"),
        (["--split", "none"], 2, "split of charades-sta is 'none'"),
        (["--count", "0"], 2, "--count"),
    ],
)
def test_wrong_calls(call, asked, world, options, code, message):
    done = call(*asked, *options)
    assert (done.code, done.out) == (code, "")
    assert message in done.err
    assert not (world / "out").exists()
