"""The one thread that asks the model. Questions that wait together are answered together."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...backends.base import Backend, OpenVideo
from ...errors import VideoExpertError
from ...video.sandbox import decoding_apart
from ..known import known, open_video


class BusyError(VideoExpertError):
    """More questions wait than the server holds."""


class CancelledError(VideoExpertError):
    """The question was taken back before it was answered."""


@dataclass(frozen=True)
class PendingQuestion:
    """One question about one file; ``arguments`` are those of the method of OpenVideo that ``task`` names.

    ``name`` stands for the file in sentences.
    """

    path: Path
    task: str
    arguments: dict[str, Any]
    name: str | None = None


@dataclass(frozen=True)
class Reply:
    """What the video answered, and what goes with it (``known``)."""

    found: Any
    known: dict[str, Any]


@dataclass
class Ticket:
    """A question on its way.

    started    called when its turn comes, once; False: it was taken back meanwhile
    progress   called with the seconds of the video that are looked at, and those of all
    """

    question: PendingQuestion
    future: Future[Any] = field(default_factory=Future)
    started: Callable[[], bool] | None = None
    progress: Callable[[float, float], None] | None = None
    cancelled: bool = False

    def begin(self) -> bool:
        """Its turn has come; False where it was taken back."""
        if self.started is not None and not self.cancelled:
            self.cancelled = not self.started()
            self.started = None
        return not self.cancelled

    def cancel(self) -> None:
        """Take the question back; its future fails with CancelledError at the next batch or window."""
        self.cancelled = True


class Answerer:
    """Owns the backend and the open videos.

    ``max_queue`` questions wait at most (BusyError beyond), ``max_batch`` are answered in a pass, ``max_open`` videos
    stay open. A question that fails never fails the others of its batch. Files are decoded in child processes, each of
    which may take ``decode_s`` seconds.
    """

    def __init__(
        self, backend: Backend, *, max_queue: int, max_batch: int, max_open: int, decode_s: float = 600.0
    ) -> None:
        self.backend, self.decode_s = backend, decode_s
        self.max_queue, self.max_batch, self.max_open = max_queue, max_batch, max_open
        self._waiting: deque[Ticket] = deque()
        self._wake = threading.Condition()
        self._open: OrderedDict[tuple[str, int, int], OpenVideo] = OrderedDict()
        self._stopping = False
        self.batches, self.answered = 0, 0
        self._thread = threading.Thread(target=self._run, name="videoexpert-answers", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Questions still waiting to start."""
        return len(self._waiting)

    def submit(self, ticket: Ticket) -> Ticket:
        """Queue a question. Raises BusyError when the queue is full."""
        with self._wake:
            if len(self._waiting) >= self.max_queue:
                raise BusyError(f"{self.max_queue} questions are waiting already; ask again in a moment.")
            self._waiting.append(ticket)
            self._wake.notify()
        return ticket

    def stop(self) -> None:
        """Answer nothing more; what waits is cancelled."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join()
        for ticket in self._waiting:
            ticket.future.set_exception(CancelledError("the server stops."))

    def _run(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._waiting or self._stopping)
                if self._stopping:
                    return
                batch = [self._waiting.popleft() for _ in range(min(self.max_batch, len(self._waiting)))]
            self.batches += 1
            for group in _groups(batch):
                self._answer(group)

    def _answer(self, group: Sequence[Ticket]) -> None:
        """One pass for questions of one kind about one video; each by itself where the pass fails."""
        live = []
        for ticket in group:
            if ticket.begin():
                live.append(ticket)
            else:
                ticket.future.set_exception(CancelledError("the question was taken back."))
        if not live:
            return
        first = live[0].question
        try:
            # some models look into the file again when they are asked
            with decoding_apart(self.decode_s, first.name):
                answers = self._ask(live)
        except Exception as error:
            if len(live) == 1:
                live[0].future.set_exception(error)
            else:
                for ticket in live:
                    self._answer([ticket])
            return
        for ticket, answer in zip(live, answers, strict=True):
            self.answered += 1
            ticket.future.set_result(answer)

    def _ask(self, live: Sequence[Ticket]) -> list[Reply]:
        """Answers to questions about one video: sentences to ground share a pass."""
        questions = [ticket.question for ticket in live]
        first = questions[0]
        video = self._video(first.path, live)
        if first.task != "ground":
            answers = [getattr(video, q.task)(**q.arguments) for q in questions]
        else:
            queries = [query for q in questions for query in q.arguments["queries"]]
            found = iter(video.ground(queries, first.arguments["top_k"]))
            answers = [[next(found) for _ in q.arguments["queries"]] for q in questions]
        knows = known(self.backend, video)
        return [Reply(answer, knows) for answer in answers]

    def _video(self, path: Path, live: Sequence[Ticket]) -> OpenVideo:
        """The video, encoded once; between two windows of a long one, work stops if nobody waits for it any more."""

        def looked(done: float, total: float) -> None:
            for ticket in live:
                if ticket.progress is not None and not ticket.cancelled:
                    ticket.progress(done, total)
            if all(ticket.cancelled for ticket in live):
                raise CancelledError("the question was taken back.")

        stat = path.stat()
        key = (str(path), stat.st_size, stat.st_mtime_ns)
        if key not in self._open:
            self._open[key] = open_video(self.backend, path, progress=looked)
            while len(self._open) > self.max_open:
                self._open.popitem(last=False)
        self._open.move_to_end(key)
        found = self._open[key]
        looked(found.duration, found.duration)
        return found


def _groups(batch: Sequence[Ticket]) -> list[list[Ticket]]:
    """Questions that can share a pass, in the order in which the first of each came."""
    groups: dict[Any, list[Ticket]] = {}
    for ticket in batch:
        q = ticket.question
        alike = (q.path, q.task, q.arguments.get("top_k")) if q.task == "ground" else id(ticket)
        groups.setdefault(alike, []).append(ticket)
    return list(groups.values())
