"""Video-ChatGPT through ``score``: pairing, missing answers, means, resume; the judge is a local server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from videoexpert.apps.cli import main
from videoexpert.errors import InputError
from videoexpert.scoring.score import score

GENERIC = [
    {"Q": "What happens?", "A": "A man cooks.", "video_name": "v_1"},
    {"Q": "What is seen?", "A": "A dog.", "video_name": "v_2"},
]
CONSISTENCY = [{"Q1": "Who cooks?", "Q2": "Which person cooks?", "A": "A man.", "video_name": "v_1"}]
ROWS = [
    {"id": "generic_0", "video": "v_1", "answer": "He cooks."},
    {"id": "consistency_0_1", "answer": "A man."},
    {"id": "consistency_0_2", "answer": "Some man."},
    {"id": "generic_9", "answer": "Nobody asked."},
]


class Server(ThreadingHTTPServer):
    """Gives 4 for correctness and 2 for all else, and remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.prompts: list[str] = []
        self.refuses = ""  # a dimension's words: such prompts are refused for good


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        prompt = " ".join(message["content"] for message in body["messages"])
        self.server.prompts.append(prompt)  # type: ignore[attr-defined]
        if self.server.refuses and self.server.refuses in prompt:  # type: ignore[attr-defined]
            self.send_error(400, "no")
            return
        value = 4 if "factual correctness" in prompt else 2
        reply = {
            "choices": [{"message": {"content": json.dumps({"score": value})}}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 5},
        }
        data = json.dumps(reply).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    threading.Thread(target=found.serve_forever, daemon=True).start()
    yield found
    found.shutdown()
    found.server_close()


@pytest.fixture
def options(tmp_path: Path, server: Server) -> list[str]:
    (tmp_path / "generic_qa.json").write_text(json.dumps(GENERIC))
    (tmp_path / "consistency_qa.json").write_text(json.dumps(CONSISTENCY))
    predictions = tmp_path / "predictions.jsonl"
    predictions.write_text("\n".join(map(json.dumps, ROWS)))
    url = f"http://127.0.0.1:{server.server_port}/v1"
    files = ["--predictions", str(predictions), "--annotations", str(tmp_path)]
    return [*files, "--judge-url", url, "--judge-model", "m", "--judge-key", "none", "--format", "json"]


def run(options: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert main(["score", "video-chatgpt", *options]) == 0
    return json.loads(capsys.readouterr().out)


def test_missing_answers_count_zero_and_a_second_run_asks_nothing(
    options: list[str], server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    result = run([*options, "--judge-prices", "1", "2"], capsys)
    assert len(server.prompts) == 4  # correctness, detail and context of one question, one consistency pair
    expected = {"correctness": 2.0, "detail": 1.0, "context": 1.0, "consistency": 2.0, "mean": 1.5}
    assert result["metrics"] == pytest.approx(expected)
    assert result["coverage"]["missing_ids"] == ["generic_1"]
    assert result["coverage"]["extra_ids"] == ["generic_9"]
    assert any("40 tokens in, 20 tokens out, cost" in note for note in result["run"]["notes"])
    skipped = run([*options, "--missing", "skip"], capsys)
    assert skipped["metrics"]["correctness"] == 4
    assert len(server.prompts) == 4
    both = next(prompt for prompt in server.prompts if "Some man." in prompt)
    assert "A man." in both


def test_half_an_answer_to_a_pair_is_none(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "predictions.jsonl").write_text("\n".join(map(json.dumps, ROWS[:2])))
    assert run(options, capsys)["metrics"]["consistency"] == 0


def test_wrong_calls(options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match="--judge-url"):
        score("video-chatgpt", tmp_path / "predictions.jsonl", tmp_path)
    assert main(["score", "video-chatgpt", *options[:4], "--judge-model", "m"]) == 2
    assert "both --judge-url and --judge-model" in capsys.readouterr().err
    assert main(["score", "nextqa", *options]) == 2
    assert "belongs to video-chatgpt" in capsys.readouterr().err


def test_items_the_judge_refuses_are_told_and_end_in_exit_code_one(
    options: list[str], server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    server.refuses = "factual correctness"
    assert main(["score", "video-chatgpt", *options]) == 1
    result = json.loads(capsys.readouterr().out)
    assert result["run"]["failed"] == 1
    assert any("1 items got no score" in note for note in result["run"]["notes"])
    server.refuses = ""
    assert run(options, capsys)["run"]["failed"] == 0  # asked again, the others are not
