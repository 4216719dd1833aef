"""DINOv2: against transformers, and the position table as DINOv2's own code interpolates it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import Dinov2Config, Dinov2Model

from vlmkit.api import CheckpointError
from vlmkit_encoders.spec import DinoV2Spec

TINY = {"width": 32, "layers": 2, "heads": 4, "mlp": 128, "image_size": 70}


def twin() -> Dinov2Model:
    torch.manual_seed(0)
    config = Dinov2Config(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=4, image_size=70, layerscale_value=0.7
    )
    model = Dinov2Model(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dinov2")
    twin().save_pretrained(folder)
    return folder


def load(folder: Path, **options: Any) -> Any:
    encoder = DinoV2Spec.model_validate({"path": str(folder), **options}).build()
    encoder.load_pretrained()
    return encoder


def frames(height: int, width: int) -> Tensor:
    return torch.randn(2, 3, 3, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("height", "width"), [(70, 70), (28, 28), (42, 28)])
@torch.no_grad()
def test_equals_transformers(folder: Path, height: int, width: int) -> None:
    pixels = frames(height, width)
    expected = twin()(pixels.flatten(0, 1)).last_hidden_state.unflatten(0, (2, 3))
    torch.testing.assert_close(load(folder, offset=0)(pixels), expected, atol=1e-5, rtol=1e-5)


def cubic(distance: float) -> float:
    """The bicubic kernel with a = -0.75."""
    d = abs(distance)
    if d <= 1:
        return 1.25 * d**3 - 2.25 * d**2 + 1
    return -0.75 * (d**3 - 5 * d**2 + 8 * d - 4) if d < 2 else 0.0


def slow_resize(line: Tensor, size: int, step: float) -> Tensor:
    """(n, …) -> (size, …): output i samples position (i + 0.5) * step - 0.5, borders repeated."""
    out = []
    for index in range(size):
        place = (index + 0.5) * step - 0.5
        base = math.floor(place)
        taps = [(base + k, cubic(place - base - k)) for k in (-1, 0, 1, 2)]
        out.append(sum(weight * line[min(max(tap, 0), len(line) - 1)] for tap, weight in taps))
    return torch.stack(out)


@torch.no_grad()
def test_positions_are_interpolated_with_the_offset(folder: Path) -> None:
    encoder = load(folder)
    table = encoder.model.embeddings.position_embeddings[0]
    by_rows = slow_resize(table[1:].view(5, 5, 32), 3, 5 / 3.1)
    expected = slow_resize(by_rows.transpose(0, 1), 2, 5 / 2.1).transpose(0, 1).reshape(6, 32)
    found = encoder._positions(torch.empty(0), 42, 28)[0]
    torch.testing.assert_close(found[1:], expected, atol=1e-5, rtol=1e-4)
    assert torch.equal(found[0], table[0])


@torch.no_grad()
def test_the_offset_matters_only_where_the_table_is_resized(folder: Path) -> None:
    ours, theirs = load(folder), load(folder, offset=0)
    assert torch.equal(ours(frames(70, 70)), theirs(frames(70, 70)))
    assert (ours(frames(28, 28)) - theirs(frames(28, 28))).abs().max() > 1e-4


def test_gradients_reach_all_but_the_mask_token() -> None:
    encoder = DinoV2Spec.model_validate(TINY).build()
    encoder(frames(28, 28)).square().sum().backward()
    idle = {name for name, parameter in encoder.named_parameters() if parameter.grad is None}
    assert idle == {"model.embeddings.mask_token"}
    assert not encoder.model.embeddings.mask_token.requires_grad


def test_fields_come_from_the_config(folder: Path) -> None:
    spec = DinoV2Spec(path=str(folder))
    assert (spec.width, spec.layers, spec.heads, spec.mlp, spec.patch, spec.image_size) == (32, 2, 4, 128, 14, 70)


def test_a_spec_that_contradicts_the_config_is_refused(folder: Path) -> None:
    with pytest.raises(CheckpointError, match=r"layers: the config says 2 \(num_hidden_layers\), the spec 3"):
        load(folder, layers=3)


def test_sides_that_are_no_multiple_of_the_patch_are_refused() -> None:
    with pytest.raises(ValueError, match="patches of 14x14 pixels do not tile 28x30 pixels"):
        DinoV2Spec.model_validate(TINY).build()(frames(28, 30))
    with pytest.raises(ValueError, match="mlp 100 is not a multiple of the width 32"):
        DinoV2Spec.model_validate({**TINY, "mlp": 100})
