"""The distillation head and its losses, against the reference implementation and slow, obvious versions."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from vlmkit.model.distillation import DistillationHead, distillation_loss, fused_layers

SEED = "pub-f"
REFERENCE = {"norm_layer.{}.0": "norms.{}", "norm_layer.{}.1": "projections.{}"}


def drawn(*key: object) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(zlib.crc32("/".join(map(str, key)).encode())))


def published_name(name: str) -> str:
    kind, *rest = name.split(".")
    if kind in ("norms", "projections"):
        return f"norm_layer.{rest[0]}.{int(kind == 'projections')}.{rest[1]}"
    return ".".join([{"from_last": "input_layer", "out": "output_layer"}[kind], *rest])


def golden_weights(head: DistillationHead) -> None:
    with torch.no_grad():
        for name, value in head.named_parameters():
            published = published_name(name)
            array = drawn(SEED, published).standard_normal(tuple(value.shape)).astype(np.float32)
            if value.ndim == 1:
                array = 0.1 * array + (1 if published.endswith("weight") else 0)
            else:
                array = array / np.sqrt(value.shape[1])
            value.copy_(torch.from_numpy(array))


def grid_patches(videos: int, frames: int, height: int, width: int) -> Tensor:
    """Frames of CLS, then rows of patches that each end in a row token."""
    row = torch.arange(width) + 1
    frame = row + torch.arange(height)[:, None] * (width + 1)
    video = frame + torch.arange(frames)[:, None, None] * (1 + height * (width + 1))
    return video.expand(videos, -1, -1, -1)


def test_reproduces_the_reference(golden: Path) -> None:
    file = np.load(golden / "distill_1x8_d64_l8.npz")
    batch, frames, width, layers, side, before, after = (int(file[k]) for k in ("B", "T", "D", "L", "h", "pre", "post"))
    tokens = frames * (1 + side * (side + 1))
    shape = (batch, before + tokens + after, layers + 1, width)
    hidden = torch.from_numpy(drawn(SEED, "hidden").standard_normal(shape).astype(np.float32)).requires_grad_()
    features = [
        drawn(SEED, "teacher", b + 1).standard_normal((frames // 4, 4, 1 + side**2, 1024)) for b in range(batch)
    ]
    target = torch.from_numpy(np.stack(features).astype(np.float32)).reshape(batch, frames, 1 + side**2, 1024)
    target = target[:, :, 1:].unflatten(2, (side, side))
    head = DistillationHead(fused_layers(layers, 4), width, 1024)
    golden_weights(head)
    columns = before + torch.arange(tokens).expand(batch, -1)
    positions = torch.stack([torch.arange(batch)[:, None].expand(-1, tokens), columns], -1)

    loss = distillation_loss(head, hidden.unbind(2), positions, grid_patches(batch, frames, side, side), target)
    loss.backward()

    assert loss.item() == pytest.approx(float(file["loss"]), abs=1e-6)
    assert hidden.grad is not None
    assert hidden.grad.norm().item() == pytest.approx(float(file["hidden_grad_norm"]), rel=1e-4)
    norms = {published_name(name): value.grad.norm().item() for name, value in head.named_parameters()
             if value.grad is not None}  # fmt: skip
    expected = dict(zip(file["grad_names"].tolist(), file["grad_norms"].tolist(), strict=True))
    assert norms == pytest.approx(expected, rel=1e-3)


def test_full_size_parameter_count() -> None:
    with torch.device("meta"):
        head = DistillationHead(fused_layers(32, 4), 4096, 1024)
    assert sum(value.numel() for value in head.parameters()) == 43_067_392


@pytest.mark.parametrize(
    ("layers", "rate", "expected"), [(32, 4, [*range(32, -1, -4)]), (4, 4, [4, 0]), (6, 4, [6, 2])]
)
def test_layers_count_from_the_last(layers: int, rate: int, expected: list[int]) -> None:
    assert fused_layers(layers, rate) == expected


class Case:
    """Two videos of two frames; the second video is letterboxed, its second frame is padding in time."""

    def __init__(self, student: tuple[int, int], teacher: tuple[int, int]) -> None:
        torch.manual_seed(0)
        self.head = DistillationHead([3, 1, 0], 8, 16, heads=4)
        self.patches = grid_patches(2, 2, *student).clone()
        self.patches[1, :, : student[0] // 2] = -1
        self.frames = torch.tensor([[True, True], [True, False]])
        tokens = 2 * (1 + student[0] * (student[1] + 1))
        self.hidden = torch.randn(4, 2, tokens + 5, 8)
        columns = torch.arange(tokens) + torch.tensor([[2], [4]])
        self.positions = torch.stack([torch.tensor([[1], [0]]).expand(-1, tokens), columns], -1)
        self.target = torch.randn(2, 2, *teacher, 16)

    def loss(self, kind: str) -> Tensor:
        return distillation_loss(
            self.head, self.hidden.unbind(0), self.positions, self.patches, self.target, kind, self.frames
        )  # type: ignore[arg-type]

    def slow(self, kind: str) -> float:
        """One place after the other."""
        (th, tw), (sh, sw) = self.target.shape[2:4], self.patches.shape[2:]
        per_frame = []
        for video, frame in [(0, 0), (0, 1), (1, 0)]:
            values = []
            for i in range(min(th, sh)):
                for j in range(min(tw, sw)):
                    ours = self.block(self.patches[video, frame], i, j, min(th, sh), min(tw, sw))
                    theirs = self.block(self.target[video, frame], i, j, min(th, sh), min(tw, sw))
                    if (ours < 0).any():
                        continue
                    where = [self.positions[video, token].tolist() for token in ours.flatten().tolist()]
                    state = torch.stack([self.hidden[:, b, s] for b, s in where]).mean(0)
                    student = self.slow_head([state[k] for k in self.head.layers])
                    values.append(self.distance(student, theirs.flatten(0, 1).mean(0), kind))
            per_frame.append(sum(values) / len(values))
        return sum(per_frame) / len(per_frame)

    @staticmethod
    def block(grid: Tensor, i: int, j: int, rows: int, columns: int) -> Tensor:
        high, wide = grid.shape[0] // rows, grid.shape[1] // columns
        return grid[i * high : (i + 1) * high, j * wide : (j + 1) * wide]

    def slow_head(self, states: Sequence[Tensor]) -> Tensor:
        z = [project(norm(x)) for project, norm, x in zip(self.head.projections, self.head.norms, states, strict=True)]
        parts = []
        for q, *keys in zip(*(layer.chunk(4) for layer in z), strict=True):
            weights = torch.stack([q @ k / 16**0.5 for k in keys]).softmax(0)
            parts.append(sum(w * k for w, k in zip(weights, keys, strict=True)))
        return self.head.from_last(states[0]) + self.head.out(torch.cat(parts))  # type: ignore[arg-type]

    @staticmethod
    def distance(ours: Tensor, theirs: Tensor, kind: str) -> float:
        if kind == "mse":
            return F.mse_loss(ours, theirs).item()
        return 1 - (ours @ theirs / (ours.norm() * theirs.norm())).item()


@pytest.mark.parametrize("kind", ["cosine", "mse"])
@pytest.mark.parametrize(("student", "teacher"), [((4, 4), (4, 4)), ((4, 6), (2, 2)), ((2, 2), (6, 4))])
def test_equals_the_slow_version(student: tuple[int, int], teacher: tuple[int, int], kind: str) -> None:
    case = Case(student, teacher)
    assert case.loss(kind).item() == pytest.approx(case.slow(kind), rel=1e-5)


def test_only_groups_that_are_all_picture_are_compared() -> None:
    case = Case((4, 4), (2, 2))
    case.patches[0, :, 0, 0] = -1
    before = case.loss("mse").item()
    case.target[0, :, 0, 0] += 100
    assert case.loss("mse").item() == before
    case.target[0, :, 0, 1] += 100
    assert case.loss("mse").item() > before


def test_nothing_to_compare_is_zero() -> None:
    case = Case((4, 4), (4, 4))
    case.patches.fill_(-1)
    case.hidden.requires_grad_()
    loss = case.loss("cosine")
    loss.backward()
    assert loss.item() == 0
    assert case.hidden.grad is not None
    assert not case.hidden.grad.any()


def test_a_frame_without_a_place_counts_as_zero() -> None:
    """So that a step's loss does not depend on how it is cut into forward passes."""
    case = Case((4, 4), (4, 4))
    of_three_frames = case.loss("mse").item()
    case.frames[1, 0] = False
    of_two = case.loss("mse").item()
    case.frames[1, 0] = True
    case.patches[1, 0] = -1
    assert case.loss("mse").item() == pytest.approx(of_two * 2 / 3)
    assert of_three_frames > of_two * 2 / 3


def test_grids_that_do_not_divide() -> None:
    with pytest.raises(ValueError, match="grid 3x3 and the aligner's 4x4"):
        Case((4, 4), (3, 3)).loss("cosine")
