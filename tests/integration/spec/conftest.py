"""The small spec of the unit tests of specs."""

from __future__ import annotations

from ...unit.spec.conftest import small, small_file

__all__ = ["small", "small_file"]
