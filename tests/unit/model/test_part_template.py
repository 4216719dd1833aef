"""A chat template that takes parts renders what the processor renders."""

from __future__ import annotations

from typing import Any

import pytest
from jinja2 import Environment, nodes

from vlmkit.model import VideoLM, VideoLMProcessor
from vlmkit.model.part_template import with_parts

SHOWN = [{"type": "video", "path": "clip.mp4"}, {"type": "text", "text": "what moves?"}]
FLAT = "<video>\nwhat moves?"
OWN = (
    "{% if messages[0]['role'] == 'system' %}{{ messages[0]['content'] | trim }}|{% set messages = messages[1:] %}"
    "{% endif %}\n{% for message in messages %}[{{ message['role'] }}] {{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)


def turns(content: Any) -> list[dict[str, Any]]:
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
        messages = turns(content)[1 if template is None else 0 :]
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
