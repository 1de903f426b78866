"""The synthetic world: seeded, consistent with its own annotations, and in need of motion."""

from __future__ import annotations

import csv
import hashlib
import json
import random
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from videoexpert.errors import InputError
from videoexpert.synthetic.actions import ACTIONS, Action
from videoexpert.synthetic.language import (
    HELD_OUT_SENTENCES,
    OTHER,
    PLAIN,
    RICH,
    absent_query,
    article,
    caption_of,
    corpus,
    doings,
    meaning,
    query_for,
    say_seen,
    seen_at,
    windows_of,
)
from videoexpert.synthetic.questions import TIMES, questions_of
from videoexpert.synthetic.relations import false_relation, relations_of, say_relation, true_relations
from videoexpert.synthetic.render import render
from videoexpert.synthetic.samples import samples_of
from videoexpert.synthetic.things import GLYPH_ROOM, GLYPHS, SYMMETRY, Event, SceneObject
from videoexpert.synthetic.world import LEVELS, Script, frame_times, sample_script, states_at
from videoexpert.synthetic.write import WorldRecipe, annotation_files, write_script, write_world
from videoexpert.video import read_frames

RED = SceneObject("red", "circle", 0.3, 0.5, 0.1, 0.0)
BLUE = SceneObject("blue", "square", 0.7, 0.5, 0.1, 0.0)


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
        np.testing.assert_allclose(states.shown.sum(-1), 1.0)
        assert ((states.alpha >= -1e-9) & (states.alpha <= 1 + 1e-9)).all()
        assert len({o.colour for o in script.objects}) == len(script.objects)
        for event in script.events:
            assert 0 <= event.start < event.end <= script.duration
            seen.add(event.action)
        for index in range(len(script.objects)):
            own = sorted((e.start, e.end) for e in script.events if e.object == index)
            assert all(a[1] <= b[0] for a, b in pairwise(own))
    assert seen == set(list(ACTIONS)[: LEVELS[level].actions])


def test_an_event_changes_its_object_during_its_window_only():
    script = Script("v", 12.0, (RED,), (Event(0, "right", 4.0, 6.0, 0.4),), 7, 1)
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
    for name, action in ACTIONS.items():
        assert not {*action.verbs, *action.rich} & set(action.held_out)
        seen = {query_for(RED, name, rng, wording=w) for _ in range(300) for w in (PLAIN, RICH)}
        held = {
            query_for(RED, name, rng, held_out=True, wording=w) for _ in range(300) for w in (PLAIN, RICH)
        }
        assert len(seen) > 8
        assert len(held) > 4
        assert not seen & held
    assert len(HELD_OUT_SENTENCES) == 2


def test_queries_mean_what_they_were_made_for():
    rng = random.Random(0)
    for action in ACTIONS:
        for held_out in (False, True):
            for _ in range(10):
                query = query_for(BLUE, action, rng, held_out=held_out, wording=RICH)
                assert meaning(query) == ("blue", action)
    assert meaning("what does it do") is None
    assert meaning("the red circle grows after the blue square vanishes") is None


def test_a_new_action_is_one_entry(monkeypatch):
    """Scripts, pictures, sentences, questions and the tokeniser's words follow from the table alone."""

    def jump(states, i, event, done):
        states.y[:, i] -= 0.1 * np.sin(np.pi * done)

    made = Action("jump", ("jumps", "hops"), ("is hopping",), ("leaps",), ("bounces",),
                  lambda thing: True, lambda thing, rng, event: event, jump)  # fmt: skip
    script = Script("v", 12.0, (RED, BLUE), (Event(0, "jump", 4.0, 6.0),), 7, 1)
    monkeypatch.setitem(ACTIONS, "jump", made)
    for wording, verbs in ((PLAIN, made.verbs), (RICH, made.verbs + made.rich)):
        monkeypatch.setitem(wording.verbs, "jump", verbs)
        monkeypatch.setitem(wording.held_out, "jump", made.held_out)
    np.testing.assert_allclose(states_at(script, np.array([3.0, 5.0, 7.0])).y[:, 0], [0.5, 0.4, 0.5])
    queries = [s.query for s in samples_of(script, random.Random(0)) if s.windows and s.query]
    assert queries[0].endswith(("jumps", "hops"))
    assert "which thing jumps" in {q.question for q in questions_of(script, random.Random(0))}
    assert any("leaps" in line for line in corpus())


@pytest.mark.parametrize("level", LEVELS)
def test_absent_queries_are_false_and_questions_have_one_right_answer(level):
    rng = random.Random(5)
    for script in scripts(level, 30):
        query = absent_query(script, rng)
        assert query is not None
        said = meaning(query)
        if said:  # a thing that is called by its detail has no colour in the query
            assert all(script.doer(e).colour != said[0] or e.action != said[1] for e in script.events)
        for q in questions_of(script, rng):
            assert len(set(q.choices)) == len(q.choices) == 5
            assert q.windows
            assert all(0 <= a < b <= script.duration for a, b in q.windows)


@pytest.mark.parametrize(("noun", "said"), [("orange circle", "an"), ("red circle", "a"), ("edge", "an")])
def test_articles(noun, said):
    assert article(noun) == said


def test_no_sentence_of_the_world_says_a_orange():
    thing = SceneObject("orange", "ring", 0.3, 0.5, 0.1, 0.0)
    rng = random.Random(0)
    lines = [query_for(thing, "grow", rng, wording=w) for _ in range(200) for w in (PLAIN, RICH, OTHER)]
    lines += [say_seen(seen_at(Script("v", 12.0, (thing,), (), 1, 4), 1.0)), *corpus()]
    assert any(" an orange " in f" {line}" for line in lines)
    assert not any(f"a {vowel}" in f" {line}".split(" a ")[-1:] for line in lines for vowel in "aeiou")
    assert not any(" a orange" in f" {line}" for line in lines)


def test_only_turns_that_can_be_seen_happen():
    """A circle that turns looks like one at rest, and so does a square that turns by a quarter from frame to frame."""
    turns = [(s, e) for level in (4, 5) for s in scripts(level, 150) for e in s.events if e.action == "turn"]
    assert len(turns) > 60
    for script, event in turns:
        shape = script.objects[event.object].shape
        a_frame = event.amount / (event.end - event.start) * script.duration / 64
        assert a_frame * SYMMETRY[shape] < np.pi


def test_a_recoloured_thing_is_called_by_the_colour_it_shows():
    change, move = Event(0, "recolour", 2.0, 4.0, to_colour="green"), Event(0, "left", 6.0, 8.0, 0.1)
    script = Script("v", 12.0, (RED, BLUE), (change, move), 7, 4)
    assert [caption_of(script, e) for e in script.events] == [
        "the red circle changes colour",
        "the green circle moves left",
    ]
    assert windows_of(script, "green circle", "left") == ((6.0, 8.0),)
    assert windows_of(script, "red circle", "left") == ()
    assert [s.thing.name for t in (1.0, 3.5) for s in seen_at(script, t)] == [
        "red circle", "blue square", "green circle", "blue square",
    ]  # fmt: skip
    half = states_at(script, np.array([3.0])).rgb[0, 0]
    np.testing.assert_allclose(half, [0.5, 0.435, 0.16], atol=1e-6)


class TestRelations:
    """Red grows, blue vanishes and comes back, red grows again while blue moves."""

    script = Script(
        "v",
        24.0,
        (RED, BLUE),
        (
            Event(0, "grow", 1.0, 3.0, 1.2),
            Event(1, "vanish", 4.0, 5.0),
            Event(1, "appear", 6.0, 7.0),
            Event(0, "grow", 8.0, 10.0, 1.2),
            Event(1, "left", 8.5, 10.5, 0.2),
            Event(0, "right", 12.0, 14.0, 0.2),
        ),
        7,
        5,
    )

    def windows(self, kind: str, y: str, x: str | None = None):
        found = [
            r
            for r in relations_of(self.script)
            if r.kind == kind and r.y[1] == y and (r.x[1] if r.x else None) == x
        ]
        return found[0].windows if found else None

    def test_each_kind_has_the_right_windows(self):
        first, second = (1.0, 3.0), (8.0, 10.0)
        assert self.windows("first", "grow") == (first,)
        assert self.windows("second", "grow") == (second,)
        assert self.windows("second", "left") == ()
        assert self.windows("after", "grow", "vanish") == (second,)
        assert self.windows("before", "grow", "vanish") == (first,)
        assert self.windows("after", "vanish", "appear") == ()
        assert self.windows("while", "grow", "left") == (second,)
        assert self.windows("while", "grow", "vanish") == ()
        assert self.windows("after", "grow", "left") is None  # the second time overlaps with it

    def test_those_that_must_be_understood_come_first(self):
        true = true_relations(self.script)
        assert true
        assert all(r.windows for r in true)
        assert true[0].needed
        assert true == true_relations(self.script)

    def test_false_ones_name_two_things_that_happen(self):
        said = {false_relation(self.script, random.Random(i)) for i in range(40)}
        assert len(said) > 5
        true = {say_relation(r, self.script, random.Random(i), False) for r in relations_of(self.script)
                if r.windows for i in range(40)}  # fmt: skip
        assert not said & true

    def test_counting_and_order_are_asked_about(self):
        asked = [q for i in range(20) for q in questions_of(self.script, random.Random(i))]
        counts = [q for q in asked if q.type == "DC" and "red circle grows" in q.question]
        assert {q.choices[q.answer] for q in counts} == {"twice"}
        assert set(counts[0].choices) == set(TIMES)
        first = next(q for q in asked if q.question == "what happens next after the blue square vanishes")
        assert first.choices[first.answer] == "the blue square appears"


class TestDetails:
    def test_are_on_shapes_with_room_and_change_pixels_inside_only(self):
        for script in scripts(6, 40):
            assert all(bool(o.glyph) == (o.shape in GLYPH_ROOM) for o in script.objects)
        seen = []
        for glyph in GLYPHS:
            thing = SceneObject("yellow", "square", 0.5, 0.5, 0.2, 0.0, glyph=glyph)
            bare = SceneObject("yellow", "square", 0.5, 0.5, 0.2, 0.0)
            with_it, without = (
                render(Script("v", 12.0, (o,), (), 1, 6), np.array([1.0]), 64)[0].int() for o in (thing, bare)
            )
            changed = (with_it - without).abs().sum(0) > 100
            assert changed[20:44, 20:44].sum() == changed.sum() > 40
            seen.append(with_it)
        assert all((a - b).abs().max() > 100 for i, a in enumerate(seen) for b in seen[:i])

    def test_are_told_at_their_level_and_asked_about(self):
        thing = SceneObject("yellow", "square", 0.5, 0.5, 0.12, 0.0, glyph="letter A")
        script = Script("v", 12.0, (thing, RED), (Event(0, "left", 2.0, 4.0, 0.2),), 1, 6)
        assert caption_of(script, script.events[0]) == "the yellow square with a letter A moves left"
        queries = {s.query for i in range(20) for s in samples_of(script, random.Random(i)) if s.windows}
        assert any(q and q.startswith("the square with a letter A ") for q in queries)
        asked = [q for q in questions_of(script, random.Random(0)) if q.type == "DO"]
        assert [q.choices[q.answer] for q in asked] == ["a letter A"]


class TestWildVideos:
    def test_lengths_rates_and_events_vary(self):
        found = scripts(5, 300)
        assert {min(s.duration for s in found), max(s.duration for s in found)} == {6.0, 120.0}
        assert len({s.frame_rate for s in found}) == 5
        assert min(e.end - e.start for s in found for e in s.events) < 0.9
        assert 0.3 < np.mean([s.bars > 0 for s in found]) < 0.7
        several = [w for s in found for w in (windows_of(s, t.name, a) for t, a in doings(s)) if len(w) > 1]
        assert len(several) > 50

    def test_bars_are_black_and_things_stay_between_them(self):
        script = Script("v", 12.0, (SceneObject("white", "square", 0.5, 0.9, 0.1, 0.0),), (), 1, 5, bars=0.1)
        image = render(script, np.array([1.0]), 80)[0]
        assert not image[:, :8].any()
        assert not image[:, 72:].any()
        assert states_at(script, np.array([1.0])).y[0, 0] == pytest.approx(0.82)
        assert image[:, 66, 40].min() > 200

    def test_backgrounds_move_and_noise_is_the_same_whatever_else_is_rendered(self):
        script = Script("v", 12.0, (), (), 1, 1, drift=(0.1, 0.0))
        frames = render(script, np.array([0.0, 1.0]), 40).float()
        assert (frames[0] - frames[1]).abs().mean() > 1
        assert (
            frames[0][:, :, 4:] - frames[1][:, :, :-4]
        ).abs().mean() < 0.6  # a tenth of 40 pixels to the left
        noisy = Script("v", 12.0, (), (), 1, 1, noise=5.0)
        both, alone = render(noisy, np.array([1.0, 2.0]), 40), render(noisy, np.array([2.0]), 40)
        assert torch.equal(both[1], alone[0])
        assert not torch.equal(both[0], both[1])

    def test_files_have_the_scripts_frame_rate(self, tmp_path):
        script = Script("v", 6.0, (RED,), (), 1, 5, frame_rate=12.0, crf=33)
        write_script(script, tmp_path / "v.mp4", 32)
        frames = read_frames(tmp_path / "v.mp4", 72)
        assert frames.duration_s == pytest.approx(6.0, abs=0.05)
        assert torch.diff(frames.times_s).numpy() == pytest.approx(1 / 12, abs=2e-3)


def test_seeds_of_the_first_levels_give_the_scripts_they_always_gave():
    """Numbers measured on these levels are compared over versions."""
    rows = []
    for level in (1, 2, 3):
        for i in range(50):
            s = sample_script(random.Random(f"pinned-{level}-{i}"), level, "v")
            things = [[t.colour, t.shape, t.x, t.y, t.size, t.visible] for t in s.objects]
            events = [[e.object, e.action, e.start, e.end, e.amount] for e in s.events]
            rows.append([s.duration, s.background, things, events])
    assert hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16] == "a750fd41fd91364b"


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
    first_pixels = read_frames(videos[0], 12).pixels.float()
    apart = float((old.pixels.float() - first_pixels).abs().mean())  # what another video's pictures differ by
    assert float((old.pixels.float() - new.pixels.float()).abs().mean()) < 0.2 * apart
    with pytest.raises(InputError, match="another synthetic world"):
        write_world(WorldRecipe(videos=2, seed=2, size=32), tmp_path, workers=1)


def test_other_wording_says_the_same_in_words_that_nothing_here_has_met():
    plain, other = (WorldRecipe(videos=8, level=4, wording=wording) for wording in ("plain", "other"))
    videos = [plain.script(i) for i in range(8)]
    assert videos == [other.script(i) for i in range(8)]
    known = {word for line in corpus() for word in line.split()}
    before, after = annotation_files(plain, videos), annotation_files(other, videos)
    # the verb ends a query; no verb of the other wording is a known word, and nothing else of it is new
    verbs = {phrase.split()[0] for phrases in OTHER.verbs.values() for phrase in phrases}
    assert not verbs - {"is"} & known
    for split in ("train", "test"):
        lines = [files[f"charades-sta/charades_sta_{split}.txt"].splitlines() for files in (before, after)]
        assert lines[0]
        for old, new in zip(*lines, strict=True):
            assert old.split("##")[0] == new.split("##")[0]  # video and times
            assert new.rstrip(".").endswith(tuple(v for phrases in OTHER.verbs.values() for v in phrases))
    said = after["youcook2/youcookii_annotations_trainval.json"] + after["nextqa/train.csv"]
    assert "drifts west" in said or "climbs" in said or "sinks" in said
    assert not any(f" {verbs[0]}" in said for verbs in PLAIN.verbs.values())


@pytest.mark.parametrize(
    "fields",
    [{"videos": 0}, {"level": 9}, {"size": 33}, {"size": 8}, {"test_share": 1.5}, {"wording": "rude"}],
)
def test_impossible_worlds_are_refused(fields):
    with pytest.raises(InputError, match="expected"):
        WorldRecipe(**fields)
