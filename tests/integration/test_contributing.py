"""The plugin that CONTRIBUTING.md writes out is one."""

from __future__ import annotations

import ast
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from vlmkit.registry import KINDS, registry
from vlmkit.testing import checks


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Iterator[list[Path]]:
    """The files of the text, as a package beside its dist-info."""
    site = tmp_path_factory.mktemp("site")
    text = (root / "CONTRIBUTING.md").read_text(encoding="utf-8")
    files = []
    for block in re.findall(r"(?:^ {8}.*\n|^\n)+", text, re.MULTILINE):
        if name := re.match(r"\s*# (halve/\w+\.py)\n", block):
            files.append(site / name[1])
            files[-1].parent.mkdir(exist_ok=True)
            files[-1].write_text(textwrap.dedent(block).strip() + "\n")
    info = site / "halve-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: halve\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[vlmkit]\nhalve = halve\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(site)
        registry.cache_clear()
        yield files
    registry.cache_clear()
    for module in [name for name in sys.modules if name.partition(".")[0] == "halve"]:
        del sys.modules[module]


def test_it_is_registered_and_its_lines_are_not_too_long(installed: list[Path]) -> None:
    assert sorted(file.name for file in installed) == ["__init__.py", "_module.py", "spec.py"]
    component = registry().get("downsampler", "halve")
    assert component.plugin.package == "halve 1"
    for file in installed:
        assert ast.get_docstring(ast.parse(file.read_text()))
        assert max(map(len, file.read_text().splitlines())) <= 120


@pytest.mark.parametrize("reduce", ["mean", "max"])
@pytest.mark.parametrize("check", checks("downsampler"), ids=lambda check: check.__name__)
@pytest.mark.usefixtures("installed")
def test_it_passes_the_kit(check, reduce: str) -> None:
    spec = registry().get("downsampler", "halve").spec
    assert issubclass(spec, KINDS["downsampler"])
    check(spec.model_validate({"type": "halve", "reduce": reduce}))
