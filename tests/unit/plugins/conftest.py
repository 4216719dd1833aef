"""Golden files that say all that is needed: what references compute for the checkpoint `names`, `shapes`, `seed`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn


class GoldenFile:
    """One file; `case["width"]` is what it holds."""

    def __init__(self, file: Path, fill: ModuleType) -> None:
        self.arrays, self.fill = dict(np.load(file)), fill
        self.seed = str(self.arrays["seed"])

    def __getitem__(self, name: str) -> Any:
        """A size as a Python number, anything else as an array."""
        found = self.arrays[name]
        return found if found.ndim else found.item()

    def checkpoint(self) -> dict[str, Tensor]:
        """The published state dict, under its published names."""
        shapes = {
            name: tuple(map(int, shape.split("x")))
            for name, shape in zip(self["names"].tolist(), self["shapes"].tolist(), strict=True)
        }
        return {name: torch.from_numpy(value) for name, value in self.fill.weights(shapes, self.seed).items()}

    def pixels(self) -> Tensor:
        """(B, T, 3, px, px)."""
        frames = self["T"] if "T" in self.arrays else 1
        return torch.from_numpy(self.fill.pixels(self.seed, self["B"], frames, self["px"], self["px"]))

    def noise(self, key: str, *shape: int) -> Tensor:
        """A tensor of the stream `key`."""
        return torch.from_numpy(self.fill.rng(self.seed, key).standard_normal(shape).astype(np.float32))

    def check(self, name: str, found: Tensor) -> None:
        """The array `name`, within 1e-5."""
        expected = self[name]
        assert tuple(found.shape) == expected.shape
        assert np.abs(found.detach().numpy() - expected).max() <= 1e-5, name

    def check_gradients(self, found: Tensor, parameters: Mapping[str, nn.Parameter]) -> None:
        """The norms of the gradients of parameters by their published names, within 1e-4 of each; no others."""
        (found * torch.from_numpy(self.fill.cotangent(self.seed, tuple(found.shape)))).mean().backward()
        norms = dict(zip(self["grad_names"].tolist(), self["grad_norms"].tolist(), strict=True))
        for name, norm in norms.items():
            gradient = parameters[name].grad
            if norm:
                assert gradient is not None, name
                assert gradient.norm().item() == pytest.approx(norm, rel=1e-4), name
        largest = max(norms.values())
        for name in parameters.keys() - norms.keys():
            gradient = parameters[name].grad
            assert gradient is None or gradient.norm() < 1e-6 * largest, name


@pytest.fixture(scope="session")
def golden_file(golden: Path, fill: ModuleType) -> Callable[[str], GoldenFile]:
    """Opens a golden file by its name."""
    return lambda name: GoldenFile(golden / f"{name}.npz", fill)
