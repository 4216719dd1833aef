"""The prompt of a request to a language model that judges, and its reply read by that prompt."""

from __future__ import annotations

from vlmkit.api import JudgePrompt, JudgeRequest, SpecError, Unscored, Verdict, read_reply

__all__ = ["prompt_of", "verdict_of"]


def prompt_of(request: JudgeRequest) -> JudgePrompt:
    """Return the prompt of a request. A SpecError where it has none."""
    if request.prompt is None:
        raise SpecError(
            "this judge is a language model and needs a prompt: set `judge_prompt`, e.g. to video-chatgpt-qa"
        )
    return request.prompt


def verdict_of(request: JudgeRequest, reply: str) -> Verdict | Unscored:
    """Return the verdict of a reply to this request."""
    return read_reply(reply, prompt_of(request).reply, request.fields().get("full_reference", ""))
