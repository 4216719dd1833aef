"""Fixtures around the golden files of the visual part."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def fill(golden: Path) -> ModuleType:
    """The deterministic weights and inputs behind the golden files."""
    spec = importlib.util.spec_from_file_location("golden_fill", golden / "fill.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def published_shapes(golden: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the visual part of the released Video-Panda checkpoints."""
    shapes = json.loads((golden / "video_panda_shapes.json").read_text())
    return {name: tuple(shape) for name, shape in shapes.items()}


@pytest.fixture(scope="session")
def tower_shapes(published_shapes: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Those of the tower, without their prefix."""
    prefix = "model.video_tower."
    return {name.removeprefix(prefix): shape for name, shape in published_shapes.items() if name.startswith(prefix)}
