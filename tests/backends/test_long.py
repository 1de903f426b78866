"""A long video in windows: each is what the same window alone is, and their answers are put together."""

from __future__ import annotations

import gc

import pytest
import torch

from backbones import BACKBONES
from videoexpert.backends.expert import Expert, Video
from videoexpert.backends.long import LongVideo
from videoexpert.engine import PrefixStore
from videoexpert.engine.merge import CurveMerger, Merger
from videoexpert.engine.spool import Spool
from videoexpert.errors import InputError, ModelWarning
from videoexpert.testing import tiny_model, tiny_tokenizer, tiny_video

QUERIES = ["it falls", "a red ball jumps"]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tiny_video(tmp_path_factory.mktemp("videos") / "long.mp4", 26.0)


@pytest.fixture(scope="module")
def expert() -> Expert:
    return Expert(tiny_model(num_frames=8, trained_seconds=8.0), tiny_tokenizer(), "tiny")


@pytest.fixture(scope="module")
def video(expert, file) -> LongVideo:
    return expert.open_long(file)


def test_windows_cover_the_video_and_the_result_says_so(video):
    spans = [(w.clip.start_s, w.clip.end_s) for w in video.windows]
    assert spans == [(0, 8), (6, 14), (12, 20), (18, 26)]
    assert (video.start, video.duration) == (0.0, 26.0)
    assert video.looked_at == {"windows": 4, "window": 8.0, "overlap": 2.0, "frames": 32}


def test_windows_equal_the_same_windows_alone(expert, file, video):
    """Their tokens, which waited on disk; their answers, asked alone and put together by hand."""
    alone = [expert.open(file, start=w.clip.start_s, end=w.clip.end_s) for w in video.windows]
    for window, single in zip(video.windows, alone, strict=True):
        torch.testing.assert_close(window.tokens.temporal, single.tokens.temporal, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(window.tokens.spatial, single.tokens.spatial, atol=1e-5, rtol=1e-5)
    for query, found in zip(QUERIES, video.ground(QUERIES, top_k=None), strict=True):
        told = [single.ground(query, None) for single in alone]
        merger, axis, items = Merger(1.0), CurveMerger(0.0, 26.0, 1.0), []
        for i, (single, moments) in enumerate(zip(alone, told, strict=True)):
            span = (single.start, single.start + single.duration)
            items += merger.add(span, moments.items, first=i == 0, last=i == 3)
            axis.add(span, moments.curve)
        items.sort(key=lambda m: -m.score)
        assert [m.score for m in found] == pytest.approx([m.score for m in items], abs=1e-5)
        assert sorted(m.start for m in found) == pytest.approx(sorted(m.start for m in items), abs=1e-5)
        assert found.curve == pytest.approx(axis.curve(), abs=1e-5)
        assert len(found.curve) == 26
        assert found.presence == pytest.approx(max(m.presence for m in told), abs=1e-5)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_windows_equal_each_alone_whatever_the_backbone(backbone, file):
    language = BACKBONES[backbone].to_dict()
    model = tiny_model(num_frames=8, trained_seconds=8.0, language_config=language)
    expert = Expert(model, tiny_tokenizer(), backbone)
    windows = expert.open_long(file).windows
    together = expert.ground_opened(windows, [QUERIES] * len(windows), None)
    for window, found in zip(windows, together, strict=True):
        expert.engine.store.clear()
        for query, moments in zip(QUERIES, found, strict=True):
            ((alone,),) = expert.ground_opened([window], [[query]], None)
            assert moments.curve == pytest.approx(alone.curve, abs=1e-5)
            assert moments.presence == pytest.approx(alone.presence, abs=1e-5)
            for edge in ("start", "end", "score"):
                ours, theirs = ([getattr(m, edge) for m in own] for own in (moments, alone))
                assert ours == pytest.approx(theirs, abs=1e-5)


def test_memory_is_that_of_a_few_windows_and_answers_do_not_change(expert, video):
    before = video.ground(QUERIES[0])
    kept = expert.engine.store
    expert.engine.store = PrefixStore(expert.engine.prefixes(video.windows[:1])[0].nbytes)
    try:
        again = video.ground(QUERIES[0])
    finally:
        expert.engine.store = kept
    assert [m.start for m in again] == pytest.approx([m.start for m in before], abs=1e-5)
    assert not any(isinstance(value, torch.Tensor) for w in video.windows for value in vars(w).values())


def test_the_file_of_the_tokens_goes_with_the_last_window(expert):
    tokens = expert.open_blank(8.0).tokens
    spool = Spool()
    window, file = spool.add(tokens), spool._file
    del spool
    assert torch.equal(window.tokens.temporal, tokens.temporal)
    del window
    gc.collect()
    assert file.closed


def test_a_short_video_or_windows_off_is_one_video(expert, file, tmp_path):
    assert isinstance(expert.open_long(tiny_video(tmp_path / "short.mp4", 15.0)), Video)
    with pytest.warns(ModelWarning, match="videos of about 8 s and looked at 26.0 s in one piece"):
        assert isinstance(expert.open_long(file, window="off"), Video)
    part = expert.open_long(file, start=5.0, end=25.0, window=6.0, overlap=0.0, num_frames=4)
    assert [(w.clip.start_s, w.clip.end_s) for w in part.windows] == [(5, 11), (11, 17), (17, 23), (19, 25)]
    assert part.looked_at["frames"] == 16
    assert all(5 <= m.start <= m.end <= 25 for m in part.ground("it falls"))


def test_progress_is_in_seconds_of_video(expert, file):
    heard = []
    expert.open_long(file, progress=lambda done, all_s: heard.append((done, all_s)))
    assert heard == [(8, 26), (14, 26), (20, 26), (26, 26)]


def test_highlights_captions_answers_and_evidence(expert, video, monkeypatch):
    shown = video.highlights("it falls", top_k=2, clip_s=2.0)
    assert shown.times == tuple(float(t) for t in range(0, 26, 2))
    assert len(shown.moments) == 2
    answer = video.ask("which?", ["a", "b"])
    best = max(
        range(4), key=lambda i: expert.ground_opened(video.windows[i : i + 1], [["which?"]], 1)[0][0].presence
    )
    clip = video.windows[best].clip
    assert all(clip.start_s <= m.start <= m.end <= clip.end_s for m in answer.moments)
    prompter = expert.prompter
    ids = prompter.tokenizer("During<LOC>, it runs.", add_special_tokens=False).input_ids
    monkeypatch.setattr(expert.engine, "generate", lambda _, asked, **__: [[ids] for _ in asked])
    told = video.caption()
    assert {m.text for m in told} == {"it runs."}
    assert 1 <= len(told) <= 4
    assert [m.start for m in told] == sorted(m.start for m in told)
    evidence = video.evidence("it falls")
    assert evidence.presence == pytest.approx(video.ground("it falls").presence, abs=1e-6)
    assert evidence.presence != evidence.blank_presence


def test_wrong_questions(video):
    with pytest.raises(InputError, match="query is empty"):
        video.ground(" ")
    with pytest.raises(InputError, match="question is empty"):
        video.ask("")
    with pytest.raises(InputError, match="clip_s is 0"):
        video.highlights("it falls", clip_s=0)
    assert video.ground([]) == []
