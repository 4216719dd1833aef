"""The kind `dataset`: samples to learn from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, NamedTuple, overload

from vlmkit.api.contract import (
    Contract,
    ContractError,
    Promise,
    Promises,
    builds,
    check_int,
    check_text,
    check_type,
    type_name,
)
from vlmkit.api.spec import ComponentSpec
from vlmkit.errors import shown

__all__ = ["Dataset", "DatasetSpec", "Sample", "Turn"]


class Turn(NamedTuple):
    """One exchange of a conversation."""

    user: str
    """What the user says. `<video>` stands where a video goes, once for each of the sample's, in any of its turns."""
    assistant: str
    """What the model learns to answer."""


@dataclass(frozen=True)
class Sample:
    """One conversation, about videos and pictures or none."""

    id: str
    turns: tuple[Turn, ...]
    video: str | tuple[str, ...] | None = None
    """Path of the file of the video or picture, or of several, in the order of their `<video>`; None for text only."""
    meta: dict[str, Any] = field(default_factory=dict)
    """What the source says besides, e.g. the question's type."""
    system: str = ""
    """Words of the system before the turns, e.g. what the task is."""

    @property
    def videos(self) -> tuple[str, ...]:
        """The paths of all videos and pictures."""
        return () if self.video is None else (self.video,) if isinstance(self.video, str) else tuple(self.video)


def _sample(dataset: object, answer: object, index: int) -> Sample:
    sample: Sample = check_type(answer, Sample)
    if not check_text(sample.id, "an id that is"):
        raise ContractError("gives an empty id, expected text")
    if not isinstance(sample.turns, tuple | list) or not sample.turns:
        raise ContractError(f"gives the turns {shown(sample.turns)}, expected a tuple of at least one vlmkit.api.Turn")
    for turn in sample.turns:
        check_type(turn, Turn)
        check_text(turn.user, "a turn whose `user` is")
        check_text(turn.assistant, "a turn whose `assistant` is")
    named = sample.video if isinstance(sample.video, tuple | list) else () if sample.video is None else (sample.video,)
    for video in named:
        check_text(video, "a video that is")
    if not isinstance(sample.meta, dict):
        raise ContractError(f"gives a meta that is {type_name(sample.meta)}, expected a mapping")
    check_text(sample.system, "a system that is")
    return sample


def _fingerprint(dataset: object, answer: object) -> str:
    if not check_text(answer, "something that is"):
        raise ContractError("gives empty text, expected a hash of the content")
    return str(answer)


class Dataset(Contract, Sequence[Sample], ABC):
    """A sequence of samples. A plugin says how many there are, what each one is, and when they are the same."""

    _promises: ClassVar[Promises] = {
        "__len__": Promise(partial(check_int, least=0)),
        "sample": Promise(_sample),
        "fingerprint": Promise(_fingerprint),
    }

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
    _promises: ClassVar[Promises] = {"build": builds(f"{__name__}:Dataset")}

    @abstractmethod
    def build(self) -> Dataset:
        """The dataset. A `DataError` where its files are missing or malformed."""
