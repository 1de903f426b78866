"""Numbers that the official dense-captioning scorers print beside the ones in use.

They are here so that a printed table can be checked whole. Ours ("default") does not report them: paragraph
scores pair paragraphs by position, so one missing video shifts all later ones.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean

from .cider import Tokens, cider
from .meteor import Meteor, Pair

#: One row of a corpus: tokens of the hypothesis, tokens of its reference.
Row = tuple[Tokens, Tokens]


def paragraph_scores(
    predicted: Sequence[Sequence[str]],
    referenced: Sequence[Sequence[str]],
    tokenizer: Callable[[Sequence[str]], Sequence[Tokens]],
    meteor: Meteor,
) -> dict[str, float]:
    """TimeChat's Para_CIDEr (raw, 0 to 10) and Para_METEOR (fraction) of whole videos as one corpus.

    ``predicted`` holds the captions of the videos that have predictions, ``referenced`` those of all videos:
    the two are paired by position, as the official scorer does, right only where no video is missing.
    """
    rows = list(zip(tokenizer(_paragraphs(predicted)), tokenizer(_paragraphs(referenced)), strict=False))
    if not rows:
        return {"Para_CIDEr": 0.0, "Para_METEOR": 0.0}
    pairs = [Pair(" ".join(hypothesis), (" ".join(reference),)) for hypothesis, reference in rows]
    return {
        "Para_CIDEr": fmean(cider([h for h, _ in rows], [[r] for _, r in rows])),
        "Para_METEOR": meteor.scores([pairs])[0].aggregate,
    }


def _paragraphs(videos: Sequence[Sequence[str]]) -> list[str]:
    return [re.sub("[^a-zA-Z]+", " ", ". ".join(captions)).lower() for captions in videos]


def bleu_and_rouge(corpora: Sequence[Sequence[Row]]) -> dict[str, list[float]]:
    """Bleu_1 to Bleu_4 and Rouge-L of each corpus, as fractions, by the library; 0 for an empty corpus."""
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.rouge.rouge import Rouge

    scores: dict[str, list[float]] = {
        name: [] for name in ("Bleu_1", "Bleu_2", "Bleu_3", "Bleu_4", "Rouge-L")
    }
    for rows in corpora:
        hypotheses: Mapping[int, list[str]] = {i: [" ".join(h)] for i, (h, _) in enumerate(rows)}
        references: Mapping[int, list[str]] = {i: [" ".join(r)] for i, (_, r) in enumerate(rows)}
        if rows:
            with contextlib.redirect_stdout(io.StringIO()):
                bleu = Bleu(4).compute_score(references, hypotheses, verbose=0)[0]
            rouge = Rouge().compute_score(references, hypotheses)[0]
        else:
            bleu, rouge = [0.0] * 4, 0.0
        for name, value in zip(scores, [*bleu, float(rouge)], strict=True):
            scores[name].append(value)
    return scores
