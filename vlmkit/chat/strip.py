"""The frames that a model saw, with their times: as a picture in a file, as blocks of color in a terminal, in words.

Shape letters: n frames, H W pixels.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from rich.color import Color
from rich.console import Console
from rich.style import Style
from rich.text import Text

from vlmkit.data import FittedVideo
from vlmkit.errors import UserError
from vlmkit.files import PARTIAL_SUFFIX, expand_path, is_folder, move_into_place
from vlmkit.formatting import plural

__all__ = ["check_picture_name", "frame_times", "print_strip", "save_strip", "strip_image"]

Pixels = npt.NDArray[np.uint8]
_FORMATS = {".jpeg": "JPEG", ".jpg": "JPEG", ".png": "PNG", ".webp": "WEBP"}
"""Formats of pictures by the end of the file's name."""
_IN_A_ROW = 8
"""Frames; more of them make a picture of about as many rows as columns."""
_LEAST, _MOST = 160, 4096
"""Height of a frame and width of the whole picture, pixels: small frames are enlarged, wide pictures scaled down."""
_GAP, _LINE = 4, 20
"""Between two frames, and for the time beneath each, pixels."""
_NARROWEST, _WIDEST = 8, 24
"""Of a frame in a terminal, columns."""
_LISTED = 16
"""Times that are told in words."""


def frame_times(video: FittedVideo) -> str:
    """Return which frames there are: `4 frames, at 0.00 0.62 1.25 1.88 s`; of a picture `1 frame`."""
    times = [f"{second:.2f}" for second in video.seconds]
    if len(times) > _LISTED:
        times = [*times[: _LISTED // 2], "…", *times[-_LISTED // 2 :]]
    said = plural(video.num_frames_present, "frame")
    if times:
        return f"{said}, at {' '.join(times)} s"
    return said if video.num_frames_present == 1 else f"{said}, whose times are not known"


def strip_image(video: FittedVideo) -> Image.Image:
    """Return one picture of the frames without their padding, in reading order, with the time beneath each."""
    frames = _pictures(video)
    count, height, width, _ = frames.shape
    across = min(count, max(_IN_A_ROW, math.ceil(math.sqrt(count))))
    scale = min(max(1, math.ceil(_LEAST / height)), _MOST / (across * width))
    size = max(1, int(width * scale)), max(1, int(height * scale))
    step = size[0] + _GAP, size[1] + _LINE
    whole = Image.new("RGB", (across * step[0] - _GAP, math.ceil(count / across) * step[1]), "white")
    draw, font = ImageDraw.Draw(whole), ImageFont.load_default(size=13)
    for number, (frame, label) in enumerate(zip(frames, _labels(video), strict=True)):
        left, top = number % across * step[0], number // across * step[1]
        filtering = Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.BOX
        whole.paste(Image.fromarray(frame).resize(size, filtering), (left, top))
        draw.text((left + 2, top + size[1] + 2), label, "black", font)
    return whole


def check_picture_name(file: str | Path) -> Path:
    """Return where `save_strip` writes. A UserError where the name is none of a picture."""
    file = expand_path(file)
    if file.suffix.lower() not in _FORMATS:
        raise UserError(f"{file}: expected the name of a picture that ends with {', '.join(_FORMATS)}")
    if is_folder(file):
        raise UserError(f"{file}: expected the name of a picture, found a folder; give a name in it, e.g. frames.png")
    return file


def save_strip(video: FittedVideo, file: str | Path) -> Path:
    """Write `strip_image`, in the format that the file's name ends with. A UserError where that is not possible."""
    file = check_picture_name(file)
    content = BytesIO()
    strip_image(video).save(content, _FORMATS[file.suffix.lower()])
    temporary = file.with_name(f".{file.name}.{os.getpid()}{PARTIAL_SUFFIX}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content.getvalue())
        move_into_place(temporary, file)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise UserError(f"{file}: it cannot be written: {error.strerror or error}; give another name") from None
    return file


def print_strip(video: FittedVideo, console: Console) -> None:
    """Show the frames in a terminal of at least 256 colors, two pixels in each character; nothing elsewhere."""
    if not console.is_terminal or console.no_color or console.color_system in (None, "standard"):
        return
    if not console.encoding.startswith("utf"):
        return
    frames = _pictures(video)
    count, height, width, _ = frames.shape
    columns = min(max(console.width // count - 1, _NARROWEST), _WIDEST, console.width)
    rows = max(1, round(columns * height / width / 2))
    across = max(1, console.width // (columns + 1))
    cells = [_half_blocks(frame, columns, rows) for frame in frames]
    labels = [label[:columns].ljust(columns) for label in _labels(video)]
    for start in range(0, count, across):
        for line in zip(*cells[start : start + across], strict=True):
            console.print(Text(" ").join(line), soft_wrap=True)
        console.print(Text(" ".join(labels[start : start + across])), soft_wrap=True)


def _pictures(video: FittedVideo) -> Pixels:
    """Return (n, H, W, 3): the frames that are there, without their padding."""
    top, bottom, left, right = video.content_box
    return video.pixels[: video.num_frames_present, top:bottom, left:right]


def _labels(video: FittedVideo) -> Sequence[str]:
    """Return for each frame its time, or its number where that is not known."""
    return [f"{second:.2f} s" for second in video.seconds] or [str(1 + n) for n in range(video.num_frames_present)]


def _half_blocks(frame: Pixels, columns: int, rows: int) -> list[Text]:
    """Return lines in which a character is two pixels, the upper one in its color, the lower one behind it."""
    small = np.asarray(Image.fromarray(frame).resize((columns, 2 * rows), Image.Resampling.BOX))
    return [
        Text.assemble(*(("▀", Style.from_color(_color(a), _color(b))) for a, b in zip(upper, lower, strict=True)))
        for upper, lower in zip(small[::2], small[1::2], strict=True)
    ]


def _color(pixel: Pixels) -> Color:
    return Color.from_rgb(*pixel.tolist())
