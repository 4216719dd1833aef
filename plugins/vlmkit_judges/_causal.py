"""A causal language model of transformers that judges: its text for a request, its replies and its probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import torch
from jinja2 import TemplateError
from torch import Tensor

from vlmkit.api import (
    JudgeRequest,
    SpecError,
    expand_path,
    file_sha256,
    is_file,
    quiet_transformers,
    reading,
    refuse_pointers,
)
from vlmkit_judges._judge_requests import prompt_of

__all__ = ["CausalModel", "model_identity"]


def model_identity(path: str) -> str:
    """Return the beginning of a checksum of all files of the model's folder. A SpecError where it is none."""
    folder = expand_path(path)
    if not is_file(folder / "config.json"):
        raise SpecError(
            f"a judge of transformers: expected the folder of a language model at {path}, found no config.json there; "
            "correct `path`"
        )
    refuse_pointers(folder, SpecError)
    files = sorted(file for file in folder.iterdir() if is_file(file))
    return _sha256(tuple((file, file.stat().st_size, file.stat().st_mtime_ns) for file in files))


@lru_cache
def _sha256(files: tuple[tuple[Path, int, int], ...]) -> str:
    import hashlib

    lines = "".join(f"{file.name} {file_sha256(file)}\n" for file, _, _ in files)
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


class CausalModel:
    """The model, which is loaded when it is first needed, on the accelerator where there is one."""

    def __init__(self, path: str, dtype: str) -> None:
        self.path, self.dtype = path, dtype

    @cached_property
    def model(self) -> Any:
        """The model in evaluation mode."""
        from transformers import AutoModelForCausalLM

        with self._reading("language model"), quiet_transformers():
            model = AutoModelForCausalLM.from_pretrained(
                expand_path(self.path),
                dtype=getattr(torch, self.dtype),
                local_files_only=True,
                trust_remote_code=False,
            )
        return model.eval().to("cuda" if torch.cuda.is_available() else "cpu")

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer."""
        from transformers import AutoTokenizer

        with self._reading("tokenizer"), quiet_transformers():
            return AutoTokenizer.from_pretrained(expand_path(self.path), local_files_only=True, trust_remote_code=False)

    def _reading(self, what: str) -> Any:
        return reading(f"expected a {what} at {self.path}", "give a complete folder", SpecError, expand_path(self.path))

    def text(self, request: JudgeRequest) -> str:
        """Return what the model continues: the chat by its template, or the plain texts where it has none."""
        messages = prompt_of(request).messages(request)
        together = "\n\n".join(message["content"] for message in messages)
        if not getattr(self.tokenizer, "chat_template", None):
            return f"{together}\n"
        try:
            return self._chat(messages)
        except TemplateError:  # some families have no system's role
            return self._chat([{"role": "user", "content": together}])

    def _chat(self, messages: Sequence[Mapping[str, str]]) -> str:
        """Return a chat by the model's template; a reasoning model answers at once."""
        text: str = self.tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True, enable_thinking=False
        )
        return text

    def ids(self, text: str) -> list[int]:
        """Return the tokens of a text; the template has written the special ones where there is one."""
        special = not getattr(self.tokenizer, "chat_template", None)
        found: list[int] = self.tokenizer(text, add_special_tokens=special)["input_ids"]
        return found

    @torch.inference_mode()
    def continue_texts(self, prompts: Sequence[Sequence[int]], longest: int) -> list[list[int]]:
        """Return the likeliest next tokens of each prompt, at most `longest`, up to an end of text."""
        ids, mask = self._padded(prompts)
        found = self.model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=longest,
            do_sample=False,
            num_beams=1,
            pad_token_id=self._padding,
            temperature=None,
            top_p=None,
            top_k=None,
        )
        replies: list[list[int]] = found[:, ids.shape[1] :].tolist()
        return replies

    @torch.inference_mode()
    def log_probabilities(self, rows: Sequence[Sequence[int]], last: int) -> Tensor:
        """Return the log-probability of every token behind each of the `last` positions: (rows, last, vocabulary)."""
        ids, mask = self._padded(rows)
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        output = self.model(
            input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False, logits_to_keep=last
        )
        return output.logits[:, -last:].float().log_softmax(-1).cpu()

    @property
    def _padding(self) -> int:
        return self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else 0

    def _padded(self, rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """Return tokens and mask, padded on the left: (rows, longest)."""
        longest = max(map(len, rows))
        ids = [[self._padding] * (longest - len(row)) + list(row) for row in rows]
        mask = [[0] * (longest - len(row)) + [1] * len(row) for row in rows]
        return torch.tensor(ids, device=self.model.device), torch.tensor(mask, device=self.model.device)
