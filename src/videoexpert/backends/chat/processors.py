"""transformers' processors without torchvision: text and pictures are theirs, the video part is ours.

Every video processor of transformers 5 needs torchvision, and ``AutoProcessor`` refuses to load a model that has one
where it is missing. What the video part does to frames that are already cut, timed and sized is little: normalise,
and cut into patches. ``VideoPatches`` does that in torch; the processor class itself, which writes the times and
counts the tokens, is transformers' own. So there is one route with and without torchvision.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...errors import CheckpointError, DependencyError
from ...pretrained import read_object

SHOWN_VIDEOS = ("Qwen3VLProcessor", "Qwen2_5_VLProcessor")  # the others are shown pictures
_AUTO = {
    "tokenizer": "AutoTokenizer",
    "image_processor": "AutoImageProcessor",
    "feature_extractor": "AutoFeatureExtractor",
}
PROCESSOR_FILES = ("processor_config.json", "video_preprocessor_config.json", "preprocessor_config.json")


class VideoPatches:
    """Frames -> flat patches of a Qwen vision tower. Stands where a processor keeps its video processor.

    settings   ``patch_size``, ``temporal_patch_size``, ``merge_size``, ``image_mean``, ``image_std`` as saved beside
               the weights
    """

    model_input_names = ("pixel_values_videos", "video_grid_thw")

    def __init__(self, settings: dict[str, Any]) -> None:
        self.patch_size = int(settings["patch_size"])
        self.temporal_patch_size = int(settings["temporal_patch_size"])
        self.merge_size = int(settings["merge_size"])
        self.mean = torch.tensor(settings["image_mean"]).view(3, 1, 1)
        self.std = torch.tensor(settings["image_std"]).view(3, 1, 1)

    @property
    def factor(self) -> int:
        """Pixels of one token's side: heights and widths are multiples of it."""
        return self.patch_size * self.merge_size

    def __call__(self, videos: list[Tensor], *, video_metadata: Any = None, **_: Any) -> Any:
        """(N, 3, H, W) uint8 of each video -> ``pixel_values_videos``, ``video_grid_thw`` and the metadata as given."""
        from transformers import BatchFeature

        cut = [self.patches(video) for video in videos]
        data = {
            "pixel_values_videos": torch.cat([patches for patches, _ in cut]),
            "video_grid_thw": torch.tensor([grid for _, grid in cut]),
            "video_metadata": video_metadata,
        }
        return BatchFeature(data)

    def patches(self, video: Tensor) -> tuple[Tensor, list[int]]:
        """(N, 3, H, W) uint8 -> (T*h*w, 3*t*p*p) float32 and [T, h, w]; an odd N repeats the last frame.

        Patches that the tower merges are adjacent, as its rows expect them.
        """
        t, p, m = self.temporal_patch_size, self.patch_size, self.merge_size
        if pad := -len(video) % t:
            video = torch.cat([video, video[-1:].expand(pad, -1, -1, -1)])
        count, channels, height, width = video.shape
        pixels = (video.float() / 255.0 - self.mean) / self.std
        grid = [count // t, height // p, width // p]
        cut = pixels.view(grid[0], t, channels, grid[1] // m, m, p, grid[2] // m, m, p)
        rows = cut.permute(0, 3, 6, 4, 7, 2, 1, 5, 8)
        return rows.reshape(grid[0] * grid[1] * grid[2], channels * t * p * p), grid


class _WithoutTorchvision:
    """Mixed into a processor class of transformers: its parts are loaded one by one, the video part by us."""

    @classmethod
    def _get_arguments_from_pretrained(cls, folder: str, *_: Any, **__: Any) -> list[Any]:
        import transformers

        def part(name: str) -> Any:
            if name == "video_processor":
                return video_patches(Path(folder))
            if name == "image_processor" and cls.__name__ in SHOWN_VIDEOS:
                return None  # before 5.23 picture processors need torchvision, too
            if name not in _AUTO:
                raise ValueError(f"it has a {name}, which is neither of pictures nor of text")
            auto = getattr(transformers, _AUTO[name])
            return auto.from_pretrained(folder, trust_remote_code=False, local_files_only=True)

        return [part(name) for name in cls.get_attributes()]  # type: ignore[attr-defined]

    def check_argument_for_proper_class(self, _: str, argument: Any) -> type:
        return type(argument)

    def __repr__(self) -> str:
        """transformers formats a loaded processor for its log as JSON, which our video part is not."""
        return type(self).__name__


def load_processor(folder: Path, model_type: str) -> Any:
    """The processor that a model folder was saved with.

    Raises CheckpointError for one that needs code of its own or lacks a file, DependencyError where it needs a package.
    """
    import transformers
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES  # type: ignore[attr-defined]

    _refuse_code(folder)
    name = PROCESSOR_MAPPING_NAMES.get(model_type)
    kind = getattr(transformers, name, None) if isinstance(name, str) else None
    if kind is None or not hasattr(kind, "get_attributes"):
        raise CheckpointError(
            f"transformers has no processor of pictures and text for {model_type}; use a model of another family "
            "(`videoexpert models` lists some)."
        )
    ours: Any = type(kind.__name__, (_WithoutTorchvision, kind), {})
    try:
        processor = ours.from_pretrained(str(folder), trust_remote_code=False, local_files_only=True)
    except ImportError as error:
        raise DependencyError(f"{folder} cannot be loaded: {' '.join(str(error).split())}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(
            f"the processor of {folder} cannot be loaded ({type(error).__name__}: {reason}); download the model again."
        ) from error
    if processor.image_processor is None and isinstance(processor.video_processor, _NoVideo):
        raise CheckpointError(
            f"{folder} does not say how its pictures are prepared (preprocessor_config.json, "
            "video_preprocessor_config.json or processor_config.json); download the model again."
        )
    # older folders keep the template in tokenizer_config.json alone
    processor.chat_template = processor.chat_template or processor.tokenizer.chat_template
    if not processor.chat_template:
        raise CheckpointError(
            f"{folder} has no chat template (chat_template.jinja), so that nobody knows how to ask it; use an "
            "instruction-tuned model."
        )
    return processor


def video_patches(folder: Path) -> VideoPatches | _NoVideo:
    """The video part from the settings saved in a model folder; a no-op unless they are Qwen's."""
    settings: dict[str, Any] = {}
    for name in reversed(PROCESSOR_FILES):
        if (folder / name).is_file():
            read = read_object(folder / name)
            inner = read.get("video_processor") or read.get("image_processor")
            settings |= inner if isinstance(inner, dict) else read
    try:
        return VideoPatches(settings)
    except KeyError:
        return _NoVideo()


class _NoVideo:
    """The video part of a model that is shown pictures: there because its processor asks for one."""

    model_input_names = ()

    def __getattr__(self, name: str) -> None:
        """Some processors look up its settings, which stay without effect."""
        if name.startswith("__"):
            raise AttributeError(name)


def _refuse_code(folder: Path) -> None:
    for name in (*PROCESSOR_FILES, "tokenizer_config.json"):
        file = folder / name
        if file.is_file():
            read = read_object(file)
            if "AutoProcessor" in (read.get("auto_map") or {}):
                raise CheckpointError(
                    f"{folder} prepares its input with code of its own ({read['auto_map']['AutoProcessor']}), which "
                    "videoexpert never runs; use a model that transformers knows (`videoexpert models` lists some)."
                )
