"""Many clients at once: are answers complete and right, how long do they take, and does memory stay flat?

    python benchmarks/serve_load.py [--clients 64] [--seconds 60] [--save benchmarks/results/serve_load.json]

Starts ``videoexpert serve`` with the shipped model and a video, asks with one client for a sixth of the time and
then with all of them, in six rounds; every answer is compared with the offline one, and memory is read after each
round. At the end the server is killed in the middle of jobs and started again.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import psutil

from videoexpert.assets import SHIPPED_QUERIES, SHIPPED_VIDEO
from videoexpert.runtime import hardware, pick_device
from videoexpert.session import load

COLOURS, SHAPES = (
    ("red", "green", "blue", "purple", "orange", "yellow"),
    ("circle", "square", "triangle", "cross"),
)
# seconds that each answer took, how many were wrong or lost, and how often a client was told to come back
Round = tuple[list[float], int, int]
ROUNDS = 6
ACTIONS = ("moves left", "moves right", "moves up", "moves down", "grows", "shrinks", "appears", "vanishes")


def main() -> None:
    """Run, print, save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--save", type=Path)
    args = parser.parse_args()
    queries = [f"the {c} {s} {a}" for c in COLOURS for s in SHAPES for a in ACTIONS]
    queries += [one["query"] for one in json.loads(SHIPPED_QUERIES.read_text())["queries"]]
    offline = offline_answers(queries)
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder))
        single = ask_for(server, queries, offline, 1, args.seconds / 6)
        memory = [server.memory()]
        rounds = []
        for _ in range(ROUNDS):
            rounds.append(ask_for(server, queries, offline, args.clients, args.seconds / ROUNDS))
            memory.append(server.memory())
        restart = kill_and_restart(server)
        server.stop()
    report = {
        **hardware(pick_device("auto")),
        "clients": args.clients,
        "seconds": args.seconds,
        "one_client": summary([single], args.seconds / 6),
        "all_clients": summary(rounds, args.seconds),
        "memory_mib_after_each_round": memory,
        "restart": restart,
    }
    one, many = report["one_client"], report["all_clients"]
    report["questions_a_second_ratio"] = round(many["questions_a_second"] / one["questions_a_second"], 2)
    print(json.dumps(report, indent=1))
    if args.save:
        args.save.write_text(json.dumps(report, indent=1) + "\n")


def offline_answers(queries: list[str]) -> dict[str, list[tuple[float, float, float]]]:
    """What the model answers without a server."""
    found = load().open(SHIPPED_VIDEO).ground(queries)
    return {m.query: [(round(a.start, 3), round(a.end, 3), round(a.score, 4)) for a in m] for m in found}


class Server:
    """``videoexpert serve`` in a process of its own."""

    def __init__(self, state: Path) -> None:
        self.state = state
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.start()

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [sys.executable, "-m", "videoexpert.apps.cli", "serve", "--open", str(SHIPPED_VIDEO)]
        command += ["--port", str(self.port), "--state", str(self.state)]
        self.process = subprocess.Popen(command, env=os.environ | {"OMP_WAIT_POLICY": "PASSIVE"})
        self.url = f"http://127.0.0.1:{self.port}"
        for _ in range(600):
            try:
                self.video = httpx.get(f"{self.url}/v1/info", timeout=5).json()["opened"]
                return
            except (httpx.TransportError, KeyError):
                time.sleep(0.1)
        raise SystemExit("the server did not start")

    def memory(self) -> int:
        """Resident MiB of the server and its children."""
        process = psutil.Process(self.process.pid)
        return round(sum(p.memory_info().rss for p in (process, *process.children(True))) / 2**20)

    def stop(self, how: int = signal.SIGTERM) -> None:
        """End it."""
        self.process.send_signal(how)
        self.process.wait()


def ask_for(
    server: Server, queries: list[str], offline: dict[str, Any], clients: int, seconds: float
) -> Round:
    """What so many clients see in so many seconds."""
    times: list[float] = []
    wrong: list[str] = []
    refused = [0]
    end = time.monotonic() + seconds

    def client(seed: int) -> None:
        draw = random.Random(seed)
        with httpx.Client(timeout=60) as connection:
            while time.monotonic() < end:
                query, began = draw.choice(queries), time.monotonic()
                answer = connection.post(
                    f"{server.url}/v1/videos/{server.video}/ground", json={"queries": [query]}
                )
                if answer.status_code == 429:
                    refused[0] += 1
                    time.sleep(float(answer.headers["retry-after"]))
                    continue
                times.append(time.monotonic() - began)
                if answer.status_code != 200 or not same(answer.json(), offline[query]):
                    wrong.append(query)

    threads = [threading.Thread(target=client, args=(seed,)) for seed in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times, len(wrong), refused[0]


def summary(rounds: list[Round], seconds: float) -> dict[str, Any]:
    """What rounds of so many seconds in all amount to."""
    times = [t for found, _, _ in rounds for t in found]
    return {
        "answers": len(times),
        "wrong_or_lost": sum(wrong for _, wrong, _ in rounds),
        "refused_429": sum(refused for _, _, refused in rounds),
        "questions_a_second": round(len(times) / seconds, 1),
        "p50_ms": round(1000 * float(np.percentile(times, 50)), 1),
        "p95_ms": round(1000 * float(np.percentile(times, 95)), 1),
    }


def same(document: dict[str, Any], expected: list[tuple[float, float, float]]) -> bool:
    """Whether an answer is the offline one, to the rounding of another batch, which may swap moments of equal score."""
    found = sorted((m["start"], m["end"], m["score"]) for m in document["queries"][0]["moments"])
    return len(found) == len(expected) and np.allclose(found, sorted(expected), atol=2e-3)


def kill_and_restart(server: Server, jobs: int = 30) -> dict[str, Any]:
    """kill -9 in the middle of jobs; what the next start makes of videos and jobs."""
    with httpx.Client(timeout=60) as client:
        body = {"task": "caption", "video": server.video, "arguments": {}}
        ids = [client.post(f"{server.url}/v1/jobs", json=body).json()["id"] for _ in range(jobs)]
        server.stop(signal.SIGKILL)
        server.start()
        videos = len(client.get(f"{server.url}/v1/videos").json())
        states = ["queued"]
        for _ in range(1200):
            states = [client.get(f"{server.url}/v1/jobs/{job}").json()["state"] for job in ids]
            if all(state in ("done", "failed") for state in states):
                break
            time.sleep(0.1)
    return {
        "videos_still_there": videos,
        "jobs": {state: states.count(state) for state in sorted(set(states))},
    }


if __name__ == "__main__":
    main()
