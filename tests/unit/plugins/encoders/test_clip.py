"""CLIP's and LanguageBind's towers: against transformers, the reference's outputs, and what is not computed."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from transformers import CLIPVisionConfig, CLIPVisionModel

from vlmkit.api import Encoder
from vlmkit_encoders.spec import ClipSpec, ClipVisionSpec, LanguageBindImageSpec, LanguageBindVideoSpec

TINY = {"width": 32, "layers": 3, "heads": 4, "mlp": 64, "image_size": 28}


def frames(batch: int = 2, count: int = 3, seed: int = 0) -> torch.Tensor:
    return torch.randn(batch, count, 3, 28, 28, generator=torch.Generator().manual_seed(seed))


def build(spec: ClipSpec, seed: int = 0) -> Encoder:
    torch.manual_seed(seed)
    encoder = spec.build()
    with torch.no_grad():
        for parameter in encoder.parameters():  # also biases and norms, which begin at 0 and 1
            parameter.add_(0.1 * torch.randn_like(parameter))
    return encoder


def twin(spec: ClipSpec, encoder: nn.Module) -> CLIPVisionModel:
    config = CLIPVisionConfig(
        hidden_size=spec.width,
        num_hidden_layers=spec.layers,
        num_attention_heads=spec.heads,
        intermediate_size=spec.mlp,
        image_size=spec.image_size,
        patch_size=spec.patch,
        hidden_act=spec.activation,
    )
    model = CLIPVisionModel(config).eval()
    model.load_state_dict(encoder.state_dict())
    return model


@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
@pytest.mark.parametrize("select", [-2, -1, -4, 0, 2])
def test_equals_transformers(select: int, activation: str) -> None:
    spec = ClipVisionSpec.model_validate({**TINY, "select": select, "activation": activation})
    encoder, pixels = build(spec), frames()
    with torch.no_grad():
        expected = twin(spec, encoder)(pixels.flatten(0, 1), output_hidden_states=True).hidden_states[select]
        found = encoder(pixels)
    torch.testing.assert_close(found, expected.unflatten(0, (2, 3)), atol=1e-5, rtol=1e-5)


def test_gradients_equal_transformers() -> None:
    spec = ClipVisionSpec.model_validate({**TINY, "select": -1})
    encoder, pixels = build(spec), frames()
    model = twin(spec, encoder)
    weights = torch.randn(2, 3, 5, 32, generator=torch.Generator().manual_seed(1))
    (encoder(pixels) * weights).sum().backward()
    (model(pixels.flatten(0, 1)).last_hidden_state.unflatten(0, (2, 3)) * weights).sum().backward()
    expected = dict(model.named_parameters())
    for name, parameter in encoder.named_parameters():
        if parameter.requires_grad:
            torch.testing.assert_close(parameter.grad, expected[name].grad, atol=1e-4, rtol=1e-4)


def test_languagebind_image_is_clip_of_datacomp() -> None:
    spec = LanguageBindImageSpec.model_validate(TINY)
    assert spec.activation == "gelu"
    assert torch.equal(
        build(spec)(frames()), build(ClipVisionSpec.model_validate({**TINY, "activation": "gelu"}))(frames())
    )


def test_languagebind_video_reproduces_the_reference(golden: Path) -> None:
    fill = runpy.run_path(str(golden / "fill.py"))
    reference = np.load(golden / "languagebind_1x4x56.npz")
    spec = LanguageBindVideoSpec.model_validate(
        {
            "width": int(reference["H"]),
            "layers": int(reference["L"]),
            "heads": int(reference["heads"]),
            "mlp": int(reference["mlp"]),
            "frames": int(reference["T"]),
            "image_size": int(reference["px"]),
            "activation": str(reference["act"]),
        }
    )
    encoder = spec.build()
    shapes = {name: tuple(tensor.shape) for name, tensor in encoder.state_dict().items()}
    assert sorted(shapes) == sorted(reference["names"].tolist())
    encoder.load_state_dict({name: torch.from_numpy(x) for name, x in fill["weights"](shapes, "pub-g").items()})
    with torch.no_grad():
        found = encoder(torch.from_numpy(fill["pixels"]("pub-g", 1, 4, 56, 56)))
    np.testing.assert_allclose(found.numpy(), reference["hidden_minus_2"], atol=1e-4, rtol=0)


def slow_temporal_step(layer: Any, x: torch.Tensor) -> torch.Tensor:
    """(T, N, C): the temporal half of a block, one position and one head at a time."""
    out = torch.empty_like(x)
    attention, heads = layer.temporal_attn, layer.temporal_attn.heads
    for position in range(x.shape[1]):
        tube = x[:, position] + (layer.temporal_embedding[0, : len(x)] if len(x) > 1 else 0)
        y = layer.temporal_layer_norm1(tube)
        q, k, v = attention.q_proj(y), attention.k_proj(y), attention.v_proj(y)
        side = y.shape[-1] // heads
        parts = []
        for head in range(heads):
            cut = slice(head * side, (head + 1) * side)
            weights = (q[:, cut] @ k[:, cut].T / side**0.5).softmax(-1)
            parts.append(weights @ v[:, cut])
        out[:, position] = tube + attention.out_proj(torch.cat(parts, -1))
    return out


@pytest.mark.parametrize("count", [1, 3, 4])
def test_time_attention_equals_the_slow_version(count: int) -> None:
    spec = LanguageBindVideoSpec.model_validate({**TINY, "frames": 4})
    encoder: Any = build(spec)
    pixels = frames(2, count)
    with torch.no_grad():
        found = encoder(pixels)
        for video, result in zip(pixels, found, strict=True):
            x = encoder.pre_layrnorm(encoder.embeddings(video))
            for layer in encoder.encoder.layers[: spec.depth]:
                x = slow_temporal_step(layer, x)
                x = x + layer.self_attn(layer.layer_norm1(x))
                x = x + layer.mlp(layer.layer_norm2(x))
            torch.testing.assert_close(result, x, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("spec", [ClipVisionSpec.model_validate(TINY), LanguageBindVideoSpec.model_validate(TINY)])
def test_gradients_reach_what_trains_and_nothing_else(spec: ClipSpec) -> None:
    encoder = build(spec)
    encoder(frames()).square().sum().backward()
    reached = {name for name, parameter in encoder.named_parameters() if parameter.grad is not None}
    assert reached == {name for name, parameter in encoder.named_parameters() if parameter.requires_grad}
    idle = {name for name, parameter in encoder.named_parameters() if not parameter.requires_grad}
    assert {name.split(".")[0] for name in idle} == {"encoder", "post_layernorm"}
    assert all(name.startswith(("encoder.layers.2.", "post_layernorm.")) for name in idle)


def test_idle_weights_do_not_matter() -> None:
    encoder: Any = build(ClipVisionSpec.model_validate(TINY))
    before = encoder(frames())
    with torch.no_grad():
        for parameter in encoder.parameters():
            if not parameter.requires_grad:
                parameter.fill_(float("nan"))
    assert torch.equal(encoder(frames()), before)


def test_initialization_follows_the_table() -> None:
    torch.manual_seed(0)
    encoder = LanguageBindVideoSpec.model_validate({**TINY, "width": 256, "mlp": 512}).build()
    state = encoder.state_dict()
    deep = (256 * 6) ** -0.5
    for name, std in {
        "embeddings.class_embedding": 1 / 16,
        "embeddings.patch_embedding.weight": 0.02,
        "encoder.layers.1.temporal_embedding": 1 / 16,
        "encoder.layers.1.temporal_attn.q_proj.weight": deep,
        "encoder.layers.1.self_attn.out_proj.weight": 1 / 16,
        "encoder.layers.1.mlp.fc1.weight": 512**-0.5,
        "encoder.layers.1.mlp.fc2.weight": deep,
    }.items():
        assert state[name].std().item() == pytest.approx(std, rel=0.15), name
    assert (state["encoder.layers.0.mlp.fc1.bias"] == 0).all()


def test_frames_of_another_size_are_refused_with_both_sizes() -> None:
    encoder = build(ClipVisionSpec.model_validate(TINY))
    with pytest.raises(ValueError, match=r"28x28 pixels .*found 42x28"):
        encoder(torch.zeros(1, 1, 3, 42, 28))


def test_too_many_frames_are_refused_with_both_numbers() -> None:
    encoder = build(LanguageBindVideoSpec.model_validate({**TINY, "frames": 2}))
    with pytest.raises(ValueError, match=r"holds 2 frames .*found videos of 3"):
        encoder(frames())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heads": 5}, "heads is 5, which does not divide the width 32"),
        ({"patch": 16}, "image_size 28 is not a multiple of the patch side 16"),
        ({"select": -5}, "select -5 is not one of the 4 hidden states of 3 layers"),
        ({"select": 4}, "select 4 is not one of the 4 hidden states of 3 layers"),
    ],
)
def test_specs_that_make_no_sense_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ClipVisionSpec.model_validate({**TINY, **options})
