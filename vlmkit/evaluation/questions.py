"""What is asked: a question of a benchmark together with the video that is shown."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vlmkit.api.evaluator import Document
from vlmkit.evaluation.blind import other_clips
from vlmkit.evaluation.selection import Selection

__all__ = ["Question", "blind_questions", "questions"]


@dataclass(frozen=True)
class Question:
    """One question as it is put to the model."""

    document: Document
    prompt: str
    shown: str
    """Name of the video that is shown: the document's own, or another one's for the blind baseline."""
    path: Path | None
    """Its file; None where there is none."""
    problem: str = ""
    """Why there is no file."""

    def fingerprint(self, how: str) -> str:
        """Changes with all that the answer depends on: `how` is what it shares with the other answers; of the video,
        path and size stand for it."""
        asked = [self.prompt, self.path and [str(self.path), self.path.stat().st_size], how]
        return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]

    def entry(self) -> dict[str, Any]:
        """The beginning of its line in the journal."""
        own = asdict(self.document)
        return own if self.shown == self.document.video else {**own, "shown": self.shown}


def questions(selection: Selection) -> list[Question]:
    """Each question about its own video."""
    return _questions(selection, {document.video: document.video for document in selection.documents})


def blind_questions(selection: Selection, seed: int) -> list[Question]:
    """Each question about another clip; `seed` decides which. What has no video of its own is skipped here too."""
    circle = other_clips(selection.videos, seed)
    return _questions(selection, {**{name: name for name in selection.missing}, **circle})


def _questions(selection: Selection, shown: Mapping[str, str]) -> list[Question]:
    return [
        Question(
            document,
            selection.evaluator.prompt(document),
            name,
            selection.videos.get(name),
            selection.missing.get(name, ""),
        )
        for document in selection.documents
        for name in (shown[document.video],)
    ]
