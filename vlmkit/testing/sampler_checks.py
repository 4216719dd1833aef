"""The promises of samplers: positions of frames, whatever a video claims of itself, and the same each time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

from vlmkit.api.sampler import SamplerSpec

__all__ = ["SAMPLER_CHECKS"]

NUM_FRAMES = (1, 2, 3, 8, 9, 250, 10**12)
"""The last one is the claim of a damaged file: it must cost neither memory nor time."""
RATES = (0.0, 0.3, 1.0, 23.976, 25.0, 1000.0, float("inf"))
WANTED = (1, 2, 7, 16)


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


SAMPLER_CHECKS = (positions_are_those_of_frames, is_deterministic)
