"""The conformance kit: the promises of every kind of component, as checks that any test suite can call.

@pytest.mark.parametrize("check", vlmkit.testing.checks("aligner"), ids=lambda check: check.__name__)
def test_conformance(check):
    check(MyAlignerSpec.tiny())
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

from vlmkit.api.contract import ContractError
from vlmkit.api.spec import ComponentSpec
from vlmkit.errors import PluginError
from vlmkit.registry import KINDS, unknown_kind

__all__ = ["checks"]

Check = Callable[[Any], None]


def spec_round_trips(spec: ComponentSpec) -> None:
    """The spec survives being written as JSON and read again."""
    written = spec.model_dump(mode="json")
    try:
        read = type(spec).model_validate(written)
    except ValueError as error:
        raise AssertionError(f"written as JSON it cannot be read again: {error}") from error
    changed = [name for name in type(spec).model_fields if getattr(read, name) != getattr(spec, name)]
    assert read == spec, f"written as JSON and read again it differs in {changed}: {read!r}, not {spec!r}"


def checks(kind: str) -> tuple[Check, ...]:
    """The checks of a kind; each takes a small spec and raises an AssertionError that says what is broken."""
    from vlmkit.testing.component_checks import AlignerChecks, DownsamplerChecks, TeacherChecks
    from vlmkit.testing.sampler_checks import SAMPLER_CHECKS

    if kind not in KINDS:
        raise ValueError(unknown_kind(kind))
    own: dict[str, Iterable[Check]] = {
        "aligner": AlignerChecks(),
        "downsampler": DownsamplerChecks(),
        "sampler": SAMPLER_CHECKS,
        "teacher": TeacherChecks(),
    }
    return tuple(map(_asserting, (spec_round_trips, *own.get(kind, ()))))


def _asserting(check: Check) -> Check:
    """Turn what `vlmkit.api.contract` finds wrong with types and shapes, here as in every run, into AssertionErrors."""

    @wraps(check)
    def asserting(spec: Any) -> None:
        try:
            check(spec)
        except (ContractError, PluginError) as error:
            raise AssertionError(str(error)) from error

    return asserting
