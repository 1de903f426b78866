"""`eval`: resumed equals uninterrupted, broken videos are told, every benchmark's own files are answered."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from videoexpert.annotations.samples import Sample
from videoexpert.errors import InputError
from videoexpert.evaluation.guesses import ConstantGuess, RandomGuess, best_constant
from videoexpert.evaluation.runner import evaluate
from videoexpert.evaluation.systems import Row
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
