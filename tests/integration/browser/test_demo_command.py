"""`vlmkit demo` as a process: examples of a run, one line with the address, and its end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vlmkit.files import shipped_folder
from vlmkit.run_folder import RunFolder
from vlmkit.spec.loading import load_spec

pytest.importorskip("gradio", reason="needs Gradio (pip install 'vlmkit[demo]')")
expect = pytest.importorskip("playwright.sync_api", reason="needs the package playwright").expect

_WATCHED = """
import sys

def watch(event, values):
    if event in ("socket.connect", "socket.getaddrinfo"):
        host = values[0] if event == "socket.getaddrinfo" else values[1]
        host = host[0] if isinstance(host, tuple) else host
        if host not in (None, "127.0.0.1", "::1", "localhost"):
            print("another machine:", event, host, file=sys.stderr)

sys.addaudithook(watch)
from vlmkit.cli import main
main()
"""
"""vlmkit, which tells whenever it turns to another machine."""


@pytest.fixture
def demo(talker: Path, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """The page of a run of quickstart's spec, with `talker` as its model, twice; and where temporary files go."""
    run = RunFolder.open(load_spec(shipped_folder("specs") / "quickstart.yaml"), tmp_path)
    shutil.copytree(talker, run.model)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    words = ["demo", str(run.path), str(run.model), "--device", "cpu", "--max-new-tokens", "8"]
    process = subprocess.Popen(
        [sys.executable, "-c", _WATCHED, *words],
        env={**os.environ, "TMPDIR": str(temporary)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    yield process, temporary
    process.kill()
    process.communicate()


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_a_visitor_tries_an_example_and_the_page_ends_cleanly(
    demo: tuple[subprocess.Popen[str], Path], ending: signal.Signals, chromium_page: Any
) -> None:
    process, temporary = demo
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("quickstart (1) and quickstart (2): http://127.0.0.1:")
    chromium_page.goto(line.split()[-4])
    example = chromium_page.locator("#examples tbody tr").first
    expect(example).to_contain_text("?")
    question = example.inner_text().strip()
    example.click()
    expect(chromium_page.locator("#chat-0 .user.message")).to_have_text(question)
    expect(chromium_page.locator("#numbers-0")).to_contain_text("· answer")
    expect(chromium_page.locator("#chat-1")).to_contain_text("quickstart (2)")
    expect(chromium_page.locator("#frames-0 li").first).to_contain_text("0.00 s")
    expect(chromium_page.locator("#preview video")).to_have_js_property("videoWidth", 64)
    assert list(temporary.glob("vlmkit-demo-*"))
    process.send_signal(ending)
    assert process.wait(30) == 0
    assert process.stdout.read() == ""
    assert process.stderr is not None
    told = process.stderr.read()
    assert "another machine" not in told
    assert "Traceback" not in told
    assert list(temporary.glob("vlmkit-demo-*")) == []
