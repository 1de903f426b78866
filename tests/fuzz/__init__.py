"""Fuzzers: inputs that nobody would write, made from a seed, each checked in a child process with limits.

A target is a module here with

    name            what it is called on the command line
    prepare(folder) makes what its cases start from, once a run
    case(state, seed) -> bytes          one input; the same for the same seed
    check(data, folder)                 uses the input; raises AssertionError, or anything unexpected, for a fault

``test_fuzz.py`` runs a few cases of each; ``make fuzz`` thousands. What was ever found is a file in
``regressions/NAME`` and is checked by every run.
"""
