"""Search: the right video and span, folded, filtered, fused, in pages."""

from __future__ import annotations

import os
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from library.conftest import Colours, write
from videoexpert.errors import InputError, UnsupportedError
from videoexpert.library.build import index
from videoexpert.library.find import Filter, Hit, Library, fuse, segment
from videoexpert.library.vectors import largest, products


@pytest.fixture
def library(videos, tmp_path):
    (videos / "red.srt").write_text("1\n00:00:01,000 --> 00:00:02,500\nlook at the blue door\n")
    index([videos], tmp_path / "lib", Colours())
    return Library(tmp_path / "lib", Colours())


def names(page):
    return [os.path.basename(hit.path) for hit in page.hits]


def test_recall_ranks_videos_and_finds_the_span(library):
    page = library.search("blue", method="recall")
    assert sorted(names(page)[:2]) == ["blue.mp4", "mixed.mp4"]
    (mixed,) = [hit for hit in page.hits if hit.path.endswith("mixed.mp4")]
    assert mixed.start == pytest.approx(2, abs=0.4)
    assert mixed.end == pytest.approx(4, abs=0.4)
    assert mixed.duration == pytest.approx(6, abs=0.1)


def test_text_and_hybrid(library):
    (hit,) = library.search("door", method="text").hits
    assert (os.path.basename(hit.path), hit.start, hit.end) == ("red.mp4", 1.0, 2.5)
    assert hit.text == "look at the blue door"
    assert set(names(library.search("blue", method="hybrid"))) == {"red.mp4", "blue.mp4", "mixed.mp4"}
    with pytest.raises(UnsupportedError, match="--method recall"):
        library.search("blue", method="rerank")


def test_words_score_by_their_share(videos, tmp_path):
    """A lone hit is a whole one; rare words count more than frequent ones; whatever BM25 says of a small library."""
    for name, words in (("red", "red door"), ("mixed", "green door"), ("sub/blue", "a bell")):
        (videos / f"{name}.srt").write_text(f"1\n00:00:01,000 --> 00:00:02,500\n{words}\n")
    (videos / "red.en.srt").write_text("1\n00:00:04,000 --> 00:00:05,000\nsilence\n")
    index([videos], tmp_path / "lib", Colours())
    library = Library(tmp_path / "lib", Colours())
    (lone,) = library.search("bell", method="text").hits
    assert lone.score == pytest.approx(1.0)
    # of four texts one has the bell, ln(1 + 3.5 / 1.5) = 1.204, and two have a door, ln(1 + 2.5 / 2.5) = 0.693
    hits = library.search("door bell", method="text").hits
    assert [round(hit.score, 3) for hit in hits] == [0.635, 0.365, 0.365]
    assert hits[0].text == "a bell"
    assert {hit.text for hit in hits[1:]} == {"red door", "green door"}
    assert library.search("nothing", method="text").hits == ()


def test_a_library_that_grows_is_searched_as_it_is(library, videos, tmp_path):
    before = library.search("green", method="recall")
    write(videos / "lawn.mp4", ["green", "green"], part_s=1.0)
    (videos / "sub" / "blue.mp4").unlink()
    index([videos], tmp_path / "lib", Colours())
    after = library.search("green", method="recall")
    assert "lawn.mp4" not in names(before)
    assert names(after)[0] == "lawn.mp4"
    assert "blue.mp4" not in names(after)
    fresh = Library(tmp_path / "lib", Colours()).search("green", method="recall")
    assert fresh.hits == after.hits


def test_filters(library, videos):
    assert names(library.search("blue", method="recall", filter=Filter(within="sub/*"))) == ["blue.mp4"]
    assert names(library.search("blue", method="recall", filter=Filter(min_duration=5))) == [
        "mixed.mp4",
        "red.mp4",
    ]
    os.utime(videos / "red.mp4", (1000, 1000))
    index([videos], library.folder, Colours())
    assert names(library.search("blue", method="recall", filter=Filter(before=2000))) == ["red.mp4"]
    assert "red.mp4" not in names(library.search("blue", method="recall", filter=Filter(after=2000)))


def test_pages_are_the_whole_and_a_foreign_cursor_is_refused(library, videos, tmp_path):
    whole = library.search("blue", method="recall", top=10)
    found, cursor = [], None
    while True:
        page = library.search("blue", method="recall", top=1, cursor=cursor)
        found += page.hits
        cursor = page.cursor
        if cursor is None:
            break
    assert tuple(found) == whole.hits
    first = library.search("blue", method="recall", top=1)
    for query, cursor in (("red", first.cursor), ("blue", "nonsense")):
        with pytest.raises(InputError, match="cursor"):
            library.search(query, method="recall", cursor=cursor)
    write(videos / "lawn.mp4", ["green"])
    index([videos], tmp_path / "lib", Colours())
    with pytest.raises(InputError, match="has changed"):
        library.search("blue", method="recall", cursor=first.cursor)


def test_a_cursor_belongs_to_its_filter_and_pictures_have_pages_too(library):
    first = library.search("blue", method="recall", top=1)
    with pytest.raises(InputError, match="another search"):
        library.search("blue", method="recall", cursor=first.cursor, filter=Filter(min_duration=1))
    row, other = (library.encoder.encode_texts([name])[0].numpy() for name in ("blue", "red"))
    whole = library.search_like(row)
    page = library.search_like(row, top=2)
    assert page.hits + library.search_like(row, top=2, cursor=page.cursor).hits == whole.hits
    with pytest.raises(InputError, match="another search"):
        library.search_like(other, cursor=page.cursor)


def test_near_duplicates_are_one_hit(library, videos, tmp_path):
    write(videos / "again.mp4", ["blue", "blue"], part_s=2.05)
    index([videos], tmp_path / "lib", Colours())
    hits = library.search("blue", method="recall").hits
    blue = [hit for hit in hits if os.path.basename(hit.path) in ("blue.mp4", "again.mp4")]
    assert len(blue) == 1
    assert len(blue[0].copies) == 1


def test_like_a_picture(library):
    row = library.encoder.encode_texts(["blue"])[0].numpy()
    assert names(library.search_like(row))[2] == "red.mp4"


def test_wrong_searches(library):
    with pytest.raises(InputError, match="empty"):
        library.search("  ")
    with pytest.raises(InputError, match="recall, rerank, text, hybrid"):
        library.search("a", method="guess")


def test_a_segment_by_hand():
    times, scores = np.arange(6.0) + 0.5, np.array([0.0, 0.0, 0.8, 1.0, 0.0, 0.0])
    assert segment(times, scores, 6.0) == (2.0, 4.0, 1.0)
    assert segment(times, np.ones(6), 6.0) == (0.0, 6.0, 1.0)
    assert segment(np.array([0.5]), np.array([0.3]), 1.0) == (0.0, 1.0, pytest.approx(0.3))


def test_fusion_by_hand():
    a, b, c = (Hit(x, 0, 1, 0.5, 9, x) for x in "abc")
    fused = fuse([[a, b], [b, c]])
    assert [hit.path for hit in fused] == ["b", "a", "c"]
    assert fused[0].score == pytest.approx((1 / 61 + 1 / 62) / (2 / 61))
    assert fuse([[a], [a]])[0].score == pytest.approx(1.0)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5000), st.integers(1, 40), st.integers(1, 3), st.randoms(use_true_random=False))
def test_exact_search_is_exact(n, most, workers, draw):
    with mock.patch.multiple("videoexpert.library.vectors", BLOCK=1000, MANY=8):
        check_exact(n, most, workers, draw)


def check_exact(n, most, workers, draw):
    rng = np.random.default_rng(draw.randrange(2**32))
    matrix = rng.integers(-3, 4, (n, 4)).astype(np.float16)
    asked = rng.integers(-3, 4, 4).astype(np.float32)
    found = products(matrix, asked, workers)
    assert np.array_equal(found, matrix.astype(np.float32) @ asked)
    # best first, and of equals the earlier: Python's stable sort
    assert largest(found, most).tolist() == sorted(range(n), key=lambda i: -found[i])[:most]


def test_nothing_is_searched_in_nothing():
    assert len(products(np.empty((0, 4), np.float16), np.ones(4))) == 0
    assert len(largest(np.empty(0, np.float32), 5)) == 0


def test_a_filter_looks_as_far_as_it_must(library, videos, tmp_path, monkeypatch):
    """The one video that a filter takes is found however many others are better."""
    for i in range(12):
        write(videos / f"sky{i}.mp4", ["blue"], part_s=0.5 + i / 4)
    write(videos / "night" / "dim.mp4", ["red", "green"])
    index([videos], tmp_path / "lib", Colours())
    monkeypatch.setattr("videoexpert.library.find.VIDEOS", 2)
    page = library.search("blue", method="recall", filter=Filter(within="night/*"))
    assert names(page) == ["dim.mp4"]
    assert len(library.search("blue", method="recall").hits) <= 2
