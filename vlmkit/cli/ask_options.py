"""Options and texts that `vlmkit ask` and `vlmkit chat` share."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from vlmkit.errors import UnreadableVideo, UserError, half_character, shortened, shown
from vlmkit.files import is_file
from vlmkit.formatting import plural
from vlmkit.spec.yaml import parse_scalar

if TYPE_CHECKING:
    from vlmkit.chat.chat_model import ChatModel, Reply
    from vlmkit.data import FittedVideo

__all__ = [
    "End", "FrameCount", "FrameRule", "MaxNewTokens", "Model", "Sampling", "Seed", "Start", "System", "Temperature",
    "ending", "frame_rule", "local_video", "look", "note", "say", "short_name", "tolerate_any_text", "whole_line",
]  # fmt: skip

_NO_CONTROL = {code: None for code in (*range(32), 127) if chr(code) not in "\t\n"}
"""For `str.translate`: what a model says must not move the cursor of a terminal or change its title."""

Model = Annotated[
    str, typer.Argument(metavar="MODEL", help="A run folder, or the folder of a saved or imported model.")
]
MaxNewTokens = Annotated[int, typer.Option(min=1, metavar="N", help="The longest answer, tokens.")]
Temperature = Annotated[
    float, typer.Option(min=0, metavar="T", help="0: the likeliest words; above: drawn at random, 1 as the model says.")
]
Seed = Annotated[int | None, typer.Option(min=0, metavar="N", help="Of answers that are drawn at random.")]
System = Annotated[str, typer.Option(metavar="WORDS", help="Words of the system before the conversation.")]
Sampling = Annotated[
    str | None,
    typer.Option(metavar="SAMPLER", help="Other frames than by the model's rule: '{type: uniform, frames: 16}'."),
]
FrameCount = Annotated[
    int | None, typer.Option("--frames", min=1, metavar="N", help="Another number of frames than the model's.")
]
Start = Annotated[float, typer.Option(min=0, metavar="SECONDS", help="Where the part of the video begins.")]
End = Annotated[float | None, typer.Option(min=0, metavar="SECONDS", help="Where it ends; by default with the video.")]


class FrameRule(NamedTuple):
    """The part of a video and the frames of it that are looked at."""

    span: tuple[float, float] | None = None
    """Seconds; None: the whole."""
    sampling: Mapping[str, Any] | None = None
    """None: the model's own."""
    frames: int | None = None
    """How many at the most; None: as many as the rule says."""


def frame_rule(sampling: str | None, frames: int | None, start: float = 0, end: float | None = None) -> FrameRule:
    """Return what the options say. A UserError where a value is none."""
    if end is not None and end <= start:
        raise UserError(f"--end {end:g}: expected a time after --start {start:g}")
    span = (start, float("inf") if end is None else end) if start or end is not None else None
    if sampling is None:
        return FrameRule(span, None, frames)
    found = parse_scalar(sampling, "--sampling")
    return FrameRule(span, {"type": found} if isinstance(found, str) else found, frames)


def look(chat: ChatModel, source: str | Path, rule: FrameRule) -> FittedVideo:
    """Return a video as the model sees it; where that is not by the model's own rule, say so.

    A UserError where it cannot be read, or there is no such rule.
    """
    own = chat.processor.aligner.input
    sampling = rule.sampling
    if rule.frames is not None:
        sampling = {**(sampling or own.sampler.model_dump(mode="json")), "frames": rule.frames}
    video = chat.look(source, rule.span, sampling)
    chat.processor.tokenize(["<video>"], [video.shape])  # refuses what the aligner cannot take, e.g. odd numbers
    if sampling is not None:
        described = ", ".join(f"{name}: {value}" for name, value in sampling.items())
        note(f"frames by {{{described}}}, not by the model's own rule ({own.sampler.type}, {own.frames} frames)")
    return video


def ending(reply: Reply, wanted: int) -> str:
    """Return what there is to say about how an answer of at most `wanted` tokens ended, empty if it did by itself."""
    if reply.finish_reason == "cancelled":
        return "stopped"
    if reply.finish_reason == "length":
        enough = reply.completion_tokens >= wanted
        why = "--max-new-tokens allows more" if enough else "the model has no positions for more"
        return f"cut off after {plural(reply.completion_tokens, 'token')}; {why}"
    return "" if reply.text else "the model ends without a word"


def note(text: str) -> None:
    """Say something beside the answers: on stderr, in brackets."""
    print(f"[{text}]", file=sys.stderr, flush=True)


def say(row: int, piece: str) -> None:
    """Print the next piece of an answer."""
    print(piece.translate(_NO_CONTROL) if sys.stdout.isatty() else piece, end="", flush=True)


def short_name(video: str) -> str:
    """Return the name of a video for messages: a URL may hold the whole video."""
    return shortened(video, 200)


@contextmanager
def local_video(source: str) -> Iterator[Path]:
    """The file of a video or picture, fetched where it is a URL. A UserError where there is none."""
    from vlmkit.data.sources import local_file

    with local_file(source) as path:
        if not is_file(path):
            found = "a folder, pipe or device" if path.exists() else f"nothing of this name here ({Path.cwd()})"
            raise UnreadableVideo(f"{path}: expected a video or picture, found {found}")
        yield path


def whole_line(text: str) -> str:
    """Return a text that a user gave. A UserError where it is not UTF-8."""
    if half := half_character(text):
        found = f"the byte 0x{ord(half) - 0xDC00:02x}" if "\udc80" <= half <= "\udcff" else repr(half)
        raise UserError(f"{shown(text)}: expected text in UTF-8, found {found}")
    return text


def tolerate_any_text() -> None:
    """Let stdin give bytes that are no text, for `whole_line` to refuse, and stdout show `?` for what its encoding has
    no character for."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
