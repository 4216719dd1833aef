"""Trying a chat template out without transformers, which would be slow to import."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

from vlmkit.api import hint
from vlmkit_backbones.templates import TEMPLATES

__all__ = ["check_template"]

_USER, _ANSWER = "<video>\nWhich way?", "Left."
_MARKS = re.compile(r"\{%-?\s*(?:end)?generation\s*-?%\}")
"""transformers' own statement around what an assistant says; it changes no text."""


def check_template(template: str) -> None:
    """A ValueError where the value is neither a known name nor a Jinja template that puts one turn as training needs
    it: `<video>` stays, and the answer is added behind the prompt."""
    names = ["tokenizer", *TEMPLATES]
    if template in names:
        return
    if "{{" not in template and "{%" not in template:
        raise ValueError(
            f"expected one of {', '.join(sorted(names))}, or a Jinja template; {hint(template, names)}found "
            f"{template!r}, which has neither {{{{ nor {{% in it"
        )
    prompt, whole = _render(template)
    if prompt.count("<video>") != 1:
        raise ValueError(
            f"expected a template that puts the user's words as they are; of {_USER!r} it makes {prompt!r}, with "
            f"<video> {prompt.count('<video>')} times"
        )
    if not whole.startswith(prompt) or _ANSWER not in whole[len(prompt) :]:
        raise ValueError(
            "expected a template that adds the answer behind the prompt that it makes with `add_generation_prompt`; "
            f"the prompt is {prompt!r}, with the answer {_ANSWER!r} it becomes {whole!r}"
        )


def _render(template: str) -> tuple[str, str]:
    """A question, and the same with its answer."""
    from jinja2 import TemplateSyntaxError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = json.dumps
    environment.globals |= {"raise_exception": _refuse, "strftime_now": lambda form: datetime.now().strftime(form)}
    messages = [{"role": "user", "content": _USER}, {"role": "assistant", "content": _ANSWER}]
    given: dict[str, Any] = {"bos_token": "<s>", "eos_token": "</s>", "tools": None, "documents": None}
    try:
        made = environment.from_string(_MARKS.sub("", template))
        prompt = made.render(messages=messages[:1], add_generation_prompt=True, **given)
        return prompt, made.render(messages=messages, add_generation_prompt=False, **given)
    except TemplateSyntaxError as error:
        raise ValueError(f"expected a Jinja template; line {error.lineno} of it: {error.message}") from None
    except Exception as error:  # what a template does is up to whoever wrote it
        raise ValueError(
            f"the Jinja template fails on a question with its answer: {type(error).__name__}: {error}"
        ) from None


def _refuse(message: str) -> None:
    raise ValueError(message)
