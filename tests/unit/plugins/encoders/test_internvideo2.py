"""InternVideo2's tower against a slow version that is written out head by head."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from vlmkit.api import CheckpointError
from vlmkit_encoders.spec import InternVideo2Spec

TINY = {"width": 24, "layers": 3, "heads": 3, "mlp": 40, "image_size": 28, "frames": 4}


def build(**options: Any) -> Any:
    torch.manual_seed(0)
    encoder = InternVideo2Spec.model_validate({**TINY, **options}).build()
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return encoder


def clip(count: int = 4) -> Tensor:
    return torch.randn(2, count, 3, 28, 28, generator=torch.Generator().manual_seed(1))


def rms(x: Tensor, weight: Tensor) -> Tensor:
    return x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt() * weight


def gelu(x: Tensor, tanh: bool) -> Tensor:
    if tanh:
        return x / 2 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return x / 2 * (1 + torch.erf(x / math.sqrt(2)))


def slow(state: dict[str, Tensor], pixels: Tensor, depth: int, heads: int = 3, tanh: bool = False) -> Tensor:
    """(T, 3, 28, 28) of one video -> (1 + T*4, C)."""
    kernel = state["patch_embed.proj.weight"].flatten(1)
    tokens = [state["cls_token"][0, 0]]
    for frame in pixels:
        for row in range(2):
            for column in range(2):
                patch = frame[:, 14 * row : 14 * row + 14, 14 * column : 14 * column + 14].flatten()
                tokens.append(kernel @ patch + state["patch_embed.proj.bias"])
    x = torch.stack(tokens) + state["pos_embed"][0]
    side = x.shape[1] // heads
    for index in range(depth):
        block = {name.split(".", 2)[2]: value for name, value in state.items() if name.startswith(f"blocks.{index}.")}
        y = rms(x, block["norm1.weight"])
        q, k, v = (y @ weight.T for weight in block["attn.qkv.weight"].chunk(3))
        q, k = rms(q, block["attn.q_norm.weight"]), rms(k, block["attn.k_norm.weight"])
        mixed = torch.empty_like(v)
        for head in range(heads):
            cut = slice(head * side, head * side + side)
            mixed[:, cut] = (q[:, cut] @ k[:, cut].T / math.sqrt(side)).softmax(-1) @ v[:, cut]
        x = x + block["ls1.gamma"] * (mixed @ block["attn.proj.weight"].T + block["attn.proj.bias"])
        y = gelu(rms(x, block["norm2.weight"]) @ block["mlp.fc1.weight"].T + block["mlp.fc1.bias"], tanh)
        x = x + block["ls2.gamma"] * (y @ block["mlp.fc2.weight"].T + block["mlp.fc2.bias"])
    return x


@pytest.mark.parametrize(("select", "depth"), [(-1, 3), (-2, 2), (0, 1)])
@pytest.mark.parametrize("activation", ["gelu", "gelu_tanh"])
@torch.no_grad()
def test_equals_the_slow_version(select: int, depth: int, activation: str) -> None:
    encoder = build(select=select, activation=activation)
    found = encoder(clip())
    for video, result in zip(clip(), found, strict=True):
        expected = slow(encoder.state_dict(), video, depth, tanh=activation == "gelu_tanh")
        torch.testing.assert_close(result[:, 1:].flatten(0, 1), expected[1:], atol=2e-5, rtol=1e-4)
        torch.testing.assert_close(result[:, 0], expected[:1].expand(4, -1), atol=2e-5, rtol=1e-4)


@torch.no_grad()
def test_positions_of_other_lengths_are_linear_in_time() -> None:
    encoder = build()
    table = encoder.pos_embed[0, 1:].view(4, 4, 24)
    first, second = (table[0] + table[1]) / 2, (table[2] + table[3]) / 2  # frame centers 0.5 and 2.5 of 0..3
    torch.testing.assert_close(encoder._positions(2)[0, 1:], torch.cat([first, second]))
    assert torch.equal(encoder._positions(2)[0, 0], encoder.pos_embed[0, 0])
    assert encoder(clip(2)).shape == (2, 2, 5, 24)


def test_gradients_reach_what_trains_and_nothing_else() -> None:
    encoder = build(select=-2)
    encoder(clip()).square().sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.requires_grad == (not name.startswith("blocks.2."))
        assert (parameter.grad is not None) == parameter.requires_grad, name


def test_frames_of_another_size_are_refused_with_both_sizes() -> None:
    with pytest.raises(ValueError, match=r"28x28 pixels .*found 28x42"):
        build()(torch.zeros(1, 4, 3, 28, 42))


def test_loads_the_vision_encoder_of_a_published_file(tmp_path: Path) -> None:
    original = build()
    published = {f"vision_encoder.{name}": tensor for name, tensor in original.state_dict().items()}
    published |= {
        "vision_encoder.clip_projector.norm1_q.weight": torch.ones(3),
        "vision_encoder.clip_pos_embed": torch.ones(3),
    }
    published |= {"text_encoder.weight": torch.ones(3), "temp": torch.ones(())}
    file = tmp_path / "stage2.pt"
    torch.save({"module": published}, file)
    loaded = InternVideo2Spec.model_validate({**TINY, "path": str(file)}).build()
    loaded.load_pretrained()
    with torch.no_grad():
        assert torch.equal(loaded(clip()), original(clip()))


def test_a_table_for_other_frames_is_refused_with_both_shapes(tmp_path: Path) -> None:
    file = tmp_path / "stage2.pt"
    torch.save(build().state_dict(), file)
    encoder = InternVideo2Spec.model_validate({**TINY, "frames": 8, "path": str(file)}).build()
    with pytest.raises(CheckpointError, match=r"pos_embed: expected \(1, 33, 24\), found \(1, 17, 24\)"):
        encoder.load_pretrained()
