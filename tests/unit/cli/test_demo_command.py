"""`vlmkit demo`: mistakes are told before a model is loaded."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from vlmkit.errors import UserError


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from vlmkit.cli.demo_command import show_demo

    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(UserError, match=r"pip install 'vlmkit\[demo\]'"):
        show_demo(tmp_path)


@pytest.mark.parametrize("host", ["127.0.0.1", "192.0.2.1", "no host"])
def test_an_address_that_cannot_be_had_is_told_at_once(host: str, tmp_path: Path) -> None:
    pytest.importorskip("gradio", reason="needs Gradio (pip install 'vlmkit[demo]')")
    from vlmkit.demo.demo_server import DemoOptions, open_demo

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=rf"--host {host} --port {port}: no page"):
            open_demo([tmp_path], DemoOptions(host, port))
