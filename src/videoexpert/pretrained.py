"""The one door through which transformers opens a folder or hub id: config, tokenizer, weights of a base model.

Data alone is read. No code that a folder brings is run, nothing is asked on the terminal, no attention kernel is
fetched, and no pickle is opened. What a folder gets wrong is one CheckpointError, whatever transformers raised.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from . import files, hub
from .errors import CheckpointError, DataError, InputError, VideoExpertError
from .limits import limits

ATTENTION = ("eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention")
FLOATING = ("F16", "BF16", "F32", "F64")  # as safetensors calls them
VOCABULARIES = ("tokenizer.json", "vocab.json", "vocab.txt", "*.model")  # files that hold a tokenizer's words
_COUNTS = ("num_hidden_layers", "num_layers", "n_layer", "n_layers", "num_attention_heads")
_CONFIGS = (
    "config.json",
    "tokenizer_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "generation_config.json",
)


def config_of(name: str | Path, what: str = "read") -> Any:
    """transformers' config of a folder or hub id; ``what`` it cannot be otherwise. Raises CheckpointError."""
    from transformers import AutoConfig

    folder = _checked(name, hub.SMALL)
    with told(name, what):
        return AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)


def tokenizer_of(name: str | Path) -> Any:
    """The tokenizer of a folder or hub id. Raises CheckpointError for one that needs code of its own, or is damaged."""
    from transformers import AutoTokenizer

    folder = _checked(name, hub.SMALL)
    _refuse_tokenizer_code(name, folder)
    _check_vocabulary(name, folder)
    with told(name, "read as a tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        tokenizer("a \u00e9 0", add_special_tokens=False)  # some faults show only when a word is read
    return tokenizer


def model_of(kind: Any, name: str | Path, what: str, **options: Any) -> tuple[Any, dict[str, Any]]:
    """(model, report of its keys) by a model class, or Auto class, of transformers; ``what`` it is to be.

    Only safetensors are read. Raises CheckpointError.
    """
    folder = _checked(name, (*hub.SMALL, hub.WEIGHTS))
    hub.check_weights(name, folder)
    _check_floating(name, folder)
    with told(name, f"the {what}", "cannot be"):
        model, report = kind.from_pretrained(
            folder,
            trust_remote_code=False,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
            **options,
        )
    return model, report


def _check_floating(name: str | Path, folder: Path) -> None:
    """Weights in whole numbers without a quantisation to read them by would be taken for the numbers they encode."""
    from safetensors import safe_open

    if "quantization_config" in (read_object(folder / hub.CONFIG) if (folder / hub.CONFIG).is_file() else {}):
        return
    for file in hub.weight_files(folder):
        with safe_open(file, framework="np") as stored:
            for key in stored.keys():  # noqa: SIM118  # a handle is not a dict
                kind = stored.get_slice(key).get_dtype() if key.endswith(".weight") else "F32"
                if kind not in FLOATING:
                    raise CheckpointError(
                        f"{key} of {name} holds {kind}, expected {', '.join(FLOATING)}: quantised weights would be "
                        "read as wrong numbers; use the model in one of these."
                    )


def check_folder(name: str | Path, folder: Path) -> None:
    """Raises CheckpointError if a folder holds anything but plain files, or a config that asks for foreign code."""
    for entry in sorted(folder.iterdir()):
        if entry.exists() and not entry.is_dir() and not stat.S_ISREG(entry.stat().st_mode):
            raise CheckpointError(
                f"{entry} is a pipe or device, expected a plain file; copy the model {name} again."
            )
    for file in _CONFIGS:
        if (folder / file).is_file():
            check_fields(folder / file, read_object(folder / file))


def check_fields(file: str | Path, fields: Mapping[str, Any]) -> None:
    """Raises CheckpointError for settings, at any depth, that would fetch code or build a network without end."""
    waiting: list[Mapping[str, Any]] = [fields]
    while waiting:
        for key, value in waiting.pop().items():
            if isinstance(value, Mapping):
                waiting.append(value)
            if isinstance(value, list):
                waiting += [one for one in value if isinstance(one, Mapping)]
            if key.endswith("attn_implementation"):
                _check_attention(file, key, value)
            if key in _COUNTS and isinstance(value, (int, float)):
                limits().check("layers", value, f"{file} has {key} {str(value)[:20]}", CheckpointError)


def _check_attention(file: str | Path, key: str, value: Any) -> None:
    for one in value.values() if isinstance(value, Mapping) else [value]:
        if one is not None and one not in ATTENTION:
            raise CheckpointError(
                f"{file} asks for the attention {one!r} ({key}), which would be code of another place and is never "
                f"fetched; expected one of {', '.join(ATTENTION)}: take {key} out."
            )


def read_object(file: Path) -> dict[str, Any]:
    """The JSON object of a file of a model. Raises CheckpointError."""
    try:
        value = files.load_json(file)
    except DataError as error:
        raise CheckpointError(f"{str(error).rstrip('.')}; copy the model again.") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{file} holds no JSON object; copy the model again.")
    return value


@contextmanager
def told(name: str | Path, what: str, verb: str = "cannot be") -> Iterator[None]:
    """Whatever is raised inside becomes one CheckpointError: "NAME cannot be WHAT: reason."."""
    try:
        yield
    except InputError as error:
        raise CheckpointError(f"{name} {verb} {what}: {error}") from error
    except (VideoExpertError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a panic of the tokenizers' library is not an Exception
        raise CheckpointError(
            f"{name} {verb} {what}: {reason(error)}; copy or download it again, or use another model."
        ) from error


def reason(error: BaseException) -> str:
    """The first line of an error's message, with its type where that says more than the message."""
    lines = str(error).strip().splitlines()
    first = lines[0].strip().rstrip(".:")[:300] if lines else ""
    telling = (OSError, ValueError, RuntimeError, ImportError)
    if not first or not isinstance(error, telling):
        return f"{type(error).__name__}{': ' if first else ''}{first}"
    return first


def _checked(name: str | Path, patterns: tuple[str, ...]) -> Path:
    folder = hub.locate(name, patterns)
    check_folder(name, folder)
    if (folder / hub.CONFIG).is_file():
        hub.refuse_code(name, read_object(folder / hub.CONFIG))
    return folder


def _check_vocabulary(name: str | Path, folder: Path) -> None:
    """transformers makes a tokenizer that knows no words where the folder has none."""
    if not any(file.is_file() for pattern in VOCABULARIES for file in folder.glob(pattern)):
        raise CheckpointError(
            f"{name} has no tokenizer ({', '.join(VOCABULARIES)}); download or copy it again."
        )


def _refuse_tokenizer_code(name: str | Path, folder: Path) -> None:
    """A tokenizer whose class only the folder's own code knows."""
    import transformers

    file = folder / "tokenizer_config.json"
    fields = read_object(file) if file.is_file() else {}
    known = getattr(transformers, str(fields.get("tokenizer_class")), None) is not None
    if "auto_map" in fields and not known:
        raise CheckpointError(
            f"the tokenizer of {name} asks to run code of its own (auto_map), which videoexpert never does; use a "
            "model whose tokenizer transformers knows."
        )


__all__ = [
    "ATTENTION",
    "check_fields",
    "check_folder",
    "config_of",
    "model_of",
    "read_object",
    "reason",
    "tokenizer_of",
    "told",
]
