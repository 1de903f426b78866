"""What an importer of ours reads, an exporter writes: there and back, and back and there, nothing changes."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exported import AWKWARD, RATES, media, told
from videoexpert.annotations.importers import import_data
from videoexpert.annotations.schema import read_samples
from videoexpert.export import Answers, Clock, export
from videoexpert.export.text import one_line
from videoexpert.types import Captions, Moment, Moments

SUFFIXES = {"srt": "srt", "webvtt": "vtt"}
titles = st.text(min_size=1, max_size=12).filter(one_line)
cues = st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 10**5), titles), min_size=1, max_size=4).map(
    lambda drawn: sorted({(a / 1000, (a + length) / 1000, one_line(title)) for a, length, title in drawn})
)
same_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)


def captions(found) -> Answers:
    return Answers("clip.mp4", 2000.0, "m", Captions([Moment(a, b, 1.0, t) for a, b, t in found]))


@pytest.mark.parametrize("importer", SUFFIXES)
@same_folder
@given(found=cues)
def test_subtitles(importer, found, tmp_path):
    name = SUFFIXES[importer]
    file, out = tmp_path / f"clip.{name}", tmp_path / "out.jsonl"
    text = export(captions(found), name)
    file.write_text(text, encoding="utf-8", newline="")
    import_data(importer, file, out)
    (sample,) = read_samples(out)
    read = [(a, b, t) for (a, b), t in zip(sample.windows, sample.captions, strict=True)]
    assert (sample.video, read) == ("clip", found)
    assert export(captions(read), name) == text


@same_folder
@given(found=cues)
def test_charades_lines(found, tmp_path):
    """Each line is a question of its own; what our cleaning mends of foreign ones is not in ours."""
    file, out = tmp_path / "a.charades.txt", tmp_path / "out.jsonl"
    text = export(captions(found), "charades-sta")
    file.write_text(text, encoding="utf-8", newline="")
    import_data("charades-sta", file, out)
    read = [(*sample.windows[0], sample.query) for sample in read_samples(out)]
    assert {sample.video for sample in read_samples(out)} == {"clip"}
    assert read == found
    assert export(captions(read), "charades-sta") == text


@pytest.mark.parametrize("title", AWKWARD)
@pytest.mark.parametrize("importer", SUFFIXES)
def test_awkward_titles(importer, title, tmp_path):
    name = SUFFIXES[importer]
    file, out = tmp_path / f"clip.{name}", tmp_path / "out.jsonl"
    file.write_text(
        export(captions([(1.0, 2.0, title), (3.0, 4.0, "b")]), name), encoding="utf-8", newline=""
    )
    import_data(importer, file, out)
    (sample,) = read_samples(out)
    assert (sample.windows, sample.captions) == (((1.0, 2.0), (3.0, 4.0)), (one_line(title), "b"))


@pytest.mark.parametrize("rate", RATES, ids=lambda rate: rate.name)
@same_folder
@given(
    spans=st.lists(
        st.tuples(st.integers(0, 800_000), st.integers(1, 500)), min_size=1, max_size=4, unique=True
    )
)
def test_label_studio(rate, spans, tmp_path):
    spans = sorted(spans)
    windows = [(float(rate.seconds(a)), float(rate.seconds(a + length))) for a, length in spans]
    text = export(told(windows, ["a dog runs"], rate), "label-studio")
    file, out = tmp_path / "tasks.json", tmp_path / "out.jsonl"
    file.write_text(text, encoding="utf-8")
    import_data("label-studio", file, out, fps=float(rate.fps))
    (sample,) = read_samples(out)
    assert (sample.video, sample.query) == ("A film.mp4", "a dog runs")
    assert [t for w in sample.windows for t in w] == pytest.approx([t for w in windows for t in w], abs=1e-9)
    read = Moments(sample.query, tuple(Moment(a, b, 0.9) for a, b in sample.windows))
    again = Answers("films/A film.mp4", 36000.0, "m", (read,), media=media(rate), clock=Clock(rate))
    assert export(again, "label-studio") == text
