"""`data check` and `data import` end to end on small files: counts, videos, output forms and exit codes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import av
import numpy as np
import pytest

from videoexpert.annotations.check import check
from videoexpert.annotations.dirty import RULES
from videoexpert.annotations.readers import BENCHMARKS
from videoexpert.annotations.videos import VideoFolder, is_video
from videoexpert.apps.cli import main
from videoexpert.apps.inputs import split_arguments
from videoexpert.errors import DataError, InputError, VideoError
from videoexpert.features.clips import clips_of
from videoexpert.video.decode import read_frames

DOCS = Path(__file__).resolve().parents[2] / "docs"


def make_video(path: Path, seconds: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for index in range(seconds * 5):
            image = np.full((32, 32, 3), index % 250, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Annotations of five videos: good (by id and in a subfolder), too short, unreadable, missing."""
    videos = tmp_path / "videos"
    make_video(videos / "x_210.0_360.0.mp4", 3)
    make_video(videos / "0012" / "77.avi", 2)
    make_video(videos / "short.mp4", 2)
    (videos / "broken.mp4").write_bytes(b"no video")
    (videos / "gone.json").write_text("{}")
    rows = [
        {"video": "x_210.0_360.0", "query": "a", "moments": [[0, 3]]},
        {"video": "77", "query": "a", "moments": [[0, 2]]},
        {"video": "short.mp4", "query": "a", "moments": [[4, 6]]},
        {"video": "short.mp4", "clip": [1, 2], "question": "why?", "answer": "so"},
        {"video": "broken", "query": "a", "moments": []},
        {"video": "gone", "query": "a", "moments": []},
    ]
    file = tmp_path / "own.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_every_video_ends_in_one_list(own: Path) -> None:
    report = check("jsonl", own, own.parent / "videos")
    assert report.videos is not None
    assert report.videos.good == 2
    assert report.videos.missing == ["gone"]
    assert [video for video, _ in report.videos.unreadable] == ["broken"]
    ((video, reason),) = report.videos.too_short
    assert video == "short.mp4"
    assert re.fullmatch(r"2\.\d s of 6\.0 s", reason)
    assert not report.ok


def test_real_videos_that_do_not_hold_what_they_promise(shared: Path, tmp_path: Path) -> None:
    """Two files do not open; corrupted_tail promises 5 s and gives 28 pictures at 10 a second."""
    good, *bad = names = ["sideways_rot90", "broken", "not_a_video", "corrupted_tail"]
    rows = [{"video": name, "query": "x", "moments": [[0, 1 if name == good else 5]]} for name in names]
    file = tmp_path / "own.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    report = check("jsonl", file, shared / "videos")
    assert report.videos is not None
    assert report.videos.good == 1
    assert [video for video, _ in report.videos.unreadable] == bad[:2]
    assert [video for video, _ in report.videos.too_short] == bad[2:]


def test_the_command_prints_json_and_fails_on_broken_videos(
    own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["data", "check", "jsonl", "--annotations", str(own), "--format", "json"]
    assert main([*arguments, "--videos", str(own.parent / "videos")]) == 1
    result = json.loads(capsys.readouterr().out)
    assert result["videos"]["missing"] == ["gone"]
    assert result["videos"]["unreadable"][0]["video"] == "broken"
    assert result["samples"] == 6
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out)["videos"] is None


def test_the_table_shows_counts_rules_and_videos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "charades_sta_test.txt"
    file.write_text("A 3.0 1.0##a person sits down.\nA 1.0 2.0##a person  gets up.\n")
    make_video(tmp_path / "v" / "A.mp4", 2)
    assert (
        main(["data", "check", "charades-sta", "--annotations", str(file), "--videos", str(tmp_path / "v")])
        == 0
    )
    lines = capsys.readouterr().out.splitlines()
    cells = [line.split() for line in lines]
    assert ["test", "records", "2", "3720", "differs"] in cells
    assert any(row[:2] == ["reversed_dropped", "1"] and "dropped," in row for row in cells)
    assert any(row[:2] == ["good", "1"] for row in cells)


def test_dirty_records_alone_are_no_failure(tmp_path: Path) -> None:
    file = tmp_path / "charades_sta_test.txt"
    file.write_text("A 3.0 1.0##x\nA 1.0 2.0##y\n")
    report = check("charades-sta", file)
    assert report.dirty["reversed_dropped"]
    assert report.ok


def test_faults_and_wrong_calls_have_their_exit_codes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "own.jsonl"
    own.write_text('{"video": "a"}\n{"query": "x"}\n')
    assert main(["data", "check", "jsonl", "--annotations", str(own)]) == 1
    text = capsys.readouterr().err
    assert "line 1: expected exactly one of" in text
    assert "line 2: video is missing" in text
    assert main(["data", "check", "charades", "--annotations", str(own)]) == 2
    assert "expected one of charades-sta" in capsys.readouterr().err
    assert main(["data", "check", "jsonl", "--annotations", str(own), "--lengths", str(own)]) == 2


def test_extra_files_reach_the_reader(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.txt").write_text("A 1.0 20.0##a person sits down.\n")
    (tmp_path / "l.csv").write_text("id,length,actions,quality\nA,9.5,c001 1.0 12.0,\n")
    command = ["data", "check", "charades-sta", "--annotations", str(tmp_path / "a.txt"), "--format", "json"]
    assert main([*command, "--lengths", str(tmp_path / "l.csv")]) == 0
    dirty = json.loads(capsys.readouterr().out)["dirty"]
    assert dirty["end_after_duration"]["examples"] == [{"id": "A_1", "detail": "20.0 of 9.5"}]


def test_import_says_what_it_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "charades_sta_train.txt", tmp_path / "out.jsonl"
    source.write_text("A 3.0 1.0##a person sits down.\nA 1.0 2.0##a person gets up.\n")
    assert main(["data", "import", "charades-sta", str(source), str(out)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"1 record written to {out}")
    rows = [line.split()[:2] for line in printed.splitlines()]
    assert ["reversed_dropped", "1"] in rows
    assert main(["data", "check", "jsonl", "--annotations", str(out)]) == 0
    assert main(["data", "import", "mpeg", str(source), str(out)]) == 2


@pytest.mark.parametrize(
    ("file", "video"),
    [
        ("x_210.0_360.0.mp4", "x_210.0_360.0"),
        ("x_210.0_360.0.mkv", "v_x_210.0_360.0.mp4"),
        ("deep/er/v_-ab.webm", "v_-ab"),
        ("v_ab.mp4", "ab"),
        ("ab.ogv", "clips/ab.mp4"),
        ("clips/ab.mp4", "clips/ab.mp4"),
    ],
)
def test_videos_are_found_whatever_the_extension(tmp_path: Path, file: str, video: str) -> None:
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).touch()
    assert VideoFolder(tmp_path).find(video) == tmp_path / file


def test_other_files_are_no_videos(tmp_path: Path) -> None:
    for name in ("ab.json", "ab.mp4.part", ".ab.mp4", "x_210.0.mp4"):
        (tmp_path / name).touch()
    folder = VideoFolder(tmp_path)
    assert folder.find("ab") is None
    assert folder.find("x_210") is None
    with pytest.raises(DataError, match="is not a folder"):
        VideoFolder(tmp_path / "nowhere")


def test_the_document_lists_every_kind_and_benchmark() -> None:
    text = (DOCS / "data-formats.md").read_text()
    assert [kind for kind in RULES if f"`{kind}`" not in text] == []
    assert [name for name in BENCHMARKS if f"`{name}`" not in text] == []


def test_the_examples_of_the_own_data_page_are_valid(tmp_path: Path) -> None:
    blocks = re.findall(r"```json\n(.*?)```", (DOCS / "own-data.md").read_text(), re.DOTALL)
    assert len(blocks) >= 2
    for block in blocks:
        file = tmp_path / "own.jsonl"
        file.write_text(block)
        assert len(check("jsonl", file).dataset) == len(block.strip().split("\n"))


def test_which_files_of_a_folder_are_videos(tmp_path: Path) -> None:
    """One rule for lookup, `encode`, `--control shuffled` and folders on the command line."""
    matroska, text, picture = (
        b"\x1aE\xdf\xa3\x00\x01" * 900,
        "Ünïcode text, ".encode() * 900,
        b"\xff\xd8\xff\xe0xx",
    )
    stream = (b"\x47" + bytes(187)) * 20
    inside = {
        "a.mp4": b"", "b.webm": text, "c.unknown": matroska, "d": matroska, "e.new": b"\x00\x00\x00\x20ftypisom",
        "f.ts": stream, "g.tod": stream,
    }  # fmt: skip
    beside = {
        ".DS_Store": matroska,
        "._a.mp4": matroska,
        "Thumbs.db": matroska,
        "notes.docx": matroska,
        "README": text,
        "odd.name": text,
        "empty.xyz": b"",
        "index.ts": b"export const a = 1;\n" * 300,
        "a.THM": picture,
        "h.jfif": picture,
        "a.description": text,
        "a.LRV": b"\x00\x00\x00\x20ftypisom",
        "p.HEIC": b"\x00\x00\x00\x20ftypheic",
        "noise": bytes(range(256)) * 20,
    }
    for name, data in {**inside, **beside}.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "LICENSE").symlink_to(tmp_path / "README")
    assert {file.name for file in VideoFolder(tmp_path).paths} == set(inside)
    assert [file.name for file in sorted(tmp_path.iterdir()) if is_video(file)] == sorted(inside)
    assert split_arguments([str(tmp_path)]).videos == tuple(str(tmp_path / name) for name in sorted(inside))
    assert {clip.path.name for clip in clips_of(tmp_path) if clip.path} == set(inside)


def test_a_side_file_never_hides_the_video(tmp_path: Path) -> None:
    """What cameras and downloaders leave beside a video, and a file of unknown ending that begins like one."""
    beside = ["abc.THM", "abc.LRV", "abc.description", "abc.en.vtt", "abc.info.json", "abc.jpg", "abc.aaa"]
    for name in beside:
        (tmp_path / name).write_bytes(b"\x00\x00\x00\x20ftypisom")
    (tmp_path / "abc.mp4").touch()
    folder = VideoFolder(tmp_path)
    assert folder.find("abc") == folder.find("abc.webm") == tmp_path / "abc.mp4"


@pytest.mark.parametrize(
    ("folder", "video"), [("ytdlp", "abc123"), ("gopro", "GX010001"), ("gopro", "GX010001.mp4")]
)
def test_side_files_from_the_field(shared: Path, folder: str, video: str) -> None:
    place = shared / "field" / "reports" / "sidecar_same_stem" / folder
    (clip,) = clips_of(place)
    assert clip.path == VideoFolder(place).find(video)
    assert clip.path.suffix.lower() == ".mp4"


OUTSIDE = ["../outside.mp4", "a/../../outside.mp4", "..\\outside.mp4", "C:\\x.mp4", "C:/x.mp4"]


@pytest.mark.parametrize("video", [*OUTSIDE, "ABSOLUTE"])
def test_a_name_that_leaves_the_folder_is_refused(tmp_path: Path, video: str) -> None:
    inner = tmp_path / "videos"
    inner.mkdir()
    (tmp_path / "outside.mp4").touch()
    name = str(tmp_path / "outside.mp4") if video == "ABSOLUTE" else video
    folder = VideoFolder(inner)
    assert folder.find(name) is None
    with pytest.raises(VideoError, match="leaves the folder of the videos"):
        folder.require(name)


@pytest.mark.parametrize("video", ["v" * 300, "a/" * 2000 + "b", "nul\0.mp4", "half\ud800.mp4"])
def test_a_name_that_no_file_can_have_is_missing(tmp_path: Path, video: str) -> None:
    folder = VideoFolder(tmp_path)
    assert folder.find(video) is None
    with pytest.raises(VideoError, match="no file for "):
        folder.require(video)


def test_hostile_ids_fail_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ids that leave the folder, are too long or drive a terminal: each one failed video, the good one is done."""
    make_video(tmp_path / "videos" / "good.mp4", 2)
    (tmp_path / "outside.mp4").write_bytes((tmp_path / "videos" / "good.mp4").read_bytes())
    ids = ["good", "../outside.mp4", str(tmp_path / "outside.mp4"), "v" * 300, "evil\x1b]0;title\x07\x1b[31m"]
    rows = [
        {"qid": i, "query": f"\x1b[2J {i}é", "duration": 2, "vid": id, "relevant_windows": [[0, 2]]}
        for i, id in enumerate([*ids, "half \ud800"])
    ]
    file = tmp_path / "highlight_val_release.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    report = check("qvhighlights", file, tmp_path / "videos")
    assert report.videos is not None
    assert report.videos.good == 1
    assert report.videos.missing == ids[3:]
    assert report.videos.unreadable == [(id, "leaves the folder of the videos") for id in ids[1:3]]
    assert report.dirty["not_unicode"] == ["5"]
    for form in ("table", "json"):
        arguments = ["data", "check", "qvhighlights", "--annotations", str(file), "--format", form]
        assert main([*arguments, "--videos", str(tmp_path / "videos")]) == 1
        printed = capsys.readouterr().out
        printed.encode()
        assert "\x1b" not in printed
        assert "\x07" not in printed


def test_one_tolerance_for_the_end_of_a_video(tmp_path: Path) -> None:
    """What `data check` calls good is encoded: an end up to a second late is cut, a later one is too short."""
    make_video(tmp_path / "v" / "a.mp4", 4)
    file = tmp_path / "own.jsonl"
    for end, good in ((4.0, True), (4.9, True), (5.2, False)):
        file.write_text(json.dumps({"video": "a.mp4", "clip": [1, end], "query": "x", "moments": [[0, 1]]}))
        state = check("jsonl", file, tmp_path / "v").videos
        assert state is not None
        assert bool(state.good) == good
        (clip,) = clips_of(tmp_path / "v", file, "jsonl")
        if good:
            assert read_frames(clip.path, 2, start_s=clip.start_s, end_s=clip.end_s).duration_s <= 3
        else:
            with pytest.raises(InputError, match="within its 4"):
                read_frames(clip.path, 2, start_s=clip.start_s, end_s=clip.end_s)
