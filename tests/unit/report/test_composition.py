"""Components in words."""

from __future__ import annotations

from vlmkit.report.composition import component_text
from vlmkit.report.run_files import ComponentOutline


def test_a_component_with_its_slots() -> None:
    options = {"type": "stab", "width": 96, "input": {"frames": 8}, "downsampler": {"type": "lsd"}}
    assert component_text(ComponentOutline(**options)) == "stab (downsampler lsd)"
    assert component_text(ComponentOutline(type="talk")) == "talk"
