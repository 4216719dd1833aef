"""How a model answers: prompts and videos in, text out.

Shape letters: B questions, S positions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from vlmkit.data import FittedVideo

__all__ = ["Respond", "responder"]

Respond = Callable[[Sequence[str], Sequence[FittedVideo], int], Sequence[str]]
"""Prompts, their videos and the longest answer in tokens, to answers."""


def responder(load: Callable[[], tuple[Any, Any]]) -> Respond:
    """Greedy answers of the model and processor that `load` gives. It is called when the first question comes."""
    loaded: list[tuple[Any, Any]] = []

    def respond(prompts: Sequence[str], videos: Sequence[FittedVideo], max_new_tokens: int) -> Sequence[str]:
        if not loaded:
            loaded.append(load())
        model, processor = loaded[0]
        return _generate(model, processor, prompts, videos, max_new_tokens)

    return respond


def _generate(
    model: Any, processor: Any, prompts: Sequence[str], videos: Sequence[FittedVideo], max_new_tokens: int
) -> list[str]:
    import torch

    model.eval()
    inputs = processor(text=[processor.prompt(prompt) for prompt in prompts], videos=list(videos)).to(model.device)
    with torch.inference_mode():
        ids_BS = model.generate(**inputs, max_new_tokens=max_new_tokens, do_sample=False, num_beams=1)
    new_BS = ids_BS[:, inputs["input_ids"].shape[1] :]
    return [answer.strip() for answer in processor.tokenizer.batch_decode(new_BS, skip_special_tokens=True)]
