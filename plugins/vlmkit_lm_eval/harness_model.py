"""The model type `vlmkit` of lm-eval: a saved VideoLM that answers text tasks and questions about videos."""

from __future__ import annotations

import copy
import logging
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from lm_eval.models.utils import normalize_gen_kwargs, postprocess_generated_text
from transformers.utils.logging import tqdm

from vlmkit.api import Prompt, UnreadableVideo, UserError, did_you_mean, shown
from vlmkit.evaluation import LoadedModel, ModelQuestion, VideoPart, ask
from vlmkit.model import load

__all__ = ["HarnessModel"]

_OF_TEXT = ("add_bos_token", "chat_template_args", "enable_thinking", "logits_cache", "max_batch_size", "max_length",
            "prefix_token_id", "softmax_dtype", "think_end_token", "truncation")  # fmt: skip
"""Options of lm-eval's type `hf` that concern a loaded model."""
_GREEDY = {"do_sample": False, "temperature": 0, "num_beams": 1}
_log = logging.getLogger(f"lm_eval.{__name__}")


class HarnessModel(HFLM):
    """A saved model. Text requests are computed by lm-eval's own type `hf`; requests with a video are answered as in
    `vlmkit eval`: greedily, the chat template applied, the same batches.
    """

    MULTIMODAL = True

    def __init__(
        self,
        path: str = "",
        device: str | None = None,
        batch_size: int | str = 1,
        trust_remote_code: bool = False,
        **options: Any,
    ) -> None:
        """Load the model in the folder `path`, e.g. `runs/quickstart/model`, in the types in which it was saved.

        A `batch_size` of `auto` or `auto:N` is for text alone. `trust_remote_code` is for data sets of lm-eval: code in
        the model's folder is never run. `options` are those of lm-eval's type `hf` in `_OF_TEXT`.

        A UserError where an option is unknown or has no meaning here, or the folder holds no model that can be used.
        """
        _check_options(path, batch_size, options)
        model, processor = load(path)
        model.to(_device(device))
        self._take(model, processor, batch_size, options)

    @classmethod
    def of(cls, model: Any, processor: Any, batch_size: int) -> Self:
        """Return the same for a model that is loaded and on its device."""
        own = cls.__new__(cls)
        own._take(model, processor, batch_size, {})
        return own

    def _take(self, model: Any, processor: Any, batch_size: int | str, options: Mapping[str, Any]) -> None:
        self._processor = processor
        tokenizer = copy.deepcopy(processor.tokenizer)  # lm-eval gives it a padding token
        HFLM.__init__(self, model, backend="causal", tokenizer=tokenizer, batch_size=batch_size, **options)

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Return the answers in the order of the requests; a third argument `{visual: [path]}` is the video of one."""
        by_task: dict[str | None, list[tuple[int, Instance]]] = defaultdict(list)
        for place, request in enumerate(requests):
            by_task[request.task_name if len(request.args) > 2 else None].append((place, request))
        text = by_task.pop(None, [])
        said = super().generate_until([request for _, request in text], disable_tqdm) if text else []
        answers = dict(zip([place for place, _ in text], said, strict=True))
        for name, numbered in by_task.items():
            with tqdm(total=len(numbered), desc=f"{name}, questions", disable=disable_tqdm) as bar:
                for place, answer in self._answer_about_videos(numbered):
                    answers[place] = answer
                    bar.update()
        return [answers[place] for place in range(len(requests))]

    def _answer_about_videos(self, numbered: Sequence[tuple[int, Instance]]) -> Iterator[tuple[int, str]]:
        """Yield place and answer of each request of one task."""
        if not isinstance(self.batch_size, int):
            raise UserError(
                f"batch_size={self.batch_size}: questions about videos are asked in batches of a stated size; give "
                "--batch_size a whole number"
            )

        def question_of(item: tuple[int, Instance]) -> ModelQuestion:
            words, _, shown = item[1].args[:3]
            prompt = Prompt(words, shown.get("system", ""), shown.get("reply", ""))
            part = VideoPart(_video(item[1]), shown.get("span"))
            return ModelQuestion(prompt, part, _decoding(item[1])[0], tuple(shown.get("continuations", ())))

        sampling = numbered[0][1].args[2].get("sampling")  # that of a task is the same for all of its questions

        def load(part: VideoPart) -> Any:
            return self._processor.fit(part.path, part.span, sampling)

        model = LoadedModel(lambda: (self.model, self._processor))
        for batch in ask(numbered, question_of, model, load, self.batch_size):
            for (place, request), answer in batch:
                if isinstance(answer, UnreadableVideo):
                    raise answer
                cut = postprocess_generated_text(answer.text, _decoding(request)[1], None)
                self.cache_hook.add_partial("generate_until", request.args, cut)
                yield place, cut


def _video(request: Instance) -> str:
    """Return the path of its video. A UserError where a task shows something else."""
    visual = request.args[2].get("visual")
    if isinstance(visual, Sequence) and len(visual) == 1 and isinstance(visual[0], str):
        return visual[0]
    raise UserError(
        f"{request.task_name}: expected one video file per question, found {shown(visual)}; the model type `vlmkit` "
        "takes text tasks and the benchmarks of vlmkit's registry"
    )


def _decoding(request: Instance) -> tuple[int, list[str]]:
    """Return the longest answer in tokens and the texts at which answers end. A UserError where they are sampled."""
    wanted: Mapping[str, Any] = normalize_gen_kwargs(request.args[1])
    free = ("max_gen_toks", "until")
    odd = {key: value for key, value in wanted.items() if key not in free and _GREEDY.get(key, ...) != value}
    if odd:
        raise UserError(
            f"{request.task_name}: answers about videos are greedy; of the generation arguments `max_gen_toks` and "
            f"`until` can be set, found {shown(odd)}"
        )
    return wanted["max_gen_toks"], wanted["until"]


def _check_options(path: object, batch_size: int | str, options: Mapping[str, Any]) -> None:
    """Raise a UserError where model arguments are missing, unknown, or mean nothing for a saved model."""
    if not isinstance(path, str) or not path:
        raise UserError("--model_args: expected path=FOLDER, the folder of a saved model, e.g. runs/quickstart/model")
    for name in options:
        if name not in _OF_TEXT:
            known = ("path", "device", "batch_size", *_OF_TEXT)
            raise UserError(
                f"--model_args: the model type `vlmkit` has no option {name!r}; {did_you_mean(name, known)}options: "
                f"{', '.join(known)}"
            )
    size, _, _ = str(batch_size).partition(":")
    if size != "auto" and not (size.isdecimal() and int(size)):
        raise UserError(f"--batch_size: expected a whole number from 1 on, auto or auto:N; found {shown(batch_size)}")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UserError("lm-eval's model type `vlmkit` runs in one process; start it without accelerate or torchrun")


def _device(name: str | None) -> torch.device:
    """Return the device of this name; the CPU, with a warning, where it should be a GPU and there is none."""
    try:
        device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
        if device.type == "cuda" and not torch.cuda.is_available():  # lm-eval's command line says cuda:0 by default
            _log.warning("there is no CUDA device on this machine: using the CPU in place of %s", name)
            device = torch.device("cpu")
        torch.empty(0, device=device)
    except RuntimeError as error:
        first = str(error).splitlines()[0]
        raise UserError(f"--device: expected cpu, cuda or cuda:N, found {shown(name)}: {first}") from None
    return device
