"""kill -9 of one, or both, of two indexing processes, at twenty places drawn with a seed, and what is left of it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from library.conftest import Colours, write
from library.test_build import environment, paths, shards
from videoexpert.library import care
from videoexpert.library.build import index
from videoexpert.library.manifest import Manifest

pytestmark = pytest.mark.slow
PLACES, SEED = 20, 17

# Forks: one process of each pair counts the lines of the library that it runs, and dies at one of them.
PAIRS = """
import os, signal, sys
from library.conftest import Colours
from videoexpert.library.build import index
from videoexpert.library.manifest import Manifest
videos, folder, *places = sys.argv[1:]
OURS = ("/library/build.py", "/library/manifest.py", "/library/shards.py", "/files/write.py")
count = 0

def work(library, place):
    def lines(frame, event, argument):
        global count
        if event == "line":
            count += 1
            if count == place:
                os.kill(os.getpid(), signal.SIGKILL)
        return lines
    if place:
        sys.settrace(lambda frame, *_: lines if frame.f_code.co_filename.endswith(OURS) else None)
    index([videos], library, Colours())
    sys.settrace(None)
    if place < 0:
        print(count, flush=True)

def start(*call):
    child = os.fork()
    if not child:
        work(*call)
        os._exit(0)
    return child

for pair in places:
    library = f"{folder}/{pair}"
    Manifest(__import__("pathlib").Path(library), create=True).close()
    children = [start(library, int(place)) for place in pair.split("+")]
    print(pair, *(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children), flush=True)
"""


def run_pairs(videos: Path, folder: Path, pairs: list[str]) -> list[list[str]]:
    """Of each pair ``A+B`` of lines at which its processes die (0: lives): it, and both exit codes."""
    command = [sys.executable, "-c", PAIRS, str(videos), str(folder), *pairs]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True)
    return [line.split() for line in done.stdout.splitlines()]


def test_two_processes_of_which_one_dies_at_twenty_places(videos, tmp_path):
    for i in range(5):
        write(videos / f"more{i}.mp4", ["red", "blue"], part_s=0.5 + i / 4)
    (videos / "red.srt").write_text("1\n00:00:01,000 --> 00:00:02,500\nthe red door\n")
    whole = tmp_path / "whole"
    index([videos], whole, Colours())
    # -1 dies nowhere and says how many lines it ran
    lines = int(run_pairs(videos, tmp_path, ["-1"])[0][0])
    draw = random.Random(SEED)
    pairs = [f"{draw.randrange(1, lines)}+{draw.randrange(1, lines) if i % 2 else 0}" for i in range(PLACES)]
    killed = 0
    for pair, *codes in run_pairs(videos, tmp_path, pairs):
        library = tmp_path / pair
        died = codes.count(str(-signal.SIGKILL))
        assert died + codes.count("0") == 2
        left = stray(library)
        last = index([videos], library, Colours())
        assert last.failed == {}
        assert shards(library) == shards(whole)
        assert paths(library) == paths(whole)
        assert rows(library) == rows(whole)
        assert care.verify(library) == []
        assert stray(library) == []
        killed += died > 0
        print(
            f"lines {pair} of {lines}: {died} killed, {last.encoded} left to do, {len(left)} unfinished files"
        )
    assert killed >= PLACES // 2


def rows(library: Path) -> list[tuple[object, ...]]:
    """Every row but the names of processes and times, and every text: nothing is there twice."""
    manifest = Manifest(library)
    videos = manifest._rows(
        "SELECT content, encoder, state, reason, duration, frames, bytes, owner FROM videos"
    )
    texts = manifest._rows("SELECT words, content, kind, start, end FROM cues")
    manifest.close()
    return sorted(map(repr, videos)) + sorted(map(repr, texts))


def stray(library: Path) -> list[str]:
    """Files of a library that are none of its own."""
    files = [file for file in library.rglob("*") if file.is_file()]
    own = {"library.sqlite", "library.sqlite-wal", "library.sqlite-shm"}
    return [os.path.relpath(f, library) for f in files if f.name not in own and f.name not in shards(library)]
