"""Video, frames and numbers as the demo page shows them, in HTML."""

from __future__ import annotations

import base64
from html import escape
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from PIL import Image

from vlmkit.formatting import count, plural

if TYPE_CHECKING:
    from vlmkit.data import FittedVideo
    from vlmkit.demo.demo_model import GrowingAnswer, Watched

__all__ = ["answer_line", "frame_strip", "looking", "preview"]

_PICTURES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp"}
_MOST = 24
"""Frames that are shown of a video that has more, evenly spread."""

_ENDED = {"length": "cut off at the limit", "cancelled": "stopped"}


def preview(file: str) -> str:
    """Return the video or picture itself, at the address under which Gradio gives out an uploaded file."""
    address = f"gradio_api/file={quote(file)}"
    if Path(file).suffix.lower() in _PICTURES:
        return f'<img src="{address}" alt="the picture">'
    return f'<video src="{address}" controls muted loop autoplay playsinline></video>'


def looking() -> str:
    """Return what stands where frames will be."""
    return _line("looking at it …")


def frame_strip(name: str, watched: Watched) -> str:
    """Return the frames that the model of this name took, without their padding, each with its time."""
    fitted = watched.fitted
    present = fitted.num_frames_present
    shown = sorted({place * present // _MOST for place in range(_MOST)}) if present > _MOST else range(present)
    top, bottom, left, right = fitted.content_box
    left_out = f" ({len(shown)} of them shown)" if len(shown) < present else ""
    said = _line(
        f"{escape(name)} saw {plural(present, 'frame')} of {right - left} x {bottom - top} pixels{left_out}",
        plural(watched.tokens, "token"),
        f"{watched.seconds:.2f} s",
    )
    items = "".join(_frame(fitted, place) for place in shown)
    return f'<ol class="frames">{items}</ol>{said}'


def _frame(fitted: FittedVideo, place: int) -> str:
    top, bottom, left, right = fitted.content_box
    file = BytesIO()
    Image.fromarray(fitted.pixels[place, top:bottom, left:right]).save(file, "PNG")
    image = base64.b64encode(file.getvalue()).decode()
    label = f"{fitted.seconds[place]:.2f} s" if fitted.seconds else str(place + 1)
    return f'<li><img src="data:image/png;base64,{image}" alt="frame at {label}"><span>{label}</span></li>'


def answer_line(watched: Watched, answer: GrowingAnswer) -> str:
    """Return how long an answer took so far and, once it is complete, the tokens of video, text and answer."""
    said = [f"Answered in {answer.seconds:.2f} s"]
    if (reply := answer.reply) is not None:
        text = reply.prompt_tokens - watched.tokens
        said += [f"prompt {count(watched.tokens)} video + {count(text)} text tokens"]
        said += [f"answer {plural(reply.completion_tokens, 'token')}"]
        said += [_ENDED[reply.finish_reason]] if reply.finish_reason in _ENDED else []
        said += ["the model ends without a word"] if reply.finish_reason == "stop" and not reply.text else []
        said += [f"without the first {plural(answer.forgotten, 'question')}"] if answer.forgotten else []
    return _line(*said)


def _line(*parts: str) -> str:
    """Return facts beside each other; a line breaks between them."""
    return f'<p class="numbers">{" · ".join(f"<span>{part}</span>" for part in parts)}</p>'
