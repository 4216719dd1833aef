"""The small benchmark of the tests of evaluations, and annotation files that a test writes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vlmkit.api import Document
from vlmkit.benchmarks.annotation_options import annotation_options
from vlmkit.benchmarks.annotations import read_documents

from ..evaluation.conftest import clips, experiment, oracle, tiny

__all__ = ["clips", "experiment", "oracle", "tiny"]


@pytest.fixture
def write_files(tmp_path: Path) -> Callable[[dict[str, Any]], list[Path]]:
    """Write files by name: bytes, text, or what JSON can hold."""

    def write(files: dict[str, Any]) -> list[Path]:
        paths = []
        for name, content in files.items():
            path = tmp_path / (name if "." in name else f"{name}.{'txt' if isinstance(content, str) else 'json'}")
            text = content if isinstance(content, str | bytes) else json.dumps(content)
            path.write_bytes(text.encode() if isinstance(text, str) else text)
            paths.append(path)
        return paths

    return write


@pytest.fixture
def read(write_files: Callable[[dict[str, Any]], list[Path]]) -> Callable[..., list[Document]]:
    """Read such files as annotations, with options as benchmark.yaml has them."""

    def read(contents: dict[str, Any], **options: Any) -> list[Document]:
        return read_documents(write_files(contents), annotation_options(options, where="entry"))

    return read
