"""The kind `dataset`: samples to learn from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, overload

from vlmkit.api.spec import ComponentSpec

__all__ = ["Dataset", "DatasetSpec", "Sample", "Turn"]


class Turn(NamedTuple):
    """One exchange of a conversation."""

    user: str
    """What the user says. `<video>` stands where the video goes: in the first turn of a sample that has one."""
    assistant: str
    """What the model learns to answer."""


@dataclass(frozen=True)
class Sample:
    """One conversation, about one video or none."""

    id: str
    turns: tuple[Turn, ...]
    video: str | None = None
    """Path of the video file; None for text only."""
    meta: dict[str, Any] = field(default_factory=dict)
    """What the source says besides, e.g. the question's type."""


class Dataset(Sequence[Sample], ABC):
    """A sequence of samples. A plugin says how many there are, what each one is, and when they are the same."""

    @abstractmethod
    def sample(self, index: int) -> Sample:
        """Sample number `index`, at least 0 and below the length."""

    @abstractmethod
    def fingerprint(self) -> str:
        """A hash of the content, written into the run so that a continued run can tell changed data."""

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> list[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | list[Sample]:
        numbers = range(len(self))[index]
        return self.sample(numbers) if isinstance(numbers, int) else [self.sample(number) for number in numbers]


class DatasetSpec(ComponentSpec):
    """Options of a dataset."""

    kind: ClassVar[str] = "dataset"

    @abstractmethod
    def build(self) -> Dataset:
        """The dataset. A `DataError` where its files are missing or malformed."""
        raise NotImplementedError
