"""The module of the aligner `chat-univi`, and its clustering by density peaks with k nearest neighbors (DPC-KNN).

DPC-KNN: Du et al. 2016 (doi:10.1016/j.knosys.2016.02.001), as Chat-UniVi (arXiv:2311.08046) uses it. A row holds N
tokens, each of one of G groups; tokens of different groups never meet. Sets of different sizes are thus one tensor,
without a loop.

Shape letters: B videos, T frames, F frames present in the whole batch, P patches of a frame, D LLM width; R rows, N
tokens, C channels, G groups (the events of a video), K clusters of a group at most, k neighbors, S clusters of a scale.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from vlmkit.api import VideoBatch, VisualTokens
from vlmkit.nn import gather_tokens, to_slots
from vlmkit_baselines._module import EncoderAligner

if TYPE_CHECKING:
    from vlmkit_baselines.spec import ChatUniViSpec, Scale

__all__ = ["ChatUniVi", "TokenGroups", "choose_neighbors", "cluster_tokens", "mean_of_clusters"]

_SAME = 1e-12
"""Squared distances below this fraction of the largest squared norm are rounding: such tokens are the same."""


class ChatUniVi(EncoderAligner):
    """Merge the tokens of each frame, cluster frames into events, and merge the tokens of each event."""

    spec: ChatUniViSpec

    def forward(self, video: VideoBatch) -> VisualTokens:
        """`event_tokens` tokens per event."""
        shapes = video.shapes()
        layouts = [self.spec.layout(shape) for shape in shapes]
        features_FPC, present = self.encode_present(video)
        counts = [self.spec.events(shape.num_frames_present) for shape in shapes]
        events = TokenGroups(self._events(features_FPC.mean(1), present, video.frame_mask, counts), max(counts))

        blocks, tokens = [], features_FPC
        for scale in self.spec.scales:
            everything = TokenGroups(torch.zeros(tokens.shape[:2], dtype=torch.long, device=tokens.device), 1)
            tokens = _merge_groups(tokens, everything, scale)
            slots_BNC = to_slots(tokens, present, video.frame_mask).flatten(1, 2)
            event_of_token = events.of.repeat_interleave(scale.tokens, 1)
            merged = _merge_groups(slots_BNC, TokenGroups(event_of_token, events.number), scale)
            blocks.append(merged.unflatten(1, (events.number, scale.tokens)))

        pool = self.projector(torch.cat(blocks, 2)).flatten(0, 2)
        first = np.arange(len(shapes)) * events.number * self.spec.event_tokens
        sources = [start + np.arange(layout.tokens) for start, layout in zip(first, layouts, strict=True)]
        return gather_tokens(pool, sources, layouts)

    def _events(self, means_FC: Tensor, present: Tensor, mask_BT: Tensor, counts: list[int]) -> Tensor:
        """(B, T): the event of each frame, numbered by first frames; -1 for padding."""
        device = means_FC.device
        k = [choose_neighbors(self.spec.event_neighbours, count) for count in counts]
        here = mask_BT.to(device)
        slots_BTC = to_slots(means_FC, present, mask_BT)
        clusters, neighbors = torch.tensor(counts, device=device), torch.tensor(k, device=device)
        group = torch.where(here, 0, -1)
        assigned = cluster_tokens(slots_BTC, TokenGroups(group, 1), clusters, neighbors, (max(counts), max(k)))
        return _number_by_first(assigned, max(counts)).where(here, -1)


def _merge_groups(tokens: Tensor, groups: TokenGroups, scale: Scale) -> Tensor:
    """(R, N, C) -> (R, G * S, C)."""
    k = choose_neighbors(scale.neighbours, scale.tokens)
    clusters = torch.full((len(tokens),), scale.tokens, device=tokens.device)
    assigned = cluster_tokens(tokens, groups, clusters, torch.full_like(clusters, k), (scale.tokens, k))
    return mean_of_clusters(tokens, assigned, groups.of >= 0, groups.number * scale.tokens)


def _number_by_first(assigned: Tensor, count: int) -> Tensor:
    """Rename the clusters of (R, N), so that they are numbered in the order of their first members."""
    member = assigned[:, None] == torch.arange(count, device=assigned.device)[:, None]
    place = torch.arange(assigned.shape[1], device=assigned.device).expand_as(assigned)
    first = place[:, None].where(member, assigned.shape[1]).amin(-1)
    return first.argsort(stable=True, dim=1).argsort(1).gather(1, assigned)


class TokenGroups(NamedTuple):
    """The partition of tokens within which they are clustered."""

    of: Tensor
    """(R, N) int64: the group of each token, -1 for one that takes no part."""
    number: int
    """G."""


def choose_neighbors(neighbors: int, clusters: int) -> int:
    """k as Chat-UniVi chooses it: half of the clusters, 1 to 3, where there are fewer of them than `neighbors`."""
    return neighbors if neighbors <= clusters else min(3, max(clusters // 2, 1))


@torch.no_grad()
def cluster_tokens(
    x: Tensor, groups: TokenGroups, clusters: Tensor, neighbors: Tensor, most: tuple[int, int]
) -> Tensor:
    """Assign tokens to clusters.

    A token's density is exp(-mean squared distance to its k nearest). Its score is the density times the distance to
    the nearest denser token. The best scores are centers, the densest token the first of them (in the source it gets
    the largest distance of all, which comes to the same); a token goes to the nearest center. Of equals the earlier one
    wins, everywhere. Distances are divided by sqrt(C), and computed in float64 so that it matters little how a matrix
    product adds up.

    Args:
        x: (R, N, C) tokens.
        groups: their groups.
        clusters: (R,) clusters per group, at most its tokens.
        neighbors: (R,) k, at most the tokens of a group.
        most: the largest of `clusters` and of `neighbors`: K and k.

    Returns:
        (R, N) int64: group * K + rank of the center's score; of tokens that take no part, without meaning.
    """
    K, k = most
    N = x.shape[1]
    apart = (groups.of[:, :, None] != groups.of[:, None, :]) | (groups.of < 0)[:, :, None]
    distance = _distances(x).masked_fill_(apart, torch.inf)
    member_RGN = groups.of[:, None, :] == torch.arange(groups.number, device=x.device)[:, None]

    score = _score(distance, _density(distance, neighbors, k))
    ranked = score[:, None].where(member_RGN, -1.0).sort(stable=True, dim=-1, descending=True).indices
    ranked = ranked[..., :K].clone(memory_format=torch.contiguous_format)
    chosen = (torch.arange(K, device=x.device) < clusters[:, None, None]) & member_RGN.gather(-1, ranked)

    to_center = distance.gather(1, ranked.flatten(1)[..., None].expand(-1, -1, N)).unflatten(1, (groups.number, K))
    assigned = to_center.masked_fill(~chosen[..., None], torch.inf).flatten(1, 2).argmin(1)
    return _centers_to_themselves(assigned, ranked.flatten(1), chosen.flatten(1))


def mean_of_clusters(x: Tensor, assigned: Tensor, present: Tensor, clusters: int) -> Tensor:
    """(R, N, C) tokens -> (R, clusters, C), the means of the clusters' members; zeros where there are none.

    `assigned` (R, N) says which cluster, `present` (R, N) bool which tokens take part. A matrix product, because it
    adds in the same order each time.
    """
    label = torch.arange(clusters, device=x.device)[:, None]
    members = ((assigned[:, None] == label) & present[:, None]).to(x.dtype)
    return members @ x / members.sum(-1, keepdim=True).clamp(min=1)


def _distances(x: Tensor) -> Tensor:
    """(R, N, C) -> (R, N, N) float32."""
    x = x.double()
    square = x.square().sum(-1)
    # In place: this matrix is the largest tensor of all.
    between = torch.baddbmm(square[:, None, :], x, x.mT, alpha=-2).add_(square[:, :, None])
    between.masked_fill_(between < _SAME * square.amax(1)[:, None, None], 0)
    return between.div_(x.shape[-1]).sqrt_().float()


def _density(distance: Tensor, neighbors: Tensor, k: int) -> Tensor:
    """(R, N), from distances that are infinite between groups."""
    nearest = distance.topk(k, largest=False).values
    counted = torch.arange(k, device=nearest.device) < neighbors[:, None, None]
    return (-nearest.square().where(counted, 0.0).sum(-1) / neighbors[:, None]).exp()


def _score(distance: Tensor, density: Tensor) -> Tensor:
    """(R, N), from distances that are infinite between groups; infinite where no token of the group is denser."""
    place = torch.arange(density.shape[1], device=density.device)
    equal = density[:, None, :] == density[:, :, None]
    denser = (density[:, None, :] > density[:, :, None]) | (equal & (place[None, :] < place[:, None]))
    nearest = distance.masked_fill(~denser, torch.inf).amin(-1)
    return nearest.where(nearest.isinf(), nearest * density)


def _centers_to_themselves(assigned: Tensor, centers: Tensor, chosen: Tensor) -> Tensor:
    """Centers at distance zero of an earlier one keep their own cluster, so that none is empty."""
    spare = assigned.shape[1]
    target = centers.where(chosen, spare)
    label = torch.arange(centers.shape[1], device=centers.device).expand_as(centers)
    return pad(assigned, (0, 1)).scatter(1, target, label)[:, :spare]
