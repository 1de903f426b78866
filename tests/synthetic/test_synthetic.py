"""The synthetic world: seeded, consistent with its own annotations, and in need of motion."""

from __future__ import annotations

import csv
import json
import random
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from videoexpert.errors import InputError
from videoexpert.synthetic.language import (
    HELD_OUT_SENTENCES,
    HELD_OUT_VERBS,
    OTHER_VERBS,
    VERBS,
    absent_query,
    corpus,
    meaning,
    query_for,
    questions_of,
    windows_of,
)
from videoexpert.synthetic.render import render
from videoexpert.synthetic.samples import samples_of
from videoexpert.synthetic.world import (
    ACTIONS,
    LEVELS,
    Event,
    SceneObject,
    Script,
    frame_times,
    sample_script,
    states_at,
)
from videoexpert.synthetic.write import WorldRecipe, annotation_files, write_world
from videoexpert.video import read_frames


def scripts(level: int, count: int = 60) -> list[Script]:
    rng = random.Random(level)
    return [sample_script(rng, level, f"v{i}") for i in range(count)]


@pytest.mark.parametrize("level", LEVELS)
def test_scripts_are_possible(level):
    seen = set()
    for script in scripts(level):
        times = frame_times(script.duration)
        states = states_at(script, times)
        assert ((states.x > 0.05) & (states.x < 0.95) & (states.y > 0.05) & (states.y < 0.95)).all()
        assert ((states.alpha >= -1e-9) & (states.alpha <= 1 + 1e-9)).all()
        assert len({o.colour for o in script.objects}) == len(script.objects)
        for event in script.events:
            assert 0 <= event.start < event.end <= script.duration
            seen.add(event.action)
        for index in range(len(script.objects)):
            own = sorted((e.start, e.end) for e in script.events if e.object == index)
            assert all(a[1] <= b[0] for a, b in pairwise(own))
    assert seen == set(ACTIONS[: LEVELS[level].actions])


def test_an_event_changes_its_object_during_its_window_only():
    thing = SceneObject("red", "circle", 0.3, 0.5, 0.1, 0.0)
    script = Script("v", 12.0, (thing,), (Event(0, "right", 4.0, 6.0, 0.4),), 7, 1)
    states = states_at(script, np.array([0.0, 4.0, 5.0, 6.0, 11.0]))
    np.testing.assert_allclose(states.x[:, 0], [0.3, 0.3, 0.5, 0.7, 0.7])
    np.testing.assert_allclose(states.y[:, 0], 0.5)


def test_directions_need_motion():
    """A frame in the middle of moving left is one of moving right: only their order tells them apart."""
    left = Script(
        "a", 12.0, (SceneObject("red", "circle", 0.7, 0.5, 0.1, 0),), (Event(0, "left", 4, 8, 0.4),), 3, 1
    )
    right = Script(
        "b", 12.0, (SceneObject("red", "circle", 0.3, 0.5, 0.1, 0),), (Event(0, "right", 4, 8, 0.4),), 3, 1
    )
    times = np.linspace(4.0, 8.0, 9)
    difference = render(left, times, 48).int() - render(right, times[::-1].copy(), 48).int()
    assert difference.abs().max() <= 1


@pytest.mark.parametrize("shape", ["circle", "square", "triangle", "cross", "ring"])
def test_rendering_puts_the_shape_where_the_state_says(shape):
    script = Script("v", 12.0, (SceneObject("red", shape, 0.25, 0.75, 0.12, 0.0),), (), 1, 1)
    image = render(script, np.array([1.0]), 64)[0].float()
    redness = (image[0] - image[1] - image[2]).clamp(min=0)
    ys, xs = torch.meshgrid(torch.arange(64) + 0.5, torch.arange(64) + 0.5, indexing="ij")
    assert float((redness * xs).sum() / redness.sum()) / 64 == pytest.approx(0.25, abs=0.02)
    assert float((redness * ys).sum() / redness.sum()) / 64 == pytest.approx(0.75, abs=0.03)


def test_same_seed_same_pixels():
    script = scripts(3, 1)[0]
    times = frame_times(script.duration)[:20]
    assert torch.equal(render(script, times, 64), render(script, times, 64))


def test_held_out_phrasings_never_occur_in_training():
    rng = random.Random(0)
    thing = SceneObject("red", "circle", 0.3, 0.5, 0.1, 0.0)
    for action in ACTIONS:
        assert not set(VERBS[action]) & set(HELD_OUT_VERBS[action])
        seen = {query_for(thing, action, rng) for _ in range(300)}
        held = {query_for(thing, action, rng, held_out=True) for _ in range(300)}
        assert len(seen) > 8
        assert len(held) > 4
        assert not seen & held
    assert len(HELD_OUT_SENTENCES) == 2


def test_queries_mean_what_they_were_made_for():
    rng = random.Random(0)
    for action in ACTIONS:
        for held_out in (False, True):
            thing = SceneObject("blue", "square", 0.3, 0.5, 0.1, 0.0)
            assert meaning(query_for(thing, action, rng, held_out=held_out)) == ("blue", action)
    assert meaning("what does it do") is None


@pytest.mark.parametrize("level", LEVELS)
def test_absent_queries_are_false_and_questions_have_one_right_answer(level):
    rng = random.Random(5)
    for script in scripts(level, 30):
        query = absent_query(script, rng)
        assert query is not None
        colour, action = meaning(query)
        at = [i for i, o in enumerate(script.objects) if o.colour == colour]
        assert all(not windows_of(script, i, action) for i in at)
        for q in questions_of(script, rng):
            assert len(set(q.choices)) == len(q.choices) == 5
            assert all(0 <= a < b <= script.duration for a, b in q.windows)


def test_samples_cover_every_event_once():
    for script in scripts(2, 20):
        samples = samples_of(script, random.Random(1))
        captions = next(s for s in samples if s.task == "caption")
        assert len(captions.captions) == len(script.events)
        found = sorted(w for s in samples if s.task == "grounding" for w in s.windows)
        assert found == sorted((e.start, e.end) for e in script.events)
        assert len({s.id for s in samples}) == len(samples)


def test_annotation_files_are_the_benchmarks_own_and_keep_the_splits_apart():
    recipe = WorldRecipe(videos=40, seed=3, test_share=0.4)
    made = [recipe.script(i) for i in range(40)]
    files = annotation_files(recipe, made)
    assert files == annotation_files(recipe, [recipe.script(i) for i in range(40)])
    test = {s.id for i, s in enumerate(made) if recipe.split(i) == "test"}
    assert 12 <= len(test) <= 20
    train_lines = files["charades-sta/charades_sta_train.txt"].splitlines()
    test_lines = files["charades-sta/charades_sta_test.txt"].splitlines()
    assert {line.split()[0] for line in test_lines} <= test
    assert not {line.split()[0] for line in train_lines} & test
    for line in test_lines:
        head, sentence = line.split("##")
        _, start, end = head.split(" ")
        assert float(start) < float(end)
        assert sentence.endswith(".")
    rows = [json.loads(line) for line in files["qvhighlights/highlight_val_release.jsonl"].splitlines()]
    for row in rows:
        inside = {c for a, b in row["relevant_windows"] for c in range(a // 2, b // 2)}
        assert inside == set(row["relevant_clip_ids"])
        assert len(row["saliency_scores"]) == len(row["relevant_clip_ids"])
        assert all(0 <= s <= 4 for triple in row["saliency_scores"] for s in triple)
    questions = list(csv.DictReader(files["nextgqa/test.csv"].splitlines()))
    spans = json.loads(files["nextgqa/gsub_test.json"])
    by_index = list(csv.DictReader(files["nextqa/test.csv"].splitlines()))
    for a, b in zip(questions, by_index, strict=True):
        assert a["answer"] == b[f"a{b['answer']}"]
        assert spans[a["video_id"]]["location"][a["qid"]]
    database = json.loads(files["youcook2/youcookii_annotations_trainval.json"])["database"]
    assert {v for v, d in database.items() if d["subset"] == "validation"} == test


def test_write_world_resumes_and_refuses_another_world(tmp_path: Path):
    recipe = WorldRecipe(videos=2, seed=1, size=32)
    write_world(recipe, tmp_path, workers=1)
    videos = sorted((tmp_path / "videos").glob("*.mp4"))
    assert len(videos) == 2
    first, second = (v.read_bytes() for v in videos)
    videos[1].unlink()
    done = []
    write_world(recipe, tmp_path, workers=1, progress=done.append)
    assert done == [1]
    assert videos[0].read_bytes() == first  # what was there is kept
    # x264 now and then chooses other bytes for the same pictures, so the pictures are what is compared
    (tmp_path / "before.mp4").write_bytes(second)
    old, new = (read_frames(f, 12) for f in (tmp_path / "before.mp4", videos[1]))
    assert torch.equal(old.times_s, new.times_s)
    assert float((old.pixels.float() - new.pixels.float()).abs().mean()) < 1.0
    with pytest.raises(InputError, match="another synthetic world"):
        write_world(WorldRecipe(videos=2, seed=2, size=32), tmp_path, workers=1)


def test_other_wording_says_the_same_in_words_that_nothing_here_has_met():
    plain, other = (WorldRecipe(videos=8, level=4, wording=wording) for wording in ("plain", "other"))
    videos = [plain.script(i) for i in range(8)]
    assert videos == [other.script(i) for i in range(8)]
    known = {word for line in corpus() for word in line.split()}
    before, after = annotation_files(plain, videos), annotation_files(other, videos)
    # the verb ends a query; no verb of the other wording is a known word, and nothing else of it is new
    verbs = {phrase.split()[0] for phrases in OTHER_VERBS.values() for phrase in phrases}
    assert not verbs - {"is"} & known
    for split in ("train", "test"):
        lines = [files[f"charades-sta/charades_sta_{split}.txt"].splitlines() for files in (before, after)]
        assert lines[0]
        for old, new in zip(*lines, strict=True):
            assert old.split("##")[0] == new.split("##")[0]  # video and times
            assert new.rstrip(".").endswith(tuple(v for phrases in OTHER_VERBS.values() for v in phrases))
    said = after["youcook2/youcookii_annotations_trainval.json"] + after["nextqa/train.csv"]
    assert "drifts west" in said or "climbs" in said or "sinks" in said
    assert not any(f" {verbs[0]}" in said for verbs in VERBS.values())


@pytest.mark.parametrize(
    "fields",
    [{"videos": 0}, {"level": 9}, {"size": 33}, {"size": 8}, {"test_share": 1.5}, {"wording": "rude"}],
)
def test_impossible_worlds_are_refused(fields):
    with pytest.raises(InputError, match="expected"):
        WorldRecipe(**fields)
