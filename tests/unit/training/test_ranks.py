"""What processes tell each other, and the order in which their gradients are added up."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from vlmkit.api import VideoBatch
from vlmkit.errors import PluginError
from vlmkit.training.batch import Bad, MicroBatch
from vlmkit.training.ranks import Found, Pass, exchange, in_turn, reduce_in_order


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


def test_what_a_step_holds() -> None:
    video = VideoBatch.full(torch.zeros(2, 3, 3, 28, 28))
    text = {"labels": torch.tensor([[-100, 5, 6], [-100, -100, 7]])}
    bad = Bad("b", None, "unreadable")
    found = Found.of([MicroBatch(text, video, video, ["a", "c"], [bad]), MicroBatch({}, None, None, [], [])])
    assert found == Found([Pass(["a", "c"], [bad], None), Pass([], [], None)], tokens=3, frames=6, videos=2)
    assert exchange(found) == [found]


def test_passes_are_taken_in_the_order_of_the_data() -> None:
    def passes(*names: str) -> Any:
        return Found([Pass([name], [], None) for name in names], 0, 0, 0)

    turns = in_turn([passes("0", "2", "4"), passes("1", "3")])
    assert [name for turn in turns for name in turn.good] == ["0", "1", "2", "3", "4"]
