"""The figure of designs: numbers with their labels, whatever these are."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from vlmkit.study.front_figure import FrontPanel, PlottedDesign, front_figure


def drawn(*designs: PlottedDesign, panels: int = 1) -> str:
    return front_figure([FrontPanel("tokens", "accuracy", designs)] * panels, "test")


def texts(svg: str) -> list[str]:
    return ["".join(node.itertext()).strip() for node in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_designs_are_numbered_as_they_are_listed_below() -> None:
    first, second = PlottedDesign(1, 200, "the first", on_front=True), PlottedDesign(30, 500, "the base", is_base=True)
    found = texts(drawn(first, PlottedDesign(3, 400), second, panels=2))
    assert found.count("1") == found.count("2") == 2  # once in each panel
    assert "1  the first" in found
    assert "2  the base" in found
    assert "3" not in found


def test_labels_are_text_and_no_formulas() -> None:
    assert any("<b> $x^2 & $" in text for text in texts(drawn(PlottedDesign(1, 2, "<b> $x^2 & $"))))


def test_very_many_designs_are_not_all_listed() -> None:
    found = texts(drawn(*(PlottedDesign(number, number, f"row {number}") for number in range(100))))
    assert sum("row" in text for text in found) == 40


def test_the_same_figure_is_the_same_text() -> None:
    design = PlottedDesign(1, 2, "one", interval=(1, 3))
    assert drawn(design) == drawn(design)
