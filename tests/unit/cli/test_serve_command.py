"""`vlmkit serve`: what is wrong is said before a model is loaded."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Told = Callable[..., tuple[int, str, str]]


def test_a_model_that_is_none(told: Told, tmp_path: Path) -> None:
    code, _, err = told("serve", tmp_path, "--port", 0)
    assert code == 2
    assert "expected a run folder" in err


def test_an_address_that_is_taken(told: Told, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, _, err = told("serve", tmp_path, "--port", port)
    assert code == 2
    assert f"127.0.0.1:{port}: this address cannot be served" in err
    assert "give another --host or --port" in err


def test_an_address_of_nowhere(told: Told, tmp_path: Path) -> None:
    code, _, err = told("serve", tmp_path, "--host", "no such host", "--port", 0)
    assert code == 2
    assert "no such host:0: this address cannot be served" in err
    assert "anyone who reaches this machine may ask" in err


@pytest.mark.parametrize(("value", "said"), [(None, "is not set"), (" ", "is not set"), ("schlüssel", "ASCII")])
def test_a_key_that_is_none(
    told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str | None, said: str
) -> None:
    if value is not None:
        monkeypatch.setenv("SERVE_KEY", value)
    code, _, err = told("serve", tmp_path, "--api-key-env", "SERVE_KEY")
    assert code == 2
    assert "--api-key-env SERVE_KEY" in err
    assert said in err
    assert value is None or not value.strip() or value not in err


def test_a_folder_of_files_that_is_missing(told: Told, tmp_path: Path) -> None:
    code, _, err = told("serve", tmp_path, "--allow-files", tmp_path / "videos")
    assert code == 2
    assert f"--allow-files {tmp_path / 'videos'}: expected a folder, found none" in err


def test_the_extra_that_is_missing_is_named(told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name.startswith("vlmkit.serve.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    code, _, err = told("serve", tmp_path)
    assert code == 2
    assert "pip install 'vlmkit[serve]'" in err
