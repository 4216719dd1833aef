"""Questions, and short words for readings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from vlmkit.api import Document, Reading
from vlmkit.registry import registry

Read = Callable[..., Reading]


@pytest.fixture(scope="session")
def question() -> Document:
    """Four options, C is right."""
    options = ("a red kite", "a blue boat", "a green car", "two yellow cars")
    return Document("q7", "v", "What passes the bridge?", options[2], options=options, correct=2)


@pytest.fixture(scope="session")
def read() -> Read:
    """The reading of an answer by the extractor of a name."""

    def reading(name: str, document: Document, answer: str, **options: Any) -> Reading:
        spec = registry().get("extractor", name).spec.model_validate({"type": name, **options})
        return spec.build().read(document, answer)

    return reading


@pytest.fixture(scope="session")
def short() -> Callable[[Reading], str]:
    """The letter of the option that was read, `right` or `wrong` without one, else the state."""

    def words(reading: Reading) -> str:
        if reading.state != "read":
            return reading.state
        if reading.choice is not None:
            return chr(ord("A") + reading.choice)
        return {True: "right", False: "wrong", None: "unknown"}[reading.correct]

    return words
