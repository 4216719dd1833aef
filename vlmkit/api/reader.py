"""The kind `reader`: decoding of video files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from vlmkit.api.contract import Contract, ContractError, Promise, Promises, builds, check_int, check_type, type_name
from vlmkit.api.spec import ComponentSpec
from vlmkit.errors import PluginError, UnreadableVideo, UserError, shown
from vlmkit.guard import set_spec

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["OpenVideo", "Reader", "ReaderSpec"]


def _unreadable(problem: PluginError, error: BaseException, *_: object, **__: object) -> NoReturn:
    """A decoder's own error is one about this video: it is skipped, written down with this reason, and counted."""
    if isinstance(error, UserError):
        raise error
    if isinstance(error, ContractError | SystemExit):
        raise problem from error
    raise UnreadableVideo(str(problem)) from error


def _pictures(video: OpenVideo, answer: object, positions: Sequence[int]) -> Any:
    import numpy as np

    pixels = check_type(answer, np.ndarray, "numpy.ndarray")
    expected = (len(positions), video.height, video.width, 3)
    if pixels.dtype != np.uint8 or pixels.shape != expected:
        wanted = f"uint8 of {expected}: the frames that were asked for, of the height and width that this video states"
        raise ContractError(f"gives {pixels.dtype} of the shape {pixels.shape}, expected {wanted}")
    return pixels


def _times(video: OpenVideo, answer: object) -> Any:
    import numpy as np

    if answer is None:
        return None
    if not isinstance(answer, Sequence | np.ndarray):
        raise ContractError(f"gives {type_name(answer)}, expected a sequence of seconds, or None")
    times = np.asarray(answer)
    if times.shape != (video.num_frames,) or times.dtype.kind not in "fiu" or not np.isfinite(times).all():
        raise ContractError(
            f"gives {times.dtype} of the shape {times.shape}, expected the finite seconds of {video.num_frames} frames"
        )
    if (times[1:] < times[:-1]).any():
        raise ContractError("gives times that are not ascending, expected those of the frames in their order")
    return times


@dataclass
class OpenVideo(Contract, ABC):
    """One video, open for reading. Used by the thread that opened it, and dropped afterwards."""

    _promises: ClassVar[Promises] = {
        "frames": Promise(_pictures, failed=_unreadable),
        "times": Promise(_times, failed=_unreadable),
    }

    num_frames: int
    fps: float
    """Frames per second."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.num_frames / self.fps if self.fps else 0.0

    @property
    def times(self) -> Sequence[float] | None:
        """When each frame is shown, seconds, where the reader knows it; None: they are evenly spaced."""
        return None

    @abstractmethod
    def frames(self, positions: Sequence[int]) -> npt.NDArray[np.uint8]:
        """(n, H, W, 3) RGB of the frames at `positions` (repeats allowed). `UnreadableVideo` where decoding fails."""


def _opened(reader: object, answer: object, source: object) -> OpenVideo:
    video: OpenVideo = check_type(answer, OpenVideo)
    set_spec(video, reader)
    for name, least in (("num_frames", 0), ("width", 1), ("height", 1)):
        check_int(video, getattr(video, name), least=least, what=f"{name} ")
    if isinstance(video.fps, bool) or not isinstance(video.fps, int | float) or not video.fps >= 0:
        raise ContractError(f"gives fps {shown(video.fps)}, expected a number of at least 0")
    return video


class Reader(Contract, ABC):
    """Opens videos."""

    _promises: ClassVar[Promises] = {"open": Promise(_opened, failed=_unreadable)}

    @abstractmethod
    def open(self, source: str | Path | bytes) -> OpenVideo:
        """Open a file by path, or the bytes of one. `UnreadableVideo`, with the reason, where that fails."""


class ReaderSpec(ComponentSpec):
    """Options of a reader."""

    kind: ClassVar[str] = "reader"
    _promises: ClassVar[Promises] = {"build": builds(f"{__name__}:Reader")}

    @abstractmethod
    def build(self) -> Reader:
        """The reader."""
