"""`result.json`: what a benchmark came to, read back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field

from vlmkit.errors import RunError
from vlmkit.files import is_file
from vlmkit.json_files import read_record, write_record
from vlmkit.manifest import ManifestEntry, check_files

__all__ = ["read_result", "release_answers"]


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
    files: dict[str, ManifestEntry] = {}
    limit: Count | None = None
    annotations: _Annotations | None = None
    vlmkit_version: str = ""


def read_result(path: Path) -> dict[str, Any]:
    """The content of the file. A RunError where it is malformed, or the answers beside it are not those it sums up.

    Answers that are gone are no damage: the result stands without them.
    """
    kept = "remove the file and run `vlmkit eval`: the answers beside it are kept"
    result: dict[str, Any] = read_record(path, _Result, kept)
    answers = {name: entry for name, entry in result.get("files", {}).items() if is_file(path.parent / name)}
    anew = f"remove {path.name} there and run `vlmkit eval`: what is missing or changed is asked again"
    check_files(path.parent, answers, anew, RunError)
    return result


def release_answers(path: Path) -> None:
    """Let the answers beside a result be written anew: it stands until another takes its place, and not for them."""
    if is_file(path) and "files" in (result := read_record(path, _Result)):
        write_record(path, {key: value for key, value in result.items() if key != "files"})
