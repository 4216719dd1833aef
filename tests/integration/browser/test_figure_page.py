"""Figure 1 of the paper from the shipped specs, in Chromium: what stands in its table, and that it fits a phone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vlmkit.report import write_figure

COUNTED = {
    "Video-Panda": "45,066,578",
    "EVE*": "29,982,720",
    "Video-LLaMA": "1,113,163,648",
    "LLaMA-VID": "1,202,972,544",
}


def test_the_page_shows_counts_and_fits_a_phone(tmp_path: Path, chromium_page: Any, screenshots: Path) -> None:
    pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
    page, _ = write_figure(1, tmp_path / "figure-1.html")
    chromium_page.goto(page.as_uri())
    rows = chromium_page.locator("#numbers tbody tr").all()
    found = {row.locator("th .line").first.inner_text(): row.locator("td").nth(1).inner_text() for row in rows}
    assert COUNTED.items() <= found.items()
    shown = chromium_page.locator("#figure .wide svg")
    assert shown.count() == 4
    assert all(shown.nth(at).is_visible() for at in range(4))
    table = chromium_page.locator("#numbers .scroll")
    assert table.evaluate("one => one.scrollWidth <= one.clientWidth"), "the table needs no scrolling"
    chromium_page.set_viewport_size({"width": 400, "height": 900})
    assert chromium_page.locator("#figure .narrow svg").first.is_visible()
    assert chromium_page.evaluate("document.documentElement.scrollWidth") == 400
    chromium_page.screenshot(path=screenshots / "figure-1-phone.png", full_page=True)
