"""Parameter counts of the published models, and what every encoder has in common."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from vlmkit.api import Encoder, PluginError
from vlmkit.registry import registry
from vlmkit.testing.module_checks import operator_calls
from vlmkit_encoders.eva_umt import EvaClipSpec, UmtSpec
from vlmkit_encoders.spec import (
    ClipVisionSpec,
    DinoV2Spec,
    InternVideo2Spec,
    LanguageBindImageSpec,
    LanguageBindVideoSpec,
    VitSpec,
)

ALL: list[type[VitSpec]] = [
    ClipVisionSpec,
    DinoV2Spec,
    EvaClipSpec,
    InternVideo2Spec,
    LanguageBindImageSpec,
    LanguageBindVideoSpec,
    UmtSpec,
]
TINY: dict[str, Any] = {"width": 32, "layers": 3, "heads": 4, "mlp": 64, "patch": 14, "image_size": 28}


@pytest.mark.parametrize(
    ("spec", "parameters"),
    [
        (ClipVisionSpec(), 303_179_776),
        (ClipVisionSpec(image_size=336), 303_507_456),
        (LanguageBindImageSpec(), 303_179_776),
        (LanguageBindVideoSpec(), 404_187_136),
        (LanguageBindVideoSpec(temporal=False), 303_179_776),
        (DinoV2Spec(), 304_368_640),
        (EvaClipSpec(), 985_894_528),
        (UmtSpec(), 290_477_056),
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
@torch.no_grad()
def test_outputs_of_blocks(spec: type[VitSpec]) -> None:
    """Each index has its block's output; blocks behind the last index have no part in it."""
    tiny, pixels = spec.model_validate(TINY), torch.randn(2, 3, 3, 28, 28)
    encoder = tiny.build()
    last = tiny.num_blocks - 1
    found = encoder.block_outputs(pixels, [last, 0])
    assert {tuple(x.shape) for x in found} == {(2, 3, tiny.prefix_tokens + 4, 32)}
    assert not torch.equal(*found)
    if spec is not DinoV2Spec:  # which ends with a norm
        assert torch.equal(found[0], encoder(pixels))
    for name, parameter in encoder.named_parameters():
        if f".{last}." in name:
            parameter.fill_(float("nan"))
    assert torch.equal(encoder.block_outputs(pixels, [0])[0], found[1])


class _Forgetful(Encoder):
    def forward(self, pixels: Tensor) -> Tensor:
        return pixels


class _Short(_Forgetful):
    def block_outputs(self, pixels: Tensor, indices: Sequence[int]) -> list[Tensor]:
        return [pixels]


def test_outputs_of_blocks_are_checked() -> None:
    pixels = torch.zeros(1, 1, 3, 28, 28)
    with pytest.raises(PluginError, match=r"gives 1 outputs, expected one for each of the blocks \[0, 1\]"):
        _Short().block_outputs(pixels, [0, 1])
    with pytest.raises(PluginError, match="_Forgetful gives no outputs of its blocks"):
        _Forgetful().block_outputs(pixels, [0])


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
