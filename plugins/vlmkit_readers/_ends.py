"""Where a file should end, by its own header: for formats of which FFmpeg takes whatever is there for the whole.

Sources: GIF89a (CompuServe, appendix B), PNG (W3C, 5.3), ASF (Microsoft, section 3.2).
"""

from __future__ import annotations

from io import SEEK_CUR
from typing import BinaryIO

__all__ = ["asf_length", "gif_is_cut", "png_is_cut"]

_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_HEADER = 1 << 16
_LIVE = 1
_PNG = b"\x89PNG\r\n\x1a\n"
_GIF_SCREEN, _GIF_FRAME = 13, 10
"""Bytes of the headers of a GIF and of one of its pictures, before their colors."""
_GIF_MOST = 1 << 28
"""Bytes of a GIF that are looked at."""


def asf_length(file: BinaryIO) -> int:
    """Return how many bytes an ASF file (WMV) says it has; 0 where it does not say, or is none."""
    file.seek(0)
    head = file.read(_ASF_HEADER)
    place = head.find(_ASF_PROPERTIES) if head.startswith(_ASF) else -1
    if place < 0 or len(head) < place + 92 or head[place + 88] & _LIVE:
        return 0
    return int.from_bytes(head[place + 40 : place + 48], "little")


def png_is_cut(file: BinaryIO) -> bool:
    """Return whether a file is a PNG, animated or not, that lacks its last chunk."""
    file.seek(0)
    if file.read(8) != _PNG:
        return False
    while len(head := file.read(8)) == 8:
        if head[4:] == b"IEND":
            return False
        file.seek(int.from_bytes(head[:4]) + 4, SEEK_CUR)
    return True


def gif_is_cut(file: BinaryIO) -> bool:
    """Return whether a file is a GIF that ends within a picture. Some encoders leave out the mark of the end."""
    file.seek(0)
    data = file.read(6)
    if data not in (b"GIF87a", b"GIF89a"):
        return False
    data += file.read(_GIF_MOST)
    if len(data) > _GIF_MOST:
        return False
    place = _GIF_SCREEN + _colors(data, 10)
    while place < len(data) and data[place] != 0x3B:
        if data[place] == 0x21:  # an extension: its kind, then blocks
            place += 2
        elif data[place] == 0x2C:  # a picture: place and size, colors, the width of codes, then blocks
            place += _GIF_FRAME + _colors(data, place + 9) + 1
        else:
            return False  # no GIF from here on, which decoders skip
        while place < len(data) and data[place]:
            place += 1 + data[place]
        place += 1
    return place > len(data)


def _colors(data: bytes, place: int) -> int:
    """Return the length of a table of colors, by the flags at a place."""
    flags = data[place] if place < len(data) else 0
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0
