"""``eval`` of every kind of backend: one form of result, prompts and parse failures included; killed and resumed."""

from __future__ import annotations

import json
import shutil

import pytest

import videoexpert
from chat_server import Server, completion
from tiny_chat import save_qwen
from videoexpert.backends.chat.backend import ChatBackend
from videoexpert.backends.chat.frames import Budget
from videoexpert.backends.chat.local import load_talker
from videoexpert.checkpoints import folder as checkpoint
from videoexpert.evaluation.runner import evaluate
from videoexpert.evaluation.systems import BackendSystem
from videoexpert.testing import tiny_model, tiny_tokenizer, tiny_video

# the package's own CLIP warns of videos that are none of its world
pytestmark = pytest.mark.filterwarnings("ignore::videoexpert.errors.ModelWarning")

KINDS = ("videoexpert", "contrastive", "chat", "endpoint", "cascade")
LINES = ("a 1.0 3.0##it falls", "a 2.0 4.0##it rises", "b 0.0 4.0##it falls", "c 5.0 6.0##it stops")


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory):
    folder = tmp_path_factory.mktemp("charades")
    (folder / "charades_sta_test.txt").write_text("\n".join(LINES) + "\n")
    (folder / "videos").mkdir()
    first = tiny_video(folder / "videos" / "a.mp4", 8.0)
    for name in "bc":
        shutil.copyfile(first, folder / "videos" / f"{name}.mp4")
    return folder


@pytest.fixture(scope="module")
def server():
    running = Server()
    running.answer = lambda *_: completion("I do not see it.")
    yield running
    running.close()


@pytest.fixture(scope="module")
def backends(tmp_path_factory, server):
    """One backend of each kind; the chat models cannot be read, the server's because it says so."""
    root = tmp_path_factory.mktemp("models")
    ours = checkpoint.save(tiny_model(num_frames=8), tiny_tokenizer(), root / "ours")
    talker = load_talker(save_qwen(root / "qwen", "qwen3_vl"), device="cpu")
    contrastive = videoexpert.load("contrastive:", device="cpu", rate=1.0)
    endpoint = videoexpert.load(f"{server.url}#m", fps=1, workers=1, attempts=1, timeout_s=5)
    return {
        "videoexpert": videoexpert.load(ours, device="cpu"),
        "contrastive": contrastive,
        "chat": ChatBackend(talker, budget=Budget(fps=0.5, max_frames=4, frame_pixels=64 * 64)),
        "endpoint": endpoint,
        "cascade": videoexpert.load("contrastive:", device="cpu", rate=1.0, verify=endpoint),
    }


def run(system, benchmark, out):
    file = benchmark / "charades_sta_test.txt"
    return evaluate("charades-sta", system, file, benchmark / "videos", out).result


class OneByOne(BackendSystem):
    """Asked about one video at a time; stops like a killed process when it is to open video number ``last``."""

    def __init__(self, backend, last=None):
        super().__init__(backend)
        self.videos_at_once = self.videos_together = 1
        self.left = last

    def open(self, path, sample):
        if self.left is not None:
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
        return super().open(path, sample)


@pytest.mark.parametrize("kind", KINDS)
def test_killed_and_resumed_is_the_same_run(backends, benchmark, tmp_path, kind):
    backend = backends[kind]
    whole = run(OneByOne(backend), benchmark, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(OneByOne(backend, last=3), benchmark, tmp_path / "killed")
    rows = [tmp_path / name / "predictions.jsonl" for name in ("whole", "killed")]
    assert [json.loads(line)["id"] for line in rows[1].read_text().splitlines()] == ["a_1", "a_2", "b_3"]
    resumed = run(OneByOne(backend), benchmark, tmp_path / "killed")
    assert rows[0].read_text() == rows[1].read_text()
    for result in (whole, resumed):
        result["run"].pop("predictions")
    assert whole == resumed


def test_all_results_have_one_form(backends, benchmark, tmp_path):
    results = {kind: run(BackendSystem(backends[kind]), benchmark, tmp_path / kind) for kind in KINDS}
    first, *others = results.values()
    for other in others:
        assert list(other) == list(first)
        assert list(other["run"]) == list(first["run"])
        assert list(other["metrics"]) == list(first["metrics"])
    for kind, result in results.items():
        told, system = result["run"], result["run"]["system"]
        assert system["kind"] == {"endpoint": "chat"}.get(kind, kind)
        assert system["calibrated"] is False
        for part in (system,) if kind != "cascade" else (system["propose"], system["verify"]):
            assert part["prompts"]
        # nothing that these chat models write can be read; the others write nothing
        writes = kind in ("chat", "endpoint", "cascade")
        assert told["parsed"] == ({"failed": 4} if writes else {})
        assert told["parse_failures"] == 4 * writes
