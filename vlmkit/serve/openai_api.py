"""The request of OpenAI's chat completions: its fields, checked; whatever is not followed is refused by name."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vlmkit.errors import did_you_mean, from_pydantic, shown
from vlmkit.serve.api_errors import ApiError, bad_request

__all__ = ["ChatBody", "parse_chat"]

_ANY = object()
_WITHOUT_EFFECT: dict[str, tuple[Any, ...]] = {
    "frequency_penalty": (0,),
    "logit_bias": ({},),
    "logprobs": (False,),
    "metadata": (_ANY,),
    "modalities": (["text"],),
    "parallel_tool_calls": (True, False),
    "presence_penalty": (0,),
    "prompt_cache_key": (_ANY,),
    "response_format": ({"type": "text"},),
    "safety_identifier": (_ANY,),
    "service_tier": ("auto", "default"),
    "store": (False,),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
    "top_logprobs": (0,),
    "user": (_ANY,),
}
"""Parameters of OpenAI's that this server does not have, and the values of them that ask for nothing."""
_FRAMES = frozenset(
    ("fps", "frames", "num_frames", "media_io_kwargs", "mm_processor_kwargs", "chat_template_kwargs", "video_fps")
)
"""Parameters by which other servers let a request choose frames."""
_OWN_RULE = (
    "the model looks at the frames that its own sampler chooses; to choose otherwise send e.g. "
    '"sampling": {"type": "uniform", "frames": 8}'
)
_MOST_STOPS = 16


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class StreamOptions(_Strict):
    """How an answer is streamed."""

    include_usage: bool | None = None
    """True: a last chunk tells the numbers of tokens."""
    include_obfuscation: Literal[False] | None = None


class ChatBody(BaseModel):
    """The body of a request. A field that is null counts as absent."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)

    messages: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=1000)]
    model: str | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    """The newer name of `max_tokens`."""
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = None
    """0, which is the default: the likeliest token each time."""
    top_p: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    stop: str | list[str] | None = None
    n: Literal[1] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    sampling: dict[str, Any] | None = None
    """vlmkit's own: another rule for the frames of the video, as `data.sampling` of a spec has it."""

    @property
    def stops(self) -> tuple[str, ...]:
        """The texts before which the answer ends."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    @property
    def longest(self) -> int | None:
        """The most tokens of the answer, None where the request does not say."""
        return self.max_completion_tokens if self.max_completion_tokens is not None else self.max_tokens

    @property
    def tells_usage(self) -> bool:
        """True: a stream ends with the numbers of tokens."""
        return self.stream_options is not None and bool(self.stream_options.include_usage)


def parse_chat(content: bytes) -> ChatBody:
    """Return a request. An ApiError that names the field where it is malformed or asks for what is not offered."""
    try:
        body = ChatBody.model_validate_json(content)
    except ValidationError as error:
        raise _malformed(error) from None
    for name, value in (body.model_extra or {}).items():
        _check_further(name, value)
    _check_together(body)
    return body


def _malformed(error: ValidationError) -> ApiError:
    first = error.errors(include_url=False)[0]
    if first["type"] == "json_invalid":
        return bad_request(f"the body is no JSON: {first['ctx']['error']}", code="invalid_json")
    if first["loc"] == ():
        return bad_request("expected a JSON object with `messages`", code="invalid_json")
    problem = from_pydantic(error)[0]
    parts = [str(part) for part in problem.path if not (isinstance(part, str) and "[" in part)]
    param = ".".join(part for part in parts if part != "str")
    return bad_request(f"{param}: {problem.message}", param)


def _check_further(name: str, value: object) -> None:
    """Refuse a parameter that is not followed, unless its value asks for nothing."""
    known = _openai_parameters()
    if name in _FRAMES:
        raise bad_request(f"{shown(name)} is not followed: {_OWN_RULE}", name, "unsupported_parameter")
    if name not in known:
        guess = did_you_mean(name, [*ChatBody.model_fields, *known])
        raise bad_request(f"unknown parameter {shown(name)}; {guess}remove it", name, "unknown_parameter")
    harmless = _WITHOUT_EFFECT.get(name, ())
    if value is None or any(each is _ANY or (type(each) is type(value) and each == value) for each in harmless):
        return
    if isinstance(value, float) and value in harmless:
        return
    message = f"{name} is not supported by this server, found {shown(value)}; remove it"
    raise bad_request(message, name, "unsupported_parameter")


@cache
def _openai_parameters() -> frozenset[str]:
    """Return every parameter that OpenAI's own client knows."""
    from openai.types.chat.completion_create_params import CompletionCreateParamsBase

    return frozenset(CompletionCreateParamsBase.__annotations__)


def _check_together(body: ChatBody) -> None:
    if body.max_tokens is not None and body.max_completion_tokens not in (None, body.max_tokens):
        message = "max_tokens and max_completion_tokens are two names of one limit; send one of them"
        raise bad_request(message, "max_tokens")
    if body.stream_options is not None and not body.stream:
        raise bad_request("stream_options belongs to a stream; send it with stream true", "stream_options")
    if not all(body.stops) or len(body.stops) > _MOST_STOPS:
        raise bad_request(f"stop: expected up to {_MOST_STOPS} texts, none of them empty", "stop")
