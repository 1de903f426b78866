"""The bodies that clients send, with examples for the OpenAPI page."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Sentence = Annotated[str, Field(min_length=1, max_length=2000)]
TopK = Annotated[int, Field(ge=1, le=100)]


class Body(BaseModel):
    """Unknown fields are errors: a misspelt one would be silently ignored."""

    model_config = ConfigDict(extra="forbid")


class GroundBody(Body):
    """Sentences to find."""

    queries: Annotated[list[Sentence], Field(min_length=1, max_length=64)]
    top_k: TopK = 5

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"queries": ["the purple triangle moves right"]}]}
    )


class HighlightsBody(Body):
    """A sentence that every clip is rated by."""

    query: Sentence
    top_k: TopK = 5
    clip_s: Annotated[float, Field(ge=0.1, le=60)] = 2.0

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"query": "the best goal"}]})


class EvidenceBody(Body):
    """Sentences whose answers are compared with those to a grey video."""

    queries: Annotated[list[Sentence], Field(min_length=1, max_length=64)]


class CaptionBody(Body):
    """Nothing to say: the events of the video are asked for."""


class AskBody(Body):
    """A question, open or with choices."""

    question: Sentence
    choices: Annotated[list[Sentence], Field(min_length=2, max_length=26)] | None = None

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"question": "What does the circle do?", "choices": ["grows", "moves"]}]
        },
    )


class RegisterBody(Body):
    """A video under a root of the server (``GET /v1/roots``)."""

    root: Annotated[int, Field(ge=0)] = 0
    path: Annotated[str, Field(min_length=1, max_length=4000)]


class SearchBody(Body):
    """A sentence to find in the server's library; ``cursor`` of the page before."""

    query: Sentence
    top: TopK = 10
    method: Literal["recall", "rerank", "text", "hybrid"] = "hybrid"
    cursor: Annotated[str, Field(max_length=8000)] | None = None


class ClipBody(Body):
    """A span of the video, seconds; ``exact`` encodes again instead of starting at the key frame before."""

    start: Annotated[float, Field(ge=0)]
    end: Annotated[float, Field(gt=0)]
    exact: bool = False


class JobBody(Body):
    """A question, or a clip, as a job: answered with an id at once, progress as events."""

    task: Literal["ground", "highlights", "caption", "ask", "clip"]
    video: Annotated[str, Field(max_length=64)]
    arguments: dict[str, Any] = {}

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"task": "caption", "video": "ID", "arguments": {}}]},
    )


class ExportBody(Body):
    """A document as one of the verbs answered it, and the format it is wanted in (``formats`` of ``/v1/info``)."""

    format: Annotated[str, Field(max_length=40)]
    document: dict[str, Any]


BODIES: dict[str, type[Body]] = {
    "ground": GroundBody,
    "highlights": HighlightsBody,
    "caption": CaptionBody,
    "ask": AskBody,
    "clip": ClipBody,
}
