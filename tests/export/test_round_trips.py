"""What an importer of ours reads, an exporter writes: there and back, and back and there, nothing changes."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exported import AWKWARD, RATES, media, told
from videoexpert.annotations.importers import import_data
from videoexpert.annotations.schema import read_samples
from videoexpert.export import FORMATS, Answers, AnswerSet, Clock, export
from videoexpert.export.text import one_line
from videoexpert.export.vtimellm import ABSENT, DESCRIBE, WHEN
from videoexpert.library import transcripts
from videoexpert.types import Answer, Captions, Highlights, Moment, Moments

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


# --- labels: whole answers, with what is absent ---


def windows_of(number: int) -> list[tuple[float, float]]:
    """Windows of a video of 20 s, in milliseconds that are not round."""
    return [(0.001 * number, 1.5 + 0.007 * number), (4.0, 6.0), (11.123, 20.0)][: number % 4]


def moments(query: str, windows) -> Moments:
    return Moments(query, tuple(Moment(a, b, 0.9) for a, b in windows), absent=not windows)


def highlights(query: str, windows, scores) -> Highlights:
    found = tuple(Moment(a, b, 0.9) for a, b in windows)
    return Highlights(
        query, tuple(2.0 * n for n in range(len(scores))), tuple(scores), found, absent=not windows
    )


def about(found, video: str = "clip.mp4", start: float | None = None) -> Answers:
    return Answers(video, 20.0, "m", found, start=start)


def imported(text: str, importer: str, folder: Path):
    """The samples of a file of ours, by the importer, or by the reader of our own schema."""
    file, out = folder / "in", folder / "out.jsonl"
    file.write_text(text, encoding="utf-8", newline="")
    if importer == "own-data":
        return read_samples(file)
    import_data(importer, file, out)
    return read_samples(out)


asked = st.lists(titles.map(one_line), min_size=1, max_size=4)


@pytest.mark.parametrize("importer", ["qvhighlights", "own-data"])
@same_folder
@given(queries=asked)
def test_labels_of_sentences(importer, queries, tmp_path):
    """An absent one, too: its list of windows is empty."""
    text = export(about(tuple(moments(q, windows_of(n)) for n, q in enumerate(queries))), importer)
    read = imported(text, importer, tmp_path)
    assert [(s.query, list(s.windows), s.duration_s, s.labelled) for s in read] == [
        (query, windows_of(n), 20.0, True) for n, query in enumerate(queries)
    ]
    assert {Path(s.video).stem for s in read} == {"clip"}
    assert export(about(tuple(moments(s.query, s.windows) for s in read)), importer) == text


@pytest.mark.parametrize("importer", ["qvhighlights", "own-data"])
@same_folder
@given(scores=st.lists(st.integers(0, 10_000).map(lambda n: n / 10_000), min_size=10, max_size=10))
def test_labels_of_highlights(importer, scores, tmp_path):
    """QVHighlights holds marks of the clips that a window touches, from 0 to 4; our own schema those of all."""
    windows = [(1.5, 3.0), (8.0, 10.0)]
    inside = [score if importer == "own-data" or n in (0, 1, 4) else 0.0 for n, score in enumerate(scores)]
    text = export(about(highlights("goal!", windows, inside)), importer)
    (sample,) = imported(text, importer, tmp_path)
    most = 4 if importer == "qvhighlights" else 1
    read = [round(marks[0] / most, 4) for marks in sample.saliency]
    assert (sample.query, list(sample.windows), read) == ("goal!", windows, inside)
    assert export(about(highlights(sample.query, sample.windows, read)), importer) == text


def test_lines_of_qvhighlights_themselves(tmp_path):
    """Of what a file holds, an answer holds all but the number of a query and marks of several annotators."""
    lines = [
        {"qid": 1, "query": "a dog", "duration": 20, "vid": "a_60.0_80.0", "relevant_windows": [[2, 4], [8, 12]],
         "relevant_clip_ids": [1, 4, 5], "saliency_scores": [[4], [2], [3]]},
        {"qid": 2, "query": "a cat", "duration": 20, "vid": "a_60.0_80.0", "relevant_windows": [[0, 20]],
         "relevant_clip_ids": list(range(10)), "saliency_scores": [[n % 5] for n in range(10)]},
    ]  # fmt: skip
    samples = imported("".join(json.dumps(line) + "\n" for line in lines), "qvhighlights", tmp_path)
    found = []
    for sample in samples:
        windows = [(a + 60.0, b + 60.0) for a, b in sample.windows]
        one = highlights(sample.query, windows, [marks[0] / 4 for marks in sample.saliency])
        found.append(about(replace(one, times=tuple(t + 60.0 for t in one.times)), "a.mp4", start=60.0))
    again = export(AnswerSet(tuple(found)), "qvhighlights").splitlines()
    assert [json.loads(line) for line in again] == lines


def answers_of(sample) -> tuple[Answers, ...]:
    """What a conversation says: a query, the events, or a question and its answer a pair of turns."""
    times, found = dict(sample.times), []
    ask, events = re.escape(WHEN).replace(r"\{query\}", "(.*)"), re.compile(r"<s(\d+)> to <e\1>: (.*)")
    for question, answer in zip(sample.turns[::2], sample.turns[1::2], strict=True):
        numbers = list(dict.fromkeys(map(int, re.findall(r"<s(\d+)>", answer.text))))
        spans = [Moment(times[f"<s{n}>"], times[f"<e{n}>"], 0.9) for n in numbers]
        if match := re.fullmatch(ask, question.text):
            found.append((moments(match[1], [(m.start, m.end) for m in spans]),))
            assert spans or answer.text == ABSENT
        elif question.text == DESCRIBE:
            told = [match[2] for line in answer.text.splitlines() if (match := events.fullmatch(line))]
            found.append(Captions([Moment(m.start, m.end, 1.0, t) for m, t in zip(spans, told, strict=True)]))
        else:
            said = re.sub(r"^(From <s\d+> to <e\d+>\. ?)+", "", answer.text)
            for place, number in enumerate(numbers):  # an answer counts its own moments
                said = said.replace(f"<s{number}>", f"<s{place}>").replace(f"<e{number}>", f"<e{place}>")
            asked, *choices = question.text.split("\n")
            options = tuple(re.sub(r"^\([A-Z]\) ", "", choice) for choice in choices)
            found.append(Answer(asked, said, None, tuple(spans), choices=options))
    return tuple(about(one, f"{sample.video}.mp4", sample.clip and sample.clip[0]) for one in found)


QUESTION = Answer(
    "why?", "he slips", 1, (Moment(1, 2.5, 0.9), Moment(0.5, 1, 0.8)), choices=("he jumps", "he slips")
)


@pytest.mark.parametrize("start", [None, 60.5])
@pytest.mark.parametrize(
    "found",
    [
        tuple(moments(f"query {n}", windows_of(n)) for n in range(4)),
        Captions([Moment(1, 2, 1.0, "A ball falls."), Moment(1.5, 20, 1.0, "from side to side")]),
        QUESTION,
        Answer("how many?", "two"),
    ],
    ids=["sentences", "events", "choices", "open"],
)
def test_conversations(found, start, tmp_path):
    shift = start or 0.0
    moved = shifted(found, shift)
    text = export(about(moved, start=start), "vtimellm")
    (sample,) = imported(text, "vtimellm", tmp_path)
    assert (sample.video, sample.duration_s, sample.clip) == ("clip", 20.0, start and (60.5, 80.5))
    read = answers_of(sample)
    again = [Answers(a.video, a.duration, a.model, shifted(a.found, shift), start=start) for a in read]
    assert export(AnswerSet(tuple(again)), "vtimellm") == text
    plain = [marks_of(one) for one in read]
    assert [mark for marks in plain for mark in marks] == marks_of(about(found))


def marks_of(item: Answers):
    """Spans and titles by sentence: absent ones, too."""
    return [(one.text, [(m.start, m.end) for m in one.marks]) for one in item.sentences()]


def shifted(found, shift: float):
    """An answer about a part of a video, which has the video's own times."""

    def moved(items):
        return [Moment(m.start + shift, m.end + shift, m.score, m.text) for m in items]

    if isinstance(found, Captions):
        return Captions(moved(found))
    if isinstance(found, Answer):
        return Answer(
            found.question, found.text, found.choice, tuple(moved(found.moments)), choices=found.choices
        )
    return tuple(Moments(m.query, tuple(moved(m)), absent=m.absent) for m in found)


def test_conversations_of_vtimellm_themselves(tmp_path):
    """Their own words and the places of their times stay."""
    turns = [
        ("human", "<video>\nWhen does it rain?"), ("gpt", "From <s0> to <e0>, and again from <s1> to <e1>."),
        ("human", "And then?"), ("gpt", "The sun shines between <s2> and <e2>."),
    ]  # fmt: skip
    times = {"<s0>": 1, "<e0>": 2.5, "<s1>": 3, "<e1>": 4, "<s2>": 5.25, "<e2>": 20}
    records = [
        {
            "id": "v_a",
            "conversations": [{"from": who, "value": text} for who, text in turns],
            "meta": {"split": [10, 30], "duration": 20, "token": times},
        }
    ]
    (sample,) = imported(json.dumps(records), "vtimellm", tmp_path)
    found = tuple(
        Answers(a.video, a.duration, a.model, shifted(a.found, 10.0), start=10.0) for a in answers_of(sample)
    )
    assert json.loads(export(AnswerSet(found), "vtimellm")) == records


@pytest.mark.parametrize("name", ["qvhighlights", "vtimellm", "own-data"])
@pytest.mark.parametrize("title", [*AWKWARD, "<s0> to <e9>", "<video> a", "None"])
def test_awkward_sentences_are_labels_too(name, title, tmp_path):
    found = [about((moments(title, [(1.0, 2.0)]), moments("b", [])))]
    found += [about(Captions([Moment(1, 2, 1.0, title)])), about(Answer(title, title, None, (Moment(1, 2),)))]
    for item in found:
        samples = imported(export(item, name), name, tmp_path)
        assert {window for s in samples for window in s.windows} == {(1.0, 2.0)}
        said = " ".join([*(s.query or "" for s in samples), *(t.text for s in samples for t in s.turns)])
        said += " ".join(caption for s in samples for caption in s.captions)
        assert one_line(title).replace("<", "").replace(" ", "") in said.replace("<", "").replace(" ", "")


def test_questions_in_our_own_schema(tmp_path):
    (sample,) = imported(export(about(QUESTION), "own-data"), "own-data", tmp_path)
    assert (sample.task, sample.query, sample.choice, sample.choices) == (
        *("grounded_qa", "why?", 1),
        QUESTION.choices,
    )
    assert sample.windows == ((0.5, 1.0), (1.0, 2.5))
    text = export(about(Captions([Moment(1, 2, 1.0, "it falls")]), start=3.0), "own-data")
    (told,) = imported(text, "own-data", tmp_path)
    assert (told.task, told.captions, told.clip, told.windows) == (
        *("caption", ("it falls",), (3.0, 23.0)),
        ((0.0, 0.001),),
    )


@same_folder
@given(found=cues)
def test_transcripts(found, tmp_path):
    """What goes beside a video for `index`: subtitles, and the JSON of Whisper."""
    for name in ("srt", "vtt", "whisper"):
        file = tmp_path / f"clip.{'json' if name == 'whisper' else name}"
        text = export(captions(found), name)
        file.write_text(text, encoding="utf-8", newline="")
        read = transcripts.read(file)
        assert read == found
        ours = json.loads(export(captions(read), name)) if name == "whisper" else export(captions(read), name)
        assert ours == (json.loads(text) if name == "whisper" else text)


def test_every_importer_has_its_exporter():
    names = {"webvtt": "vtt"}
    from videoexpert.annotations.importers import FORMATS as IMPORTED

    assert {names.get(name, name) for name in IMPORTED} <= set(FORMATS)
