"""Which videos are shown, and that files of every form say what they say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from videoexpert.errors import DataError, InputError
from videoexpert.evaluation.panels import SystemFiles, select
from videoexpert.types import Moment

CHARADES = """AAA 0.0 5.0##person opens a door.
AAA 10.0 20.0##person sits down.
BBB 5.0 10.0##person opens a door.
CCC 0.0 4.0##person eats.
"""


@pytest.fixture
def world(tmp_path) -> Path:
    """Charades-STA of three videos; of CCC there is no file."""
    (tmp_path / "charades_sta_test.txt").write_text(CHARADES)
    (tmp_path / "Charades_v1_test.csv").write_text("id,length\nAAA,20.0\nBBB,10.0\nCCC,5.0\n")
    (tmp_path / "videos").mkdir()
    for name in ("AAA.mp4", "BBB.webm", "x_1.0_9.0.mp4", "v_dance.mp4", "77.mp4"):
        (tmp_path / "videos" / name).write_bytes(b"not opened")
    return tmp_path


def lines(path: Path, *rows) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def charades(world, *systems, **options):
    return select("charades-sta", world, world / "videos", systems, split="test", **options)


@pytest.fixture
def ours(world) -> SystemFiles:
    scored = [{"start": 0, "end": 1, "score": 0.2}, {"start": 12, "end": 20, "score": 0.9}]
    return SystemFiles("ours", lines(
        world / "ours.jsonl",
        {"id": "AAA_1", "moments": [{"start": 0.0, "end": 5.0, "score": 0.5}]},
        {"id": "AAA_2", "moments": scored},
        {"id": "BBB_3", "moments": [{"start": 9.0, "end": 3.0, "score": 0.5}]},
        {"id": "CCC_4", "moments": []},
    ))  # fmt: skip


def test_videos_are_drawn_by_lot_from_those_that_all_speak_of(world, ours):
    found = charades(world, ours, count=5)
    assert sorted(shown.video for shown in found.videos) == ["AAA", "BBB"]  # no file of CCC
    assert found.rule == "2 of the 2 videos of which the system speaks, drawn by lot (seed 0)"
    # TimeChat's form: other ids, found by video and sentence; nothing about BBB
    timechat = {"17": {"timestamp": [[2.0, 12.0]], "query": "Person sits down", "vid": "AAA.mp4"}}
    (world / "timechat.json").write_text(json.dumps(timechat))
    theirs = SystemFiles("theirs", world / "timechat.json")
    found = charades(world, ours, theirs)
    assert [shown.video for shown in found.videos] == ["AAA"]
    assert found.rule.startswith("the one video of which every system speaks")
    first, second = found.videos[0].items
    assert (first.question, second.question) == ("person opens a door.", "person sits down.")
    assert first.systems[1].silent
    assert second.systems[1].moments == (Moment(2.0, 12.0),)
    assert second.systems[1].overlap == pytest.approx(2 / 18)
    assert second.systems[0].moments == (Moment(12.0, 20.0, 0.9), Moment(0.0, 1.0, 0.2))  # best first
    assert second.systems[0].overlap == pytest.approx(0.8)
    assert second.truth.moments == (Moment(10.0, 20.0),)


def test_the_lot_is_seeded_and_does_not_look_at_the_answers(world, tmp_path):
    text = "".join(f"V{i:02d} 0.0 5.0##it falls.\n" for i in range(30))
    (world / "charades_sta_test.txt").write_text(text)
    for i in range(30):
        (world / "videos" / f"V{i:02d}.mp4").write_bytes(b"not opened")
    ids = [f"V{i:02d}_{i + 1}" for i in range(30)]

    def drawn(end, seed):
        rows = [{"id": id, "moments": [{"start": 0, "end": end, "score": 1}]} for id in ids]
        system = SystemFiles("us", lines(tmp_path / "p.jsonl", *rows))
        return [shown.video for shown in charades(world, system, count=4, seed=seed).videos]

    assert drawn(5.0, 0) == drawn(0.1, 0)
    assert len(set(drawn(5.0, 0))) == 4
    assert drawn(5.0, 0) != drawn(5.0, 1)


def test_named_videos_and_the_first_questions(world, ours):
    found = charades(world, ours, named=["BBB", "AAA.mp4", "BBB"], most=1)
    assert [(s.video, s.ids, s.left_out) for s in found.videos] == [
        ("BBB", ("BBB_3",), 0),
        ("AAA", ("AAA_1",), 1),
    ]
    assert found.rule == "the videos that were named"
    assert found.videos[0].items[0].systems[0].moments == ()  # it ended before it started
    with pytest.raises(InputError, match="--video DDD is not annotated"):
        charades(world, ours, named=["DDD"])
    with pytest.raises(DataError, match="holds no file for CCC"):
        charades(world, ours, named=["CCC"])


def test_highlights(world):
    row = {
        "qid": 5, "vid": "x_1.0_9.0", "query": "a goal", "duration": 8, "relevant_windows": [[2, 6]],
        "relevant_clip_ids": [1, 2], "saliency_scores": [[4, 4, 4], [1, 2, 0]],
    }  # fmt: skip
    lines(world / "highlight_val_release.jsonl", row)
    theirs = lines(
        world / "p.jsonl",
        {
            "qid": 5,
            "pred_relevant_windows": [[2, 4, 7.5]],
            "pred_saliency_scores": [-2.0, 0.0, 2.0, -1.0, 9.0],
        },
    )
    found = select("qvhighlights", world, world / "videos", [SystemFiles("theirs", theirs)])
    (item,) = found.videos[0].items
    assert (item.kind, item.truth.saliency) == ("highlight", (0.0, 1.0, 0.25, 0.0))
    assert item.systems[0].saliency == (0.0, 0.5, 1.0, 0.25)  # one score too many is left out
    assert item.systems[0].moments == (Moment(2.0, 4.0),)  # 7.5 is no probability
    assert item.systems[0].overlap == pytest.approx(0.5)


def gqa(world):
    (world / "gsub_test.json").write_text(
        json.dumps({"77": {"duration": 10, "location": {"0": [[2, 4]], "1": [[6, 8]]}}})
    )
    (world / "test.csv").write_text(
        "video_id,frame_count,width,height,question,answer,qid,type,a0,a1,a2,a3,a4\n"
        "77,1,1,1,why does he fall?,slipped,0,CW,jump,slipped,tired,pushed,sat\n"
        "77,1,1,1,what then?,laugh,1,TN,cry,run,laugh,sleep,eat\n"
    )


def test_grounded_questions(world):
    gqa(world)
    ours = lines(
        world / "ours.jsonl",
        {"id": "77_0", "choice": 1, "answer": "slipped", "moments": [{"start": 2, "end": 4, "score": 1}]},
        {"id": "77_1", "choice": 0, "answer": "cry", "moments": []},
    )
    (world / "spans.json").write_text(json.dumps({"77_0": [0.2, 0.3], "77_1": [0.1, 0.9]}))
    (world / "answers.json").write_text(json.dumps({"77_1": {"answer": 2, "prediction": 2}}))
    systems = [
        SystemFiles("ours", ours),
        SystemFiles("theirs", world / "spans.json", world / "answers.json"),
        SystemFiles("windows", world / "spans.json"),
    ]
    found = select("nextgqa", world, world / "videos", systems)
    first, second = found.videos[0].items
    assert (first.kind, first.question, first.choices[1]) == ("qa", "why does he fall?", "slipped")
    assert first.truth.answer == "slipped"
    assert [(v.answer, v.right) for v in first.systems] == [("slipped", True), (None, False), (None, False)]
    assert [(v.answer, v.right) for v in second.systems] == [("cry", False), ("laugh", True), (None, False)]
    assert [v.overlap for v in first.systems] == [1.0, pytest.approx(0.5), pytest.approx(0.5)]
    assert first.systems[1].moments == (Moment(2.0, 3.0),)  # fractions of the duration
    with pytest.raises(InputError, match="answers belong to nextgqa"):
        charades(world, SystemFiles("theirs", world / "spans.json", world / "answers.json"))
    with pytest.raises(InputError, match="questions belong to nextgqa"):
        charades(world, systems[0], questions=world / "test.csv")


def test_activitynet_by_what_the_predictions_hold(world):
    entry = {"duration": 40.0, "timestamps": [[0, 10], [10, 40]], "sentences": ["a dog runs.", "it sleeps."]}
    (world / "val_1.json").write_text(json.dumps({"v_dance": entry}))
    log = lines(
        world / "log.jsonl",
        {"video_id": "v_dance", "task": "grounding", "answer": "from 25 to 75", "info": {"sentence_id": 1}},
    )
    found = select("activitynet-captions", world, world / "videos", [SystemFiles("log", log)])
    first, second = found.videos[0].items
    assert first.systems[0].silent
    assert (second.kind, second.question) == ("grounding", "it sleeps.")
    assert second.systems[0].moments == (Moment(10.0, 30.0),)
    (world / "c.json").write_text(
        json.dumps({"results": {"dance": [{"sentence": "a dog.", "timestamp": [1, 2]}]}})
    )
    told = SystemFiles("told", world / "c.json")
    (item,) = select("activitynet-captions", world, world / "videos", [told]).videos[0].items
    assert (item.kind, item.question) == ("caption", "")
    assert [m.text for m in item.truth.moments] == ["a dog runs.", "it sleeps."]
    assert item.systems[0].moments == (Moment(1.0, 2.0, text="a dog."),)
    with pytest.raises(InputError, match="some predictions are captions and some windows"):
        select("activitynet-captions", world, world / "videos", [told, SystemFiles("log", log)])


def test_files_without_a_word_about_the_benchmark(world, ours):
    with pytest.raises(InputError, match="benchmark is 'video-chatgpt', expected one of charades-sta"):
        select("video-chatgpt", world, world / "videos", [ours])
    other = SystemFiles("other", lines(world / "o.jsonl", {"id": "ZZZ_1", "moments": []}))
    with pytest.raises(DataError, match="holds nothing about the annotated samples"):
        charades(world, other)
    absent = SystemFiles("absent", lines(world / "a.jsonl", {"id": "CCC_4", "moments": []}))
    with pytest.raises(DataError, match="of 3 annotated videos every system speaks of 1, and "):
        charades(world, ours, absent)
