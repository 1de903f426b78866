"""Tables of the documentation are those of the registry."""

from __future__ import annotations

import pytest

import doc_tables


def test_the_pages_are_up_to_date():
    assert [path.name for path in doc_tables.stale()] == []


def test_a_table_is_put_between_its_markers():
    text = "a\n<!-- x -->\nold\n<!-- end x -->\nb\n"
    assert doc_tables.filled(text, "x", "new") == "a\n<!-- x -->\nnew\n<!-- end x -->\nb\n"
    with pytest.raises(ValueError, match="no markers for y"):
        doc_tables.filled(text, "y", "new")
