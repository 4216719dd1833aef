"""DPC-KNN of many sets at once against a version that takes one set, one token at a time."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from vlmkit_baselines._chat_univi import TokenGroups, choose_neighbors, cluster_tokens, mean_of_clusters


def slow(points: list[list[float]], clusters: int, k: int) -> list[int]:
    """Which cluster each point belongs to."""
    n, width = len(points), len(points[0])
    far = [[math.dist(a, b) / math.sqrt(width) for b in points] for a in points]
    density = [math.exp(-sum(d * d for d in sorted(row)[:k]) / k) for row in far]
    score = []
    for i in range(n):
        denser = [far[i][j] for j in range(n) if (density[j], -j) > (density[i], -i)]
        score.append(density[i] * (min(denser) if denser else max(map(max, far))))
    centers = sorted(range(n), key=lambda i: (-score[i], i))[:clusters]
    nearest = [min(range(clusters), key=lambda c: (far[i][centers[c]], c)) for i in range(n)]
    return [centers.index(i) if i in centers else nearest[i] for i in range(n)]


def whole(x: Tensor) -> TokenGroups:
    return TokenGroups(torch.zeros(x.shape[:2], dtype=torch.long), 1)


def numbers(*values: int) -> Tensor:
    return torch.tensor(values)


@pytest.mark.parametrize(("clusters", "k"), [(1, 1), (3, 2), (7, 5), (20, 3)])
def test_equals_the_slow_version(clusters: int, k: int) -> None:
    x = torch.randn(4, 20, 5, generator=torch.Generator().manual_seed(clusters))
    rows = torch.full((4,), clusters), torch.full((4,), k)
    assigned = cluster_tokens(x, whole(x), *rows, (clusters, k))
    assert assigned.tolist() == [slow(row, clusters, k) for row in x.double().tolist()]


def test_ragged_groups_are_clustered_apart() -> None:
    x = torch.randn(2, 24, 5, generator=torch.Generator().manual_seed(1))
    sizes = [[-1] * 3 + [0] * 4 + [1] * 10 + [2] * 7, [-1] * 12 + [0] * 7 + [1] * 5]  # row 1 has no group 2
    shuffled = torch.randperm(24, generator=torch.Generator().manual_seed(2))
    of = torch.tensor(sizes)[:, shuffled]
    assigned = cluster_tokens(x, TokenGroups(of, 3), numbers(4, 4), numbers(3, 3), (4, 3))
    for row in range(2):
        for group in range(3):
            if (members := of[row] == group).any():
                expected = slow(x[row][members].double().tolist(), 4, 3)
                assert (assigned[row][members] - 4 * group).tolist() == expected


def test_rows_may_want_different_numbers_of_clusters_and_neighbors() -> None:
    x = torch.randn(2, 12, 3, generator=torch.Generator().manual_seed(3))
    of = torch.zeros(2, 12, dtype=torch.long)
    of[0, 5:] = -1
    assigned = cluster_tokens(x, TokenGroups(of, 1), numbers(2, 6), numbers(1, 4), (6, 4))
    assert assigned[0, :5].tolist() == slow(x[0, :5].double().tolist(), 2, 1)
    assert assigned[1].tolist() == slow(x[1].double().tolist(), 6, 4)


def test_equal_tokens_are_settled_by_their_order() -> None:
    x = torch.randn(1, 1, 64, generator=torch.Generator().manual_seed(4)).expand(1, 9, 64) * 100
    assigned = cluster_tokens(x, whole(x), numbers(3), numbers(2), (3, 2))
    assert assigned.tolist() == [[0, 1, 2, 0, 0, 0, 0, 0, 0]]


def test_no_cluster_is_empty() -> None:
    x = torch.randint(0, 2, (8, 30, 2), generator=torch.Generator().manual_seed(5)).float()
    assigned = cluster_tokens(x, whole(x), torch.full((8,), 10), torch.full((8,), 5), (10, 5))
    assert all(set(row) == set(range(10)) for row in assigned.tolist())


def test_merge_is_the_mean_of_the_members() -> None:
    x = torch.randn(2, 5, 3)
    assigned = numbers(0, 2, 2, 0, 2, 1, 1, 1, 1, 0).view(2, 5)
    present = torch.ones(2, 5, dtype=torch.bool)
    present[1, 4] = False
    out = mean_of_clusters(x, assigned, present, 3)
    torch.testing.assert_close(out[0, 0], (x[0, 0] + x[0, 3]) / 2)
    torch.testing.assert_close(out[0, 2], (x[0, 1] + x[0, 2] + x[0, 4]) / 3)
    torch.testing.assert_close(out[1, 1], x[1, :4].mean(0))
    assert not out[0, 1].any()
    assert not out[1, 0].any()


@pytest.mark.parametrize(("clusters", "k"), [(1, 1), (2, 1), (4, 2), (5, 5), (64, 5)])
def test_few_clusters_look_at_fewer_neighbors(clusters: int, k: int) -> None:
    assert choose_neighbors(5, clusters) == k
