"""The map in ARCHITECTURE.md is that of the source."""

from __future__ import annotations

import re

import pytest

import house


def plain(drawn: str) -> list[str]:
    """Without the numbers of lines: those move with every commit, rooms and arrows seldom."""
    lines = [line.replace("about", "").split() for line in drawn.splitlines()]
    return [" ".join(word for word in line if not re.fullmatch(r"[\d,]+", word)) for line in lines]


def test_the_page_shows_the_map():
    page = house.PAGE.read_text(encoding="utf-8")
    shown = page.split(house.BEGIN)[1].split(house.END)[0].strip().strip("`").strip("\n")
    drawn = house.map_of(house.rooms())
    assert plain(shown) == plain(drawn), "run: python reports/house.py --write"
    assert "0 files in circles, 0 imports upward" in shown


def test_every_room_has_its_line():
    found = house.rooms()
    assert {room.name for room in found} == set(house.parts()) - {"__init__"}
    assert all(room.lines > 0 and room.files > 0 for room in found)
    assert [house.LEVEL[room.name] for room in found] == sorted(house.LEVEL[room.name] for room in found)


def test_a_step_upward_is_counted():
    upward = [house.Room("errors", 1, 10, ("apps",)), house.Room("apps", 1, 10, ("errors",))]
    assert "1 imports upward" in house.map_of(upward)


def test_a_page_without_a_place_for_it():
    with pytest.raises(ValueError, match="has no place for the map"):
        house.in_page("no marks", "map")
    text = house.in_page(f"a {house.BEGIN} old {house.END} z", "new")
    assert text == f"a {house.BEGIN}\n```\nnew\n```\n{house.END} z"
