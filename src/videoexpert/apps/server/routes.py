"""The paths under ``/v1``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import FileResponse, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from ... import __version__
from . import schemas
from .service import Service

MEDIA = {
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".webm": "video/webm",
    ".ogv": "video/ogg",
    ".mov": "video/quicktime",
}


def make_routes(service: Service) -> APIRouter:
    """All of ``/v1`` over one service."""
    router = APIRouter(prefix="/v1")
    for part in (_about, _videos, _questions, _jobs):
        part(router, service)
    return router


def _about(router: APIRouter, service: Service) -> None:
    @router.get("/info", summary="What this server runs and takes")
    async def info() -> dict[str, Any]:
        return {
            "version": __version__,
            "model": service.backend.name,
            "can": sorted(service.backend.can),
            "max_upload_bytes": service.settings.max_upload_bytes,
            "roots": [root.name for root in service.settings.roots],
            "opened": service.opened.id if service.opened else None,
            "library": service.library is not None,
            "evidence": service.has_evidence,
            "examples": list(service.examples),
            "formats": service.formats,
        }

    @router.get("/roots/{root}", summary="Folders and videos right under a folder of a root")
    async def entries(root: int, path: Annotated[str, Query(max_length=4000)] = "") -> list[dict[str, Any]]:
        found = await asyncio.to_thread(service.intake.entries, root, path)
        return [{"path": e.path, "folder": e.is_folder, "size": e.size} for e in found]


def _videos(router: APIRouter, service: Service) -> None:
    @router.get("/videos", summary="Registered videos, newest first")
    async def videos() -> list[dict[str, Any]]:
        return [video.to_json() for video in service.state.videos()]

    @router.post("/videos", status_code=201, summary="Register a video under a root")
    async def register(body: schemas.RegisterBody) -> dict[str, Any]:
        return (await service.intake.aside(service.intake.register, body.root, body.path)).to_json()

    # The body is the file itself: it goes to disk as it comes, and is never held in memory.
    @router.post(
        "/uploads",
        status_code=201,
        summary="Upload a video: its bytes as the body",
        # counted where it is written, so that half an upload is cleaned up
        max_body_size=service.settings.max_upload_bytes + 1,
        openapi_extra={"requestBody": {"content": {"application/octet-stream": {}}, "required": True}},
    )
    async def upload(
        request: Request,
        name: Annotated[str, Query(max_length=1000)] = "video.mp4",
        content_length: Annotated[int | None, Header()] = None,
    ) -> dict[str, Any]:
        return (await service.intake.receive(name, content_length, request.stream())).to_json()

    @router.get("/videos/{video_id}", summary="One video")
    async def video(video_id: str) -> dict[str, Any]:
        return service.video(video_id).to_json()

    @router.delete("/videos/{video_id}", status_code=204, summary="Forget a video; an upload is deleted")
    async def forget(video_id: str) -> None:
        service.intake.forget(service.video(video_id))

    @router.get("/videos/{video_id}/file", summary="The video itself, in ranges", response_class=FileResponse)
    async def file(video_id: str) -> FileResponse:
        video = service.video(video_id)
        path = service.intake.file_of(video)
        return FileResponse(path, media_type=MEDIA.get(path.suffix.lower(), "application/octet-stream"))

    @router.get(
        "/videos/{video_id}/thumbnail", summary="The picture at a second, as JPEG", response_class=Response
    )
    async def thumbnail(
        video_id: str,
        t: Annotated[float, Query(ge=0)] = 0.0,
        width: Annotated[int, Query(ge=16, le=640)] = 160,
    ) -> Response:
        made = await service.thumbnail(video_id, t, width)
        return Response(made, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})


def _questions(router: APIRouter, service: Service) -> None:
    @router.post("/videos/{video_id}/ground", summary="Moments that sentences describe")
    async def ground(video_id: str, body: schemas.GroundBody) -> dict[str, Any]:
        return await service.answer("ground", video_id, body)

    @router.post("/videos/{video_id}/highlights", summary="A saliency score for every clip")
    async def highlights(video_id: str, body: schemas.HighlightsBody) -> dict[str, Any]:
        return await service.answer("highlights", video_id, body)

    @router.post("/videos/{video_id}/evidence", summary="How far answers move when the video is taken away")
    async def evidence(video_id: str, body: schemas.EvidenceBody) -> dict[str, Any]:
        return await service.answer("evidence", video_id, body)

    @router.post("/videos/{video_id}/caption", summary="The events of the video, each with its time")
    async def caption(video_id: str) -> dict[str, Any]:
        return await service.answer("caption", video_id, schemas.CaptionBody())

    @router.post("/videos/{video_id}/ask", summary="An answer and the moments that prove it")
    async def ask(video_id: str, body: schemas.AskBody) -> dict[str, Any]:
        return await service.answer("ask", video_id, body)

    @router.post("/search", summary="Moments across the videos of the library")
    async def search(body: schemas.SearchBody) -> dict[str, Any]:
        return await asyncio.to_thread(service.search, body)

    @router.post("/videos/{video_id}/export", summary="An answer as a file", response_class=Response)
    async def export(video_id: str, body: schemas.ExportBody) -> Response:
        text, name, media_type = await asyncio.to_thread(service.export, video_id, body.document, body.format)
        headers = {"Content-Disposition": f"attachment; filename*=utf-8''{quote(name)}"}
        return Response(text, media_type=media_type, headers=headers)


def _jobs(router: APIRouter, service: Service) -> None:
    @router.post("/jobs", status_code=202, summary="A question or a clip, answered with an id at once")
    async def begin(body: schemas.JobBody) -> dict[str, Any]:
        return service.begin(body.task, body.video, body.arguments).to_json()

    @router.get("/jobs/{job_id}", summary="How a job is doing, and its result")
    async def job(job_id: str) -> dict[str, Any]:
        return service.job(job_id).to_json()

    @router.delete("/jobs/{job_id}", summary="Cancel: takes effect at the next batch")
    async def cancel(job_id: str) -> dict[str, Any]:
        return service.cancel(job_id).to_json()

    @router.get(
        "/jobs/{job_id}/events",
        summary="A job's events as they come; Last-Event-ID goes on behind an event",
        response_class=EventSourceResponse,
        # an unknown job is a 404 before the stream begins
        dependencies=[Depends(service.job)],
    )
    async def events(
        job_id: str, last_event_id: Annotated[int, Header()] = 0
    ) -> AsyncIterator[ServerSentEvent]:
        async for number, kind, data in service.events(job_id, last_event_id):
            if kind == "alive":
                yield ServerSentEvent(comment="alive")
            else:
                yield ServerSentEvent(data=data, event=kind, id=str(number))

    @router.get("/jobs/{job_id}/clip", summary="The clip that a job has cut", response_class=FileResponse)
    async def clip(job_id: str) -> FileResponse:
        file, name = service.clip_file(job_id)
        return FileResponse(
            file, media_type=MEDIA.get(file.suffix, "application/octet-stream"), filename=name
        )


__all__ = ["make_routes"]
