"""Claims on what is being made under an output folder, so that studies that run at once do not make it twice.

Each run or stage is one byte of the file `.making`, by its identity, which the process that makes it keeps locked. The
locks are those of POSIX, which end with the process, however it ended; where there are none, nothing is claimed.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable
from pathlib import Path

if sys.platform != "win32":
    import fcntl

__all__ = ["Claims"]


class Claims:
    """The claims that this process holds."""

    def __init__(self, folder: Path) -> None:
        """Keep the claims in the file `.making` of an existing folder."""
        self._held: set[str] = set()
        try:
            self._file = -1 if sys.platform == "win32" else os.open(folder / ".making", os.O_RDWR | os.O_CREAT, 0o666)
        except OSError:  # another user's, who lets nobody claim anything
            self._file = -1

    def take(self, identities: Iterable[str]) -> bool:
        """Claim several identities, or none of them. False where one is claimed, here or by another process."""
        taken: list[str] = []
        for identity in identities:
            if identity in self._held or not self._lock(identity):
                self.release(taken)
                return False
            self._held.add(identity)
            taken.append(identity)
        return True

    def release(self, identities: Iterable[str]) -> None:
        """Give claims back; those that this process does not hold are passed over."""
        for identity in self._held.intersection(identities):
            self._held.remove(identity)
            if sys.platform != "win32" and self._file >= 0:
                fcntl.lockf(self._file, fcntl.LOCK_UN, 1, _place(identity))

    def close(self) -> None:
        """Give all of them back."""
        if self._file >= 0:
            os.close(self._file)
        self._file = -1
        self._held.clear()

    def _lock(self, identity: str) -> bool:
        if sys.platform == "win32" or self._file < 0:
            return True
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _place(identity))
        except (BlockingIOError, PermissionError):
            return False
        except OSError:  # a disk without locks
            return True
        return True


def _place(identity: str) -> int:
    """Return the byte of an identity: 56 bits, so that two of them hardly ever have the same."""
    return int.from_bytes(hashlib.sha256(identity.encode()).digest()[:7])
