"""Figure 1 of the paper, made again: what is counted is drawn, what has no spec is listed."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from vlmkit.benchmarks.entries import find_benchmark
from vlmkit.errors import UserError
from vlmkit.report import paper_figure, write_figure

COUNTED = {"video-panda-7b": 45_000_001, "video-llava-7b": 425_000_002, "llama-vid-7b": 1_000_000_003}
ENTRIES = ("msvd-qa", "msrvtt-qa", "tgif-frameqa", "activitynet-qa")


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_published_system_has_a_shipped_spec(entry: str, root: Path) -> None:
    published = find_benchmark(entry).published
    assert published is not None
    for model in published.results:
        assert (root / "specs" / f"{model.spec}.yaml").is_file(), model.model


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """Page and SVG, where parameters are told and not counted."""
    monkeypatch.setattr(paper_figure, "load_spec", lambda file: SimpleNamespace(model=Path(file).stem))
    monkeypatch.setattr(paper_figure, "count_vision", lambda name: COUNTED.get(name, 500_000_000))
    page, svg = write_figure(1, tmp_path / "new" / "figure.html")
    assert (page.name, svg.name) == ("figure.html", "figure.svg")
    return page.read_text(encoding="utf-8"), svg.read_text(encoding="utf-8")


def test_the_figure_alone_has_the_counted_systems_in_light_colors(made: tuple[str, str]) -> None:
    _, svg = made
    texts = re.findall(r"<text [^>]*>([^<]+)</text>", svg)
    assert {"Video-Panda", "Video-LLaVA (same data)", "Video-LLaVA (different data)", "VideoChat"} <= set(texts)
    assert "accuracy on MSVD-QA (filled: trained on the data of Video-Panda), %" in texts
    assert svg.count("fill: #1f5fa8") == 4, "the systems of the paper's data are filled"
    assert "var(" not in svg
    assert "#0a000" not in svg


def test_the_page_lists_all_published_systems_with_what_is_counted(made: tuple[str, str]) -> None:
    page, _ = made
    rows = {
        cells[0]: cells[1:]
        for row in re.findall(r"<tr><th scope=\"row\">(.*?)</tr>", page, re.DOTALL)
        if (cells := [cell for cell in re.sub(r"\s*<[^>]+>\s*", "\n", row).split("\n") if cell])
    }
    assert len(rows) == 11
    panda, vid = rows["Video-Panda"], rows["LLaMA-VID"]
    assert panda == ["video-panda-7b", "same", "45,000,001", "45 M", "64.7%", "54.8%", "42.9%", "40.0%"]
    assert vid == ["llama-vid-7b", "different", "1,000,000,003", "1000 M", "69.7%", "57.7%", "\N{EN DASH}", "47.4%"]
    assert page.count("<svg") == 8, "wide and narrow of four benchmarks"
    assert "://" not in page


def test_a_place_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(paper_figure, "_render", lambda: ("", ""))
    with pytest.raises(UserError, match=r"the figure cannot be written: .*; name another file"):
        write_figure(1, tmp_path / "file" / "figure.html")
