"""Parameter counts of the published models, and what every encoder has in common."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from typing import Any

import pytest
import torch

from vlmkit.registry import registry
from vlmkit.testing.module_checks import operator_calls
from vlmkit_encoders.spec import (
    ClipVisionSpec,
    DinoV2Spec,
    InternVideo2Spec,
    LanguageBindImageSpec,
    LanguageBindVideoSpec,
    VitSpec,
)

ALL: list[type[VitSpec]] = [ClipVisionSpec, DinoV2Spec, InternVideo2Spec, LanguageBindImageSpec, LanguageBindVideoSpec]
TINY: dict[str, Any] = {"width": 32, "layers": 3, "heads": 4, "mlp": 64, "image_size": 28}


@pytest.mark.parametrize(
    ("spec", "parameters"),
    [
        (ClipVisionSpec(), 303_179_776),
        (ClipVisionSpec(image_size=336), 303_507_456),
        (LanguageBindImageSpec(), 303_179_776),
        (LanguageBindVideoSpec(), 404_187_136),
        (LanguageBindVideoSpec(temporal=False), 303_179_776),
        (DinoV2Spec(), 304_368_640),
        (InternVideo2Spec(), 1_013_666_432),
        (InternVideo2Spec(frames=4), 1_012_224_640),
    ],
)
def test_parameter_counts(spec: VitSpec, parameters: int) -> None:
    with torch.device("meta"):
        encoder = spec.build()
    assert sum(parameter.numel() for parameter in encoder.parameters()) == parameters


def test_all_encoders_are_tested_here() -> None:
    offered = [component.spec for component in registry().components("encoder") if component.plugin.name == "encoders"]
    assert offered == ALL


@pytest.mark.parametrize("spec", ALL)
def test_shape_is_as_declared(spec: type[VitSpec]) -> None:
    tiny = spec.model_validate(TINY)
    tokens = tiny.build()(torch.randn(2, 3, 3, 28, 28))
    assert tuple(tokens.shape) == (2, 3, tiny.prefix_tokens + 4, tiny.width)


@pytest.mark.parametrize("spec", ALL)
def test_operator_calls_do_not_grow_with_frames_or_videos(spec: type[VitSpec]) -> None:
    encoder = spec.model_validate(TINY).build()
    counts = []
    for batch, frames in ((1, 2), (2, 2), (3, 5)):
        pixels = torch.zeros(batch, frames, 3, 28, 28)
        with torch.no_grad():
            counts.append(operator_calls(partial(encoder, pixels)))
    assert len(set(counts)) == 1, counts


@pytest.mark.parametrize("spec", ALL)
def test_save_and_load_is_bit_equal(spec: type[VitSpec]) -> None:
    tiny, pixels = spec.model_validate(TINY), torch.randn(1, 2, 3, 28, 28)
    first, second = tiny.build(), tiny.build()
    second.load_state_dict(first.state_dict())
    with torch.no_grad():
        assert torch.equal(first(pixels), second(pixels))


def test_specs_cost_no_torch() -> None:
    modules = "vlmkit_encoders.spec, vlmkit_teachers.spec, sys"
    code = f"import {modules}; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
