"""What is said in videos, kept as the files beside them say it now, without encoding a video again."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..errors import DataError
from . import transcripts
from .cues import TRANSCRIPT, Text, Transcript
from .manifest import Manifest
from .scan import Found, under


@dataclass(frozen=True)
class Said:
    """The cues of some transcripts; ``read`` are the files that could be read, ``faults`` the others, with reasons."""

    texts: tuple[Text, ...]
    read: tuple[Transcript, ...]
    faults: dict[str, str]


def hear(content: str, files: Iterable[Transcript]) -> Said:
    """Read a video's transcripts. One that cannot be read costs its own words and no more."""
    texts: list[Text] = []
    read: list[Transcript] = []
    faults: dict[str, str] = {}
    for file in files:
        try:
            texts += [Text(content, TRANSCRIPT, *cue) for cue in transcripts.read(file.path)]
        except DataError as error:
            faults[file.path] = str(error)
        else:
            read.append(file)
    return Said(tuple(texts), tuple(read), faults)


def listen(manifest: Manifest, there: Found, folders: Sequence[str | os.PathLike[str]]) -> None:
    """Words of indexed videos anew where a transcript beside them is new, another one, or gone.

    Transcripts of copies that lie elsewhere count as they were. One that could not be read counts as new each time.
    """
    known, files = manifest.transcripts(), manifest.files()
    ready = {content for content, _ in manifest.ready()}
    now: dict[str, list[Transcript]] = {files[path].content: [] for path in there.videos if path in files}
    for path in there.videos:
        if path in files:
            now[files[path].content] += there.transcripts.get(path, [])
    below, videos = under(folders), set(there.videos)
    own = transcripts.of_videos((file.path for old in known.values() for file in old), videos)
    for content, found in now.items():
        old = known.get(content, [])
        here = [file for file in old if below(file.path) or file.path in own]
        if content in ready and set(here) != set(found):
            said = hear(content, [*found, *(file for file in old if file not in here)])
            manifest.put_faults(said.faults, [file.path for file in said.read])
            manifest.renew_transcripts(content, said.texts, said.read)
    heard = {file.path for found in now.values() for file in found}
    gone = [path for path in transcripts.of_videos(manifest.faults(), videos) if path not in heard]
    manifest.put_faults({}, gone)
