"""``score`` as a call and as a command: form of the result, coverage, formats, wrong calls."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from videoexpert.annotations.readers import BENCHMARKS, SCORED
from videoexpert.apps.cli import main
from videoexpert.apps.commands import score as evaluation_commands
from videoexpert.errors import DataError, InputError
from videoexpert.scoring.paper import PAPER_TABLES
from videoexpert.scoring.score import SCORERS, score
from videoexpert.scoring.tables import render

CHARADES = "AAA 0.0 10.0##a person sits.\nAAA 10.0 20.0##a person stands.\nBBB 5.0 9.0##a dog runs.\n"


@pytest.fixture
def charades(tmp_path: Path) -> tuple[Path, Path]:
    """Predictions of two of three queries, and one that nobody asked; the folder of the annotations."""
    (tmp_path / "charades_sta_test.txt").write_text(CHARADES)
    rows = [
        {"id": "AAA_1", "moments": [{"start": 0, "end": 10, "score": 0.9}]},
        {"id": "BBB_3", "moments": [{"start": 50, "end": 60, "score": 0.9}]},
        {"id": "CCC_1", "moments": [{"start": 0, "end": 10, "score": 0.9}]},
    ]
    predictions = tmp_path / "predictions.jsonl"
    predictions.write_text("\n".join(map(json.dumps, rows)))
    return predictions, tmp_path / "charades_sta_test.txt"


def test_result(charades: tuple[Path, Path]) -> None:
    result = score("charades-sta", *charades)
    assert list(result) == ["benchmark", "metrics", "coverage", "intervals", "run"]
    assert result["metrics"] == pytest.approx(dict.fromkeys(("R1@0.3", "R1@0.5", "R1@0.7", "mIoU"), 100 / 3))
    assert result["coverage"]["missing_ids"] == ["AAA_2"]
    assert result["coverage"]["extra_ids"] == ["CCC_1"]
    assert set(result["intervals"]) == set(result["metrics"])
    for low, high in result["intervals"].values():
        assert 0 <= low <= 100 / 3 <= high <= 100
    assert (result["run"]["convention"], result["run"]["missing"]) == ("corrected", "wrong")
    assert score("charades-sta", *charades, missing="skip")["metrics"]["mIoU"] == pytest.approx(50)
    assert score("charades-sta", *charades, convention="official")["run"]["missing"] == "skip"
    assert score("charades-sta", *charades, convention="official", missing="wrong")["metrics"]["mIoU"] < 50


def test_folder_and_split(charades: tuple[Path, Path]) -> None:
    predictions, annotations = charades
    whole = score("charades-sta", predictions, annotations.parent)
    assert whole["metrics"] == score("charades-sta", predictions, annotations)["metrics"]
    annotations.rename(annotations.with_name("charades_sta_train.txt"))
    assert (
        score("charades-sta", predictions, annotations.parent, split="train")["metrics"] == whole["metrics"]
    )
    with pytest.raises(DataError, match="charades_sta_test"):
        score("charades-sta", predictions, annotations.parent, split="test")


def test_formats(charades: tuple[Path, Path]) -> None:
    result = score("charades-sta", *charades)
    assert json.loads(render(result, "json")) == result
    for style in ("table", "markdown"):
        text = render(result, style)
        assert "33.33" in text
        assert "2 of 3 predicted, 3 in the means" in text
        assert "1 missing, counted as wrong: AAA_2" in text
        assert "CCC_1" in text
        assert "Charades-STA, split test (3 records, 2 videos), corrected convention" in text
        assert "The paper's Table II: Charades-STA, test is of split test (3720 records, 1334 videos)" in text
        assert "VideoExpert (paper)" not in text
    with pytest.raises(InputError, match="format is 'xml'"):
        render(result, "xml")


def test_the_papers_rows_stand_beside_the_same_data_only(
    charades: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    small = replace(BENCHMARKS["charades-sta"], published={"test": {"records": 3, "videos": 2}})
    monkeypatch.setitem(BENCHMARKS, "charades-sta", small)
    result = score("charades-sta", *charades)
    assert result["run"]["data"] == {"split": "test", "records": 3, "videos": 2, "published": True}
    text = render(result)
    assert "split test (3 records, 2 videos, as published)" in text
    assert "VideoExpert (paper)" in text
    assert "74.30" in text
    # eval --limit: only a part was answered
    result["run"]["limit"] = 2
    assert "VideoExpert (paper)" not in render(result)
    # the same file under another name: nobody knows which split it is
    unnamed = charades[1].rename(charades[1].with_name("lines.txt"))
    assert "VideoExpert (paper)" not in render(score("charades-sta", charades[0], unnamed))


def test_ids_of_foreign_files_are_escaped(tmp_path: Path) -> None:
    (tmp_path / "charades_sta_test.txt").write_text("A\x1b[2J 0.0 10.0##a person sits.\n")
    (tmp_path / "p.json").write_text("[]")
    text = render(score("charades-sta", tmp_path / "p.json", tmp_path))
    assert "A\\x1b[2J_1" in text
    assert "\x1b" not in text


ANOTHER = [{"id": f"{i}", "video": "other", "query": "x", "moments": []} for i in range(30)]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "holds no prediction"),
        (ANOTHER, "are not about the same items: 0 of 30 predictions belong to one of 40 annotated items"),
        # two of thirty ids meet by chance
        ([*({"id": f"AAA_{i}", "moments": []} for i in (1, 2)), *ANOTHER[2:]], "2 of 30 predictions"),
    ],
)
def test_a_file_about_other_items_stops_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rows: list[Any], message: str
) -> None:
    (tmp_path / "charades_sta_test.txt").write_text("AAA 0.0 9.0##a person sits.\n" * 40)
    (tmp_path / "p.json").write_text(json.dumps(rows))
    arguments = [
        "score",
        "charades-sta",
        "--predictions",
        str(tmp_path / "p.json"),
        "--annotations",
        str(tmp_path),
    ]
    assert main(arguments) == 1
    assert message in capsys.readouterr().err
    few = [{"id": "AAA_1", "moments": []}]
    (tmp_path / "p.json").write_text(json.dumps(few))
    assert main(arguments) == 0  # a part of the items, but of these


def test_numbers_of_another_split_are_not_taken_for_ids(tmp_path: Path) -> None:
    """Ids are plain numbers in several data sets; the video tells that a row is of another split."""
    row = {"qid": 7, "query": "a dog", "duration": 8, "vid": "a", "relevant_windows": [[0, 4]]}
    (tmp_path / "highlight_val_release.jsonl").write_text(json.dumps(row))
    own = {"qid": 7, "vid": "b", "query": "a cat", "pred_relevant_windows": [[0, 4, 1.0]]}
    (tmp_path / "p.jsonl").write_text(json.dumps(own))
    result = score("qvhighlights", tmp_path / "p.jsonl", tmp_path)
    assert (result["coverage"]["predicted"], result["coverage"]["extra_ids"]) == (0, ["7"])
    assert (
        score("qvhighlights", tmp_path / "p.jsonl", tmp_path, convention="official")["metrics"]["mAP"] == 100
    )


def test_undefined_metrics_are_null_and_drawn_as_dashes(tmp_path: Path) -> None:
    truth = {
        "qid": 1,
        "vid": "v",
        "query": "a dog",
        "duration": 40,
        "relevant_windows": [[0, 8]],
        "relevant_clip_ids": [],
        "saliency_scores": [],
    }
    annotations, predictions = tmp_path / "highlight_val_release.jsonl", tmp_path / "p.jsonl"
    annotations.write_text(json.dumps(truth))
    predictions.write_text(json.dumps({"qid": 1, "pred_relevant_windows": [[0, 8, 1.0]]}))
    result = score("qvhighlights", predictions, tmp_path)
    assert result["metrics"]["mAP/long"] is None
    assert result["intervals"]["mAP/long"] is None
    assert json.loads(render(result, "json"))["metrics"]["mAP"] == pytest.approx(100)
    line = next(line for line in render(result).splitlines() if line.split()[:1] == ["mAP/long"])
    assert line.split() == ["mAP/long", "-", "-"]


def test_activitynet_holds_both_tasks(tmp_path: Path) -> None:
    record = {"v_x": {"duration": 20.0, "timestamps": [[0, 5], [5, 20]], "sentences": ["One.", "Two."]}}
    annotations, predictions = tmp_path / "val_1.json", tmp_path / "p.jsonl"
    annotations.write_text(json.dumps(record))
    row = {"video": "v_x", "query": "Two.", "moments": [{"start": 5, "end": 20}]}
    predictions.write_text(json.dumps(row))
    metrics = score("activitynet-captions", predictions, annotations)["metrics"]
    assert metrics["R1@0.7"] == 50
    assert "SODA_c" not in metrics
    with pytest.raises(InputError, match="one annotation file"):
        score("activitynet-captions", predictions, [annotations, annotations])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"benchmark": "charades"}, "benchmark is 'charades'"),
        ({"convention": "loose"}, "convention is 'loose'"),
        ({"missing": "ignore"}, "missing is 'ignore'"),
        ({"questions": "q.csv"}, "belong to nextgqa"),
        ({"split": "test"}, "is one file"),
        ({"annotations": ["a", "b"]}, "takes one annotation file"),
        ({"annotations": []}, "no annotation file"),
    ],
)
def test_wrong_calls(charades: tuple[Path, Path], arguments: dict[str, Any], message: str) -> None:
    call = {"benchmark": "charades-sta", "predictions": charades[0], "annotations": charades[1]} | arguments
    with pytest.raises(InputError, match=message):
        score(**call)


def test_paper_rows_are_complete() -> None:
    assert set(PAPER_TABLES) <= set(SCORED)
    assert {BENCHMARKS[name].scorer for name in SCORED} == set(SCORERS)
    for table in PAPER_TABLES.values():
        assert any(row.method == "VideoExpert (paper)" for row in table.rows)
        for row in table.rows:
            assert len(row.values) == len(table.columns), (table.title, row.method)
            assert all(value is None or 0 <= value <= 100 for value in row.values)


def application() -> typer.Typer:
    app = typer.Typer(pretty_exceptions_enable=False)
    app.callback()(lambda: None)
    evaluation_commands.register(app)
    return app


def test_command(charades: tuple[Path, Path]) -> None:
    options = ["score", "charades-sta", "--predictions", str(charades[0]), "--annotations", str(charades[1])]
    done = CliRunner().invoke(application(), [*options, "--format", "json", "--missing", "skip"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["metrics"]["mIoU"] == pytest.approx(50)
    assert "R1@0.5" in CliRunner().invoke(application(), options).stdout
    failed = CliRunner().invoke(application(), [*options, "--format", "xml"])
    assert isinstance(failed.exception, InputError)


def test_scoring_does_not_import_what_it_does_not_need(charades: tuple[Path, Path]) -> None:
    script = (
        "import sys\n"
        "from videoexpert.scoring.score import score\n"
        "from videoexpert.scoring.tables import render\n"
        "from videoexpert.scoring import gqa, highlights\n"
        "render(score('charades-sta', sys.argv[1], sys.argv[2]))\n"
        "heavy = {'torch', 'transformers', 'matplotlib', 'scipy', 'pandas'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, *map(str, charades)], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize(
    ("convention", "missing", "handed_on"),
    [
        ("official", None, None),
        ("official", "skip", False),
        ("corrected", None, True),
        ("corrected", "skip", False),
    ],
)
def test_an_official_caption_scorer_keeps_its_own_rule_for_missing_videos(
    tmp_path, monkeypatch, convention, missing, handed_on
):
    """TimeChat counts a missing video 0, densevid leaves it out: only the caller's word overrules that."""
    from videoexpert.scoring.captions import scoring as caption_scoring

    heard = {}

    def stop(*_, **options):
        heard.update(options)
        raise RuntimeError("heard enough")

    monkeypatch.setattr(caption_scoring, "score_captions", stop)
    truth = {"v": {"duration": 9.0, "timestamps": [[0, 1]], "sentences": ["a man"]}}
    (tmp_path / "g.json").write_text(json.dumps(truth))
    (tmp_path / "p.json").write_text(json.dumps({"results": {"v": [{"sentence": "a", "timestamp": [0, 1]}]}}))
    with pytest.raises(RuntimeError, match="heard enough"):
        score("youcook2", tmp_path / "p.json", tmp_path / "g.json", convention=convention, missing=missing)
    assert heard["missing_is_wrong"] is handed_on
