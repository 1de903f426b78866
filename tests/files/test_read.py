"""Text, JSON and YAML of files: gzip or not, and every way in which one can be broken."""

from __future__ import annotations

import gzip
import json
import os
import zlib
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from videoexpert import files
from videoexpert.errors import DataError


@pytest.mark.parametrize("packed", [False, True])
def test_text_gzip_or_not_with_or_without_a_mark(tmp_path, packed):
    file = tmp_path / "a.json"  # gzip is told by its bytes
    for data in ("é\n".encode(), b"\xef\xbb\xbf\xc3\xa9\n"):
        file.write_bytes(gzip.compress(data) if packed else data)
        assert files.read_text(file) == "é\n"


def test_two_gzip_members_are_one_text(tmp_path):
    (tmp_path / "a").write_bytes(gzip.compress(b"a") + gzip.compress(b"b"))
    assert files.read_text(tmp_path / "a") == "ab"


def broken() -> dict[str, bytes]:
    whole = gzip.compress(b"some text " * 99)
    flipped = bytearray(whole)
    flipped[12] ^= 0xFF  # in the deflated stream: zlib.error
    return {
        "cut": whole[:-12],
        "flipped": bytes(flipped),
        "sum": whole[:-8] + b"\0\0\0\0" + whole[-4:],
        "head": whole[:5],
        "method": whole[:2] + b"\x07" + whole[3:],
        "tail": whole + b"rubbish",
    }


@pytest.mark.parametrize("name", broken())
def test_a_broken_gzip_is_one_sentence(tmp_path, name):
    (tmp_path / "a.gz").write_bytes(broken()[name])
    with pytest.raises(DataError, match=r"a\.gz cannot be read \(.+\); check the path, or download it again"):
        files.read_text(tmp_path / "a.gz")


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 60), st.integers(0, 255))
def test_any_byte_of_a_gzip_may_be_wrong(tmp_path_factory, place, value):
    data = bytearray(gzip.compress(b"some text that is packed, some text again", mtime=0))
    data[place % len(data)] = value
    file = tmp_path_factory.mktemp("gz") / "a"
    file.write_bytes(data)
    with suppress(DataError):  # and nothing else
        files.read_text(file)


def test_a_gzip_bomb_is_refused_before_it_unfolds(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDEOEXPERT_MAX_DECOMPRESSED_BYTES", "1_000_000")
    squeeze = zlib.compressobj(9, wbits=31)
    data = b"".join(squeeze.compress(bytes(1_000_000)) for _ in range(50)) + squeeze.flush()
    (tmp_path / "a.gz").write_bytes(data)
    with pytest.raises(
        DataError,
        match=r"a\.gz is too large once unpacked, at most 1,000,000 are allowed; "
        r"set VIDEOEXPERT_MAX_DECOMPRESSED_BYTES to allow more",
    ):
        files.read_text(tmp_path / "a.gz")
    (tmp_path / "a.gz").write_bytes(gzip.compress(bytes(1_000_000)))
    assert len(files.read_text(tmp_path / "a.gz")) == 1_000_000


def test_a_file_without_end_is_refused(monkeypatch):
    monkeypatch.setenv("VIDEOEXPERT_MAX_TEXT_BYTES", "5000")
    with pytest.raises(
        DataError, match=r"/dev/zero is too large, at most 5,000 .*VIDEOEXPERT_MAX_TEXT_BYTES"
    ):
        files.read_text("/dev/zero")


def test_what_is_no_text_file(tmp_path):
    (tmp_path / "latin").write_bytes(b"a\nb\xe9\n")
    with pytest.raises(DataError, match="latin, line 2: not UTF-8 text"):
        files.read_text(tmp_path / "latin")
    for place in (tmp_path, tmp_path / "none", tmp_path / "a\0b"):
        with pytest.raises(DataError, match="cannot be read"):
            files.read_text(place)


def test_json_that_breaks_parsers(tmp_path):
    for text, words in (
        ("[" * 200_000, "not valid JSON"),
        ('{"a": NaN}', "NaN"),
        ("1" * 5000, "not valid JSON"),
        ("[1,\n2,,]", "line 2: not valid JSON"),
    ):
        with pytest.raises(DataError, match=words):
            files.parse_json(text, "a.json")
    (tmp_path / "a.json").write_bytes(gzip.compress(json.dumps({"a": "é"}).encode()))
    assert files.load_json(tmp_path / "a.json") == {"a": "é"}


def test_yaml_that_breaks_parsers():
    assert files.parse_yaml("a: [1, x]\nb: &k {c: 2}\nd: *k\n", "r") == {
        "a": [1, "x"],
        "b": {"c": 2},
        "d": {"c": 2},
    }
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 40))
    for text, words in (
        ("a: [1", "not valid YAML"),
        ("a: \x01", "not valid YAML"),
        ("[" * 5000, "not valid YAML"),
        ("!!python/object/apply:os.getcwd []", "not valid YAML"),
        ("a: 2024-13-45", "not valid YAML"),
        ("&a [*a]", "aliases"),
        (bomb, r"aliases stand for at least .*VIDEOEXPERT_MAX_YAML_VALUES"),
    ):
        with pytest.raises(DataError, match=rf"r\.yaml: .*{words}") as caught:
            files.parse_yaml(text, "r.yaml")
        assert "\n" not in str(caught.value)


def test_digest(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert files.digest(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1, 2, ]", "a comma before the closing ]: take it out"),
        ('{"a": 1,\n}', "a comma before the closing }: take it out"),
        ("[1, 2", "not valid JSON (Expecting"),
        ("[1 2]", "not valid JSON (Expecting ',' delimiter"),
    ],
)
def test_the_fault_of_a_text_is_named(text, said):
    with pytest.raises(DataError) as caught:
        files.parse_json(text, "it")
    assert said in str(caught.value)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_read_if_something_writes_into_it(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="a pipe into which nothing writes"):
        files.read_text(tmp_path / "pipe")
    read, write = os.pipe()
    os.write(write, b'{"a": 1}')
    os.close(write)
    assert files.load_json(Path(f"/dev/fd/{read}")) == {"a": 1}
    os.close(read)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "{", "", "9" * 5000])
def test_loads_raises_one_kind_of_error(text):
    with pytest.raises(ValueError):  # whatever its words
        files.loads(text)
    assert files.loads("[NaN]")[0] != 0
