"""Trying a chat template out before it is used: in a process of its own, since it may loop for ever or fill the memory.

No torch, no transformers. All that is wrong with a template is a ValueError.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from vlmkit.errors import UserError, shown

__all__ = ["Trial", "check_learnable", "check_prompt"]

_USER, _ANSWER = "<video>\nWhich way?", "Left."
_TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}
_MARKS = re.compile(r"\{%-?\s*(?:end)?generation\s*-?%\}")
"""transformers' own statement around what an assistant says; it changes no text."""
_CHILD = Path(__file__).with_name("_render_child.py")
_BOUNDS = {"seconds": 5, "bytes": 2**30, "characters": 10**6}
"""Seconds of computing, memory, and characters of a text; a real template takes milliseconds."""
_WAIT = 120
"""Seconds until the process must have ended, on a machine however busy."""


class Trial(NamedTuple):
    """The texts that a template makes of a question."""

    prompt: str
    """Up to where the answer begins."""
    whole: str
    """With the answer; empty where the template fails on it."""
    problem: str
    """How it fails on it."""


def check_prompt(template: object, tokens: Mapping[str, Any] = _TOKENS) -> Trial:
    """Return what a chat template makes of a question, and of the question with its answer.

    Of several templates by name the one called `default` counts. `tokens` are special ones by name, e.g. `eos_token`. A
    ValueError where it is no template, fails, does not end, or does not put the user's words as they are.
    """
    if isinstance(template, Mapping):
        if "default" not in template:
            raise ValueError(f"expected a chat template called default, found {shown(sorted(map(str, template)))}")
        template = template["default"]
    if not isinstance(template, str):
        raise ValueError(f"expected a Jinja template, found {shown(template)}")
    trial = _try(template, tuple((str(name), str(token)) for name, token in tokens.items()))
    if trial.prompt.count("<video>") != 1:
        raise ValueError(
            f"expected a template that puts the user's words as they are; of {_USER!r} it makes "
            f"{shown(trial.prompt, 300)}, with <video> {trial.prompt.count('<video>')} times"
        )
    return trial


def check_learnable(template: str) -> None:
    """Check likewise, and that the answer is added behind the prompt, as training needs it."""
    trial = check_prompt(template)
    if trial.problem:
        raise ValueError(trial.problem)
    if not trial.whole.startswith(trial.prompt) or _ANSWER not in trial.whole[len(trial.prompt) :]:
        raise ValueError(
            "expected a template that adds the answer behind the prompt that it makes with `add_generation_prompt`; "
            f"the prompt is {shown(trial.prompt, 300)}, with the answer {_ANSWER!r} it becomes "
            f"{shown(trial.whole, 300)}"
        )


@lru_cache(maxsize=64)
def _try(template: str, tokens: tuple[tuple[str, str], ...]) -> Trial:
    """Render a question, the same with its answer, and a long conversation, which only must end."""
    turns = [{"role": "user", "content": _USER}, {"role": "assistant", "content": _ANSWER}]
    more = [{"role": turn["role"], "content": f"{turn['content']} " * 50} for turn in turns]
    conversations = [(turns[:1], True), (turns, False), ([*turns, *more * 8], False)]
    given = {**dict(tokens), "tools": None, "documents": None}
    order = {
        **_BOUNDS,
        "path": sys.path,
        "template": _MARKS.sub("", template),
        "trials": [given | {"messages": messages, "add_generation_prompt": begin} for messages, begin in conversations],
    }
    prompt, whole, *_ = [*_rendered(order), {}]
    if "error" in prompt:
        raise ValueError(_failure(prompt["error"]))
    return Trial(prompt["text"], whole.get("text", ""), _failure(whole["error"]) if "error" in whole else "")


def _failure(error: str) -> str:
    if error.startswith("it is none: "):
        return f"expected a Jinja template; {error.removeprefix('it is none: ')}"
    return f"the Jinja template fails on a question with its answer: {error}"


def _rendered(order: dict[str, Any]) -> list[dict[str, str]]:
    try:
        done = subprocess.run(
            [sys.executable, "-P", str(_CHILD)], input=json.dumps(order), capture_output=True, text=True, timeout=_WAIT
        )
    except subprocess.TimeoutExpired:
        return [{"error": f"it does not end within {_WAIT} s"}]
    except OSError as error:
        raise UserError(f"the chat template cannot be tried: {sys.executable} cannot be started: {error}") from None
    if done.returncode < 0:
        return [{"error": f"it does not end within {order['seconds']} s of computing"}]
    if done.returncode > 0:
        return [{"error": f"it fills the memory: {(done.stderr.strip().splitlines() or ['no more is known'])[-1]}"}]
    answers: list[dict[str, str]] = json.loads(done.stdout)
    return answers
