"""Stage 1: a video file -> Frames."""

from ..errors import VideoWarning
from .decode import read_frames
from .glance import Glance, glance
from .media import media_info
from .probe import VideoInfo, probe
from .sampling import bin_centres
from .stream import read_clips, read_windows, stream_frames, window_clips
from .write import write_video

__all__ = [
    "Glance",
    "VideoInfo",
    "VideoWarning",
    "bin_centres",
    "glance",
    "media_info",
    "probe",
    "read_clips",
    "read_frames",
    "read_windows",
    "stream_frames",
    "window_clips",
    "write_video",
]
