"""Ablations: each variant is the config the paper's row means, runs are shared and resumed, the numbers are right."""

from __future__ import annotations

import json
import re

import pytest
import torch
import yaml
from matplotlib.figure import Figure
from safetensors.torch import load_file

from toy_ablation import RECIPE, TOY
from training_world import make_recipe
from videoexpert.ablation import report
from videoexpert.ablation import world as ablation_world
from videoexpert.ablation.benches import open_bench
from videoexpert.ablation.own_data import DataBench, tokens_name
from videoexpert.ablation.report import (
    FAILED,
    difference,
    mean_and_interval,
    summarise,
    to_markdown,
    write_report,
)
from videoexpert.ablation.run import ablate, scores_of
from videoexpert.ablation.tables import TABLES
from videoexpert.ablation.world import BENCHMARKS
from videoexpert.apps.cli import main
from videoexpert.apps.commands.data import _fields
from videoexpert.config import VideoExpertConfig
from videoexpert.errors import DataError, InputError
from videoexpert.evaluation.runner import Outcome
from videoexpert.features.encode import TokenEncoder
from videoexpert.features.store import STORE, TOKEN_FIELDS
from videoexpert.recipes import EvaluationRecipe, load_recipe


class Counting:
    """A bench whose scores are known and that counts what it is asked for."""

    def __init__(self) -> None:
        self.config = VideoExpertConfig.from_preset("paper").to_dict()
        self.about = {"steps": 1}
        self.trained: list[tuple[str, int]] = []

    def prepare(self, variants) -> None: ...

    def train(self, fields, seed, folder):
        self.trained.append((json.dumps(dict(fields)), seed))
        if fields.get("fusion") == "attention" and len(self.trained) == 4:
            raise KeyboardInterrupt  # as a kill in the middle
        return folder

    def score(self, model, folder):
        return {"qvhighlights/R1@0.5": 50.0 + int(model.name.removeprefix("seed")), "youcook2/CIDEr": 2.0}


def test_rows_are_what_the_paper_varies():
    config = VideoExpertConfig.from_preset("paper").to_dict()
    fields = {name: [dict(v.fields) for v in table(config).variants] for name, table in TABLES.items()}
    assert fields["fusion"] == [{"fusion": "none"}, {}, {"fusion": "concat"}, {"fusion": "attention"}]
    assert fields["head"] == [{}, {"times": "text"}]
    assert fields["times"] == [{}, {"times": "text"}, {"times": "seconds"}, {"times": "tokens"}]
    assert fields["components"][1:4] == [
        {"spatial_tokens": "random"},
        {"spatial_tokens": "none"},
        {"experts": "shared"},
    ]
    assert fields["spatial"] == [
        {"spatial_tokens": "none"},
        {},
        {"tokens_per_group": 128, "key_tokens": 56},
        {"groups": 8},
        {"groups": 8, "tokens_per_group": 128, "key_tokens": 56},
    ]
    assert fields["ranks"] == [
        {"temporal_rank": 0, "spatial_rank": 64},
        {"temporal_rank": 16, "spatial_rank": 48},
        {},
        {"temporal_rank": 48, "spatial_rank": 16},
        {"temporal_rank": 64, "spatial_rank": 0},
    ]
    for name, table in TABLES.items():
        for variant in table(config).variants:  # each is a config that there is
            VideoExpertConfig.from_preset("paper", **variant.fields)
        assert table(config).reference in [v.name for v in table(config).variants], name


def test_papers_numbers_stand_at_their_metric():
    config = VideoExpertConfig.from_preset("paper").to_dict()
    concat = TABLES["fusion"](config).variants[2].paper
    assert concat["qvhighlights/mAP"] == 30.4
    assert concat["nextgqa/IoU@0.5"] == 21.2
    one_lora = TABLES["components"](config).variants[3].paper
    assert (one_lora["youcook2/CIDEr"], one_lora["nextgqa/Acc@GQA"]) == (3.6, 18.5)
    assert TABLES["spatial"](config).variants[4].paper == {"youcook2/CIDEr": 6.4}


def test_papers_rows_are_those_of_its_text(shared):
    """In order: each row of Tables VI to VIII ends in the numbers of the variant."""
    lines = (shared / "paper.txt").read_text().splitlines()
    printed = [re.findall(r"(?<=\t)[0-9.]+(?=\t|$)", line) for line in lines]
    rows = [tuple(map(float, numbers)) for numbers in printed if numbers]
    config = VideoExpertConfig.from_preset("paper").to_dict()
    for name in ("fusion", "components", "spatial"):
        for variant in TABLES[name](config).variants:
            numbers = tuple(variant.paper.values())
            assert any(row[-len(numbers) :] == numbers for row in rows), (name, variant.name)


def test_papers_rows_keep_their_names():
    small = VideoExpertConfig.from_preset("paper", groups=2, tokens_per_group=4, key_tokens=2).to_dict()
    result = ablate_rows(TABLES["spatial"](small))
    text = to_markdown(summarise(result))
    assert "| 2 x 4 | 1.0 |" in text
    assert "| 4 x 64 | 6.0 |" in text  # the paper's
    assert "\n| w/o `<LOC>` | 1.0 |" in to_markdown(summarise(ablate_rows(TABLES["fusion"](small))))


def ablate_rows(table, **scores):
    """What ``ablate`` gives of a table where every variant scores 1."""
    rows = [
        {
            "name": v.name,
            "paper": dict(v.paper),
            "paper_name": v.paper_name or v.name,
            "scores": [dict.fromkeys(table.metrics, 1.0) | scores],
        }
        for v in table.variants
    ]
    fields = {"title": table.title, "reference": table.reference, "metrics": list(table.metrics)}
    return {"table": table.name, **fields, "seeds": 1, "about": {}, "rows": rows}


def test_runs_are_resumed_and_shared_between_tables(tmp_path):
    bench = Counting()
    with pytest.raises(KeyboardInterrupt):
        ablate("fusion", bench, 1, tmp_path, log=lambda _: None)
    assert len(bench.trained) == 4
    found = ablate("fusion", bench, 1, tmp_path, log=lambda _: None)
    assert len(bench.trained) == 5  # only the one that was cut off
    ablate("head", bench, 2, tmp_path, log=lambda _: None)
    assert bench.trained[5:] == [("{}", 2), ('{"times": "text"}', 1), ('{"times": "text"}', 2)]
    assert [row["scores"][0]["qvhighlights/R1@0.5"] for row in found["rows"]] == [51.0] * 4


def test_means_and_intervals_by_hand():
    assert mean_and_interval([4.0]) == (4.0, None)
    mean, half = mean_and_interval([1.0, 2.0, 3.0])
    assert mean == 2.0
    assert half == pytest.approx(4.303 * (1 / 3) ** 0.5)  # t of two degrees, s = 1
    _, half = mean_and_interval([0.0] * 10 + [11.0])
    assert half == pytest.approx(2.228, abs=1e-9)  # t of ten degrees, s = 11 / sqrt(11)
    _, half = mean_and_interval([0.0] * 48 + [7.0])
    assert half == pytest.approx(1.96 / 7, abs=1e-9)  # s = 1: the normal's


def test_a_metric_that_a_seed_lacks_has_no_mean(tmp_path):
    table = TABLES["head"](VideoExpertConfig.from_preset("paper").to_dict())
    result = ablate_rows(table)
    result["rows"][0]["scores"].append({})
    text = to_markdown(summarise(result))
    assert "| Ours | " + " | ".join("-" * len(table.metrics)) + " |" in text


def test_videos_that_failed_are_told_under_the_table():
    table = TABLES["head"](VideoExpertConfig.from_preset("paper").to_dict())
    assert "could not be answered" not in to_markdown(
        summarise(ablate_rows(table, **{f"nextgqa/{FAILED}": 0}))
    )
    text = to_markdown(summarise(ablate_rows(table, **{f"nextgqa/{FAILED}": 2})))
    assert "count as wrong: Ours, seed 1: 2 of nextgqa; w/o temporal head, seed 1: 2 of nextgqa." in text


def test_failed_videos_are_counted():
    outcome = Outcome({"metrics": {"mIoU": 4.0, "mAP": None}}, {"a.mp4": "broken"})
    assert scores_of("tvsum", outcome) == {"tvsum/mIoU": 4.0, f"tvsum/{FAILED}": 1}


def test_no_picture_without_a_number_to_compare_with(tmp_path):
    result = ablate_rows(TABLES["head"](VideoExpertConfig.from_preset("paper").to_dict()))
    write_report(result, tmp_path)
    assert (tmp_path / "head.png").exists()
    for row in result["rows"]:
        row["scores"] = [dict.fromkeys(row["scores"][0], 0.0)]
    write_report(result, tmp_path)  # in percent of 0
    assert not (tmp_path / "head.png").exists()
    assert "| Ours | 0.0 |" in (tmp_path / "head.md").read_text()


def test_an_interval_beyond_its_panel_ends_in_an_arrow():
    rows = [
        {
            "name": "a",
            "mean": {"x/y": 50.0},
            "interval": {"x/y": 40.0},
            "paper": {},
        },  # 20 to 180 percent of a
        {"name": "b", "mean": {"x/y": 50.0}, "interval": {"x/y": 25.0}, "paper": {}},  # 50 to 150
    ]
    axes = Figure().add_subplot()
    report._panel(axes, {"rows": rows}, rows[0], "x/y", report.WIDEST)
    arrows = [line for line in axes.lines if line.get_marker() == ">"]
    assert [(list(line.get_xdata()), list(line.get_ydata())) for line in arrows] == [([160.0], [0])]


@pytest.mark.parametrize("table", ["head", "times"])
def test_the_legend_names_the_paper_where_its_numbers_are_drawn(table, tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(report, "fit_fonts", figures.append)
    result = ablate_rows(TABLES[table](VideoExpertConfig.from_preset("paper").to_dict()))
    report.draw(summarise(result), tmp_path / "a.png")
    labels = [text.get_text() for text in figures[0].legends[0].get_texts()]
    assert ("paper" in labels) == (table == "head")  # it has no numbers for forms of text


def test_differences_are_paired_by_seed():
    summary = {
        "table": "head",
        "rows": [
            {"name": "a", "scores": [{"x": 5.0}, {"x": 9.0}]},
            {"name": "b", "scores": [{"x": 4.0}, {"x": 8.0}]},
        ],
    }
    assert difference(summary, "a", "b", "x") == (1.0, 0.0)  # each seed by one, however far seeds lie apart
    with pytest.raises(InputError, match="head has no y of a"):
        difference(summary, "a", "b", "y")


def test_the_report_says_what_was_found(tmp_path):
    summary = write_report(ablate("head", Counting(), 3, tmp_path, log=lambda _: None), tmp_path)
    assert summary == json.loads((tmp_path / "head.json").read_text())
    text = (tmp_path / "head.md").read_text()
    half = 4.303 * (1 / 3) ** 0.5
    assert f"| Ours | 52.0 ± {half:.1f} |" in text
    assert "| w/o temporal head | 43.6 |" in text  # the paper's
    assert (tmp_path / "head.png").stat().st_size > 5000
    assert text == to_markdown(summarise(summary))


def test_a_table_that_is_none_is_told(tmp_path):
    with pytest.raises(InputError, match="the table is 'size', expected one of fusion, components"):
        ablate("size", Counting(), 1, tmp_path)
    with pytest.raises(InputError, match="seeds is 0"):
        ablate("head", Counting(), 0, tmp_path)


def no_training(*arguments, **options):
    raise AssertionError("trained again")


def test_the_world_bench_trains_each_variant_on_one_frozen_base(tmp_path, capsys, monkeypatch):
    """Toy sizes, but every stage: base, variant, store of mp4 files, four benchmarks, table and picture."""
    options = [arg for value in TOY for arg in ("--set", value)]
    call = ["ablate", "times", "--recipe", str(RECIPE), "--out", str(tmp_path / "a"), *options]
    assert main(call) == 0
    printed = capsys.readouterr().out
    assert "| w/o temporal head |" in printed
    runs = tmp_path / "a" / "runs"
    models = {
        name: load_file(runs / name / "seed1/model/model.safetensors")
        for name in ("default", "times=text", "times=seconds", "times=tokens")
    }
    base = torch.load(tmp_path / "a" / "base.pt", weights_only=True)["model"]
    for weights in models.values():
        frozen = [name for name in weights if name.startswith("language.") and ".base." in name]
        assert frozen
        assert all(torch.equal(weights[name], base[name]) for name in frozen)
    assert any(name.startswith("head.") for name in models["default"])
    assert not any(n.startswith("head.") for name, m in models.items() if name != "default" for n in m)
    scores = json.loads((runs / "times=text/seed1/scores.json").read_text())
    assert {name.split("/")[0] for name in scores} == set(BENCHMARKS)
    (runs / "default/seed1/scores.json").unlink()  # as if killed while it was scored
    monkeypatch.setattr(ablation_world, "train_base", no_training)
    assert main(call) == 0
    assert load_file(runs / "default/seed1/model/model.safetensors").keys() == models["default"].keys()
    before = (runs / "default/seed1/scores.json").stat().st_mtime_ns
    assert main(call) == 0  # nothing is done twice
    assert (runs / "default/seed1/scores.json").stat().st_mtime_ns == before
    assert main([*call, "--set", "level=2"]) == 2
    assert "holds a run of another recipe" in capsys.readouterr().err


def test_a_training_recipe_names_the_store_a_variant_needs(tmp_path, bases, annotations):
    recipe = make_recipe(bases, annotations)
    with pytest.raises(InputError, match="the recipe has no evaluation"):
        DataBench(recipe)
    for source in recipe.data:
        source.features = str(tmp_path / "{tokens}")
    recipe.evaluation = [
        EvaluationRecipe(benchmark="charades-sta", annotations="x", features=str(tmp_path / "{tokens}"))
    ]
    bench = open_bench(recipe, tmp_path / "out")
    assert tokens_name(bench.config) == "compress-2x3"
    for fields in ({"groups": 4}, {"spatial_tokens": "none"}, {"spatial_tokens": "random"}):
        wanted = VideoExpertConfig.from_dict(bench.config | fields)
        with pytest.raises(
            InputError, match=f"{tokens_name(wanted.to_dict())} is not a feature store"
        ) as told:
            bench.train(fields, 1, tmp_path / "run")
        options = re.findall(r"--set (\S+) ", str(told.value))
        encoder = TokenEncoder.from_vision(bases / "vision").with_fields(**_fields(options))
        made = encoder.config.to_dict()
        assert {name: made[name] for name in TOKEN_FIELDS} == {
            name: wanted.to_dict()[name] for name in TOKEN_FIELDS
        }


def test_what_the_last_variant_lacks_is_told_before_the_first_trains(tmp_path, bases, annotations):
    recipe = make_recipe(bases, annotations)
    recipe.data[0].features = str(tmp_path / "{tokens}")
    part = EvaluationRecipe(
        benchmark="charades-sta", annotations=str(annotations), features=str(tmp_path / "a")
    )
    recipe.evaluation = [part]
    for name in ("compress-2x3", "random-2x3", "a"):
        (tmp_path / name).mkdir()
        (tmp_path / name / STORE).touch()
    with pytest.raises(InputError, match="none is not a feature store"):
        ablate("components", DataBench(recipe), 1, tmp_path / "out")
    recipe.evaluation = [part, part]
    with pytest.raises(InputError, match="evaluation lists charades-sta 2 times"):
        ablate("components", DataBench(recipe), 1, tmp_path / "out")
    recipe.evaluation = [part.model_copy(update={"annotations": str(tmp_path / "lost.json")})]
    with pytest.raises(InputError, match=r"no annotations at .*lost\.json"):
        ablate("components", DataBench(recipe), 1, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_papers_recipe_asks_for_the_stores_of_each_variant(tmp_path):
    bench = open_bench(load_recipe(RECIPE.with_name("ablation_paper.yaml")), tmp_path)
    assert isinstance(bench, DataBench)
    assert [part.benchmark for part in bench.recipe.evaluation] == list(BENCHMARKS)
    assert (bench.config["temporal_rank"], bench.config["tokens_per_group"]) == (32, 64)
    with pytest.raises(InputError, match=r"features/internvid-random-4x64 is not a feature store"):
        bench.train({"spatial_tokens": "random"}, 1, tmp_path / "run")


def test_faults_of_an_ablation_recipe_are_told_at_once(tmp_path):
    fields = yaml.safe_load(RECIPE.read_text()) | {"levle": 2, "videos": "many"}
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(fields))
    with pytest.raises(DataError, match=r"has 2 faults[\s\S]*videos[\s\S]*unknown recipe field levle"):
        load_recipe(tmp_path / "r.yaml")
