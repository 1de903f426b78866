"""The words of a library: cues of transcripts and captions, and full-text search in them (SQLite FTS5).

    cues (a row each) --triggers--> texts (their inverted index)        transcripts (which files they were read from)

Every function works inside the caller's transaction.
"""

from __future__ import annotations

import math
import re
import sqlite3
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

TRANSCRIPT, CAPTION = "transcript", "caption"
# a word in more than this share of the texts separates none of them
COMMON = 0.5
# matches that BM25 ranks first, for each that is asked for: of these the ones with most of the words come first
CLOSER = 2
SCHEMA = """
CREATE TABLE IF NOT EXISTS cues (
    id INTEGER PRIMARY KEY, content TEXT NOT NULL, kind TEXT NOT NULL, start REAL NOT NULL, end REAL NOT NULL,
    words TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS cues_content ON cues (content);
CREATE TABLE IF NOT EXISTS transcripts (
    path TEXT NOT NULL, content TEXT NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    PRIMARY KEY (path, content));
CREATE INDEX IF NOT EXISTS transcripts_content ON transcripts (content);
CREATE VIRTUAL TABLE IF NOT EXISTS texts USING fts5 (
    words, content = 'cues', content_rowid = 'id', tokenize = 'unicode61 remove_diacritics 2');
CREATE TRIGGER IF NOT EXISTS cue_added AFTER INSERT ON cues BEGIN
    INSERT INTO texts (rowid, words) VALUES (new.id, new.words);
END;
CREATE TRIGGER IF NOT EXISTS cue_gone AFTER DELETE ON cues BEGIN
    INSERT INTO texts (texts, rowid, words) VALUES ('delete', old.id, old.words);
END;
CREATE VIRTUAL TABLE IF NOT EXISTS terms USING fts5vocab (texts, 'row');
"""
# version 1 kept cues in the index itself, where those of one video are found by reading all
OLD = "SELECT count(*) FROM pragma_table_info('texts') WHERE name = 'content'"


@dataclass(frozen=True)
class Text:
    """Words spoken, or written as caption, from ``start`` to ``end`` (seconds); ``kind``: "transcript" or "caption"."""

    content: str
    kind: str
    start: float
    end: float
    words: str


@dataclass(frozen=True)
class Transcript:
    """A file beside a video, as it was when it was looked at."""

    path: str
    size: int
    mtime_ns: int


def is_old(db: sqlite3.Connection) -> bool:
    """Whether the words are kept as version 1 of a library kept them."""
    return bool(db.execute(OLD).fetchone()[0])


def move(db: sqlite3.Connection) -> None:
    """Version 1 to this one."""
    rows = db.execute("SELECT content, kind, start, end, words FROM texts ORDER BY rowid").fetchall()
    db.execute("DROP TABLE IF EXISTS terms")
    db.execute("DROP TABLE texts")
    for statement in re.split(r";\n(?=CREATE)", SCHEMA.strip()):
        db.execute(statement)
    add(db, (Text(c, k, float(s), float(e), w) for c, k, s, e, w in rows))


def add(db: sqlite3.Connection, texts: Iterable[Text]) -> None:
    """More cues."""
    db.executemany(
        "INSERT INTO cues (content, kind, start, end, words) VALUES (?, ?, ?, ?, ?)",
        [(t.content, t.kind, t.start, t.end, t.words) for t in texts],
    )


def replace(
    db: sqlite3.Connection,
    content: str,
    texts: Iterable[Text],
    read: Iterable[Transcript],
    *,
    captions: bool = True,
) -> None:
    """All cues of a video anew, or with ``captions`` False those of its transcripts; ``read`` are their files."""
    kept = "" if captions else f" AND kind = '{TRANSCRIPT}'"
    db.execute(f"DELETE FROM cues WHERE content = ?{kept}", (content,))
    db.execute("DELETE FROM transcripts WHERE content = ?", (content,))
    add(db, texts)
    db.executemany(
        "INSERT INTO transcripts VALUES (?, ?, ?, ?)",
        [(file.path, content, file.size, file.mtime_ns) for file in read],
    )


def search(db: sqlite3.Connection, query: str, most: int) -> list[tuple[Text, float]]:
    """Cues with words of the query and their scores in (0, 1], best first.

    The score is the share of the query's words that a cue has, each counting by how rare it is (the inverse document
    frequency of BM25 as Lucene writes it, which is never 0). Of equal shares BM25 decides. A word that most cues have
    ("the") says nothing and is left out, unless all are such.
    """
    words = list(dict.fromkeys(map(plain, re.findall(r"[^\W_]+", query))))
    (texts,) = db.execute("SELECT count(*) FROM cues").fetchone()
    held = {word: _texts_with(db, word) for word in words}
    telling = [word for word in words if held[word] <= COMMON * texts] or words
    if not telling or not texts:
        return []
    # only the best are read: a row read for every match is most of the time of a search
    rows = db.execute(
        "SELECT content, kind, start, end, words, found.rank FROM "
        "(SELECT rowid, rank FROM texts WHERE texts MATCH ? ORDER BY rank LIMIT ?) AS found "
        "JOIN cues ON cues.id = found.rowid",
        (" OR ".join(f'"{word}"' for word in telling), CLOSER * most),
    ).fetchall()
    worth = {word: math.log1p((texts - held[word] + 0.5) / (held[word] + 0.5)) for word in telling}
    found = [(Text(*row[:5]), _share(row[4], worth), row[5]) for row in rows]
    found.sort(key=lambda one: (-one[1], one[2], one[0].content, one[0].start))
    return [(text, share) for text, share, _ in found[:most]]


def _share(text: str, worth: dict[str, float]) -> float:
    there = set(map(plain, re.findall(r"[^\W_]+", text)))
    return sum(value for word, value in worth.items() if word in there) / sum(worth.values())


def _texts_with(db: sqlite3.Connection, word: str) -> int:
    found = db.execute("SELECT doc FROM terms WHERE term = ?", (word,)).fetchone()
    return int(found[0]) if found else 0


def plain(word: str) -> str:
    """A word as FTS5's tokenizer writes it: small letters without accents."""
    apart = unicodedata.normalize("NFD", word.lower())
    return "".join(c for c in apart if not unicodedata.combining(c))


def known_transcripts(db: sqlite3.Connection) -> dict[str, list[Transcript]]:
    """Content -> the files that its words were read from."""
    found: dict[str, list[Transcript]] = {}
    for path, content, size, mtime in db.execute(
        "SELECT path, content, size, mtime_ns FROM transcripts ORDER BY path"
    ):
        found.setdefault(content, []).append(Transcript(path, size, mtime))
    return found
