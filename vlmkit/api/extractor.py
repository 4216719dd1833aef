"""The kind `extractor`: how an answer is read, as an option, a number, right or wrong, or not at all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, ClassVar, Literal, get_args

from vlmkit.api.contract import (
    Contract,
    ContractError,
    Promise,
    Promises,
    builds,
    check_number,
    check_text,
    check_type,
    versioned,
)
from vlmkit.api.document import Document
from vlmkit.api.spec import ComponentSpec
from vlmkit.errors import shown

__all__ = ["Extractor", "ExtractorSpec", "Reading", "ReadingState", "check_reading", "random_option"]

ReadingState = Literal["read", "unreadable", "dropped", "random", "judge"]


@dataclass(frozen=True)
class Reading:
    """How one answer was read."""

    state: ReadingState
    """`read`: as one of the fields below says. `unreadable`: it counts as wrong, and is counted apart. `dropped`: it is
    left out of the mean, and counted apart. `random`: `choice` was drawn, and is counted apart. `judge`: a judge
    decides."""
    choice: int | None = None
    """Position of the option that the answer names."""
    correct: bool | None = None
    """True for a right answer. With a `choice` it follows from the document and can be left out; None where the
    right answer is not public."""
    number: float | None = None
    """A number that was read."""
    why: str = ""
    """One phrase for people: `letter C at the start`, `two letters: A, C`."""


def random_option(document: Document) -> int:
    """Draw an option by the id of the document: rules that guess give the same score every time."""
    return int.from_bytes(sha256(document.id.encode()).digest()) % len(document.options)


def check_reading(component: Any, found: object, document: Document, answer: str) -> Reading:
    """Return a reading that is one of this document, with `correct` where that follows from the choice.

    The component is an extractor or an evaluator.
    """
    reading: Reading = check_type(found, Reading)
    if reading.state not in get_args(ReadingState):
        raise ContractError(f"gives the state {shown(reading.state)}, expected {', '.join(get_args(ReadingState))}")
    check_text(reading.why, "`why`")
    state, choice, correct = reading.state, reading.choice, reading.correct
    where = f"for document {shown(document.id)}"
    count = len(document.options)
    if state == "judge" and not component.judged:
        raise ContractError(
            f"gives the state judge {where}, but its `judged` is false; set it where a judge may be asked"
        )
    if choice is not None and not count:
        raise ContractError(f"gives a choice {where}, which has no options; raise a DataError for such a document")
    if choice is not None and (type(choice) is not int or choice not in range(count)):
        raise ContractError(f"gives the choice {shown(choice)} {where}, expected a position among its {count} options")
    if correct is not None and not isinstance(correct, bool):
        raise ContractError(f"gives `correct` {shown(correct)} {where}, expected a bool or None")
    number = None if reading.number is None else check_number(reading.number, "`number`")
    if state not in ("read", "random") and (choice, correct, number) != (None, None, None):
        raise ContractError(f"gives the state {state} {where} together with a choice, `correct` or number")
    if choice is not None and document.correct is not None:
        if correct not in (None, choice == document.correct):
            raise ContractError(f"gives choice {choice} as {correct} {where}, whose right option is {document.correct}")
        correct = choice == document.correct
    if state == "random" and choice is None:
        raise ContractError(f"gives the state random {where} without a choice")
    public = document.correct is not None if document.options else bool(document.references)
    if state == "read" and public and (choice, correct, number) == (None, None, None):
        raise ContractError(f"gives the state read {where} without a choice, `correct` or number")
    return replace(reading, correct=correct, number=number)


class Extractor(Contract, ABC):
    """Reads answers: the same reading for the same document and answer, whatever was read before."""

    _promises: ClassVar[Promises] = {"read": Promise(check_reading)}

    version: str
    """Changes whenever readings may."""
    judged: bool = False
    """True where it leaves some answers to a judge."""

    @abstractmethod
    def read(self, document: Document, answer: str) -> Reading:
        """Return how the answer is read: any text, empty or very long. A `DataError` for a document that it cannot work
        with, e.g. one without options."""


class ExtractorSpec(ComponentSpec):
    """Options of an extractor."""

    kind: ClassVar[str] = "extractor"
    _promises: ClassVar[Promises] = {"build": builds(f"{__name__}:Extractor", versioned("an extractor", "readings"))}

    @abstractmethod
    def build(self) -> Extractor:
        """The extractor."""
