"""kill -9 of one of two indexing processes, at twenty places drawn with a seed, and what is left of it."""

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

# counts what the interpreter does inside the library and its files, and dies at one such line
KILLED = """
import os, signal, sys
from library.conftest import Colours
from videoexpert.library.build import index
place, count = int(sys.argv[3]), 0
OURS = ("/library/build.py", "/library/manifest.py", "/library/shards.py", "/files/write.py")
def lines(frame, event, argument):
    global count
    if event == "line":
        count += 1
        if count == place:
            os.kill(os.getpid(), signal.SIGKILL)
    return lines
def calls(frame, event, argument):
    return lines if frame.f_code.co_filename.endswith(OURS) else None
sys.settrace(calls)
index([sys.argv[1]], sys.argv[2], Colours())
sys.settrace(None)
print(count)
"""


def start(videos: Path, library: Path, place: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", KILLED, str(videos), str(library), str(place)]
    return subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True)


def test_two_processes_of_which_one_dies_at_twenty_places(videos, tmp_path):
    for i in range(5):
        write(videos / f"more{i}.mp4", ["red", "blue"], part_s=0.5 + i / 4)
    (videos / "red.srt").write_text("1\n00:00:01,000 --> 00:00:02,500\nthe red door\n")
    whole = tmp_path / "whole"
    index([videos], whole, Colours())
    alone = start(videos, tmp_path / "counted", -1)
    lines = int(alone.communicate()[0])
    draw = random.Random(SEED)
    told = []
    for place in sorted(draw.randrange(1, lines) for _ in range(PLACES)):
        library = tmp_path / f"killed-{place}"
        # the first process made the tables: a second one that starts at once is another test's
        Manifest(library, create=True).close()
        killed, other = start(videos, library, place), start(videos, library, -1)
        killed.communicate()
        other.communicate()
        assert other.returncode == 0
        assert killed.returncode in (0, -signal.SIGKILL)
        last = index([videos], library, Colours())
        assert last.failed == {}
        assert shards(library) == shards(whole)
        assert paths(library) == paths(whole)
        assert rows(library) == rows(whole)
        assert care.verify(library) == []
        assert stray(library) == []
        told.append(f"line {place} of {lines}: {'killed' if killed.returncode else 'done before'}, "
                    f"{last.encoded} left to do")  # fmt: skip
    print("\n".join(told))
    assert sum("killed" in line for line in told) >= PLACES // 2


def rows(library: Path) -> list[tuple[object, ...]]:
    """Every row but the names of processes and times, and every text: nothing is there twice."""
    manifest = Manifest(library)
    videos = manifest._rows(
        "SELECT content, encoder, state, reason, duration, frames, bytes, owner FROM videos"
    )
    texts = manifest._rows("SELECT words, content, kind, start, end FROM texts")
    manifest.close()
    return sorted(map(repr, videos)) + sorted(map(repr, texts))


def stray(library: Path) -> list[str]:
    """Files of a library that are none of its own."""
    files = [file for file in library.rglob("*") if file.is_file()]
    own = {"library.sqlite", "library.sqlite-wal", "library.sqlite-shm"}
    return [os.path.relpath(f, library) for f in files if f.name not in own and f.name not in shards(library)]
