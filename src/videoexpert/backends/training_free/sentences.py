"""Rephrasings of a query, and the sentences it is compared with."""

from __future__ import annotations

PHRASINGS = ("{}", "a photo of {}", "a video of {}")  # a frame is compared with the mean of them

# What nearly any video could be said to show: a query has to score above these.
BACKGROUND = (
    "a person", "a man", "a woman", "a child", "a group of people", "an animal", "an object", "a building", "a street",
    "a room", "a landscape", "the sky", "water", "a tree", "food", "a car", "a machine", "a face", "hands", "furniture",
    "text on a screen", "a logo", "a dark picture", "a bright picture", "a blurry picture", "a close-up",
    "a wide shot", "something happens", "nothing happens", "a person stands", "a person sits", "a person walks",
    "a person talks", "a person holds something", "a person looks at something", "someone moves", "something moves",
    "people outdoors", "people indoors", "a scene from a film", "a scene from a home video", "a news broadcast",
    "a cartoon", "a drawing", "a pattern", "a texture", "a colour", "shapes", "the beginning of a video",
    "the end of a video",
)  # fmt: skip


def phrasings(query: str, lower: bool = False) -> list[str]:
    """A sentence in each wording, without a full stop; in small letters for towers trained on those alone."""
    plain = " ".join(query.split()).rstrip(".!?")
    return [phrase.format(plain.lower() if lower else plain) for phrase in PHRASINGS]
