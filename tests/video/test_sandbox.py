"""A child looks first: what it finds is what a probe finds, and whatever happens to it happens to it alone."""

from __future__ import annotations

import os
import time

import pytest

from videoexpert.errors import VideoError
from videoexpert.testing import tiny_video
from videoexpert.video import probe, sandbox
from videoexpert.video.thumbnails import thumbnail


def test_the_child_finds_what_a_probe_finds(tmp_path):
    path = tiny_video(tmp_path / "a.mp4")
    look, info = sandbox.probe_safely(path), probe(path)
    assert (look.duration_s, look.width, look.height, look.frame_count) == (
        *(info.duration_s, info.width, info.height),
        info.frame_count,
    )


def test_no_video_is_the_usual_sentence_without_the_servers_path(tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    with pytest.raises(VideoError, match=r"'mine\.mp4'") as error:
        sandbox.probe_safely(tmp_path / "broken.mp4", name="mine.mp4")
    assert str(tmp_path) not in str(error.value)


def test_a_file_that_outlasts_its_time_is_refused_and_its_child_ended(tmp_path):
    path = tiny_video(tmp_path / "a.mp4")
    began = time.monotonic()
    with pytest.raises(VideoError, match=r"longer than 1e-06 s"):
        sandbox.probe_safely(path, timeout_s=1e-6)
    assert time.monotonic() - began < 30


def dies(*_):
    os.abort()


def test_a_decoder_that_dies_falls_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(sandbox, "_child", dies)
    with pytest.raises(VideoError, match="makes the decoder fail"):
        sandbox.probe_safely(tiny_video(tmp_path / "a.mp4"))


def test_any_work_on_a_file_gives_what_it_gives(tmp_path):
    path = tiny_video(tmp_path / "a.mp4")
    assert sandbox.run_safely(thumbnail, path, 1.0, width=64) == thumbnail(path, 1.0, 64)
    with pytest.raises(VideoError, match=r"'mine\.mp4'"):
        sandbox.run_safely(thumbnail, tmp_path / "none.mp4", 1.0, name="mine.mp4")
