"""Scores and presence fitted on labelled data, for any backend: what is applied, and where it is kept.

`videoexpert calibrate` (evaluation/calibrate.py) fits; ``session.load`` applies what it finds. A fit belongs to a
model's identity: its weights and all else that decides its scores (method, prompts, frames). It is kept in
``calibration.json`` of the model's folder, else of the user's configuration folder.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from .. import files, settings
from ..assets import SHIPPED_CLIP, SHIPPED_MODEL
from ..errors import DataError, InputError, UnsupportedError, WriteError
from ..grounding.calibration import Calibration
from ..types import Moment, Moments
from .base import Backend
from .chat.answers import FAILURES

FILE, FORMAT = "calibration.json", 1
LEAST_LOGIT = 1e-6  # a probability keeps this distance from 0 and 1 before it is turned into a logit
ABSENT_BELOW = 0.5  # more likely absent than present
# What describes a backend and does not decide its scores.
_NOT_IDENTITY = ("calibrated", "calibration", "config", "dtype")
_FITTED_FIELDS = ("score_temperature", "score_bias", "presence_temperature", "presence_bias", "moment_from")


@dataclass(frozen=True)
class Fit:
    """From the probabilities that a backend gives to those that held true; ``made_with`` says on what."""

    score: Calibration
    presence: Calibration
    absent_below: float = ABSENT_BELOW
    made_with: dict[str, Any] = field(default_factory=dict, compare=False)

    def moment(self, moment: Moment) -> Moment:
        """The moment with its score as fitted."""
        return replace(moment, score=fitted(self.score, moment.score))

    def moments(self, found: Moments) -> Moments:
        """Scores and presence as fitted; absent where presence is under the threshold.

        An answer that could not be read says nothing, and stays as it is; one that names no moment stays absent.
        """
        parsed = None if found.told is None else found.told.parsed
        if parsed in FAILURES:
            return found
        presence = fitted(self.presence, found.presence)
        gone = presence < self.absent_below or parsed == "empty"
        return replace(
            found,
            items=tuple(map(self.moment, found.items)),
            presence=presence,
            absent=gone and not (found.cannot_tell or found.unknown_words),
            guess=bool(found.unknown_words) and (found.guess or gone),
        )

    def describe(self) -> dict[str, Any]:
        """For a result file: what was applied."""
        return {
            "score": asdict(self.score),
            "presence": asdict(self.presence),
            "absent_below": self.absent_below,
        }


class TakesFit:
    """A backend whose answers a fit on labelled data changes, once it has one."""

    fit: Fit | None = None

    @property
    def calibrated(self) -> bool:
        """Whether scores and presence were fitted on labelled data."""
        return self.fit is not None

    def take_fit(self, fit: Fit) -> None:
        """Answer with scores and presence as fitted."""
        self.fit = fit

    def describe_fit(self) -> dict[str, Any]:
        """For a result file: whether a fit is applied, and which."""
        told: dict[str, Any] = {"calibrated": self.calibrated}
        return told if self.fit is None else {**told, "calibration": self.fit.describe()}


def fitted(calibration: Calibration, probability: float) -> float:
    """One probability through a calibration."""
    return float(calibration(to_logits(torch.tensor(probability, dtype=torch.float64))))


def to_logits(probabilities: torch.Tensor) -> torch.Tensor:
    """Logits of probabilities of any shape; 0 and 1 count as LEAST_LOGIT inside of them."""
    return torch.logit(probabilities.double(), eps=LEAST_LOGIT)


def identity(backend: Backend) -> dict[str, Any]:
    """What decides a backend's scores before any fit; the name does not where the weights are known."""
    told = backend.describe()
    found = {name: value for name, value in told.items() if name not in _NOT_IDENTITY}
    if "weights" in found:
        found.pop("model", None)
    if "config" in told:
        found |= {name: told["config"].get(name) for name in _FITTED_FIELDS}
    return dict(json.loads(json.dumps(found, sort_keys=True)))


def key_of(identified: dict[str, Any]) -> str:
    """16 hexadecimal digits of an identity."""
    return hashlib.sha256(json.dumps(identified, sort_keys=True).encode()).hexdigest()[:16]


def apply(backend: Backend, fit: Fit) -> None:
    """Makes the backend answer with fitted scores. Raises UnsupportedError for one that gives none."""
    take = getattr(backend, "take_fit", None)
    if take is None:
        raise UnsupportedError(f"{backend.name} gives no scores that could be calibrated.")
    take(fit)


def with_stored_fit(backend: Backend, model: str | Path | None) -> Backend:
    """The backend, with the fit that is kept for it, if one is. Raises DataError for a damaged file."""
    places = [place for place in _places(model) if place.is_file()]
    if places:
        key = key_of(identity(backend))
        for place in places:
            stored = _read(place).get(key)
            if stored is not None:
                apply(backend, _fit_of(stored, place))
                break
    return backend


def keep(fit: Fit, identified: dict[str, Any], name: str, model: str | Path | None) -> Path:
    """Writes a fit where ``with_stored_fit`` finds it: into the model's folder, or else the user's. Returns the file.

    Fits of other settings of the same model stay. Raises WriteError where neither can be written.
    """
    *_, users = places = _places(model)
    stored = {"model": name, "identity": identified, **fit.describe(), "made_with": fit.made_with}
    for place in places:
        try:
            found = _read(place) if place.is_file() else {}
            files.make_folder(place.parent)
            files.write_json(place, {"format": FORMAT, "fits": {**found, key_of(identified): stored}})
        except (WriteError, OSError):
            if place == users:
                raise
            continue
        return place
    raise AssertionError("the user's folder is always tried")


def _places(model: str | Path | None) -> list[Path]:
    """Where a fit may be, in order of precedence. The user may not write into the package's own folder."""
    users = settings.config_folder() / FILE
    folder = Path(str(model).partition(":")[2] if str(model).startswith("contrastive:") else model or "")
    shipped = (SHIPPED_MODEL.resolve(), SHIPPED_CLIP.resolve())
    own = bool(model) and str(folder) not in ("", ".") and os.path.isdir(folder)
    return [folder / FILE, users] if own and folder.resolve() not in shipped else [users]


def _read(file: Path) -> dict[str, Any]:
    stored = files.load_json(file)
    fits = stored.get("fits") if isinstance(stored, dict) and stored.get("format") == FORMAT else None
    if not isinstance(fits, dict):
        raise DataError(f"{file} holds no calibrations; delete it, and run `videoexpert calibrate` again.")
    return fits


def _fit_of(stored: Any, file: Path) -> Fit:
    try:
        return Fit(
            Calibration(**stored["score"]),
            Calibration(**stored["presence"]),
            float(stored["absent_below"]),
            dict(stored.get("made_with") or {}),
        )
    except (KeyError, TypeError, ValueError, InputError) as error:
        raise DataError(
            f"{file} holds a damaged calibration ({error}); delete it, and run `videoexpert calibrate` again."
        ) from error


__all__ = [
    "FILE",
    "Fit",
    "TakesFit",
    "apply",
    "fitted",
    "identity",
    "keep",
    "key_of",
    "to_logits",
    "with_stored_fit",
]
