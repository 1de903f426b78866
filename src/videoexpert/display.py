"""How answers show themselves in a notebook and turn into plain values.

The types of answers lie below the rooms that render them, so they ask through this door. The package's
``__init__`` says who answers; nothing is imported before something is shown.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from .errors import DependencyError

if TYPE_CHECKING:
    import pandas


class Display(Protocol):
    """What turns an answer into something to look at."""

    def html(self, shown: Any) -> str:
        """A fragment of a page that needs nothing else."""
        ...

    def plain(self, shown: Any) -> dict[str, Any]:
        """The keys and values of docs/cli.md."""
        ...

    def rows(self, shown: Any) -> list[dict[str, Any]]:
        """One flat row a moment, clip or caption."""
        ...


_find: Callable[[], Display] | None = None


def use(find: Callable[[], Display]) -> None:
    """Answers are rendered by what ``find`` returns; it is called when one is shown."""
    global _find  # noqa: PLW0603  # one door for the whole package
    _find = find


def _display() -> Display:
    if _find is None:
        raise RuntimeError("no display is registered: import videoexpert, not its files")
    return _find()


def rounded_repr(shown: Any) -> str:
    """A dataclass's repr with numbers to four digits: answers are read by people."""
    # here, because this module is imported before a command can hear Ctrl-C
    from dataclasses import fields

    parts = [f"{f.name}={_rounded(getattr(shown, f.name))!r}" for f in fields(shown) if f.repr]
    return f"{type(shown).__name__}({', '.join(parts)})"


def _rounded(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_rounded, value))
    return round(value, 4) if isinstance(value, float) else value


class Shown:
    """Base of answers: notebooks draw them, programs get plain values or a table."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Numbers to four digits."""
        return rounded_repr(self)

    def to_dict(self) -> dict[str, Any]:
        """The keys and values that ``--format json`` prints for it (docs/cli.md): seconds and scores, rounded."""
        return _display().plain(self)

    def to_pandas(self) -> pandas.DataFrame:
        """A table of one row a moment, clip or caption, with the columns of ``--format csv``.

        Raises DependencyError where pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise DependencyError(
                "to_pandas needs pandas, which is not installed: pip install pandas."
            ) from error
        return pandas.DataFrame(_display().rows(self))

    def _repr_html_(self) -> str:
        """What Jupyter draws: bars on the video's time, thumbnails and a player where the file is at hand."""
        return _display().html(self)


class Worded(Shown):
    """What was answered to a question. ``guess``: what its unknown words stand for may decide it."""

    unknown_words: tuple[str, ...]

    @property
    def guess(self) -> bool:
        return bool(self.unknown_words)


class Judged(Shown):
    """What was found for a query. ``cannot_tell``: the video, or what the query asks, is unlike all in training."""

    familiar: bool
    guess: bool

    @property
    def cannot_tell(self) -> bool:
        return not self.familiar or self.guess
