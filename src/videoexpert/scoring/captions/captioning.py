"""Dense video captioning: SODA_c, CIDEr, METEOR, precision, recall and F1, in percent.

CIDEr and METEOR pair every predicted event with every reference event of IoU >= a threshold; the pairs of
one video form one corpus; a prediction that meets none is paired once with a word that matches nothing, so
that it counts. Scores are means over the thresholds and over the videos. Two scorers with different habits
are in use and SODA has its own; ``CONVENTIONS`` says what each does. Where they differ, ours ("default")
takes the choice that neither the order in a file nor a swapped pair of ends can move; a missing video is 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError, DependencyError, InputError
from .cider import cider
from .extras import Row, bleu_and_rouge, paragraph_scores
from .files import CaptionedSegment
from .meteor import Meteor, Pair
from .soda import SodaScore, Span, f1_score, iou_matrix, soda
from .text import PTBTokenizer, ascii_only

THRESHOLDS = (0.3, 0.5, 0.7, 0.9)

Events = Sequence[CaptionedSegment]
Videos = Mapping[str, Events]


@dataclass(frozen=True)
class CaptionConvention:
    """What a scorer does where scorers differ.

    order_ends       reversed segments are turned round; otherwise their IoU is 0
    ascii_only       non-ASCII characters become spaces before tokenising
    story_order      SODA's order: "start" time, equal ones as in the file; "all", equal ones by end and text;
                     "file", as in the file
    missing_is_zero  a video without predictions scores 0; otherwise it is left out of every mean
    video_f1         F1 of each video's mean precision and recall, then the mean over videos; otherwise, for
                     each threshold, F1 of the two means over videos, then the mean over thresholds
    soda_references  several reference files: "per_video" mean of the video's scores; "per_file" mean of the
                     files' scores; "merged" into one list; "best" reference by F1 for each video
    soda_only        the scorer gives SODA and nothing else
    numbers_as_text  SODA multiplies the IoU of the i-th prediction with the METEOR of the prediction that is
                     i-th when their numbers are sorted as text (0, 1, 10, 11, 2, ...): an error of one
                     scorer, seen in its results for every video of more than ten predictions
    extras           what else the scorer prints: "paragraph" or "bleu_rouge" (see caption_extras.py)
    """

    order_ends: bool = True
    ascii_only: bool = False
    story_order: Literal["all", "start", "file"] = "all"
    missing_is_zero: bool = True
    video_f1: bool = True
    soda_references: Literal["per_video", "per_file", "merged", "best"] = "per_video"
    soda_only: bool = False
    numbers_as_text: bool = False
    extras: Literal["", "paragraph", "bleu_rouge"] = ""


CONVENTIONS: dict[str, CaptionConvention] = {
    "default": CaptionConvention(),
    # TimeChat's eval_dvc.py, which is the Vid2Seq scorer
    "official_timechat": CaptionConvention(story_order="file", numbers_as_text=True, extras="paragraph"),
    # the ActivityNet Captions scorer and its copy of SODA, as VTimeLLM calls them
    "official_densevid": CaptionConvention(
        order_ends=False,
        ascii_only=True,
        story_order="start",
        missing_is_zero=False,
        video_f1=False,
        soda_references="per_file",
        extras="bleu_rouge",
    ),
    # soda.py; and with its flag --multi_reference
    "official_soda": CaptionConvention(
        order_ends=False,
        ascii_only=True,
        story_order="start",
        missing_is_zero=False,
        soda_references="merged",
        soda_only=True,
    ),
    "official_soda_multi_reference": CaptionConvention(
        order_ends=False,
        ascii_only=True,
        story_order="start",
        missing_is_zero=False,
        soda_references="best",
        soda_only=True,
    ),
}

#: The official scorer that reads a form of prediction file.
OFFICIAL_BY_FORM = {
    "timechat": "official_timechat",
    "activitynet": "official_densevid",
    "vtimellm": "official_densevid",
    "jsonl": "official_densevid",
}


@dataclass(frozen=True)
class CaptionScores:
    """Scores of one system, in percent (CIDEr: raw value times 100, so it can pass 100).

    metrics       by name: SODA_c, CIDEr, METEOR, Precision, Recall, F1, and Precision@0.3 ... F1@0.9 and
                  SODA_c/precision, SODA_c/recall beside
    per_video     metric -> video -> value, for intervals; the mean over videos is the metric, save for two of
                  "official_densevid", which are no means over videos: its F1s (absent here) and its SODA_c on
                  several reference files
    not_computed  metric -> the reason; such a metric is absent from ``metrics``
    missing       annotated videos without an entry in the predictions; extra: predicted, not annotated
    unannotated   videos of the reference files without any event: left out, for nothing can be recalled
    """

    convention: str
    metrics: dict[str, float]
    per_video: dict[str, dict[str, float]]
    not_computed: dict[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    unannotated: tuple[str, ...] = ()


def score_captions(
    predictions: Videos,
    references: Sequence[Videos],
    *,
    convention: str = "default",
    missing_is_wrong: bool | None = None,
    tokenizer: PTBTokenizer | None = None,
    meteor: Meteor | None = None,
) -> CaptionScores:
    """Score predicted events against one or more reference files.

    ``missing_is_wrong``: whether a video absent from the predictions scores 0 (True) or is left out (False);
    None leaves it to the convention. ``tokenizer`` and ``meteor`` may be shared between calls, which saves
    the start of Java; a ``meteor`` that is given is not closed.
    Without Java or pycocoevalcap, CIDEr, METEOR and SODA are reported as not computed, with the reason.
    Raises InputError for an unknown convention, or for several reference files where the scorer takes one;
    DataError if no reference has an event.
    """
    if convention not in CONVENTIONS:
        raise InputError(f"unknown convention {convention!r}: choose one of {', '.join(CONVENTIONS)}")
    if convention == "official_timechat" and len(references) != 1:
        raise InputError(f"official_timechat takes one reference file, got {len(references)}: choose another")
    rules = CONVENTIONS[convention]
    annotated = {v: bool(events) for reference in references for v, events in reference.items()}
    for reference in references:
        annotated.update({v: True for v, events in reference.items() if events})
    if not any(annotated.values()):
        raise DataError("the references hold no event, so nothing can be scored: check the annotation file")
    missing = tuple(v for v, has_events in annotated.items() if has_events and v not in predictions)
    count_missing = rules.missing_is_zero if missing_is_wrong is None else missing_is_wrong
    videos = [v for v, ok in annotated.items() if ok and (count_missing or v in predictions)]
    run = _Run(rules, videos, predictions, references)
    if not rules.soda_only:
        run.add_coverage()
    own = meteor or Meteor()
    try:
        run.add_text_scores(tokenizer or PTBTokenizer(), own)
    except DependencyError as error:
        names = ("SODA_c",) if rules.soda_only else ("SODA_c", "CIDEr", "METEOR")
        # what was computed before the failure stays: CIDEr needs the tokenizer only
        run.not_computed.update({name: str(error) for name in names if name not in run.metrics})
    finally:
        if meteor is None:
            own.close()
    return CaptionScores(
        convention,
        {name: 100 * value for name, value in run.metrics.items()},
        {name: {v: 100 * x for v, x in values.items()} for name, values in run.per_video.items()},
        run.not_computed,
        missing,
        tuple(v for v in predictions if v not in annotated),
        tuple(v for v, has_events in annotated.items() if not has_events),
    )


#: Stands for the random word with which a prediction without reference is paired: it scores 0 and counts.
#: Fixed, so that two runs agree; letters only, and lengthened until no caption has it.
_NO_MATCH = "qzxjvkwq"


class _Run:
    """Scores of one call as fractions; events prepared by the convention's rules."""

    def __init__(
        self, rules: CaptionConvention, videos: list[str], predictions: Videos, references: Sequence[Videos]
    ) -> None:
        self.rules = rules
        self.videos = videos
        self.predicted = {v: self._prepare(predictions.get(v, ())) for v in videos}
        # only the references that have events of the video
        self.referenced = {v: [self._prepare(r[v]) for r in references if r.get(v)] for v in videos}
        self.files = [{v for v in videos if reference.get(v)} for reference in references]
        self.given = set(predictions)
        self.metrics: dict[str, float] = {}
        self.per_video: dict[str, dict[str, float]] = {}
        self.not_computed: dict[str, str] = {}

    def _prepare(self, events: Events) -> list[CaptionedSegment]:
        prepared = []
        for event in events:
            start, end = (
                sorted((event.start, event.end)) if self.rules.order_ends else (event.start, event.end)
            )
            text = ascii_only(event.text) if self.rules.ascii_only else event.text
            prepared.append(CaptionedSegment(start, end, text))
        return self._in_order(prepared)

    def _in_order(self, events: list[CaptionedSegment]) -> list[CaptionedSegment]:
        if self.rules.story_order == "file":
            return events
        if self.rules.story_order == "start":
            return sorted(events, key=lambda event: event.start)
        return sorted(events, key=lambda event: (event.start, event.end, event.text))

    def _add(self, name: str, values: Mapping[str, float]) -> None:
        """A metric that is a mean over videos; 0 where no video is left to score."""
        self.per_video[name] = dict(values)
        self.metrics[name] = fmean(values.values()) if values else 0.0

    def add_coverage(self) -> None:
        """Precision, recall and F1: an event is covered if its IoU with some event is above the threshold."""
        precision, recall, f1 = {}, {}, {}
        for video in self.videos:
            ious = [iou_matrix(_spans(self.predicted[video]), _spans(r)) for r in self.referenced[video]]
            # several references: the better one, for each value on its own
            precision[video] = [max(_covered(iou.T, t) for iou in ious) for t in THRESHOLDS]
            recall[video] = [max(_covered(iou, t) for iou in ious) for t in THRESHOLDS]
            f1[video] = [f1_score(p, r) for p, r in zip(precision[video], recall[video], strict=True)]
        for name, values in (("Precision", precision), ("Recall", recall), ("F1", f1)):
            for i, threshold in enumerate(THRESHOLDS):
                self._add(f"{name}@{threshold}", {v: x[i] for v, x in values.items()})
            self._add(name, {v: fmean(x) for v, x in values.items()})
        if self.rules.video_f1:
            both = self.per_video["Precision"], self.per_video["Recall"]
            self._add("F1", {v: f1_score(both[0][v], both[1][v]) for v in self.videos})
        else:
            for threshold in THRESHOLDS:
                means = self.metrics[f"Precision@{threshold}"], self.metrics[f"Recall@{threshold}"]
                self.metrics[f"F1@{threshold}"] = f1_score(*means)
            self.metrics["F1"] = fmean(self.metrics[f"F1@{t}"] for t in THRESHOLDS)
            for name in ("F1", *(f"F1@{t}" for t in THRESHOLDS)):
                del self.per_video[name]

    def add_text_scores(self, tokenizer: PTBTokenizer, meteor: Meteor) -> None:
        """SODA_c, CIDEr and METEOR."""
        meteor.start()  # reads its table while the captions are tokenised
        lists = [self.predicted[v] for v in self.videos] + [
            r for v in self.videos for r in self.referenced[v]
        ]
        captions = list(dict.fromkeys(event.text for events in lists for event in events))
        tokens = dict(zip(captions, tokenizer(captions), strict=True))
        if not self.rules.soda_only:
            self._add_paired(tokens, meteor)
        if self.rules.extras == "paragraph":
            predicted = [_texts(self.predicted[v]) for v in self.videos if v in self.given]
            referenced = [_texts(self.referenced[v][0]) for v in self.videos]
            self.metrics.update(paragraph_scores(predicted, referenced, tokenizer, meteor))
        self._add_soda({caption: " ".join(words) for caption, words in tokens.items()}, meteor)

    def _add_paired(self, tokens: Mapping[str, tuple[str, ...]], meteor: Meteor) -> None:
        nothing = _NO_MATCH
        while any(nothing in words for words in tokens.values()):
            nothing += "q"
        corpora: list[list[Row]] = []
        for video in self.videos:
            references = [event for reference in self.referenced[video] for event in reference]
            iou = iou_matrix(_spans(self.predicted[video]), _spans(references))
            for threshold in THRESHOLDS:
                rows: list[Row] = []
                for event, close in zip(self.predicted[video], iou >= threshold, strict=True):
                    matched = [tokens[references[j].text] for j in np.flatnonzero(close)] or [(nothing,)]
                    rows.extend((tokens[event.text], reference) for reference in matched)
                corpora.append(rows)
        ciders = [
            fmean(cider([h for h, _ in rows], [[r] for _, r in rows])) if rows else 0.0 for rows in corpora
        ]
        asked = [[Pair(" ".join(h), (" ".join(r),)) for h, r in rows] for rows in corpora]
        self._add("CIDEr", _by_video(self.videos, ciders))
        self._add("METEOR", _by_video(self.videos, [corpus.aggregate for corpus in meteor.scores(asked)]))
        if self.rules.extras == "bleu_rouge":
            for name, values in bleu_and_rouge(corpora).items():
                self._add(name, _by_video(self.videos, values))

    def _add_soda(self, captions: Mapping[str, str], meteor: Meteor) -> None:
        """SODA of every video against each of its references, joined as the convention says."""
        problems: list[tuple[str, list[CaptionedSegment], NDArray[np.float64]]] = []
        rows: dict[str, list[int]] = {}
        for video in self.videos:
            referenced = self.referenced[video]
            if self.rules.soda_references == "merged":
                merged = [event for reference in referenced for event in reference]
                referenced = [self._in_order(merged)]
            for reference in referenced:
                iou = iou_matrix(_spans(self.predicted[video]), _spans(reference))
                problems.append((video, reference, iou))
            order = range(len(self.predicted[video]))
            rows[video] = sorted(order, key=str) if self.rules.numbers_as_text else list(order)
        # METEOR's roles are exchanged in SODA: the reference event is the hypothesis, the prediction the
        # reference. Pairs that do not overlap have similarity 0 whatever METEOR says.
        asked = [
            Pair(captions[reference[j].text], (captions[self.predicted[video][rows[video][i]].text],))
            for video, reference, iou in problems
            for i, j in np.argwhere(iou > 0)
        ]
        unique = list(dict.fromkeys(asked))
        scores = dict(
            zip(unique, (corpus.segments[0] for corpus in meteor.scores([[p] for p in unique])), strict=True)
        )
        values = iter(asked)
        by_video: dict[str, list[SodaScore]] = {v: [] for v in self.videos}
        for video, _, iou in problems:
            similarity = iou.copy()
            for i, j in np.argwhere(iou > 0):
                similarity[i, j] *= scores[next(values)]
            by_video[video].append(soda(similarity))
        self._join_soda(by_video)

    def _join_soda(self, by_video: Mapping[str, list[SodaScore]]) -> None:
        if self.rules.soda_references == "best":
            by_video = {v: [max(scores, key=lambda score: score.f1)] for v, scores in by_video.items()}
        for name, part in (("SODA_c", "f1"), ("SODA_c/precision", "precision"), ("SODA_c/recall", "recall")):
            self._add(name, {v: fmean(getattr(s, part) for s in scores) for v, scores in by_video.items()})
            if self.rules.soda_references == "per_file":
                # each file's videos in turn; a video's scores are in the order of the files that have it
                left = {v: iter(scores) for v, scores in by_video.items()}
                files = [
                    [getattr(next(left[v]), part) for v in self.videos if v in file] for file in self.files
                ]
                self.metrics[name] = fmean(fmean(values) if values else 0.0 for values in files)


def _spans(events: Events) -> list[Span]:
    return [(event.start, event.end) for event in events]


def _texts(events: Events) -> list[str]:
    return [event.text for event in events]


def _covered(iou: NDArray[np.float64], threshold: float) -> float:
    """Share of the columns with a row above the threshold; 0 of no columns."""
    if 0 in iou.shape:
        return 0.0
    return float((iou > threshold).any(axis=0).mean())


def _by_video(videos: Sequence[str], values: Sequence[float]) -> dict[str, float]:
    """Mean over the thresholds; ``values`` hold all thresholds of the first video, then of the next."""
    step = len(THRESHOLDS)
    return {v: fmean(values[i * step : (i + 1) * step]) for i, v in enumerate(videos)}
