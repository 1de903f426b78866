"""`eval`: resumed equals uninterrupted, broken videos are told, every benchmark's own files are answered."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from videoexpert import files
from videoexpert.annotations.samples import Sample
from videoexpert.errors import InputError, WriteError
from videoexpert.evaluation.guesses import ConstantGuess, RandomGuess, best_constant
from videoexpert.evaluation.runner import evaluate
from videoexpert.evaluation.systems import Row
from videoexpert.locks import held
from videoexpert.synthetic.write import WorldRecipe, annotation_files

SPLITS = {
    "charades-sta": "test",
    "qvhighlights": "val",
    "youcook2": "validation",
    "nextqa": "test",
    "nextgqa": "test",
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Annotations of a small held-out world, with files in place of the videos that no guess opens."""
    folder = tmp_path_factory.mktemp("world")
    recipe = WorldRecipe(videos=8, seed=5, test_share=1.0)
    scripts = [recipe.script(i) for i in range(8)]
    for name, text in annotation_files(recipe, scripts).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, newline="")
    (folder / "videos").mkdir()
    for script in scripts:
        (folder / "videos" / f"{script.id}.mp4").write_bytes(b"not opened")
    return folder


def annotations(world: Path, benchmark: str) -> Path:
    return world / ("youcook2/youcookii_annotations_trainval.json" if benchmark == "youcook2" else benchmark)


class Perfect(RandomGuess):
    """Answers with the truth; stops like a killed process after ``limit`` samples."""

    name = "perfect"

    def __init__(self, limit: int | None = None) -> None:
        super().__init__()
        self.left = limit

    def answer(self, path: Path, samples: list[Sample]) -> Iterator[Row]:
        for row, sample in zip(super().answer(path, samples), samples, strict=True):
            if self.left is not None:
                if self.left == 0:
                    raise KeyboardInterrupt
                self.left -= 1
            row["moments"] = [
                {
                    "start": a,
                    "end": b,
                    "score": 1.0,
                    **({"text": sample.captions[i]} if sample.captions else {}),
                }
                for i, (a, b) in enumerate(sample.windows)
            ]
            if sample.choice is not None:
                row["choice"] = sample.choice
            if sample.saliency is not None:
                row["saliency"] = [float(sum(clip)) for clip in sample.saliency]
            yield row


@pytest.mark.parametrize("benchmark", ["charades-sta", "qvhighlights", "nextqa", "nextgqa"])
def test_the_truth_scores_a_hundred_and_resuming_changes_nothing(benchmark, world, tmp_path):
    whole = evaluate(benchmark, Perfect(), annotations(world, benchmark), world / "videos", tmp_path / "a",
                     split=SPLITS[benchmark])  # fmt: skip
    for name in ("R1@0.7", "mAP", "HIT@1", "Acc@QA", "Acc@GQA"):
        if whole.result["metrics"].get(name) is not None and name != "HIT@1":
            assert whole.result["metrics"][name] == pytest.approx(100.0), name
    assert whole.failed == {}
    with pytest.raises(KeyboardInterrupt):
        evaluate(benchmark, Perfect(5), annotations(world, benchmark), world / "videos", tmp_path / "b",
                 split=SPLITS[benchmark])  # fmt: skip
    part = tmp_path / "b" / "predictions.jsonl"
    part.write_text(part.read_text() + '{"id": "cut sho')
    evaluate(benchmark, Perfect(), annotations(world, benchmark), world / "videos", tmp_path / "b",
             split=SPLITS[benchmark])  # fmt: skip
    one, other = (json.loads((tmp_path / f / "result.json").read_text()) for f in "ab")
    for result in (one, other):
        result["run"].pop("predictions")
    assert one == other
    assert (tmp_path / "a" / "predictions.jsonl").read_bytes() == part.read_bytes()
    assert not list((tmp_path / "b").glob("*.part"))


def test_qvhighlights_writes_the_submission(world, tmp_path):
    evaluate("qvhighlights", Perfect(), world / "qvhighlights", world / "videos", tmp_path, split="val")
    with zipfile.ZipFile(tmp_path / "submission.zip") as archive:
        rows = [json.loads(line) for line in archive.read("hl_val_submission.jsonl").splitlines()]
    assert rows
    assert set(rows[0]) == {"qid", "query", "vid", "pred_relevant_windows", "pred_saliency_scores"}
    assert isinstance(rows[0]["qid"], int)
    assert len(rows[0]["pred_relevant_windows"][0]) == 3


def test_a_missing_video_is_told_and_its_samples_count_as_wrong(world, tmp_path):
    videos = tmp_path / "videos"
    videos.mkdir()
    for file in sorted((world / "videos").iterdir())[1:]:
        (videos / file.name).write_bytes(b"x")
    outcome = evaluate(
        "charades-sta", Perfect(), world / "charades-sta", videos, tmp_path / "out", split="test"
    )
    assert list(outcome.failed) == ["s5v00000"]
    assert "no file for s5v00000" in outcome.failed["s5v00000"]
    assert 0 < outcome.result["metrics"]["R1@0.5"] < 100


def test_limit_counts_no_other_sample_as_missing(world, tmp_path):
    outcome = evaluate(
        "charades-sta", Perfect(), world / "charades-sta", world / "videos", tmp_path, split="test", limit=3
    )
    assert outcome.result["metrics"]["R1@0.7"] == pytest.approx(100.0)
    assert len((tmp_path / "predictions.jsonl").read_text().splitlines()) == 3
    assert outcome.result["run"]["limit"] == 3


def test_two_runs_do_not_mix_in_one_folder(world, tmp_path):
    evaluate(
        "charades-sta", Perfect(), world / "charades-sta", world / "videos", tmp_path, split="test", limit=2
    )
    with pytest.raises(InputError, match="another model, data or version"):
        evaluate(
            "charades-sta",
            RandomGuess(),
            world / "charades-sta",
            world / "videos",
            tmp_path,
            split="test",
            limit=2,
        )


def test_a_benchmark_without_videos_is_refused(world, tmp_path):
    with pytest.raises(InputError, match="benchmark is 'video-chatgpt', expected one of charades-sta"):
        evaluate("video-chatgpt", RandomGuess(), world, world / "videos", tmp_path)


def test_best_constant_by_hand():
    assert best_constant(np.array([[0.25, 0.5], [0.25, 0.5], [0.9, 1.0]])) == (0.25, 0.5)
    train = [Sample("a", "v", "grounding", 8.0, "q", ((2.0, 4.0),))]
    guess = ConstantGuess(train)
    rows = list(guess.answer(Path("v.mp4"), [Sample("b", "w", "grounding", 20.0, "q", ((0.0, 1.0),))]))
    assert rows[0]["moments"] == [{"start": 5.0, "end": 10.0, "score": 1.0}]
    with pytest.raises(InputError, match="no window with a duration"):
        ConstantGuess([Sample("a", "v", "grounding", None, "q", ((2.0, 4.0),))])


def test_random_is_seeded_by_the_sample():
    sample = Sample(
        "a", "v", "grounded_qa", 10.0, "q", ((0.0, 1.0),), choices=("x", "y", "z"), answer="x", choice=0
    )
    first, second = (next(iter(RandomGuess().answer(Path("v"), [sample]))) for _ in range(2))
    assert first == second
    assert 0 <= first["moments"][0]["start"] <= first["moments"][0]["end"] <= 10
    assert first["answer"] == sample.choices[first["choice"]]


def run(world, out, system=None, name="charades-sta"):
    return evaluate(
        name, system or Perfect(), annotations(world, name), world / "videos", out, split=SPLITS[name]
    )


def test_a_folder_that_another_run_holds_is_refused(world, tmp_path):
    with held(tmp_path), pytest.raises(InputError, match=r"in use by process \d+ on this machine"):
        run(world, tmp_path)


@pytest.mark.parametrize("left", [b"", b"{", b'{"benchmark": "char', b"\xff\xfe\0"])
@pytest.mark.parametrize("predicted", [False, True])
def test_what_a_full_disk_left_of_the_run_file_locks_nobody_out(world, tmp_path, left, predicted):
    whole = run(world, tmp_path / "a")
    out = tmp_path / "b"
    out.mkdir()
    (out / "run.json").write_bytes(left)
    if predicted:  # by whom, nobody knows
        rows = (tmp_path / "a" / "predictions.jsonl").read_text().replace('"score": 1.0', '"score": 0.5')
        (out / "predictions.jsonl").write_text(rows)
    assert run(world, out).result["metrics"] == whole.result["metrics"]
    for name in ("run.json", "predictions.jsonl"):
        assert (out / name).read_bytes() == (tmp_path / "a" / name).read_bytes()
    assert (out / "predictions.set-aside").exists() == predicted


@pytest.mark.parametrize(
    "damage", [b"\xc3", b"\0\0\0\0\n", b"{}\n[1]\nnull\n7\n", b'{"id": 5}\n', b"\xc3\n{\n"]
)
def test_damaged_rows_are_answered_again(world, tmp_path, damage):
    whole = run(world, tmp_path / "a")
    run(world, tmp_path / "b")
    file = tmp_path / "b" / "predictions.jsonl"
    rows = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(rows[:4]) + damage)
    assert run(world, tmp_path / "b").result["metrics"] == whole.result["metrics"]
    assert file.read_bytes() == b"".join(rows)


def test_a_full_disk_is_told_and_after_freeing_it_nothing_differs(world, tmp_path, monkeypatch):
    whole = run(world, tmp_path / "a")
    append, calls = files.append_lines, []

    def full(path, text):
        calls.append(path)
        if len(calls) == 4:
            with path.open("a") as file:
                file.write(text[:20])
            raise WriteError(f"{path} cannot be written: no space is left on the disk.")
        append(path, text)

    monkeypatch.setattr(files, "append_lines", full)
    with pytest.raises(WriteError, match="no space is left"):
        run(world, tmp_path / "b")
    assert not (tmp_path / "b" / ".lock").exists()
    monkeypatch.undo()
    assert run(world, tmp_path / "b").result["metrics"] == whole.result["metrics"]
    assert (tmp_path / "b" / "predictions.jsonl").read_bytes() == (
        tmp_path / "a" / "predictions.jsonl"
    ).read_bytes()


def test_a_query_that_no_model_can_read_is_one_failed_sample(world, tmp_path):
    source = json.loads(
        (annotations(world, "qvhighlights") / "highlight_val_release.jsonl").read_text().splitlines()[0]
    )
    lines = [
        source | {"qid": 2, "query": "a" * 5000, "vid": "world_0_2"},
        source | {"qid": 3, "vid": "v" * 300},
        source | {"qid": 4, "vid": "../../etc/passwd"},
        source | {"qid": 5},
    ]
    file = tmp_path / "highlight_val_release.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = evaluate("qvhighlights", Perfect(), file, world / "videos", tmp_path / "out")
    assert set(found.failed) == {"2", "v" * 300, "../../etc/passwd"}
    assert "VIDEOEXPERT_MAX_QUERY_CHARACTERS" in found.failed["2"]
    assert "leaves the folder" in found.failed["../../etc/passwd"]
    (row,) = [json.loads(line) for line in (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()]
    assert row["id"] == "5"


class Odd(Perfect):
    """Fails at one video as no one expected."""

    def answer(self, path: Path, samples: list[Sample]) -> Iterator[Row]:
        if samples[0].video.endswith("3"):
            raise IndexError("list index out of range")
        yield from super().answer(path, samples)


def test_an_error_that_nobody_expected_is_one_failed_video(world, tmp_path):
    found = run(world, tmp_path / "a", Odd())
    assert len(found.failed) == 1
    assert next(iter(found.failed.values())) == "IndexError: list index out of range"
