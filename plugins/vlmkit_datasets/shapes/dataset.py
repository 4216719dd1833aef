"""The clips as samples to learn from."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, overload

import numpy as np

from vlmkit.api import Dataset, Sample, Turn

from .clips import Clip
from .store import clips_of, identity, prepare

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..spec import MovingShapesSpec

__all__ = ["MovingShapes"]


class MovingShapes(Dataset):
    """One sample per clip: its questions in one conversation, in an order that varies from clip to clip."""

    def __init__(self, spec: MovingShapesSpec) -> None:
        self.spec = spec
        self._clips = clips_of(spec)
        if not spec.text_only:
            prepare(spec)

    def __len__(self) -> int:
        return len(self._clips)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | Sequence[Sample]:
        if isinstance(index, slice):
            return [self._sample(clip) for clip in self._clips[index]]
        return self._sample(self._clips[index])

    def fingerprint(self) -> str:
        """A hash of the options that the samples follow from."""
        chosen = self.spec.model_dump(include={"questions_per_clip", "text_only"})
        return hashlib.sha256(json.dumps({**identity(self.spec), **chosen}, sort_keys=True).encode()).hexdigest()

    def _sample(self, clip: Clip) -> Sample:
        order = np.random.default_rng((*clip.seed, 1)).permutation(len(clip.questions))
        asked = [clip.questions[i] for i in order[: self.spec.questions_per_clip]]
        video = None if self.spec.text_only else str(self.spec.video_root() / f"{clip.name}.mp4")
        opening = "" if video is None else "<video>\n"
        turns = tuple(
            Turn(("" if i else opening) + question.question, question.answer) for i, question in enumerate(asked)
        )
        name = f"{self.spec.level}-{self.spec.split}-{self.spec.seed}-{clip.name}"
        return Sample(name, turns, video, {"types": [question.type for question in asked]})
