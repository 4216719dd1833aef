"""Takes the pictures of a comparison page that docs/studies keeps, at 1280 and at 400 pixels.

python -m tests.integration.browser.comparison_pictures runs/STUDY/study.html docs/studies
"""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

_PAPER = (253, 253, 251)
_MOST = 1400
"""Pixels of a picture from top to bottom."""
_Part = tuple[int, int, int, int]
"""Left, top, right, bottom."""


def take_pictures(page: Path, folder: Path) -> None:
    """Write comparison-desktop.png, scores beside samples, and comparison-phone.png, three parts of the page."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        wide, sections = _shot(browser, page, 1280)
        _write(wide, [sections["scores"], sections["samples"]], folder / "comparison-desktop.png")
        narrow, sections = _shot(browser, page, 400)
        tops = [0, sections["types"][1], sections["samples"][1]]
        _write(narrow, [(0, top, 400, narrow.height) for top in tops], folder / "comparison-phone.png")
        browser.close()


def _shot(browser: Any, page: Path, width: int) -> tuple[Image.Image, dict[str, _Part]]:
    """Return the whole page, with its samples that flip listed, and where each section is."""
    tab = browser.new_page(viewport={"width": width, "height": 900})
    tab.goto(page.resolve().as_uri())
    tab.locator("select[name=second-outcome]").select_option("flip")
    sections = {}
    for section in tab.locator("section").all():
        x, y, across, down = (int(section.bounding_box()[key]) for key in ("x", "y", "width", "height"))
        sections[section.get_attribute("id")] = (x - 20, y + 2, x + across + 20, y + down)  # without the rule above it
    whole = Image.open(io.BytesIO(tab.screenshot(full_page=True))).convert("RGB")
    tab.close()
    return whole, sections


def _write(whole: Image.Image, parts: list[_Part], file: Path) -> None:
    """Write parts of a page, of one width, side by side."""
    height = min(_MOST, max(bottom - top for _, top, _, bottom in parts))
    step = parts[0][2] - parts[0][0]
    picture = Image.new("RGB", (step * len(parts), height), _PAPER)
    for number, (left, top, right, bottom) in enumerate(parts):
        picture.paste(whole.crop((left, top, right, min(top + height, bottom))), (step * number, 0))
    picture.quantize(160, kmeans=2).save(file, optimize=True)


if __name__ == "__main__":
    take_pictures(*map(Path, sys.argv[1:]))
