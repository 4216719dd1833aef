"""Prompts with the system's words and the first words of the reply; templates that take parts."""

from __future__ import annotations

from typing import Any

import pytest
from jinja2 import Environment, nodes

from vlmkit.api import Turn
from vlmkit.errors import UserError
from vlmkit.model import VideoLM, VideoLMProcessor
from vlmkit.model.prompts import render_conversation, render_turns, with_parts

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
SHOWN = [{"type": "video", "path": "clip.mp4"}, {"type": "text", "text": "what moves?"}]
FLAT = "<video>\nwhat moves?"
OWN = (
    "{% if messages[0]['role'] == 'system' %}{{ messages[0]['content'] | trim }}|{% set messages = messages[1:] %}"
    "{% endif %}\n{% for message in messages %}[{{ message['role'] }}] {{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)


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
def test_in_training_the_words_of_the_system_stand_where_a_prompt_has_them(composed: Any, template: str) -> None:
    processor = composed[1]
    if template != "plain":
        processor.tokenizer.chat_template = template
    turns = (Turn(QUESTION, "this"), Turn("Why?", "so"))
    [(first, _), (second, end)] = (found := render_turns(processor.tokenizer, turns, "Watch.")).answers
    assert found.text[:first] == processor.prompt(QUESTION, "Watch.")
    assert found.text.count("Watch.") == 1
    assert found.text[second:end].strip().startswith("so")
    assert render_turns(processor.tokenizer, turns).text == found.text.replace("Watch.\n", "").replace(
        "<|im_start|>system\n<|im_end|>\n", ""
    ).replace("<|im_start|>system\nWatch.<|im_end|>\n", "")


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


def turns_with(content: Any) -> list[dict[str, Any]]:
    return [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": content},
        {"role": "assistant", "content": "a circle"},
        {"role": "user", "content": [{"type": "text", "text": "which color?"}]},
    ]


@pytest.mark.parametrize("template", [OWN, "\n" + OWN, None])
def test_parts_are_rendered_as_by_the_processor(
    composed: tuple[VideoLM, VideoLMProcessor], template: str | None
) -> None:
    _, processor = composed
    given = template or processor.chat_template
    for content in (SHOWN, [{"type": "video"}, SHOWN[1]], FLAT):
        messages = turns_with(content)[1 if template is None else 0 :]
        rendered = processor.tokenizer.apply_chat_template(
            messages, chat_template=with_parts(given), tokenize=False, add_generation_prompt=True
        )
        texts = [message | ({"content": FLAT} if message["content"] == content else {}) for message in messages]
        assert rendered == processor.apply_chat_template(texts, given, add_generation_prompt=True)
        assert FLAT in rendered


def test_texts_alone_are_rendered_as_before(composed: tuple[VideoLM, VideoLMProcessor]) -> None:
    tokenizer = composed[1].tokenizer
    messages = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "you"}]
    assert tokenizer.apply_chat_template(
        messages, chat_template=with_parts(tokenizer.chat_template), tokenize=False
    ) == tokenizer.apply_chat_template(messages, tokenize=False)


def test_engines_see_a_loop_over_the_parts(composed: tuple[VideoLM, VideoLMProcessor]) -> None:
    def loops(template: str) -> set[tuple[str, str]]:
        """The loops over messages, and within them over their contents, as vLLM looks for them."""
        parsed = Environment(autoescape=True, extensions=["jinja2.ext.loopcontrols"]).parse(template)
        found = [(loop.iter, loop.target) for loop in parsed.find_all(nodes.For)]
        turns = [target for source, target in found if isinstance(source, nodes.Name) and source.name == "messages"]
        names = {target.name for target in turns if isinstance(target, nodes.Name)}
        return {
            (source.node.name, source.arg.value)
            for source, _ in found
            if isinstance(source, nodes.Getitem) and isinstance(source.node, nodes.Name) and source.node.name in names
            if isinstance(source.arg, nodes.Const)
        }

    template = composed[1].chat_template
    assert ("message", "content") in loops(with_parts(template))
    assert ("message", "content") not in loops(template)
