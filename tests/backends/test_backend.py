"""The seam: what every backend has, and the one door to them."""

from __future__ import annotations

import json

import pytest
import torch

from videoexpert import session
from videoexpert.assets import SHIPPED_CLIP
from videoexpert.backends.base import TASKS, Backend, OpenVideo, check_queries, check_question
from videoexpert.backends.blank import GREY, open_blank, write_blank
from videoexpert.backends.contrastive import Contrastive
from videoexpert.backends.stored import StoredExpert
from videoexpert.backends.text_times import TextTimesExpert
from videoexpert.checkpoints import folder as checkpoint
from videoexpert.errors import DataError, InputError, UnsupportedError
from videoexpert.features.clips import clips_of
from videoexpert.features.encode import encode_to_store
from videoexpert.features.store import FeatureStore
from videoexpert.session import Expert, load
from videoexpert.testing import tiny_model, tiny_tokenizer, tiny_video
from videoexpert.video.decode import read_frames

# the package's own CLIP warns of videos that are none of its world
pytestmark = pytest.mark.filterwarnings("ignore::videoexpert.errors.ModelWarning")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    tiny_video(folder / "a.mp4", 4.0)
    return folder


def expert(times: str = "head") -> Expert:
    kind = Expert if times == "head" else TextTimesExpert
    return kind(tiny_model(num_frames=8, times=times), tiny_tokenizer(), "tiny")


def contrastive() -> Contrastive:
    return load("contrastive:", device="cpu")


def stored(folder, tmp_path) -> StoredExpert:
    ours = expert()
    encode_to_store(clips_of(folder), ours.model, tmp_path / "store", workers=1)
    return StoredExpert(ours, FeatureStore.open(tmp_path / "store"))


@pytest.mark.parametrize("kind", ["head", "text", "stored", "contrastive"])
def test_every_backend_keeps_the_protocol(kind, folder, tmp_path):
    made = {"stored": lambda: stored(folder, tmp_path), "contrastive": contrastive}
    backend = made.get(kind, lambda: expert(kind))()
    assert isinstance(backend, Backend)
    assert backend.can <= TASKS
    assert json.dumps(backend.describe(), allow_nan=False)
    video = backend.open("a" if kind == "stored" else folder / "a.mp4")
    assert isinstance(video, OpenVideo)
    assert (video.duration, video.start) == (pytest.approx(4.0), 0.0)
    one, many = video.ground("it falls"), video.ground(["it falls", "it runs"], 1)
    assert [m.query for m in many] == ["it falls", "it runs"]
    assert len(many[0]) <= 1
    for best, alone in zip(many[0], one, strict=False):
        assert (best.start, best.end) == pytest.approx((alone.start, alone.end), abs=1e-4)
    assert len(video.highlights("it falls").scores) == 2
    assert video.ask("which?", ["this", "that"]).text in ("this", "that")
    if "caption" in backend.can:
        assert all(moment.text for moment in video.caption(16))
    else:
        with pytest.raises(UnsupportedError, match="--model Qwen/Qwen3-VL-2B-Instruct"):
            video.caption(16)
    with pytest.raises(InputError, match="the query is empty"):
        video.ground(" ")


def test_a_name_leads_to_its_backend(tmp_path):
    ours = load(checkpoint.save(tiny_model(), tiny_tokenizer(), tmp_path / "head"), device="cpu")
    text = load(checkpoint.save(tiny_model(times="text"), tiny_tokenizer(), tmp_path / "text"), device="cpu")
    assert (type(ours), type(text)) == (Expert, TextTimesExpert)
    assert type(load(f"contrastive:{SHIPPED_CLIP}", device="cpu")) is Contrastive
    assert set(session.KINDS) >= {"contrastive"}


def test_a_stored_video_is_the_one_that_was_encoded(folder, tmp_path):
    backend = stored(folder, tmp_path)
    kept, fresh = backend.open("a"), backend.expert.open(folder / "a.mp4")
    torch.testing.assert_close(  # the store keeps half precision
        torch.tensor(kept.ground("it falls").curve),
        torch.tensor(fresh.ground("it falls").curve),
        atol=5e-3,
        rtol=0,
    )
    with pytest.raises(DataError):
        backend.open("b")
    with pytest.raises(InputError, match="name its start and its end, or neither"):
        backend.open("a", start=1.0)


def test_a_blank_video_comes_from_the_backend_or_from_a_file(tmp_path):
    own = expert()
    assert open_blank(own, 7.0).duration == 7.0
    video = open_blank(contrastive(), 7.0)
    assert video.duration == pytest.approx(7.0)
    curve = torch.tensor(video.ground("a red circle").curve)
    assert curve.shape == (14,)
    assert torch.allclose(curve, curve[:1])
    pixels = read_frames(write_blank(tmp_path / "b.mp4", 3.0), 4).pixels
    assert (pixels.int() - GREY).abs().max() <= 2


def test_what_is_asked_has_limits(monkeypatch):
    monkeypatch.setenv("VIDEOEXPERT_MAX_QUERIES", "2")
    monkeypatch.setenv("VIDEOEXPERT_MAX_QUERY_CHARACTERS", "5")
    monkeypatch.setenv("VIDEOEXPERT_MAX_CHOICES", "3")
    check_queries(["a" * 5, "b"])
    check_question("why?", ["a", "b", "c"])
    check_question("why?", None)
    for call, message in (
        (lambda: check_queries(["a"] * 3), "3 queries were given in one call, .* VIDEOEXPERT_MAX_QUERIES"),
        (lambda: check_queries(["a" * 6]), "a query has 6 characters, .* VIDEOEXPERT_MAX_QUERY_CHARACTERS"),
        (lambda: check_queries([" "]), "the query is empty"),
        (lambda: check_question("a" * 6, None), "the question has 6 characters"),
        (lambda: check_question("why?", ["a"]), "expected at least two"),
        (lambda: check_question("why?", ["a", " "]), "none empty"),
        (lambda: check_question("why?", list("abcd")), "4 choices were given, .* VIDEOEXPERT_MAX_CHOICES"),
        (lambda: check_question("why?", ["a" * 6, "b"]), "a choice has 6 characters"),
    ):
        with pytest.raises(InputError, match=message):
            call()


@pytest.mark.parametrize("kind", ["head", "text", "contrastive"])
def test_amounts_and_texts_that_make_no_sense(kind, folder):
    video = (contrastive if kind == "contrastive" else lambda: expert(kind))().open(folder / "a.mp4")
    for asked, message in (
        (lambda: video.ground("a", top_k=0), "top_k is 0, expected a whole number"),
        (lambda: video.ground("a", 10**9), "VIDEOEXPERT_MAX_MOMENTS"),
        (lambda: video.highlights("a", clip_s=1e-7), "clip_s is 1e-07, which makes .*VIDEOEXPERT_MAX_CLIPS"),
        (lambda: video.highlights("a", clip_s=float("nan")), "clip_s is nan, expected"),
        (lambda: video.ask("a", max_new_tokens=0), "max_new_tokens is 0, expected"),
        (lambda: video.ask("a", max_new_tokens=10**9), "VIDEOEXPERT_MAX_NEW_TOKENS"),
        (lambda: video.ask("a", choices="ab"), "choices are 'ab', expected a list"),
        (lambda: video.ask("a", choices=["a", 1]), "a choice is 1, expected text"),
        (lambda: video.ground("half \ud83d"), r"the query 'half \\ud83d' holds half a character"),
        (lambda: video.ground([b"a"]), "the query is b'a', expected text"),
    ):
        with pytest.raises(InputError, match=message):
            asked()


def test_no_memory_is_said_in_a_sentence(folder, monkeypatch):
    video = expert().open(folder / "a.mp4")

    def fail(*_, **__):
        torch.empty(1 << 60)

    monkeypatch.setattr(video.expert, "ground_opened", fail)
    with pytest.raises(
        InputError, match=r"not enough memory \(\d+ bytes were asked for\); .* ask less at once"
    ):
        video.ground("a")
