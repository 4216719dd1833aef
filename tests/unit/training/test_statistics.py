"""Running statistics over the samples of several processes."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from threading import Barrier, Thread

import pytest
import torch
from torch import Tensor, nn

from vlmkit.training.statistics import RunningStatistics, share_buffers


class Group:
    """Processes that are threads."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
        self.size, self.barrier = size, Barrier(size, timeout=30)
        self.given: dict[str, Tensor] = {}
        monkeypatch.setattr(torch.distributed, "get_world_size", lambda: size)
        monkeypatch.setattr(torch.distributed, "all_gather", self.all_gather)
        monkeypatch.setattr(torch.distributed, "broadcast", self.broadcast)

    def run(self, work: Callable[[int], None]) -> None:
        threads = [Thread(target=work, args=(rank,), name=str(rank)) for rank in range(self.size)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def all_gather(self, everyone: list[Tensor], mine: Tensor) -> None:
        from threading import current_thread

        self.given[current_thread().name] = mine
        self.barrier.wait()
        for rank, tensor in enumerate(everyone):
            tensor.copy_(self.given[str(rank)])
        self.barrier.wait()

    def broadcast(self, tensor: Tensor, source: int) -> None:
        from threading import current_thread

        self.given[current_thread().name] = tensor.clone()
        self.barrier.wait()
        tensor.copy_(self.given[str(source)])
        self.barrier.wait()


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.BatchNorm1d(3), nn.ReLU(), nn.BatchNorm1d(3, momentum=0.4)).train()


def test_two_processes_keep_the_statistics_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two steps of two passes each, of which one process leaves one out."""
    one, several = network(), [network() for _ in range(2)]
    batches = list(torch.randn(8, 5, 3))
    left_out = 6
    for number, batch in enumerate(batches):
        if number != left_out:
            one(batch)
    group = Group(monkeypatch, 2)

    def work(rank: int) -> None:
        model = several[rank]
        statistics = RunningStatistics(model)
        for step in range(2):
            for made in range(2):
                number = step * 4 + made * 2 + rank
                if number != left_out:
                    model(batches[number])
                statistics.passed()
            statistics.settle()

    group.run(work)
    for model in several:
        for name, buffer in model.named_buffers():
            assert torch.allclose(buffer, one.get_buffer(name), rtol=0, atol=1e-6), name
            assert buffer.dtype == one.get_buffer(name).dtype


def test_what_keeps_no_statistics_asks_nobody() -> None:
    statistics = RunningStatistics(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2, track_running_stats=False)))
    statistics.passed()
    statistics.settle()


def test_saved_buffers_are_those_of_the_first_process(monkeypatch: pytest.MonkeyPatch) -> None:
    model = network()
    model.register_buffer("shared", torch.zeros(1).expand(4), persistent=False)
    models = [deepcopy(model) for _ in range(2)]
    for rank, each in enumerate(models):
        each(torch.randn(5, 3) + rank)
    expected = {name: buffer.clone() for name, buffer in models[0].named_buffers()}
    Group(monkeypatch, 2).run(lambda rank: share_buffers(models[rank]))
    for each in models:
        assert all(torch.equal(buffer, expected[name]) for name, buffer in each.named_buffers())
