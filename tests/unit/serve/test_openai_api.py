"""The fields of a chat request: what is followed, what asks for nothing, and what is refused by its name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from vlmkit.serve.api_errors import ApiError
from vlmkit.serve.openai_api import ChatBody, parse_chat

HOW = [{"role": "user", "content": "how"}]


def parse(**fields: Any) -> ChatBody:
    return parse_chat(json.dumps({"messages": HOW, **fields}).encode())


def test_fields_and_their_other_names() -> None:
    chat = parse(max_completion_tokens=5, stop="a", stream=True, stream_options={"include_usage": True}, seed=-1)
    assert (chat.longest, chat.stops, chat.tells_usage, chat.seed) == (5, ("a",), True, -1)
    assert (parse().longest, parse().stops, parse().tells_usage) == (None, (), False)
    assert parse(max_tokens=7, max_completion_tokens=7, stop=["a", "b"]).stops == ("a", "b")


@pytest.mark.parametrize(
    "fields",
    [
        {
            "n": 1,
            "logprobs": False,
            "frequency_penalty": 0,
            "presence_penalty": 0.0,
            "response_format": {"type": "text"},
        },
        {"user": "ada", "metadata": {"a": "b"}, "tools": [], "tool_choice": "auto", "service_tier": "default"},
        {"audio": None, "logit_bias": None, "temperature": None, "stop": None, "tools": None},
    ],
)
def test_parameters_that_ask_for_nothing_are_taken(fields: dict[str, Any]) -> None:
    assert parse(**fields).longest is None


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("logprobs", True, "not supported"),
        ("logprobs", 0, "not supported"),
        ("frequency_penalty", 0.5, "not supported"),
        ("response_format", {"type": "json_object"}, "not supported"),
        ("reasoning_effort", "high", "not supported"),
        ("temprature", 1, "did you mean 'temperature'"),
        ("top_k", 5, "unknown parameter"),
        ("num_frames", 32, "its own sampler"),
        ("mm_processor_kwargs", {"num_frames": 4}, '"sampling": {"type": "uniform", "frames": 8}'),
        ("n", 2, "expected 1"),
        ("temperature", "hot", "expected a number"),
        ("temperature", 2.5, "less than or equal to 2"),
        ("top_p", 0, "greater than 0"),
        ("max_tokens", 0, "greater than or equal to 1"),
        ("max_tokens", True, "expected a whole number"),
        ("seed", 2**63, "less than"),
        ("stop", ["a", ""], "none of them empty"),
        ("stop", ["a"] * 17, "up to 16"),
        ("stream_options", {"include_usage": True}, "with stream true"),
        ("messages", [], "at least 1"),
    ],
)
def test_what_is_not_followed_is_refused_by_name(name: str, value: object, said: str) -> None:
    with pytest.raises(ApiError) as found:
        parse(**{name: value})
    assert said in str(found.value)
    assert (found.value.status, found.value.param) == (400, name)
    assert found.value.body()["error"]["type"] == "invalid_request_error"


def test_two_limits_that_differ_are_refused() -> None:
    with pytest.raises(ApiError, match="two names of one limit"):
        parse(max_tokens=5, max_completion_tokens=6)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'"a"', b"\xff", b'{"messages": "\\ud800"}', b"[" * 10**5])
def test_what_is_no_object_of_json_is_refused(content: bytes) -> None:
    with pytest.raises(ApiError) as found:
        parse_chat(content)
    assert (found.value.status, found.value.code) == (400, "invalid_json")
