"""Distillation of a teacher's features into the LLM's hidden states of the visual tokens (Video-Panda's compressor).

Shape letters: B sequences, S positions, V videos, T frames, h w student grid, N visual tokens of a video, P compared
places, K fused layers, D LLM width, C teacher width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vlmkit.api.backbone import BackboneSpec
from vlmkit.spec.checks import check_grids
from vlmkit.spec.experiment import DistillationSpec

__all__ = ["DISTILLATION", "DistillationHead", "build_head", "distillation_loss", "fused_layers"]

DISTILLATION = "distillation.safetensors"
"""File of a published head, beside the model: it is a part of the training."""


def fused_layers(layers: int, rate: int) -> list[int]:
    """Return indices into the L + 1 hidden states of an LLM with L layers: 32 at rate 4 -> [32, 28, …, 0]."""
    return list(range(layers, -1, -rate))


def build_head(spec: DistillationSpec, backbone: BackboneSpec) -> DistillationHead:
    """Return the head that `spec` describes, for this LLM. Freshly initialized from torch's random state."""
    layers = fused_layers(backbone.layers, spec.layer_rate)
    return DistillationHead(layers, backbone.width, spec.teacher.width, spec.heads)


class DistillationHead(nn.Module):
    """Fuses hidden states of several LLM layers into one feature of the teacher's width.

    z_k = projections[k](norms[k](hidden state of layers[k])); z_0, of the last layer, asks by attention which of the
    other layers z_1 … z_(K-1) to take; the answer is added to a projection of the last layer. Queries, keys and values
    are the z themselves. Scale C^-0.5 over all heads, as released (arXiv:2412.18609, `VideoCompressor`).

    Initialization: torch's defaults for LayerNorm and Linear.
    """

    def __init__(self, layers: Sequence[int], llm_width: int, width: int, heads: int = 8) -> None:
        super().__init__()
        if len(layers) < 2:
            raise ValueError(f"expected at least two layers to fuse, found {list(layers)}; lower the layer rate")
        if width % heads:
            raise ValueError(f"{heads} heads do not divide the teacher's width {width}")
        self.layers = tuple(layers)
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(llm_width) for _ in layers)
        self.projections = nn.ModuleList(nn.Linear(llm_width, width, bias=False) for _ in layers)
        self.from_last = nn.Linear(llm_width, width)
        self.out = nn.Linear(width, width)

    def forward(self, hidden: Sequence[Tensor]) -> Tensor:
        """K hidden states (P, D), in the order of `layers` -> (P, C)."""
        pairs = zip(self.projections, self.norms, hidden, strict=True)
        z_PKC = torch.stack([project(norm(x)) for project, norm, x in pairs], dim=1)
        width = z_PKC.shape[-1]
        z_PKHc = z_PKC.unflatten(-1, (self.heads, width // self.heads))
        query, keys = z_PKHc[:, 0], z_PKHc[:, 1:]
        weights_PKH = (torch.einsum("phc,pkhc->pkh", query, keys) * width**-0.5).softmax(1)
        fused_PC = torch.einsum("pkh,pkhc->phc", weights_PKH, keys).flatten(1)
        return self.from_last(hidden[0]) + self.out(fused_PC)


def distillation_loss(
    head: DistillationHead,
    hidden_states: Sequence[Tensor],
    positions: Tensor,
    patches: Tensor,
    target: Tensor,
    loss: Literal["cosine", "mse"] = "cosine",
    frames: Tensor | None = None,
) -> Tensor:
    """Return how far the hidden states of the patches' tokens are from the teacher's features.

    The mean over the compared places of a frame, 0 where it has none, then over the frames. Only places where there is
    picture are compared. Where the student's grid is the finer one, its hidden states are averaged over each
    teacher cell that is all picture; where the teacher's is, its features are averaged over each student cell.

    Args:
        head: fuses the layers.
        hidden_states: L + 1 of (B, S, D), the embeddings first.
        positions: (V, N, 2) int64: row and column of each visual token among B and S (`VideoLMOutput.positions`).
        patches: (V, T, h, w) int64: the token of each cell, -1 where there is no picture (`VisualTokens.patches`).
        target: (V, T, h', w', C) the teacher's features of the whole canvas; one grid divides the other.
        loss: `cosine`: 1 - cosine similarity; `mse`: mean squared error, unnormalized.
        frames: (V, T) bool: False where a frame is padding in time; None: none is.

    Returns:
        () float32; exactly 0, without gradient of the LLM, where nothing can be compared.
    """
    if frames is not None:
        patches = patches.masked_fill(~frames.to(patches.device)[..., None, None], -1)
    places, target = _match_grids(patches, target)
    valid_VThw = (places >= 0).all(-1)
    video, frame, *_ = valid_VThw.nonzero(as_tuple=True)
    where_PG2 = positions[video[:, None], places[valid_VThw]]
    rows, columns = where_PG2.unbind(-1)
    dtype = head.out.weight.dtype
    hidden = [hidden_states[layer][rows, columns].to(dtype).mean(1) for layer in head.layers]
    student, teacher = head(hidden).float(), target[valid_VThw].float()
    if loss == "cosine":
        distance_P = 1 - F.cosine_similarity(student, teacher, dim=-1)
    else:
        distance_P = (student - teacher).square().mean(-1)
    real = torch.ones(patches.shape[:2], dtype=torch.bool) if frames is None else frames
    return _sum_by_frame(distance_P, video * patches.shape[1] + frame, real.numel()) / real.sum().clamp(min=1)


def _match_grids(patches: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return both on the coarser of the two grids.

    Returns:
        (V, T, h, w, G): the G student tokens that a compared cell averages, -1 where there is none; (V, T, h, w, C).
    """
    ours, theirs = tuple(patches.shape[2:]), tuple(target.shape[2:4])
    check_grids(ours, theirs)
    if ours[0] % theirs[0] == 0 and ours[1] % theirs[1] == 0:
        groups = patches.unflatten(3, (theirs[1], -1)).unflatten(2, (theirs[0], -1))
        return groups.transpose(3, 4).flatten(4), target
    groups = target.unflatten(3, (ours[1], -1)).unflatten(2, (ours[0], -1))
    return patches[..., None], groups.mean((3, 5))


def _sum_by_frame(distance_P: Tensor, frame_P: Tensor, frames: int) -> Tensor:
    """Return the mean over the places of each frame, added up over the frames."""
    total = distance_P.new_zeros(frames).index_add(0, frame_P, distance_P)
    count = torch.bincount(frame_P, minlength=frames)
    return (total / count.clamp(min=1)).sum()
