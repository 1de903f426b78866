"""What a reader asks is what a scorer counts: a perfect answer to ``read`` scores 100 under both conventions.

Files are made of good and dirty records in any mixture; each dirty kind is one that its reader reports under that name.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from videoexpert.annotations.readers import BENCHMARKS, SCORED, read
from videoexpert.annotations.samples import Sample, sentences_as_queries
from videoexpert.scoring.captions import captioning
from videoexpert.scoring.judge import scoring as judge_scoring
from videoexpert.scoring.judge.judge import JudgeScores
from videoexpert.scoring.score import score

GOOD = ""  # the kind of a record that nothing is wrong with
Make = Callable[[int], Any]  # number of the record -> what stands in the file


def charades_line(window: str, sentence: str = "a person sits on the floor.", video: str = "AAA") -> Make:
    return lambda i: f"{video} {window}##{sentence.replace('#N', str(i))}"


CHARADES: dict[str, Make] = {
    GOOD: charades_line("1.0 9.0"),
    "reversed_dropped": charades_line("8.0 7.0"),
    "end_after_duration": charades_line("5.0 40.0"),
    "outside_video": charades_line("25.0 30.0"),
    "start_before_zero": charades_line("-2.0 5.0"),
    "zero_length": charades_line("4.0 4.0"),
    "empty_text": charades_line("1.0 2.0", "  "),
    "few_words": charades_line("1.0 2.0", "he sits"),
    "double_spaces": charades_line("1.0 2.0", "a  person #N falls down."),
    "non_ascii": charades_line("1.0 2.0", "a piñata #N falls down."),
    "no_duration": charades_line("1.0 2.0", video="BBB"),
    "leading_dash": charades_line("1.0 2.0", video="-x"),
    "duplicate": charades_line("1.0 3.0", "the same line again and again."),
}


def moment_row(windows: list[Any] | None = None, **change: Any) -> Make:
    windows = [[2, 6]] if windows is None else windows

    def make(i: int) -> dict[str, Any]:
        clips = [c for s, e in windows for c in range(int(s // 2), int(min(e, 20) // 2)) if 0 <= s < e <= 20]
        row = {
            "qid": i,
            "query": f"a dog barks {i}",
            "duration": 20,
            "vid": f"v{i % 3}",
            "relevant_windows": windows,
            "relevant_clip_ids": clips,
            "saliency_scores": [[4, 4, 4]] * len(clips),
        }
        return row | {key: value(i) if callable(value) else value for key, value in change.items()}

    return make


MOMENTS: dict[str, Make] = {
    GOOD: moment_row([[2, 6], [10, 14]]),
    "reversed_dropped": moment_row([[6, 2]]),
    "end_after_duration": moment_row([[16, 30]], relevant_clip_ids=[8, 9], saliency_scores=[[4, 4, 4]] * 2),
    "outside_video": moment_row([[20, 24]]),
    "start_before_zero": moment_row([[-4, 4]], relevant_clip_ids=[0, 1], saliency_scores=[[4, 4, 4]] * 2),
    "zero_length": moment_row([[4, 4]]),
    "incomplete_windows": moment_row([[2, 6], [9, 8]]),
    "empty_text": moment_row(query=" \n"),
    "not_unicode": moment_row(query="a \ud800 dog"),
    "outer_spaces": moment_row(query=" a dog sings "),
    "duplicate_id": moment_row(qid="same"),
    "leading_dash": moment_row(vid="-v"),
    "shorter_than_id": moment_row(vid="v_0.0_150.0"),
}
HIGHLIGHTS = MOMENTS | {
    "saliency_mismatch": moment_row(saliency_scores=[[4, 4, 4]]),
    "no_very_good_clip": moment_row(saliency_scores=[[3, 3, 3]] * 2),
    "repeated_query": moment_row(query="the same words"),
}


def event(start: float, end: float, sentence: str = "a dog runs home #N") -> Make:
    return lambda i: ([start, end], sentence.replace("#N", str(i)))


EVENTS: dict[str, Make] = {
    GOOD: event(1, 5),
    "placeholder": event(0, 1, "None"),
    "empty_text": event(1, 2, " "),
    "not_unicode": event(1, 2, "\udfff"),
    "reversed_swapped": event(9, 4),
    "zero_length": event(3, 3),
    "outside_video": event(30, 35),
    "end_after_duration": event(10, 25),
    "start_before_zero": event(-1, 4),
    "short": event(2, 2.25),
    "unsorted": event(0, 0.75),
    "overlapping": event(0.5, 19),
    "outer_spaces": event(6, 9, " it rains #N "),
}

# what is counted of a video as a whole is not counted of its sentences
SENTENCES = {k: make for k, make in EVENTS.items() if k not in ("short", "unsorted", "overlapping")}


def question(
    answer: str = "1", text: str = "why #N", qid: str = "#N", options: str = "sit,run,eat,fly,go"
) -> Make:
    return lambda i: f"77,9,6,4,{text},{answer},{qid},CW,{options}".replace("#N", str(i))


CHOICES: dict[str, Make] = {
    GOOD: question(),
    "equal_options": question("1", options="sit,run,run,fly,go"),
    "outer_spaces": question("1", options="sit, run ,eat,fly,go"),
    "question_mark": question(text="why so #N?"),
    "mojibake": question(text="the man鈥檚 hat #N"),
    "non_ascii": question(text="a piñata #N"),
    "duplicate_id": question(qid="same"),
}
CHOICES_BY_TEXT: dict[str, Make] = {
    GOOD: question("run"),
    "ambiguous_answer": question("run", options="sit,run,run,fly,go"),
    "answer_not_in_options": question("swim"),
}


def spans(segments: list[Any] | None, row: Make | None = question("run")) -> Make:  # noqa: B008
    return lambda i: (segments, row(i) if row else None)


GROUNDED: dict[str, Make] = {
    GOOD: spans([[1, 4], [8, 9.5]]),
    "reversed_dropped": spans([[4, 1], [8, 9]]),
    "start_before_zero": spans([[-0.2, 4]]),
    "end_after_rounded_duration": spans([[15, 20.5]]),
    "end_after_duration": spans([[15, 40]]),
    "outside_video": spans([[30, 40]]),
    "zero_length": spans([[4, 4], [5, 6]]),
    "no_window_left": spans([[9, 3]]),
    "answer_not_in_options": spans([[1, 4]], question("swim")),
    "ambiguous_answer": spans([[1, 4]], question("run", options="sit,run,run,fly,go")),
    "question_without_spans": spans(None),
    "spans_without_question": spans([[1, 2]], None),
}


def answered(**change: Any) -> Make:
    return lambda i: {"Q": f"What happens {i}?", "A": f"A dog runs {i}.", "video_name": "v_1", **change}


JUDGED: dict[str, Make] = {
    GOOD: answered(),
    "empty_text": answered(A=" "),
    "outer_spaces": answered(A=" It rains. "),
    "repeated_question": answered(Q="Again?"),
    "not_unicode": answered(Q="\ud83d?"),
}


def labelled(**change: Any) -> Make:
    def make(i: int) -> dict[str, Any]:
        row = {
            "qid": f"q{i}",
            "vid": f"v{i}",
            "query": f"a parade {i}",
            "duration": 8.0,
            "domain": ("dog", "surf")[i % 2],
            "label": [[1], [0], [1], [0], [0], [0], [0], [0]],
            "clip": [[n, n + 1] for n in range(8)],
            "fps": 1.0,
        }
        return row | change

    return make


CLIPS: dict[str, Make] = {
    GOOD: labelled(),
    "empty_text": labelled(query=""),
    "duplicate_id": labelled(qid="same"),
    "not_unicode": labelled(query="\ud800"),
    "leading_dash": labelled(vid="-a"),
    "labels_mismatch": labelled(label=[[1], [0, 1], [1], [0], [0], [0], [0], [0]]),
}


def text_lines(lines: list[Any], folder: Path) -> Path:
    (folder / "Charades_v1_test.csv").write_text("id,length,actions,quality\nAAA,20,,\n-x,20,,\n")
    (folder / "charades_sta_test.txt").write_text("\n".join(lines))
    return folder / "charades_sta_test.txt"


def rows(lines: list[Any], folder: Path) -> Path:
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return folder / "rows.jsonl"


def videos(lines: list[Any], folder: Path) -> Path:
    """Three events a video."""
    groups = [lines[i : i + 3] for i in range(0, len(lines), 3)]
    database = {
        f"v_{i}": {"duration": 20, "timestamps": [w for w, _ in own], "sentences": [s for _, s in own]}
        for i, own in enumerate(groups)
    }
    (folder / "val_1.json").write_text(json.dumps(database))
    return folder / "val_1.json"


HEAD = "frame_count,width,height,question,answer,qid,type,a0,a1,a2,a3,a4\n"


def table(column: str, lines: list[str], path: Path) -> Path:
    path.write_text(column + "," + HEAD + "".join(line + "\n" for line in lines))
    return path


def spans_and_questions(lines: list[Any], folder: Path) -> Path:
    table("video_id", [row for _, row in lines if row], folder / "test.csv")
    location = {str(i): segments for i, (segments, _) in enumerate(lines) if segments is not None}
    (folder / "gsub_test.json").write_text(json.dumps({"77": {"duration": 20, "location": location}}))
    return folder


def listed(lines: list[Any], folder: Path) -> Path:
    (folder / "generic_qa.json").write_text(json.dumps(lines))
    return folder / "generic_qa.json"


# benchmark -> the kinds its records may have, and how records become a file
FILES: list[tuple[str, dict[str, Make], Callable[[list[Any], Path], Path]]] = [
    ("charades-sta", CHARADES, text_lines),
    ("charades-sta", MOMENTS, rows),
    ("charades-sta", SENTENCES, videos),
    ("tacos", MOMENTS, rows),
    ("qvhighlights", HIGHLIGHTS, rows),
    ("tvsum", CLIPS, rows),
    ("youtube-highlights", CLIPS, rows),
    ("activitynet-captions", EVENTS, videos),
    ("youcook2", EVENTS, videos),
    ("nextqa", CHOICES, lambda lines, folder: table("video", lines, folder / "val.csv")),
    ("nextqa", CHOICES_BY_TEXT, lambda lines, folder: table("video_id", lines, folder / "val.csv")),
    ("nextgqa", GROUNDED, spans_and_questions),
    ("video-chatgpt", JUDGED, listed),
]


def test_every_scored_benchmark_is_here():
    assert {name for name, _, _ in FILES} == set(SCORED)


def perfect(samples: list[Sample], captions: bool) -> list[dict[str, Any]]:
    """The samples' own labels as predictions in our form."""
    found = []
    for sample in samples:
        row: dict[str, Any] = {"id": sample.id, "video": sample.video}
        row |= {"query": sample.query} if sample.query else {}
        texts = sample.captions if captions else [None] * len(sample.windows)
        row["moments"] = [
            {"start": start, "end": end} | ({"text": text} if text else {})
            for (start, end), text in zip(sample.windows, texts, strict=True)
        ]
        if sample.saliency is not None:
            row["saliency"] = [sum(marks) / len(marks) for marks in sample.saliency]
        if sample.task in ("qa", "grounded_qa"):
            row |= {"choice": sample.choice} if sample.choices else {"answer": sample.answer}
        found.append(row)
    return found


def exact(
    benchmark: str, metrics: dict[str, float | None], sample_kinds: set[str]
) -> dict[str, float | None]:
    """The metrics that a perfect answer brings to the top; CIDEr has none, METEOR pairs overlapping events too."""
    if benchmark == "qvhighlights" and "no_very_good_clip" in sample_kinds:
        # the benchmark gives a query 0 that no annotator found very good, whatever is answered
        return {name: value for name, value in metrics.items() if name[:3] not in ("HL-", "HIT")}
    if "SODA_c" in metrics:
        return {name: metrics[name] for name in ("Precision", "Recall", "F1", "SODA_c")}
    return metrics


@pytest.fixture
def offline(monkeypatch):
    """Caption scores by word overlap, and a judge that is always content: neither Java nor a network."""

    class Words:
        def start(self) -> None: ...
        def close(self) -> None: ...
        def scores(self, corpora):
            def one(pair):
                return float(pair.hypothesis == pair.references[0])

            found = [[one(pair) for pair in corpus] for corpus in corpora]
            return [Scores(values, sum(values) / len(values) if values else 0.0) for values in found]

    class Scores:
        def __init__(self, segments, aggregate):
            self.segments, self.aggregate = segments, aggregate

    monkeypatch.setattr(captioning, "Meteor", Words)
    monkeypatch.setattr(captioning, "PTBTokenizer", lambda: lambda texts: [tuple(t.split()) for t in texts])
    monkeypatch.setattr(captioning, "bleu_and_rouge", lambda corpora: {})

    def content(asked, endpoint, log):
        counts = {dimension: len(items) for dimension, items in asked.items()}
        return JudgeScores(dict.fromkeys(counts, 100.0), counts, counts, (), 0, 0, None)

    class Judge:
        class endpoint:
            model = "stub"

        log = None

    monkeypatch.setattr(judge_scoring, "judge", content)
    return Judge


@pytest.mark.parametrize(("benchmark", "kinds", "write"), FILES)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_perfect_answer_scores_100(benchmark, kinds, write, data, tmp_path_factory, offline):
    dirty = sorted(kinds.keys() - {GOOD})
    drawn = data.draw(st.lists(st.sampled_from(dirty), max_size=5))
    order = data.draw(st.permutations([*drawn, GOOD, GOOD]))
    check_perfect(benchmark, order, kinds, write, tmp_path_factory.mktemp("files"), offline)


@pytest.mark.parametrize(("benchmark", "kinds", "write"), FILES)
def test_every_kind_alone(benchmark, kinds, write, tmp_path_factory, offline):
    for kind in kinds:
        # twice: some kinds are about a record that is there before
        found = check_perfect(
            benchmark, [kind, GOOD, kind], kinds, write, tmp_path_factory.mktemp("files"), offline
        )
        assert kind in (GOOD, *found), (kind, found)


def check_perfect(benchmark, order, kinds, write, folder, judge) -> set[str]:
    """Both conventions on a file of these records; returns the kinds that its reader reported."""
    file = write([kinds[kind](i) for i, kind in enumerate(order)], folder)
    dataset = read(benchmark, file)
    tasks = ["captions"] if BENCHMARKS[benchmark].tasks == ("caption",) else ["windows"]
    tasks += ["sentences"] if BENCHMARKS[benchmark].sentences else []
    for task in tasks:
        samples = sentences_as_queries(dataset.samples) if task == "sentences" else list(dataset.samples)
        predictions = folder / f"{task}.jsonl"
        predictions.write_text("\n".join(json.dumps(row) for row in perfect(samples, task == "captions")))
        for convention in ("official", "corrected"):
            chosen = judge if benchmark == "video-chatgpt" else None
            result = score(benchmark, predictions, file, convention=convention, missing="wrong", judge=chosen)
            metrics = exact(benchmark, result["metrics"], set(order))
            known = {name: value for name, value in metrics.items() if value is not None}
            assert known
            assert known == pytest.approx(dict.fromkeys(known, 100.0)), (task, convention, order)
            assert result["coverage"]["missing_ids"] == result["coverage"]["extra_ids"] == []
            assert result["coverage"]["unusable"] == []
    return set(dataset.report)
