"""Queries that stand while a video comes in: what they find is what the finished file gives for the same windows."""

from __future__ import annotations

import io
import os
import socketserver
import struct
import threading
import warnings
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise

import av
import pytest
import torch

from backbones import BACKBONES
from videoexpert.backends.expert import Expert
from videoexpert.backends.watch import WatchPlan, _Watch, watch, windows
from videoexpert.errors import InputError, ModelWarning, VideoError
from videoexpert.testing import tiny_model, tiny_tokenizer, tiny_video
from videoexpert.types import Moment, Moments
from videoexpert.video import VideoWarning

QUERIES = ["it falls", "a red ball jumps"]
ALL = {"window": 8.0, "overlap": 2.0, "above": 0.0, "top_k": None}
MUXERS = {
    "ts": ("mpegts", {}),
    "mkv": ("matroska", {"live": "1", "cluster_time_limit": "500"}),
    "mp4": ("mp4", {"movflags": "frag_every_frame+empty_moov+default_base_moof"}),
}


@pytest.fixture(scope="module")
def expert() -> Expert:
    return Expert(tiny_model(num_frames=8, trained_seconds=8.0), tiny_tokenizer(), "tiny")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return tiny_video(tmp_path_factory.mktemp("videos") / "whole.mp4", 23.0)


@pytest.fixture(scope="module")
def streams(finished, tmp_path_factory):
    """The same packets in containers that can be read while they are written."""
    folder, made = tmp_path_factory.mktemp("streams"), {}
    for ending, (kind, options) in MUXERS.items():
        made[ending] = folder / f"stream.{ending}"
        with (
            av.open(str(finished)) as source,
            av.open(str(made[ending]), "w", format=kind, options=options) as out,
        ):
            stream = out.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    out.mux(packet)
    return made


@pytest.fixture(scope="module")
def expected(expert, finished):
    """Each query's moments, from the finished file."""
    found = expert.open_long(finished, window=8.0, overlap=2.0).ground(QUERIES, top_k=None)
    return {m.query: sorted((x.start, x.end, x.score) for x in m) for m in found}


def by_query(sightings) -> dict[str, list[tuple[float, float, float]]]:
    found: dict[str, list[tuple[float, float, float]]] = {query: [] for query in QUERIES}
    for seen in sightings:
        found[seen.query].append((seen.moment.start, seen.moment.end, seen.moment.score))
    return {query: sorted(rows) for query, rows in found.items()}


def same(found, expected):
    assert sum(map(len, expected.values())) > 3
    for query, rows in expected.items():
        assert len(found[query]) == len(rows)
        for one, other in zip(found[query], rows, strict=True):
            assert one == pytest.approx(other, abs=1e-5)


@pytest.mark.parametrize("ending", MUXERS)
def test_a_file_being_written_gives_what_the_finished_file_gives(expert, streams, expected, tmp_path, ending):
    """A thread appends to it whenever the watcher has read all there is."""
    data, file = streams[ending].read_bytes(), tmp_path / f"growing.{ending}"
    hungry, done = threading.Event(), threading.Event()
    edges = [0, len(data) // 3, len(data) // 3 + 7, len(data) * 2 // 3, len(data)]
    file.touch()

    def write():
        with file.open("ab", buffering=0) as out:
            for low, high in pairwise(edges):
                hungry.wait()
                hungry.clear()
                out.write(data[low:high])
        done.set()

    def ended():
        hungry.set()
        return done.is_set()

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    heard: list[float] = []
    found = list(expert.watch(file, QUERIES, **ALL, ended=ended, idle_s=1e9, progress=heard.append))
    writer.join()
    same(by_query(found), expected)
    assert heard == [8.0, 14.0, 20.0, 23.0]
    assert all(s.moment.end <= s.seen_until for s in found)
    assert len({s.seen_until for s in found}) > 1  # not all at the end


@pytest.mark.parametrize("backbone", BACKBONES)
def test_watching_is_the_finished_file_whatever_the_backbone(backbone, finished, streams):
    language = BACKBONES[backbone].to_dict()
    model = tiny_model(num_frames=8, trained_seconds=8.0, language_config=language)
    expert = Expert(model, tiny_tokenizer(), backbone)
    found = expert.open_long(finished, window=8.0, overlap=2.0).ground(QUERIES, top_k=None)
    expected = {m.query: sorted((x.start, x.end, x.score) for x in m) for m in found}
    same(by_query(expert.watch(streams["ts"].open("rb"), QUERIES, **ALL)), expected)


def test_a_pipe_gives_what_the_file_gives(expert, streams, expected):
    data = streams["mkv"].read_bytes()
    read, write = os.pipe()

    def feed():
        with open(write, "wb") as out:
            out.write(data)

    threading.Thread(target=feed, daemon=True).start()
    with open(read, "rb", buffering=0) as pipe:
        same(by_query(expert.watch(pipe, QUERIES, **ALL)), expected)
    same(by_query(expert.watch(io.BytesIO(data), QUERIES, **ALL)), expected)


def test_standard_input(expert, streams, expected, monkeypatch):
    with streams["ts"].open("rb") as file:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(file))
        same(by_query(expert.watch("-", QUERIES, **ALL)), expected)


def test_the_network_is_not_touched_without_the_flag(expert, streams, expected):
    """And with it: the stream is read as it comes; a redirect is not followed."""
    data, asked = streams["ts"].read_bytes(), []

    class Site(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(302 if self.path == "/moved" else 200)
            self.send_header("Location", "/live.ts")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"http://127.0.0.1:{server.server_port}"
        with pytest.raises(InputError, match=r"nothing is read from the network unasked.*--allow-network"):
            expert.watch(f"{address}/live.ts", QUERIES, **ALL)
        assert asked == []
        same(by_query(expert.watch(f"{address}/live.ts", QUERIES, **ALL, network=True)), expected)
        assert asked == ["/live.ts"]
        with pytest.raises(VideoError, match="cannot be watched"):
            list(expert.watch(f"{address}/moved", QUERIES, **ALL, network=True))
        assert asked == ["/live.ts", "/moved"]
    finally:
        server.shutdown()
        server.server_close()


class Camera(socketserver.StreamRequestHandler):
    """Enough of RTSP to play: MPEG-TS in RTP packets between the answers of one connection (RFC 2326, 10.12)."""

    data = b""

    def handle(self):
        while request := self.rfile.readline().decode():
            headers = {}
            while line := self.rfile.readline().decode().strip():
                name, _, value = line.partition(":")
                headers[name.lower()] = value.strip()
            method = request.split()[0]
            more, body = "", ""
            if method == "OPTIONS":
                more = "Public: OPTIONS, DESCRIBE, SETUP, PLAY\r\n"
            elif method == "DESCRIBE":
                body = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 33\r\na=control:1\r\n"
                more = f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n"
            elif method == "SETUP":
                more = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
            self._send(
                f"RTSP/1.0 200 OK\r\nCSeq: {headers['cseq']}\r\nSession: 1\r\n{more}\r\n{body}".encode()
            )
            if method == "PLAY":
                return self._play()

    def _play(self):
        for number, start in enumerate(range(0, len(self.data), 7 * 188)):
            packet = struct.pack(">BBHII", 0x80, 33, number % 65536, number * 90, 1)
            packet += self.data[start : start + 7 * 188]
            self._send(b"$\0" + struct.pack(">H", len(packet)) + packet)

    def _send(self, data):
        self.wfile.write(data)


def test_a_camera(expert, streams, expected):
    """Its stream ends where the connection does, which is said."""
    kind = type("Playing", (Camera,), {"data": streams["ts"].read_bytes()})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), kind) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"rtsp://127.0.0.1:{server.server_address[1]}/1"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", VideoWarning)
            same(by_query(expert.watch(address, QUERIES, **ALL, network=True)), expected)
        server.shutdown()


def test_a_password_is_not_shown(expert):
    with pytest.raises(InputError) as refused:
        expert.watch("rtsp://me:secret@camera/1", QUERIES)
    assert "secret" not in str(refused.value)
    assert "rtsp://me@camera/1" in str(refused.value)


def shown(*numbers: int):
    return ((n, n + 0.5, torch.full((3, 1, 1), n % 256, dtype=torch.uint8)) for n in numbers)


def spans(numbers, count=4, step=3):
    how = WatchPlan(count, step, Fraction(1), 0.5, 0.25, 5)
    return [
        (part.frames.stretch.start_s, part.frames.stretch.end_s, part.first, part.last)
        for part in windows(shown(*numbers), how)
    ]


def test_windows_by_hand():
    assert spans(range(4)) == [(0, 4, True, True)]
    assert spans(range(3)) == [(0, 3, True, True)]  # shorter than a window
    assert spans([]) == []
    assert spans(range(7)) == [(0, 4, True, False), (3, 7, False, True)]
    assert spans(range(8)) == [(0, 4, True, False), (3, 7, False, False), (4, 8, False, True)]
    # nothing is seen across a hole
    assert spans([0, 1, 2, 3, 90, 91]) == [(0, 4, True, True), (90, 92, True, True)]
    assert spans([*range(5), *range(90, 94)]) == [
        (0, 4, True, False),
        (1, 5, False, True),
        (90, 94, True, True),
    ]


def test_what_is_kept_does_not_grow(expert, streams, monkeypatch):
    before = len(expert.engine.store)
    most: list[int] = []
    ground = expert.ground_opened
    monkeypatch.setattr(
        expert, "ground_opened", lambda *a: most.append(len(expert.engine.store)) or ground(*a)
    )
    assert by_query(expert.watch(streams["ts"].open("rb"), QUERIES, **ALL))
    assert len(most) == 4
    assert set(most) == {before}
    assert len(expert.engine.store) == before


def told(expert, monkeypatch, scores, **options):
    """What is told of one event over three windows that is seen with these scores."""
    windows_seen = iter([(0, 8), (6, 14), (12, 20)])

    def ground(videos, queries, top_k):
        low, high = next(windows_seen)
        score = scores[low // 6]
        return [[Moments("q", (Moment(low, high, score),), score, False, (score,))]]

    monkeypatch.setattr(expert, "ground_opened", ground)
    pictures = shown(*range(20))
    how = WatchPlan(8, 6, Fraction(1), **options, top_k=5)
    tokens = expert.open_blank(8.0).tokens
    monkeypatch.setattr(expert.model, "encode_video", lambda *_: tokens)
    return [
        (s.moment.start, s.moment.end, s.moment.score, s.seen_until)
        for s in _Watch(expert, "x", ["q"], how).sightings(pictures, None)
    ]


def test_a_score_about_the_threshold_does_not_cut_an_event(expert, monkeypatch):
    """Hysteresis: it is told once, with both its ends, as soon as it is over; without, only its middle is seen."""
    assert told(expert, monkeypatch, [0.4, 0.6, 0.3], above=0.5, keep=0.2) == [(0, 20, 0.6, 20)]
    assert told(expert, monkeypatch, [0.4, 0.6, 0.3], above=0.5, keep=0.5) == [(6, 14, 0.6, 20)]
    assert told(expert, monkeypatch, [0.4, 0.4, 0.4], above=0.5, keep=0.2) == []
    assert told(expert, monkeypatch, [0.6, 0.1, 0.7], above=0.5, keep=0.2) == [
        (0, 8, 0.6, 20),
        (12, 20, 0.7, 20),
    ]


def test_ctrl_c_gives_what_is_open_and_ends_the_reader(expert, streams, monkeypatch):
    """The pipe stays open and silent: the thread that waits for it ends all the same."""
    data = streams["mkv"].read_bytes()
    read, write = os.pipe()

    def interrupted(*_):
        raise KeyboardInterrupt

    found = iter([[[Moments("q", (Moment(5.0, 8.0, 0.9),), 0.9, False, (0.9,))]]])
    monkeypatch.setattr(expert, "ground_opened", lambda *_: next(found, None) or interrupted())
    with open(read, "rb", buffering=0) as pipe, open(write, "wb") as out:
        feeding = threading.Thread(target=lambda: out.write(data[: len(data) * 4 // 5]) and out.flush())
        feeding.start()
        seen = watch(expert, pipe, ["q"], window=8.0, overlap=2.0)
        assert next(seen).moment == Moment(5.0, 8.0, 0.9)
        with pytest.raises(KeyboardInterrupt):
            next(seen)
        feeding.join()
        assert not [t for t in threading.enumerate() if t.name == "read-ahead"]


def test_a_video_that_the_model_does_not_know_is_said_once(expert, streams, monkeypatch):
    monkeypatch.setattr(expert, "knows", lambda _: False)
    with pytest.warns(ModelWarning, match="unlike the videos") as said:
        list(expert.watch(streams["ts"].open("rb"), QUERIES, **ALL))
    assert len([w for w in said if w.category is ModelWarning]) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 0.0}, "window is 0.0, expected seconds above 0"),
        ({"window": "off"}, "window is 'off', expected seconds above 0 or auto"),
        ({"overlap": 8.0}, "overlap is 8, expected from 0 to below the window of 8 s"),
        ({"num_frames": 0}, "number of frames is 0"),
        ({"above": 0.3, "keep": 0.4}, "keep is 0.4 and above 0.3"),
        ({"above": 1.5}, "above 1.5"),
    ],
)
def test_wrong_options(expert, finished, options, message):
    with pytest.raises(InputError, match=message):
        expert.watch(finished, QUERIES, **options)


def test_wrong_calls(expert, finished, tmp_path):
    with pytest.raises(InputError, match="no query"):
        expert.watch(finished, [])
    with pytest.raises(InputError, match="query is empty"):
        expert.watch(finished, [" "])
    with pytest.raises(InputError, match="kind ftp, expected one of http, https, rtsp"):
        expert.watch("ftp://host/x.ts", QUERIES)
    with pytest.raises(VideoError, match="does not exist"):
        expert.watch(tmp_path / "none.ts", QUERIES)
    with pytest.raises(VideoError, match="is a folder"):
        expert.watch(tmp_path, QUERIES)
    with pytest.raises(VideoError, match="cannot be watched"):
        list(expert.watch(io.BytesIO(b"no video" * 1000), QUERIES))
    without = Expert(tiny_model(num_frames=8), tiny_tokenizer(), "tiny")
    with pytest.raises(InputError, match=r"window is 'auto'.*the model does not say the length"):
        without.watch(finished, QUERIES)
