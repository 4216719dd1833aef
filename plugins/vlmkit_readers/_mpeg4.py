"""The pictures in packets of MPEG-4 part 2 (ISO/IEC 14496-2, 6.2.3 and 6.2.5)."""

from __future__ import annotations

import re

__all__ = ["Mpeg4Packets", "mpeg4_packets"]

_LAYER = re.compile(rb"\x00\x00\x01[\x20-\x2f]")
_VOP = re.compile(rb"\x00\x00\x01\xb6")
_INTRA = 0
_ENOUGH = 64
"""Bytes of a header that are read; none is as long."""


def mpeg4_packets(extradata: bytes) -> Mpeg4Packets | None:
    """Return what reads the packets of a stream, None where its header does not say how long time stamps are."""
    found = _LAYER.search(extradata)
    return Mpeg4Packets(_time_bits(_Bits(extradata[found.end() : found.end() + _ENOUGH]))) if found else None


class Mpeg4Packets:
    """Reads the packets of one stream, in the order of the file.

    "Packed" streams (DivX) have two pictures in one packet and one that is not coded in the next; decoders give one for
    each. Encoders write pictures that are not coded also where nothing has changed.
    """

    def __init__(self, time_bits: int) -> None:
        """`time_bits`: length of a time stamp."""
        self._time_bits = time_bits
        self._waiting = 0

    def read(self, packet: bytes) -> tuple[int, bool, bool]:
        """Return how many pictures come out, whether decoding can start here, and whether there is just one inside."""
        vops = [
            _vop(_Bits(packet[found.end() : found.end() + _ENOUGH]), self._time_bits) for found in _VOP.finditer(packet)
        ]
        coded = sum(vop[1] for vop in vops)
        given = min(1, self._waiting + coded)
        self._waiting += coded - given
        return given, bool(vops) and vops[0][0] == _INTRA, coded == len(vops) == 1


class _Bits:
    """Bits from the first to the last; zeros behind them."""

    def __init__(self, data: bytes) -> None:
        self._left = int.from_bytes(data) << 256
        self._count = 8 * len(data) + 256

    def take(self, count: int) -> int:
        """Return the next bits as a number."""
        self._count -= count
        return self._left >> self._count & (1 << count) - 1


def _time_bits(layer: _Bits) -> int:
    """Return the length of a picture's time stamp, from the header of its layer behind the start code."""
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
    """Return the coding type and whether it is coded."""
    kind = vop.take(2)
    for _ in range(_ENOUGH):  # seconds since the last time stamp
        if not vop.take(1):
            break
    vop.take(1 + time_bits + 1)  # marker, time, marker
    return kind, vop.take(1)
