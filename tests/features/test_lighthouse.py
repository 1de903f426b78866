"""The layout of lighthouse and Moment-DETR: what is written, what is read, and a model that trains on it."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, CLIPModel

from towers import WIDTH, write_tower
from training_world import SIZES
from videoexpert import session
from videoexpert.apps.cli import main
from videoexpert.errors import DataError, InputError
from videoexpert.features.lighthouse import (
    ClipFeatures,
    clip_rows,
    clips_of_frames,
    export,
    frame_clips,
    open_features,
    queries_of,
)
from videoexpert.features.store import EncoderId, FeatureStore, MissingVideoError, ShardWriter
from videoexpert.recipes import load_recipe
from videoexpert.testing import tiny_config, tiny_video
from videoexpert.training.run import train
from videoexpert.types import VisualTokens
from videoexpert.vision.image_text import load_tower

VIDS = ("-a_b_0.0_12.0", "NUsG9BgSes0_210.0_360.0")


def config(**fields):
    return tiny_config(**{"spatial_tokens": "none", **fields})


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_tower("clip", tmp_path_factory.mktemp("tower") / "clip")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Two videos of six frames: one of 12 s, a frame a clip, and one of 10 s."""
    made = FeatureStore.create(tmp_path_factory.mktemp("store") / "s", EncoderId({"num_frames": 6}))
    draw = torch.Generator().manual_seed(0)
    with ShardWriter(made) as writer:
        for vid, duration in zip(VIDS, (12.0, 10.0), strict=True):
            tokens = torch.randn(6, WIDTH, generator=draw)
            writer.add(vid, VisualTokens(tokens, tokens[:0], duration), vid)
    return made


@pytest.fixture(scope="module")
def annotations(tmp_path_factory):
    """QVHighlights' own lines about the two videos, and one about a video that is not there."""
    rows = [
        {
            "qid": 7803 + i,
            "query": query,
            "duration": duration,
            "vid": vid,
            "relevant_clip_ids": [1, 2],
            "saliency_scores": [[2, 3, 3], [4, 4, 4]],
            "relevant_windows": [[2, 6]],
        }
        for i, (vid, duration, query) in enumerate(
            zip((*VIDS, "gone_0.0_10.0"), (12, 10, 10), ("a cat", "the red circle", "x"), strict=True)
        )
    ]
    file = tmp_path_factory.mktemp("qv") / "highlight_train_release.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


@pytest.mark.parametrize(
    ("layout", "videos", "texts"),
    [("lighthouse", "clip", "clip_text"), ("moment-detr", "clip_features", "clip_text_features")],
)
def test_names_keys_types_and_shapes(store, annotations, clip, tmp_path, layout, videos, texts):
    queries = queries_of("qvhighlights", annotations)
    done = export(store, tmp_path, layout, queries=queries, texts=load_tower(clip))
    assert (done.videos, done.queries, done.failed) == (2, 2, {})
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted((videos, texts, "queries.jsonl"))
    assert sorted(p.name for p in (tmp_path / videos).iterdir()) == sorted(f"{v}.npz" for v in VIDS)
    assert sorted(p.name for p in (tmp_path / texts).iterdir()) == ["qid7803.npz", "qid7804.npz"]
    with np.load(tmp_path / videos / f"{VIDS[0]}.npz") as found:
        assert list(found) == ["features"]
        assert (found["features"].dtype, found["features"].shape) == (np.float16, (6, WIDTH))
    with np.load(tmp_path / videos / f"{VIDS[1]}.npz") as found:
        assert found["features"].shape == (5, WIDTH)
    with np.load(tmp_path / texts / "qid7804.npz") as found:
        assert sorted(found) == ["last_hidden_state", "pooler_output"]
        assert found["last_hidden_state"].dtype == found["pooler_output"].dtype == np.float32
        assert found["pooler_output"].shape == (WIDTH,)
        assert found["last_hidden_state"].shape[1] == 32
    rows = [json.loads(line) for line in (tmp_path / "queries.jsonl").read_text().splitlines()]
    assert rows == [json.loads(line) for line in annotations.read_text().splitlines()[:2]]


def test_text_features_are_transformers_own(store, annotations, clip, tmp_path):
    """Every token from start to end, padding left out, as the projects cut them to the valid length."""
    export(store, tmp_path, queries=queries_of("qvhighlights", annotations), texts=load_tower(clip))
    model, tokenizer = CLIPModel.from_pretrained(clip).eval(), AutoTokenizer.from_pretrained(clip)
    for qid, query in ((7803, "a cat"), (7804, "the red circle")):
        batch = tokenizer([query], return_tensors="pt")
        with torch.no_grad():
            states = model.text_model(**batch).last_hidden_state[0]
            pooled = model.get_text_features(**batch)
        pooled = pooled if isinstance(pooled, torch.Tensor) else pooled.pooler_output
        with np.load(tmp_path / "clip_text" / f"qid{qid}.npz") as found:
            np.testing.assert_allclose(found["last_hidden_state"], states.numpy(), atol=1e-5)
            np.testing.assert_allclose(found["pooler_output"], pooled[0].numpy(), atol=1e-5)


def test_reading_back_equals(store, tmp_path):
    """A frame a clip comes back bit for bit; the peers' own way of reading gives the same numbers."""
    export(store, tmp_path)
    read = ClipFeatures(tmp_path / "clip", config())
    assert sorted(read) == sorted(VIDS)
    tokens = read[VIDS[0]]
    assert torch.equal(tokens.temporal, store[VIDS[0]].temporal)
    assert (tokens.duration_s, tokens.spatial.shape) == (12.0, (0, WIDTH))
    assert f"{VIDS[0]}.mp4" in read
    theirs = np.load(tmp_path / "clip" / f"{VIDS[0]}.npz")["features"][:75].astype(np.float32)
    np.testing.assert_array_equal(theirs, store[VIDS[0]].temporal.float().numpy())


def test_frames_and_clips_by_hand():
    assert frame_clips(6, 6).tolist() == [0, 1, 2, 3, 4, 5]
    assert frame_clips(2, 6).tolist() == [0, 0, 0, 1, 1, 1]
    assert frame_clips(6, 2).tolist() == [1, 4]
    rows = np.arange(4, dtype=np.float32)[:, None]
    # frames at 0.5, 1.5, 2.5, 3.5 of 4 s
    assert clips_of_frames(rows, 4.0, 2.0).ravel().tolist() == [0.5, 2.5]
    assert clips_of_frames(rows, 4.0, 1.0).ravel().tolist() == [0, 1, 2, 3]
    assert clips_of_frames(rows, 4.0, 0.5).ravel().tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert clips_of_frames(rows, 4.0, 3.0).ravel().tolist() == [1.0, 3.0]
    assert clips_of_frames(rows, 4.0, 9.0).ravel().tolist() == [1.5]


def test_wrong_files_and_models_are_one_sentence(store, tmp_path):
    export(store, tmp_path)
    folder = tmp_path / "clip"
    with pytest.raises(InputError, match=r"set model\.config\.spatial_tokens to none"):
        ClipFeatures(folder, tiny_config())
    read = ClipFeatures(folder, config())
    with pytest.raises(MissingVideoError, match="holds no video 'z' among its 2"):
        read["z"]
    wide = tiny_config(spatial_tokens="none")
    wide.vision_config = {**wide.vision_config, "projection_dim": 48}
    with pytest.raises(InputError, match="24 wide, but the model's vision encoder gives 48"):
        ClipFeatures(folder, wide)
    for name, arrays in (
        ("other", {"x": np.zeros((2, 3))}),
        ("flat", {"features": np.zeros(3)}),
        ("nan", {"features": np.full((2, 3), np.nan)}),
        ("objects", {"features": np.array([[{}]])}),
    ):
        np.savez(tmp_path / f"{name}.npz", **arrays)
        with pytest.raises(DataError, match=f"{name}.npz holds"):
            clip_rows(tmp_path / f"{name}.npz")
    (tmp_path / "cut.npz").write_bytes((folder / f"{VIDS[0]}.npz").read_bytes()[:100])
    with pytest.raises(DataError, match=r"cut\.npz holds no features"):
        clip_rows(tmp_path / "cut.npz")
    with pytest.raises(DataError, match="is not a feature store"):
        open_features(tmp_path / "nothing", config())
    for wrong in ({"layout": "umt"}, {"clip_s": 0.0}):
        with pytest.raises(InputError):
            export(store, tmp_path, **wrong)


def run(capsys, *arguments):
    capsys.readouterr()
    code = main([str(a) for a in arguments])
    return code, *capsys.readouterr()


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    for seed, (vid, seconds) in enumerate(zip(VIDS, (12, 10), strict=True)):
        tiny_video(folder / f"{vid}.mp4", seconds, rate=2, seed=seed)
    return folder


def test_from_videos_to_a_trained_model_and_its_score(videos, annotations, clip, bases, tmp_path, capsys):
    """encode --layout, a recipe of real videos on the exported files, eval --features: on random base models."""
    out = tmp_path / "peer"
    encode = ("encode", "--videos", videos, "--annotations", annotations, "--benchmark", "qvhighlights")
    fields = ("spatial_tokens=none", "groups=2", "tokens_per_group=3", "key_tokens=2")
    tower = ("--vision", clip, "--frames", 6, *(part for f in fields for part in ("--set", f)))
    code, _, err = run(capsys, *encode, *tower, "--layout", "lighthouse", "--out", out)
    assert code == 1  # one video of the annotations is not there
    assert "gone_0.0_10.0" in err
    assert f"2 videos and 2 queries written into {out} for lighthouse" in err
    stored = FeatureStore.open(out / "store")
    again = tmp_path / "again"
    code, _, _ = run(capsys, "encode", "--layout", "moment-detr", "--store", out / "store", "--out", again)
    assert code == 0
    for vid in VIDS:
        np.testing.assert_array_equal(
            clip_rows(out / "clip" / f"{vid}.npz"), clip_rows(again / "clip_features" / f"{vid}.npz")
        )
    assert torch.equal(ClipFeatures(out / "clip", config())[VIDS[0]].temporal, stored[VIDS[0]].temporal)

    sizes = {**SIZES, "conversation": "vicuna_v1", "spatial_tokens": "none"}
    where = [f"{part}.0.{key}={value}" for part in ("data", "validation") for key, value in
             (("features", out / "clip"), ("annotations", annotations))]  # fmt: skip
    recipe = load_recipe(
        "recipes/real_qvhighlights.yaml",
        [
            f"model.vision={clip}",
            f"model.language={bases / 'language'}",
            *(f"model.config.{name}={value}" for name, value in sizes.items()),
            *where,
            "validation.0.split=train",
            *("training.batch_size=2", "training.micro_batch=2", "training.epochs=2", "training.workers=0"),
            *("training.precision=float32", "training.save_every=10"),
        ],
    )
    model = train(recipe, tmp_path / "run", log=lambda _: None)
    expert = session.load(model, device="cpu")
    assert expert.config.num_spatial_tokens == 0
    assert len(expert.open(videos / f"{VIDS[0]}.mp4").ground("a cat").curve) == 6

    common = ("--annotations", annotations, "--model", model, "--device", "cpu", "--format", "json")
    code, _, _ = run(
        capsys, "eval", "qvhighlights", *common, "--features", out / "clip", "--out", tmp_path / "a"
    )
    assert code == 1  # the third video again
    rows = [json.loads(line) for line in (tmp_path / "a" / "predictions.jsonl").read_text().splitlines()]
    # the same model on the same frames from the store, and from the exported files
    run(capsys, "eval", "qvhighlights", *common, "--features", out / "store", "--out", tmp_path / "b")
    stored_rows = [
        json.loads(line) for line in (tmp_path / "b" / "predictions.jsonl").read_text().splitlines()
    ]
    assert rows[0] == stored_rows[0]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--store", "s"], "--store belongs to --layout"),
        (["--clip-seconds", "1", "--videos", "v"], "--clip-seconds belongs to --layout"),
        ([], "encode needs --videos"),
        (["--layout", "lighthouse"], "--layout needs --videos to encode, or --store"),
        (
            ["--layout", "lighthouse", "--videos", "v", "--store", "s"],
            "--layout needs --videos to encode, or",
        ),
        (["--layout", "umt", "--videos", "v"], "--layout is 'umt', expected one of lighthouse, moment-detr"),
        (["--layout", "lighthouse", "--store", "out"], "is the store out itself"),
        (["--layout", "lighthouse", "--store", "s", "--benchmark", "tacos"], "belong together"),
    ],
)
def test_wrong_calls(capsys, options, said):
    code, _, err = run(capsys, "encode", "--out", "out", *options)
    assert code == 2
    assert said in err
    assert err.count("\n") == 1


def test_eval_of_clip_seconds(capsys, tmp_path):
    common = ("eval", "qvhighlights", "--annotations", "a", "--out", tmp_path)
    for options, said in (
        (("--videos", "v", "--clip-seconds", 2), "--clip-seconds belongs to --features"),
        (("--features", "f", "--clip-seconds", -1), "--clip-seconds is -1, expected a positive number"),
    ):
        code, _, err = run(capsys, *common, *options)
        assert (code, said in err) == (2, True)
