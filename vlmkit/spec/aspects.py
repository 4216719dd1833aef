"""The shapes of video for which layouts are tried and shown."""

from __future__ import annotations

__all__ = ["ASPECTS"]

ASPECTS = {"square": (1, 1), "4:3": (4, 3), "16:9": (16, 9), "9:16": (9, 16)}
"""Width and height by name."""
