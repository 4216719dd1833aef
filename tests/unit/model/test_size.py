"""Parts that nobody can build."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from vlmkit.errors import PluginError, SpecError
from vlmkit.model.size import check_room, check_size, composing


@pytest.mark.parametrize(
    ("sizes", "said"),
    [((10**10, 10**10), "Storage size calculation overflowed"), ((10**20,), "Overflow when unpacking"),
     ((2**62, 8), "Storage size calculation overflowed")],
)  # fmt: skip
def test_sizes_that_torch_does_not_count_with(sizes: tuple[int, ...], said: str) -> None:
    expected = rf"^model\.aligner: no machine has room for these sizes: .*{said}"
    with pytest.raises(SpecError, match=expected), composing("model.aligner"):
        torch.empty(*sizes, device="meta")


def test_memory_that_the_machine_lacks() -> None:
    expected = r"^model\.aligner: no machine has room .*can't allocate memory"
    with pytest.raises(SpecError, match=expected), composing("model.aligner"):
        torch.empty(2**55)


@pytest.mark.parametrize(
    ("error", "said"),
    [(ValueError("8 heads do not divide 9"), "^a: 8 heads do not divide 9$"), (OverflowError("big"), "^a: .*: big"),
     (ZeroDivisionError("zero"), "^a: .*zero"), (MemoryError(), "^a: no machine has room .*MemoryError")],
)  # fmt: skip
def test_what_is_raised_names_the_part(error: Exception, said: str) -> None:
    with pytest.raises(SpecError, match=said), composing("a"):
        raise error


@pytest.mark.parametrize("error", [PluginError("of a plugin"), RuntimeError("a defect"), KeyError("a defect")])
def test_what_is_no_fault_of_a_size_passes(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, composing("a"):
        raise error
    assert caught.value is error


def test_more_parameters_than_any_model() -> None:
    with torch.device("meta"):
        check_size(nn.Linear(2**21, 2**22), "a")
        with pytest.raises(SpecError, match=r"^a: these options make 17,592,190,238,720 parameters, expected"):
            check_size(nn.Linear(2**22, 2**22), "a")


def test_more_weights_than_memory() -> None:
    check_room(nn.Linear(2, 2), "a")
    with torch.device("meta"), pytest.raises(SpecError, match=r"^a: its weights take 256\.\d GiB, this machine has"):
        check_room(nn.Linear(2**18, 2**18), "a")
