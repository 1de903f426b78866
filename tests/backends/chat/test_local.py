"""Local chat models of every family: all verbs on random weights, scripted answers exactly, one prefix for all."""

from __future__ import annotations

import json
import re
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

import videoexpert
from tiny_chat import QWEN_TOKENS, save_qwen, write
from videoexpert.backends.base import TASKS, Backend, OpenVideo
from videoexpert.backends.chat import backend as chat_backend
from videoexpert.backends.chat.backend import ChatBackend, Scoring
from videoexpert.backends.chat.frames import Budget
from videoexpert.backends.chat.local import LocalTalk, is_chat_model, load_talker
from videoexpert.backends.chat.prompts import STYLES
from videoexpert.backends.chat.talk import Ask
from videoexpert.errors import CheckpointError, InputError
from videoexpert.types import Frames

FAMILIES = ("qwen3_vl", "qwen2_5_vl", "qwen3_5", "qwen2_vl", "llava")
SMALL = Budget(fps=1.0, max_frames=8, frame_pixels=64 * 64)
every_family = pytest.mark.parametrize("family", FAMILIES)


@pytest.fixture
def backend(talkers):
    return lambda family, **options: ChatBackend(talkers(family), budget=SMALL, **options)


@every_family
def test_random_weights_answer_every_verb(backend, clip, family, monkeypatch):
    monkeypatch.setattr(chat_backend, "GROUND_TOKENS", 12)
    expert = backend(family)
    assert isinstance(expert, Backend)
    assert expert.can == TASKS
    video = expert.open(clip)
    assert isinstance(video, OpenVideo)
    found = video.ground(["a bar moves", "a man"])
    assert [m.query for m in found] == ["a bar moves", "a man"]
    for moments in found:
        assert moments.told.parsed in ("failed", "outside", "numbers", "range", "empty", "pairs")
        assert not (moments.told.parsed in ("failed", "outside") and (moments or moments.absent))
        assert len(moments.curve) == 80
    assert len(video.highlights("a bar moves").scores) == 4
    assert all(0 <= m.start < m.end <= 8 for m in video.caption(12))
    assert video.ask("who?", max_new_tokens=12).choice is None
    answer = video.ask("who?", ["he", "she", "it"])
    assert answer.text == ["he", "she", "it"][answer.choice]
    assert sum(answer.choice_scores) == pytest.approx(1)
    assert answer.told.choice == "likelihood"
    json.dumps(expert.describe())


@every_family
def test_a_scripted_answer_gives_exactly_its_moments(backend, clip, script, family):
    video = backend(family).open(clip)
    script(video.talk.talker, "[[1.5, 3.25], [6, 99]]")
    moments = video.ground("a bar moves")
    assert [(m.start, m.end) for m in moments] == [(1.5, 3.25), (6, 8)]
    assert moments.told.parsed == "pairs"
    assert moments.told.score == "digits"
    assert moments.told.text == "[[1.5, 3.25], [6, 99]]"
    assert [m.score for m in moments] == pytest.approx([0.9, 0.9], abs=1e-3)
    assert moments.presence == pytest.approx(0.9, abs=1e-3)
    inside = [1.5 <= t <= 3.25 or t >= 6 for t in (i / 10 + 0.05 for i in range(80))]
    assert moments.curve == pytest.approx([0.9 * there for there in inside], abs=1e-3)


def test_times_of_a_part_are_the_videos(backend, clip, script):
    video = backend("qwen3_vl").open(clip, start=2.0, end=6.0)
    assert (video.start, video.duration) == (2.0, 4.0)
    script(
        video.talk.talker, "[[0.5, 9]]", '[{"start": "00:01.00", "end": "00:02.50", "description": "A bar."}]'
    )
    assert [(m.start, m.end) for m in video.ground("a bar")] == [(2.5, 6.0)]
    captions = video.caption()
    assert [(m.start, m.end, m.text) for m in captions] == [(3.0, 4.5, "A bar.")]
    assert (captions.told.parsed, captions.told.score) == ("json", "digits")


def test_a_hole_in_the_video_is_on_the_models_clock_too(talkers, script):
    talker = talkers("qwen3_vl")
    times = torch.tensor([2.5, 3.5, 24.5, 25.5], dtype=torch.float64)
    frames = Frames(torch.zeros(4, 3, 32, 32, dtype=torch.uint8), times, 24.0, 2.0, ((4.0, 24.0),))
    text = talker.processor.tokenizer.decode(talker.feed.inputs(frames, "")["input_ids"][0])
    assert re.findall(r"<([\d.]+) seconds>", text) == ["1.0", "23.0"]
    video = ChatBackend(talker).open_frames(frames)
    script(talker, "[[1, 2], [22.5, 24]]", "[[1, 2]]")
    moments = video.ground("a")
    assert sorted((m.start, m.end) for m in moments) == [(3, 4), (24.5, 26)]
    assert (moments.curve_times[0], moments.curve_times[19], moments.curve_times[20]) == (2.05, 3.95, 24.05)
    assert [i for i, c in enumerate(moments.curve) if c == 0] == [*range(10), *range(20, 25)]
    scores = video.highlights("a", clip_s=2.0).scores
    assert [i for i, score in enumerate(scores) if score > 0] == [0]


def test_an_empty_list_is_absence_and_a_failure_is_not(backend, clip, script):
    video = backend("qwen3_vl").open(clip)
    script(video.talk.talker, "[]", "I cannot tell.", "no captions", "[[30, 40]]")
    empty, failed = video.ground(["a", "b"])
    assert (len(empty), empty.absent, empty.presence, empty.told.parsed) == (0, True, 0.0, "empty")
    assert (len(failed), failed.absent, failed.presence, failed.told.parsed) == (0, False, 0.5, "failed")
    captions = video.caption()
    assert (captions, captions.told.parsed) == ([], "failed")
    outside = video.ground("c")
    assert (len(outside), outside.absent, outside.told.parsed) == (0, False, "outside")


def test_an_answer_is_followed_by_its_proof(backend, clip, script):
    video = backend("qwen3_vl").open(clip)
    script(video.talk.talker, "<think>hm</think>The bar\nmoves.", "The event happens in 2.0 - 4.0 seconds.")
    answer = video.ask("What moves?")
    assert (answer.text, answer.choice) == ("The bar moves.", None)
    assert [(m.start, m.end) for m in answer.moments] == [(2, 4)]
    assert answer.told.parsed == "range"


def test_the_best_score_comes_first(backend, clip, monkeypatch, talkers):
    video = backend("qwen3_vl").open(clip)
    from videoexpert.backends.chat.talk import Reply, chances_of

    text = [
        ("[[", 0),
        ("1", -2),
        (", ", 0),
        ("2", -2),
        ("], [", 0),
        ("5", -0.1),
        (", ", 0),
        ("6", -0.1),
        ("]]", 0),
    ]
    reply = Reply("".join(t for t, _ in text), chances_of(text))
    monkeypatch.setattr(LocalTalk, "replies", lambda self, asks: [reply] * len(asks))
    moments = video.ground("a", top_k=1)
    assert [(m.start, m.end) for m in moments] == [(5, 6)]
    assert moments[0].score == pytest.approx(0.9048, abs=1e-4)
    assert [m.start for m in video.ground("a", top_k=None)] == [5, 1]


def test_agreement_of_samples(backend, clip, script):
    expert = backend("qwen3_vl", scoring=Scoring("agreement", 2))
    video = expert.open(clip)
    script(video.talk.talker, "[[2, 4], [6, 7]]", "[[2, 4]]", "nothing")
    moments = video.ground("a bar")
    assert [(m.start, m.end, m.score) for m in moments] == [(2, 4, 0.5), (6, 7, 0.0)]
    assert moments.told.score == "agreement"
    assert expert.describe()["score"] == {"kind": "agreement", "samples": 2}


@every_family
def test_questions_go_on_from_one_prefix_as_from_whole_prompts(talkers, backend, clip, family):
    video = backend(family).open(clip)
    talk, whole = video.talk, LocalTalk(talkers(family), video.talk.frames)
    whole.whole = True
    asks = [Ask("Where is a bar?", 6), Ask("And the man, über 3 s?", 6), Ask("Where is a bar?", 6)]
    ours, theirs = talk.replies(asks), whole.replies(asks)
    assert talk.prefix is not None
    assert not talk.whole
    assert whole.prefix is None
    assert [r.text for r in ours] == [r.text for r in theirs]
    assert ours[0].text == ours[2].text
    for a, b in zip(ours, theirs, strict=True):
        assert [c.logprob for c in a.chances] == pytest.approx([c.logprob for c in b.chances], abs=1e-3)
    for answers in (["A", "B", "C"], ["yes", "no, not at all"]):
        assert talk.likelihoods("Who?", answers) == pytest.approx(
            whole.likelihoods("Who?", answers), abs=1e-3
        )


def test_a_family_that_does_not_go_on_from_a_prefix_runs_whole_prompts(talkers, backend, clip, monkeypatch):
    right = backend("llava").open(clip).talk.replies([Ask("Where?", 4)])

    def wrong(self, question, answer):
        return torch.full((1, 300), -5.0)

    monkeypatch.setattr(LocalTalk, "_logits", wrong)
    video = backend("llava").open(clip)
    assert video.talk.replies([Ask("Where?", 4)]) == right
    assert (video.talk.whole, video.talk.prefix) == (True, None)


def test_likelihoods_are_what_the_model_says(talkers, backend, clip):
    talker, video = talkers("qwen3_vl"), backend("qwen3_vl").open(clip)
    inputs = video.talk._inputs("Who?")
    with torch.inference_mode():
        logits = talker.model(**inputs).logits[0, -1].log_softmax(-1)
    letters = [talker.processor.tokenizer.encode(c)[0] for c in "AB"]
    assert video.talk.likelihoods("Who?", ["A", "B"]) == pytest.approx(
        [float(logits[i]) for i in letters], abs=1e-3
    )


def test_samples_are_the_same_for_the_same_seed(backend, clip):
    talk = backend("qwen3_vl").open(clip).talk
    state = torch.random.get_rng_state()
    one, two, again = talk.replies([Ask("Where?", 8, 1), Ask("Where?", 8, 2), Ask("Where?", 8, 1)])
    assert one == again
    assert one.text != two.text
    assert torch.equal(torch.random.get_rng_state(), state)


def test_saved_settings_of_sampling_and_penalties_are_not_used(folders, clip, tmp_path):
    copy = shutil.copytree(folders("qwen3_vl"), tmp_path / "copy")
    settings = json.loads((copy / "generation_config.json").read_text())
    write(copy / "generation_config.json", {**settings, "repetition_penalty": 9.0, "no_repeat_ngram_size": 2})
    talkers = [load_talker(folder, device="cpu") for folder in (folders("qwen3_vl"), copy)]
    frames = ChatBackend(talkers[0], budget=SMALL).open(clip).frames
    asks = [Ask("Where?", 12), Ask("Where?", 12, seed=1)]
    plain, penalised = (talker.look(frames).replies(asks) for talker in talkers)
    assert plain == penalised
    # with the penalty the same model gives other probabilities
    talkers[1].model.generation_config.repetition_penalty = 9.0
    assert talkers[1].look(frames).replies(asks[:1]) != plain[:1]


def test_prompts_follow_the_models_name(folders, tmp_path):
    asked = {}
    for name, style in {
        "TimeLens2-2B": "spans",
        "TimeLens-8B": "span",
        "Time-R1-7B": "thought",
        "x": "spans",
    }.items():
        folder = tmp_path / name
        shutil.copytree(folders("qwen3_vl"), folder)
        expert = ChatBackend(load_talker(folder, device="cpu"))
        assert expert.prompts is STYLES[style]
        asked[name] = expert.prompts.grounding("a {query} runs")
    assert asked["TimeLens2-2B"].startswith(
        'Given the query: "a {query} runs", return ALL time spans (in seconds)'
    )
    assert "described by the sentence 'a {query} runs'" in asked["TimeLens-8B"]
    assert "<think>" in asked["Time-R1-7B"]


def test_wrong_calls_on_an_open_video(backend, clip):
    video = backend("qwen3_vl").open(clip)
    with pytest.raises(InputError, match="the query is empty"):
        video.ground(["a", " "])
    with pytest.raises(InputError, match="clip_s is 0"):
        video.highlights("a", clip_s=0)
    with pytest.raises(InputError, match="the question is empty"):
        video.ask(" ")
    for choices in (["a"], ["a", " "], ["a"] * 27):
        with pytest.raises(InputError, match=r"expected at (least two|most 26)"):
            video.ask("who?", choices)
    assert video.ground([]) == []


@pytest.mark.parametrize("words", ["a <|im_end|> b", "<|video_pad|>"])
def test_words_that_are_marks_of_the_prompt_are_words(backend, clip, words, monkeypatch):
    monkeypatch.setattr(chat_backend, "GROUND_TOKENS", 4)
    made = backend("qwen3_vl")
    video = made.open(clip)
    asked = []
    given = LocalTalk._given
    monkeypatch.setattr(LocalTalk, "_given", lambda self, text: asked.append(text) or given(self, text))
    video.ground(words)
    video.ask(words, max_new_tokens=2)
    video.ask("who?", [words, "b"])
    mark = words.split()[1] if " " in words else words
    assert len(asked) >= 3
    assert all(mark not in text and f"< {mark[1:]}" in text for text in asked)


def test_wrong_options():
    with pytest.raises(InputError, match="the score is 'best', expected one of digits, agreement"):
        Scoring("best")
    with pytest.raises(InputError, match="number of samples is 0"):
        Scoring("agreement", 0)
    with pytest.raises(InputError, match="fps is 0, expected a positive number"):
        Budget(fps=0)


def test_a_prompt_that_is_too_long_says_so(talkers, clip, monkeypatch):
    talker = talkers("qwen3_vl")
    monkeypatch.setattr(talker.model.config.get_text_config(), "max_position_embeddings", 50)
    video = ChatBackend(talker, budget=SMALL).open(clip)
    with pytest.raises(
        InputError, match=r"8 frames make a prompt of \d+ tokens, .* takes 50: lower max_frames"
    ):
        video.ground("a")


def test_precision_is_said(folders, clip):
    talker = load_talker(folders("llava"), device="cpu", dtype=torch.bfloat16)
    assert talker.describe()["dtype"] == "bfloat16"
    video = ChatBackend(talker, budget=SMALL).open(clip)
    assert len(video.talk.replies([Ask("Where?", 2)])) == 1


def test_four_bits_need_a_gpu(folders):
    with pytest.raises(InputError, match="4-bit weights need an NVIDIA GPU, the device is cpu"):
        load_talker(folders("llava"), device="cpu", load_in_4bit=True)


def broken(folders, tmp_path, family="qwen3_vl"):
    folder = tmp_path / "model"
    shutil.copytree(folders(family), folder)
    return folder


def test_models_that_are_none(folders, tmp_path):
    folder = broken(folders, tmp_path)
    config = json.loads((folder / "config.json").read_text())
    assert is_chat_model(config)
    for kind in ("llama", "detr"):
        write(folder / "config.json", {**config, "model_type": kind})
        with pytest.raises(
            CheckpointError, match=f"is a {kind}, which does not take pictures and write text"
        ):
            load_talker(folder, device="cpu")


def test_a_model_that_brings_code_is_refused(folders, tmp_path):
    folder = broken(folders, tmp_path)
    config = json.loads((folder / "preprocessor_config.json").read_text())
    write(folder / "preprocessor_config.json", {**config, "auto_map": {"AutoProcessor": "evil.Processor"}})
    (folder / "evil.py").write_text("raise SystemExit('executed')")
    with pytest.raises(
        CheckpointError, match=r"code of its own \(evil.Processor\), which videoexpert never runs"
    ):
        load_talker(folder, device="cpu")


def test_a_model_that_asks_for_a_foreign_kernel_is_refused(folders, tmp_path):
    folder = broken(folders, tmp_path)
    config = json.loads((folder / "config.json").read_text())
    write(folder / "config.json", {**config, "attn_implementation": "someone/kernel"})
    with pytest.raises(CheckpointError, match=r"someone/kernel.*never fetched"):
        load_talker(folder, device="cpu")


def _own_template_alone(folder):
    """Older folders: in tokenizer_config.json and nowhere else."""
    (folder / "chat_template.json").unlink()


def _template_beside(folder):
    """Newer folders: a file of its own and nowhere else."""
    template = json.loads((folder / "chat_template.json").read_text())["chat_template"]
    _own_template_alone(folder)
    (folder / "chat_template.jinja").write_text(template)
    fields = json.loads((folder / "tokenizer_config.json").read_text())
    write(folder / "tokenizer_config.json", {k: v for k, v in fields.items() if k != "chat_template"})


def _one_processor_file(folder):
    """As transformers 5 saves: the settings of pictures and videos inside processor_config.json."""
    parts = {
        "image_processor": "preprocessor_config.json",
        "video_processor": "video_preprocessor_config.json",
    }
    held = {part: json.loads((folder / file).read_text()) for part, file in parts.items()}
    write(folder / "processor_config.json", {"processor_class": "Qwen3VLProcessor", **held})
    for file in parts.values():
        (folder / file).unlink()


def _slow_tokenizer(folder):
    """vocab.json and merges.txt alone; the marks are in tokenizer_config.json."""
    (folder / "tokenizer.json").unlink()
    fields = json.loads((folder / "tokenizer_config.json").read_text())
    marks = {str(256 + i): {"content": token, "special": True} for i, token in enumerate(QWEN_TOKENS)}
    write(folder / "tokenizer_config.json", {**fields, "added_tokens_decoder": marks})


def _shards_in_half(folder):
    """Two weight files with their index, in half precision."""
    tensors = {key: value.half() for key, value in load_file(folder / "model.safetensors").items()}
    place = {key: f"model-{1 + i % 2:05d}-of-00002.safetensors" for i, key in enumerate(sorted(tensors))}
    for file in set(place.values()):
        held = {key: value for key, value in tensors.items() if place[key] == file}
        save_file(held, folder / file, metadata={"format": "pt"})
    write(folder / "model.safetensors.index.json", {"metadata": {}, "weight_map": place})
    (folder / "model.safetensors").unlink()


@pytest.mark.parametrize(
    "change", [_own_template_alone, _template_beside, _one_processor_file, _slow_tokenizer, _shards_in_half]
)
def test_other_layouts_of_a_folder_answer_the_same(folders, talkers, clip, tmp_path, change):
    copy = shutil.copytree(folders("qwen3_vl"), tmp_path / "copy")
    change(copy)
    frames = ChatBackend(talkers("qwen3_vl"), budget=SMALL).open(clip).frames
    ask = Ask("When does a man run?", 3)
    talks = [talker.look(frames) for talker in (talkers("qwen3_vl"), load_talker(copy, device="cpu"))]
    expected, got = (talk.likelihoods(ask.text, ["A", "B"]) for talk in talks)
    assert got == pytest.approx(expected, abs=5e-3)  # half precision moves them a little


def test_a_folder_that_does_not_say_how_pictures_are_prepared(folders, tmp_path):
    copy = shutil.copytree(folders("qwen2_5_vl"), tmp_path / "copy")
    (copy / "preprocessor_config.json").unlink()
    with pytest.raises(CheckpointError, match="does not say how its pictures are prepared"):
        load_talker(copy, device="cpu")


def test_a_base_model_without_chat_template(folders, tmp_path):
    folder = broken(folders, tmp_path)
    (folder / "chat_template.json").unlink()
    config = json.loads((folder / "tokenizer_config.json").read_text())
    write(folder / "tokenizer_config.json", {k: v for k, v in config.items() if k != "chat_template"})
    with pytest.raises(CheckpointError, match="has no chat template"):
        load_talker(folder, device="cpu")


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("model.safetensors", "half a download"),
        ("preprocessor_config.json", r"preprocessor_config.json, line \d+: not valid JSON"),
    ],
)
def test_half_a_download(folders, tmp_path, file, reason):
    folder = broken(folders, tmp_path)
    (folder / file).write_bytes((folder / file).read_bytes()[:100])
    with pytest.raises(CheckpointError, match=reason):
        load_talker(folder, device="cpu")


def test_a_missing_tokenizer(folders, tmp_path):
    folder = broken(folders, tmp_path)
    for file in ("tokenizer.json", "vocab.json", "merges.txt"):
        (folder / file).unlink()
    with pytest.raises(CheckpointError, match="tokenizer files are missing"):
        load_talker(folder, device="cpu")


def test_weights_of_another_shape(folders, tmp_path):
    folder = save_qwen(tmp_path / "m", "qwen3_vl")
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["hidden_size"] = 48
    write(folder / "config.json", config)
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        load_talker(folder, device="cpu")


def test_load_finds_the_backend_by_the_models_config(folders, clip):
    expert = videoexpert.load(
        folders("qwen3_vl"), device="cpu", dtype="float32", fps=1, max_frames=4, prompts="span"
    )
    assert isinstance(expert, ChatBackend)
    assert (expert.budget.fps, expert.budget.max_frames, expert.prompts.name) == (1.0, 4, "span")
    assert len(expert.open(clip).talk.frames) == 4
    assert len(expert.open(clip, num_frames=2).talk.frames) == 2
    assert isinstance(videoexpert.load(f"chat:{folders('llava')}", device="cpu"), ChatBackend)
    with pytest.raises(
        InputError, match="a chat model has no option 'colour'; it takes load_in_4bit, prompts"
    ):
        videoexpert.load(folders("qwen3_vl"), colour="red")
    with pytest.raises(InputError, match="dtype is 'int8', expected float32"):
        videoexpert.load(folders("qwen3_vl"), dtype="int8")
    with pytest.raises(InputError, match="a VideoExpert has no option 'fps'; it takes none"):
        videoexpert.load(fps=1)
