"""The shipped model on real videos says in every verb that it does not know them, and of its own world that it does."""

from __future__ import annotations

import json

import pytest

import videoexpert
from videoexpert.apps.cli import main
from videoexpert.assets import SHIPPED_VIDEO
from videoexpert.synthetic.world import LEVELS
from videoexpert.synthetic.write import WorldRecipe, write_script

VERBS = {
    "ground": ("a person stretches", "nothing at all happens"),
    "highlight": ("a person stretches",),
    "caption": (),
    "ask": ("what does the person do?", "--choice", "stretch", "--choice", "jump"),
}
SMALL = ("yuv422.mp4", "sar_2by3.mp4", "hevc_10bit.mp4")


def run(capsys, *arguments):
    capsys.readouterr()
    code = main([str(a) for a in arguments])
    return code, *capsys.readouterr()


def never_absent(document):
    """Whether an answer calls nothing absent and says that the model does not know the video."""
    queries = document.get("queries", [document])
    return document["familiar"] is False and not any(query.get("absent", False) for query in queries)


@pytest.mark.parametrize("verb", VERBS)
def test_a_few_real_videos(shared, capsys, verb):
    videos = [shared / "videos" / name for name in SMALL]
    code, out, err = run(capsys, verb, *videos, *VERBS[verb], "--format", "json", "--device", "cpu")
    assert code == 0
    assert [never_absent(document) for document in json.loads(out)] == [True] * 3
    assert err.count("is unlike the videos that the model 'shipped' was trained on") == 3
    assert err.count("\n") == 3


def test_the_clip_of_the_package_does_not_know_them_either(shared, capsys):
    video = shared / "videos" / SMALL[0]
    for verb in ("ground", "highlight", "ask"):
        options = ("--model", "contrastive:", "--format", "json", "--device", "cpu")
        code, out, err = run(capsys, verb, video, *VERBS[verb], *options)
        assert (code, err.count("\n")) == (0, 1)
        assert "is unlike the videos that the model 'shipped CLIP' was trained on" in err
        assert never_absent(json.loads(out))
    code, out, err = run(capsys, "ground", SHIPPED_VIDEO, "a purple triangle", *options)
    assert (code, err, json.loads(out)["familiar"]) == (0, "", True)


@pytest.mark.slow
@pytest.mark.parametrize("verb", VERBS)
def test_every_real_video(shared, capsys, verb):
    options = ("--format", "json", "--device", "cpu")
    _, out, err = run(capsys, verb, shared / "videos", *VERBS[verb], *options)
    answers = [document for document in json.loads(out) if "error" not in document]
    assert len(answers) >= 20
    assert [document["video"] for document in answers if not never_absent(document)] == []
    assert err.count("is unlike the videos that") == len(answers)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*the model was trained on videos of about")  # level 5 has longer ones
def test_its_own_world_is_familiar(tmp_path):
    expert = videoexpert.load(device="cpu")
    unknown = []
    for level in LEVELS:
        recipe = WorldRecipe(videos=20, seed=90210, level=level, size=96)
        for index in range(20):
            path = tmp_path / f"{level}-{index}.mp4"
            write_script(recipe.script(index), path, 96)
            if not expert.open(path).familiar:
                unknown.append(path.name)
    assert len(unknown) <= 0.01 * 20 * len(LEVELS)
