"""The field `chat_template` of a spec."""

from __future__ import annotations

from vlmkit.api import did_you_mean, shown
from vlmkit.api.chat_template import check_learnable
from vlmkit_backbones.templates import TEMPLATES

__all__ = ["check_template"]


def check_template(template: str) -> None:
    """Raise a ValueError where the value is neither a known name nor a Jinja template that puts one turn as training
    needs it: `<video>` stays, and the answer is added behind the prompt."""
    names = ["tokenizer", *TEMPLATES]
    if template in names:
        return
    if "{{" not in template and "{%" not in template:
        raise ValueError(
            f"expected one of {', '.join(sorted(names))}, or a Jinja template; {did_you_mean(template, names)}found "
            f"{shown(template)}, which has neither {{{{ nor {{% in it"
        )
    check_learnable(template)
