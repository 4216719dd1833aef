"""The judge `local`: a language model on this machine writes replies, which are read like those of an endpoint."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter

from vlmkit.api import Judge, JudgeEstimate, JudgePrompt, JudgeRequest, SpecError, Unscored, Verdict
from vlmkit_judges._causal import CausalModel
from vlmkit_judges._judge_requests import prompt_of, verdict_of

__all__ = ["LocalJudge", "batches", "texts_of"]


def texts_of(model: CausalModel, requests: Sequence[JudgeRequest]) -> tuple[dict[int, str], dict[int, Unscored]]:
    """Return the text for each request, by index, and of those that the prompt does not fit why."""
    texts, misfits = {}, {}
    for index, request in enumerate(requests):
        try:
            texts[index] = model.text(request)
        except SpecError as error:
            misfits[index] = Unscored(str(error))
    return texts, misfits


def batches(requests: Sequence[JudgeRequest], lengths: Mapping[int, int], size: int) -> Iterator[list[int]]:
    """Yield the indices of requests that are computed together: of one prompt, the longest first.

    `lengths` are those of their texts, by index; a lack of memory shows at once.
    """
    of_prompt: dict[JudgePrompt, list[int]] = {}
    for index in sorted(lengths, key=lambda index: -lengths[index]):
        of_prompt.setdefault(prompt_of(requests[index]), []).append(index)
    for indices in of_prompt.values():
        for start in range(0, len(indices), size):
            yield indices[start : start + size]


class LocalJudge(Judge):
    """Greedy replies in batches, by the model's chat template where it has one. The prompt's temperature is unused."""

    prompted = True

    def __init__(self, model: CausalModel, identity: str, batch_size: int) -> None:
        self._model, self._batch_size = model, batch_size
        self.version = f"1: {Path(model.path).name} {identity} {model.dtype}, batches of {batch_size}"

    def estimate(self, requests: Sequence[JudgeRequest]) -> JudgeEstimate:
        """Return the tokens of these requests."""
        entering = sum(len(self._model.ids(self._model.text(request))) for request in requests)
        leaving = sum(prompt_of(request).max_tokens for request in requests)
        return JudgeEstimate(len(requests), entering, leaving, 0.0, "the model's tokenizer")

    def judge(self, requests: Sequence[JudgeRequest]) -> Iterator[tuple[int, Verdict | Unscored]]:
        """Yield verdicts batch by batch."""
        texts, misfits = texts_of(self._model, requests)
        yield from misfits.items()
        rows = {index: self._model.ids(text) for index, text in texts.items()}
        for batch in batches(requests, {index: len(row) for index, row in rows.items()}, self._batch_size):
            started = perf_counter()
            longest = prompt_of(requests[batch[0]]).max_tokens
            replies = self._model.continue_texts([rows[index] for index in batch], longest)
            seconds = (perf_counter() - started) / len(batch)
            for index, ids in zip(batch, replies, strict=True):
                yield index, self._read(requests[index], len(rows[index]), ids, seconds)

    def _read(self, request: JudgeRequest, entering: int, ids: Sequence[int], seconds: float) -> Verdict | Unscored:
        text = self._model.tokenizer.decode(ids, skip_special_tokens=True)
        found = verdict_of(request, text)
        if isinstance(found, Unscored):
            return found
        ends = {self._model.tokenizer.eos_token_id, self._model.tokenizer.pad_token_id}
        leaving = next((n + 1 for n, token in enumerate(ids) if token in ends), len(ids))
        name = Path(self._model.path).name
        return replace(found, model=name, input_tokens=entering, output_tokens=leaving, seconds=seconds)
