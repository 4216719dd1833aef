"""The conformance kit: the promises of every kind of component, as checks that any test suite can call.

@pytest.mark.parametrize("check", vlmkit.testing.checks("aligner"), ids=lambda check: check.__name__)
def test_conformance(check):
    check(MyAlignerSpec.tiny())
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import wraps
from itertools import product
from typing import Any

from vlmkit.api.contract import ContractError
from vlmkit.api.sampler import SamplerSpec
from vlmkit.api.spec import ComponentSpec
from vlmkit.errors import PluginError
from vlmkit.registry import KINDS, unknown_kind
from vlmkit.testing.evaluator_checks import check_evaluator
from vlmkit.testing.extractor_checks import check_extractor

__all__ = ["check_extractor", "checks"]

Check = Callable[[Any], None]

NUM_FRAMES = (1, 2, 3, 8, 9, 250, 10**12)
"""The last one is the claim of a damaged file: it must cost neither memory nor time."""
RATES = (0.0, 0.3, 1.0, 23.976, 25.0, 1000.0, float("inf"))
WANTED = (1, 2, 7, 16)


def spec_round_trips(spec: ComponentSpec) -> None:
    """The spec survives being written as JSON and read again."""
    written = spec.model_dump(mode="json")
    try:
        read = type(spec).model_validate(written)
    except ValueError as error:
        raise AssertionError(f"written as JSON it cannot be read again: {error}") from error
    changed = [name for name in type(spec).model_fields if getattr(read, name) != getattr(spec, name)]
    assert read == spec, f"written as JSON and read again it differs in {changed}: {read!r}, not {spec!r}"


def _cases(spec: SamplerSpec) -> Iterator[tuple[int, float, Sequence[float] | None, int]]:
    """Arguments of `Sampler.positions`; short videos also with the times of their frames."""
    wanted = WANTED if spec.max_positions is None else (spec.max_positions,)
    for num_frames, rate, most in product(NUM_FRAMES, RATES, wanted):
        yield num_frames, rate, None, most
        if num_frames < 100:
            yield num_frames, rate, [0.04 * frame**2 for frame in range(num_frames)], most


def positions_are_those_of_frames(spec: SamplerSpec) -> None:
    """There are 1 to the wanted number of positions, ascending, within the video: the contract looks at each answer."""
    sampler = spec.build()
    for case in _cases(spec):
        sampler.positions(*case)


def is_deterministic(spec: SamplerSpec) -> None:
    """The same video has the same positions each time, from another sampler of this spec too."""
    first, second = spec.build(), spec.build()
    for case in _cases(spec):
        found: list[Any] = [sampler.positions(*case) for sampler in (first, first, second)]
        assert found[0] == found[1] == found[2], f"positions{case} differ: {found}"


def checks(kind: str) -> tuple[Check, ...]:
    """The checks of a kind; each takes a small spec and raises an AssertionError that says what is broken."""
    from vlmkit.testing.component_checks import AlignerChecks, DownsamplerChecks
    from vlmkit.testing.layers_checks import LayersChecks
    from vlmkit.testing.teacher_checks import TeacherChecks

    if kind not in KINDS:
        raise ValueError(unknown_kind(kind))
    own: dict[str, Iterable[Check]] = {
        "aligner": AlignerChecks(),
        "downsampler": DownsamplerChecks(),
        "evaluator": (check_evaluator,),
        "extractor": (check_extractor,),
        "layers": LayersChecks(),
        "sampler": (positions_are_those_of_frames, is_deterministic),
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
