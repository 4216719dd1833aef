"""What the first bits of a compressed packet say of its pictures, whatever the container says of it.

Sources: H.264 (ITU-T H.264, 7.3.1), HEVC (ITU-T H.265, 7.3.1.2), VP8 (RFC 6386, 9.1), VP9 (bitstream specification 0.6,
6.2 and annex B).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from ._mpeg4 import mpeg4_packets

__all__ = ["Content", "PacketParser", "packet_parser"]


class Content(NamedTuple):
    """What one packet holds."""

    pictures: int
    """How many pictures it gives; none where it is a reference for later ones, or says that nothing has changed."""
    starts: bool
    """Whether decoding can start here."""
    plain: bool = True
    """False where pictures of other packets come out, or of several."""


PacketParser = Callable[[memoryview], Content]
_INTRA = frozenset({"dnxhd", "dvvideo", "huffyuv", "jpeg2000", "mjpeg", "png", "prores", "rawvideo", "utvideo", "v210"})
"""Codecs whose packets are pictures by themselves."""


def packet_parser(codec: str, extradata: bytes) -> PacketParser | None:
    """Return what reads the packets of a codec, None where nothing here can.

    Args:
        codec: FFmpeg's name of the codec, e.g. "h264".
        extradata: the header of the stream, which says e.g. how long the length of each NAL unit is.
    """
    if codec in _INTRA:
        return lambda packet: Content(1, True)
    if codec in ("h264", "hevc"):
        place = 4 if codec == "h264" else 21
        if len(extradata) <= place or extradata[0] != 1:  # units behind start codes, as in broadcasts
            return None
        length, read = (extradata[place] & 3) + 1, _h264 if codec == "h264" else _hevc
        return lambda packet: read(packet, length)
    if codec == "mpeg4":
        mpeg4 = mpeg4_packets(extradata)
        return None if mpeg4 is None else lambda packet: Content(*mpeg4.read(bytes(packet)))
    return {"vp8": _vp8, "vp9": _vp9}.get(codec)


def _heads(packet: memoryview, length: int) -> Iterator[int]:
    """Yield the first byte of each NAL unit."""
    place = 0
    while place + length < len(packet):
        yield packet[place + length]
        place += length + int.from_bytes(packet[place : place + length])


def _h264(packet: memoryview, length: int) -> Content:
    kinds = {head & 0x1F for head in _heads(packet, length)}
    return Content(int(bool(kinds & {1, 2, 5})), 5 in kinds)


def _hevc(packet: memoryview, length: int) -> Content:
    kinds = {head >> 1 & 0x3F for head in _heads(packet, length)}
    return Content(int(any(kind < 32 for kind in kinds)), any(16 <= kind <= 21 for kind in kinds))


def _vp8(packet: memoryview) -> Content:
    return Content(packet[0] >> 4 & 1, not packet[0] & 1)


def _vp9(packet: memoryview) -> Content:
    frames = [_vp9_frame(frame[0]) for frame in _vp9_frames(packet)]
    shown = sum(frame.pictures for frame in frames)
    return Content(shown, frames[0].starts, shown == 1)


def _vp9_frames(packet: memoryview) -> list[memoryview]:
    """Return the frames of a packet: one, or several with an index behind them."""
    marker = packet[-1]
    count, size = (marker & 7) + 1, (marker >> 3 & 3) + 1
    index = 2 + count * size
    if marker & 0xE0 != 0xC0 or len(packet) <= index or packet[-index] != marker:
        return [packet]
    frames, place = [], 0
    for number in range(count):
        start = len(packet) - index + 1 + number * size
        length = int.from_bytes(packet[start : start + size], "little")
        frames.append(packet[place : place + length])
        place += length
    return [frame for frame in frames if frame] or [packet]


def _vp9_frame(bits: int) -> Content:
    shift = 2 if bits >> 4 & 3 == 3 else 3  # profile 3 has a reserved bit
    if bits >> shift & 1:  # an earlier frame is shown
        return Content(1, False)
    return Content(bits >> (shift - 2) & 1, not bits >> (shift - 1) & 1)
