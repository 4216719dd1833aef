"""Locks between processes, by way of a file. A lock ends with its process, however that ends."""

from __future__ import annotations

import errno
import fcntl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["Locked", "lock_file"]

_HELD = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)
_warned: set[int] = set()


class Locked(Exception):  # noqa: N818 -- it says what the file is
    """Another process holds the lock."""


@contextmanager
def lock_file(path: Path, *, wait: bool = False) -> Iterator[bool]:
    """Keep other processes out while the block runs; give whether they are.

    On a disk without file locks, as many a cluster has, nothing keeps them out: that is said once on stderr.

    Args:
        path: a file that is made for this.
        wait: until the other process is done.

    Raises:
        Locked: another process holds the lock.
    """
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            held = True
        except OSError as error:
            if not wait and error.errno in _HELD:
                raise Locked(path) from None
            held = False
            _warn(path, error)
        yield held


def _warn(path: Path, error: OSError) -> None:
    disk = path.parent.stat().st_dev
    if disk in _warned:
        return
    _warned.add(disk)
    print(
        f"warning: {path.parent}: this disk has no file locks ({error.strerror}): nothing keeps two processes apart; "
        "let only one at a time work on this folder",
        file=sys.stderr,
    )
