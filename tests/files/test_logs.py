"""Files that grow by lines: nothing half is kept, whatever stopped the writer."""

from __future__ import annotations

import errno
import os

import pytest

from videoexpert.errors import WriteError
from videoexpert.files import append_lines, whole_lines


def test_lines_come_back_as_they_were(tmp_path):
    file = tmp_path / "log.jsonl"
    assert whole_lines(file) == []
    append_lines(file, "a\n")
    append_lines(file, "\u00e9 \u2028 b\r\n")
    assert whole_lines(file) == ["a\n", "\u00e9 \u2028 b\r\n"]


@pytest.mark.parametrize("cut", range(1, 8))
def test_a_line_cut_anywhere_is_left_out(tmp_path, cut):
    file = tmp_path / "log.jsonl"
    append_lines(file, "one\n")
    file.write_bytes(file.read_bytes() + "\u00e9\u00e9\u00e9\n".encode()[:-cut])
    assert whole_lines(file) == ["one\n"]


def test_half_a_character_inside_costs_its_line_alone(tmp_path):
    file = tmp_path / "log.jsonl"
    file.write_bytes(b"one\n\xc3\n\0\0\0\ntwo\n")
    assert whole_lines(file) == ["one\n", "\0\0\0\n", "two\n"]


def test_half_a_surrogate_pair_is_an_escape(tmp_path):
    file = tmp_path / "log.jsonl"
    append_lines(file, '"\ud83d"\n')
    assert file.read_bytes() == b'"\\ud83d"\n'


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EPERM])
def test_what_cannot_be_written_whole_is_taken_back(tmp_path, monkeypatch, code):
    file = tmp_path / "log.jsonl"
    append_lines(file, "one\n")

    def fail(_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(WriteError, match=rf"{file.name} cannot be written"):
        append_lines(file, "two\n")
    assert file.read_bytes() == b"one\n"
