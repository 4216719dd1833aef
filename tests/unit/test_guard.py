"""Whose fault it is: one message that names the component, its package, what it did, and what was raised."""

from __future__ import annotations

import errno

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from vlmkit.errors import DataError, PluginError
from vlmkit.guard import component_label, error_text, guarded
from vlmkit_judges.spec import ExactSpec
from vlmkit_pooling.spec import AvgPoolSpec


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (KeyError("rows"), "doing it raised KeyError: 'rows'; this is a fault of that package"),
        (SystemExit(3), "raised SystemExit: 3;"),
        (StopIteration(), "raised StopIteration;"),
        (AssertionError(), "raised AssertionError;"),
        (OSError(errno.ENOENT, "no file"), "no file"),
        (RuntimeError("a\n  b"), "raised RuntimeError: a b;"),
    ],
)
def test_names_the_component_its_package_and_what_was_raised(error: BaseException, message: str) -> None:
    with pytest.raises(PluginError) as caught, guarded(ExactSpec(), "doing it"):
        raise error
    assert str(caught.value).startswith("judge 'exact' (vlmkit ")
    assert message in str(caught.value)
    assert caught.value.__cause__ is error


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError(),
        OSError(errno.ENOSPC, "full"),
        OSError(errno.EDQUOT, "full"),
        KeyboardInterrupt(),
        DataError("on purpose"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_is_nobodys_fault_or_meant_passes(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, guarded(ExactSpec(), "doing it"):
        raise error
    assert caught.value is error


def test_recomputed_activations_pass_a_component() -> None:
    module = AvgPoolSpec(window=2).build(4)
    x = torch.randn(2, 4, 4, 4, requires_grad=True)
    checkpoint(lambda x: module(x * 2) * 2, x, use_reentrant=False).sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, torch.ones_like(x))


def test_a_class_and_what_is_no_component_have_names_too() -> None:
    assert component_label(ExactSpec).startswith("judge 'exact' (vlmkit ")
    assert component_label(object()) == "object (module builtins)"


class _Mute(Exception):  # noqa: N818 -- of a test
    def __str__(self) -> str:
        raise ValueError("no words")


def test_a_message_that_cannot_be_read_or_is_endless() -> None:
    assert error_text(_Mute()) == "_Mute"
    assert len(error_text(ValueError("x" * 10**6))) < 400
