"""The error tree. Every message is one sentence: what was wrong, what was expected, what to do.

VideoExpertError                 anything this package raises on purpose
├── InputError                   the caller's argument is off (query, option, time range); exit code 2
├── UnsupportedError             a task that this model does not do, or a form that this format cannot hold; exit code 2
├── VideoError                   a file that does not give frames; exit code 1
├── CheckpointError              a model folder that cannot be loaded, converted or saved; exit code 1
├── DataError                    an annotation or prediction file that cannot be read; exit code 1
├── WriteError                   a file or folder that cannot be written; exit code 1
├── ServerError                  a server that was asked gives no answer; exit code 1
├── TrainingError                a stage that ended short of what the next one needs; exit code 1
└── DependencyError              an optional package or program is missing; exit code 1
"""

from __future__ import annotations


class VideoExpertError(Exception):
    """Base class; ``exit_code`` is what the command line returns."""

    exit_code: int = 1


def sentence(error: BaseException) -> str:
    """What is said of an error: its sentence, or its type and message on one line where it is none of ours."""
    said = " ".join(str(error).split())
    return (
        said
        if isinstance(error, VideoExpertError)
        else f"{type(error).__name__}: {said or 'no reason given'}"
    )


class InputError(VideoExpertError, ValueError):
    """The call was wrong: an argument out of range, empty or contradictory."""

    exit_code = 2


class UnsupportedError(VideoExpertError):
    """A model is asked for a task that it cannot do; the sentence names one that can."""

    exit_code = 2


class VideoError(VideoExpertError):
    """A video file cannot be opened, is refused, or holds no decodable picture."""


class CheckpointError(VideoExpertError):
    """A model folder or checkpoint is incomplete, of another shape, or not one of ours."""


class DataError(VideoExpertError):
    """An annotation, prediction or recipe file is missing or malformed."""


class WriteError(VideoExpertError):
    """A file or folder cannot be written: no space, no permission, a broken disk."""


class ServerError(VideoExpertError):
    """A server that was asked gives no answer: down, too slow, refusing, or answering garbage."""


class TrainingError(VideoExpertError):
    """A training stage did not reach what its recipe asks of it."""


class DependencyError(VideoExpertError, ImportError):
    """An optional dependency is needed for this and is not installed."""


class VideoWarning(UserWarning):
    """Part of a video could not be used; the message says which part."""


class ResumeWarning(UserWarning):
    """What to know about a run that resumes where another one stopped."""


class LibraryWarning(UserWarning):
    """A library is searched more slowly than it could be."""


class ModelWarning(UserWarning):
    """What a model says beside its answer: that it does not know such videos, or read only part of a sentence."""
