"""A child looks first: what it finds is what a probe finds, and whatever happens to it happens to it alone."""

from __future__ import annotations

import os
import pickle
import time
import warnings
from collections import OrderedDict
from itertools import pairwise

import pytest
import torch

from hostile import dies, dies_at_once, dies_later, greedy, warns
from videoexpert.errors import InputError, VideoError, VideoWarning
from videoexpert.testing import tiny_video
from videoexpert.video import glance, media_info, probe, read_frames, read_windows, sandbox, stream_frames
from videoexpert.video.probe import probe_safely
from videoexpert.video.thumbnails import thumbnail


def test_the_child_finds_what_a_probe_finds(tmp_path):
    path = tiny_video(tmp_path / "a.mp4")
    look, info = probe_safely(path), probe(path)
    assert (look.duration_s, look.width, look.height, look.frame_count) == (
        *(info.duration_s, info.width, info.height),
        info.frame_count,
    )


def test_no_video_is_the_usual_sentence_without_the_servers_path(tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    with pytest.raises(VideoError, match=r"'mine\.mp4'") as error:
        probe_safely(tmp_path / "broken.mp4", name="mine.mp4")
    assert str(tmp_path) not in str(error.value)


def test_a_file_that_outlasts_its_time_is_refused_and_its_child_ended(tmp_path):
    path = tiny_video(tmp_path / "a.mp4")
    began = time.monotonic()
    with pytest.raises(VideoError, match=r"longer than 1e-06 s"):
        probe_safely(path, timeout_s=1e-6)
    assert time.monotonic() - began < 30


def test_a_decoder_that_dies_falls_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(sandbox, "_child", dies)
    with pytest.raises(VideoError, match="makes the decoder fail"):
        probe_safely(tiny_video(tmp_path / "a.mp4"))


def test_any_work_on_a_file_gives_what_it_gives(tmp_path):
    path = tiny_video(tmp_path / "a.mp4")
    assert sandbox.run_safely(thumbnail, path, 1.0, width=64) == thumbnail(path, 1.0, 64)
    with pytest.raises(VideoError, match=r"'mine\.mp4'"):
        sandbox.run_safely(thumbnail, tmp_path / "none.mp4", 1.0, name="mine.mp4")


def halved(picture):
    """A resize that no child could be sent: it is of this test."""
    return torch.from_numpy(picture[::2, ::2].copy()).permute(2, 0, 1)


def same(one, other):
    assert torch.equal(one.pixels, other.pixels)
    assert torch.equal(one.times_s, other.times_s)
    assert (one.start_s, one.duration_s, one.holes) == (other.start_s, other.duration_s, other.holes)


@pytest.mark.parametrize("resize", [None, halved])
def test_frames_read_apart_are_those_read_here(tmp_path, resize):
    path = tiny_video(tmp_path / "a.mp4")
    here = read_frames(path, 5, start_s=0.5, resize=resize)
    with sandbox.decoding_apart():
        same(read_frames(path, 5, start_s=0.5, resize=resize), here)


def test_windows_and_streams_read_apart_are_those_read_here(tmp_path):
    path = tiny_video(tmp_path / "a.mp4")
    windows = list(read_windows(path, 1.5, 3, overlap_s=0.5, resize=halved))
    stream = list(stream_frames(path, 40.0, resize=halved))
    with sandbox.decoding_apart():
        apart = list(read_windows(path, 1.5, 3, overlap_s=0.5, resize=halved))
        streamed = list(stream_frames(path, 40.0, resize=halved))
        assert (glance(path), media_info(path)) == (sandbox.run_safely(glance, path), media_info(path))
    for one, other in zip(apart, windows, strict=True):
        same(one, other)
    assert [time_s for time_s, _ in streamed] == [time_s for time_s, _ in stream]
    assert all(torch.equal(a, b) for (_, a), (_, b) in zip(streamed, stream, strict=True))
    # a picture that is on show twice is the same tensor
    repeats = [[a is b for (_, a), (_, b) in pairwise(found)] for found in (streamed, stream)]
    assert repeats[0] == repeats[1]
    assert any(repeats[0])


def test_errors_and_warnings_come_through_with_their_kind_and_the_files_shown_name(tmp_path):
    path = tiny_video(tmp_path / "a.mp4")
    with sandbox.decoding_apart(name="mine.mp4"):
        with pytest.raises(InputError, match="num_frames is 0"):
            read_frames(path, 0)
        with pytest.raises(InputError, match=r"mine\.mp4") as error:
            read_frames(path, 2, start_s=99.0)
        with pytest.raises(InputError, match="the resize is wrong"):
            read_frames(path, 2, resize=refuses)
    assert str(tmp_path) not in str(error.value)
    with warnings.catch_warnings(record=True) as here:
        warnings.simplefilter("always")
        warns(str(path))
    with sandbox.decoding_apart(name="mine.mp4"), pytest.warns(VideoWarning) as apart:
        warns(path)
    assert [str(w.message) for w in apart] == [str(w.message).replace(str(path), "mine.mp4") for w in here]


def refuses(_):
    raise InputError("the resize is wrong.")


def test_a_decoder_that_dies_in_the_middle_falls_alone_and_the_next_file_is_read(tmp_path):
    path = tiny_video(tmp_path / "a.mp4")
    with sandbox.decoding_apart():
        found = dies_later(path)
        assert next(found) == 1
        with pytest.raises(VideoError, match=r"'a\.mp4' makes the decoder fail"):
            next(found)
        with pytest.raises(VideoError, match="makes the decoder fail"):
            dies_at_once(path)
        same(read_frames(path, 3), sandbox.run_safely(read_frames, path, 3))


def test_work_beyond_its_memory_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(VideoError, match="needs more memory"):
        sandbox.run_safely(greedy, tmp_path / "a.mp4")


@pytest.mark.parametrize("said", [os.system, OrderedDict, print, pickle.loads])
def test_a_child_that_is_taken_over_runs_nothing_here(said):
    data = sandbox._Packer().packed(("found", said, []))
    with pytest.raises(pickle.UnpicklingError, match="no answer of a child"):
        sandbox._Unpacker(data, sandbox._Memory()).load()
