"""Small answer files of several tools, with invented content in their layouts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vlmkit.answers.answer_formats import ReadOptions, read_answer_files
from vlmkit.answers.imported import ImportedAnswer

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write content to a file: text and bytes as they are, the rest as JSON."""

    def written(content: Any, name: str = "answers.json") -> Path:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if not isinstance(content, str | bytes):
            content = json.dumps(content)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return file

    return written


@pytest.fixture
def read(write: Write) -> Callable[..., list[ImportedAnswer]]:
    """Read content as if it stood in a file."""

    def answers(content: Any, name: str = "answers.json", **options: Any) -> list[ImportedAnswer]:
        return read_answer_files([write(content, name)], ReadOptions(**options))

    return answers
