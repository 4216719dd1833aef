"""The conformance kit: what every component of a kind promises, as checks that any test suite can call.

@pytest.mark.parametrize("check", vlmkit.testing.checks("aligner"), ids=lambda check: check.__name__)
def test_conformance(check):
    check(MyAlignerSpec.tiny())
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vlmkit.api.spec import ComponentSpec

__all__ = ["checks"]

Check = Callable[[Any], None]


def spec_round_trips(spec: ComponentSpec) -> None:
    """The spec survives being written as JSON and read again."""
    assert type(spec).model_validate(spec.model_dump(mode="json")) == spec


def checks(kind: str) -> tuple[Check, ...]:
    """The checks of a kind; each takes a small spec and raises an AssertionError that says what is broken."""
    from vlmkit.testing import aligners, downsamplers, teachers

    own: dict[str, tuple[Check, ...]] = {
        "aligner": aligners.CHECKS,
        "downsampler": downsamplers.CHECKS,
        "teacher": teachers.CHECKS,
    }
    return (spec_round_trips, *own.get(kind, ()))
