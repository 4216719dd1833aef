"""A chat template that takes contents made of parts, for engines that render conversations by themselves.

The templates of most language models take texts alone. `VideoLMProcessor` makes texts of parts before; an engine such
as vLLM gives the parts to the template, where that has a loop over them.
"""

from __future__ import annotations

from vlmkit.model.tokens import VIDEO

__all__ = ["with_parts"]

_BEFORE = """\
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


def with_parts(template: str) -> str:
    """Return a Jinja template that renders what `template` does, of texts and also of lists of parts: each part on a
    line of its own, `<video>` for one that shows something."""
    return _BEFORE.replace("PLACEHOLDER", repr(VIDEO)).removesuffix("\n") + template
