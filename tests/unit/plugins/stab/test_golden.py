"""stab against the outputs and gradients of the reference implementation."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np
import pytest
import torch

from vlmkit.api import VideoBatch
from vlmkit.checkpoints.formats import import_state_dict, match_name
from vlmkit_stab import vlmkit_published
from vlmkit_stab.spec import StabSpec

Shapes = dict[str, tuple[int, ...]]
PROJECTOR: Shapes = {
    "video_projector.0.weight": (256, 1024),
    "video_projector.0.bias": (256,),
    "video_projector.2.weight": (256, 256),
    "video_projector.2.bias": (256,),
}


class Case(NamedTuple):
    """One golden file. The reference counts chunks of 4 frames; `videos` says how they are shared out here."""

    file: str
    seed: str
    chunks: int
    frames: int
    pixels: int
    videos: int
    rows: tuple[int, int] | None = None
    projected: bool = False


CASES = [
    Case("stab_video_1x4x112", "pub-a", 1, 4, 112, 1),
    Case("stab_video_2x4x112_wide", "pub-b", 2, 4, 112, 2, rows=(28, 84)),
    Case("stab_video_2x4x112_wide", "pub-b", 2, 4, 112, 1, rows=(28, 84)),
    Case("stab_image_2x1x112", "pub-c", 2, 1, 112, 2),
    Case("stab_video_1x4x84_projected", "pub-d", 1, 4, 84, 1, projected=True),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.file}-as-{case.videos}")
def test_outputs_and_gradients(case: Case, golden: Path, fill: ModuleType, tower_shapes: Shapes) -> None:
    expected = np.load(golden / f"{case.file}.npz")
    names = fill.weights(tower_shapes | (PROJECTOR if case.projected else {}), case.seed)
    published = {
        ("model." if name.startswith("video_projector") else "model.video_tower.") + name: torch.from_numpy(value)
        for name, value in names.items()
    }
    spec = StabSpec(projector="mlp2x_gelu" if case.projected else "identity")
    aligner = spec.build(256 if case.projected else 1024).eval()
    state = import_state_dict("video-panda", published)
    aligner.load_state_dict({name.removeprefix("aligner."): value for name, value in state.items()}, strict=True)

    pixels = torch.from_numpy(fill.pixels(case.seed, case.chunks, case.frames, case.pixels, case.pixels))
    video = VideoBatch.full(pixels.view(case.videos, -1, *pixels.shape[2:]))
    if case.rows:
        video.content_box = torch.tensor([[*case.rows, 0, case.pixels]] * case.videos)
    visual = aligner(video)
    tokens = visual.embeddings.view(expected["tokens"].shape)

    assert visual.mask.all()
    assert np.abs(tokens.detach().numpy() - expected["tokens"]).max() <= 1e-4
    cotangent = torch.from_numpy(fill.cotangent(case.seed, tuple(tokens.shape)))
    (tokens * cotangent).mean().backward()
    parameters = dict(aligner.named_parameters())
    [video_panda] = vlmkit_published()
    for name, norm in zip(expected["grad_names"].tolist(), expected["grad_norms"].tolist(), strict=True):
        gradient = parameters[match_name(video_panda, name).name.removeprefix("aligner.")].grad
        assert gradient is not None, name
        assert gradient.norm().item() == pytest.approx(norm, rel=1e-3), name
