"""`result.json`: what a benchmark came to, read back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field

from vlmkit.lines import read_json

__all__ = ["read_result"]


Count = Annotated[int, Field(ge=0, le=2**53)]
Value = Annotated[float, Field(allow_inf_nan=False)]


class _Metric(BaseModel):
    value: Value
    ci95: Annotated[list[Value], Field(min_length=2, max_length=2)]


class _Part(BaseModel):
    n: Count
    metrics: dict[str, _Metric]


class _Task(_Part):
    by_type: dict[str, _Part]


class _Judge(BaseModel):
    name: str
    version: str


class _Annotations(BaseModel):
    registered: bool = True


class _Result(_Task):
    """What the report and a continued evaluation rely on."""

    benchmark: str
    version: str
    split: str
    judge: _Judge
    skipped: Count
    unscored: Count
    spec_sha256: str
    blind: _Task | None = None
    limit: Count | None = None
    annotations: _Annotations | None = None
    vlmkit_version: str = ""


def read_result(path: Path) -> dict[str, Any]:
    """The content of the file. A RunError where it is malformed."""
    return read_json(path, _Result, "remove the file and run `vlmkit eval`: the answers beside it are kept")
