"""From videos as users give them to batches: chosen and fitted frames, their cache, and samples that cannot be read.

Importing it costs no torch; `to_batch` imports it when it is called.
"""

from __future__ import annotations

from vlmkit.data.bad_samples import BadSamples
from vlmkit.data.fit import FittedVideo, fit_frames, padding_color, to_batch
from vlmkit.data.loader import VideoLoader, select_frames
from vlmkit.data.sources import VideoSource, local_file, still_image

__all__ = [
    "BadSamples",
    "FittedVideo",
    "VideoLoader",
    "VideoSource",
    "fit_frames",
    "local_file",
    "padding_color",
    "select_frames",
    "still_image",
    "to_batch",
]
