"""What a file that does not give pictures is: its codec by the name that it states, and whether it is protected.

Reads a few kilobytes of structure with seeks, never the whole file, and trusts none of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO
from uuid import UUID

_MOST_BOXES = 4096  # of a file; a sound one has a few dozen on the way to its codecs
_HEAD = 256 * 1024  # bytes looked at in containers whose header comes first
_PROTECTED_ENTRIES = {"encv", "drmi", "enca"}  # Common Encryption, FairPlay
_ASF = bytes.fromhex("3026b275")
_ASF_PROTECTION = tuple(  # Content Encryption Object, Extended Content Encryption Object
    UUID(name).bytes_le
    for name in ("2211b3fb-bd23-11d2-b4b7-00a0c955fc6e", "298ae614-2622-4c17-b935-dae07ee9289c")
)
_PNG, _PNG_HEAD = b"\x89PNG\r\n\x1a\n", 512  # bytes in which an animation says that it is one
_PICTURES = (b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"8BPS", b"BM")
_STILLS = (b"heic", b"heix", b"mif1", b"avif")
_BITMAP = re.compile(
    rb"[\x28-\xff]\0\0\0.{8}\x01\0[\x01-\x40]\0(.{4})", re.DOTALL
)  # BITMAPINFOHEADER: size, codec
_EBML = bytes.fromhex("1a45dfa3")
_MATROSKA_PROTECTION = re.compile(
    rb"\x6d\x80.{1,64}?\x50\x35", re.DOTALL
)  # ContentEncryption in ContentEncodings
_PROGRAM_STREAM = b"\0\0\1\xba"
# How recordings begin: in files of these kinds FFmpeg reads one, or two, of several that were joined byte by byte.
_BEGINNINGS = (
    re.compile(rb"\x1a\x45\xdf\xa3.{0,48}?\x42\x82.(?:matroska|webm)", re.DOTALL),
    re.compile(rb"FLV\x01[\x01\x04\x05]\0\0\0\x09"),
    re.compile(rb"\0\0\0[\x08-\x80]ftyp[\x20-\x7e]{4}"),
    re.compile(rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c"),
    re.compile(rb"OggS\x00\x02"),
)
_TAIL = 4 * 1024 * 1024  # bytes looked at behind the last picture: sound that outlasts it, an index
_TS_PACKET = 188


def stored_codec(path: str) -> str | None:
    """The codec's name as the file states it (``avc1``, ``V_VP9``, ``DIVX``); None if unknown."""
    try:
        with open(path, "rb") as handle:
            entries = _sample_entries(handle)
            if entries:
                return _printable(entries[0])
            handle.seek(0)
            head = handle.read(_HEAD)
    except (OSError, ValueError):
        return None
    if head[:4] == b"RIFF":
        found = re.search(rb"strh.{4}vids(.{4})", head, re.DOTALL)
    elif head.startswith(_ASF):
        found = _BITMAP.search(head)
    else:
        found = re.search(rb"\x86[\x80-\xff](V_[\w./]+)", head)
    return _printable(found[1].decode("latin-1")) if found else None


def is_protected(path: str) -> bool:
    """Whether the pictures are encrypted (Common Encryption, FairPlay, Windows Media, scrambled broadcasts, discs)."""
    try:
        with open(path, "rb") as handle:
            entries = _sample_entries(handle)
            if entries:
                return all(entry in _PROTECTED_ENTRIES for entry in entries)
            handle.seek(0)
            head = handle.read(_HEAD)
    except (OSError, ValueError):
        return False
    if head.startswith(_ASF):
        return any(mark in head for mark in _ASF_PROTECTION)
    if head.startswith(_EBML):
        return _MATROSKA_PROTECTION.search(head) is not None
    if head.startswith(_PROGRAM_STREAM):
        return _scrambled_program(head)
    return _scrambled_transport(head)


def is_picture(head: bytes) -> bool:
    """Whether a file that begins so is a picture of a common format; an animated PNG is a video."""
    if head.startswith(_PNG):
        return b"acTL" not in head[:_PNG_HEAD]
    if head[4:8] == b"ftyp":
        return head[8:12] in _STILLS
    return head.startswith(_PICTURES) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


def begins_again(path: str, place: int) -> bool:
    """Whether, soon behind byte ``place``, another recording of the file's own kind begins."""
    try:
        with open(path, "rb") as handle:
            head = handle.read(64)
            kind = next((begins for begins in _BEGINNINGS if begins.match(head)), None)
            if kind is None:
                return False
            handle.seek(max(place, 1))
            return kind.search(handle.read(_TAIL)) is not None
    except (OSError, ValueError):
        return False


def _printable(name: str) -> str:
    return name.strip("\0 ").encode("ascii", "backslashreplace").decode() or "?"


def _sample_entries(handle: BinaryIO) -> list[str]:
    """Four-character codes of the video tracks of an ISO base media file, in order; none in other files."""
    handle.seek(0, 2)
    size = handle.tell()
    left = [_MOST_BOXES]
    found = []
    for kind, start, end in _boxes(handle, 0, size, left):
        if kind != "moov":
            continue
        for track, first, last in _boxes(handle, start, end, left):
            if track == "trak" and _handler(handle, first, last, left) == "vide":
                found += _entries_of(handle, first, last, left)
    return found


def _boxes(handle: BinaryIO, start: int, end: int, left: list[int]) -> Iterator[tuple[str, int, int]]:
    """(kind, first byte of the content, end) of the boxes in ``[start, end)``; stops at what is none."""
    while start + 8 <= end and left[0] > 0:
        left[0] -= 1
        handle.seek(start)
        header = handle.read(16)
        length, kind, body = int.from_bytes(header[:4], "big"), header[4:8], 8
        if length == 1:
            length, body = int.from_bytes(header[8:16], "big"), 16
        elif length == 0:
            length = end - start
        if length < body or len(header) < 8 or not re.fullmatch(rb"[\x20-\x7e\xa9]{4}", kind):
            return
        yield kind.decode("latin-1"), start + body, min(start + length, end)
        start += length


def _inside(
    handle: BinaryIO, path: tuple[str, ...], start: int, end: int, left: list[int]
) -> tuple[int, int]:
    for kind in path:
        start, end = next(
            ((a, b) for found, a, b in _boxes(handle, start, end, left) if found == kind), (end, end)
        )
    return start, end


def _handler(handle: BinaryIO, start: int, end: int, left: list[int]) -> str:
    start, end = _inside(handle, ("mdia", "hdlr"), start, end, left)
    handle.seek(start)
    return handle.read(12)[8:12].decode("latin-1") if end - start >= 12 else ""


def _entries_of(handle: BinaryIO, start: int, end: int, left: list[int]) -> list[str]:
    start, end = _inside(handle, ("mdia", "minf", "stbl", "stsd"), start, end, left)
    return [kind for kind, _, _ in _boxes(handle, start + 8, end, left)]


def _scrambled_transport(head: bytes) -> bool:
    """Most of the packets that carry something say that they are scrambled."""
    first = next((i for i in range(_TS_PACKET) if head[i::_TS_PACKET][:5] == b"G" * 5), None)
    if first is None:
        return False
    flags = [head[i + 3] >> 6 for i in range(first, len(head) - 4, _TS_PACKET) if head[i] == 0x47]
    return sum(flag > 1 for flag in flags) > len(flags) / 2


def _scrambled_program(head: bytes) -> bool:
    """Some packet of pictures of a program stream (a DVD) says that it is scrambled."""
    return any(
        flags[1][0] >> 4 & 3
        for flags in re.finditer(rb"\x00\x00\x01[\xe0-\xef]..([\x80-\xbf])", head, re.DOTALL)
    )
