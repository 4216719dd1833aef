"""Checksums (xxh3, 128 bits) of what is kept on disk, so that damage is seen before it is used.

A text file that vlmkit writes carries its own: JSON as the last key of its last object, YAML as a comment in its last
line. It covers every other byte of the file (of a JSON-lines file: of the line). A folder has a manifest: see
`vlmkit.manifest`.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from xxhash import xxh3_128

__all__ = ["KEY", "Checksum", "Stamp", "checksum", "stamp", "stamped", "stamped_comment"]

KEY = "checksum"
"""Under which an object holds its checksum."""
_DIGITS = 32
_BLANK = "0" * _DIGITS
_HEX = b"0123456789abcdef"
_JSON = re.compile(rb'"([^"]*)": "([^"]{32})"[\s}\]]*\Z')
_COMMENT = re.compile(rb"\n# ([^\n]*): ([^\n]{32})\Z")
_TAIL = 1000
"""Bytes at the end of a file in which its own checksum is looked for."""
_BLOCK = 1 << 20
_FRESH = 100_000_000
"""Nanoseconds in which a second change of a file can bear the time of the first."""


class Checksum(NamedTuple):
    """Size and hash of a file."""

    bytes: int
    xxh3_128: str


_known: dict[tuple[int, ...], Checksum] = {}


def checksum(file: Path) -> Checksum:
    """Return size and checksum of a file. A file that is not touched is read once in a process."""
    with file.open("rb", buffering=0) as stream:
        found = os.fstat(stream.fileno())
        key = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        if key not in _known:
            digest, block = xxh3_128(), memoryview(bytearray(_BLOCK))
            size = 0
            while count := stream.readinto(block):
                digest.update(block[:count])
                size += count
            read = Checksum(size, digest.hexdigest())
            if time.time_ns() - max(found.st_mtime_ns, found.st_ctime_ns) < _FRESH:
                return read
            _known[key] = read
    return _known[key]


Stamp = Literal["absent", "right", "wrong"]


def stamp(content: bytes) -> Stamp:
    """Return whether text carries its own checksum, and whether it is right."""
    content = content.rstrip(b"\n")
    start = max(0, len(content) - _TAIL)
    found = _JSON.search(content, start) or _COMMENT.search(content, start)
    if found is None or sum(byte in _HEX for byte in found[2]) < _DIGITS - 2:  # a damaged one is one all the same
        return "absent"
    blank = content[: found.start(2)] + _BLANK.encode() + content[found.end(2) :]
    return "right" if (found[1], found[2]) == (KEY.encode(), xxh3_128(blank).hexdigest().encode()) else "wrong"


def stamped(content: Mapping[str, Any] | Sequence[Mapping[str, Any]], indent: int | None = None) -> str:
    """Return JSON with its own checksum under the key `checksum` of the object, or of the last object of a list."""
    items = [content] if isinstance(content, Mapping) else list(content)
    items[-1] = {**{key: value for key, value in items[-1].items() if key != KEY}, KEY: _BLANK}
    return _fill(json.dumps(items[0] if isinstance(content, Mapping) else items, indent=indent, ensure_ascii=False))


def stamped_comment(text: str) -> str:
    """Return YAML, which ends with a line feed, with a last line that holds its checksum."""
    return _fill(f"{text}# {KEY}: {_BLANK}") + "\n"


def _fill(text: str) -> str:
    """Put the checksum of the whole in the place of the last blank one."""
    before, _, after = text.rpartition(_BLANK)
    return f"{before}{xxh3_128(text.encode()).hexdigest()}{after}"
