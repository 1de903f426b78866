"""WebVTT and SRT as caption samples: each cue a moment with its text.

No library: pysubs2 takes YouTube's word times for cues of their own, reads ``00:61:00`` as an hour and a minute,
``100:00:05`` as five seconds and a time inside a comment as a cue, and drops a malformed time without a word;
webvtt-py keeps the repeated lines of rolling captions; neither names a line. The parsers here are one pass over lines.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from .. import files
from ..errors import DataError
from .dirty import CleaningReport
from .readers.clean import UniqueIds, clean_window, is_unicode
from .samples import Dataset, Sample, Window

ENDINGS = {"webvtt": ".vtt", "srt": ".srt"}
ROLL_S = 0.05  # a cue this short between two others shows what the one before it showed

_CLOCK = r"(?:(\d{2,6}):)?([0-5]\d):([0-5]\d)"
# WebVTT: hours may be left out, point before the milliseconds. SRT: comma; points occur in the wild.
_TIME = {
    "webvtt": re.compile(_CLOCK + r"\.(\d{3})"),
    "srt": re.compile(r"-?(?:(\d{1,6}):)?([0-5]?\d):([0-5]?\d)[,.](\d{1,3})"),
}
# An arrow may also be text. Programs that translate subtitles put spaces into the times, and break the arrow.
_SRT_TIMES = re.compile(r"^\s*-?\d+\s*:[\d\s:.,;]*-{1,2}\s?>")
_ARROW = re.compile(r"-{1,2}\s?>")
_COUNTER = re.compile(r"^\s*\d{1,9}\s*$")
_WORD_TIME = re.compile(r"<(?:\d{2,6}:)?[0-5]\d:[0-5]\d\.\d{3}>")
_MARKUP = re.compile(r"</?[a-zA-Z][^>]*>|<\d[\d:.]*>|\{\\[^}]*\}")
# ISO 639-1, and the longer codes that video sites use; "cam.top.srt" names a camera, no language
_CODES = (
    "aa|ab|ae|af|ak|am|an|ar|as|av|ay|az|ba|be|bg|bh|bi|bm|bn|bo|br|bs|ca|ce|ch|co|cr|cs|cu|cv|cy|da|de|dv|dz"
    "|ee|el|en|eo|es|et|eu|fa|ff|fi|fj|fo|fr|fy|ga|gd|gl|gn|gu|gv|ha|he|hi|ho|hr|ht|hu|hy|hz|ia|id|ie|ig|ii"
    "|ik|in|io|is|it|iu|iw|ja|ji|jv|jw|ka|kg|ki|kj|kk|kl|km|kn|ko|kr|ks|ku|kv|kw|ky|la|lb|lg|li|ln|lo|lt|lu"
    "|lv|mg|mh|mi|mk|ml|mn|mo|mr|ms|mt|my|na|nb|nd|ne|ng|nl|nn|no|nr|nv|ny|oc|oj|om|or|os|pa|pi|pl|ps|pt|qu"
    "|rm|rn|ro|ru|rw|sa|sc|sd|se|sg|si|sk|sl|sm|sn|so|sq|sr|ss|st|su|sv|sw|ta|te|tg|th|ti|tk|tl|tn|to|tr|ts"
    "|tt|tw|ty|ug|uk|ur|uz|ve|vi|vo|wa|wo|xh|yi|yo|za|zh|zu|ceb|chi|cmn|cze|dut|eng|fil|fin|fra|fre|ger|deu"
    "|gre|haw|hin|hmn|hun|ita|jpn|kor|nor|pol|por|rus|spa|swe|tur|yue|zho"
)
_LANGUAGE = re.compile(
    rf"\.(?:{_CODES})(?:[-_](?:orig|[a-z]{{2,4}}|\d{{3}}))*(?:\.(?:forced|sdh|cc|hi|auto|default))*$",
    re.IGNORECASE,
)


@dataclass
class Cue:
    """One cue: the line of its times, and its lines of text as they are."""

    line: int
    start: float
    end: float
    text: list[str] = field(default_factory=list)


def read_subtitles(path: Path, format: str) -> Dataset:
    """One caption sample a file: a file, or every file of the format in a folder and its subfolders.

    A file in a subfolder belongs to the video of its path. Raises DataError that lists every fault of every file.
    """
    found = _files(path, format)
    report, samples, faults = CleaningReport(), [], files.Faults()
    unique = UniqueIds(report)
    for file in found:
        video = _video(file, path, format)
        try:
            content = files.read_text(file)
        except DataError as error:
            faults.add([str(error)])
            continue
        cues, wrong = parse_cues(content, format, report, video)
        faults.add(f"{file}, {fault}" for fault in wrong)
        sample = _sample(video, cues, report, unique)
        if sample is not None:
            samples.append(sample)
    if faults:
        raise DataError(f"{path} has {faults.counted}:{faults.listed}")
    return Dataset(format, tuple(samples), report, files=tuple(found))


def read_cues(file: Path) -> list[tuple[float, float, str]]:
    """(start, end, words) of each cue of one file, seconds; empty cues, and what rolling captions repeat, left out.

    Raises DataError that names the first fault.
    """
    format = next(
        (format for format, ending in ENDINGS.items() if _bare(file.name).lower().endswith(ending)), "srt"
    )
    report = CleaningReport()
    cues, faults = parse_cues(files.read_text(file), format, report, file.name)
    if faults:
        more = f" ({len(faults) - 1} more like it)" if len(faults) > 1 else ""
        raise DataError(f"{file}, {faults[0].rstrip('.')}{more}; mend it or take it away.")
    said = [
        (max(cue.start, 0.0), cue.end, " ".join(" ".join(lines).split()))
        for cue, lines in _unrolled(cues, report, file.name)
    ]
    return [cue for cue in said if cue[2] and cue[1] > cue[0]]


def is_language(name: str) -> bool:
    """Whether the part of a name between a video's and the ending is a language, as in ``clip.pt-BR.forced.srt``."""
    return _LANGUAGE.fullmatch(f".{name}") is not None


def _files(path: Path, format: str) -> list[Path]:
    if not path.is_dir():
        return [path]
    ending = ENDINGS[format]
    found = sorted(f for f in path.rglob("*") if f.is_file() and _bare(f.name).lower().endswith(ending))
    if not found:
        raise DataError(f"{path} holds no *{ending} files, expected at least one.")
    return found


def _bare(name: str) -> str:
    return re.sub(r"\.gz$", "", name, flags=re.IGNORECASE)


def _video(file: Path, root: Path, format: str) -> str:
    """The path below the folder without ending and language: ``talks/clip.en.vtt.gz`` is ``talks/clip``."""
    ending = re.compile(rf"{re.escape(ENDINGS[format])}$", re.IGNORECASE)
    name = _LANGUAGE.sub("", ending.sub("", _bare(file.name))) or file.name
    folder = file.relative_to(root).parent if root.is_dir() else Path()
    return (folder / name).as_posix()


def _sample(video: str, cues: Sequence[Cue], report: CleaningReport, unique: UniqueIds) -> Sample | None:
    windows: list[Window] = []
    captions = []
    for cue, lines in _unrolled(cues, report, video):
        id = f"{video}_{cue.line}"
        text = " ".join(" ".join(lines).split())
        if not is_unicode(text):
            report.add("not_unicode", id)
            continue
        if not text:
            report.add("empty_text", id)
            continue
        window = clean_window((cue.start, cue.end), None, report, id)
        if window is not None:
            windows.append(window)
            captions.append(text)
    if not windows:
        report.add("no_window_left", video)
        return None
    return Sample(unique(video), video, "caption", windows=tuple(windows), captions=tuple(captions))


def parse_cues(content: str, format: str, report: CleaningReport, video: str) -> tuple[list[Cue], list[str]]:
    """The cues of a file and its faults, each with its line; comments, styles and regions drop out."""
    rows = content.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if format == "webvtt":
        if not re.match(r"WEBVTT(?:[ \t]|$)", rows[0]):
            return [], [f"line 1: got {rows[0][:40]!r}, expected WEBVTT."]
        return _parse_webvtt(rows, report, video)
    return _parse_srt(rows, report, video)


def _parse_webvtt(rows: list[str], report: CleaningReport, video: str) -> tuple[list[Cue], list[str]]:
    """A cue ends at an empty line (a line of one space is text), or at the next line of times."""
    cues: list[Cue] = []
    faults: list[str] = []
    open_cue: Cue | None = None
    loose: list[int] = []  # lines of a block before its times: one is an identifier, more belong to no cue
    passed_over = True  # the header, a comment, a style or a region
    for number, row in [*enumerate(rows[1:], 2), (len(rows) + 1, "")]:
        if row == "" or ("-->" in row and not passed_over):
            if len(loose) > (row != ""):
                report.add("text_outside_cue", video, f"line {loose[0]}")
            loose, open_cue, passed_over = [], None, False
            if row:
                times = _times(row, "webvtt")
                if times is None:
                    faults.append(_bad_times(number, row, "webvtt"))
                open_cue = Cue(number, *(times or (0.0, 0.0)))
                cues.append(open_cue)
        elif open_cue is not None:
            open_cue.text.append(row)
        elif not loose and re.match(r"(?:NOTE|STYLE|REGION)(?:[ \t]|$)", row):
            passed_over = True
        elif not passed_over:
            loose.append(number)
    return cues, faults


def _parse_srt(rows: list[str], report: CleaningReport, video: str) -> tuple[list[Cue], list[str]]:
    """A cue continues to the next line of times, across blank lines; the number before those times is not its text."""
    cues: list[Cue] = []
    faults: list[str] = []
    early: list[tuple[int, str]] = []
    for number, row in enumerate(rows, 1):
        if not _SRT_TIMES.match(row):
            if cues:
                cues[-1].text.append(row)
            elif row.strip():
                early.append((number, row))
            continue
        times = _times(row, "srt")
        if times is None:
            faults.append(_bad_times(number, row, "srt"))
        if cues:
            _drop_counter(cues[-1].text)
        cues.append(Cue(number, *(times or (0.0, 0.0))))
    text_before = [number for number, row in early if not _COUNTER.match(row)]
    if early and not cues:
        faults.append(f"line {early[0][0]}: a cue without times, expected START --> END.")
    elif text_before:
        report.add("text_outside_cue", video, f"line {text_before[0]}")
    return cues, faults


def _drop_counter(text: list[str]) -> None:
    while text and not text[-1].strip():
        text.pop()
    if text and _COUNTER.match(text[-1]):
        text.pop()


def _times(row: str, format: str) -> tuple[float, float] | None:
    if format == "srt":
        row = re.sub(r"(?<=\d)\s*([:,.])\s*(?=\d)", r"\1", _ARROW.sub(" --> ", row, count=1))
    left, _, right = row.partition("-->")
    fields = right.split()  # settings of the cue may follow its end
    start = parse_timestamp(left.strip(), format)
    end = parse_timestamp(fields[0], format) if fields else None
    return None if start is None or end is None else (start, end)


def _bad_times(number: int, row: str, format: str) -> str:
    example = "00:01:02.500 --> 00:01:04.000" if format == "webvtt" else "00:01:02,500 --> 00:01:04,000"
    return f"line {number}: got {row.strip()[:80]!r}, expected times as in {example}."


def parse_timestamp(text: str, format: str) -> float | None:
    """Seconds of a WebVTT or SRT timestamp; None where it is none."""
    match = _TIME[format].fullmatch(text)
    if match is None:
        return None
    hours, minutes, seconds, fraction = match.groups()
    whole = int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds)
    found = (whole * 1000 + int(fraction.ljust(3, "0"))) / 1000
    return -found if text.startswith("-") else found  # what a program shifted too far


def _unrolled(cues: Sequence[Cue], report: CleaningReport, video: str) -> list[tuple[Cue, list[str]]]:
    """Cues with their plain lines. In rolling captions (YouTube's own) only the lines that a cue adds are its text.

    There each line is shown by several cues on end: as it is spoken, for a moment alone, and above the next one. A
    file is taken for such captions where words have times, a cue is too short to be read, or most cues begin with the
    last line of the cue before.
    """
    plain = [[_plain(row) for row in cue.text] for cue in cues]
    shown = [(cue, [line for line in lines if line]) for cue, lines in zip(cues, plain, strict=True)]
    rolling = any(_WORD_TIME.search(row) for cue in cues for row in cue.text) or any(
        cue.end - cue.start <= ROLL_S
        and lines
        and set(lines) <= set(before)
        and cue.start - last.end <= ROLL_S
        for (last, before), (cue, lines) in pairwise(shown)
    )
    if not rolling and not _rolls(shown):
        return shown
    found = []
    previous: list[str] = []
    ended = float("-inf")
    for cue, lines in shown:
        new = lines[_overlap(previous, lines) :] if cue.start - ended <= ROLL_S else lines
        if lines and not new:
            report.add("rolled_up", f"{video}_{cue.line}")
        else:
            found.append((cue, new))
        previous, ended = lines, cue.end
    return found


def _rolls(shown: Sequence[tuple[Cue, list[str]]]) -> bool:
    """Whether most cues show the last line of the cue before, and something new below it."""
    rolled = sum(
        0 < _overlap(before, lines) < len(lines) and cue.start - last.end <= ROLL_S
        for (last, before), (cue, lines) in pairwise(shown)
    )
    return rolled >= max(2, (len(shown) - 1) / 2)


def _overlap(before: Sequence[str], lines: Sequence[str]) -> int:
    """How many first lines are the last ones of ``before``."""
    counts = range(min(len(before), len(lines)), 0, -1)
    return next((count for count in counts if list(before[-count:]) == list(lines[:count])), 0)


def _plain(row: str) -> str:
    """A line without tags (<i>, <v Speaker>, <00:00:01.000>) and {\\an8} marks, its entities resolved."""
    return " ".join(html.unescape(_MARKUP.sub("", row)).split())
