"""Tiny chat models on disk, loaded once, and a way to script what they say."""

from __future__ import annotations

import pytest
import torch

from tiny_chat import save_llava, save_qwen
from videoexpert.backends.chat.local import load_talker
from videoexpert.testing import tiny_video


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """Model folders by family, saved when first asked for."""
    root, saved = tmp_path_factory.mktemp("chat"), {}

    def folder(family):
        if family not in saved:
            save = save_llava if family == "llava" else save_qwen
            saved[family] = save(root / family) if family == "llava" else save(root / family, family)
        return saved[family]

    return folder


@pytest.fixture(scope="session")
def talkers(folders):
    """Loaded models by family."""
    loaded = {}

    def talker(family):
        if family not in loaded:
            loaded[family] = load_talker(folders(family), device="cpu")
        return loaded[family]

    return talker


@pytest.fixture(scope="session")
def clip(tmp_path_factory):
    return tiny_video(tmp_path_factory.mktemp("video") / "clip.mp4", seconds=8.0)


@pytest.fixture
def script(monkeypatch):
    """``script(talker, *texts)``: what a local model generates, one text an answer, each token with 90%."""

    def scripted(talker, *texts):
        tokenizer, generate = talker.processor.tokenizer, talker.model.generate
        coming = iter(texts)

        def forced(**given):
            ids = [*tokenizer.encode(next(coming), add_special_tokens=False), tokenizer.eos_token_id]
            begin = given["input_ids"].shape[1]

            def force(seen, scores):
                at = seen.shape[1] - begin
                probabilities = torch.full_like(scores, 0.1 / (scores.shape[1] - 1))
                probabilities[0, ids[min(at, len(ids) - 1)]] = 0.9
                return probabilities.log()

            given["logits_processor"].insert(0, force)
            return generate(**given)

        monkeypatch.setattr(talker.model, "generate", forced)

    return scripted
