"""reports/heldout.py: hand-worked measures, provenance, README's tables, and the whole at toy size."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch

import heldout
from videoexpert.annotations.readers import read
from videoexpert.apps import cli
from videoexpert.assets import SHIPPED_MODEL
from videoexpert.checkpoints import folder as checkpoint
from videoexpert.evaluation.guesses import ConstantGuess
from videoexpert.scoring.captions import text as caption_text
from videoexpert.session import shipped_config
from videoexpert.synthetic.write import WorldRecipe
from videoexpert.types import Moment, Moments


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def write_rows(file: Path, rows: list[dict[str, Any]]) -> None:
    write(file, "".join(json.dumps(row) + "\n" for row in rows))


@pytest.mark.parametrize(
    ("moment", "window", "expected"),
    [
        ((2.0, 6.0), (2.0, 6.0), 1.0),
        ((0.0, 2.0), (0.0, 4.0), 1 / 2),  # one inside the other
        ((0.0, 4.0), (1.0, 2.0), 1 / 4),
        ((0.0, 3.0), (2.0, 5.0), 1 / 5),
        ((2.0, 5.0), (0.0, 3.0), 1 / 5),
        ((0.0, 2.0), (2.0, 4.0), 0.0),  # they touch
        ((0.0, 1.0), (5.0, 9.0), 0.0),
        ((3.0, 3.0), (3.0, 3.0), 0.0),  # nothing and nothing
    ],
)
def test_overlap_by_hand(moment, window, expected):
    assert heldout.overlap({"start": moment[0], "end": moment[1]}, window) == pytest.approx(expected)


def test_events_described_by_hand(tmp_path):
    def event(sentence: str, start: float, end: float) -> dict[str, Any]:
        return {"sentence": sentence, "segment": [start, end]}

    def told(text: str, start: float, end: float) -> dict[str, Any]:
        return {"text": text, "start": start, "end": end, "score": 1.0}

    database = {
        "v1": {
            "annotations": [
                event("a falls", 0, 4),  # told second, at an IoU of exactly a half
                event("b grows", 10, 20),  # told at 4.9 of 10 seconds
                event("c turns", 20, 30),  # told of another thing
            ]
        },
        "v2": {"annotations": [event("d rises", 5, 6), event("a falls", 7, 8)]},  # the latter told in v1 only
    }
    write(tmp_path / "world/youcook2/youcookii_annotations_trainval.json", json.dumps({"database": database}))
    first = [told("a falls.", 9, 10), told("a falls.", 0, 2), told("b grows.", 10, 14.9)]
    first += [told("d turns.", 20, 30), told("a falls.", 7, 8)]
    rows = [{"video": "v2", "moments": [told("d rises", 5, 6)]}, {"video": "v1", "moments": first}]
    write_rows(tmp_path / "out/predictions.jsonl", rows)
    assert heldout.described(tmp_path / "out", tmp_path / "world") == pytest.approx(100 * 2 / 5)


class FakeExpert:
    """Knows two queries that are not in v1: it sees through the first. Opens nothing else."""

    config = SimpleNamespace(absent_below=0.5)

    def open(self, path: Path) -> FakeExpert:
        assert (path.parent.name, path.name) == ("videos", "v1.mp4")
        return self

    def ground(self, queries: list[str]) -> list[Moments]:
        assert queries == ["x grows", "y grows"]
        return [
            Moments("x grows", (Moment(0, 4, 0.1), Moment(5, 9, 0.9)), presence=0.4, absent=True),
            Moments("y grows", (Moment(5, 9, 0.3), Moment(0, 4, 0.2)), presence=0.7, absent=False),
        ]


def test_absence_by_hand(tmp_path):
    lines = "v1 0.0 4.0##a falls.\nv2 2.0 6.0##b falls.\nv1 5.0 9.0##c falls.\n"
    write(tmp_path / "world/charades-sta/charades_sta_test.txt", lines)
    videos = [{"id": "v1", "absent_queries": ["x grows", "y grows"]}, {"id": "v2", "absent_queries": []}]
    write(tmp_path / "world/world.json", json.dumps({"videos": videos}))

    def row(name: str, presence: float, *moments: tuple[float, float, float]) -> dict[str, Any]:
        found = [{"start": start, "end": end, "score": score} for start, end, score in moments]
        return {"id": name, "presence": presence, "moments": found}

    rows = [
        row("v1_3", 0.4, (0, 4, 0.3), (5, 9, 0.25)),  # wrong: the window of the other query on v1
        row("v1_1", 0.9, (0, 2, 0.9), (5, 9, 0.8)),  # right, at an IoU of exactly a half
        row("v2_2", 0.5, (2, 6, 0.62)),  # right; its presence is the threshold, which is not below it
    ]
    write_rows(tmp_path / "out/predictions.jsonl", rows)
    found = heldout.absence(FakeExpert(), tmp_path / "out", tmp_path / "world")
    # present 0.9, 0.5, 0.4 against absent 0.4, 0.7: 2 + 1 + 1/2 of 6 pairs
    # scores of first moments 0.9 and 0.62 right, 0.3, 0.1 and 0.3 wrong; both of 0.3 in one bin
    assert found == {
        "AUC": pytest.approx(100 * 3.5 / 6),
        "absent said absent": pytest.approx(50),
        "present said absent": pytest.approx(100 / 3),
        "ECE of the first moment": pytest.approx(100 * (0.1 + 0.38 + 0.6 + 0.1) / 5),
    }


class Answering:
    """Opens a video at some number of frames, answers each question from a list, and finds one moment."""

    answers: ClassVar = {"what falls": "The red circle.", "what grows": "blue square"}

    def open(self, path: Path, num_frames: int = 64) -> Answering:
        self.end = 10.0 if num_frames > 32 else 4.0
        return self

    def ask(self, question: str) -> SimpleNamespace:
        return SimpleNamespace(text=self.answers[question])

    def ground(self, queries: list[str], top_k: int) -> list[Moments]:
        return [Moments(query, (Moment(0.0, self.end, 0.9),), presence=0.9) for query in queries]


def test_open_questions_by_hand(tmp_path):
    rows = "v1,what falls,red circle\nv2,what grows,blue square\nv2,what falls,the red circle\n"
    write(tmp_path / "nextgqa/test.csv", "video_id,question,answer\n" + rows)
    found = heldout.open_questions(Answering(), tmp_path)
    assert found == {"exact match": pytest.approx(200 / 3), "questions": 3}


def test_numbers_of_frames_by_hand(tmp_path):
    write(tmp_path / "charades-sta/charades_sta_test.txt", "v1 0.0 9.0##a falls.\nv2 0.0 4.0##b falls.\n")
    assert heldout.by_frames(Answering(), tmp_path) == {"32": 50.0, "64": 50.0, "128": 50.0}
    write(tmp_path / "charades-sta/charades_sta_test.txt", "v1 0.0 9.0##a falls.\n")
    assert heldout.by_frames(Answering(), tmp_path) == {"32": 0.0, "64": 100.0, "128": 100.0}


def test_the_constant_guess_has_windows_of_training_videos_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(heldout, "TRAINING_VIDEOS", 4)
    heldout.write_annotations(tmp_path, level=1)
    recipe = WorldRecipe(videos=4, seed=heldout.TRAINING_SEED, level=1, test_share=0.0)
    scripts = [recipe.script(i) for i in range(4)]
    events = {f"{s.id} {e.start:.1f} {e.end:.1f}" for s in scripts for e in s.events}
    folder = tmp_path / "charades-sta"
    lines = (folder / "charades_sta_train.txt").read_text().splitlines()
    assert lines
    assert {line.split("##")[0] for line in lines} <= events  # an event that comes twice is no question
    assert {line.split()[0] for line in lines} == {s.id for s in scripts}
    assert (folder / "charades_sta_test.txt").read_text() == ""
    assert not list(tmp_path.rglob("*.mp4"))
    start, end = ConstantGuess(read("charades-sta", folder, split="train").samples).span
    assert 0 <= start < end <= 1


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository of one file that the script believes to be its own; the test stands outside of it."""
    folder = tmp_path / "own"
    write(folder / "tracked.py", "one = 1\n")
    git(folder, "init")
    git(folder, "add", "tracked.py")
    git(folder, "commit", "-m", "one")
    git(folder, "tag", "-a", "v1", "-m", "v1")
    monkeypatch.setattr(heldout, "ROOT", folder)
    monkeypatch.chdir(tmp_path)
    return folder


def test_the_commit_is_of_the_scripts_own_repository(repository, tmp_path, monkeypatch):
    own = git(repository, "rev-parse", "--short", "HEAD")
    assert heldout.commit() == own
    (repository / "untracked.txt").write_text("")
    assert heldout.commit() == own
    (repository / "tracked.py").write_text("one = 2\n")
    assert heldout.commit() == f"{own}-dirty"
    git(repository, "add", "tracked.py")
    assert heldout.commit() == f"{own}-dirty"
    monkeypatch.setattr(heldout, "ROOT", tmp_path)
    assert heldout.commit() == "unknown"
    inside = repository / "unpacked"  # a copy without history is not of the repository around it
    inside.mkdir()
    monkeypatch.setattr(heldout, "ROOT", inside)
    assert heldout.commit() == "unknown"


def test_answers_of_two_commits_say_so(repository, tmp_path):
    first = heldout.note_commit(tmp_path / "out")
    assert heldout.note_commit(tmp_path / "out") == first == heldout.commit()
    git(repository, "commit", "--allow-empty", "-m", "two")
    assert heldout.commit() != first
    for _ in range(2):
        assert heldout.note_commit(tmp_path / "out") == f"{first}, {heldout.commit()}"


def test_a_gpu_is_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H100 80GB HBM3")
    assert heldout.made_on()["hardware"] == "NVIDIA H100 80GB HBM3"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert heldout.made_on()["hardware"].endswith(" CPU cores")


CARD = """\
| grounding (1,234 queries) | R1@0.3 | R1@0.5 | R1@0.7 | mIoU |
|---|---|---|---|---|
| shipped model | 0.2 [0.1, 0.4] | 1.2 [1.1, 1.4] | 2.2 [2.1, 2.4] | 3.2 [3.1, 3.4] |
| random window | 10.2 | 11.2 | 12.2 | 13.2 |
| constant window, best of 2,000 training videos | 20.2 | 21.2 | 22.2 | 23.2 |
| CLIP similarity of the shipped tower, not trained to localise | 30.2 | 31.2 | 32.2 | 33.2 |
| shipped model, shown another video | 40.2 | 41.2 | 42.2 | 43.2 |
| shipped model, shown a blank video | 50.2 | 51.2 | 52.2 | 53.2 |

| task | scores |
|---|---|
| highlights | HIT@1 64.2 [64.1, 64.4], HL-mAP 63.2 (Very Good); R1@0.5 60.2, mAP 62.2 |
| dense captions | SODA_c 70.2 [70.1, 70.4], CIDEr 71, METEOR not computed; 99.1 of 100 events described \
with thing and action right at IoU >= 0.5 |
| grounded QA, five choices | Acc@QA 80.2 [80.1, 80.4], Acc@GQA 81.2 [81.1, 81.4], mIoP 82.2, mIoU 84.2 |
| events that are not there | AUC 91.1; 92.1 of 100 absent queries are said to be \
absent, and 93.1 of 100 that are there |
| calibration | ECE of the first moment 94.1 |
| questions without choices | 95.1 of 1,096 answered word for word |
| other numbers of frames | R1@0.5 97.1 from 32, 98.1 from 64 frames |"""


@pytest.fixture
def report() -> dict[str, Any]:
    """No two numbers are equal."""

    def cells(benchmark: str, tens: int) -> dict[str, Any]:
        names = heldout.SHOWN[benchmark]
        return {
            m: {"value": tens + i + 0.24, "95%": [tens + i + 0.06, tens + i + 0.4]}
            for i, m in enumerate(names)
        }

    made = {
        "model": "shipped",
        "queries": 1234,
        "controls": {name: cells("charades-sta", 10 * i) for i, name in enumerate(heldout.LABELS)},
        "results": {b: cells(b, 10 * i) for i, b in enumerate(heldout.SHOWN, start=5)},
        "absence": {
            "AUC": 91.1,
            "absent said absent": 92.1,
            "present said absent": 93.1,
            "ECE of the first moment": 94.1,
        },
        "captions": {"events described": 99.1},
        "open questions": {"exact match": 95.1, "questions": 1096},
        "frames": {"32": 97.1, "64": 98.1},
    }
    made["results"]["youcook2"]["METEOR"] = {"value": None, "95%": None}  # without Java
    return made


def test_readmes_tables_by_hand(report, tmp_path, capsys):
    assert heldout.readme_tables(report) == CARD
    write(tmp_path / "saved.json", json.dumps(report))
    assert heldout.main(["--tables", str(tmp_path / "saved.json")]) == 0
    assert capsys.readouterr().out == CARD + "\n"
    for new in ("queries", "open questions", "frames"):  # older reports
        del report[new]
    older = CARD.replace(" (1,234 queries)", "").splitlines()[:-2]
    assert heldout.readme_tables(report).splitlines() == older


def test_one_job_at_a_time(tmp_path, capsys):
    for job in ([], ["--out", str(tmp_path), "--tables", "saved.json"]):
        with pytest.raises(SystemExit):
            heldout.main(job)
    assert "--tables" in capsys.readouterr().err


def test_the_whole_at_toy_size(tmp_path, monkeypatch, capsys):
    def here(*arguments: Any) -> None:
        assert cli.main([str(argument) for argument in arguments]) == 0

    monkeypatch.setattr(heldout, "run", here)
    monkeypatch.setattr(heldout, "commit", lambda: "abc1234")
    monkeypatch.setattr(
        caption_text.shutil, "which", lambda _: None
    )  # METEOR's Java takes longer than the rest
    monkeypatch.setattr(heldout, "TRAINING_VIDEOS", 5)
    file = tmp_path / "made/report.json"
    options = ["--videos", "2", "--seed", "5", "--level", "1", "--out", str(tmp_path / "out")]
    assert heldout.main([*options, "--save", str(file)]) == 0
    said, report = capsys.readouterr().out, json.loads(file.read_text())
    lines = (tmp_path / "out/world/charades-sta/charades_sta_test.txt").read_text().splitlines()
    assert (report["videos"], report["queries"], report["level"]) == (2, len(lines), 1)
    assert report["weights"] == checkpoint.digest(SHIPPED_MODEL)
    assert report["absent_below"] == shipped_config().absent_below
    assert report["commit"] == "abc1234"
    assert report["hardware"] == heldout.made_on()["hardware"]
    assert list(report["controls"]) == list(heldout.LABELS)
    systems = {}
    for name, row in report["controls"].items():
        folder = "charades-sta" if name == "model" else name
        result = json.loads((tmp_path / "out" / folder / "result.json").read_text())
        assert {m: cell["value"] for m, cell in row.items()} == {m: result["metrics"][m] for m in row}
        system = result["run"]["system"]
        # the similarity of frames and sentences is a backend like any other
        kind = "clip" if system.get("kind") == "contrastive" else None
        systems[name] = system.get("baseline", system.get("control", kind))
    assert systems == {
        "model": None,
        "random": "random",
        "constant": "constant",
        "clip": "clip",
        "shuffled": "another video",
        "blank": "blank video",
    }
    assert "CLIP similarity of the shipped tower, not trained to localise" in said
    assert heldout.readme_tables(report).startswith(f"| grounding ({len(lines)} queries) |")
