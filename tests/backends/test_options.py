"""Options of backends by name."""

from __future__ import annotations

import pytest

from videoexpert.backends.options import checked
from videoexpert.errors import InputError


def backend(
    name,
    *,
    device: str = "cpu",
    fps: float | None = None,
    count: int = 1,
    quick: bool = False,
    word: str = "",
):
    pass


def test_values_are_read_as_declared():
    given = {"fps": "2", "count": "3", "quick": "yes", "word": "7"}
    assert checked(backend, given, "it") == {"fps": 2.0, "count": 3, "quick": True, "word": "7"}
    assert checked(backend, {"fps": 2, "quick": False}, "it") == {"fps": 2.0, "quick": False}
    assert isinstance(checked(backend, {"fps": 2}, "it")["fps"], float)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"speed": 1}, "it has no option 'speed'; it takes fps, count, quick, word."),
        ({"device": "cpu"}, "it has no option 'device'; it takes fps, count, quick, word."),
        ({"count": "2.5"}, "option count is '2.5', expected a value of kind int."),
        ({"count": 2.5}, "option count is 2.5, expected a value of kind int."),
        ({"count": True}, "option count is True, expected a value of kind int."),
        ({"quick": "maybe"}, "option quick is 'maybe', expected a value of kind bool."),
        ({"quick": 1}, "option quick is 1, expected a value of kind bool."),
        ({"word": 3}, "option word is 3, expected a value of kind str."),
    ],
)
def test_wrong_options(given, said):
    with pytest.raises(InputError) as error:
        checked(backend, given, "it")
    assert str(error.value) == said


def test_nothing_to_choose():
    with pytest.raises(InputError, match="it has no option 'a'; it takes none"):
        checked(lambda name: None, {"a": 1}, "it")
