"""Read from the first bits of a compressed packet how many pictures it gives and whether decoding can start there.

Sources: H.264 (ITU-T H.264, 7.3.1), HEVC (ITU-T H.265, 7.3.1.2), VP8 (RFC 6386, 9.1), VP9 (bitstream specification 0.6,
6.2 and annex B), MPEG-4 part 2 (ISO/IEC 14496-2, 6.2.3 and 6.2.5).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

__all__ = ["PacketContent", "PacketParser", "packet_parser"]


class PacketContent(NamedTuple):
    """The pictures of one packet."""

    num_pictures: int
    """Pictures that it gives; 0 where it is a reference for later ones, or says that nothing has changed."""
    can_start: bool
    """Decoding can start here."""
    is_plain: bool = True
    """False where pictures of other packets come out, or of several."""


PacketParser = Callable[[memoryview], PacketContent]
_INTRA = frozenset({"dnxhd", "dvvideo", "huffyuv", "jpeg2000", "mjpeg", "png", "prores", "rawvideo", "utvideo", "v210"})
"""Codecs whose packets are pictures by themselves."""


def packet_parser(codec: str, extradata: bytes) -> PacketParser | None:
    """Return a parser of a stream's packets, to be called in the order of the file; None for other codecs.

    Args:
        codec: FFmpeg's name of the codec, e.g. "h264".
        extradata: the header of the stream, which states e.g. how many bytes the length of a NAL unit takes.
    """
    if codec in _INTRA:
        return lambda packet: PacketContent(1, True)
    if codec in ("h264", "hevc"):
        offset = 4 if codec == "h264" else 21
        if len(extradata) <= offset or extradata[0] != 1:  # units behind start codes, as in broadcasts
            return None
        length, parse = (extradata[offset] & 3) + 1, _h264 if codec == "h264" else _hevc
        return lambda packet: parse(packet, length)
    if codec == "mpeg4":
        layer = _LAYER.search(extradata)
        return _Mpeg4Parser(_time_bits(_Bits(extradata, layer.end()))) if layer else None
    return {"vp8": _vp8, "vp9": _vp9}.get(codec)


def _nal_headers(packet: memoryview, length: int) -> Iterator[int]:
    """Yield the first byte of each NAL unit."""
    start = 0
    while start + length < len(packet):
        yield packet[start + length]
        start += length + int.from_bytes(packet[start : start + length])


def _h264(packet: memoryview, length: int) -> PacketContent:
    types = {header & 0x1F for header in _nal_headers(packet, length)}
    return PacketContent(int(bool(types & {1, 2, 5})), 5 in types)


def _hevc(packet: memoryview, length: int) -> PacketContent:
    types = {header >> 1 & 0x3F for header in _nal_headers(packet, length)}
    return PacketContent(int(any(unit < 32 for unit in types)), any(16 <= unit <= 21 for unit in types))


def _vp8(packet: memoryview) -> PacketContent:
    return PacketContent(packet[0] >> 4 & 1, not packet[0] & 1)


def _vp9(packet: memoryview) -> PacketContent:
    frames = [_vp9_frame(frame[0]) for frame in _vp9_frames(packet)]
    shown = sum(frame.num_pictures for frame in frames)
    return PacketContent(shown, frames[0].can_start, shown == 1)


def _vp9_frames(packet: memoryview) -> list[memoryview]:
    """Return the frames of a packet: one, or several with an index behind them ("superframe")."""
    marker = packet[-1]
    count, size = (marker & 7) + 1, (marker >> 3 & 3) + 1
    index = 2 + count * size
    if marker & 0xE0 != 0xC0 or len(packet) <= index or packet[-index] != marker:
        return [packet]
    frames, begin = [], 0
    for number in range(count):
        entry = len(packet) - index + 1 + number * size
        length = int.from_bytes(packet[entry : entry + size], "little")
        frames.append(packet[begin : begin + length])
        begin += length
    return [frame for frame in frames if frame] or [packet]


def _vp9_frame(bits: int) -> PacketContent:
    shift = 2 if bits >> 4 & 3 == 3 else 3  # profile 3 has a reserved bit
    if bits >> shift & 1:  # an earlier frame is shown
        return PacketContent(1, False)
    return PacketContent(bits >> (shift - 2) & 1, not bits >> (shift - 1) & 1)


_LAYER = re.compile(rb"\x00\x00\x01[\x20-\x2f]")
_VOP = re.compile(rb"\x00\x00\x01\xb6")
_INTRA_VOP = 0
_HEADER_BYTES = 64
"""Bytes of an MPEG-4 header that are read; none is as long."""


class _Bits:
    """The bits of an MPEG-4 header behind its start code, first to last; zeros behind them."""

    def __init__(self, data: bytes, start: int) -> None:
        header = data[start : start + _HEADER_BYTES]
        self._value = int.from_bytes(header) << 256
        self._left = 8 * len(header) + 256

    def take(self, count: int) -> int:
        """Return the next bits as a number."""
        self._left -= count
        return self._value >> self._left & (1 << count) - 1


class _Mpeg4Parser:
    """Parser of the packets of one MPEG-4 stream, in the order of the file.

    "Packed" streams (DivX) have two pictures in one packet and one that is not coded in the next; decoders give one for
    each. Encoders write pictures that are not coded also where nothing has changed.
    """

    def __init__(self, time_bits: int) -> None:
        self._time_bits = time_bits
        self._waiting = 0
        """Coded pictures that the decoder holds back for the next packets."""

    def __call__(self, packet: memoryview) -> PacketContent:
        data = bytes(packet)
        vops = [_vop(_Bits(data, found.end()), self._time_bits) for found in _VOP.finditer(data)]
        coded = sum(vop[1] for vop in vops)
        given = min(1, self._waiting + coded)
        self._waiting += coded - given
        return PacketContent(given, bool(vops) and vops[0][0] == _INTRA_VOP, coded == len(vops) == 1)


def _time_bits(layer: _Bits) -> int:
    """Return the length of a picture's time stamp in bits, from the header of its layer."""
    version = 1
    layer.take(9)  # random access, type
    if layer.take(1):
        version = layer.take(4)
        layer.take(3)  # priority
    if layer.take(4) == 15:  # aspect ratio
        layer.take(16)
    if layer.take(1):  # control parameters
        layer.take(3)  # chroma format, low delay
        if layer.take(1):
            layer.take(79)  # buffer sizes
    if layer.take(2) == 3 and version != 1:  # shape
        layer.take(4)
    layer.take(1)  # marker
    return max(1, (layer.take(16) - 1).bit_length())


def _vop(vop: _Bits, time_bits: int) -> tuple[int, int]:
    """Return a picture's coding type, and 1 where it is coded."""
    coding_type = vop.take(2)
    for _ in range(_HEADER_BYTES):  # seconds since the last time stamp
        if not vop.take(1):
            break
    vop.take(1 + time_bits + 1)  # marker, time, marker
    return coding_type, vop.take(1)
