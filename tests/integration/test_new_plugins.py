"""Packages that `vlmkit plugin new` writes, installed as they come into an environment of its own."""

from __future__ import annotations

import os
import site
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from vlmkit.scaffold.new_package import TEMPLATE_KINDS, new_package

USE = """
import sys
import pytest
from vlmkit.cli import main

code = pytest.main(["-q", "-p", "no:cacheprovider", "-p", "no:xdist"])
if code:
    sys.exit(int(code))
for command in (["plugin", "check"], ["check", sys.argv[1]]):
    sys.argv = ["vlmkit", *command]
    try:
        main()
    except SystemExit as end:
        if end.code:
            raise
"""
"""The commands of an author in the folder of a package, in one process: torch is imported once."""
Python = Callable[..., str]


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one package of every kind."""
    folder = tmp_path_factory.mktemp("packages")
    for kind in TEMPLATE_KINDS:
        new_package(f"trial-{kind}", kind, folder)
    return folder


@pytest.fixture(scope="module")
def python(packages: Path, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Python:
    """Python of a new environment with all these packages, and below them those of this one; no network is used."""
    place = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
    [own] = place.glob("lib/python*/site-packages")
    lines = [f"import site; site.addsitedir({folder!r})" for folder in site.getsitepackages()]
    (own / "below.pth").write_text("\n".join(lines))
    path = os.pathsep.join([str(root), str(root / "plugins")])
    environment = {name: value for name, value in os.environ.items() if name != "VLMKIT_PLUGINS"} | {"PYTHONPATH": path}

    def run(folder: Path, *arguments: str) -> str:
        command = [place / "bin" / "python", *arguments]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    sources = [part for package in sorted(packages.iterdir()) for part in ("-e", str(package))]
    apart = ["--no-index", "--no-build-isolation", "--no-deps"]
    run(packages, "-m", "pip", "install", "-q", *apart, *sources)
    return run


def test_they_are_listed(python: Python, packages: Path) -> None:
    listed = python(packages, "-m", "vlmkit", "plugins")
    for kind in TEMPLATE_KINDS:
        assert f"trial-{kind}: loaded (trial_{kind}, from trial-{kind} 0.1.0)\n" in listed


@pytest.mark.parametrize("kind", TEMPLATE_KINDS)
def test_one_passes_its_tests_and_can_be_used(kind: str, python: Python, packages: Path) -> None:
    said = python(packages / f"trial-{kind}", "-c", USE, f"trial-{kind}.yaml")
    assert f"ok      plugin  trial-{kind}  loads\n" in said
    assert "checks, none broken\n" in said


def test_their_types_are_right(packages: Path, root: Path) -> None:
    """By the project's own settings, whose cache knows torch already; they are as strict as those of the packages."""
    files = [file for file in sorted(packages.rglob("*.py")) if file.name != "test_conformance.py"]
    conformance = next(packages.rglob("test_conformance.py"))  # but for the name they are all the same
    folders = [*packages.iterdir(), *packages.glob("*/tests")]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", root / "pyproject.toml", *files, conformance],
        cwd=root, env=os.environ | {"MYPYPATH": os.pathsep.join(map(str, folders))}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
