"""Stage 1: a video file -> Frames (DESIGN.md section 2.1)."""

from .decode import read_frames
from .pictures import VideoWarning
from .probe import VideoInfo, probe
from .sampling import bin_centres
from .write import write_video

__all__ = ["VideoInfo", "VideoWarning", "bin_centres", "probe", "read_frames", "write_video"]
