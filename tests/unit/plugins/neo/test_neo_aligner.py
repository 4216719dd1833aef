"""The aligner neo against the reference implementation, its pictures together on one canvas."""

from __future__ import annotations

import math
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from vlmkit.api import VideoBatch
from vlmkit_neo.neo_aligner import NeoAlignerSpec

torch.set_num_threads(1)
PREFIX = "vision_model.embeddings."


@pytest.mark.parametrize("name", ["neo_2_images", "neo_3_frames"])
def test_tokens_are_the_references(golden: Path, fill: ModuleType, name: str) -> None:
    expected = np.load(golden / f"{name}.npz")
    seed, sizes = str(expected["seed"]), expected["sizes"].tolist()
    shapes = dict(zip(expected["names"].tolist(), expected["shapes"].tolist(), strict=True))
    names = {name: tuple(map(int, shape.split("x"))) for name, shape in shapes.items() if name.startswith(PREFIX)}
    weights = {name: torch.from_numpy(value) for name, value in fill.weights(names, seed).items()}
    spec = NeoAlignerSpec(width=int(expected["patch_width"]), theta=float(expected["rope_theta_vision"]))
    aligner = spec.build(int(expected["llm_width"])).eval()
    aligner.load_state_dict({name.removeprefix(PREFIX): value for name, value in weights.items()}, strict=True)

    pixels, boxes = torch.randn(len(sizes), 1, 3, 128, 128), []
    for number, (height, width) in enumerate(sizes):
        image = torch.from_numpy(fill.pixels(f"{seed}/{number}", 1, 1, height, width))[0]
        pixels[number, :, :, 32 : 32 + height, :width] = image
        boxes.append([32, 32 + height, 0, width])
    visual = aligner(VideoBatch(pixels, torch.tensor(boxes), torch.ones(len(sizes), 1, dtype=torch.bool)))
    tokens = visual.embeddings[visual.mask].detach().numpy()
    assert np.abs(tokens - expected["tokens"]).max() <= 2e-5


@pytest.mark.parametrize(("llm_width", "count"), [(2048, 9_178_112), (4096, 17_568_768)])
def test_parameters(llm_width: int, count: int) -> None:
    with torch.device("meta"):
        aligner = NeoAlignerSpec().build(llm_width)
    assert sum(p.numel() for p in aligner.parameters()) == count


def test_tokens_of_a_frame_as_published() -> None:
    spec = NeoAlignerSpec()
    assert spec.layout(spec.input.shape(640, 360, 1)).tokens == 220
    assert spec.layout(spec.input.shape(640, 360, 3)).tokens == 660


def test_each_frame_stands_in_a_line_with_its_time() -> None:
    spec = NeoAlignerSpec()
    assert spec.wrap([0.0, 59.999, 3725.5]) == (
        "[00:00.00]:<img><video></img>\n[01:00.00]:<img><video></img>\n[62:05.50]:<img><video></img>"
    )
    assert spec.wrap([math.nan]) == "<img><video></img>"
    assert spec.layout(spec.input.shape(640, 360, 3)).lengths == (220, 220, 220)


def test_a_line_before_the_frames() -> None:
    spec = NeoAlignerSpec(opening="{begin} to {end}: {frames} frames, {rate} in a second.", times=False)
    assert spec.wrap([1.5, 3.5, 61.5]).splitlines() == [
        "00:01.50 to 01:01.50: 3 frames, 0.03333 in a second.", *["<img><video></img>"] * 3
    ]  # fmt: skip
    assert spec.wrap([math.nan] * 2) == "\n".join(["<img><video></img>"] * 2)
    assert spec.wrap([2.0]) == "<img><video></img>"


@pytest.mark.parametrize(("opening", "found"), [("{fps} frames", "{fps}, expected {begin}"), ("a <video>", "<video>")])
def test_openings_that_will_not_do(opening: str, found: str) -> None:
    with pytest.raises(ValidationError, match=f"holds {found}"):
        NeoAlignerSpec(opening=opening)


def test_videos_of_different_length_and_sides_go_together() -> None:
    aligner = NeoAlignerSpec.tiny().build(12).eval()
    long, short = torch.randn(1, 2, 3, 16, 24), torch.randn(1, 1, 3, 32, 8)
    pixels = torch.zeros(2, 2, 3, 32, 24)
    pixels[:1, :, :, :16], pixels[1:, :1, :, :, :8] = long, short
    boxes, frames = torch.tensor([[0, 16, 0, 24], [0, 32, 0, 8]]), torch.tensor([[True, True], [True, False]])
    with torch.no_grad():
        together = aligner(VideoBatch(pixels, boxes, frames))
        each = [aligner(VideoBatch.full(video)).embeddings[0] for video in (long, short)]
    assert together.mask.sum(1).tolist() == [2 * 2 * 3, 4 * 1]
    for found, alone in zip(together.embeddings, each, strict=True):
        torch.testing.assert_close(found[: len(alone)], alone, atol=1e-6, rtol=0)
        assert not found[len(alone) :].any()


def test_theta_and_place_matter() -> None:
    torch.manual_seed(0)
    specs = [NeoAlignerSpec.tiny().model_copy(update={"theta": theta}) for theta in (10000.0, 1000.0)]
    first, second = (spec.build(12).eval() for spec in specs)
    second.load_state_dict(first.state_dict())
    cell = torch.randn(1, 1, 3, 8, 8).repeat(1, 1, 1, 2, 2)
    with torch.no_grad():
        tokens, others = (aligner(VideoBatch.full(cell)).embeddings[0] for aligner in (first, second))
    assert torch.equal(tokens[0], others[0]) is False
    assert not torch.allclose(tokens[1], tokens[2], atol=1e-3), "a row and a column turn different channels"


def test_odd_widths_are_refused() -> None:
    with pytest.raises(ValidationError, match="width is 18, expected a multiple of 4"):
        NeoAlignerSpec(width=18)
