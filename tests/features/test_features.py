"""The feature store: what it gives back, what it refuses, and what a kill leaves of it."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

from videoexpert.apps.cli import main
from videoexpert.checkpoints import folder as checkpoint
from videoexpert.errors import DataError, InputError, ResumeWarning
from videoexpert.features import encode as encoding
from videoexpert.features import store as storing
from videoexpert.features.clips import Clip, clips_of
from videoexpert.features.encode import (
    Encoded,
    FailedClip,
    TokenEncoder,
    encode_to_store,
    encode_videos,
    weights_digest,
)
from videoexpert.features.store import (
    HASH_BLOCK,
    STORE,
    EncoderId,
    FeatureStore,
    MissingVideoError,
    ShardWriter,
    content_hash,
    video_key,
)
from videoexpert.locks import LOCK, held
from videoexpert.testing import tiny_model, tiny_tokenizer, tiny_video
from videoexpert.types import VisualTokens

NAMES = ("a", "b", "c", "d", "e")
BATCH = 12  # two tiny videos of six frames in a pass


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    """Five videos of 2 to 6 seconds."""
    folder = tmp_path_factory.mktemp("videos")
    for seed, name in enumerate(NAMES):
        tiny_video(folder / f"{name}.mp4", seconds=2.0 + seed, seed=seed)
    return folder


@pytest.fixture(scope="module")
def encoder() -> TokenEncoder:
    return TokenEncoder.of(tiny_model())


def run(videos: Path, encoder: TokenEncoder, out: Path, **options):
    options = {"batch_size": BATCH, "workers": 2, "shard_videos": 2, **options}
    return encode_to_store(clips_of(videos), encoder, out, **options)


@pytest.fixture(scope="module")
def whole(videos, encoder, tmp_path_factory) -> Path:
    """A store of all five, made without a stop: shards of two, two and one."""
    out = tmp_path_factory.mktemp("whole") / "store"
    assert run(videos, encoder, out).encoded == 5
    return out


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_the_store_gives_what_the_model_makes_of_each_file(videos, encoder, whole):
    store = FeatureStore.open(whole, encoder.config)
    assert list(store.keys()) == list(NAMES)
    assert len(store) == 5
    assert sorted(p.suffix for p in whole.iterdir()) == [".json"] * 4 + [".safetensors"] * 3
    model = tiny_model()
    for seed, name in enumerate(NAMES):
        frames = encoder.read(Clip(name, videos / f"{name}.mp4"))
        expected, found = model.encode_video(frames), store[name]
        assert found.temporal.dtype == found.spatial.dtype == torch.float16
        torch.testing.assert_close(found.temporal.float(), expected.temporal, atol=2e-3, rtol=2e-3)
        torch.testing.assert_close(found.spatial.float(), expected.spatial, atol=2e-3, rtol=2e-3)
        assert (found.duration_s, found.start_s) == pytest.approx((2.0 + seed, 0.0))
        entry = store.entry(name)
        assert (entry.frames, entry.content) == (6, content_hash(videos / f"{name}.mp4"))
    assert not torch.equal(store["a"].temporal, store["b"].temporal)


@pytest.mark.parametrize(
    ("preset", "spatial_tokens"),
    [("paper", "compress"), ("released", "compress"), ("paper", "random"), ("paper", "none")],
)
def test_passes_across_videos_give_what_the_model_gives_of_each_alone(videos, preset, spatial_tokens):
    model = tiny_model(preset, spatial_tokens=spatial_tokens)
    encoder = TokenEncoder.of(model)
    frames = [encoder.read(Clip(n, videos / f"{n}.mp4")) for n in NAMES[:3]]
    together = encoder.encode(frames, batch_size=7)
    for one, found in zip(frames, together, strict=True):
        expected = model.encode_video(one)
        torch.testing.assert_close(found.temporal.float(), expected.temporal, atol=2e-3, rtol=2e-3)
        torch.testing.assert_close(found.spatial.float(), expected.spatial, atol=2e-3, rtol=2e-3)
        assert found.spatial.shape == (0 if spatial_tokens == "none" else 6, 24)


def test_a_store_without_spatial_tokens_and_other_processes_can_read_it(tmp_path):
    encoder = EncoderId({"num_frames": 2})
    store = FeatureStore.create(tmp_path / "s", encoder)
    with ShardWriter(store) as writer:
        writer.add("x", VisualTokens(torch.tensor([[1.0, 2.5], [3, 4]]), torch.zeros(0, 2), 5.0, 1.5), "h")
    for found in (store, pickle.loads(pickle.dumps(store))):
        tokens = found["x"]
        assert tokens.temporal.tolist() == [[1.0, 2.5], [3.0, 4.0]]
        assert tokens.spatial.shape == (0, 2)
        assert (tokens.duration_s, tokens.start_s) == (5.0, 1.5)
    assert pickle.loads(pickle.dumps(store))._handles == {}


def test_keys_of_parts_of_file_names_and_of_ids_with_dots(tmp_path):
    assert video_key("x") == "x"
    assert video_key("x", (0.0, 12.25)) == "x@0-12.25"
    assert video_key("x", (0.1, 1000000.125)) == "x@0.1-1000000.125"
    store = FeatureStore.create(tmp_path, EncoderId({}))
    tokens = VisualTokens(torch.zeros(1, 1), torch.zeros(0, 1), 1.0)
    with ShardWriter(store) as writer:
        for key in ("talk", "talk@3-9", "v_1.0", "v_1.0_2.5", "v_1"):
            writer.add(key, tokens, key)
    assert store.entry("talk.mp4").content == "talk"
    assert store.entry("talk.mp4@3-9").content == "talk@3-9"
    assert store.entry("v_1.0_2.5").content == "v_1.0_2.5"
    assert store.entry("v_1.0").content == "v_1.0"
    assert "talk.webm" in store
    for missing in ("v_1.5", "talk@3-8", "talk.mp4@3-8", "other", 3):
        assert missing not in store
    with pytest.raises(
        MissingVideoError, match=r"^the feature store .* holds no video 'other' among its 5; add"
    ):
        store["other"]
    assert store.get("other") is None  # as of any mapping


def test_a_store_of_another_encoder_is_refused_by_the_fields_that_differ(videos, encoder, whole, tmp_path):
    def refusal(config) -> str:
        with pytest.raises(InputError) as caught:
            FeatureStore.open(whole, config)
        return str(caught.value)

    config = encoder.config
    frames = encoder.with_fields(num_frames=8)
    assert "num_frames is 6, not 8;" in refusal(frames.config)
    released = TokenEncoder.of(tiny_model("released"))
    found = refusal(released.config)
    for part in (
        "gop is similarity, not fixed",
        "key_score is attention, not cosine",
        "frame_times is centre",
    ):
        assert part in found
    assert "num_frames" not in found
    tower = {**config.vision_config, "num_hidden_layers": 3}
    other = type(config).from_dict({**config.to_dict(), "vision_config": tower})
    assert "vision.num_hidden_layers is 2, not 3" in refusal(other)
    weights = TokenEncoder.of(tiny_model(seed=1)).id
    assert "weights is " in refusal(weights)
    size = EncoderId({**encoder.id.fields, "preprocessing.crop": False})
    assert "preprocessing.crop is True, not False" in refusal(size)
    before = contents(whole)
    with pytest.raises(InputError, match="num_frames is 6, not 8"):
        run(videos, frames, whole)
    assert contents(whole) == before
    # What says nothing of the tokens is no difference.
    same = type(config).from_dict(
        {**config.to_dict(), "head_width": 99, "preset": "custom", "fusion": "none"}
    )
    assert len(FeatureStore.open(whole, same)) == len(FeatureStore.open(whole, encoder.id)) == 5


def test_the_digest_of_weights_follows_values_not_dtype():
    vision = tiny_model().vision
    original = weights_digest(vision)
    vision.model.to(torch.float16)
    rounded = weights_digest(vision)
    vision.model.to(torch.float32)
    assert weights_digest(vision) == rounded != original
    with torch.no_grad():
        next(vision.model.parameters()).view(-1)[0] += 1
    assert weights_digest(vision) != rounded


KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from videoexpert.features import clips, encode, store as features
from videoexpert.testing import tiny_model

def kill(): os.kill(os.getpid(), signal.SIGKILL)

def in_the_shard():
    save = features.save_file
    def half(tensors, part, metadata):
        save(tensors, part, metadata)
        if "00000-00001" in part.name:
            os.truncate(part, part.stat().st_size // 2)
            kill()
    features.save_file = half

def before_the_index():
    write = features.files.write_json
    def never(file, value):
        if file.name == "00000-00001.json": kill()
        write(file, value)
    features.files.write_json = never

def in_the_index():
    replace = os.replace
    def never(part, file):
        if file.name == "00000-00001.json": kill()
        replace(part, file)
    os.replace = never

videos, out, threads = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
for point in (in_the_shard, before_the_index, in_the_index):
    child = os.fork()
    if child == 0:
        torch.set_num_threads(threads)
        point()
        encode.encode_to_store(clips.clips_of(videos), tiny_model(), out / point.__name__,
                               batch_size=12, workers=2, shard_videos=2)
        os._exit(0)
    print(point.__name__, os.WTERMSIG(os.waitpid(child, 0)[1]))
"""


def test_a_kill_leaves_a_sound_store_and_the_next_run_ends_with_the_same_bytes(
    videos, encoder, whole, tmp_path
):
    threads = str(torch.get_num_threads())
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(videos), str(tmp_path), threads],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(
                map(str, (Path(__file__).parents[1], Path(__file__).parents[2] / "src"))
            ),
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    points = {"in_the_shard": 1, "before_the_index": 0, "in_the_index": 1}
    assert done.stdout.splitlines() == [f"{point} 9" for point in points]
    expected = contents(whole)
    for point, parts in points.items():
        out = tmp_path / point
        left = contents(out)
        assert len([n for n in left if n.endswith(".part")]) == parts
        assert set(left) - {"store.json", "00000-00000.json", "00000-00000.safetensors"}, (
            "nothing was cut short"
        )
        assert list(FeatureStore.open(out, encoder.id)) == ["a", "b"]
        with pytest.warns(ResumeWarning, match="ended without giving it back"):
            summary = run(videos, encoder, out)
        assert (summary.kept, summary.encoded, summary.failed) == (2, 3, {})
        assert contents(out) == expected


def test_a_store_that_another_process_fills_is_refused_and_other_ranks_are_not(videos, encoder, tmp_path):
    out = tmp_path / "s"
    FeatureStore.create(out, encoder.id)
    with held(out, f"{LOCK}-00000"):
        with pytest.raises(InputError, match=rf"in use by process {os.getpid()} on this machine: wait"):
            run(videos, encoder, out)
        clips = clips_of(videos)
        assert encoding.encode_to_store(clips, encoder, out, rank=1, world_size=2).encoded == 2
    assert not list(out.glob(f"{LOCK}*"))


def test_a_store_of_another_reader_of_videos_is_refused(videos, encoder, whole, monkeypatch):
    monkeypatch.setattr(storing, "READER", storing.READER + 1)
    said = f"reader is {storing.READER - 1}, not {storing.READER}"
    with pytest.raises(InputError, match=said):
        FeatureStore.open(whole, encoder.config)
    with pytest.raises(InputError, match=said):
        run(videos, encoder, whole)


def test_a_finished_store_stays_as_it_is(videos, encoder, whole):
    before = contents(whole)
    summary = run(videos, encoder, whole)
    assert (summary.kept, summary.encoded) == (5, 0)
    assert contents(whole) == before


def test_processes_share_the_work_and_their_shards_meet_on_opening(videos, encoder, whole, tmp_path):
    out = tmp_path / "store"
    assert run(videos, encoder, out, rank=1, world_size=2).encoded == 2
    assert list(FeatureStore.open(out)) == ["b", "d"]
    late = FeatureStore.open(out)
    assert run(videos, encoder, out, rank=0, world_size=2).encoded == 3
    late.refresh()
    one = FeatureStore.open(whole)
    for store in (late, FeatureStore.open(out, encoder.id)):
        assert sorted(store) == list(NAMES)
        for name in NAMES:
            torch.testing.assert_close(store[name].spatial, one[name].spatial, atol=2e-3, rtol=2e-3)
    assert {n[:5] for n in contents(out) if n != STORE} == {"00000", "00001"}
    # Started again as one process: nothing to do, and what ranks that are no more left goes.
    elsewhere = (
        ".{}-00007.safetensors.elsewhere.1-0.part"  # of a machine whose processes are not to be seen here
    )
    for stray in (elsewhere.format("00001"), elsewhere.format("00000"), "00001-00007.safetensors"):
        (out / stray).write_bytes(b"half")
    store = FeatureStore.open(out)
    ShardWriter(store, rank=0, world_size=2)
    assert (out / elsewhere.format("00001")).exists()  # rank 1 may be at it
    assert not (out / elsewhere.format("00000")).exists()
    assert run(videos, encoder, out).encoded == 0
    assert not [n for n in contents(out) if n.startswith(".") or "00007" in n]
    assert sorted(FeatureStore.open(out)) == list(NAMES)


def test_the_content_hash_sees_size_head_middle_and_tail(tmp_path):
    file = tmp_path / "big"
    size = 5 * HASH_BLOCK
    file.write_bytes(bytes(size))
    original = content_hash(file)

    def changed(place: int) -> bool:
        with file.open("r+b") as handle:
            handle.seek(place)
            handle.write(b"1")
        found = content_hash(file) != original
        file.write_bytes(bytes(size))
        return found

    assert all(changed(place) for place in (0, HASH_BLOCK - 1, size // 2, size - 1))
    assert not changed(HASH_BLOCK + 1)  # as documented
    file.write_bytes(bytes(size + 1))
    assert content_hash(file) != original
    file.write_bytes(b"ab" + bytes(HASH_BLOCK) + b"c")
    small = content_hash(file)
    file.write_bytes(b"ab" + bytes(HASH_BLOCK - 1) + b"dc")
    assert content_hash(file) != small


def test_broken_missing_and_cut_outside_are_reported_and_the_others_encoded(videos, encoder, tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    clips = [
        Clip("a", videos / "a.mp4"),
        Clip("broken", tmp_path / "broken.mp4"),
        Clip("gone", tmp_path / "gone.mp4"),
        Clip("late", videos / "a.mp4", 50.0, 60.0),
        Clip("e@2-4", videos / "e.mp4", 2.0, 4.0),
    ]
    results = list(encode_videos(clips, encoder, batch_size=BATCH, workers=2))
    good = [r for r in results if isinstance(r, Encoded)]
    bad = {r.clip.key: r.reason for r in results if isinstance(r, FailedClip)}
    assert [r.clip.key for r in good] == ["a", "e@2-4"]
    assert (good[1].tokens.start_s, good[1].tokens.duration_s) == pytest.approx((2.0, 2.0))
    assert list(bad) == ["broken", "gone", "late"]
    assert "broken.mp4' " in bad["broken"]
    assert "gone.mp4' does not exist" in bad["gone"]


def test_tokens_too_large_for_half_precision_are_no_tokens(videos, encoder, monkeypatch):
    huge = VisualTokens(
        torch.full((6, 24), float("inf"), dtype=torch.float16), torch.zeros(6, 24).half(), 2.0
    )
    monkeypatch.setattr(TokenEncoder, "encode", lambda *_: [huge])
    (result,) = encode_videos([Clip("a", videos / "a.mp4")], encoder)
    assert isinstance(result, FailedClip)
    assert "half precision" in result.reason


def test_a_file_that_changed_is_not_mixed_in(videos, encoder, tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    for name in ("a", "b"):
        shutil.copy(videos / f"{name}.mp4", folder)
    assert run(folder, encoder, tmp_path / "store").encoded == 2
    shutil.copy(videos / "c.mp4", folder / "a.mp4")
    (folder / "b.mp4").unlink()
    summary = run(folder, encoder, tmp_path / "store")
    assert (summary.encoded, summary.kept) == (0, 0)
    assert "is not the file that the store holds as 'a'" in summary.failed["a"]
    shutil.copy(videos / "a.mp4", folder / "a.mp4")
    assert run(folder, encoder, tmp_path / "store").kept == 1


def test_threads_read_ahead_while_the_encoder_works_and_no_further(monkeypatch):
    workers = 2
    read, taken, in_workers = threading.Semaphore(0), [], set()

    class Reader:
        def read(self, clip: Clip) -> str:
            in_workers.add(torch.get_num_threads())
            read.release()
            return clip.key

    def clips():
        for i in range(20):
            taken.append(i)
            yield Clip(str(i), Path(str(i)))

    monkeypatch.setattr(encoding, "content_hash", str)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        results = encoding._read_ahead(clips(), Reader(), workers)  # type: ignore[arg-type]
        first, found = next(results)
        assert (first.key, found) == ("0", ("0", "0"))
        # Nothing more is asked for, as while a batch is encoded: the threads go on to the bound.
        for _ in range(encoding.AHEAD * workers + 1):
            assert read.acquire(timeout=30)
        assert not read.acquire(timeout=0.05)
        assert len(taken) == encoding.AHEAD * workers + 1
        assert torch.get_num_threads() == 2  # the encoder's own are left to it
        assert [clip.key for clip, _ in results] == [str(i) for i in range(1, 20)]
        assert in_workers == {1}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


def test_a_damaged_shard_is_one_sentence(whole, tmp_path):
    def damaged(key: str) -> None:
        with pytest.raises(
            DataError, match=r"shard 00000-0000\d of the feature store .* is damaged or missing"
        ):
            FeatureStore.open(out)[key]

    out = tmp_path / "cut"
    shutil.copytree(whole, out)
    os.truncate(out / "00000-00000.safetensors", 100)
    damaged("a")
    assert FeatureStore.open(out)["c"]
    (out / "00000-00000.safetensors").unlink()
    damaged("b")
    shutil.copy(whole / "00000-00000.safetensors", out / "00000-00001.safetensors")
    damaged("c")  # another shard's tensors under this one's name
    index = json.loads((out / "00000-00002.json").read_text())
    (out / "00000-00002.json").write_text(json.dumps({**index, "encoder_hash": "other"}))
    with pytest.raises(DataError, match="belongs to another feature store"):
        FeatureStore.open(out)
    (out / STORE).write_text('{"format": 1}')
    with pytest.raises(DataError, match="damaged or of another version"):
        FeatureStore.open(out)


def test_folders_that_are_no_store(tmp_path):
    with pytest.raises(DataError, match=r"is not a feature store: it has no store\.json"):
        FeatureStore.open(tmp_path)
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(InputError, match=r"holds other files \(thesis\.tex\)"):
        FeatureStore.create(tmp_path, EncoderId({}))
    with pytest.raises(InputError, match="is a file"):
        FeatureStore.create(tmp_path / "thesis.tex", EncoderId({}))


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return checkpoint.save(tiny_model(), tiny_tokenizer(), tmp_path_factory.mktemp("model") / "m")


def test_the_command_encodes_what_annotations_speak_of(videos, model, tmp_path, capsys):
    rows = [
        {"video": "a.mp4", "query": "x", "moments": [[0, 1]]},
        {"video": "a", "query": "y", "moments": [[0, 1]]},
        {"video": "e", "clip": [1, 3.5], "question": "why?", "answer": "so"},
        {"video": "gone", "query": "x", "moments": []},
    ]
    file = tmp_path / "own.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = tmp_path / "store"
    call = ["encode", "--videos", str(videos), "--out", str(out), "--model", str(model), "--device", "cpu"]
    assert main([*call, "--annotations", str(file), "--benchmark", "jsonl"]) == 1
    printed = capsys.readouterr()
    assert f"2 videos encoded into {out}, 0 there before, 1 failed" in printed.out
    assert "gone failed: " in printed.err
    assert sorted(FeatureStore.open(out)) == ["a", "e@1-3.5"]
    assert FeatureStore.open(out)["e@1-3.5"].start_s == 1.0
    # The rest of the folder joins them.
    assert main(call) == 0
    assert "4 videos encoded" in capsys.readouterr().out
    assert main([*call, "--frames", "8"]) == 2
    assert "num_frames is 6, not 8" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--annotations", "x.json"], "belong together"),
        (["--split", "test"], "no annotations"),
        (["--vision", "v", "--model", "m"], "expected one of them"),
        (["--preset", "released"], "goes with a vision encoder"),
    ],
)
def test_calls_that_contradict_themselves(videos, tmp_path, capsys, options, sentence):
    assert main(["encode", "--videos", str(videos), "--out", str(tmp_path / "s"), *options]) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "s").exists()


def test_a_vision_encoder_alone_makes_the_store_of_a_model_to_be(videos, model, tmp_path):
    """No language model is needed, and the model trained on it later accepts the store."""
    folder = tmp_path / "clip"
    trained = tiny_model()
    trained.vision.model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(trained.vision.preprocessor.to_dict()))
    encoder = encoding.load_encoder(vision=folder, preset="released", fields={"num_frames": 4}, device="cpu")
    assert (encoder.config.gop, encoder.config.num_frames) == ("fixed", 4)
    assert encoder.id.fields["weights"] == weights_digest(trained.vision)
    assert encoder.id.differences(TokenEncoder.of(tiny_model("released", num_frames=4)).id) == [
        "groups is 4, not 2",
        "tokens_per_group is 64, not 3",
        "key_tokens is 28, not 2",
    ]


def test_two_files_of_one_name_are_refused(videos, encoder, tmp_path):
    for place in ("x", "y"):
        (tmp_path / place).mkdir()
        shutil.copy(videos / "a.mp4", tmp_path / place)
    with pytest.raises(InputError, match="are both named 'a'"):
        run(tmp_path, encoder, tmp_path / "store")


def test_other_s_tokens_can_be_asked_for_and_nothing_else(tmp_path, capsys):
    encoder = TokenEncoder.of(tiny_model())
    assert encoder.with_fields(groups=1, tokens_per_group=6).config.num_spatial_tokens == 6
    assert encoder.with_fields(spatial_tokens="none").config.num_spatial_tokens == 0
    with pytest.raises(
        InputError, match="fusion does not change what a video's tokens are, expected one of num_frames"
    ):
        encoder.with_fields(fusion="none")
    video = tiny_video(tmp_path / "v.mp4")
    call = ["encode", "--videos", str(video), "--out", str(tmp_path / "store")]
    assert main([*call, "--set", "spatial_tokens=none"]) == 0
    assert FeatureStore.open(tmp_path / "store")["v"].spatial.shape[0] == 0
    assert main([*call, "--set", "groups"]) == 2
    assert "--set was given 'groups', expected FIELD=VALUE" in capsys.readouterr().err


def test_with_nothing_to_do_no_weights_are_read(tmp_path, capsys, monkeypatch):
    from videoexpert.features import encode

    model = checkpoint.save(tiny_model(), tiny_tokenizer(), tmp_path / "model")
    videos = tmp_path / "videos"
    for name in "ab":
        tiny_video(videos / f"{name}.mp4", 2.0)
    command = ["encode", "--videos", str(videos), "--out", str(tmp_path / "s"), "--model", str(model)]
    assert main([*command, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["encoded"] == 2
    load = encode.load_encoder
    loaded = []
    monkeypatch.setattr(encode, "load_encoder", lambda *a, **k: loaded.append(1) or load(*a, **k))
    assert main([*command, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["encoded"], found["kept"], loaded) == (0, 2, [])
    # another number of frames, another file under a name, another model: all are looked at in full
    assert main([*command, "--frames", "3"]) == 2
    tiny_video(videos / "b.mp4", 3.0)
    assert main(command) == 1
    checkpoint.save(tiny_model(seed=5), tiny_tokenizer(), tmp_path / "other")
    assert main([*command[:-1], str(tmp_path / "other")]) == 2
    assert len(loaded) == 3
