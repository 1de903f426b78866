"""``ground``, ``highlight``, ``caption``, ``ask``: documents, tables, several videos, errors."""

from __future__ import annotations

import shutil

import pytest

from pictures import size_of
from videoexpert import session
from videoexpert.errors import ModelWarning


@pytest.fixture
def expert(model):
    return session.load(model, device="cpu")


def rounded(moments):
    return [{"start": round(m.start, 3), "end": round(m.end, 3), "score": round(m.score, 4)} for m in moments]


def test_ground_json(call, model, video, expert):
    done = call("ground", video, "it falls", "a dog", "--model", model, "--format", "json", "--top-k", 2)
    assert (done.code, done.err) == (0, "")
    document = done.json
    assert list(document) == ["video", "duration", "model", "calibrated", "looked_at", "queries"]
    assert (document["video"], document["duration"], document["model"]) == (str(video), 8.0, str(model))
    for query, part in zip(["it falls", "a dog"], document["queries"], strict=True):
        found = expert.open(video).ground(["it falls", "a dog"], 2)[query == "a dog"]
        assert part == {
            "query": query,
            "presence": pytest.approx(found.presence, abs=1e-4),
            "absent": False,
            "moments": rounded(found),
        }
        assert 1 <= len(part["moments"]) <= 2


def test_part_of_a_video_and_number_of_frames(call, model, video, expert):
    common = ("--model", model, "--format", "json", "--start", 2, "--end", 6, "--frames", 4)
    document = call("ground", video, "it falls", *common).json
    assert (document["start"], document["duration"]) == (2.0, 4.0)
    with pytest.warns(ModelWarning, match="trained with 16 frames and looked at 4"):
        found = expert.open(video, start=2, end=6, num_frames=4).ground("it falls")
    assert document["queries"][0]["moments"] == rounded(found)
    assert found.curve != expert.open(video, start=2, end=6).ground("it falls").curve


def test_times_of_the_clock_sentences_of_a_file_and_a_least_score(call, model, video, tmp_path):
    common = ("ground", video, "--model", model, "--format", "json")
    assert call(*common, "it falls", "--start", "0:02", "--end", "0:00:06.5").json["duration"] == 4.5
    done = call(*common, "it falls", "--start", "1:75")
    assert (done.code, done.out) == (2, "")
    assert "'--start': a time is '1:75', expected seconds or h:mm:ss" in done.err
    queries = tmp_path / "queries.txt"
    queries.write_text("a dog\nit falls\n")
    asked = call(*common, "--queries", queries).json["queries"]
    assert [query["query"] for query in asked] == ["a dog", "it falls"]
    scores = [m["score"] for m in asked[0]["moments"]]
    least = sorted(scores)[1]
    few = call(*common, "a dog", "--min-score", least - 1e-5).json["queries"][0]["moments"]
    assert [m["score"] for m in few] == [score for score in scores if score >= least] != scores


def test_more_frames_than_training_showed_are_told(call, model, video):
    done = call("ground", video, "it falls", "--model", model, "--frames", 40, "--format", "json")
    said = "the model was trained with 16 frames and looked at 40: scores may be off"
    assert done.json["warnings"] == [said]
    assert done.err == f"Warning: {video}: {said}.\n"


def test_windows_of_a_long_video(call, model, video, expert):
    asked = ("ground", video, "it falls", "--model", model, "--format", "json")
    document = call(*asked, "--window", 4, "--overlap", 1).json
    assert list(document) == ["video", "duration", "model", "calibrated", "looked_at", "queries"]
    assert document["looked_at"] == {
        "windows": 3,
        "window": 4.0,
        "overlap": 1.0,
        "frames": 3 * expert.config.num_frames,
    }
    found = expert.open_long(video, window=4.0, overlap=1.0).ground("it falls")
    assert document["queries"][0]["moments"] == rounded(found)
    for one_window in (
        ("--window", "off"),
        ("--window", "auto"),
        (),
    ):  # this model does not know its training length
        seen = call(*asked, *one_window).json["looked_at"]
        assert seen == {"windows": 1, "window": 8.0, "overlap": 0.0, "frames": expert.config.num_frames}
    for wrong in ("0", "-3", "nan", "often"):
        done = call(*asked, "--window", wrong)
        assert (done.code, done.out) == (2, "")
        assert f"--window is '{wrong}', expected auto, off or a number of seconds above 0" in done.err
    assert (
        "overlap is 9, expected from 0 to below the window of 4 s"
        in call(*asked, "--window", 4, "--overlap", 9).err
    )


def test_ground_table(call, model, model_that_finds_nothing, video):
    done = call("ground", video, "it falls", "--model", model)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f'{video}: 8.0 s, 16 frames (2 a second), model {model}\n"it falls"\n')
    assert "not in this video" not in done.out
    done = call("ground", video, "it falls", "--model", model_that_finds_nothing)
    assert "not in this video (presence 0." in done.out
    assert "best guess" in done.out
    document = call(
        "highlight", video, "it falls", "--model", model_that_finds_nothing, "--format", "json"
    ).json
    assert document["absent"] is True


def test_ground_says_how_far_the_answer_moves_without_the_video(call, model, video, expert, tmp_path):
    asked = ("ground", video, "it falls", "a dog", "--model", model, "--evidence")
    plot = tmp_path / "e.png"
    document = call(*asked, "--format", "json", "--plot", plot).json
    opened = expert.open(video)
    for part in document["queries"]:
        moved = opened.evidence(part["query"])
        assert part["evidence"]["overlap"] == pytest.approx(moved.overlap, abs=1e-3)
        assert part["evidence"]["shift"] == pytest.approx(moved.shift_s, abs=2e-3)
        assert part["evidence"]["blank_presence"] == pytest.approx(moved.blank_presence, abs=1e-4)
        assert part["evidence"]["presence"] == part["presence"]
    assert size_of(plot)[0] > 1000
    lines = call(*asked).out.splitlines()
    said = [
        n for n, line in enumerate(lines) if line.startswith("   evidence: without the video the best guess")
    ]
    queries = [n for n, line in enumerate(lines) if line in ('"it falls"', '"a dog"')]
    assert queries[0] < said[0] < queries[1] < said[1]
    assert "evidence" not in call("ground", video, "it falls", "--model", model).out


def test_a_broken_video_does_not_stop_the_others(call, model, video, tmp_path):
    shutil.copy(video, tmp_path / "a.mp4")
    (tmp_path / "b.mp4").write_text("this is a text")
    (tmp_path / "notes.txt").write_text("no video")
    plot = tmp_path / "p.png"
    done = call("ground", tmp_path, "it falls", "--model", model, "--format", "json", "--plot", plot)
    assert done.code == 1
    good, bad = done.json
    assert good["queries"][0]["moments"]
    assert set(bad) == {"video", "error"}
    assert f"Error: {bad['error']}" in done.err.splitlines()
    assert "b.mp4" in bad["error"]
    assert done.err.splitlines()[-1] == "1 of 2 videos failed."
    assert "Traceback" not in done.err
    assert (tmp_path / "p-1.png").exists()
    assert not (tmp_path / "p-2.png").exists()
    assert not plot.exists()


def test_a_folder_of_one_gives_a_list(call, model, video):
    done = call("caption", video.parent, "--model", model, "--format", "json")
    assert done.code == 0
    (document,) = done.json
    assert list(document) == ["video", "duration", "model", "calibrated", "looked_at", "captions"]


def test_highlight_json(call, model, video, tmp_path):
    plot = tmp_path / "h.png"
    done = call(
        "highlight", video, "it falls", "--model", model, "--format", "json", "--top-k", 1, "--plot", plot
    )
    assert done.code == 0
    assert done.err == f"picture saved as {plot}\n"
    document = done.json
    assert document["times"] == [0.0, 2.0, 4.0, 6.0]
    assert len(document["scores"]) == 4
    assert all(0 <= s <= 1 for s in document["scores"])
    assert (document["clip"], len(document["moments"])) == (2.0, 1)
    assert size_of(plot)[0] > 1000


def test_ask(call, model, video, tmp_path):
    asked = ("ask", video, "what falls?", "--model", model)
    choices = ("--choice", "a ball", "--choice", "the red square")
    plot = tmp_path / "q.png"
    document = call(*asked, *choices, "--format", "json", "--plot", plot).json
    assert [c["text"] for c in document["choices"]] == ["a ball", "the red square"]
    assert sum(c["score"] for c in document["choices"]) == pytest.approx(1.0, abs=2e-4)
    assert document["answer"] == document["choices"][document["choice"]]["text"]
    assert document["moments"]
    assert size_of(plot)[0] > 1000
    table = call(*asked, *choices).out
    assert [line.split()[0] for line in table.splitlines() if "<--" in line] == [
        document["answer"].split()[0]
    ]
    opened = call(*asked, "--format", "json").json
    assert (opened["choices"], opened["choice"]) == ([], None)


def test_caption_table_and_picture(call, model, video, tmp_path, monkeypatch):
    from videoexpert.session import Video
    from videoexpert.types import Captions, Moment

    monkeypatch.setattr(
        Video, "caption", lambda self: Captions([Moment(1.0, 2.0, 0.7, text="A ball falls.")])
    )
    plot = tmp_path / "c.png"
    done = call("caption", video, "--model", model, "--plot", plot)
    assert done.code == 0
    assert done.out.splitlines()[-2].split() == ["1.0", "s", "2.0", "s", "0.70", "A", "ball", "falls."]
    assert size_of(plot)[0] > 1000


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["ground", "none.mp4", "q"], 1, "'none.mp4' does not exist, expected"),
        (["ground", "text.mp4", "q"], 1, "'text.mp4' is not a readable video"),
        (["ground", "folder", "q"], 1, "'folder' holds no video, expected"),
        (["ground", "a.mp4", ""], 2, "the query is empty, expected"),
        (["ground", "a.mp4"], 2, "there is no query after 'a.mp4', expected"),
        (["ground", "a.mp4", "q", "--start", "99"], 2, "expected a clip within its 8.00 s"),
        (["ground", "a.mp4", "q", "--start", "5", "--end", "2"], 2, "expected the end after the start"),
        (["ground", "a.mp4", "q", "--start", "-1"], 2, "a time is -1 s, expected 0 or more"),
        (
            ["ground", "a.mp4", "q", "--model", "no/such/model"],
            1,
            "no/such/model is neither a model folder here",
        ),
        (["ground", "a.mp4", "q", "--model", "folder"], 1, "folder is not a model folder"),
        (["ground", "a.mp4", "q", "--device", "gpu"], 2, "device 'gpu' is not available here"),
        (["ground", "a.mp4", "q", "--plot", "x.jpg"], 2, "expected a file name that ends in .png"),
        (["ask", "a.mp4", "q", "--choice", "a"], 2, "expected at least two, none empty"),
        (["ask", "a.mp4", "what", "falls"], 2, "expected one question"),
        (["caption", "a.mp4", "q"], 1, "'q' does not exist, expected"),
    ],
)
def test_errors_are_one_sentence(call, model, video, tmp_path, monkeypatch, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    shutil.copy(video, "a.mp4")
    (tmp_path / "text.mp4").write_text("hello, this is a text and no video")
    (tmp_path / "folder").mkdir()
    given = [] if "--model" in arguments else ["--model", model]
    done = call(*arguments, *given)
    assert (done.code, done.out) == (code, "")
    (line,) = done.err.splitlines()
    assert line.startswith("Error: ")
    assert message in line
    assert line.endswith(".")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ground", "a.mp4", "q", "--foo"], "No such option"),
        (["ground"], "Missing argument"),
        (["nothing"], "No such command"),
        (["ground", "a.mp4", "q", "--top-k", "0"], "--top-k"),
        (["ground", "a.mp4", "q", "--frames", "0"], "--frames"),
        (["ground", "a.mp4", "q", "--format", "xml"], "--format"),
    ],
)
def test_wrong_calls_end_with_two(call, arguments, message):
    done = call(*arguments)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert "Traceback" not in done.err


def test_debug_shows_where_an_error_comes_from(call, model):
    from videoexpert.errors import VideoError

    with pytest.raises(VideoError, match="does not exist"):
        call("ground", "none.mp4", "q", "--model", model, "--debug")


def test_an_unforeseen_error_is_one_line_too(call, model, video, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("out of\nmemory")

    monkeypatch.setattr(session.Expert, "open", broken)
    done = call("ground", video, "q", "--model", model)
    assert done.code == 1
    assert done.err.startswith("Error: RuntimeError: out of memory; --debug")
    with pytest.raises(RuntimeError):
        call("ground", video, "q", "--model", model, "--debug")


REAL = ("yoga.mp4", "chaplin.mp4", "transparent_vp9.webm")


@pytest.mark.parametrize("name", REAL)
def test_the_shipped_model_says_that_it_does_not_know_real_videos(call, shared, name):
    video = shared / "videos" / name
    done = call("ground", video, "a person stretches", "--format", "json")
    assert done.code == 0
    assert done.err.count("\n") == 1
    assert "is unlike the videos that the model 'shipped' was trained on" in done.err
    assert (done.json["familiar"], done.json["queries"][0]["absent"]) == (False, False)
    assert done.json["familiarity"] < 0.5


def test_an_unfamiliar_video_in_a_table_and_a_picture(call, shared, tmp_path):
    video = shared / "videos" / "yoga.mp4"
    done = call("ground", video, "a person stretches", "--plot", tmp_path / "p.png")
    said = "the model cannot tell: it was never shown videos like this one; "
    assert f'{said}the model does not know the words "person", "stretches"; its guess is' in done.out
    assert f"{said}its guess is" in call("ground", video, "the red square moves left").out
    assert "not in this video" not in done.out
    assert size_of(tmp_path / "p.png")[0] > 1000
    for verb in (("caption",), ("ask", "what is it?")):
        done = call(verb[0], video, *verb[1:])
        assert done.out.splitlines()[1] == "   guesses: the model was never shown videos like this one"


def test_the_demo_is_familiar(call):
    from videoexpert.assets import SHIPPED_VIDEO

    done = call("ground", SHIPPED_VIDEO, "a purple triangle moves right", "--format", "json")
    assert (done.json["familiar"], done.err) == (True, "")
