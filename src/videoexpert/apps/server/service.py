"""What the routes call: questions answered at once or as jobs, each in the JSON of the command line."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from ... import files
from ...assets import SHIPPED_QUERIES, SHIPPED_VIDEO
from ...backends.base import Backend
from ...errors import InputError, UnsupportedError, VideoExpertError
from ...video.clip import cut
from ...video.sandbox import decoding_apart, run_safely
from ...video.thumbnails import thumbnail
from ..known import open_library
from . import documents
from .answerer import Answerer, BusyError, CancelledError, PendingQuestion, Reply, Ticket
from .intake import Intake, safe_name, sweep
from .schemas import BODIES, Body, SearchBody
from .settings import ServerSettings
from .state import CANCELLED, DONE, ENDED, FAILED, RUNNING, State, StoredJob, StoredVideo, new_id

# How often an event stream looks for news, and says that it is alive.
POLL_S, ALIVE_S = 0.1, 15.0
# How often a server with shared state reports that it lives, and the silence after which it counts as dead.
BEAT_S, SILENT_S = 5.0, 30.0
# Progress of a job is reported whenever this share of it is done.
STEP = 0.01
# Thumbnails that are made at once.
DECODERS = 2
NEEDS = {
    "ground": "ground",
    "evidence": "ground",
    "highlights": "highlight",
    "caption": "caption",
    "ask": "ask",
}


class MissingError(VideoExpertError):
    """An id that the server does not know."""


class Service:
    """One server's videos, questions and jobs."""

    def __init__(self, settings: ServerSettings, backend: Backend, state: State | None = None) -> None:
        """``state`` where several servers share one: jobs of one that falls silent are another's, then."""
        self.settings, self.backend = settings, backend
        self.shared = state is not None
        if state is None:
            sweep(settings)
        self.state = State(settings.state) if state is None else state
        self.id = new_id()
        self.intake = Intake(settings, self.state)
        self.answerer = Answerer(
            backend,
            max_queue=settings.max_queue,
            max_batch=settings.max_batch,
            max_open=settings.max_open,
            decode_s=settings.decode_s,
        )
        self.library = None if settings.library is None else open_library(settings.library, backend)
        # a library answers one search at a time: its matrix is made anew by the first after a change
        self._searching = threading.Lock()
        files.make_folder(settings.clips)
        self._cutters = ThreadPoolExecutor(1, thread_name_prefix="videoexpert-clips")
        # each drives one child process: the pool in which files are decoded for people to look at
        self._lookers = ThreadPoolExecutor(DECODERS, thread_name_prefix="videoexpert-thumbnails")
        self._tickets: dict[str, Ticket] = {}
        self._lock = threading.Lock()
        self.opened = None if settings.opened is None else self.intake.admit(settings.opened)
        self._closing = threading.Event()
        self._take_over()
        if self.shared:
            threading.Thread(target=self._beat, name="videoexpert-beat", daemon=True).start()

    def _beat(self) -> None:
        while not self._closing.wait(BEAT_S):
            self._take_over()

    def _take_over(self) -> None:
        """Begin with what others have left; a server that shares nothing takes all there is."""
        for job in self.state.take_over(self.id, SILENT_S if self.shared else 0.0):
            self._start(job)

    def close(self) -> None:
        """Stop answering; registered videos and unfinished jobs stay in the state for the next start."""
        self._closing.set()
        self.answerer.stop()
        self.intake.close()
        for pool in (self._cutters, self._lookers):
            pool.shutdown(cancel_futures=True)
        if not self.shared:
            self.state.close()

    @property
    def formats(self) -> list[dict[str, Any]]:
        """Formats that answers can be exported to."""
        return documents.formats()

    @property
    def has_evidence(self) -> bool:
        """Whether the backend can be asked about a video without the video."""
        return hasattr(self.backend, "open_blank")

    @property
    def examples(self) -> tuple[str, ...]:
        """Sentences to try on the shipped video; none for any other."""
        if self.settings.opened is None or self.settings.opened.resolve() != SHIPPED_VIDEO.resolve():
            return ()
        return tuple(
            one["query"] for one in json.loads(SHIPPED_QUERIES.read_text(encoding="utf-8"))["queries"]
        )

    def video(self, video_id: str) -> StoredVideo:
        """The registered video. Raises MissingError."""
        found = self.state.video(video_id)
        if found is None:
            raise MissingError("there is no such video on this server; GET /v1/videos lists them.")
        return found

    def job(self, job_id: str) -> StoredJob:
        """The job. Raises MissingError."""
        found = self.state.job(job_id)
        if found is None:
            raise MissingError("there is no such job on this server.")
        return found

    # ------------------------------------------------------------------ questions

    async def answer(self, task: str, video_id: str, body: Body) -> dict[str, Any]:
        """Ask and wait. Raises BusyError when too many wait; the caller's going away takes the question back."""
        video = self.video(video_id)
        ticket = self.answerer.submit(self._ticket(task, video, body))
        try:
            found = await asyncio.wrap_future(ticket.future)
        except asyncio.CancelledError:
            ticket.cancel()
            raise
        return self._document(task, video, found)

    def _ticket(self, task: str, video: StoredVideo, body: Body) -> Ticket:
        if NEEDS[task] not in self.backend.can:
            raise UnsupportedError(f"the model {self.backend.name!r} does not do {task!r}.")
        arguments = body.model_dump()
        if task == "evidence" and not self.has_evidence:
            raise UnsupportedError(f"the model {self.backend.name!r} cannot answer without the video.")
        return Ticket(PendingQuestion(self.intake.file_of(video), task, arguments, video.name))

    def _document(self, task: str, video: StoredVideo, reply: Reply) -> dict[str, Any]:
        if task == "evidence":
            return documents.evidence(reply.found, video, self.backend.name)
        return documents.answered(task, reply.found, video, self.backend.name, reply.known)

    def search(self, body: SearchBody) -> dict[str, Any]:
        """A page of hits in the library; each names the registered video that it is in.

        ``left_out`` counts hits in videos that this server cannot open: gone, or in an object store.
        """
        if self.library is None:
            raise UnsupportedError("this server has no library; start it with --library.")
        with self._searching:
            page = self.library.search(body.query, top=body.top, method=body.method, cursor=body.cursor)
        results = []
        for hit in page.hits:
            path = Path(hit.path)
            if path.is_file():
                opened = self.state.add_video(path, safe_name(path.name), hit.duration, 0.0)
                told: dict[str, Any] = {
                    "start": round(hit.start, 3),
                    "end": round(hit.end, 3),
                    "score": round(hit.score, 4),
                }
                told |= {"text": hit.text, "copies": len(hit.copies), "familiar": hit.familiar}
                results.append({"video": opened.to_json(), **told})
        left_out = len(page.hits) - len(results)
        return {**page.head, "results": results, "left_out": left_out, "cursor": page.cursor}

    def export(self, video_id: str, document: dict[str, Any], name: str) -> tuple[str, str, str]:
        """A document as a file: its text, its name and its media type."""
        video = self.video(video_id)
        with decoding_apart(self.settings.decode_s, video.name):
            text, format = documents.as_file(document, name, video, self.intake.file_of(video))
        return text, f"{Path(video.name).stem}{format.suffix}", format.media_type

    # ------------------------------------------------------------------ jobs

    def begin(self, task: str, video_id: str, arguments: dict[str, Any]) -> StoredJob:
        """A job for a question or a clip. Raises InputError for arguments that the verb does not take."""
        video = self.video(video_id)
        body = BODIES[task].model_validate(arguments)
        if task != "clip" and self.answerer.waiting >= self.settings.max_queue:
            raise BusyError(
                f"{self.settings.max_queue} questions are waiting already; ask again in a moment."
            )
        if task != "clip" and NEEDS[task] not in self.backend.can:
            raise UnsupportedError(f"the model {self.backend.name!r} does not do {task!r}.")
        return self._start(self.state.add_job(task, video.id, body.model_dump(), self.id))

    def _start(self, job: StoredJob) -> StoredJob:
        """Queue a job, new or left by a server that was stopped."""
        try:
            video = self.video(job.video)
            body = BODIES[job.task].model_validate(job.arguments)
            if job.task == "clip":
                self._cutters.submit(self._cut, job.id, video, body)
                return job
            ticket = self._ticket(job.task, video, body)
            ticket.started = partial(self.state.set_job, job.id, RUNNING)
            ticket.progress = self._progress(job.id, ticket)
            with self._lock:
                self._tickets[job.id] = ticket
            ticket.future.add_done_callback(lambda future: self._finish(job, video, future))
            self.answerer.submit(ticket)
        except Exception as error:
            self._tickets.pop(job.id, None)
            self.state.set_job(job.id, FAILED, error=_sentence(error))
        return self.job(job.id)

    def _progress(self, job_id: str, ticket: Ticket) -> Callable[[float, float], None]:
        """Tells the job's listeners how many minutes are looked at; a job that ended meanwhile is taken back."""
        told = 0.0

        def looked(done: float, total: float) -> None:
            nonlocal told
            share = done / total if total else 1.0
            if told == 1 or (share < told + STEP and share < 1):
                return
            told = share
            minutes = {"minutes": round(done / 60, 2), "of": round(total / 60, 2)}
            if not self.state.add_progress(job_id, {"fraction": round(share, 4), **minutes}):
                ticket.cancel()

        return looked

    def _finish(self, job: StoredJob, video: StoredVideo, future: Any) -> None:
        with self._lock:
            self._tickets.pop(job.id, None)
        error = future.exception()
        # a server that stops leaves its jobs for the next start
        if isinstance(error, CancelledError):
            return
        if error is not None:
            self.state.set_job(job.id, FAILED, error=_sentence(error))
        else:
            self.state.set_job(job.id, DONE, self._document(job.task, video, future.result()))

    def _cut(self, job_id: str, video: StoredVideo, body: Any) -> None:
        if not self.state.set_job(job_id, RUNNING):
            return
        try:
            self._forget_clips()
            self.intake.check_room(video.size, "this clip")
            base = self.settings.clips / job_id
            made = run_safely(
                cut,
                self.intake.file_of(video),
                body.start,
                body.end,
                base,
                exact=body.exact,
                timeout_s=self.settings.decode_s,
                name=video.name,
            )
            told = {"start": round(made.start_s, 3), "end": round(made.end_s, 3), "file": made.path.name}
            self.state.set_job(job_id, DONE, told)
        except Exception as error:
            self.state.set_job(job_id, FAILED, error=_sentence(error))

    def _forget_clips(self) -> None:
        """Delete the clips of jobs that are forgotten."""
        for file in self.settings.clips.iterdir():
            if self.state.job(file.name.partition(".")[0]) is None:
                file.unlink(missing_ok=True)

    async def thumbnail(self, video_id: str, second: float, width: int) -> bytes:
        """The picture at a second, as JPEG, decoded in a child process."""
        video = self.video(video_id)
        make = partial(
            run_safely,
            thumbnail,
            self.intake.file_of(video),
            second,
            width,
            timeout_s=self.settings.decode_s,
            name=video.name,
        )
        return await asyncio.get_running_loop().run_in_executor(self._lookers, make)

    def clip_file(self, job_id: str) -> tuple[Path, str]:
        """The clip that a job has cut, and a name for it. Raises MissingError before it is done."""
        job = self.job(job_id)
        if job.task != "clip" or job.result is None:
            raise MissingError("this job has no clip; wait until it is done.")
        file = self.settings.clips / job.result["file"]
        stem = Path(self.video(job.video).name).stem
        return file, f"{stem}_{job.result['start']:.1f}-{job.result['end']:.1f}{file.suffix}"

    def cancel(self, job_id: str) -> StoredJob:
        """Take a job back; one that has ended stays as it is."""
        job = self.job(job_id)
        self.state.set_job(job_id, CANCELLED)
        with self._lock:
            ticket = self._tickets.get(job.id)
        if ticket is not None:
            ticket.cancel()
        return self.job(job_id)

    async def events(self, job_id: str, after: int) -> AsyncIterator[tuple[int, str, dict[str, Any]]]:
        """(number, kind, data) from the event behind ``after`` to the end; kind "alive" while nothing happens."""
        quiet = 0.0
        while True:
            for number, kind, data in await asyncio.to_thread(self.state.events, job_id, after):
                after, quiet = number, 0.0
                yield number, kind, data
                if kind in ENDED:
                    return
            await asyncio.sleep(POLL_S)
            quiet += POLL_S
            if quiet >= ALIVE_S:
                quiet = 0.0
                yield after, "alive", {}


def _sentence(error: BaseException) -> str:
    """The message a client gets: our own sentences whole; of anything else only that it happened."""
    if isinstance(error, VideoExpertError):
        return str(error)
    return f"the server failed on this question ({type(error).__name__})."


__all__ = ["BusyError", "InputError", "MissingError", "Service"]
