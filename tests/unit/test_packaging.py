"""What pyproject.toml says of the packages, against the folders and the imports."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import EntryPoint, packages_distributions
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def pyproject(root: Path) -> dict[str, Any]:
    return tomllib.loads((root / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def plugins(root: Path) -> list[str]:
    """The packages below plugins/."""
    return sorted(file.parent.name for file in (root / "plugins").glob("*/__init__.py"))


def test_every_plugin_has_an_entry_point(pyproject: dict[str, Any], plugins: list[str]) -> None:
    points = pyproject["project"]["entry-points"]["vlmkit"]
    assert points == {name.removeprefix("vlmkit_"): name for name in plugins}


def test_every_command_is_a_function(pyproject: dict[str, Any], plugins: list[str]) -> None:
    for value in pyproject["project"]["entry-points"]["vlmkit.commands"].values():
        point = EntryPoint("command", value, "vlmkit.commands")
        assert point.module in plugins
        assert callable(point.load())


def test_every_package_is_in_the_wheel(pyproject: dict[str, Any], plugins: list[str], root: Path) -> None:
    wheel = pyproject["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["packages"] == ["vlmkit", *(f"plugins/{name}" for name in plugins)]
    assert wheel["force-include"] == {name: f"vlmkit/_data/{name}" for name in ("specs", "benchmarks_registry")}
    assert all((root / package / "py.typed").is_file() for package in wheel["packages"])


def test_every_package_is_type_checked_alike(pyproject: dict[str, Any], plugins: list[str]) -> None:
    ours = [found for found in pyproject["tool"]["mypy"]["overrides"] if "vlmkit.*" in found["module"]]
    assert [found["module"] for found in ours] == [["vlmkit.*", *(f"{name}.*" for name in plugins)]]


def test_the_versions_agree(pyproject: dict[str, Any], root: Path) -> None:
    assert f'__version__ = "{pyproject["project"]["version"]}"' in (root / "vlmkit" / "_version.py").read_text()


def test_everything_that_is_imported_is_declared(pyproject: dict[str, Any], plugins: list[str], root: Path) -> None:
    project = pyproject["project"]
    optional = [each for extra in project["optional-dependencies"].values() for each in extra]
    declared = {_normal(re.split(r"[<>=\[;]", each)[0]) for each in [*project["dependencies"], *optional]}
    sources = packages_distributions()
    missing = {
        module: sources.get(module, [])
        for module in _imported(root) - {"vlmkit", *plugins} - sys.stdlib_module_names
        if not declared & {_normal(name) for name in sources.get(module, [module])}
    }
    assert not missing, "declare in pyproject.toml the packages of these modules"


def _imported(root: Path) -> set[str]:
    return {module.partition(".")[0] for name in ("vlmkit", "plugins") for module in _modules(root / name)}


def _modules(folder: Path) -> set[str]:
    """The modules that the files of a folder import."""
    found = set()
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module)
    return found


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip()).lower()
