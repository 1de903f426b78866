"""One rule says which prediction speaks of which item, and it is the same for every scorer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from videoexpert.annotations.records import Record
from videoexpert.errors import DataError
from videoexpert.scoring.matching import match, match_names, same_name
from videoexpert.scoring.outcome import Rules
from videoexpert.scoring.predictions import Prediction

CORRECTED, OFFICIAL = Rules(), Rules("official", "skip")
RECORDS = [Record("1", "v_a", "A dog barks."), Record("2", "v_a", "a cat"), Record("3", "b.mp4", "a cow")]


def ids(rows: list[Prediction], rules: Rules = CORRECTED) -> tuple[list[str], tuple[str, ...]]:
    found = match(rows, RECORDS, rules)
    return sorted(found.rows), found.extra


def test_by_id_and_by_content() -> None:
    assert ids([Prediction("1"), Prediction(None, "a.mkv", "a  dog BARKS")]) == (["1"], ())
    assert ids([Prediction("x7", "videos/b", "a cow.")]) == (["3"], ())
    assert ids([Prediction("9")]) == ([], ("9",))
    assert ids([Prediction(None, "z", "a cow")]) == ([], ("z: a cow",))


def test_an_id_that_contradicts_its_own_row_is_no_match() -> None:
    another = Prediction("1", "somewhere_else", "a train")
    assert ids([another]) == ([], ("1",))
    assert ids([another], OFFICIAL) == (["1"], ())  # official scorers look at the id alone
    assert ids([Prediction("1", "a", "a cat")]) == (["2"], ())  # the row names the second query
    assert ids([Prediction("1", "a", "the dog is barking")]) == (["1"], ())  # other words on the same video


def test_a_foreign_id_is_no_second_answer() -> None:
    rows = [Prediction("3", "b", "a cow", [[0, 1]]), Prediction("99", "b", "a cow", [[5, 6]])]
    found = match(rows, RECORDS, CORRECTED)
    assert (found.extra, found.repeated) == (("99",), ())
    assert found.rows["3"][0].windows == [[0, 1]]


def test_the_last_of_several_rows_counts_and_they_are_named() -> None:
    rows = [Prediction("2", windows=[[0, 1]]), Prediction("2", windows=[[2, 3]])]
    found = match(rows, RECORDS, CORRECTED)
    assert ([row.windows for row in found.rows["2"]], found.repeated) == ([[[2, 3]]], ("2",))
    assert len(match(rows, RECORDS, OFFICIAL).rows["2"]) == 2


def test_what_nobody_is_asked_counts_only_where_it_is_answered() -> None:
    records = [*RECORDS[:2], replace(RECORDS[2], asked=False)]
    assert [record.id for record in match([], records, CORRECTED).records] == ["1", "2"]
    assert [record.id for record in match([Prediction("3")], records, CORRECTED).records] == ["1", "2", "3"]


def test_pairs_are_in_the_order_of_the_annotations() -> None:
    rows = [Prediction("3"), Prediction("1")]
    assert [record.id for record, _ in match(rows, RECORDS, CORRECTED).pairs] == ["1", "3"]


def test_annotations_with_equal_ids_are_refused() -> None:
    with pytest.raises(DataError, match="an id twice"):
        match([], [RECORDS[0], RECORDS[0]], CORRECTED)


def test_names_of_videos() -> None:
    assert same_name("v_abc", "path/abc.mkv")
    assert not same_name("x_210.0_360.0", "x_210.0_150.0")
    assert match_names(["v_x.mp4"], ["x"]) == {"v_x.mp4": "x"}
