"""The shipped model's recipe: it loads, and its stages run end to end at toy size, resume and give a usable folder."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from transformers import AutoTokenizer, CLIPModel

import videoexpert
from videoexpert.assets import SHIPPED_CLIP, SHIPPED_MODEL
from videoexpert.checkpoints import folder as checkpoint
from videoexpert.errors import InputError, TrainingError
from videoexpert.language.prompter import Prompter
from videoexpert.locks import LOCK, held
from videoexpert.model import VideoExpertModel
from videoexpert.recipes import ShippedRecipe, TextRecipe, TowerRecipe, load_recipe
from videoexpert.shipped.base import (
    CONTENT,
    STATE_DIMS,
    BaseBatches,
    BaseRecipe,
    ReadOut,
    StateSource,
    asked_labels,
    dense_labels,
    fewer_frames,
    question_ends,
    state_vectors,
)
from videoexpert.shipped.optimiser import Muon, cosine_factor, orthogonalise
from videoexpert.shipped.pipeline import make_config, train_shipped
from videoexpert.shipped.text import END, best_videos, recall, sentence, truth
from videoexpert.shipped.towers import LEFT_OUT, check_probes, frame_labels
from videoexpert.synthetic.actions import ACTION_INDEX, ACTIONS
from videoexpert.synthetic.language import Seen
from videoexpert.synthetic.samples import content_samples, samples_of
from videoexpert.synthetic.things import COLOUR_INDEX, COLOURS, GLYPH_INDEX, GLYPHS, Event, SceneObject
from videoexpert.synthetic.world import SHIPPED_LEVEL, Script, sample_script
from videoexpert.training.familiarity import LEAST
from videoexpert.types import VisualTokens
from videoexpert.video import bin_centres
from videoexpert.vision.familiarity import FILE
from videoexpert.vision.image_text import load_tower

RECIPE = Path(__file__).parents[2] / "recipes" / "shipped.yaml"
QUICK = RECIPE.with_name("shipped_quick.yaml")


def toy_recipe() -> ShippedRecipe:
    fields = yaml.safe_load(RECIPE.read_text())
    fields["tower"] |= {
        "at_most": {},  # toys see nothing
        "at_least": {},
        "steps": 2,
        "scripts": 2,
        "frames": 2,
        "width": 16,
        "heads": 2,
        "layers": 1,
    }
    fields["text"] = {"width": 16, "layers": 1, "scripts": 4, "frames": 2, "steps": 2, "batch": 4, "probe": 5}
    fields["model"] |= {"num_frames": 8, "tokens_per_group": 4, "key_tokens": 2, "head_width": 16}
    fields["language"] |= {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    stage = {"steps": 2, "videos": 2, "questions": 3}
    fields["warm_start"] = [s | stage for s in fields["warm_start"]]
    fields["joint"] |= {**stage, "frames": [8, 4]}
    fields["experts"] |= stage
    fields |= {"videos": 3, "calibration_videos": LEAST // 2, "render_size": 64}
    return ShippedRecipe(**fields)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    train_shipped(toy_recipe(), out, log=lambda _: None)
    return out


def test_recipe_is_valid():
    recipe = ShippedRecipe(**yaml.safe_load(RECIPE.read_text()))
    assert recipe.joint.train_language
    assert not recipe.experts.train_language
    assert recipe.experts.dense_weight == 0.0  # the read-outs belong to the stand-in for pretraining only


@pytest.mark.filterwarnings("ignore::videoexpert.errors.ModelWarning")  # noise is not its world
def test_stages_give_a_model_folder_that_answers(trained, tmp_path):
    from videoexpert.video import write_video

    frames = torch.randint(0, 255, (20, 64, 64, 3), dtype=torch.uint8).numpy()
    write_video(tmp_path / "v.mp4", frames, [i / 10 for i in range(20)], duration_s=2.0)
    expert = videoexpert.load(trained / "model")
    found = expert.open(tmp_path / "v.mp4").ground("the red circle moves left")
    assert len(found) >= 1
    assert 0 <= found[0].start <= found[0].end <= 2.0
    assert expert.model.config.absent_below > 0  # calibration has run


def test_the_folder_carries_what_the_model_has_seen(trained):
    assert (trained / "model" / FILE).is_file()
    known = checkpoint.load(trained / "model")[0].familiarity
    assert [training.spatial is not None for training in known.trainings] == [True]


def test_the_clip_folder_reads_texts_with_the_ids_of_its_training(trained):
    baseline = load_tower(trained / "clip")
    words = AutoTokenizer.from_pretrained(trained / "tokenizer").get_vocab()
    assert baseline.tokenizer.get_vocab() == {**words, END: len(words)}


def test_the_text_tower_leaves_every_byte_of_the_vision_tower(trained):
    before, after = (CLIPModel.from_pretrained(trained / f).state_dict() for f in ("tower/vision", "clip"))
    vision = [name for name in before if name.startswith(("vision_model.", "visual_projection."))]
    assert len(vision) > 10
    assert all(torch.equal(before[name], after[name]) for name in vision)


def test_a_text_is_right_of_every_frame_that_shows_all_it_says():
    red, blue = (SceneObject(c, "circle", 0, 0, 1, 0) for c in ("red", "blue"))
    at_top, at_bottom = Seen(red, "", "top left", ("left",)), Seen(red, "big ", "bottom left", ("left",))
    frames = [(at_top, Seen(blue, "", "top right", ("left",))), (at_bottom,), ()]
    said = [(at_top,), (Seen(red, "", ""),), frames[0], ()]
    assert truth(said, frames).tolist() == [[1, 0, 0], [1, 1, 0], [1, 0, 0], [0, 0, 1]]
    for seed in range(50):  # what is said of a frame is right of it
        text, wanted = sentence(frames[0], random.Random(seed))
        assert truth([wanted], frames)[0, 0] == 1
        assert "circle" in text


def test_the_package_finds_the_video_whose_frame_is_described():
    """Among a hundred videos. By chance 10 and 9 of 100; many a name is in fewer than ten of the videos."""
    tokenizer, clip = AutoTokenizer.from_pretrained(SHIPPED_CLIP), CLIPModel.from_pretrained(SHIPPED_CLIP)
    found = recall(clip.eval(), tokenizer, TextRecipe(levels=(SHIPPED_LEVEL,), frames=2, probe=100))
    assert found["recall@10"] > 0.9
    assert found["precision@10 of names"] > 0.6


def test_a_video_is_as_good_as_its_best_frame():
    texts = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    frames = torch.tensor([[[0.6, 0.8], [0.6, 0.8]], [[1.0, 0.0], [-1.0, 0.0]]])
    assert best_videos(texts, frames).tolist() == [[1, 0], [0, 1]]


def test_both_folders_of_the_package_are_of_one_run():
    """The tower's weights are the model's, and its tokenizer the model's without ``<LOC>``."""
    tower, model = checkpoint.load_vision(SHIPPED_CLIP), checkpoint.load(SHIPPED_MODEL)[0].vision
    ours = model.state_dict()
    assert all(torch.equal(tensor.half(), ours[name].half()) for name, tensor in tower.state_dict().items())
    words = AutoTokenizer.from_pretrained(SHIPPED_MODEL).get_vocab()
    words.pop("<LOC>")
    texts = AutoTokenizer.from_pretrained(SHIPPED_CLIP).get_vocab()
    texts.pop(END)
    assert texts == words


def test_the_text_tower_of_the_package_reads_a_text_to_its_end():
    """Both ways in which transformers' CLIP looks for the end find it, and every word before it counts."""
    tokenizer, clip = AutoTokenizer.from_pretrained(SHIPPED_CLIP), CLIPModel.from_pretrained(SHIPPED_CLIP)
    texts = [
        "a red circle moves left",
        "a blue circle moves left",
        "a red square moves left",
        "a red circle top left",
    ]
    batch = tokenizer(texts, return_tensors="pt", padding=True)
    ends = (batch.input_ids == clip.config.text_config.eos_token_id).int()
    assert torch.equal(ends.sum(1), torch.ones(len(texts)))
    assert torch.equal(batch.input_ids.argmax(1), ends.argmax(1))
    with torch.no_grad():
        read = clip.get_text_features(batch.input_ids, batch.attention_mask).pooler_output
    assert torch.pdist(torch.nn.functional.normalize(read, dim=-1)).min() > 0.05


def test_the_last_stage_moves_only_the_papers_parts(trained):
    before = torch.load(trained / "joint.pt", weights_only=True)["model"]
    after = torch.load(trained / "experts.pt", weights_only=True)["model"]
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    own = ("adapter.", "head.")
    assert all(n.startswith(own) or n.endswith(("lora_A", "lora_B", "loc_row")) for n in changed)


def test_a_finished_run_resumes_to_the_same_weights(trained):
    from safetensors.torch import load_file

    first = load_file(trained / "model" / "model.safetensors")
    (trained / "experts.pt").unlink()  # as if killed in the last stage
    locked: list[bool] = []
    train_shipped(toy_recipe(), trained, log=lambda _: locked.append((trained / LOCK).exists()))
    assert locked
    assert all(locked)
    assert not (trained / LOCK).exists()
    with held(trained), pytest.raises(InputError, match="in use by process"):
        train_shipped(toy_recipe(), trained, log=lambda _: None)
    again = load_file(trained / "model" / "model.safetensors")
    assert all(torch.equal(first[k], again[k]) for k in first)


@pytest.mark.slow
def test_the_two_minute_variant_learns(tmp_path):
    """recipes/shipped_quick.yaml as it stands: in every stage each part of the loss falls; the last keeps it."""
    lines: list[str] = []
    train_shipped(load_recipe(QUICK), tmp_path, log=lines.append)
    stages: list[list[dict[str, float]]] = []
    for line in lines:
        if line.startswith("step "):
            words = line.split(" | ")[0].split()
            number, parts = int(words[1]), dict(zip(words[2::2], map(float, words[3::2]), strict=True))
            if not stages or number <= stages[-1][-1]["step"]:
                stages.append([])
            stages[-1].append({"step": number, **parts})
    assert [stage[-1]["step"] for stage in stages] == [60, 160, 60, 40]
    tower, warm_start, joint, experts = stages
    assert tower[-1]["state"] < 0.6 * tower[0]["state"]
    assert tower[-1]["patch"] < 0.8 * tower[0]["patch"]
    for name in ("text", "l1", "giou", "now", "asked"):
        assert warm_start[-1][name] < 0.95 * warm_start[0][name], name
    for name in ("ind", "align"):  # which event is meant is only begun to be told in so few steps
        assert warm_start[-1][name] < 0.99 * warm_start[0][name], name
    for name in ("now", "asked"):  # pixels in place of perfect vision: what was known is found again
        assert joint[-1][name] < 0.6 * joint[0][name], name
    for name in ("l1", "giou"):
        assert experts[-1][name] < experts[0][name], name
    # words are known by then: forty steps of the experts keep what the stage before taught of them
    assert experts[-1]["text"] < joint[0]["text"]
    assert (tmp_path / "model" / "model.safetensors").exists()


def test_labels_say_what_the_script_says():
    script = sample_script(random.Random(4), 2, "v")
    event = script.events[0]
    slot = COLOUR_INDEX[script.doer(event).colour] * len(ACTIONS) + ACTION_INDEX[event.action]
    labels = dense_labels(script, 64)
    inside = [event.start <= t <= event.end for t in bin_centres(64, 0.0, script.duration)]
    assert labels[:, slot].bool().tolist() == inside or labels[:, slot].sum() > sum(inside)
    for sample in samples_of(script, random.Random(0)):
        asked = asked_labels(script, sample)
        assert len(asked) == (len(sample.windows) if sample.task == "caption" else 1)
        assert all(row.sum() == 1 and row.shape == (len(COLOURS) * len(ACTIONS),) for row in asked)


def test_a_tower_that_sees_too_little_stops_the_run(tmp_path):
    recipe = toy_recipe()
    recipe.tower.at_most, recipe.tower.at_least = {"position_px": 0.5}, {"direction": 0.99}
    with pytest.raises(TrainingError, match=r"position_px \d+\.\d+, asked 0.5 at most; direction"):
        train_shipped(recipe, tmp_path, log=lambda _: None)
    assert not (tmp_path / "tower" / "vision").exists()
    found = json.loads((tmp_path / "tower" / "probe.json").read_text())
    check_probes(TowerRecipe(at_most={"size_px": found["size_px"]}), found)  # just reached


def test_question_ends_are_where_answers_are_predicted():
    labels = torch.tensor([[-100, -100, 5, 6, -100, -100, 7], [-100, 3, -100, -100, -100, -100, -100]])
    assert question_ends(labels).tolist() == [[0, 1], [0, 5], [1, 0]]


@pytest.mark.parametrize("times", ["head", "text"])
def test_every_variant_is_read_out_where_it_meets_the_question(times, trained):
    """As many places as labels, whatever the way to say when; captions of a model without a head are left out."""
    fields = toy_recipe()
    tokenizer = AutoTokenizer.from_pretrained(trained / "tokenizer")
    vision = checkpoint.load_vision(trained / "tower" / "vision")
    config = make_config({**fields.model, "times": times}, fields.language, tokenizer, vision)
    model, prompter = VideoExpertModel(config, vision=vision), Prompter(config, tokenizer)
    sizes = (config.num_frames, (config.groups, config.tokens_per_group), config.vision_width)
    batch = BaseBatches(StateSource(4, (1,), *sizes, seed=1), prompter, BaseRecipe(videos=2, questions=20))[0]
    dense, asked = batch.pop("dense"), batch.pop("asked")
    left_out = int((asked[:, 0] < 0).sum())
    assert left_out == (2 if times == "text" else 0)  # one caption sample a video
    states = model(**batch, return_states=True).states
    happens, meant = ReadOut(model).losses(model, states, batch, dense, asked)
    assert torch.isfinite(happens)
    assert float(meant.detach()) > 0.1  # an untrained read-out knows nothing


class TestSamples:
    """What a stage asks of a video."""

    def drawn(self, **stage):
        batches = BaseBatches(source=[], prompter=None, recipe=BaseRecipe(**stage))
        scripts = [sample_script(random.Random(i), 2, f"v{i}") for i in range(60)]
        return [s for i, script in enumerate(scripts) for s in batches._samples(script, random.Random(i))]

    def test_a_share_of_the_questions_has_no_choices_and_keeps_its_answer(self):
        asked = [s for s in self.drawn() if s.task == "grounded_qa"]
        opened = [s for s in asked if not s.choices]
        assert 0.1 < len(opened) / len(asked) < 0.3
        assert all(s.answer and s.windows and s.choice is None for s in opened)

    def test_content_never_says_when(self):
        samples = self.drawn(tasks=CONTENT)
        assert {s.task for s in samples} == {"qa"}
        assert not any(s.windows for s in samples)
        assert {s.answer for s in samples if s.choices == ("yes", "no")} == {"yes", "no"}
        counted = next(s for s in samples if (s.query or "").startswith("count"))
        numbers = [int(n) for n in (counted.answer or "").split(", ")]
        assert numbers == list(range(numbers[0], numbers[0] + 8))

    def test_captions_are_asked_for_as_often_as_the_stage_says(self):
        shares = []
        for wanted in (0.0, 1.0):
            batches = BaseBatches(source=[], prompter=None, recipe=BaseRecipe(questions=4, captions=wanted))
            found = []
            for i in range(60):
                samples = samples_of(sample_script(random.Random(i), 3, f"v{i}"), random.Random(i))
                chosen = batches._chosen(samples, random.Random(i))
                assert len(chosen) == len({s.id for s in chosen}) == min(4, len(samples))
                found.append(any(s.task == "caption" for s in chosen))
            shares.append(sum(found) / len(found))
        assert shares[0] < 0.6
        assert shares[1] == 1.0

    def test_tasks_are_those_of_the_stage(self):
        assert {s.task for s in self.drawn(tasks=("grounding",))} == {"grounding"}


@pytest.mark.parametrize("level", [3, 4, 5])
def test_state_vectors_and_frame_labels_agree_on_who_is_there(level):
    script = sample_script(random.Random(8), level, "v")
    times = bin_centres(16, 0.0, script.duration)
    present, state, angle, turns, shape, patches, glyphs = frame_labels(script, times, 8)
    vectors = state_vectors(script, times).unflatten(1, (len(COLOURS), -1))
    half = (vectors[..., 0] - 0.5).abs() < 0.02  # fading, or between two colours
    assert torch.equal((vectors[..., 0] > 0.5)[~half], present[~half])
    seen = vectors[..., 0] == 1.0
    torch.testing.assert_close((vectors[..., 1][seen] + 2) / 4, state[..., 0][seen], atol=1e-5, rtol=1e-5)
    assert torch.equal(vectors[..., 6:].argmax(-1)[seen], shape[seen])
    turning = seen & turns
    torch.testing.assert_close(vectors[..., 4:6][turning], angle[turning], atol=1e-5, rtol=1e-5)
    assert set(patches.unique().tolist()) <= {*COLOUR_INDEX.values(), len(COLOURS)}
    assert torch.equal(glyphs == LEFT_OUT, patches == len(COLOURS))


def test_labels_follow_the_colour_shown_the_angle_and_the_detail():
    thing = SceneObject("red", "square", 0.5, 0.5, 0.2, 0.0, glyph="letter A")
    events = (Event(0, "recolour", 2.0, 4.0, to_colour="green"), Event(0, "turn", 6.0, 8.0, 0.5))
    script = Script("v", 12.0, (thing,), events, 1, 5)
    present, _, angle, turns, _, patches, glyphs = frame_labels(script, np.array([1.0, 5.0, 11.0]), 8)
    shown = [COLOUR_INDEX["red"], COLOUR_INDEX["green"], COLOUR_INDEX["green"]]
    assert present.int().argmax(1).tolist() == shown
    assert patches[:, 27].tolist() == shown
    assert turns.sum() == 3
    assert angle[2, shown[2]].tolist() == pytest.approx([math.cos(2.0), math.sin(2.0)])
    assert set(glyphs[0].tolist()) == {LEFT_OUT, GLYPH_INDEX["letter A"]}
    bare = frame_labels(replace(script, objects=(replace(thing, glyph=""),)), np.array([1.0]), 8)[-1]
    assert set(bare[0].tolist()) == {LEFT_OUT, len(GLYPHS)}
    spatial = StateSource(40, (6,), 8, (2, 4), 128, seed=1)
    drawn, tokens = spatial[3]
    told = tokens.spatial[:, STATE_DIMS : STATE_DIMS + len(GLYPHS)] > 0.5
    assert told.any(1).sum() == 2 * len(drawn.objects)  # every thing of level 6, in both groups
    assert not (tokens.temporal[:, STATE_DIMS : STATE_DIMS + len(GLYPHS)] > 0.5).any()


def test_fewer_frames_are_taken_from_the_middle_of_their_runs():
    tokens = VisualTokens(torch.arange(8.0)[:, None], torch.zeros(2, 1), 4.0)
    assert fewer_frames(tokens, 8, random.Random(0)) is tokens
    seen = {tuple(fewer_frames(tokens, 4, random.Random(i)).temporal[:, 0].tolist()) for i in range(20)}
    assert seen == {(0.0, 2.0, 4.0, 6.0), (1.0, 3.0, 5.0, 7.0)}
    seen = {tuple(fewer_frames(tokens, 2, random.Random(i)).temporal[:, 0].tolist()) for i in range(20)}
    assert seen == {(1.0, 5.0), (2.0, 6.0)}
    with pytest.raises(InputError, match="a number that divides 8"):
        fewer_frames(tokens, 3, random.Random(0))


def test_orthogonalise_brings_singular_values_near_one():
    torch.manual_seed(0)
    for shape in ((3, 20, 8), (2, 8, 20)):
        values = torch.linalg.svdvals(orthogonalise(torch.randn(shape)))
        assert 0.6 < float(values.min()) <= float(values.max()) < 1.3


def test_muon_minimises_a_quadratic_and_cosine_ends_low():
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(6, 4))
    target = torch.randn(6, 4)
    optimiser = Muon([weight], lr=0.5, weight_decay=0.0)
    first = float((weight - target).square().mean().detach())
    for step in range(60):
        optimiser.param_groups[0]["lr"] = 0.5 * cosine_factor(step, 60, warm_up=0.05)
        loss = (weight - target).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.05 * first
    assert cosine_factor(0, 100, warm_up=0.1) == pytest.approx(0.1)
    assert cosine_factor(10, 100, warm_up=0.1) == pytest.approx(1.0)
    assert cosine_factor(99, 100, warm_up=0.1) < 0.03


def test_what_a_true_or_false_sentence_says_is_read_at_its_end(trained):
    """The labels of a content stage: one place a question, left out where no sentence of the world is asked about."""
    script = sample_script(random.Random(3), 1, "v")
    samples = content_samples(script, random.Random(0))
    labels = [asked_labels(script, sample) for sample in samples]
    assert all(len(found) == 1 for found in labels)
    said = [s for s, (label,) in zip(samples, labels, strict=True) if label[0] >= 0]
    assert {s.choices for s in said} == {("yes", "no")}
    fields = toy_recipe()
    tokenizer = AutoTokenizer.from_pretrained(trained / "tokenizer")
    vision = checkpoint.load_vision(trained / "tower" / "vision")
    config = make_config(fields.model, fields.language, tokenizer, vision)
    sizes = (config.num_frames, (config.groups, config.tokens_per_group), config.vision_width)
    source, prompter = StateSource(4, (1,), *sizes, seed=1), Prompter(config, tokenizer)
    for read, count in ((True, 2 * 5), (False, 0)):
        stage = BaseRecipe(videos=2, questions=5, tasks=CONTENT, read_questions=read)
        batch = BaseBatches(source, prompter, stage)[0]
        assert len(batch["asked"]) == count
        assert len(batch["sequence"].loc_positions) == 0
