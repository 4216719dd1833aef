"""Chat templates that do not end, fill the memory, or are none: each an error in seconds, and this process lives on."""

from __future__ import annotations

import time

import pytest

from vlmkit.api import chat_template
from vlmkit.api.chat_template import check_learnable, check_prompt

TURNS = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}{{ eos_token }}{% endfor %}"


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second of computing."""
    monkeypatch.setattr(chat_template, "_BOUNDS", chat_template._BOUNDS | {"seconds": 1})
    chat_template._try.cache_clear()


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(
    "part",
    [
        "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
        "{% macro f(n) %}{% for i in range(9) %}{{ f(n + 1) }}{% endfor %}{% endmacro %}{% if messages|length > 1 %}"
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}{% endif %}{{ f(0) }}",
        "{% set x = 9 ** (9 ** 9) %}",
        "{% for m in messages %}" * 9 + "{% endfor %}" * 9,
    ],
)
def test_a_template_that_does_not_end(part: str) -> None:
    begin = time.monotonic()
    with pytest.raises(ValueError, match=r"fails on a question with its answer: (it does not end|RecursionError)"):
        check_learnable(part + TURNS)
    assert time.monotonic() - begin < 30


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(
    "part",
    [
        "{{ 'a' * 10**10 }}",
        "{% set n = namespace(s='aaaaaaaa') %}{% for i in range(40) %}{% set n.s = n.s ~ n.s %}{% endfor %}{{ n.s }}",
        "{{ 'a'.ljust(10**10) }}",
        "{{ '%09999999999d' % 1 }}",
        "{{ '{:>9999999999}'.format('a') }}",
        "{{ ([0] * 10**9) | length }}",
        "{{ 'a' | indent(10**10, true) }}",
    ],
)
def test_a_template_that_fills_the_memory(part: str) -> None:
    with pytest.raises(
        ValueError, match=r"fails on a question with its answer: (it fills|it does not end|OverflowError)"
    ):
        check_learnable(part + TURNS)


def test_a_text_of_a_length_that_none_has() -> None:
    with pytest.raises(ValueError, match=r"it makes 2,0\d\d,\d\d\d characters of a question"):
        check_learnable("{{ 'ab' * 10**6 }}" + TURNS.replace("content'] }}", "content'] }}" + "x" * 1500))


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (5, "expected a Jinja template, found 5"),
        ([{"name": "default", "template": TURNS}], r"expected a Jinja template, found \["),
        ({"tool_use": TURNS}, r"expected a chat template called default, found \['tool_use'\]"),
        ("{{ bad", "expected a Jinja template; line 1 of it: unexpected end of template"),
        ("{% if messages|length == 1 %}{{ no.such.thing }}{% endif %}", "UndefinedError"),
        ("{{ ''.__class__.__mro__ }}" + TURNS, "SecurityError"),
        ("(" * 3 + "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", "fails on a question with its answer: "),
        ("hello", "<video> 0 times"),
    ],
)
def test_what_is_no_template(template: object, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        check_prompt(template)
    assert len(str(caught.value)) < 3000


def test_what_a_tokenizer_has() -> None:
    trial = check_prompt({"default": TURNS, "tool_use": "{{ 1 / 0 }}"}, {"eos_token": "<end>"})
    assert trial.prompt == "user: <video>\nWhich way?<end>"
    assert trial.whole == "user: <video>\nWhich way?<end>assistant: Left.<end>"


def test_a_template_for_prompts_alone() -> None:
    template = "{% if messages|length > 1 %}{{ raise_exception('one turn') }}{% endif %}{{ messages[0].content }}"
    assert check_prompt(template).problem.endswith("ValueError: one turn")
    with pytest.raises(ValueError, match="ValueError: one turn"):
        check_learnable(template)
