"""Prompts with the system's words, and with the first words of the reply."""

from __future__ import annotations

from typing import Any

import pytest

from vlmkit.errors import UserError
from vlmkit.model.prompts import render_conversation

QUESTION = "<video>\nWhich?"
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
NO_SYSTEM = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" + CHATML
)
TRIMS = CHATML.replace("m.content", "m.content | trim")
USER = f"<|im_start|>user\n{QUESTION}<|im_end|>\n<|im_start|>assistant\n"


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("plain", f"USER: Watch.\n{QUESTION} ASSISTANT: Best option:("),
        (CHATML, f"<|im_start|>system\nWatch.<|im_end|>\n{USER}Best option:("),
        (TRIMS, f"<|im_start|>system\nWatch.<|im_end|>\n{USER}Best option:("),
        (NO_SYSTEM, USER.replace("<video>", "Watch.\n<video>") + "Best option:("),
    ],
)
def test_where_the_words_go(composed: Any, template: str, expected: str) -> None:
    processor = composed[1]
    if template != "plain":
        processor.tokenizer.chat_template = template
    assert processor.prompt(QUESTION, "Watch.", "Best option:(") == expected
    reply = expected.removesuffix("Best option:(")
    assert processor.prompt(QUESTION, "Watch.") == (reply.removesuffix(" ") if template == "plain" else reply)


def test_a_reply_that_the_template_would_change_is_put_as_it_is(composed: Any) -> None:
    processor = composed[1]
    processor.tokenizer.chat_template = TRIMS
    assert processor.prompt(QUESTION, reply="It is ") == f"{USER}It is "


@pytest.mark.parametrize("template", ["plain", CHATML, NO_SYSTEM])
def test_a_conversation_of_one_turn_is_a_prompt(composed: Any, template: str) -> None:
    processor = composed[1]
    if template != "plain":
        processor.tokenizer.chat_template = template
    turns = [{"role": "system", "content": "Watch."}, {"role": "user", "content": QUESTION}]
    assert render_conversation(processor.tokenizer, turns) == processor.prompt(QUESTION, "Watch.")


def test_a_conversation_that_the_template_refuses_is_a_clear_error(composed: Any) -> None:
    tokenizer = composed[1].tokenizer
    tokenizer.chat_template = (
        "{% if messages | length > 1 %}{{ raise_exception('roles must alternate') }}{% endif %}" + CHATML
    )
    with pytest.raises(UserError, match=r"\(user, user\): roles must alternate; most take"):
        render_conversation(tokenizer, [{"role": "user", "content": "a"}] * 2)
