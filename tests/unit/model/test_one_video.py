"""One video per sample: tokens, labels, features and outputs are those of vlmkit before samples could have several.

`tests/golden/one_video.json` was written by vlmkit 0.1 at the commit before that change, by `record` below.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vlmkit.api import Sample, Turn
from vlmkit.data import FittedVideo
from vlmkit.evaluation.answer_model import LoadedModel
from vlmkit.model import compose
from vlmkit.model.prompts import render_conversation
from vlmkit.spec.experiment import ModelSpec
from vlmkit.training.collate import Collator, StageDataset

from .conftest import BACKBONE

ALIGNERS = ("stab", "eve", "video-chatgpt", "video-llava", "chat-univi", "pllava")
TALKS = {
    "first": (Turn("<video>\nwhat colour?", "red"), Turn("which way?", "left of it")),
    "text": (Turn("hello", "you"),),
    "last": (Turn("which circle moves?\n<video>", "it does"),),
}
PROMPTS = ("<video>\nwhat colour is it?", "left <video> right")


class _Videos:
    """Fitted videos by name, in the place of a loader of files."""

    def __init__(self, clips: Mapping[str, FittedVideo]) -> None:
        self.clips = clips

    def load(self, path: str, flip: bool = False) -> dict[str, FittedVideo]:
        return {"aligner": self.clips[path].flipped() if flip else self.clips[path]}


def _listed(features: Mapping[str, Any]) -> dict[str, Any]:
    """Integers as they are, pixels as a checksum of their bytes."""
    return {
        name: sha256(value.numpy().tobytes()).hexdigest() if value.is_floating_point() else value.tolist()
        for name, value in features.items()
    }


def record(name: str) -> dict[str, Any]:
    """Return what becomes of conversations with at most one video each, for the tiny version of an aligner."""
    aligner = ModelSpec.model_validate({"aligner": {"type": name}, "backbone": BACKBONE}).aligner.tiny()
    model, processor = compose(ModelSpec.model_validate({"aligner": aligner, "backbone": BACKBONE}), seed=3)
    canvas = processor.aligner.input
    sides = canvas.size, canvas.size, 3
    noise = np.random.default_rng(1).integers(0, 255, (2, canvas.frames, *sides), np.uint8)
    clips = {f"clip{row}": FittedVideo(pixels, (0, *sides[:1], 0, sides[1]), canvas.frames, (0.0, 0.5))
             for row, pixels in enumerate(noise)}  # fmt: skip
    samples = [Sample(key, turns, None if key == "text" else f"clip{row // 2}")
               for row, (key, turns) in enumerate(TALKS.items())]  # fmt: skip
    stage: Any = StageDataset([(0, row) for row in range(3)], [(each.id, each) for each in samples],  # type: ignore[arg-type]
                              _Videos(clips), False)  # type: ignore[arg-type]  # fmt: skip
    batch = Collator(processor, canvas, None, 4096)([stage[row] for row in range(3)])
    assert batch.video is not None
    loaded = LoadedModel(lambda: (model, processor))
    encoded = loaded.encode_video(clips["clip0"])
    prompt = loaded.encode_prompt(PROMPTS[0], encoded, ["red", "left"])
    messages = [{"role": "user", "content": [{"type": "video", "video": clips["clip1"]},
                                             {"type": "text", "text": "what colour?"}]}]  # fmt: skip
    asked = render_conversation(processor.tokenizer, [{"role": "user", "content": PROMPTS[1]}])
    rendering: dict[str, Any] = {"tokenize": True, "return_dict": True, "add_generation_prompt": True}
    engine = processor([" and ".join(PROMPTS)], list(clips.values()), return_mm_token_type_ids=True)
    with torch.no_grad():
        loss = model(**batch.text, **batch.video.model_inputs()).loss
    return {
        "training": _listed(batch.text | batch.video.model_inputs()),
        "call": _listed(processor([processor.prompt(each) for each in PROMPTS], list(clips.values()))),
        "chat": _listed(processor.apply_chat_template(messages, **rendering)),
        "conversation": processor.tokenize([asked], [clips["clip0"].shape])[0].ids.tolist(),
        "continuations": [[row.ids.tolist(), row.labels.tolist()] for row in prompt.content],
        "engine": _listed({key: value for key, value in engine.items() if key != "text_replacement_offsets"}),
        "loss": float(loss),
    }


@pytest.mark.parametrize("name", ALIGNERS)
def test_who_has_one_video_notices_nothing(name: str, golden: Path) -> None:
    expected = json.loads((golden / "one_video.json").read_text(encoding="utf-8"))[name]
    found = record(name)
    assert found.pop("loss") == pytest.approx(expected.pop("loss"), abs=1e-5)
    assert found == expected
