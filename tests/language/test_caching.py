"""A cache goes in under the name that the model's transformers knows."""

from __future__ import annotations

from functools import wraps

from videoexpert.language.caching import cache_of, with_cache


class Old:
    def forward(self, input_ids=None, past_key_values=None): ...


class New:
    def forward(self, input_ids=None, cache=None): ...


class Renamed:
    @wraps(New.forward)  # as transformers wraps what it renames
    def forward(self, *args, **kwargs): ...


def test_the_name_is_the_models_own():
    assert with_cache(Old(), 1) == {"past_key_values": 1}
    assert with_cache(New(), 1) == with_cache(Renamed(), 1) == {"cache": 1}


def test_it_comes_back_under_either_name():
    """Reading the old name warns from transformers 5.24 on."""

    class Output(dict):
        """As transformers' outputs are: fields by key and by attribute."""

        __getattr__ = dict.__getitem__

    assert cache_of(Output(cache=1)) == 1  # without a KeyError: the old name was not read
    assert cache_of(Output(past_key_values=2)) == 2
