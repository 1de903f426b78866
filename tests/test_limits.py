"""Limits: documented, moved by the environment, named by their errors."""

from __future__ import annotations

import ast
import inspect
from dataclasses import fields
from itertools import pairwise

import pytest

from videoexpert import limits as module
from videoexpert.errors import DataError, InputError
from videoexpert.limits import Limits, limits, variable


def test_the_environment_moves_a_limit(monkeypatch):
    assert limits() == Limits()
    monkeypatch.setenv("VIDEOEXPERT_MAX_CHOICES", " 1_000 ")
    assert limits() == Limits(choices=1000)


@pytest.mark.parametrize("value", ["", "0", "-1", "many", "1e6", "2.5", "٣", "9" * 400])
def test_a_variable_that_is_no_number(monkeypatch, value):
    monkeypatch.setenv("VIDEOEXPERT_MAX_QUERIES", value)
    with pytest.raises(InputError, match=r"VIDEOEXPERT_MAX_QUERIES is .* expected a whole number above 0"):
        limits()


def test_an_error_names_the_variable():
    bounds = Limits(queries=3)
    bounds.check("queries", 3, "3 queries were given")
    with pytest.raises(
        InputError, match="4 queries were given, at most 3 are allowed; set VIDEOEXPERT_MAX_QUERIES"
    ):
        bounds.check("queries", 4, "4 queries were given")
    with pytest.raises(DataError):
        bounds.check("queries", 4, "4 queries were given", DataError)


def test_every_limit_says_what_it_is():
    (body,) = [n.body for n in ast.parse(inspect.getsource(module)).body if isinstance(n, ast.ClassDef)]
    after = {
        field.target.id: said.value.value
        for field, said in pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(said, ast.Expr)
    }
    assert list(after) == [field.name for field in fields(Limits)]
    assert all(text.endswith(".") for text in after.values())
    assert variable("text_bytes") == "VIDEOEXPERT_MAX_TEXT_BYTES"
