"""Where the video of an annotation lies: looked up by id, whatever the extension and subfolder."""

from __future__ import annotations

from pathlib import Path

from ..errors import DataError

# What lies beside videos. Not a list of video extensions, because those always miss some.
_TEXT = "txt md json jsonl csv tsv yaml yml vtt srt ass log py html xml"
_ARRAYS = "npy npz pt pth safetensors h5 hdf5 pkl lmdb gz zip tar part ytdl tmp"
_MEDIA = "wav mp3 m4a flac ogg jpg jpeg png webp"
OTHER = frozenset(f".{name}" for name in f"{_TEXT} {_ARRAYS} {_MEDIA}".split())


class VideoFolder:
    """All videos under a folder, by name.

    Ids contain dots (``..._360.0_510.0``), so a name's extension is only taken off on the folder's side; ids
    and files also meet where just one of them has the prefix ``v_`` (ActivityNet, TimeChat).

    Raises DataError where the folder does not exist.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise DataError(f"{folder} is no folder, expected the folder with the videos.")
        self.folder = folder
        self._files: dict[str, Path] = {}
        for file in sorted(folder.rglob("*")):
            if file.suffix.lower() not in OTHER and not file.name.startswith(".") and file.is_file():
                self._files.setdefault(file.name, file)
                self._files.setdefault(file.stem, file)

    @property
    def paths(self) -> list[Path]:
        """Every file that is taken for a video, in order."""
        return sorted(set(self._files.values()))

    def find(self, video: str) -> Path | None:
        """The file of a video id, file name or path below the folder; None where there is none."""
        direct = self.folder / video
        if direct.is_file():
            return direct
        names = [Path(video).name]
        suffix = Path(video).suffix.lower()
        if suffix not in ("", *OTHER) and not suffix[1:].isdigit():
            names.append(Path(video).stem)  # named clip.mp4, there as clip.webm
        names += [other for name in names for other in (f"v_{name}", name.removeprefix("v_"))]
        return next((self._files[name] for name in names if name in self._files), None)
