"""Pictures: of answers to one video, of several systems one above the other, of what a system predicts at large.

``panels`` stacks a film strip and what was found on one time axis; ``answers`` draws what ``session`` returns,
``comparison`` prediction files beside the truth (paper Figs. 6 and 7), ``bias`` distributions of windows (Fig. 2).
"""

from __future__ import annotations

from .answers import plot_answer, plot_answers, plot_captions, plot_grounding, plot_highlights

__all__ = ["plot_answer", "plot_answers", "plot_captions", "plot_grounding", "plot_highlights"]
