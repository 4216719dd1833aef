"""`result.json`: what a benchmark came to, read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel

from vlmkit.lines import read_json

__all__ = ["read_result"]


class _Metric(BaseModel):
    value: float
    ci95: tuple[float, float]


class _Part(BaseModel):
    n: int
    metrics: dict[str, _Metric]


class _Task(_Part):
    by_type: dict[str, _Part]


class _Judge(BaseModel):
    name: str
    version: str


class _Result(_Task):
    """What the report and a continued evaluation rely on."""

    benchmark: str
    version: str
    split: str
    judge: _Judge
    skipped: int
    unscored: int
    spec_sha256: str
    blind: _Task | None = None


def read_result(path: Path) -> dict[str, Any]:
    """The content of the file. A RunError where it is malformed."""
    return read_json(path, _Result, "remove the file and run `vlmkit eval`: the answers beside it are kept")
