"""A server of the Model Context Protocol: assistants ask about the videos of folders that were allowed.

The desk holds what the tools share; ``serve`` puts tools on it.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..annotations.videos import VIDEO_SUFFIXES
from ..errors import DependencyError, InputError, VideoExpertError
from ..export import Answers, answers_json, find_format
from ..export import export as as_text
from ..files import write_text
from ..types import Captions
from ..video.sandbox import decoding_apart
from .exporting import timed
from .known import known, knows, open_library, open_video

if TYPE_CHECKING:
    from mcp.server import MCPServer

    from ..backends.base import Backend, OpenVideo
    from ..export.answers import Found
    from ..library.find import Library

OPEN_VIDEOS = (
    4  # that stay encoded; a question about another one closes the one that was asked least recently
)
KEPT_ANSWERS = 100
MOST_LISTED = 500
MOST_HITS = 100

INSTRUCTIONS = (
    "Finds when things happen in videos. Times are seconds from the start of the video. Call list_videos for the "
    "paths that may be used. find_moments says 'absent' where an event is not in the video: its moments are then "
    "guesses, as they are where 'guess' is true because of 'unknown_words' that the model was never shown. "
    "Every answer has an answer_id, with which export writes it as subtitles, chapters or an edit list. "
    "search_library, where there is a library, finds moments across its videos."
)


class Desk:
    """The roots, the model, the videos that are open and the answers so far; one question at a time.

    ``library`` is the folder of one; its videos may be asked about wherever they are; only roots are written to.
    """

    def __init__(
        self, roots: Sequence[Path], load: Callable[[], Backend], library: Path | None = None
    ) -> None:
        self.roots = [root.resolve() for root in roots]
        self.library_folder = library
        self.lock = threading.Lock()
        self._load = load
        self._videos: OrderedDict[Path, OpenVideo] = OrderedDict()
        self._answers: OrderedDict[str, Answers] = OrderedDict()
        self._count = 0

    @functools.cached_property
    def backend(self) -> Backend:
        """The model, loaded at the first question."""
        return self._load()

    @functools.cached_property
    def library(self) -> Library:
        """The library, opened at the first search."""
        assert self.library_folder is not None
        return open_library(self.library_folder, self.backend)

    def video_file(self, path: str) -> Path:
        """The real place of a video under a root or in the library. Raises InputError for any other."""
        try:
            return self.inside(path)
        except InputError:
            found = Path(path.replace("\0", "")).resolve()
            if self.library_folder is None or "\0" in path or not knows(self.library_folder, found):
                raise
            return found

    def name_of(self, file: Path) -> str:
        """A path as ``list_videos`` names it, where it is under a root."""
        real = file.resolve()
        if len(self.roots) == 1 and real.is_relative_to(self.roots[0]):
            return real.relative_to(self.roots[0]).as_posix()
        return str(file)

    def inside(self, path: str) -> Path:
        """The real place of a path, which may start at any root. Raises InputError for one outside all of them."""
        if "\0" in path:
            raise InputError("the path holds a NUL character, expected one that list_videos names.")
        for root in self.roots:
            found = (root / path).resolve()
            if found.is_relative_to(root) and found.exists():
                return found
        for root in self.roots:
            found = (root / path).resolve()
            if found.is_relative_to(root):
                return found
        raise InputError(
            f"{path!r} is outside the folders that were allowed, expected a path of list_videos."
        )

    def videos(self) -> list[str]:
        """Paths of the videos under the roots, hidden ones left out; links that lead out are left out too."""
        found = []
        for root in self.roots:
            for file in sorted(root.rglob("*")):
                inner = file.relative_to(root)
                hidden = any(part.startswith(".") for part in inner.parts)
                if hidden or file.suffix.lower() not in VIDEO_SUFFIXES or not file.is_file():
                    continue
                if file.resolve().is_relative_to(root):
                    found.append(str(file) if len(self.roots) > 1 else inner.as_posix())
        return found

    def open(self, path: str) -> OpenVideo:
        """The video, encoded once for all questions. Raises VideoError for a file that gives no frames."""
        file = self.video_file(path)
        if file not in self._videos:
            self._videos[file] = open_video(self.backend, file)
            while len(self._videos) > OPEN_VIDEOS:
                self._videos.popitem(last=False)
        self._videos.move_to_end(file)
        return self._videos[file]

    def answer(self, path: str, found: Found, video: OpenVideo) -> dict[str, Any]:
        """The documented JSON of an answer, with a number by which it is exported."""
        self._count += 1
        name = str(self._count)
        self._answers[name] = Answers(
            str(self.video_file(path)), video.duration, self.backend.name, found, **known(self.backend, video)
        )
        while len(self._answers) > KEPT_ANSWERS:
            self._answers.popitem(last=False)
        return {"answer_id": name, "answer": answers_json.document(self._answers[name]) | {"video": path}}

    def kept(self, name: str) -> Answers:
        """An answer by its number. Raises InputError."""
        if name not in self._answers:
            raise InputError(
                f"there is no answer {name!r}, expected the answer_id of one of the last {KEPT_ANSWERS}."
            )
        return self._answers[name]


class Tools:
    """What assistants call; the docstrings are what they read."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def all(self) -> list[Callable[..., Any]]:
        """The tools, in the order in which they are listed."""
        search = [] if self.desk.library_folder is None else [self.search_library]
        return [self.list_videos, self.find_moments, self.describe, self.ask_video, self.export, *search]

    def list_videos(self) -> dict[str, Any]:
        """The videos that may be asked about."""
        found = self.desk.videos()
        return {"videos": found[:MOST_LISTED], "left_out": max(0, len(found) - MOST_LISTED)}

    def find_moments(self, video: str, queries: list[str], top_k: int = 5) -> dict[str, Any]:
        """When the events that sentences describe happen in a video, or that they do not.

        Of each query at most top_k moments, best first.
        """
        if top_k < 1 or not queries:
            raise InputError("expected at least one query, and top_k of 1 or more.")
        opened = self.desk.open(video)
        return self.desk.answer(video, tuple(opened.ground(queries, top_k)), opened)

    def describe(self, video: str) -> dict[str, Any]:
        """The events of a video as sentences, each with its start and end."""
        opened = self.desk.open(video)
        told = opened.caption()
        return self.desk.answer(video, told if isinstance(told, Captions) else Captions(told), opened)

    def ask_video(self, video: str, question: str, choices: list[str] | None = None) -> dict[str, Any]:
        """The answer to a question about a video, with the moments that prove it; of choices, the likeliest."""
        opened = self.desk.open(video)
        return self.desk.answer(video, opened.ask(question, choices), opened)

    def search_library(self, query: str, top: int = 10) -> dict[str, Any]:
        """Moments that a sentence describes, across all videos of the library, best first.

        Each names its video, which find_moments, describe and ask_video take.
        """
        if not 1 <= top <= MOST_HITS:
            raise InputError(f"top is {top}, expected 1 to {MOST_HITS}.")
        page = self.desk.library.search(query, top=top)
        return {
            **page.head,
            "results": [
                {
                    "video": self.desk.name_of(Path(hit.path)),
                    **{key: round(getattr(hit, key), 3) for key in ("start", "end", "duration", "score")},
                    "text": hit.text,
                }
                for hit in page.hits
            ],
        }

    def export(self, answer_id: str, format: str, file: str | None = None) -> dict[str, Any]:
        """An earlier answer in another format: srt, vtt, csv, chapters, edl, otio, fcpxml, and more.

        With file, the path of a new file in an allowed folder, it is written there; else its text comes back.
        """
        chosen = find_format(format)
        item, note = self.desk.kept(answer_id), None
        if chosen.frames:
            item, note = timed(item)
        text = as_text(item, chosen.name)
        said = {} if note is None else {"note": note}
        if file is None:
            return {"text": text, **said}
        target = self.desk.inside(file)
        if target.exists():
            raise InputError(f"{file!r} exists, expected the name of a new file.")
        if not target.parent.is_dir():
            raise InputError(f"the folder of {file!r} does not exist, expected one that does.")
        write_text(target, text)
        return {"file": file, **said}


def serve(desk: Desk) -> MCPServer:
    """The server with its tools. Raises DependencyError where the SDK is not installed."""
    try:
        from mcp.server import MCPServer
        from mcp.server.mcpserver.exceptions import ToolError
    except ImportError as error:
        raise DependencyError(
            "mcp needs the package mcp, which is not installed: pip install 'videoexpert[mcp]'."
        ) from error

    def guarded(tool: Callable[..., Any]) -> Callable[..., Any]:
        """One at a time, errors as one sentence, and nothing on stdout, which belongs to the protocol.

        Files are decoded in child processes: one that crashes the decoder fails its own call.
        """

        @functools.wraps(tool)
        def run(*args: Any, **options: Any) -> Any:
            with desk.lock, contextlib.redirect_stdout(sys.stderr), decoding_apart():
                try:
                    return tool(*args, **options)
                except VideoExpertError as error:
                    raise ToolError(str(error)) from error

        return run

    server = MCPServer("videoexpert", instructions=INSTRUCTIONS)
    for tool in Tools(desk).all():
        server.add_tool(guarded(tool))
    return server
