"""Calling the command line."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from vlmkit.cli import main

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
