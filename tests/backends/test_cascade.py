"""One model proposes, another decides: windows, verdicts, and the same answers as asking the second by itself."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from starlette.testclient import TestClient

import videoexpert
from chat_server import Server, completion
from videoexpert.apps.cli import main
from videoexpert.apps.server.app import create_app
from videoexpert.apps.server.settings import ServerSettings
from videoexpert.backends.cascade import Cascade, verdict_of
from videoexpert.backends.contrastive import Contrastive
from videoexpert.errors import InputError, UnsupportedError
from videoexpert.testing import tiny_video
from videoexpert.types import Moment, Moments, Told, Verified

# the package's own CLIP warns of videos that are none of its world
pytestmark = pytest.mark.filterwarnings("ignore::videoexpert.errors.ModelWarning")

SECONDS = 30.0


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return tiny_video(tmp_path_factory.mktemp("cascade") / "a.mp4", SECONDS, rate=2)


class Scripted:
    """Answers as told by query; notes which parts it opens."""

    name, can = "scripted", frozenset({"ground"})

    def __init__(self, answers):
        self.answers, self.opened = answers, []

    def describe(self):
        return {"model": "scripted"}

    def open(self, path, *, start=None, end=None, num_frames=None):
        self.opened.append((start, end))
        return ScriptedVideo(
            self, str(path), start or 0.0, (SECONDS if end is None else end) - (start or 0.0)
        )


class ScriptedVideo:
    def __init__(self, backend, path, start, duration):
        self.backend, self.path, self.start, self.duration = backend, path, start, duration

    def ground(self, queries, top_k=5):
        return [self.backend.answers(query, self.start, self.duration, top_k) for query in queries]


def proposing(*spans):
    return Scripted(
        lambda query, start, length, top_k: Moments(
            query, tuple(Moment(a, b, 0.5) for a, b in spans)[:top_k], 0.4, curve=(0.1, 0.2)
        )
    )


def finding(*spans, presence=0.9):
    """Those of the spans that begin in the part that is shown."""

    def answer(query, start, length, top_k):
        here = [Moment(a, b, s) for a, b, s in spans if start <= a < start + length]
        return Moments(query, tuple(here), presence if here else 0.1, not here)

    return Scripted(answer)


def test_windows_by_hand(clip):
    first = proposing((10, 12), (13.9, 15), (20.00049, 21), (28, 30), (0, 0.5), (5, 6))
    video = Cascade(first, finding(), margin_s=1.0, join_s=0.5).open(clip)
    # the sixth is one too many; 13 and 12.9 overlap; what is outside the video is cut
    expected = [(0.0, 1.5), (9.0, 16.0), (19.0, 22.0), (27.0, 30.0)]
    assert video.ground("q").verified.windows == tuple(expected)
    wide = Cascade(first, finding(), proposals=2, margin_s=0.0, join_s=2.0).open(clip)
    assert wide.windows(first.open(clip).ground(["q"], 2)[0].items) == [(10.0, 15.0)]


def test_the_verdict_and_what_was_read(clip):
    second = finding((10.5, 11.5, 0.8), (20, 21, 0.9))
    found = Cascade(proposing((10, 12), (19, 22)), second, margin_s=1.0).open(clip).ground("q")
    assert [(m.start, m.end, m.score) for m in found] == [(20, 21, 0.9), (10.5, 11.5, 0.8)]
    assert (found.presence, found.absent, found.curve) == (0.9, False, (0.1, 0.2))
    assert found.verified == Verified("scripted", "present", 0.9, ((9.0, 13.0), (18.0, 23.0)), 30.0)
    assert found.verified.read == 9.0
    gone = Cascade(proposing((1, 2)), second).open(clip).ground("q")
    assert (gone.absent, len(gone), gone.verified.verdict, gone.presence) == (True, 0, "absent", 0.1)


def test_each_window_is_opened_once_and_only_for_its_queries(clip):
    first = Scripted(
        lambda query, start, length, top_k: Moments(query, (Moment(*((5, 6) if "a" in query else (15, 16))),))
    )
    second = finding((5, 6, 0.5))
    found = Cascade(first, second, margin_s=1.0).open(clip).ground(["a", "b", "aa"])
    assert second.opened == [(4.0, 7.0), (14.0, 17.0)]
    assert [m.query for m in found] == ["a", "b", "aa"]
    assert [m.verified.verdict for m in found] == ["present", "absent", "present"]


def test_verdicts():
    there = Moments("q", (Moment(0, 1),), 0.9)
    gone = Moments("q", (), 0.0, True)
    unread = Moments("q", (), 0.5, told=Told("?", "failed", "digits"))
    unlike = Moments("q", (Moment(0, 1),), 0.9, familiar=False)
    cases = [
        ([there, gone, unread], "present"),
        ([gone, gone], "absent"),
        ([gone, unread], "unknown"),
        ([unlike], "unknown"),
        ([gone, unlike], "unknown"),
    ]
    for answers, verdict in cases:
        assert verdict_of(answers) == verdict


def test_a_long_window_is_shown_in_pieces(clip):
    first = proposing((2, 28))
    # of an event over a seam each piece shows a part; another one is in the last piece alone
    second = Scripted(
        lambda query, start, length, top_k: Moments(
            query,
            tuple(
                Moment(max(a, start), min(b, start + length), score)
                for a, b, score in ((9, 14, 0.8), (25, 27, 0.9))
                if max(a, start) < min(b, start + length)
            ),
            0.9,
        )
    )
    cascade = Cascade(first, second, longest_s=12, margin_s=2, join_s=2)
    found = cascade.open(clip).ground("q")
    assert second.opened == [(0, 10.5), (6.5, 17), (13, 23.5), (19.5, 30)]
    assert [(m.start, m.end, m.score) for m in found] == [(25, 27, 0.9), (9, 14, 0.8)]
    assert found.verified.windows == ((0, 30),)
    whole = Cascade(first, second).open(clip)
    assert whole.pieces((0, 30)) == [(0, 30)]
    assert cascade.describe()["longest"] == 12
    with pytest.raises(InputError, match="longest_s is 8, expected more than four margins"):
        Cascade(first, second, longest_s=8)


def test_pieces_cover_a_window(clip):
    video = Cascade(proposing((0, 1)), finding(), longest_s=20).open(clip)
    for end in (19.999, 20.0, 20.001, 35.5, 36.0, 36.001, 1000.123):
        pieces = video.pieces((0.5, 0.5 + end))
        assert pieces[0][0] == 0.5
        assert pieces[-1][1] == pytest.approx(0.5 + end, abs=2e-3)
        assert all(b - a <= 20.001 for a, b in pieces)
        assert all(3.99 < a[1] - b[0] < 4.01 for a, b in pairwise(pieces))


def test_where_nothing_is_proposed_the_second_model_is_not_asked(clip):
    second = finding()
    for absent, verdict in ((True, "absent"), (False, "unknown")):
        silent = Scripted(lambda query, start, length, top_k, absent=absent: Moments(query, (), 0.2, absent))
        found = Cascade(silent, second).open(clip).ground("q")
        assert (found.verified.verdict, found.verified.windows, found.presence) == (verdict, (), 0.2)
    assert second.opened == []


def test_equal_to_asking_the_second_model_over_the_same_windows(clip):
    """Real backends: the small CLIP proposes, another method of it decides."""
    first = videoexpert.load("contrastive:", device="cpu", rate=1.0)
    second = Contrastive(first.tower, rate=2.0, method="watershed")
    queries = ["a red circle", "a blue square moves"]
    found = Cascade(first, second, proposals=2).open(clip).ground(queries, top_k=3)
    sharing: dict[tuple[float, float], list[str]] = {}
    for query, moments in zip(queries, found, strict=True):
        for window in moments.verified.windows:
            sharing.setdefault(window, []).append(query)
    told = {
        (query, window): one
        for window, asked in sharing.items()
        for query, one in zip(
            asked, second.open(clip, start=window[0], end=window[1]).ground(asked, 3), strict=True
        )
    }
    for query, moments in zip(queries, found, strict=True):
        alone = [told[query, window] for window in moments.verified.windows]
        assert alone
        expected = sorted((m for one in alone for m in one), key=lambda m: (-m.score, m.start, m.end))[:3]
        assert moments.items == tuple(expected)
        assert moments.presence == max(one.presence for one in alone)
        assert moments.absent == all(one.absent for one in alone)


def test_wrong_calls(clip):
    class Writer(Scripted):
        can = frozenset({"caption"})

    with pytest.raises(UnsupportedError, match="scripted finds no moments"):
        Cascade(Writer(None), proposing())
    for wrong in ({"proposals": 0}, {"margin_s": -1.0}, {"join_s": float("nan")}):
        with pytest.raises(InputError):
            Cascade(proposing(), finding(), **wrong)
    video = Cascade(proposing(), finding()).open(clip)
    for call in (lambda: video.highlights("q"), video.caption, lambda: video.ask("q?")):
        with pytest.raises(UnsupportedError, match="a cascade of two models"):
            call()
    with pytest.raises(InputError):
        video.ground(" ")
    with pytest.raises(InputError, match="verify_options belong to verify"):
        videoexpert.load("contrastive:", device="cpu", verify_options={"rate": 1.0})


@pytest.fixture
def server(monkeypatch):
    monkeypatch.delenv("VIDEOEXPERT_API_KEY", raising=False)
    running = Server()
    yield running
    running.close()


def run(capsys, *arguments):
    capsys.readouterr()
    code = main([str(a) for a in arguments])
    return code, *capsys.readouterr()


def test_the_command(clip, server, capsys, tmp_path):
    server.answer = lambda *_: completion("[[1, 2]]")
    models = ("--model", "contrastive:", "--model-option", "rate=1", "--device", "cpu")
    verify = ("--verify", f"{server.url}#m", "--verify-option", "fps=1")
    code, out, err = run(capsys, "ground", clip, "a red circle", *models, *verify, "--format", "json")
    assert (code, err.count("\n"), "is unlike the videos" in err) == (0, 1, True)  # of the package's CLIP
    document = json.loads(out)
    assert document["model"] == "shipped CLIP, verified by m"
    assert document["calibrated"] is False
    (query,) = document["queries"]
    told = query["verified"]
    assert list(told) == ["model", "verdict", "probability", "read", "of", "windows"]
    assert (told["model"], told["verdict"], told["probability"]) == ("m", "present", 1.0)
    assert told["read"] == pytest.approx(sum(b - a for a, b in told["windows"]), abs=1e-6)
    assert 0 < told["read"] <= told["of"] == SECONDS
    # each window was asked about once, and its moment is on the clock of the whole
    assert len(server.requests) == len(told["windows"])
    assert {m["start"] for m in query["moments"]} == {round(a + 1, 3) for a, _ in told["windows"]}
    code, out, _ = run(capsys, "ground", clip, "a red circle", *models, *verify)
    assert "verified by m: present (probability 1.00); read" in out
    assert f"of {SECONDS:.1f} s" in out
    saved = tmp_path / "answer.json"
    saved.write_text(json.dumps(document))
    code, out, _ = run(capsys, "export", "answer", saved, "--format", "json")
    assert (code, json.loads(out)) == (0, document)
    code, _, err = run(capsys, "ground", clip, "x", "--verify-option", "fps=1")
    assert code == 2
    assert "--verify-option belongs to --verify" in err


def test_clips_a_server_and_an_assistant_take_a_pair_too(clip, server, capsys, tmp_path, monkeypatch):
    """The other commands that ground: what they load is the pair."""
    server.answer = lambda *_: completion("[[1, 2]]")
    models = ("--model", "contrastive:", "--device", "cpu", "--verify", f"{server.url}#m")
    out = tmp_path / "clips"
    code, *_ = run(capsys, "clip", clip, "a red circle", *models, "--out", out)
    assert (code, len(server.requests) > 0, any(out.glob("*.mp4"))) == (0, True, True)
    code, _, err = run(capsys, "clip", "--from", "answer.json", "--verify", "m")
    assert (code, "--from asks no model" in err) == (2, True)

    served = []
    monkeypatch.setattr(
        "videoexpert.apps.server.app.create_app", lambda settings, backend: served.append(backend)
    )
    monkeypatch.setattr("uvicorn.run", lambda *_, **__: None)
    assert run(capsys, "serve", *models, "--verify-option", "fps=2")[0] == 0
    monkeypatch.setattr("videoexpert.apps.mcp.serve", lambda desk: Stdio(desk, served))
    assert run(capsys, "mcp", "--root", tmp_path, *models)[0] == 0
    assert [(b.name, sorted(b.can)) for b in served] == [("shipped CLIP, verified by m", ["ground"])] * 2
    for command in ("serve", "mcp"):
        code, _, err = run(capsys, command, "--verify-option", "fps=2")
        assert code == 2, err


class Stdio:
    """An assistant that opens the model and leaves."""

    def __init__(self, desk, served):
        self.desk, self.served = desk, served

    def run(self, transport):
        self.served.append(self.desk.backend)


def test_a_server_answers_with_what_the_pair_decided(clip, tmp_path):
    second = finding((10.5, 11.5, 0.8))
    settings = ServerSettings(state=tmp_path / "state", opened=clip)
    with TestClient(
        create_app(settings, Cascade(proposing((10, 12)), second)), base_url="http://127.0.0.1:8420"
    ) as client:
        (video,) = client.get("/v1/videos").json()
        asked = client.post(f"/v1/videos/{video['id']}/ground", json={"queries": ["q"]})
        (query,) = asked.json()["queries"]
        assert (query["verified"]["verdict"], query["moments"][0]["start"]) == ("present", 10.5)
        refused = client.post(f"/v1/videos/{video['id']}/caption", json={})
        assert (refused.status_code, "does not do 'caption'" in refused.text) == (501, True)


def test_a_benchmark_is_put_to_a_cascade(clip, server, capsys, tmp_path):
    server.answer = lambda *_: completion("[[0, 1]]")
    (tmp_path / "charades_sta_test.txt").write_text("a 1.0 3.0##a red circle\n")
    common = ("--annotations", tmp_path / "charades_sta_test.txt", "--videos", clip.parent)
    models = ("--model", "contrastive:", "--device", "cpu", "--verify", f"{server.url}#m")
    code, out, _ = run(
        capsys, "eval", "charades-sta", *common, "--out", tmp_path / "out", *models, "--format", "json"
    )
    assert code == 0
    system = json.loads(out)["run"]["system"]
    assert (system["kind"], system["propose"]["method"], system["verify"]["model"]) == ("cascade", "tag", "m")
    assert json.loads(out)["run"]["parsed"] == {"pairs": 1}
