"""The checks that modules of several kinds share. A failed check raises an AssertionError that says what was found."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from vlmkit.api.spec import ComponentSpec
from vlmkit.api.tensors import VideoBatch
from vlmkit.testing.initialization import check_initialized

__all__ = ["ModuleChecks", "check_close", "check_gradients", "operator_calls"]

S = TypeVar("S", bound=ComponentSpec)
X = TypeVar("X", Tensor, VideoBatch)
M = TypeVar("M", bound=nn.Module)
Check = Callable[[Any], None]


class ModuleChecks(ABC, Generic[S, X, M]):
    """The checks of one kind of component, of specs S, whose modules M take inputs X.

    Every public method is a check; it takes a small spec.
    """

    _inputs: ClassVar[str]
    """The name of the inputs in messages, e.g. `video`."""
    _outputs: ClassVar[str]
    """The name of the outputs in messages, e.g. `tokens`."""

    @abstractmethod
    def _build(self, spec: S) -> M:
        """Build the module as a run would, in eval mode."""

    @abstractmethod
    def _samples(self, spec: S) -> list[X]:
        """Draw inputs, the same ones in every call."""

    @abstractmethod
    def _meta_sample(self, spec: S) -> X:
        """Inputs on the meta device."""

    def _run(self, module: M, inputs: X) -> Tensor:
        """Compute the features, whose last dimension is that of their channels."""
        features: Tensor = module(inputs)
        return features

    def _make(self, spec: S) -> M:
        """Build a module with the same weights in every call, zeros drawn too: they could hide a fault."""
        torch.manual_seed(0)
        module = self._build(spec)
        with torch.no_grad():
            for parameter in module.parameters():
                if not parameter.any():
                    parameter.normal_(0, 0.05)
        return module

    def __iter__(self) -> Iterator[Check]:
        """The checks: all public methods, those of the kind before those that it shares."""
        for cls in type(self).__mro__:
            yield from (
                getattr(self, name) for name, member in vars(cls).items() if name[0] != "_" and callable(member)
            )

    def bfloat16_is_close(self, spec: S) -> None:
        """The channels point the same way in bfloat16 as in float32, in the median of several samples: rounding may
        tip a discrete choice."""
        module, rough = self._make(spec), self._make(spec).to(torch.bfloat16)
        cosines = []
        for sample in self._samples(spec):
            rounded = self._run(rough, sample.to(dtype=torch.bfloat16)).float()
            cosines.append(torch.cosine_similarity(self._run(module, sample), rounded, dim=-1).min().item())
        cosines.sort()
        assert cosines[len(cosines) // 2] > 0.98, f"cosine similarity of {self._outputs} falls to {cosines}, by sample"

    def saving_keeps_every_bit(self, spec: S) -> None:
        """A second module with the first one's state gives the same bits."""
        first, sample = self._make(spec), self._samples(spec)[0]
        torch.manual_seed(1)
        second = self._build(spec)
        second.load_state_dict(first.state_dict())
        _check_same_bits(self._run(second, sample), self._run(first, sample), f"a copy's {self._outputs}")

    def is_deterministic(self, spec: S) -> None:
        """The same inputs twice give the same bits."""
        module, sample = self._make(spec), self._samples(spec)[0]
        _check_same_bits(self._run(module, sample), self._run(module, sample), f"the same {self._inputs} twice")

    def initializes_every_weight(self, spec: S) -> None:
        """No weight or buffer is as the memory happened to be."""
        check_initialized(lambda: self._build(spec))

    def builds_on_meta(self, spec: S) -> None:
        """The module can be built and run without memory, for `vlmkit check`."""
        with torch.device("meta"):
            module = self._build(spec)
        elsewhere = [name for name, parameter in module.named_parameters() if not parameter.is_meta]
        assert not elsewhere, f"built on the meta device, but elsewhere are {elsewhere}"
        self._run(module, self._meta_sample(spec))


def _check_same_bits(found: Tensor, expected: Tensor, what: str) -> None:
    shapes = tuple(found.shape), tuple(expected.shape)
    assert shapes[0] == shapes[1], f"{what}: the shapes {shapes[0]} and {shapes[1]} differ"
    assert torch.equal(found, expected), f"{what}: differs by {(found - expected).abs().max().item()}"


def check_close(together: Tensor, alone: Tensor, what: str) -> None:
    """Raise an AssertionError where what a batch gives differs from what one alone gives."""
    gap = (together - alone).abs().max().item()
    assert gap <= 1e-4 * max(1.0, alone.abs().max().item()), f"{what} differ by {gap} in a batch"


def check_gradients(module: nn.Module) -> None:
    """Raise an AssertionError where a trainable parameter got no gradient, or zeros alone."""
    trainable = ((name, p) for name, p in module.named_parameters() if p.requires_grad)
    without = [name for name, p in trainable if p.grad is None or not p.grad.any()]
    assert not without, f"no gradient reaches {without}"


class _CallCounter(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.calls += 1
        return func(*args, **(kwargs or {}))


def operator_calls(work: Callable[[], object]) -> int:
    """The number of torch operators that `work` calls: a Python loop over frames makes it grow with them."""
    with _CallCounter() as counter:
        work()
    return counter.calls
