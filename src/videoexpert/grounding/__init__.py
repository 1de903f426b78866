"""Stage 4: states at the frame tokens and at ``<LOC>`` -> moments.

head.py         temporal head: indicator and boundaries of every frame
targets.py      windows -> foreground mask and target spans
losses.py       indicator, L1 and generalised IoU losses
decoding.py     probabilities and offsets -> ranked moments, saliency of clips
calibration.py  scores that mean what they say, "not in this video"
"""
