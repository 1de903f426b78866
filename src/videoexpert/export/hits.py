"""What a search over a library found, as answers: of each video, its hits are the moments of the queries."""

from __future__ import annotations

from typing import Any

from ..errors import DataError
from ..files import list_field, text_field


def is_search(value: Any) -> bool:
    """Whether a value is the object that ``search --format json`` prints."""
    return isinstance(value, dict) and "library" in value and "queries" in value


def documents(value: dict[str, Any], where: str) -> list[dict[str, Any]]:
    """The objects of ``ground`` that an object of ``search`` amounts to, the video of the best hit first.

    A fault begins with ``where``. Raises DataError.
    """
    found: dict[str, dict[str, Any]] = {}
    for asked in list_field(value, "queries", where):
        if not isinstance(asked, dict):
            raise DataError(f"{where}: expected an object a query, got {type(asked).__name__}.")
        query = text_field(asked, "query", where) or f"like {value.get('like', 'a picture')}"
        for hit in list_field(asked, "results", where):
            if not isinstance(hit, dict):
                raise DataError(f"{where}: expected an object a hit, got {type(hit).__name__}.")
            path = text_field(hit, "path", where)
            head: dict[str, Any] = {
                "video": path,
                "duration": hit.get("duration"),
                "model": value.get("model"),
                "queries": [],
            }
            queries = found.setdefault(path, head)["queries"]
            if not queries or queries[-1]["query"] != query:
                queries.append({"query": query, "presence": hit.get("score"), "absent": False, "moments": []})
            queries[-1]["moments"].append({key: hit.get(key) for key in ("start", "end", "score")})
    return list(found.values())
