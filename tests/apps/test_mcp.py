"""The Model Context Protocol over stdio: the SDK's own client asks a server with a tiny model."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

mcp = pytest.importorskip("mcp")
anyio = pytest.importorskip("anyio")

from mcp.client.stdio import StdioServerParameters  # noqa: E402

from hostile import dies  # noqa: E402
from videoexpert import session  # noqa: E402
from videoexpert.apps.mcp import OPEN_VIDEOS, Desk, Tools, serve  # noqa: E402
from videoexpert.errors import DependencyError, InputError, VideoError  # noqa: E402
from videoexpert.video import sandbox  # noqa: E402


@pytest.fixture(scope="module")
def root(video, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("root")
    (folder / "inner").mkdir()
    shutil.copy(video, folder / "a.mp4")
    shutil.copy(video, folder / "inner" / "b.mp4")
    shutil.copy(video, folder / ".hidden.mp4")
    (folder / "notes.txt").write_text("no video")
    (folder / "broken.mp4").write_text("a text")
    (folder / "out.mp4").symlink_to(video)
    (folder / "within.mp4").symlink_to(folder / "a.mp4")
    return folder


@pytest.fixture(scope="module")
def desk(root, model) -> Desk:
    return Desk([root], lambda: session.load(model, device="cpu"))


@pytest.fixture(scope="module")
def tools(desk) -> Tools:
    return Tools(desk)


def told(result) -> dict:
    """A tool's JSON."""
    assert not result.is_error, result.content
    assert json.loads(result.content[0].text) == result.structured_content
    return result.structured_content


def test_a_client_over_stdio(root, model, tmp_path):
    here = Path(__file__).resolve().parents[2]
    server = StdioServerParameters(
        command=sys.executable,
        args=[
            "-m",
            "videoexpert.apps.cli",
            "mcp",
            "--root",
            str(root),
            "--model",
            str(model),
            "--device",
            "cpu",
        ],
        env={"PYTHONPATH": str(here / "src"), "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")},
        cwd=tmp_path,
    )

    async def talk() -> None:
        async with mcp.Client(server, read_timeout_seconds=120) as client:
            listed = {tool.name: tool for tool in (await client.list_tools()).tools}
            assert list(listed) == ["list_videos", "find_moments", "describe", "ask_video", "export"]
            assert listed["find_moments"].input_schema["required"] == ["video", "queries"]
            assert "a.mp4" in told(await client.call_tool("list_videos"))["videos"]
            found = told(
                await client.call_tool(
                    "find_moments", {"video": "a.mp4", "queries": ["it falls"], "top_k": 2}
                )
            )
            direct = session.load(model, device="cpu").open(root / "a.mp4").ground(["it falls"], 2)[0]
            assert found["answer"]["video"] == "a.mp4"
            assert found["answer"]["queries"] == [direct.to_dict()]
            choices = {"video": "a.mp4", "question": "what falls?", "choices": ["a ball", "a dog"]}
            assert told(await client.call_tool("ask_video", choices))["answer"]["choice"] in (0, 1)
            captions = told(await client.call_tool("describe", {"video": "inner/b.mp4"}))
            assert "captions" in captions["answer"]
            text = told(await client.call_tool("export", {"answer_id": found["answer_id"], "format": "vtt"}))[
                "text"
            ]
            assert text.startswith("WEBVTT\n")
            wrong = await client.call_tool("find_moments", {"video": "../a.mp4", "queries": ["q"]})
            assert wrong.is_error
            assert "is outside the folders that were allowed" in wrong.content[0].text

    anyio.run(talk)


def test_only_videos_inside_the_roots_are_listed(tools, root):
    assert tools.list_videos() == {
        "videos": ["a.mp4", "broken.mp4", "inner/b.mp4", "within.mp4"],
        "left_out": 0,
    }
    two = Desk([root, root / "inner"], lambda: pytest.fail("loaded"))
    assert str(root / "inner" / "b.mp4") in two.videos()


@pytest.mark.parametrize("path", ["../a.mp4", "/etc/passwd", "out.mp4", "inner/../../x.mp4", "a\0.mp4"])
def test_nothing_outside_the_roots_is_touched(tools, path):
    for call in (
        lambda: tools.find_moments(path, ["q"]),
        lambda: tools.describe(path),
        lambda: tools.ask_video(path, "q"),
    ):
        with pytest.raises(InputError, match="expected"):
            call()


def test_paths_in_any_root(root, model):
    desk = Desk([root / "inner", root], lambda: pytest.fail("loaded"))
    assert desk.inside("a.mp4") == root / "a.mp4"
    assert desk.inside("b.mp4") == root / "inner" / "b.mp4"
    assert desk.inside(str(root / "a.mp4")) == root / "a.mp4"


def test_a_file_is_written_once_and_inside(tools, root):
    found = tools.find_moments("a.mp4", ["it falls"])
    asked = {"answer_id": found["answer_id"], "format": "edl"}
    done = tools.export(**asked, file="inner/cut.edl")
    assert done["file"] == "inner/cut.edl"
    assert "5 pictures a second" in done["note"]
    assert (root / "inner" / "cut.edl").read_text() == tools.export(**asked)["text"]
    before = (root / "a.mp4").read_bytes()
    for file, message in (
        ("inner/cut.edl", "exists, expected the name of a new file"),
        ("a.mp4", "exists"),
        ("../cut.edl", "is outside"),
        ("none/cut.edl", "the folder of 'none/cut.edl' does not exist"),
    ):
        with pytest.raises(InputError, match=message):
            tools.export(**asked, file=file)
    assert (root / "a.mp4").read_bytes() == before
    (root / "inner" / "cut.edl").unlink()


def test_wrong_calls(tools):
    for call, error, message in (
        (lambda: tools.find_moments("a.mp4", []), InputError, "at least one query"),
        (lambda: tools.find_moments("a.mp4", ["q"], 0), InputError, "top_k of 1"),
        (lambda: tools.find_moments("a.mp4", [" "]), InputError, "the query is empty"),
        (lambda: tools.find_moments("broken.mp4", ["q"]), VideoError, "not a readable video"),
        (lambda: tools.find_moments("none.mp4", ["q"]), VideoError, "does not exist"),
        (lambda: tools.export("99", "srt"), InputError, "there is no answer '99'"),
        (lambda: tools.export("1", "doc"), InputError, "the format is 'doc'"),
    ):
        with pytest.raises(error, match=message):
            call()


def test_few_videos_stay_open(root, video):
    opened = []

    class Counting:
        name = "counting"

        def open(self, path):
            opened.append(Path(path).name)
            return path

    for number in range(OPEN_VIDEOS + 1):
        shutil.copy(video, root / f"v{number}.mp4")
    desk = Desk([root], Counting)
    for number in (*range(OPEN_VIDEOS + 1), OPEN_VIDEOS, 0):
        desk.open(f"v{number}.mp4")
    assert opened == [*(f"v{n}.mp4" for n in range(OPEN_VIDEOS + 1)), "v0.mp4"]
    for number in range(OPEN_VIDEOS + 1):
        (root / f"v{number}.mp4").unlink()


def test_a_video_that_crashes_the_decoder_fails_its_own_call(root, model, monkeypatch):
    desk = Desk([root], lambda: session.load(model, device="cpu"))
    asked = {"video": "a.mp4", "queries": ["it falls"]}

    async def talk():
        async with mcp.Client(serve(desk)) as client:
            with monkeypatch.context() as hostile:
                hostile.setattr(sandbox, "_child", dies)
                failed = await client.call_tool("find_moments", asked)
            return failed, told(await client.call_tool("find_moments", asked))

    failed, found = anyio.run(talk)
    assert failed.is_error
    assert "'a.mp4' makes the decoder fail" in failed.content[0].text
    assert found["answer"]["queries"][0]["query"] == "it falls"


def test_stdout_is_the_protocols(desk, capsys, monkeypatch):
    def careless(self):
        print("a careless line")
        return []

    monkeypatch.setattr(Desk, "videos", careless)

    async def talk():
        async with mcp.Client(serve(desk)) as client:
            return told(await client.call_tool("list_videos"))

    assert anyio.run(talk) == {"videos": [], "left_out": 0}
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "a careless line\n")


def test_a_library_is_searched_and_its_videos_are_asked(library, root, tmp_path):
    """Of a library that was allowed, and of nothing beside it."""
    shutil.copy(root / "a.mp4", library.parent / "beside.mp4")
    desk = Desk([root], session.load, library)

    async def talk():
        async with mcp.Client(serve(desk)) as client:
            assert "search_library" in [tool.name for tool in (await client.list_tools()).tools]
            asked = {"query": "the purple triangle moves right", "top": 1}
            (hit,) = told(await client.call_tool("search_library", asked))["results"]
            found = told(
                await client.call_tool(
                    "find_moments", {"video": hit["video"], "queries": [asked["query"]], "top_k": 1}
                )
            )
            wrong = await client.call_tool("search_library", {"query": "a", "top": 0})
            assert "expected 1 to 100" in wrong.content[0].text
            return hit, found["answer"]

    hit, answer = anyio.run(talk)
    assert hit["video"] == str(library.parent / "videos" / "demo.mp4")
    assert 14 < hit["start"] < 16 < hit["end"] < 18
    (moment,) = answer["queries"][0]["moments"]
    assert moment["start"] < hit["end"]
    assert moment["end"] > hit["start"]
    for path in (library.parent / "beside.mp4", library / "library.sqlite", tmp_path):
        with pytest.raises(InputError, match="is outside"):
            desk.video_file(str(path))
    # a library's folder is read, not written to
    with pytest.raises(InputError, match="is outside"):
        Tools(desk).export("1", "srt", str(library.parent / "videos" / "new.srt"))


def test_hits_under_a_root_are_named_as_they_are_listed(library):
    desk = Desk([library.parent / "videos"], session.load, library)
    (hit,) = Tools(desk).search_library("the purple triangle moves right", 1)["results"]
    assert hit["video"] == "demo.mp4"
    assert hit["video"] in Tools(desk).list_videos()["videos"]


def test_the_command(call, root, tmp_path, monkeypatch):
    assert "no folder was allowed, expected --root" in call("mcp").err
    assert "holds no library" in call("mcp", "--library", tmp_path).err
    done = call("mcp", "--root", tmp_path / "none")
    assert (done.code, done.out) == (2, "")
    assert "expected a folder that exists" in done.err
    monkeypatch.setitem(sys.modules, "mcp.server", None)
    with pytest.raises(DependencyError, match=r"pip install 'videoexpert\[mcp\]'"):
        serve(Desk([root], lambda: pytest.fail("loaded")))
