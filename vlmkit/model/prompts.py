"""One question as a chat template renders it: the system's words, the user's, and the first words of the reply."""

from __future__ import annotations

from typing import Any

from jinja2 import TemplateError

__all__ = ["render_prompt"]

Turns = list[dict[str, str]]


def render_prompt(tokenizer: Any, user: str, system: str = "", reply: str = "") -> str:
    """Return one user turn up to where the answer begins, or goes on after `reply`; see `VideoLMProcessor.prompt`."""
    turns: Turns = [{"role": "user", "content": user}]
    text = ""
    if system:
        first = {role: [{"role": role, "content": system}, *turns] for role in ("system", "assistant", "user")}
        text, *others = (_render(tokenizer, each, add_generation_prompt=True) for each in first.values())
        if system.strip() in text and text not in others:  # many a template takes every other role for the assistant's
            turns = first["system"]
        else:
            turns, text = [{"role": "user", "content": f"{system}\n{user}"}], ""
    text = text or tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    if not reply:
        return text
    whole = _render(tokenizer, [*turns, {"role": "assistant", "content": reply}], add_generation_prompt=False)
    place = whole.find(reply, len(text)) if whole.startswith(text) else -1
    return text + reply if place < 0 else whole[: place + len(reply)]


def _render(tokenizer: Any, turns: Turns, add_generation_prompt: bool) -> str:
    """Return the text of some turns; empty where the template refuses them: "System role not supported"."""
    try:
        return str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=add_generation_prompt))
    except TemplateError:
        return ""
