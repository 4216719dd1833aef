"""Calling the command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from vlmkit.cli import main
from vlmkit.files import file_sha256

Call = Callable[..., int]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Call:
    """The exit code of a command line."""

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["vlmkit", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        return int(end.value.code or 0)

    return run


Told = Callable[..., tuple[int, str, str]]


@pytest.fixture
def told(call: Call, capsys: pytest.CaptureFixture[str]) -> Told:
    """The exit code of a command line, its output, and its message of an error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        code = call(*map(str, arguments))
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def write_entries(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a folder of entries with `tiny`, which has a question for each letter, and returns it."""

    def write(ids: str) -> Path:
        folder = tmp_path / "entries" / "tiny"
        folder.mkdir(parents=True)
        (folder / "README.md").write_text("Tiny.")
        rows = [{"id": key, "video": key, "question": "what?", "answer": "cup"} for key in ids]
        (folder / "test.json").write_text(json.dumps(rows))
        file = {"name": "test.json", "sha256": file_sha256(folder / "test.json"), "source": "none"}
        content = {
            "title": "Tiny", "paper": "none", "license": "none", "version": "3", "default_split": "test",
            "splits": {"test": {"questions": len(ids), "files": [file]}}, "video": {"file": "{video}.mp4"},
            "generation": {"max_new_tokens": 5}, "evaluator": {"type": "open-ended-qa"}, "metrics": ["accuracy"],
        }  # fmt: skip
        (folder / "benchmark.yaml").write_text(yaml.safe_dump(content))
        return folder.parent

    return write
