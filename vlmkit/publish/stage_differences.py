"""Two records of one stage, compared: in words where they differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from vlmkit.errors import shown
from vlmkit.publish.capsule_record import (
    AnswerOutput,
    FramesOutput,
    HashedFile,
    HashedText,
    PixelsOutput,
    PromptOutput,
    Stage,
    StageOutput,
    VerdictOutput,
    VisualOutput,
)
from vlmkit.publish.sketch import TOLERANCES, relative_difference

__all__ = ["stage_difference"]

_SECONDS = 1e-3
"""By which times of frames may differ: less than a frame of any video."""
_NATS = {"float32": 1e-4, "float16": 0.02, "bfloat16": 0.1}
"""By the type of the visual tokens: the largest difference of a log-likelihood, per token of the answer."""


def stage_difference(stage: Stage, kept: StageOutput, found: StageOutput, dtype: str) -> str:
    """Return in words where what a stage gives differs from what the capsule has; empty where it does not.

    `dtype` is the type of the model's numbers, which says how exactly they are compared.
    """
    return _COMPARISONS[stage](kept, found, dtype)


def _video(kept: HashedFile, found: HashedFile, _: str) -> str:
    if kept == found:
        return ""
    if kept.bytes != found.bytes:
        return f"expected a file of {kept.bytes:,} bytes, found {found.bytes:,}"
    return f"expected a file with sha256 {kept.sha256[:12]}…, found {found.sha256[:12]}…"


def _frames(kept: FramesOutput, found: FramesOutput, _: str) -> str:
    if kept.positions != found.positions:
        return f"expected the frames {shown(kept.positions)}, found {shown(found.positions)}"
    if other := [place for place, pair in enumerate(zip(kept.sha256, found.sha256, strict=True)) if pair[0] != pair[1]]:
        first = kept.positions[other[0]]
        return f"{len(other)} of {len(kept.sha256)} frames have other pixels, the first at position {first}"
    if len(kept.seconds) != len(found.seconds) or any(
        abs(one - other) > _SECONDS for one, other in zip(kept.seconds, found.seconds, strict=True)
    ):
        return f"expected the frames at {shown(kept.seconds)} s, found {shown(found.seconds)} s"
    return ""


def _pixels(kept: PixelsOutput, found: PixelsOutput, _: str) -> str:
    for what in ("shape", "content_box", "num_frames_present"):
        if getattr(kept, what) != getattr(found, what):
            return f"expected {what} {getattr(kept, what)}, found {getattr(found, what)}"
    return "" if kept.sha256 == found.sha256 else "the fitted pixels are others"


def _visual_tokens(kept: VisualOutput, found: VisualOutput, _: str) -> str:
    shapes = [f"{one.tokens} tokens of width {one.width} in {one.dtype}" for one in (kept, found)]
    if shapes[0] != shapes[1]:
        return f"expected {shapes[0]}, found {shapes[1]}"
    tolerance = TOLERANCES.get(kept.dtype, TOLERANCES["float32"])
    difference = relative_difference(kept.sketch, found.sketch)
    if difference <= tolerance:
        return ""
    return f"they differ by {difference:.1e} of their norm, more than the tolerance {tolerance:g}"


def _prompt(kept: PromptOutput, found: PromptOutput, _: str) -> str:
    if kept.prompt.sha256 != found.prompt.sha256:
        return f"expected {_told(kept.prompt)}, found {_told(found.prompt)}"
    if (kept.tokens, kept.ids_sha256) != (found.tokens, found.ids_sha256):
        return f"the text is the same, but not its token ids: expected {kept.tokens} tokens, found {found.tokens}"
    return ""


def _answer(kept: AnswerOutput, found: AnswerOutput, dtype: str) -> str:
    if kept.answer.sha256 != found.answer.sha256:
        tied = "" if kept.margin is None else f"; the least lead of a token was {kept.margin:.2g} nats"
        return f"expected {_told(kept.answer)}, found {_told(found.answer)}{tied}"
    if kept.ids_sha256 != found.ids_sha256:
        return f"the text is the same, but not its token ids: expected {kept.tokens} tokens, found {found.tokens}"
    tolerance = _NATS.get(dtype, _NATS["float32"]) * max(kept.tokens, 1)
    difference = max(abs(one - other) for one, other in zip(kept.logprobs, found.logprobs, strict=True))
    if difference <= tolerance:
        return ""
    return f"the text is the same, but its log-likelihood differs by {difference:.2g}, more than {tolerance:.2g}"


def _verdict(kept: VerdictOutput, found: VerdictOutput, _: str) -> str:
    before, now = kept.model_dump(), found.model_dump()
    if not (names := [name for name in VerdictOutput.model_fields if before[name] != now[name]]):
        return ""
    told = [name for name in names if name != "request"] or names
    return "; ".join(f"expected {name} {_brief(before[name])}, found {_brief(now[name])}" for name in told)


def _brief(value: object) -> str:
    said = ", ".join(f"{name} {number:g}" for name, number in value.items()) if isinstance(value, Mapping) else value
    return "nothing" if said in (None, "") else shown(said) if isinstance(value, str) else str(said)


def _told(text: HashedText) -> str:
    return f"a text with sha256 {text.sha256[:12]}…" if text.text is None else shown(text.text)


_COMPARISONS: dict[Stage, Callable[[Any, Any, str], str]] = {
    "video": _video,
    "frames": _frames,
    "pixels": _pixels,
    "visual_tokens": _visual_tokens,
    "prompt": _prompt,
    "answer": _answer,
    "verdict": _verdict,
}
