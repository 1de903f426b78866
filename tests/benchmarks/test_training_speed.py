"""The clock of benchmarks/training_speed.py, on a toy run: it must tell slow data from slow steps."""

from __future__ import annotations

import time

from training_speed import Clock
from training_world import make_recipe, records, save_bases, tokens, write_records
from videoexpert.training.mixture import MicroBatches
from videoexpert.training.run import make_trainer


def test_time_spent_on_data_is_seen_as_waiting(tmp_path, monkeypatch):
    annotations = write_records(tmp_path / "own.jsonl", records(5))
    recipe = make_recipe(save_bases(tmp_path / "bases"), annotations, save_every=6, log_every=6)
    fetch = MicroBatches.__getitem__

    def slow(self, index):
        time.sleep(0.1)
        return fetch(self, index)

    monkeypatch.setattr(MicroBatches, "__getitem__", slow)
    trainer = make_trainer(recipe, tmp_path / "run", stores={"memory": tokens(5)}, log=lambda _: None)
    clock = Clock(trainer)
    trainer.train()
    assert len(clock.ends) == 6
    seconds, waited = clock.after(2)
    # four steps of two micro-batches; one is fetched ahead, so that the last step finds it done
    assert 0.1 * (4 * 2 - 1) <= waited < seconds
