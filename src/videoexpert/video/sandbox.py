"""Work on files that nobody trusts, in a child process with limits: a decoder that is overrun falls alone.

``run_safely`` does one piece of work so. Inside ``decoding_apart`` everything that reads a video does: the readers of
this package, marked ``apart`` and ``apart_each``, then decode in a child, while pictures are resized here.
"""

from __future__ import annotations

import functools
import io
import os
import pickle
import sys
import time
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, is_dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np

from ..errors import VideoError, VideoExpertError, VideoWarning
from ..limits import limits, variable
from ..runtime import clean_start

if TYPE_CHECKING:
    import torch

P = ParamSpec("P")
T = TypeVar("T")
# What a child says: a picture to resize, something found, what was wrong, and that all is done.
_PICTURE, _FOUND, _WRONG, _DONE = "picture", "found", "wrong", "done"
# the errors that a child may name; any other becomes a VideoError
_KINDS = {kind.__name__: kind for kind in VideoExpertError.__subclasses__()}


@dataclass(frozen=True)
class Apart:
    """Limits of a child, and what stands for the file's path in sentences (None: its name)."""

    timeout_s: float = 600.0
    name: str | None = None


_APART: ContextVar[Apart | None] = ContextVar("apart", default=None)


@contextmanager
def decoding_apart(timeout_s: float = 600.0, name: str | None = None) -> Iterator[None]:
    """Inside, the readers of this package decode each file in a child process, as ``run_safely`` says.

    What they give is the same, to the bit. It holds for calls of this thread.
    """
    token = _APART.set(Apart(timeout_s, name))
    try:
        yield
    finally:
        _APART.reset(token)


def apart(reader: Callable[P, T]) -> Callable[P, T]:
    """Decorates a function ``f(path, ...)`` that reads a video."""

    @functools.wraps(reader)
    def read(*args: P.args, **options: P.kwargs) -> T:
        given = _APART.get()
        if given is None:
            return reader(*args, **options)
        found: T = _only(_from_child(given, read, args, options, each=False))
        return found

    return read


def apart_each(reader: Callable[P, Iterator[T]]) -> Callable[P, Iterator[T]]:
    """The same for one whose pictures come one by one; the child decodes little further than they are asked for."""

    @functools.wraps(reader)
    def read(*args: P.args, **options: P.kwargs) -> Iterator[T]:
        given = _APART.get()
        if given is None:
            return reader(*args, **options)
        return _from_child(given, read, args, options, each=True)

    return read


def run_safely(
    work: Callable[..., T],
    path: str | os.PathLike[str],
    *arguments: Any,
    timeout_s: float = 600.0,
    name: str | None = None,
    **options: Any,
) -> T:
    """What ``work(path, ...)`` gives, done in a child process that may use ``timeout_s`` seconds, and the memory that
    the limit ``decoder_bytes`` allows.

    ``work`` is a function of a module, and what it gives is plain data (``_Unpacker``); ``name`` stands for the path in
    sentences. Raises what the work raises of this package's errors, and VideoError for a file that kills the decoder
    or outlasts the limits.
    """
    given = Apart(timeout_s, name)
    found: T = _only(_from_child(given, work, (path, *arguments), options, each=False))
    return found


def _only(found: Generator[Any, None, None]) -> Any:
    with closing(found):
        return next(found)


# ---------------------------------------------------------------------- here


def _from_child(
    given: Apart,
    work: Callable[..., Any],
    arguments: tuple[Any, ...],
    options: dict[str, Any],
    *,
    each: bool,
) -> Generator[Any, None, None]:
    """What a new child finds, one after the other; the child ends with this iterator, however that ends."""
    path = os.fspath(arguments[0])
    shown = given.name or os.path.basename(path)
    resize = options.pop("resize", None)
    context = clean_start(__name__, "torch")
    ours, theirs = context.Pipe()
    told = (work, (path, *arguments[1:]), options, resize is not None, each, given.timeout_s, theirs)
    child = context.Process(target=_child, args=told, daemon=True)  # type: ignore[attr-defined]
    child.start()
    theirs.close()
    heard = _Heard(ours, given.timeout_s, shown)
    try:
        while True:
            kind, found, said = heard.next()
            for sentence in said:
                warnings.warn(sentence.replace(path, shown), VideoWarning, stacklevel=4)
            if kind == _PICTURE:
                heard.reply(resize(found))
            elif kind == _FOUND:
                yield found
            elif kind == _WRONG:
                name, sentence = found
                raise _KINDS.get(name, VideoError)(sentence.replace(path, shown))
            else:
                return
    finally:
        child.kill()
        child.join()
        ours.close()


class _Heard:
    """What comes from a child; waiting for it may take ``left`` seconds in all. Raises VideoError."""

    def __init__(self, connection: Connection, timeout_s: float, shown: str) -> None:
        self.connection, self.timeout_s, self.shown = connection, timeout_s, shown
        self.left = timeout_s
        self._packer, self._memory = _Packer(), _Memory()

    def next(self) -> tuple[str, Any, list[str]]:
        began = time.monotonic()
        try:
            if not self.connection.poll(max(0.0, self.left)):
                raise VideoError(
                    f"{self.shown!r} takes longer than {self.timeout_s:g} s to decode; cut it, or allow more time."
                )
            kind, found, said = _Unpacker(
                self.connection.recv_bytes(limits().decoder_bytes), self._memory
            ).load()
        except (EOFError, OSError, pickle.UnpicklingError):
            raise self._fails() from None
        self.left -= time.monotonic() - began
        return kind, found, said

    def reply(self, picture: torch.Tensor) -> None:
        try:
            self.connection.send_bytes(self._packer.packed(picture))
        except OSError:
            raise self._fails() from None

    def _fails(self) -> VideoError:
        return VideoError(f"{self.shown!r} makes the decoder fail; convert it with another program first.")


# ---------------------------------------------------------------------- there


def _child(
    work: Callable[..., Any],
    arguments: tuple[Any, ...],
    options: dict[str, Any],
    resizes: bool,
    each: bool,
    timeout_s: float,
    connection: Connection,
) -> None:
    """Limits itself, works, and sends what it finds with what was warned of, or why it found nothing."""
    _limit(timeout_s)
    packer, memory = _Packer(), _Memory()

    def send(kind: str, found: Any = None) -> None:
        texts = [str(one.message) for one in said if issubclass(one.category, VideoWarning)]
        said.clear()
        connection.send_bytes(packer.packed((kind, found, texts)))

    def resize(picture: np.ndarray) -> torch.Tensor:
        send(_PICTURE, picture)
        found: torch.Tensor = _Unpacker(connection.recv_bytes(), memory).load()
        return found

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", VideoWarning)
        try:
            found = work(*arguments, **options, **({"resize": resize} if resizes else {}))
            for one in found if each else (found,):
                send(_FOUND, one)
            send(_DONE)
        except VideoExpertError as error:
            send(_WRONG, (type(error).__name__, str(error)))
        except MemoryError:
            sentence = (
                f"{arguments[0]!r} needs more memory to decode than this server gives a video; set "
                f"{variable('decoder_bytes')} to allow more."
            )
            send(_WRONG, (VideoError.__name__, sentence))


def _limit(timeout_s: float) -> None:
    """Seconds of processor time and bytes of address space, where the system knows such limits."""
    try:
        import resource
    except ImportError:
        return
    mapped = Path("/proc/self/statm")
    if mapped.exists():
        most = int(mapped.read_text().split()[0]) * resource.getpagesize() + limits().decoder_bytes
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    seconds = max(1, int(timeout_s))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


# ---------------------------------------------------------------------- between


class _Packer:
    """Messages as bytes. Pictures and tensors go as their plain numbers; one that was just sent is not sent again."""

    def __init__(self) -> None:
        self.last: Any = None

    def packed(self, message: Any) -> bytes:
        made = io.BytesIO()
        pickler = _Pickler(made, protocol=5)
        pickler.packer = self
        pickler.dump(message)
        return made.getvalue()


class _Pickler(pickle.Pickler):
    packer: _Packer

    def persistent_id(self, item: Any) -> Any:
        tensor = _is_tensor(item)
        if not (tensor or isinstance(item, np.ndarray)):
            return None
        if item is self.packer.last:
            return "again"
        self.packer.last = item
        array = item.numpy() if tensor else item
        return (tensor, array.dtype.str, array.shape, array.tobytes())


def _is_tensor(item: Any) -> bool:
    """Without torch, which whoever made a tensor has imported."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(item, torch.Tensor)


def _as_tensor(array: np.ndarray) -> torch.Tensor:
    import torch

    return torch.from_numpy(array)


class _Memory:
    """The picture or tensor that came last."""

    last: Any = None


class _Unpacker(pickle.Unpickler):
    """Reads messages of a child that a file may have taken over: plain data, and this package's frozen objects."""

    def __init__(self, data: bytes, memory: _Memory) -> None:
        super().__init__(io.BytesIO(data))
        self.memory = memory

    def persistent_load(self, told: Any) -> Any:
        if told != "again":
            is_tensor, kind, shape, data = told
            array = np.frombuffer(bytearray(data), dtype=np.dtype(kind)).reshape(shape)
            self.memory.last = _as_tensor(array) if is_tensor else array
        return self.memory.last

    def find_class(self, module: str, name: str) -> Any:
        found = None
        if (
            (module, name) == ("fractions", "Fraction")
            or (module.split(".", maxsplit=1)[0] == "pathlib" and name.endswith("Path"))
            or (module.startswith("videoexpert.") and "." not in name)
        ):
            found = super().find_class(module, name)
        if isinstance(found, type) and (is_dataclass(found) or not module.startswith("videoexpert.")):
            return found
        raise pickle.UnpicklingError(f"{module}.{name} is no answer of a child")
