"""Clustering by density peaks with k nearest neighbours (DPC-KNN), of many sets at once.

Du et al. 2016 (doi:10.1016/j.knosys.2016.02.001), as Chat-UniVi (arXiv:2311.08046) uses it. A row holds N tokens, each
of one of G groups; tokens of different groups never meet. Sets of different sizes are thus one tensor, without a loop.

Shape letters: R rows, N tokens, C channels, G groups, K clusters of a group at most, k neighbours.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

__all__ = ["Groups", "dpc_knn", "merge", "neighbours_for"]

_SAME = 1e-12
"""Squared distances below this fraction of the largest squared norm are rounding: such tokens are the same."""


class Groups(NamedTuple):
    """Which tokens are clustered with which."""

    of: Tensor
    """(R, N) int64: the group of each token, -1 for one that takes no part."""
    number: int
    """G."""


def neighbours_for(neighbours: int, clusters: int) -> int:
    """k as Chat-UniVi chooses it: half of the clusters, 1 to 3, where there are fewer of them than `neighbours`."""
    return neighbours if neighbours <= clusters else min(3, max(clusters // 2, 1))


@torch.no_grad()
def dpc_knn(x: Tensor, groups: Groups, clusters: Tensor, neighbours: Tensor, most: tuple[int, int]) -> Tensor:
    """Assign tokens to clusters.

    A token's density is exp(-mean squared distance to its k nearest). Its score is the density times the distance to
    the nearest denser token. The best scores are centres, the densest token the first of them (in the source it gets
    the largest distance of all, which comes to the same); a token goes to the nearest centre. Of equals the earlier one
    wins, everywhere. Distances are divided by sqrt(C), and computed in float64 so that it matters little how a matrix
    product adds up.

    Args:
        x: (R, N, C) tokens.
        groups: their groups.
        clusters: (R,) clusters per group, at most its tokens.
        neighbours: (R,) k, at most the tokens of a group.
        most: the largest of `clusters` and of `neighbours`: K and k.

    Returns:
        (R, N) int64: group * K + rank of the centre's score; of tokens that take no part, without meaning.
    """
    K, k = most
    N = x.shape[1]
    apart = (groups.of[:, :, None] != groups.of[:, None, :]) | (groups.of < 0)[:, :, None]
    distance = _distances(x).masked_fill_(apart, torch.inf)
    member_RGN = groups.of[:, None, :] == torch.arange(groups.number, device=x.device)[:, None]

    score = _score(distance, _density(distance, neighbours, k))
    ranked = score[:, None].where(member_RGN, -1.0).sort(stable=True, dim=-1, descending=True).indices
    ranked = ranked[..., :K].clone(memory_format=torch.contiguous_format)
    chosen = (torch.arange(K, device=x.device) < clusters[:, None, None]) & member_RGN.gather(-1, ranked)

    to_centre = distance.gather(1, ranked.flatten(1)[..., None].expand(-1, -1, N)).unflatten(1, (groups.number, K))
    assigned = to_centre.masked_fill(~chosen[..., None], torch.inf).flatten(1, 2).argmin(1)
    return _centres_to_themselves(assigned, ranked.flatten(1), chosen.flatten(1))


def merge(x: Tensor, assigned: Tensor, present: Tensor, clusters: int) -> Tensor:
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


def _density(distance: Tensor, neighbours: Tensor, k: int) -> Tensor:
    """(R, N), from distances that are infinite between groups."""
    nearest = distance.topk(k, largest=False).values
    counted = torch.arange(k, device=nearest.device) < neighbours[:, None, None]
    return (-nearest.square().where(counted, 0.0).sum(-1) / neighbours[:, None]).exp()


def _score(distance: Tensor, density: Tensor) -> Tensor:
    """(R, N), from distances that are infinite between groups; infinite where no token of the group is denser."""
    place = torch.arange(density.shape[1], device=density.device)
    equal = density[:, None, :] == density[:, :, None]
    denser = (density[:, None, :] > density[:, :, None]) | (equal & (place[None, :] < place[:, None]))
    nearest = distance.masked_fill(~denser, torch.inf).amin(-1)
    return nearest.where(nearest.isinf(), nearest * density)


def _centres_to_themselves(assigned: Tensor, centres: Tensor, chosen: Tensor) -> Tensor:
    """Centres at distance zero of an earlier one keep their own cluster, so that none is empty."""
    spare = assigned.shape[1]
    target = centres.where(chosen, spare)
    label = torch.arange(centres.shape[1], device=centres.device).expand_as(centres)
    return pad(assigned, (0, 1)).scatter(1, target, label)[:, :spare]
