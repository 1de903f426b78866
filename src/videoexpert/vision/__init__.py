"""Stage 2: Frames to VisualTokens. Encode every frame (encoder.py), compress its patches (compressor.py)."""

from .compressor import compress, random_tokens
from .encoder import PatchFeatures, VisionEncoder
from .preprocess import Preprocessor

__all__ = ["PatchFeatures", "Preprocessor", "VisionEncoder", "compress", "random_tokens"]
