"""eve against the reference implementation, and against stab without everything that looks across frames."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from vlmkit.api import VideoBatch, VideoInput, VideoShape
from vlmkit.checkpoints.formats import import_state_dict, match_name
from vlmkit_eve import vlmkit_published
from vlmkit_eve.spec import EveSpec
from vlmkit_stab.spec import StabSpec

torch.set_num_threads(1)
EVE, *_ = vlmkit_published()
SMALL = {"width": 64, "patch": 8, "input": VideoInput(size=48, multiple=16), "projector": "linear"}


def test_outputs_and_gradients(golden: Path, fill: ModuleType, tower_shapes: dict[str, tuple[int, ...]]) -> None:
    expected = np.load(golden / "eve_1x4x112.npz")
    names = expected["grad_names"].tolist()
    weights = fill.weights({name: tower_shapes[name] for name in names}, "pub-e")
    state = import_state_dict(
        "eve", {f"model.vision_tower.{name}": torch.from_numpy(value) for name, value in weights.items()}
    )
    aligner = EveSpec(projector="identity").build(1024).eval()
    aligner.load_state_dict({name.removeprefix("aligner."): value for name, value in state.items()}, strict=True)

    visual = aligner(VideoBatch.full(torch.from_numpy(fill.pixels("pub-e", 1, 4, 112, 112))))
    tokens = visual.embeddings.view(expected["tokens"].shape)
    assert np.abs(tokens.detach().numpy() - expected["tokens"]).max() <= 1e-4
    (tokens * torch.from_numpy(fill.cotangent("pub-e", tuple(tokens.shape)))).mean().backward()
    parameters = dict(aligner.named_parameters())
    assert len(parameters) == len(names)
    for name, norm in zip(names, expected["grad_norms"].tolist(), strict=True):
        gradient = parameters[match_name(EVE, name).name.removeprefix("aligner.")].grad
        assert gradient.norm().item() == pytest.approx(norm, rel=1e-3), name


def test_parameters() -> None:
    with torch.device("meta"):
        aligner = EveSpec().build(4096)
    assert sum(p.numel() for p in aligner.parameters()) == 29_982_720


def test_tokens() -> None:
    spec = EveSpec()
    assert spec.layout(spec.input.shape(448, 448)).tokens == 2184
    image = EveSpec(input=VideoInput(frames=1, size=672))
    assert image.layout(image.input.shape(1000, 1000)).tokens == 601


@pytest.mark.parametrize("downsampler", ["lsd", "avg-pool", "half-resolution"])
@pytest.mark.parametrize("row_tokens", [True, False])
def test_equals_stab_without_what_looks_across_frames(downsampler: str, row_tokens: bool) -> None:
    options = SMALL | {"downsampler": downsampler, "row_tokens": row_tokens}
    eve = EveSpec.model_validate(options).build(32).eval()
    frame_wise = StabSpec.model_validate(options | {"lste": False, "gstra": False, "cls_head": False}).build(32).eval()
    frame_wise.load_state_dict(eve.state_dict(), strict=True)
    pixels = torch.randn(2, 3, 3, 48, 48)
    video = VideoBatch(pixels, torch.tensor([[16, 32, 0, 48], [0, 48, 0, 48]]), torch.tensor([[True] * 3, [True] * 3]))
    with torch.no_grad():
        ours, theirs = eve(video), frame_wise(video)
    assert torch.equal(ours.embeddings, theirs.embeddings)
    assert torch.equal(ours.mask, theirs.mask)


def test_frames_do_not_see_each_other() -> None:
    aligner = EveSpec.model_validate(SMALL).build(32).eval()
    pixels = torch.randn(1, 3, 3, 48, 48)
    changed = pixels.clone()
    changed[:, 1] += 1
    with torch.no_grad():
        before, after = (aligner(VideoBatch.full(p)).embeddings.view(3, 13, 32) for p in (pixels, changed))
    assert [torch.equal(before[t], after[t]) for t in range(3)] == [True, False, True]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"heads": 5}, "heads is 5, which does not divide the width 64"),
        ({"patch": 10}, "not a multiple of the patch side 10"),
        ({"downsampler": {"type": "avg-pool", "window": 4}}, "do not tile"),
        ({"input": VideoInput(size=48, multiple=16, sampling="one-fps")}, "expected a fixed number"),
    ],
    ids=str,
)
def test_refused_with_the_reason(options: dict[str, object], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        EveSpec.model_validate(SMALL | options)


def test_a_video_between_patches_is_refused() -> None:
    with pytest.raises(ValueError, match="whole patches of 8 pixels"):
        EveSpec.model_validate(SMALL).layout(VideoShape(3, 48, 48, (0, 44, 0, 48), 3))
