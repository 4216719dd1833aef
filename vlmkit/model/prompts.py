"""Chat templates: how they render a question or a conversation up to its answer, and one that takes lists of parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import TemplateError

from vlmkit.api.dataset import Turn
from vlmkit.errors import UserError
from vlmkit.model.tokens import VIDEO, Rendered

__all__ = ["render_conversation", "render_prompt", "render_turns", "with_parts"]

Turns = list[dict[str, Any]]
_OF_THE_END = ("add_generation_prompt", "continue_final_message")
"""Options that are about the end of a conversation alone."""
_PARTS_TO_TEXT = """\
{%- set plain = namespace(messages=[], lines=[]) %}
{%- for message in messages %}
{%- if message['content'] is string or not message['content'] %}
{%- set plain.messages = plain.messages + [message] %}
{%- else %}
{%- set plain.lines = [] %}
{%- for content in message['content'] %}
{%- set plain.lines = plain.lines + [content['text'] if content['type'] == 'text' else PLACEHOLDER] %}
{%- endfor %}
{%- set plain.messages = plain.messages + [dict(message, content=plain.lines | join('\\n'))] %}
{%- endif %}
{%- endfor %}
{%- set messages = plain.messages +%}
"""
"""Jinja that makes texts of the contents of all messages."""


def render_prompt(tokenizer: Any, user: str, system: str = "", reply: str = "") -> str:
    """Return one user turn up to where the answer begins, or goes on after `reply`; see `VideoLMProcessor.prompt`."""
    turns: Turns = [{"role": "user", "content": user}]
    if system:
        turns = _with_system_placed(tokenizer, system, turns)
    text = str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))
    if not reply:
        return text
    whole = _render(tokenizer, [*turns, {"role": "assistant", "content": reply}], add_generation_prompt=False)
    place = whole.find(reply, len(text)) if whole.startswith(text) else -1
    return text + reply if place < 0 else whole[: place + len(reply)]


def render_conversation(tokenizer: Any, messages: Sequence[Mapping[str, Any]], **options: Any) -> str:
    """Return a conversation of texts up to where the next answer begins.

    System words at its start that the template has no place for, as many have none, become the first line of the
    user's.

    Args:
        tokenizer: has the chat template.
        messages: roles and texts.
        options: of the tokenizer's `apply_chat_template`: another `chat_template`, `add_generation_prompt` (by default
            True), `continue_final_message`, `tools`, and what the template is given besides.

    Raises:
        UserError: the template refuses the conversation, e.g. two turns of the user one after the other.
    """
    options = {"add_generation_prompt": True, **options}
    turns: Turns = [dict(message) for message in messages]
    if len(turns) > 1 and turns[0]["role"] == "system" and turns[1]["role"] == "user":
        beside = {name: value for name, value in options.items() if name not in _OF_THE_END}
        turns = _with_system_placed(tokenizer, turns[0]["content"], turns[1:], **beside)
    roles = ", ".join(message["role"] for message in messages)
    try:
        return str(tokenizer.apply_chat_template(turns, tokenize=False, **options))
    except TemplateError as error:
        raise UserError(
            f"the model's chat template refuses this conversation ({roles}): {error}; most take system words at most "
            "once, at the start, and then user and assistant in turns, a user first and last"
        ) from error
    except ValueError as error:
        raise UserError(f"the tokenizer cannot render this conversation ({roles}): {error}") from error


def render_turns(tokenizer: Any, turns: Sequence[Turn], system: str = "") -> Rendered:
    """Return the text and the places of its answers: what the template adds to a prompt when the answer is known.

    Words of the system stand before the first turn, as in a prompt.
    """
    messages: Turns = []
    text, answers = "", []
    for turn in turns:
        asked: Turns = [{"role": "user", "content": turn.user}]
        messages += _with_system_placed(tokenizer, system, asked) if system and not messages else asked
        prompt = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        messages.append({"role": "assistant", "content": turn.assistant})
        whole = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=False)
        if not (prompt.startswith(text) and whole.startswith(prompt)):
            raise UserError(
                "the chat template cannot be used for training: expected that each turn only adds to the text before "
                f"it; found {text!r}, then the prompt {prompt!r}, then the whole {whole!r}; give another chat_template"
            )
        text = whole
        answers.append((len(prompt), len(whole)))
    return Rendered(text, answers)


def with_parts(template: str) -> str:
    """Return a chat template that renders what `template` does, of texts and also of lists of parts.

    Each part stands on a line of its own, `<video>` for one that shows something.

    The templates of most language models take texts alone. `VideoLMProcessor` makes texts of parts before; an inference
    engine such as vLLM gives the parts to the template, where that has a loop over them.
    """
    return _PARTS_TO_TEXT.replace("PLACEHOLDER", repr(VIDEO)).removesuffix("\n") + template


def _with_system_placed(tokenizer: Any, system: str, turns: Turns, **options: Any) -> Turns:
    """Return the turns with the system's words where the template shows them."""
    whole = {role: [{"role": role, "content": system}, *turns] for role in ("system", "assistant", "user")}
    text, *others = (_render(tokenizer, each, add_generation_prompt=True, **options) for each in whole.values())
    if system.strip() in text and text not in others:  # many a template takes every other role for the assistant's
        return whole["system"]
    first, *rest = turns
    return [{**first, "content": f"{system}\n{first['content']}"}, *rest]


def _render(tokenizer: Any, turns: Turns, **options: Any) -> str:
    """Return the text of some turns; empty where the template refuses them: "System role not supported"."""
    try:
        return str(tokenizer.apply_chat_template(turns, tokenize=False, **options))
    except TemplateError:
        return ""
