"""The aligner eve-v2 against the reference implementation, and with videos of different sides."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from vlmkit.api import VideoBatch, VideoInput
from vlmkit_eve.eve_v2_aligner import EveV2AlignerSpec

torch.set_num_threads(1)


def test_tokens_are_the_references(golden: Path, fill: ModuleType) -> None:
    expected = np.load(golden / "evev2_2x64x96.npz")
    shapes = dict(zip(expected["names"].tolist(), expected["shapes"].tolist(), strict=True))
    prefix = "model.vision_tower."
    names = {name: tuple(map(int, shape.split("x"))) for name, shape in shapes.items() if name.startswith(prefix)}
    weights = {name: torch.from_numpy(value) for name, value in fill.weights(names, "pub-r").items()}
    aligner = EveV2AlignerSpec(width=int(expected["patch_width"])).build(int(expected["llm_width"])).eval()
    aligner.load_state_dict({name.removeprefix(prefix): value for name, value in weights.items()}, strict=True)
    tokens = aligner(VideoBatch.full(torch.from_numpy(fill.pixels("pub-r", 1, 2, 64, 96)))).embeddings
    assert np.abs(tokens.detach().numpy().reshape(expected["tokens"].shape) - expected["tokens"]).max() <= 2e-5


def test_parameters() -> None:
    with torch.device("meta"):
        aligner = EveV2AlignerSpec().build(3584)
    assert sum(p.numel() for p in aligner.parameters()) == 15_478_272


def test_tokens_of_a_picture_as_published() -> None:
    trained = EveV2AlignerSpec.model_validate({"input": {"frames": 1, "size": 1600}})
    answers = EveV2AlignerSpec.model_validate({"input": {"frames": 1, "size": 1600, "enlarge": True}})
    found = [spec.layout(spec.input.shape(320, 240)).tokens for spec in (trained, answers)]
    assert found == [1 + 8 * (10 + 1), 1 + 44 * (58 + 1)] == [89, 2597]


def test_what_lies_outside_of_the_pictures_changes_nothing() -> None:
    aligner = EveV2AlignerSpec.tiny().build(12).eval()
    pixels = torch.randn(2, 2, 3, 24, 40)
    video = VideoBatch(
        pixels, torch.tensor([[0, 24, 0, 16], [0, 8, 0, 40]]), torch.tensor([[True, True], [True, False]])
    )
    changed = pixels.clone()
    changed[0, :, :, :, 16:] = 7
    changed[1, :, :, 8:] = 7
    changed[1, 1] = 7
    with torch.no_grad():
        before = aligner(video)
        after = aligner(VideoBatch(changed, video.content_box, video.frame_mask))
        alone = aligner(VideoBatch.full(pixels[1:, :1, :, :8]))
    assert torch.equal(before.embeddings, after.embeddings)
    assert before.mask.sum(1).tolist() == [2 * (1 + 3 * 3), 1 + 1 * 6]
    torch.testing.assert_close(before.embeddings[1, :7], alone.embeddings[0], atol=1e-6, rtol=0)


def test_half_precision_by_autocast() -> None:
    aligner = EveV2AlignerSpec.tiny().build(12).eval()
    video = VideoBatch.full(torch.randn(1, 2, 3, 16, 24))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        lower = aligner(video).embeddings
    with torch.no_grad():
        torch.testing.assert_close(lower.float(), aligner(video).embeddings, atol=0.05, rtol=0.05)


def test_sides_between_cells_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"input.multiple 16 is not a multiple of the patch side 32"):
        EveV2AlignerSpec.model_validate({"input": {"multiple": 16}})
    with pytest.raises(ValidationError, match=r"input.size 80 is not a multiple of the patch side 32"):
        EveV2AlignerSpec(input=VideoInput(fit="crop", size=80))
