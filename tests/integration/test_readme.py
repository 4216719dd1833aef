"""README.md holds what the code says."""

from __future__ import annotations

from pathlib import Path

from vlmkit.cli.installed import component_table
from vlmkit.registry import KINDS


def test_the_table_of_components_is_the_generated_one(root: Path) -> None:
    begin, end = "<!-- vlmkit components --markdown -->\n", "\n<!-- end -->"
    text = (root / "README.md").read_text(encoding="utf-8")
    found = text.partition(begin)[2].partition(end)[0]
    assert found == component_table(sorted(KINDS)), "put the output of `vlmkit components --markdown` into README.md"
