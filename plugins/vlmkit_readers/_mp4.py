"""Whether an MP4 or MOV file is whole, from the headers of its boxes."""

from __future__ import annotations

from typing import BinaryIO

__all__ = ["has_index"]


def has_index(file: BinaryIO, length: int) -> bool:
    """Whether the index of its frames (the box `moov`) stands complete in a file of `length` bytes.

    It is written last, so that a recording or a download that was cut off lacks it.
    """
    place = 0
    while place < length:
        file.seek(place)
        head = file.read(16)
        size = int.from_bytes(head[8:16] if head[:4] == b"\0\0\0\1" else head[:4])
        end = place + size if size else length
        if head[4:8] == b"moov":
            return end <= length
        if end < place + 8:
            return False
        place = end
    return False
