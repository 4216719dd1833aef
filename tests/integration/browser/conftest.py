"""Debian's Chromium, without a window, for tests of pages."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

_OWN = {"about", "blob", "data"}
"""Schemes of addresses that are nobody's."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """The browser; of a module, because an event loop runs in this thread for as long as it is there."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright, which drives a browser")
    if (chromium := shutil.which("chromium")) is None:
        pytest.skip("needs the browser `chromium`, which is not installed (Debian: apt install chromium)")
    playwright.expect.set_options(timeout=30_000)
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--headless", "--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def chromium_page(browser: Any) -> Iterator[Any]:
    """A tab of playwright's, 1280 x 900, that must see neither an error in the console nor a request to another host.

    Its own host is that of the first address that it opens.
    """
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    tab = context.new_page()
    errors: list[str] = []
    asked: list[str] = []
    tab.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("websocket", lambda socket: asked.append(socket.url))
    yield tab
    context.close()
    addresses = [urlsplit(url) for url in asked]
    hosts = list(dict.fromkeys(url.netloc for url in addresses if url.scheme not in _OWN))
    assert errors == []
    assert len(hosts) <= 1, f"the page asked other hosts: {hosts}"


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where tests leave pictures of pages for somebody to look at."""
    return tmp_path_factory.mktemp("screenshots")
