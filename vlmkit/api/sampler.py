"""The kind `sampler`: which frames of a video are looked at."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from numbers import Integral
from typing import ClassVar

from vlmkit.api.contract import (
    Contract,
    ContractError,
    Promise,
    Promises,
    builds,
    check_optional_int,
    of_type,
    type_name,
)
from vlmkit.api.spec import ComponentSpec
from vlmkit.errors import shown

__all__ = ["Sampler", "SamplerSpec"]


def _positions(
    sampler: object, answer: object, num_frames: int, fps: float, times: Sequence[float] | None, wanted: int
) -> list[int]:
    """The answer as plain numbers: 1 to `wanted` of them, ascending, each that of a frame."""
    try:
        positions = list(answer)  # type: ignore[call-overload]  # an array, too
    except TypeError:
        raise ContractError(f"gives {type_name(answer)}, expected a sequence of positions") from None
    if wrong := [item for item in positions if not isinstance(item, Integral) or isinstance(item, bool)]:
        raise ContractError(f"gives the position {shown(wrong[0])}, expected whole numbers")
    if not 1 <= len(positions) <= wanted:
        raise ContractError(f"gives {len(positions)} positions, expected 1 to {wanted}")
    if any(after < before for before, after in pairwise(positions)):
        raise ContractError(f"gives the positions {shown(positions)}, expected ascending ones")
    if positions[0] < 0 or positions[-1] >= num_frames:
        raise ContractError(
            f"gives positions from {positions[0]} to {positions[-1]}, expected 0 to {num_frames - 1}, as the video has "
            f"{num_frames} frames"
        )
    return [int(position) for position in positions]


class Sampler(Contract, ABC):
    """Chooses frames of videos."""

    _promises: ClassVar[Promises] = {"positions": Promise(_positions)}

    @abstractmethod
    def positions(self, num_frames: int, fps: float, times: Sequence[float] | None, wanted: int) -> Sequence[int]:
        """Return the positions of 1 to `wanted` frames, ascending. A frame may be there several times.

        Args:
            num_frames: frames of the video, at least 1; a damaged file may claim any number.
            fps: frames per second; 0 or infinite where the file does not say.
            times: when each frame is shown, seconds, where the reader knows that; None: they are evenly spaced.
            wanted: the most positions, at least 1: `input.frames`.
        """


class SamplerSpec(ComponentSpec):
    """Options of a sampler."""

    kind: ClassVar[str] = "sampler"
    _promises: ClassVar[Promises] = {
        "max_positions": Promise(check_optional_int),
        "pads": Promise(of_type(bool)),
        "build": builds(f"{__name__}:Sampler"),
    }
    fixed: ClassVar[bool] = False
    """True: without options, and never to choose other frames under this name, as a test with golden positions ensures.
    Specs keep such a sampler as its bare name, and checkpoints and results do not note the package that it is from."""

    @property
    def max_positions(self) -> int | None:
        """The most frames, where its own options say that: it then is `input.frames`. None: `input.frames` decides."""
        return None

    @property
    def pads(self) -> bool:
        """True: a video with fewer positions is padded in time up to `input.frames`. False: it simply is shorter."""
        return True

    @abstractmethod
    def build(self) -> Sampler:
        """Return the sampler."""
