"""What several processes tell each other, the order in which gradients are added up, and running statistics."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from threading import Barrier, Thread
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vlmkit.api import VideoBatch
from vlmkit.errors import PluginError
from vlmkit.training.collate import MicroBatch, UnreadableSample
from vlmkit.training.distributed import (
    PassContents,
    RunningStatistics,
    broadcast_buffers,
    gather,
    in_data_order,
    reduce_in_order,
)


class Zero:
    """As much of DeepSpeed's optimizer as matters: it notes whose gradients it is given."""

    partition_gradients = True

    def __init__(self) -> None:
        self.reduced: list[tuple[nn.Parameter, int]] = []

    def process_gradients(self, parameter: nn.Parameter, group: int) -> None:
        self.reduced.append((parameter, group))


@pytest.fixture
def parameters() -> list[nn.Parameter]:
    """Four, the second of which does not train."""
    return [nn.Parameter(torch.ones(1), requires_grad=number != 1) for number in range(4)]


@pytest.mark.parametrize("order", [(3, 2, 0), (0, 2, 3), (2, 0, 3), (0, 3, 2)])
def test_gradients_are_reduced_from_the_last_parameter_to_the_first(
    parameters: list[nn.Parameter], order: tuple[int, ...]
) -> None:
    zero = Zero()
    reduce_in_order(zero, parameters)
    for _ in range(2):
        for place in order:
            zero.process_gradients(parameters[place], place * 10)
    expected = [(parameters[place], place * 10) for place in (3, 2, 0)] * 2
    assert [(id(p), group) for p, group in zero.reduced] == [(id(p), group) for p, group in expected]


def test_none_waits_that_comes_in_order(parameters: list[nn.Parameter]) -> None:
    zero = Zero()
    reduce_in_order(zero, parameters)
    for count, place in enumerate((3, 2, 0), 1):
        zero.process_gradients(parameters[place], 0)
        assert len(zero.reduced) == count


@pytest.mark.parametrize("order", [(3, 3), (0, 0), (3, 2, 3)])
def test_a_gradient_that_comes_twice_is_a_defect(parameters: list[nn.Parameter], order: tuple[int, ...]) -> None:
    zero = Zero()
    reduce_in_order(zero, parameters)
    *before, again = order
    for place in before:
        zero.process_gradients(parameters[place], 0)
    with pytest.raises(RuntimeError, match="twice"):
        zero.process_gradients(parameters[again], 0)


def test_stages_that_keep_whole_gradients_need_no_order(parameters: list[nn.Parameter]) -> None:
    plain = SimpleNamespace()
    reduce_in_order(plain, parameters)
    assert not vars(plain)


def test_an_unknown_deepspeed_is_refused(parameters: list[nn.Parameter]) -> None:
    with pytest.raises(PluginError, match=r"process_gradients.*pip install deepspeed==0\.19\.8"):
        reduce_in_order(SimpleNamespace(partition_gradients=True), parameters)


def test_the_contents_of_a_pass() -> None:
    video = VideoBatch.full(torch.zeros(2, 3, 3, 28, 28))
    text = {"labels": torch.tensor([[-100, 5, 6], [-100, -100, 7]])}
    bad = UnreadableSample("b", None, "unreadable")
    found = PassContents.of(MicroBatch(text, video, video, ["a", "c"], [bad]))
    assert found == PassContents(["a", "c"], [bad], None, tokens=3, frames=6, videos=2)
    assert PassContents.of(MicroBatch({}, None, None, [], [])) == PassContents([], [], None, 0, 0, 0)
    assert gather(found) == [found]


def test_passes_are_taken_in_the_order_of_the_data() -> None:
    def passes(*names: str) -> Any:
        return [PassContents([name], [], None, 0, 0, 0) for name in names]

    turns = in_data_order([passes("0", "2", "4"), passes("1", "3")])
    assert [name for turn in turns for name in turn.loaded] == ["0", "1", "2", "3", "4"]


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
                statistics.end_pass()
            statistics.end_step()

    group.run(work)
    for model in several:
        for name, buffer in model.named_buffers():
            assert torch.allclose(buffer, one.get_buffer(name), rtol=0, atol=1e-6), name
            assert buffer.dtype == one.get_buffer(name).dtype


def test_what_keeps_no_statistics_asks_nobody() -> None:
    statistics = RunningStatistics(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2, track_running_stats=False)))
    statistics.end_pass()
    statistics.end_step()


def test_saved_buffers_are_those_of_the_first_process(monkeypatch: pytest.MonkeyPatch) -> None:
    model = network()
    model.register_buffer("shared", torch.zeros(1).expand(4), persistent=False)
    models = [deepcopy(model) for _ in range(2)]
    for rank, each in enumerate(models):
        each(torch.randn(5, 3) + rank)
    expected = {name: buffer.clone() for name, buffer in models[0].named_buffers()}
    Group(monkeypatch, 2).run(lambda rank: broadcast_buffers(models[rank]))
    for each in models:
        assert all(torch.equal(buffer, expected[name]) for name, buffer in each.named_buffers())
