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
