"""EVA-CLIP's and UMT's towers against the references' outputs, and their published files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate, layer_norm

from vlmkit.api import CheckpointError
from vlmkit_encoders.eva_umt import EvaClipSpec, UmtSpec

TINY: dict[str, Any] = {"width": 32, "layers": 3, "heads": 4, "mlp": 64, "patch": 14, "image_size": 28}


def built(spec: EvaClipSpec | UmtSpec) -> Any:
    torch.manual_seed(0)
    encoder = spec.build()
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return encoder


def clip(count: int = 3, side: int = 28) -> Tensor:
    return torch.randn(2, count, 3, side, side, generator=torch.Generator().manual_seed(1))


def part(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


@torch.no_grad()
def test_eva_clip_reproduces_the_reference(golden_file: Any) -> None:
    case = golden_file("qformer_image_2x56")
    sizes = {name: case[name] for name in ("width", "layers", "heads", "mlp")}
    encoder, state = EvaClipSpec(**sizes, image_size=56).build(), case.checkpoint()
    encoder.load_state_dict(part(state, "visual_encoder."))
    found = encoder(case.pixels())[:, 0]
    norm = part(state, "ln_vision.")
    case.check("encoder", layer_norm(found, found.shape[-1:], norm["weight"], norm["bias"]))


@pytest.mark.parametrize("name", ["videochat2_2x4x224", "videochat2_1x8x224", "videochat2_image_2x1x224"])
@torch.no_grad()
def test_umt_reproduces_the_reference(golden_file: Any, name: str) -> None:
    case = golden_file(name)
    spec = UmtSpec(width=case["width"], heads=case["heads"], layers=case["blocks"], mlp=256, patch=case["patch"])
    encoder: Any = spec.build()
    encoder.load_state_dict(part(case.checkpoint(), "vision_encoder.encoder."))
    case.check("positions", encoder.table(case["T"], (4, 4)).flatten(0, 1))
    case.check("encoder", encoder(case.pixels()))


@pytest.mark.parametrize(("name", "frames", "side"), [("frames4", 4, 14), ("frames8", 8, 14), ("frames16", 16, 14),
                                                      ("frames8_side20", 8, 20)])  # fmt: skip
def test_positions_at_full_size(shared: Path, name: str, frames: int, side: int) -> None:
    expected = np.load(shared / "golden" / "umt_positions.npz")
    found = UmtSpec(layers=1).build().table(frames, (side, side)).flatten(0, 1)  # type: ignore[operator]
    assert np.abs(found[:, expected["columns"]].numpy() - expected[name]).max() <= 1e-6


@torch.no_grad()
def test_frames_of_umt_see_each_other_and_those_of_eva_do_not() -> None:
    changed = clip()
    changed[:, 2] += 1
    for spec, same in ((EvaClipSpec(**TINY), True), (UmtSpec(**TINY), False)):
        encoder = built(spec)
        assert torch.equal(encoder(clip())[:, :2], encoder(changed)[:, :2]) is same


@torch.no_grad()
def test_eva_reads_the_published_file_at_another_size(tmp_path: Path) -> None:
    """Later blocks and heads are left out; the position table is interpolated, CLS apart."""
    original = built(EvaClipSpec(**TINY))
    state = original.state_dict()
    unused = ("blocks.3.norm1.weight", "blocks.10.norm1.weight", "fc_norm.weight", "head.bias")
    torch.save({**state, **dict.fromkeys(unused, torch.ones(2))}, tmp_path / "eva_vit_g.pth")
    loaded: Any = EvaClipSpec(**{**TINY, "image_size": 56, "path": str(tmp_path)}).build()
    loaded.load_pretrained()
    grid = state["pos_embed"][:, 1:].view(1, 2, 2, 32).permute(0, 3, 1, 2)
    wide = interpolate(grid, size=(4, 4), mode="bicubic").flatten(2).transpose(1, 2)
    assert torch.equal(loaded.pos_embed, torch.cat([state["pos_embed"][:, :1], wide], 1))
    assert torch.equal(loaded.blocks[2].mlp.fc2.weight, original.blocks[2].mlp.fc2.weight)


@pytest.mark.parametrize("prefix", ["", "encoder.", "vision_encoder.encoder."])
@torch.no_grad()
def test_umt_reads_published_files(tmp_path: Path, prefix: str) -> None:
    original = built(UmtSpec(**TINY))
    state = {f"{prefix}{name}": value for name, value in original.state_dict().items()}
    state |= {f"{prefix}blocks.3.attn.q_bias": torch.ones(2), f"{prefix}norm.weight": torch.ones(2)}
    if prefix:
        state["qformer.bert.embeddings.LayerNorm.weight"] = torch.ones(2)
    file = tmp_path / "l16_25m.pth"
    torch.save({"model": state}, file)
    loaded = UmtSpec(**TINY, path=str(file)).build()
    loaded.load_pretrained()
    assert torch.equal(loaded(clip()), original(clip()))


@pytest.mark.parametrize("spec", [EvaClipSpec, UmtSpec])
def test_files_that_do_not_fit_are_refused(tmp_path: Path, spec: type[EvaClipSpec | UmtSpec]) -> None:
    state = built(spec(**TINY)).state_dict()
    encoder = spec(**TINY, path=str(tmp_path / "weights.pth")).build()
    del state["blocks.1.attn.q_bias"]
    torch.save(state, tmp_path / "weights.pth")
    with pytest.raises(CheckpointError, match=r"missing: blocks\.1\.attn\.q_bias \(32,\)"):
        encoder.load_pretrained()
    torch.save({**state, "other": torch.ones(1)}, tmp_path / "weights.pth")
    with pytest.raises(CheckpointError, match="unexpected: other"):
        encoder.load_pretrained()


def test_initialization_follows_the_tables() -> None:
    torch.manual_seed(0)
    wide = {**TINY, "width": 256, "mlp": 512}
    eva = EvaClipSpec(**wide).build().state_dict()
    for name, std in {"cls_token": 0.02, "blocks.2.mlp.fc1.weight": 0.02, "blocks.2.attn.proj.weight": 0.02 / 6**0.5,
                      "blocks.0.mlp.fc2.weight": 0.02 / 2**0.5}.items():  # fmt: skip
        assert eva[name].std().item() == pytest.approx(std, rel=0.15), name
    umt = UmtSpec(**wide).build().state_dict()
    assert umt["blocks.1.mlp.fc1.weight"].abs().max().item() == pytest.approx((6 / 768) ** 0.5, rel=0.01)
    assert not any(value.any() for name, value in (eva | umt).items() if name.startswith("blocks") and "bias" in name
                   and "norm" not in name)  # fmt: skip


def test_frames_of_another_size_are_refused_with_both_sizes() -> None:
    with pytest.raises(ValueError, match=r"28x28 pixels .*found 42x28"):
        built(EvaClipSpec(**TINY))(torch.zeros(1, 1, 3, 42, 28))
    with pytest.raises(ValueError, match="14x14 pixels do not tile 40x28"):
        built(UmtSpec(**TINY))(torch.zeros(1, 1, 3, 40, 28))
    assert built(UmtSpec(**TINY))(torch.zeros(1, 2, 3, 42, 28)).shape == (1, 2, 6, 32)
