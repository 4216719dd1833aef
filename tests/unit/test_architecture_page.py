"""ARCHITECTURE.md against the folders and the code that it names."""

from __future__ import annotations

import re
from pathlib import Path
from pkgutil import resolve_name

import pytest


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    return (root / "ARCHITECTURE.md").read_text(encoding="utf-8")


def _section(page: str, title: str) -> str:
    [found] = re.findall(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    return found


def test_the_tree_has_every_module(page: str, root: Path) -> None:
    listed, folders = [], []
    for line in _section(page, "The tree").splitlines():
        found = re.fullmatch(r" {4}( *)(\S+) {2,}(\S.*)| {4}( *)(vlmkit/|plugins/)", line)
        if found is None:
            assert not line.startswith("    "), f"no annotation: {line}"
            continue
        indent, name = found[1] or found[4] or "", found[2] or found[5]
        folders = folders[: len(indent) // 2]
        if name.endswith("/"):
            folders.append(name)
        else:
            listed.append("".join([*folders, name]))
    modules = [file for top in ("vlmkit", "plugins") for file in (root / top).rglob("*.py")]
    assert sorted(listed) == sorted(file.relative_to(root).as_posix() for file in modules if file.name != "__init__.py")


def test_a_question_goes_through_functions_that_are_there(page: str) -> None:
    steps = re.findall(r"^\d\. `([\w.]+)`", _section(page, "The way of one question through evaluation"), re.MULTILINE)
    assert 5 <= len(steps) <= 8
    for step in steps:
        assert callable(resolve_name(f"vlmkit.{step}"))


def test_data_goes_through_functions_that_are_there(page: str) -> None:
    steps = re.findall(r"^\d\. `([\w.]+)`", _section(page, "The way of the data"), re.MULTILINE)
    assert len(steps) == 5
    for step in steps:
        assert callable(resolve_name(f"vlmkit.{step}"))


def test_every_path_that_is_named_exists(page: str, root: Path) -> None:
    named = re.findall(r"`((?:vlmkit|plugins|tests|benchmarks_registry)/[^`]*)`", page)
    assert len(named) > 20
    assert not [path for path in named if not (root / path).exists()]
