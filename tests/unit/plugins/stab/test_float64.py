"""stab against numbers of the reference implementation in float64, with weights from a counter-based generator."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from vlmkit.api import Aligner, VideoBatch
from vlmkit.checkpoints.formats import import_state_dict
from vlmkit_stab.spec import StabSpec

Shapes = dict[str, tuple[int, ...]]


def uniform(key: int, shape: tuple[int, ...]) -> Tensor:
    """Values in [-1, 1): SplitMix64 of the element's index and the key."""
    with np.errstate(over="ignore"):
        z = np.arange(1, math.prod(shape) + 1, dtype=np.uint64) + np.uint64(1000003 * (key + 1))
        z *= np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return torch.from_numpy(2 * (z >> np.uint64(11)).astype(np.float64) / 2**53 - 1).view(shape)


def weight(key: int, name: str, shape: tuple[int, ...]) -> Tensor:
    value = uniform(key, shape)
    if name.endswith("num_batches_tracked"):
        return torch.tensor(0)
    if name.endswith("running_var"):
        return 1 + 0.5 * value
    if name.endswith("running_mean"):
        return 0.1 * value
    if len(shape) == 1 and name.endswith(".weight"):
        return 1 + 0.2 * value
    if len(shape) == 1 or name == "temporal_cls_token":
        return 0.5 * value
    return value * math.sqrt(3 / math.prod(shape[1:]))


@pytest.fixture(scope="module")
def aligner(tower_shapes: Shapes) -> Aligner:
    state = {name: weight(key, name, tower_shapes[name]) for key, name in enumerate(sorted(tower_shapes))}
    module = StabSpec(projector="identity").build(1024).double().eval()
    ours = import_state_dict("video-panda", state)
    module.load_state_dict({name.removeprefix("aligner."): value for name, value in ours.items()})
    return module


def frame(aligner: Aligner, video: VideoBatch, start: int, tokens: int, index: int = 0) -> Tensor:
    with torch.no_grad():
        return aligner(video).embeddings[index, start : start + tokens].flatten()


def check(values: Tensor, total: float, norm: float, first: list[float]) -> None:
    assert values.sum().item() == pytest.approx(total, abs=1e-7)
    assert values.norm().item() == pytest.approx(norm, abs=1e-8)
    assert values[:3].tolist() == pytest.approx(first, abs=1e-8)
    assert values[-3:].tolist() == pytest.approx([-0.3092422506, 0.0435663196, -0.2289644225], abs=1e-8)


def small(chunks: int = 1, frames: int = 4) -> VideoBatch:
    return VideoBatch.full(uniform(900, (1, chunks * frames, 3, 112, 112)))


def test_the_generator() -> None:
    assert ((uniform(0, (3,)) + 1) / 2).tolist() == pytest.approx([0.95408219, 0.53494565, 0.72273863], abs=1e-8)


def test_first_and_last_frame(aligner: Aligner) -> None:
    check(frame(aligner, small(), 0, 21), 423.6739186081, 164.2789642188, [-1.2021057392, -0.7254351669, -1.3903350837])
    check(frame(aligner, small(), 63, 21), 507.196839353, 164.9153223994, [-1.3375313701, -0.7402108518, -2.1484449502])


def test_second_chunk(aligner: Aligner) -> None:
    values = frame(aligner, small(chunks=2), 4 * 21, 21)
    check(values, 368.0723971243, 166.4781059108, [-1.0170486521, -1.0872104994, -1.4149232587])


def test_image(aligner: Aligner) -> None:
    values = frame(aligner, small(frames=1), 0, 21)
    check(values, -27.9287907751, 98.1698366495, [0.7679191562, 0.3147231300, 1.0509094246])


def test_letterbox(aligner: Aligner) -> None:
    video = small()
    video.content_box = torch.tensor([[28, 84, 0, 112]])
    values = frame(aligner, video, 0, 11)
    check(values, 174.4653935973, 120.2073399311, [-0.9626974493, -0.5144352071, -1.2562069541])


def test_frame_that_is_padding_in_time(aligner: Aligner) -> None:
    video = VideoBatch.full(uniform(901, (1, 4, 3, 448, 448)))
    video.frame_mask[0, 3] = False
    with torch.no_grad():
        tokens = aligner(video).embeddings[0]
    assert len(tokens) == 3 * 273 + 73
    check(tokens[:273].flatten(), 5174.7609847852, 651.4781219735, [-1.0100247594, -0.7912898695, -1.4753535162])
    check(tokens[-73:].flatten(), 2416.2852115634, 330.2496250384, [-1.3492096757, -0.6921767304, -1.8890492454])
