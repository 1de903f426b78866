"""Recipes from YAML and back; every fault of a recipe is reported at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from .. import files
from ..errors import DataError, InputError
from ..runtime import shared_folders
from .ablation import AblationRecipe
from .shipped import ShippedRecipe
from .training import Recipe, cross_faults

RECIPE = "recipe.yaml"  # in the folder of a run
KINDS: dict[str, type[BaseModel]] = {"train": Recipe, "shipped": ShippedRecipe, "ablation": AblationRecipe}


def load_recipe(file: str | Path, overrides: Sequence[str] = ()) -> Any:
    """A recipe file with ``key=value`` on top (``training.steps=10``, ``data.0.split=val``).

    Returns a Recipe, a ShippedRecipe for ``kind: shipped``, an AblationRecipe for ``kind: ablation``. A ready recipe
    is found by its name or as ``recipes/NAME.yaml`` from anywhere. Raises DataError that lists every fault.
    """
    path = find_recipe(Path(file))
    raw = files.parse_yaml(files.read_text(path), str(path))
    if not isinstance(raw, dict):
        raise DataError(f"{path} holds a {type(raw).__name__}, expected a mapping with the key kind.")
    return from_mapping(raw, str(path), overrides)


def find_recipe(path: Path) -> Path:
    """The file itself, or the ready recipe of that name. Raises DataError where there is neither."""
    if path.is_file():
        return path
    known: dict[str, Path] = {}
    for folder in shared_folders("recipes"):
        known = {file.stem: file for file in sorted(folder.glob("*.yaml"))} | known
    asked_for_a_ready_one = len(path.parts) == 1 or path.parts[:-1] == ("recipes",)
    if asked_for_a_ready_one and path.stem in known and path.suffix in ("", ".yaml"):
        return known[path.stem]
    raise DataError(
        f"{path} does not exist, expected a recipe, or one of the ready ones: {', '.join(known)}."
    )


def from_mapping(raw: dict[str, Any], name: str, overrides: Sequence[str] = ()) -> Any:
    """A recipe from a mapping with ``overrides`` on top; ``name`` is used in the DataError of ``load_recipe``."""
    found = [fault for text in overrides if (fault := _override(raw, text))]
    kind = str(raw.get("kind"))
    model = KINDS.get(kind, Recipe)  # whose own kind then says what is expected
    if model is Recipe:
        found += cross_faults(raw)
    recipe = None
    try:
        recipe = model.model_validate(raw)
    except ValidationError as error:
        found += [_sentence(entry) for entry in error.errors()]
    if found:
        faults = files.Faults()
        faults.add(found)
        raise DataError(f"{name} has {faults.counted} (docs/training.md):{faults.listed}")
    return recipe


def save_recipe(recipe: BaseModel, file: Path) -> None:
    """The resolved recipe, every default written out; ``load_recipe`` reads it back."""
    files.write_text(file, yaml.safe_dump(recipe.model_dump(), sort_keys=False))


def claim(recipe: BaseModel, out: Path) -> None:
    """Save the resolved recipe as ``out/recipe.yaml``; raises InputError for an ``out`` that another recipe began."""
    files.make_folder(out)
    if not (out / RECIPE).exists():
        save_recipe(recipe, out / RECIPE)
    elif load_recipe(out / RECIPE) != recipe:
        raise InputError(f"{out} holds a run of another recipe ({out / RECIPE}); choose another --out.")


def _override(raw: dict[str, Any], text: str) -> str | None:
    """Set one dotted key; a sentence where that cannot be done."""
    key, separator, value = text.partition("=")
    names = key.split(".")
    if not separator or not all(names):
        return f"override {text!r}, expected key=value such as training.steps=100"
    try:
        parsed = files.parse_yaml(value, key)
    except DataError:
        return f"override {text!r}: the value is not YAML"
    place: Any = raw
    for depth, name in enumerate(names):
        last = depth == len(names) - 1
        if isinstance(place, list):
            if not name.isdigit() or int(name) >= len(place):
                return (
                    f"override {text!r}: {'.'.join(names[:depth])} has {len(place)} entries, numbered from 0"
                )
            index: Any = int(name)
        elif isinstance(place, dict):
            index = name
            if not last and place.get(index) is None:
                place[index] = {}
        else:
            return f"override {text!r}: {'.'.join(names[:depth])} is {place!r} and holds no key {name}"
        if last:
            place[index] = parsed
        else:
            place = place[index]
    return None


def _sentence(entry: Any) -> str:
    place = ".".join(str(part) for part in entry["loc"])
    if entry["type"] == "extra_forbidden":
        return f"unknown recipe field {place}"
    if entry["type"] == "missing":
        return f"{place} is missing"
    said = entry["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return f"{place} is {entry['input']!r}: {said[:1].lower()}{said[1:]}"
