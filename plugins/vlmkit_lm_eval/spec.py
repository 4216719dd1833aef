"""Options of lm-eval's text tasks as benchmarks of a run."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Annotated, Literal, Self

from pydantic import Field

from vlmkit.api import Harness, HarnessSpec, UserError

__all__ = ["LmEvalSpec", "check_installed"]


def check_installed() -> None:
    """Raise a UserError where lm-eval is not installed."""
    if find_spec("lm_eval") is None:
        raise UserError("lm-eval is not installed; install it: pip install 'lm-eval[hf]>=0.4.13'")


class LmEvalSpec(HarnessSpec):
    """A text task of lm-eval, or a group of them with a score of its own, on the language side of a model."""

    type: Literal["lm-eval"] = "lm-eval"
    num_fewshot: Annotated[int, Field(ge=0, le=1000)] | None = None
    """Examples before each question; None: as many as the task says."""
    apply_chat_template: bool = False
    """Put questions as the chat template of the model renders them."""
    include_path: str | None = None
    """Folder with further tasks, as YAML files; relative paths start at the current folder."""

    @classmethod
    def tiny(cls) -> Self:
        """Of a task that need not be there: it is looked up when it is prepared."""
        return cls(task="hellaswag")

    def build(self) -> Harness:
        """The task, which is looked up when it is prepared."""
        check_installed()
        from vlmkit_lm_eval.text_tasks import TextTasks

        return TextTasks(self)
