"""Time of a training step of whole models, side by side in one run: forward, backward and AdamW, on drawn pixels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from vlmkit.bench.vision import TimingOptions, median_pass
from vlmkit.model.compose import compose
from vlmkit.runtime import keep_freed_memory
from vlmkit.spec.experiment import ExperimentSpec

__all__ = ["bench_training_steps"]

_SIDE = 64
"""Of the drawn frames, pixels, before they are fitted on the model's canvas: that of clips of moving shapes."""
_QUESTION, _ANSWER = "<video>\nWhich shape is it?", "circle"


class _TimedStep:
    """A model of random weights with an optimizer and a batch, in float32."""

    def __init__(self, spec: ExperimentSpec, options: TimingOptions) -> None:
        self.model, processor = compose(spec.model)
        self.model.to(options.device).train()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-4)
        frames = spec.model.aligner.input.frames
        pixels = np.random.default_rng(0).integers(0, 256, (frames, _SIDE, _SIDE, 3), np.uint8)
        prompt = processor.prompt(_QUESTION, reply=_ANSWER)
        batch = processor([prompt] * options.batch, [pixels] * options.batch)
        self.inputs: dict[str, Any] = {name: value.to(options.device) for name, value in batch.items()}
        ids = self.inputs["input_ids"]
        self.inputs["labels"] = ids.masked_fill(ids == self.model.config.video_token_id, -100)

    def __call__(self) -> None:
        self.model(**self.inputs).loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


def bench_training_steps(
    specs: Mapping[str, ExperimentSpec],
    options: TimingOptions,
    say: Callable[[str], None] = lambda message: None,
) -> dict[str, list[float]]:
    """Return, by name, the seconds of a step in each round; in a round every model has its turn.

    All parameters train. The batch has `options.batch` videos with a short question and answer each; `dtype`, `compile`
    and `train` of the options are not looked at.
    """
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    steps = {name: _TimedStep(spec, options) for name, spec in specs.items()}
    for step in steps.values():
        step()  # allocates
    seconds: dict[str, list[float]] = {name: [] for name in specs}
    for number in range(options.rounds):
        for name, step in steps.items():
            seconds[name].append(median_pass(step, torch.device(options.device)))
        say(f"round {number + 1} of {options.rounds}: a training step of each")
    return seconds
