"""Chat templates by name."""

from __future__ import annotations

__all__ = ["TEMPLATES"]

_SYSTEM = (
    "A chat between a curious {who} and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the {who}'s questions. "
)
_TURNS = (
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}USER: {{ message['content'] }} ASSISTANT:"
    "{% else %} {{ message['content'] }}{{ eos_token }}{% endif %}"
    "{% endfor %}"
)
_BEGIN = "{{ bos_token }}"

TEMPLATES = {
    "plain": _TURNS,
    "vicuna-v1": _BEGIN + _SYSTEM.format(who="user") + _TURNS,
    "videopanda-v1": _BEGIN + _SYSTEM.format(who="human") + _TURNS,
}
"""`vicuna-v1`: Vicuna's, with which Video-Panda was trained ("a curious user"); `videopanda-v1`: that with which its
released code evaluates ("a curious human"); `plain`: the turns alone, for small models."""
