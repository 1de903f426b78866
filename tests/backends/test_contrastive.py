"""The backend on a tower whose answers are known: embeddings are mean colours, sentences name colours."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from videoexpert.backends.contrastive import Contrastive
from videoexpert.backends.training_free.methods import METHODS
from videoexpert.backends.training_free.sentences import PHRASINGS, phrasings
from videoexpert.errors import InputError, UnsupportedError
from videoexpert.video.glance import glance
from videoexpert.video.write import write_video
from videoexpert.vision.preprocess import Preprocessor

COLOURS = {"red": (220, 20, 20), "green": (20, 220, 20), "blue": (20, 20, 220)}


class Colours:
    name, revision, width = "colours", "0", 3
    preprocessing = Preprocessor(32)
    logit_scale, logit_bias = 10.0, None

    def resize(self, frame):
        return self.preprocessing.resize(frame)

    def encode_images(self, pixels, batch_size=4):
        rows = pixels.float().mean((2, 3))
        return rows / rows.norm(dim=1, keepdim=True)

    def encode_texts(self, texts):
        rows = torch.ones(len(texts), 3)
        for row, text in zip(rows, texts, strict=True):
            for i, name in enumerate(COLOURS):
                if name in text:
                    row[:] = torch.eye(3)[i]
        return rows / rows.norm(dim=1, keepdim=True)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Ten seconds: red, green from 4 to 7, blue; a little noise so that no picture repeats another."""
    rng = np.random.default_rng(0)
    times = np.arange(100) / 10
    shots = []
    for t in times:
        colour = COLOURS["red" if t < 4 else "green" if t < 7 else "blue"]
        shots.append(
            (np.array(colour) + rng.integers(-19, 20, (6, 6, 1)).repeat(8, 0).repeat(8, 1)).astype(np.uint8)
        )
    file = tmp_path_factory.mktemp("colours") / "v.mp4"
    write_video(file, shots, times.tolist(), duration_s=10.0)
    return file


@pytest.mark.parametrize("method", METHODS)
def test_moments_have_the_times_of_the_file(path, method):
    video = Contrastive(Colours(), rate=4.0, method=method).open(path)
    green, red = video.ground(["something green", "something red"])
    assert (green[0].start, green[0].end) == pytest.approx((4.0, 7.0), abs=0.26)
    assert (red[0].start, red[0].end) == pytest.approx((0.0, 4.0), abs=0.26)
    assert len(green.curve) == 40
    assert list(green) == sorted(green, key=lambda m: -m.score)
    assert green.presence == pytest.approx(max(green.curve))


def test_a_part_stays_on_the_clock_of_the_whole(path):
    video = Contrastive(Colours(), rate=4.0).open(path, start=3.0, end=8.0)
    assert (video.start, video.duration) == (3.0, 5.0)
    best = video.ground("something green")[0]
    assert (best.start, best.end) == pytest.approx((4.0, 7.0), abs=0.26)
    assert len(Contrastive(Colours()).open(path, num_frames=7).ground("red").curve) == 7


def test_highlights_choices_and_what_it_cannot(path):
    video = Contrastive(Colours(), rate=4.0).open(path)
    shown = video.highlights("something blue")
    assert shown.times[int(np.argmax(shown.scores))] == 8.0
    answer = video.ask("what is it?", ["something purple", "something green"])
    assert (answer.text, answer.choice) == ("something green", 1)
    assert sum(answer.choice_scores) == pytest.approx(1)
    for call in (video.caption, lambda: video.ask("what is it?")):
        with pytest.raises(UnsupportedError, match="chat model, such as --model Qwen"):
            call()
    for call in (
        lambda: video.ground(" "),
        lambda: video.ask("?", ["a"]),
        lambda: video.ask(" ", ["a", "b"]),
    ):
        with pytest.raises(InputError):
            call()


def test_a_generic_sentence_does_not_stand_out(path):
    """All that it says is said by the background too."""
    video = Contrastive(Colours(), rate=4.0).open(path)
    generic, green = video.ground(["something at all", "something green"])
    assert generic.presence < green.presence
    assert generic.absent


def test_settings_are_told_and_checked():
    told = Contrastive(Colours(), rate=1.0, method="tag").describe()
    assert (told["rate"], told["method"], told["calibrated"]) == (1.0, "tag", False)
    assert told["prompts"] == list(PHRASINGS)
    for wrong in ({"rate": 0.0}, {"rate": float("nan")}, {"method": "best"}, {"batch_size": 0}):
        with pytest.raises(InputError):
            Contrastive(Colours(), **wrong)


def test_phrasings():
    assert phrasings("A man  runs.") == ["A man runs", "a photo of A man runs", "a video of A man runs"]
    assert phrasings("A Man", lower=True)[0] == "a man"


def test_a_glance_at_a_part_counts_its_own_pictures(path):
    whole, part = glance(path), glance(path, start_s=3.0, end_s=8.0)
    assert (whole.frame_count, part.frame_count) == (100, 50)
    assert part.average_fps == pytest.approx(whole.average_fps)
    assert (part.stretch.start_s, part.duration_s) == (3.0, 5.0)
