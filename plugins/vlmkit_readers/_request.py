"""Whether frames can be had."""

from __future__ import annotations

from collections.abc import Sequence

from vlmkit.api import OpenVideo, UnreadableVideo, shown

__all__ = ["check_positions"]

_MOST_BYTES = 1 << 30
"""Of the pictures of one call."""


def check_positions(video: OpenVideo, name: str, positions: Sequence[int]) -> None:
    """Check what is asked of a video.

    Raises:
        UnreadableVideo: there is no such frame, or all together are more than a gigabyte.
    """
    for position in positions:
        if not 0 <= position < video.num_frames:
            raise UnreadableVideo(f"{name}: expected positions below {video.num_frames}, found {shown(position)}")
    size = 3 * len(positions) * video.height * video.width
    if size > _MOST_BYTES:
        raise UnreadableVideo(
            f"{name}: expected frames of at most {_MOST_BYTES} bytes together, found {len(positions)} of "
            f"{video.width}x{video.height} pixels; ask for fewer at once"
        )
