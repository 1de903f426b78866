"""The clocks: what a model is told of time equals the presentation times of the frames it is shown."""

from __future__ import annotations

import re

import av
import numpy as np
import pytest
import torch

from tiny_chat import QWEN_TEMPLATE, save_llava
from videoexpert.backends.chat.feeds import TICKS, Pictures, feed_for, in_tokens, timed_positions
from videoexpert.backends.chat.frames import Budget, read, times_of
from videoexpert.backends.chat.processors import load_processor
from videoexpert.types import Frames
from videoexpert.video.write import write_video

VFR = (
    "fire2_rot180_vfr.mp4",
    "awesome_movie_vfr.mov",
    "skateboarding_portrait_vfr.mp4",
    "no_duration_vp9.webm",
)
SMALL = Budget(fps=3.0, frame_pixels=64 * 64)
UNEVEN = [0.0, 0.1, 0.15, 0.9, 1.0, 2.35, 2.4, 2.6, 4.05, 4.3, 5.85]


@pytest.fixture(scope="module")
def uneven(tmp_path_factory):
    """A synthetic file of 6.5 s with gaps from 50 to 1550 ms."""
    path = tmp_path_factory.mktemp("vfr") / "uneven.mp4"
    pictures = [np.full((48, 64, 3), 20 * i, dtype=np.uint8) for i in range(len(UNEVEN))]
    write_video(path, pictures, UNEVEN, duration_s=6.5)
    return path


def shown_times(path, count, duration):
    """PTS of the pictures on show at the centres of ``count`` bins, read with PyAV alone."""
    with av.open(str(path)) as container:
        stream = container.streams.best("video")
        times = sorted(float(frame.pts * stream.time_base) for frame in container.decode(stream))
        zero = container.start_time / av.time_base  # sound may begin before the pictures
    first = np.array(times) - zero
    centres = (np.arange(count) + 0.5) / count * duration
    return [float(first[first <= max(centre, first[0]) + 1e-6][-1]) for centre in centres]


def printed(talker, frames):
    ids = talker.feed.inputs(frames, "Where?")["input_ids"][0]
    text = talker.processor.tokenizer.decode(ids)
    return [float(t) for t in re.findall(r"<(\d+\.\d) seconds>", text)]


def pairs(times):
    return [(a + b) / 2 for a, b in zip(times[::2], times[1::2], strict=True)]


def check_written(talker, path):
    frames = read(path, SMALL, talker.size_for(SMALL), multiple=talker.multiple)
    truth = shown_times(path, len(frames), frames.duration_s)
    assert times_of(frames) == pytest.approx(truth, abs=1e-6)
    told = printed(talker, frames)
    # one decimal is printed, of times rounded to 1 / TICKS s
    assert told == pytest.approx(pairs(truth), abs=0.05 + 1 / TICKS)
    return told, frames


@pytest.mark.parametrize("name", VFR)
def test_written_times_are_the_presentation_times(talkers, shared, name):
    told, frames = check_written(talkers("qwen3_vl"), shared / "videos" / name)
    assert len(told) == len(frames) / 2
    assert told[-1] > 0.5 * frames.duration_s


@pytest.mark.parametrize("family", ["qwen3_vl", "qwen3_5"])
def test_written_times_of_an_uneven_file(talkers, uneven, family):
    told, frames = check_written(talkers(family), uneven)
    # what an average rate would print is far off
    even = pairs([(i + 0.5) / len(frames) * frames.duration_s for i in range(len(frames))])
    assert max(abs(a - b) for a, b in zip(told, even, strict=True)) > 0.5


def test_times_count_from_the_start_of_the_part(talkers, uneven):
    talker = talkers("qwen3_vl")
    frames = read(uneven, SMALL, talker.size_for(SMALL), start=3.0, end=5.0, multiple=2)
    # at 3 s the picture of 2.6 s is on show: for the model it came with the part's beginning
    assert times_of(frames)[0] == 0.0
    assert printed(talker, frames)[-1] == pytest.approx(4.3 - 3.0, abs=0.051)


def test_each_pair_brings_its_own_marks_and_the_templates_go(talkers, uneven):
    talker = talkers("qwen3_vl")
    frames = read(uneven, SMALL, talker.size_for(SMALL), count=4)
    text = talker.processor.tokenizer.decode(talker.feed.inputs(frames, "Where?")["input_ids"][0])
    once = re.sub(r"(<\|video_pad\|>)+", "V", text)
    assert once == (
        "<|im_start|>user\n<1.3 seconds><|vision_start|>V<|vision_end|><4.2 seconds><|vision_start|>V<|vision_end|>"
        "Where?<|im_end|>\n<|im_start|>assistant\n"
    )


@pytest.mark.parametrize("name", [*VFR, None])
def test_positions_are_the_presentation_times(talkers, shared, uneven, name):
    talker = talkers("qwen2_5_vl")
    path = uneven if name is None else shared / "videos" / name
    frames = read(path, SMALL, talker.size_for(SMALL), multiple=2)
    inputs = talker.feed.inputs(frames, "Where?")
    positions = talker.feed.positions(talker.model, inputs, frames)[:, 0]
    video = inputs["mm_token_type_ids"][0] == 2
    first = int(video.int().argmax())
    per_pair = int(video.sum()) // (len(frames) // 2)
    truth = shown_times(path, len(frames), frames.duration_s)[::2]
    clock = positions[0, video].view(-1, per_pair) - first
    rate = talker.model.config.vision_config.tokens_per_second
    assert clock.tolist() == [[int(rate * t + 1e-6)] * per_pair for t in truth]


def test_positions_by_hand():
    is_video = torch.tensor([0, 0, *[1] * 6, 0, 0], dtype=torch.bool)
    found = timed_positions(is_video, (1, 2), [0.0, 1.6, 4.0], tokens_per_second=2.0)
    assert found.tolist() == [
        [0, 1, 2, 2, 5, 5, 10, 10, 11, 12],
        [0, 1, 2, 2, 2, 2, 2, 2, 11, 12],
        [0, 1, 2, 3, 2, 3, 2, 3, 11, 12],
    ]
    with pytest.raises(ValueError, match="expected 8 tokens"):
        timed_positions(is_video, (1, 2), [0.0, 1.0, 2.0, 3.0], 2.0)


def test_positions_of_an_even_video_are_transformers_own(talkers):
    talker = talkers("qwen2_5_vl")
    pixels = torch.randint(0, 255, (8, 3, 56, 84), dtype=torch.uint8)
    frames = Frames(pixels, torch.arange(8, dtype=torch.float64) / 2, 4.0)
    inputs = talker.feed.inputs(frames, "Where?")
    ours = talker.feed.positions(talker.model, inputs, frames)
    theirs, _ = talker.model.model.get_rope_index(
        inputs["input_ids"],
        mm_token_type_ids=inputs["mm_token_type_ids"],
        video_grid_thw=inputs["video_grid_thw"],
        second_per_grid_ts=[1.0],
    )
    video = inputs["mm_token_type_ids"][0] == 2
    assert (ours[:, 0, video] == theirs[:, 0, video]).all()
    last = int(ours[:, 0, video].max())
    assert int(ours[0, 0, video.nonzero().max() + 1]) == last + 1


def test_patches_are_transformers_own(folders):
    from transformers.models.qwen3_vl.video_processing_qwen3_vl import Qwen3VLVideoProcessor

    patches = load_processor(folders("qwen3_vl"), "qwen3_vl").video_processor
    video = torch.randint(0, 255, (5, 3, 64, 96), dtype=torch.uint8)
    ours, grid = patches.patches(video)
    normal = (video.float() / 255 - 0.5) / 0.5
    theirs, *sides = Qwen3VLVideoProcessor.patchify(None, normal[None], 16, 2, 2)
    assert grid == sides == [3, 4, 6]
    assert torch.allclose(ours, theirs[0], atol=1e-6)


def test_two_equal_frames_are_the_picture_processors_patches(folders):
    from PIL import Image
    from transformers import AutoImageProcessor

    processor = load_processor(folders("qwen2_5_vl"), "qwen2_5_vl")
    picture = torch.randint(0, 255, (3, 56, 84), dtype=torch.uint8)
    ours, grid = processor.video_processor.patches(picture.expand(2, -1, -1, -1))
    theirs = AutoImageProcessor.from_pretrained(folders("qwen2_5_vl"))(
        Image.fromarray(picture.permute(1, 2, 0).numpy()), do_resize=False, return_tensors="pt"
    )
    assert [grid] == theirs["image_grid_thw"].tolist()
    assert torch.allclose(ours, theirs["pixel_values"], atol=1e-5)


def test_pictures_stand_behind_their_times(talkers, uneven):
    talker = talkers("llava")
    frames = read(uneven, SMALL, talker.size_for(SMALL), count=3)
    text = talker.processor.tokenizer.decode(talker.feed.inputs(frames, "Where?")["input_ids"][0])
    once = re.sub(r"(<image>)+", "P", text)
    assert once == (
        "USER: These are 3 frames of a video of 6.5 seconds, in order, each behind its time.\n"
        "<1.0 seconds>P\n<2.6 seconds>P\n<4.3 seconds>P\nWhere?\nASSISTANT:"
    )


def test_pictures_are_not_tiled(tmp_path):
    processor = load_processor(save_llava(tmp_path), "llava")
    processor.image_processor.do_image_splitting = True
    processor.images_kwargs = {"crop_to_patches": True}
    Pictures(processor)
    assert processor.image_processor.do_image_splitting is False
    assert processor.images_kwargs == {"crop_to_patches": False}


def test_models_that_may_think_are_told_not_to(folders):
    processor = load_processor(folders("qwen3_5"), "qwen3_5")
    thinking = "{% if enable_thinking is not defined or enable_thinking %}<think>{% endif %}"
    processor.chat_template = QWEN_TEMPLATE + thinking
    frames = Frames(torch.zeros(2, 3, 32, 32, dtype=torch.uint8), torch.tensor([0.0, 1.0]).double(), 2.0)
    feed = feed_for(processor)
    assert "<think>" not in feed.prompt(frames, "Where?")


@pytest.mark.parametrize(
    ("picture", "pixels", "expected"),
    [
        ((720, 1280), 512 * 512, (384, 672)),  # 1280 becomes 682: rounded down, so that the budget holds
        ((64, 64), 512 * 512, (64, 64)),
        ((40, 70), 512 * 512, (32, 64)),
        ((4, 400), 512 * 512, (32, 384)),
        ((1000, 1000), 1, (32, 32)),
    ],
)
def test_sizes_are_whole_tokens(picture, pixels, expected):
    assert in_tokens(pixels, 32)(*picture) == expected
