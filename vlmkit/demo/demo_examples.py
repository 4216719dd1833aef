"""Clips and questions to begin with, for a model that was trained on `moving-shapes`: drawn when the page is made."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vlmkit.errors import UserError
from vlmkit.files import is_file
from vlmkit.registry import validate_slot
from vlmkit.run_folder import RunFolder

__all__ = ["Example", "draw_examples"]

_DRAWN = "moving-shapes"
_CLIPS = 4
_log = logging.getLogger(__name__)


class Example(NamedTuple):
    """A clip and something to ask about it."""

    file: str
    question: str


def draw_examples(models: Sequence[Path], folder: Path) -> list[Example]:
    """Return clips like those that one of the models learned from, but of the split `test`, drawn below a folder.

    Args:
        models: folders of models. One in a run knows what it was trained on.
        folder: where the clips go.

    Returns:
        Clips, each with another kind of question; none where no model was trained on `moving-shapes`.
    """
    for model in models:
        run = RunFolder(model.parent)
        if not is_file(run.spec_file):
            continue
        try:
            training = run.spec().training
        except UserError as error:  # the model is whole, and examples are a help alone
            _log.warning("no clips to begin with: %s", error)
            continue
        for data in (data for stage in (training.stages if training else ()) for data in stage.data):
            if data.type == _DRAWN:
                return _draw(data, folder)
    return []


def _draw(data: Any, folder: Path) -> list[Example]:
    said = {"split": "test", "clips": _CLIPS, "questions_per_clip": None, "text_only": False, "root": folder}
    spec: Any = validate_slot("dataset", {**data.model_dump(), **said})
    examples: list[Example] = []
    for sample in spec.build():
        asked = [turn.user.removeprefix("<video>").strip() for turn in sample.turns]
        already = {example.question for example in examples}
        question = next((one for one in asked if one not in already), asked[0])
        examples.append(Example(sample.videos[0], question))
    return examples
