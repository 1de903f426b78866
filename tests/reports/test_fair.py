"""The section of the evidence page about a base that has only read."""

from __future__ import annotations

import claims
import fair

ROWS = [
    {"name": "Ours", "scores": [{"a/x": v, "a/y": v} for v in (60.0, 70.0, 80.0)]},
    {"name": "less", "scores": [{"a/x": v, "a/y": 140.0 - v} for v in (50.0, 59.0, 71.0)]},
]
SUMMARY = {"table": "components", "metrics": ["a/x", "a/y"], "rows": ROWS}


def test_measures_that_tell_two_rows_apart():
    claim = claims.Claim("text", "components", "Ours", "less", ("a/x",))
    # x: differences 10, 11, 9: t 4.303 * 1 / sqrt(3); y: -30, -11, 11: wide
    assert fair.clear(claim, SUMMARY) == "* Ours over less: a x +10.0 ± 2.5 (of 2)."
    same = claims.Claim("text", "components", "Ours", "Ours", ("a/x",))
    assert fair.clear(same, SUMMARY) == "* Ours over Ours: none (of 2)."


def test_each_pair_of_rows_stands_once():
    one, other = (
        claims.Claim(t, "components", "Ours", "less", (m,)) for t, m in (("one", "a/x"), ("other", "a/y"))
    )
    assert fair.once((one, other)) == [one]


def test_the_section_has_every_table_that_is_kept_and_every_claim():
    text = fair.section()
    assert all(fair.kept(name).exists() for name in fair.TABLES)
    assert text.count("\n### ") == len(fair.TABLES)
    assert all(f"| {claim.text} |" in text for claim in fair.FAIR_CLAIMS)
    assert "not run" not in text
    assert all(f"fair-{name}.png" in text for name in fair.TABLES)
