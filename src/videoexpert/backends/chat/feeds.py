"""How frames and their times enter a model: three clocks, one for each way in which models were trained.

``written``    Qwen3-VL, Qwen3.5: the processor writes ``<12.3 seconds>`` before every pair of frames
``positions``  Qwen2.5-VL: a pair's position on the time axis of the rotary embedding is its time
``pictures``   any other model: each frame is a picture, preceded by its time as text
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from ...types import Frames
from .frames import Budget, Size, times_of, within
from .processors import SHOWN_VIDEOS, VideoPatches
from .prompts import preface, stamp

Inputs = dict[str, Tensor]
TICKS = 1000  # of the metadata's clock a second: the processor divides frame indices by its rate
# options of picture processors that cut one picture into many tiles: a frame is one tile
TILING = ("do_image_splitting", "crop_to_patches", "do_pan_and_scan")


class Feed(Protocol):
    """One clock.

    ``placeholder`` is the token that stands for the last picture, or the video, in a prompt; ``budget`` what such
    models are shown by default.
    """

    clock: str
    multiple: int
    budget: Budget
    placeholder: str | None

    def size_for(self, budget: Budget) -> Callable[[int], Size]: ...
    def prompt(self, frames: Frames, question: str) -> str: ...
    def inputs(self, frames: Frames, question: str) -> Inputs: ...
    def positions(self, model: Any, inputs: Inputs, frames: Frames) -> Tensor | None: ...


def feed_for(processor: Any) -> Feed:
    """The clock that models with this processor were trained with."""
    name = type(processor).__name__
    if name not in SHOWN_VIDEOS or not isinstance(processor.video_processor, VideoPatches):
        return Pictures(processor)
    return Positions(processor) if name == "Qwen2_5_VLProcessor" else Written(processor)


class _Video:
    """What both Qwen clocks share: frames as one video of patches."""

    budget = Budget()

    def __init__(self, processor: Any) -> None:
        self.processor = processor
        self.patches: VideoPatches = processor.video_processor
        self.multiple = self.patches.temporal_patch_size
        self.placeholder: str | None = processor.video_token

    def size_for(self, budget: Budget) -> Callable[[int], Size]:
        return lambda count: in_tokens(budget.pixels(count), self.patches.factor)

    def prompt(self, _: Frames, question: str) -> str:
        content = [{"type": "video"}, {"type": "text", "text": question}]
        return render(self.processor, content)

    def _inputs(self, frames: Frames, question: str, metadata: Any) -> Inputs:
        found = self.processor(
            text=[self.prompt(frames, question)],
            videos=[frames.pixels],
            video_metadata=[metadata],
            do_sample_frames=False,
            return_tensors="pt",
        )
        return dict(found)


class Written(_Video):
    """Qwen3-VL, Qwen3.5: exact times through the metadata's clock of ``TICKS`` a second."""

    clock = "written"

    def prompt(self, frames: Frames, question: str) -> str:
        """The template's frame around the video goes: each pair of frames brings its own.

        The models were released with a processor that replaced it; since transformers 5 it stays, as two more tokens.
        """
        start, end = self.processor.vision_start_token, self.processor.vision_end_token
        video = self.processor.video_token
        return super().prompt(frames, question).replace(f"{start}{video}{end}", video)

    def inputs(self, frames: Frames, question: str) -> Inputs:
        return self._inputs(frames, question, _metadata(times_of(frames)))

    def positions(self, model: Any, inputs: Inputs, _: Frames) -> Tensor:
        """(3, 1, L), by the model's own rule."""
        found, _deltas = model.model.get_rope_index(
            inputs["input_ids"],
            mm_token_type_ids=inputs["mm_token_type_ids"],
            video_grid_thw=inputs["video_grid_thw"],
            attention_mask=inputs["attention_mask"],
        )
        return found


class Positions(_Video):
    """Qwen2.5-VL: no time is written; positions carry it, ``tokens_per_second`` a second."""

    clock = "positions"

    def inputs(self, frames: Frames, question: str) -> Inputs:
        found = self._inputs(frames, question, _metadata(times_of(frames)))
        # the processor's own interval, one for all pairs, is wrong on a clock of milliseconds
        found.pop("second_per_grid_ts", None)
        return found

    def positions(self, model: Any, inputs: Inputs, frames: Frames) -> Tensor:
        """(3, 1, L), each pair of frames at its own time."""
        config = model.config.vision_config
        merge = self.patches.merge_size
        grid = inputs["video_grid_thw"][0]
        return timed_positions(
            inputs["mm_token_type_ids"][0] == 2,
            (int(grid[1]) // merge, int(grid[2]) // merge),
            times_of(frames)[:: self.multiple],
            float(config.tokens_per_second),
        )[:, None]


class Pictures:
    """Any image-text-to-text model: a preface, then each frame behind its time, then the question."""

    clock = "pictures"
    multiple = 1
    budget = Budget(fps=1.0, max_frames=32)  # a picture costs such models hundreds of tokens

    def __init__(self, processor: Any) -> None:
        self.processor = processor
        self.placeholder: str | None = getattr(processor, "image_token", None)
        pictures = processor.image_processor
        for name in TILING:
            if getattr(pictures, name, None):
                setattr(pictures, name, False)
            if name in getattr(processor, "images_kwargs", {}):
                processor.images_kwargs = {**processor.images_kwargs, name: False}

    def size_for(self, budget: Budget) -> Callable[[int], Size]:
        return lambda count: within(budget.pixels(count))

    def content(self, frames: Frames, question: str, *, pictures: bool) -> list[dict[str, Any]]:
        """One message; without ``pictures`` only their places, which is all that a template looks at."""
        from PIL import Image

        content: list[dict[str, Any]] = [
            {"type": "text", "text": preface(len(frames), frames.duration_s) + "\n"}
        ]
        for time, pixels in zip(times_of(frames), frames.pixels, strict=True):
            content.append({"type": "text", "text": stamp(time)})
            picture = (
                {"image": Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())} if pictures else {}
            )
            content.append({"type": "image", **picture})
        return [*content, {"type": "text", "text": question}]

    def prompt(self, frames: Frames, question: str) -> str:
        return render(self.processor, self.content(frames, question, pictures=False))

    def inputs(self, frames: Frames, question: str) -> Inputs:
        found = self.processor.apply_chat_template(
            [{"role": "user", "content": self.content(frames, question, pictures=True)}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            **_unthinking(self.processor),
        )
        return dict(found)

    def positions(self, model: Any, inputs: Inputs, _: Frames) -> Tensor | None:
        """(3, 1, L) by the model's own rule, where it has one for pictures; None where it counts by one."""
        rule = getattr(getattr(model, "model", None), "get_rope_index", None)
        if rule is None:
            return None
        known = inspect.signature(rule).parameters
        found, _deltas = rule(**{name: value for name, value in inputs.items() if name in known})
        return found


def render(processor: Any, content: list[dict[str, Any]]) -> str:
    """The prompt as text."""
    return str(
        processor.apply_chat_template(
            [{"role": "user", "content": content}],
            add_generation_prompt=True,
            tokenize=False,
            **_unthinking(processor),
        )
    )


def _unthinking(processor: Any) -> dict[str, bool]:
    """Switches thinking off in models whose template allows it: only the answer counts."""
    template = str(processor.chat_template or processor.tokenizer.chat_template)
    return {"enable_thinking": False} if "enable_thinking" in template else {}


def in_tokens(pixels: int, factor: int) -> Size:
    """Heights and widths in multiples of ``factor``, at most ``pixels`` in all; small pictures are not enlarged."""

    def size(height: int, width: int) -> tuple[int, int]:
        scale = min(1.0, math.sqrt(pixels / (height * width)))
        rounded = round if scale == 1.0 else math.floor
        sides = (max(1, rounded(side * scale / factor)) * factor for side in (height, width))
        high, wide = sides
        return high, wide

    return size


def timed_positions(
    is_video: Tensor, size: tuple[int, int], times: list[float], tokens_per_second: float
) -> Tensor:
    """(3, L) rotary positions (time, height, width) of a prompt with one video, as Qwen2.5-VL was released.

    is_video   (L,) True at the video's tokens: ``len(times)`` pairs of frames, ``size`` = (height, width) tokens each
    times      seconds of each pair's first frame; its position is ``floor(tokens_per_second * time)``

    Text counts on by one, and behind the video from the largest position of any axis (transformers 5 counts on from
    the picture's side alone, which puts the question before the video's end).
    """
    length = len(is_video)
    first = int(is_video.int().argmax())
    count = len(times) * size[0] * size[1]
    if int(is_video.sum()) != count or not bool(is_video[first : first + count].all()):
        raise ValueError(f"expected {count} tokens of one video in a row, got {int(is_video.sum())}")
    # a time is often a whole number of positions up to rounding
    seconds = torch.tensor(times, dtype=torch.float64)
    clock = torch.floor(seconds * tokens_per_second + 1e-6).long()
    axes = torch.meshgrid(clock, torch.arange(size[0]), torch.arange(size[1]), indexing="ij")
    video = first + torch.stack([axis.reshape(-1) for axis in axes])
    before = torch.arange(first).expand(3, -1)
    after = torch.arange(length - first - count).expand(3, -1) + int(video.max()) + 1
    return torch.cat([before, video, after], dim=1)


def _metadata(times: list[float]) -> Any:
    from transformers.video_utils import VideoMetadata

    ticks = [round(TICKS * time) for time in times]
    return VideoMetadata(total_num_frames=len(ticks), fps=TICKS, frames_indices=ticks)
