"""Text, JSON and YAML from files, gzip or not; every fault names the file and, where there is one, the line."""

from __future__ import annotations

import codecs
import gzip
import hashlib
import io
import json
import os
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NoReturn

from ..errors import DataError
from ..limits import limits

_BLOCK = 2**20
_TOO_DEEP = "lists or objects are nested too deep"
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def digest(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's bytes, 64 hexadecimal digits. Raises OSError."""
    found = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(_BLOCK):
            found.update(block)
    return found.hexdigest()


def read_text(path: str | os.PathLike[str]) -> str:
    """The file as text: UTF-8, or UTF-16 with a byte-order mark; gzip is recognised by its first bytes, not its name.

    Raises DataError if it cannot be read, is in another encoding, or is larger than ``limits`` allow.
    """
    try:
        data = _read_bytes(path)
        return data.decode("utf-16" if data[:2] in _UTF_16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise DataError(f"{path}, line {line}: not UTF-8 text; save the file as UTF-8.") from error
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error}); check the path, or download it again.") from error


def _read_bytes(path: str | os.PathLike[str]) -> bytes:
    bounds = limits()
    with open(path, "rb", opener=_at_once) as stream:
        data = _at_most(stream, bounds.text_bytes + 1)
        if not data and stat.S_ISFIFO(os.fstat(stream.fileno()).st_mode):
            raise ValueError("a pipe into which nothing writes")
    bounds.check("text_bytes", len(data), f"{path} is too large", DataError)
    if data[:2] != b"\x1f\x8b":
        return data
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
        return unpacked(packed, path)


def unpacked(packed: IO[bytes] | gzip.GzipFile, path: str | os.PathLike[str]) -> bytes:
    """What a stream gives. Raises DataError for more than ``limits`` allow, and the stream's own errors."""
    bounds = limits()
    plain = _at_most(packed, bounds.decompressed_bytes + 1)
    bounds.check("decompressed_bytes", len(plain), f"{path} is too large once unpacked", DataError)
    return plain


def _at_once(path: str, flags: int) -> int:
    """A pipe into which nobody writes would be waited for without end; one with a writer is read as it comes."""
    handle = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    if hasattr(os, "O_NONBLOCK"):
        os.set_blocking(handle, True)
    return handle


def _at_most(stream: IO[bytes] | gzip.GzipFile, most: int) -> bytes:
    """The first ``most`` bytes. In blocks: a read of that many would take the memory for all of them at once."""
    found = bytearray()
    while len(found) < most and (block := stream.read(min(_BLOCK, most - len(found)))):
        found += block
    return bytes(found)


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """(1-based number, text without line end) of every line that is not blank."""
    yield from _lines_of(read_text(path))


def _lines_of(text: str) -> Iterator[tuple[int, str]]:
    # not splitlines(): it also cuts at U+2028 and form feeds, which occur inside sentences
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, line.rstrip("\r")


def json_fault(error: json.JSONDecodeError) -> str:
    """What is wrong with the text, in the words of the parser; a comma with nothing behind it is named as that."""
    before, there = error.doc[: error.pos].rstrip(), error.doc[error.pos :].lstrip()[:1]
    # newer parsers stop at the comma, older ones behind it
    if there == ",":
        before, there = before + ",", error.doc[error.pos :].lstrip()[1:].lstrip()[:1]
    if before.endswith(",") and there in ("]", "}"):
        return f"a comma before the closing {there}: take it out"
    return error.msg


def loads(text: str | bytes) -> Any:
    """JSON as Python writes it: NaN and Infinity are numbers. Raises ValueError, nesting that is too deep included."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError(_TOO_DEEP) from error


def parse_json(text: str, where: str) -> Any:
    """Parsed JSON; NaN and Infinity are refused. Raises DataError that begins with ``where``."""
    if not text.strip():
        raise DataError(f"{where} is empty, expected JSON.")
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        line = f", line {error.lineno}" if error.lineno > 1 else ""
        raise DataError(
            f"{where}{line}: not valid JSON ({json_fault(error)}, column {error.colno})."
        ) from error
    except RecursionError as error:
        raise DataError(f"{where}: not valid JSON ({_TOO_DEEP}).") from error
    except ValueError as error:
        raise DataError(f"{where}: not valid JSON ({error}).") from error


def parse_yaml(text: str, where: str) -> Any:
    """Parsed YAML, plain types only. Raises DataError that begins with ``where``."""
    import yaml

    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{where}: not valid YAML ({said}).") from error
    bounds, waiting, values = limits(), [value], 0
    while waiting:
        node = waiting.pop()
        values += 1
        if values > bounds.yaml_values:  # aliases of aliases: a few lines that expand to billions
            what = f"{where}: the YAML and its aliases stand for at least {values:,} values"
            bounds.check("yaml_values", values, what, DataError)
        waiting += node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return value


def load_json(path: Path) -> Any:
    """The JSON value of a file, gzip or not. Raises DataError."""
    return parse_json(read_text(path), str(path))


def json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, object) of each JSON line. Raises DataError for a line that is not an object."""
    yield from _objects_of(read_text(path), path)


def _objects_of(text: str, path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in _lines_of(text):
        record = parse_json(line, f"{path}, line {number}")
        if not isinstance(record, dict):
            raise DataError(
                f"{path}, line {number}: expected one JSON object a line, got {type(record).__name__}."
            )
        yield number, record


def json_records(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(place such as "line 3", object) of JSON lines, or of one JSON list of objects. Raises DataError."""
    text = read_text(path)
    if not text.lstrip().startswith("["):
        for number, record in _objects_of(text, path):
            yield f"line {number}", record
        return
    for place, record in enumerate(parse_json(text, str(path))):
        if not isinstance(record, dict):
            raise DataError(f"{path}, record {place}: expected an object, got {type(record).__name__}.")
        yield f"record {place}", record


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)  # one: making it costs as much as a line
