"""Prompts with the system's words, and with the first words of the reply."""

from __future__ import annotations

from typing import Any

import pytest

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
