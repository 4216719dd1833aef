"""The options of a call of the processor, as transformers, its pipelines and its server give them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from vlmkit.errors import UserError, shown

__all__ = ["CallOptions", "Side", "is_call_option"]

Side = Literal["left", "right"]
_GROUPS = ("common_kwargs", "text_kwargs", "images_kwargs", "videos_kwargs")
"""Names under which transformers groups options by what they are about."""
_OF_FRAMES = ("do_sample_frames", "fps", "num_frames", "video_metadata")
_OF_SOUND = ("audio", "load_audio_from_video")
_CHOICES: dict[str, tuple[Any, ...]] = {
    "padding": (True, False, "longest", "max_length", "do_not_pad"),
    "padding_side": ("left", "right"),
    "truncation": (True, False, "longest_first", "only_first", "do_not_truncate"),
    "return_tensors": ("pt", "auto"),
    "add_special_tokens": (False,),
}
"""Options with few values. A tokenizer's special tokens are written by the chat template alone."""


@dataclass(frozen=True)
class CallOptions:
    """How texts and videos become tensors."""

    padding: bool = True
    """Pad to the longest text; False: all texts have to be of one length."""
    length: int | None = None
    """Pad to so many tokens."""
    padding_side: Side = "left"
    max_length: int | None = None
    """Cut longer texts at the end."""
    sampling: str | Mapping[str, Any] | None = None
    """The sampler of videos in the place of the model's own."""
    not_followed: tuple[str, ...] = ()
    """Options that were given and change nothing, each with its value and the reason."""

    @classmethod
    def read(cls, given: Mapping[str, Any], rule: str, longest: int) -> CallOptions:
        """Return the options that are given under the names of transformers.

        Args:
            given: `padding`, `padding_side`, `truncation`, `max_length`, `return_tensors` (`pt`), `sampling`, and
                groups of these such as `text_kwargs`; None is as if it was not given.
            rule: how the model chooses frames, for messages.
            longest: where texts are cut with `truncation` alone, tokens.

        Raises:
            TypeError: an option is unknown.
            UserError: it has a value that it cannot have.
        """
        options = {name: value for name, value in _flat(given) if value is not None}
        for name, choices in _CHOICES.items():
            if (value := options.get(name, choices[0])) not in choices:
                raise UserError(f"{name}: expected one of {', '.join(map(repr, choices))}; found {shown(value)}")
        not_followed = tuple(_not_followed(options, rule))
        padding, truncation = options.pop("padding", True), options.pop("truncation", None)
        side, sampling = options.pop("padding_side", "left"), options.pop("sampling", None)
        max_length = options.pop("max_length", None)
        if max_length is not None and (type(max_length) is not int or max_length < 1):
            raise UserError(f"max_length: expected a number of tokens, found {shown(max_length)}")
        if padding == "max_length" and max_length is None:
            raise UserError("padding='max_length' says to pad to max_length, which is not given")
        if unknown := sorted(set(options) - {*_OF_FRAMES, *_OF_SOUND, "return_tensors", "add_special_tokens"}):
            raise TypeError(f"unexpected arguments: {', '.join(unknown)}")
        cuts = truncation not in (None, False, "do_not_truncate") or (truncation is None and padding != "max_length")
        return cls(
            padding not in (False, "do_not_pad"),
            max_length if padding == "max_length" else None,
            side,
            (max_length or (longest if truncation else None)) if cuts else None,
            sampling,
            not_followed,
        )


def is_call_option(name: str) -> bool:
    """Tell whether an option is one of a call: not one of the chat template."""
    return name in {*_GROUPS, *_OF_FRAMES, *_OF_SOUND, *_CHOICES, "max_length", "sampling", "videos", "images"}


def _flat(given: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in given.items():
        yield from (value or {}).items() if name in _GROUPS else [(name, value)]


def _not_followed(options: Mapping[str, Any], rule: str) -> Iterator[str]:
    """Yield what is said of options that change nothing."""
    for name in _OF_FRAMES:
        if name in options and not (name == "do_sample_frames" and options[name]):
            yield (
                f"{name}={shown(options[name])} is not followed: the model looks at the frames that its own rule "
                f"chooses, {rule}; sampling={{type: …, frames: N}} gives it another one"
            )
    for name in _OF_SOUND:
        if options.get(name) not in (None, False):
            yield f"{name} is not followed: the model does not hear; it sees the frames of videos and reads texts"
