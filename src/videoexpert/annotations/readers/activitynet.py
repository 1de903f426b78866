"""ActivityNet Captions: ``{video: {duration, timestamps, sentences}}``."""

from __future__ import annotations

from pathlib import Path

from ... import files
from ..benchmark import Benchmark
from ..dirty import CleaningReport
from ..records import Record, Records
from ..samples import Sample
from . import query_forms
from .events import FORM, clean_events, parse_events

SHORT_S = 0.5


def parse(path: Path, split: str | None = None) -> Records:
    """One record a video, id = video id; ``events.sentences_of`` makes one record a sentence of it.

    Of TimeChat's list of queries one record a query.

    path   ``train.json``, ``val_1.json``, ``val_2.json`` or their folder (then val_1 unless ``split`` says)
    split  "val" is val_1 and "test" is val_2, as grounding papers use them

    Raises DataError that names the video of a malformed record.
    """
    file, split = BENCHMARK.locate(path, split)
    content = files.load_json(file)
    if query_forms.has_queries(content):
        return query_forms.parse_content(file, content, split)
    return parse_events(file, content, split)


def clean(record: Record, report: CleaningReport) -> Sample | None:
    """The video as one caption sample. Reversed events are swapped: the swapped spans fit their sentences."""
    if record.form != FORM:
        return query_forms.clean(record, report)
    return clean_events(record, report, SHORT_S)


BENCHMARK = Benchmark(
    name="activitynet-captions",
    title="ActivityNet Captions",
    parse=parse,
    clean=clean,
    layout={split: (f"{split}.json",) for split in ("val_1", "val_2", "train")},
    aliases={"val": "val_1", "test": "val_2"},
    published={
        "train": {"videos": 10009, "segments": 37421},
        "val_1": {"videos": 4917, "segments": 17505},
        "val_2": {"videos": 4885, "segments": 17031},
    },
    tasks=("caption",),
    scorer="sentences and captions",
    answered=True,
    drawn=True,
    probed=True,
    sentences=True,
    references=True,
    documented={
        "files": "`train.json`, `val_1.json`, `val_2.json` (splits val and test name the last two)",
        "sample": "caption, one a video",
        "id": "video",
        "task": "dense captioning, grounding",
        "source": "ActivityNet Captions",
    },
)
