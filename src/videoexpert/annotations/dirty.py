"""Dirty records: every kind the readers know, the rule applied to it, and the report that counts them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

# kind -> rule. What is "kept" changes nothing; it is counted because users trip over it.
RULES: dict[str, str] = {
    # windows
    "reversed_dropped": "start after end: dropped, because swapping gives no better window",
    "reversed_swapped": "start after end: swapped",
    "start_before_zero": "start before 0: moved to 0, or kept where the benchmark's scorer counts it as annotated",
    "end_after_duration": "end after the video: clipped to its duration, or kept where the benchmark's scorer does",
    "end_after_rounded_duration": "end up to 1 s after a rounded duration: kept, duration raised",
    "outside_video": "starts at or after the end of the video: dropped, or kept where the benchmark's scorer does",
    "zero_length": "start equals end: dropped, because no answer overlaps it",
    "zero_length_kept": "times of a conversation with start equal to end: kept",
    "incomplete_windows": "one of several windows cannot be found: record dropped, the others are not all there is",
    "short": "very short window: kept",
    "unsorted": "events not in order of start, then end: kept in the file's order",
    "overlapping": "an event starts before the one before it ends: kept",
    "no_window_left": "no usable window left: record dropped",
    "no_duration": "no duration known for the video: kept, nothing clipped",
    "placeholder": "segment [0, 1] with the sentence 'None' stands for a missing label: dropped",
    # texts
    "outer_spaces": "spaces or line breaks around a text: stripped",
    "line_breaks": "line break or tab in a text: replaced by one space",
    "double_spaces": "several spaces in a row in a text: replaced by one",
    "empty_text": "empty text: record dropped",
    "non_ascii": "letters or quotes outside ASCII: kept",
    "not_unicode": "half of a surrogate pair in a text or an id: record dropped, no file can hold it",
    "mojibake": "UTF-8 text once decoded as GBK: decoded again",
    "few_words": "sentence of three words or fewer: kept",
    # ids
    "duplicate": "the same record again: kept",
    "duplicate_id": "id used before with other content: kept as '{id}#2', '#3', ...",
    "repeated_query": "a query text used by an earlier record: kept",
    "repeated_question": "same video and question as an earlier record: kept",
    "leading_dash": "video id starts with '-', as options on a command line do: kept",
    "url_mismatch": "video_url names another video: the id is taken from the key",
    # questions
    "equal_options": "two options with equal text: kept",
    "ambiguous_answer": "answer equals two options: the index of NExT-QA if given, else the first",
    "answer_not_in_options": "the answer is none of the options: record dropped",
    "question_mark": "question ends in a question mark, unlike the others: kept",
    "empty_location": "video with spans for no question: nothing to read",
    "question_without_spans": "question without a span: record dropped",
    "spans_without_question": "spans of a question that the question file lacks: dropped",
    "frame_time_after_duration": "last sampled frame time after the rounded duration: file not used",
    # highlights
    "shorter_than_id": "duration shorter than the span that the video's id names: kept",
    "no_very_good_clip": "no clip scored 4 by any annotator: kept, no positive at Very Good",
    "saliency_mismatch": "saliency scores and clips do not pair up with the windows: scores left out",
    "labels_mismatch": "labels and clips do not pair up: record dropped",
    "other_clip_grid": "scores on clips of another length than 2 s: scores left out",
    # conversations
    "time_at_end": "a time equal to the duration (number 100 of 0 to 99 elsewhere): kept in seconds",
    "time_after_duration": "a time after the duration: clipped to it",
    "start_only": "a start without its end: kept, gives no window",
    "times_after_sentence": "sentence with its times at the end: kept",
    "unknown_placeholder": "placeholder without a time in meta: record dropped",
    "unused_time": "time whose placeholder is in no turn: left out",
    "turns_not_alternating": "turns that do not alternate from a human one: record dropped",
    # subtitles and labels
    "text_outside_cue": "text outside any cue: left out",
    "rolled_up": "cue of rolling captions that shows only what the one before it showed: left out",
    "repeated_annotation": "second annotation of one task: left out",
    "cancelled_annotation": "annotation that was cancelled: left out",
    "unannotated_task": "task without an annotation: nothing to read",
    "other_region": "region without a time or without a text, such as a choice or a box: left out",
    "same_upload_name": "uploads of one name are other files: the prefix that tells them apart is kept",
    # Charades v1 table of lengths
    "v1_empty_actions": "row without actions: kept, only its length is read",
    "v1_empty_quality": "row without quality: kept, only its length is read",
    "v1_action_after_length": "action ends after the length: actions are not read",
    "v1_action_reversed": "action with start at or after end: actions are not read",
}


@dataclass(frozen=True)
class Finding:
    """One dirty record: which one (``{video}_{number}`` for a part of a record) and its content."""

    id: str
    detail: str = ""


@dataclass
class CleaningReport:
    """Findings by kind; filled by one reader, then only read."""

    findings: dict[str, list[Finding]] = field(default_factory=dict)

    def add(self, kind: str, id: str, detail: str = "") -> None:
        if kind not in RULES:
            raise ValueError(f"unknown kind {kind!r}, expected one of report.RULES")
        self.findings.setdefault(kind, []).append(Finding(id, detail))

    def __getitem__(self, kind: str) -> list[str]:
        """Ids of a kind in file order; empty where there are none."""
        return [finding.id for finding in self.findings.get(kind, [])]

    def __iter__(self) -> Iterator[str]:
        return (kind for kind in RULES if kind in self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    @property
    def counts(self) -> dict[str, int]:
        return {kind: len(self.findings[kind]) for kind in self}
