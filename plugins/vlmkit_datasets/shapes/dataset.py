"""The clips as samples to learn from."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import numpy as np

from vlmkit.api import Dataset, Sample, Turn

from .store import clips_of, identity, prepare

if TYPE_CHECKING:
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

    def fingerprint(self) -> str:
        """A hash of the options that the samples follow from."""
        chosen = self.spec.model_dump(include={"questions_per_clip", "text_only"})
        return hashlib.sha256(json.dumps({**identity(self.spec), **chosen}, sort_keys=True).encode()).hexdigest()

    def sample(self, index: int) -> Sample:
        """The conversation about clip number `index`."""
        clip = self._clips[index]
        order = np.random.default_rng((*clip.seed, 1)).permutation(len(clip.questions))
        asked = [clip.questions[i] for i in order[: self.spec.questions_per_clip]]
        video = None if self.spec.text_only else str(self.spec.video_root() / f"{clip.name}.mp4")
        opening = "" if video is None else "<video>\n"
        turns = tuple(
            Turn(("" if i else opening) + question.question, question.answer) for i, question in enumerate(asked)
        )
        name = f"{self.spec.level}-{self.spec.split}-{self.spec.seed}-{clip.name}"
        return Sample(name, turns, video, {"types": [question.type for question in asked]})
