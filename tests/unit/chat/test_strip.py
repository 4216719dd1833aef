"""The frames that a model saw, as a picture, in a terminal and in words."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from vlmkit.chat.strip import frame_times, print_strip, save_strip, strip_image
from vlmkit.data import FittedVideo
from vlmkit.errors import UserError

COLORS = ((250, 10, 10), (10, 250, 10), (10, 10, 250))


def video(count: int = 3, height: int = 16, width: int = 32, timed: bool = True) -> FittedVideo:
    """Frames of one color each, in the middle of a gray canvas with room for one frame more."""
    pixels = np.full((count + 1, 64, 64, 3), 128, np.uint8)
    for number in range(count):
        pixels[number, 8 : 8 + height, 4 : 4 + width] = COLORS[number % 3]
    return FittedVideo(pixels, (8, 8 + height, 4, 4 + width), count, tuple(n / 2 for n in range(count)) * timed)


def test_the_picture_has_the_frames_in_their_order_without_padding() -> None:
    pixels = np.asarray(strip_image(video()))
    assert pixels.shape == (160 + 20, 3 * 320 + 2 * 4, 3), "16 pixels of height become 160"
    for number, color in enumerate(COLORS):
        frame = pixels[:160, number * 324 :][:, :320]
        assert (frame == color).all()
        assert (pixels[160:, number * 324 :][:, :320] < 60).all(-1).any(), "its time stands beneath it"
    assert (pixels[:160, 320:324] == 255).all(), "between two frames"


def test_many_frames_stand_in_rows_and_a_wide_picture_is_scaled_down() -> None:
    assert strip_image(video(9, 16, 16)).size == (8 * 164 - 4, 2 * 180)
    width, height = strip_image(video(100, 16, 60)).size
    assert 4000 <= width <= 4096 + 9 * 4
    assert height == 10 * (int(16 * 4096 / 600) + 20)


@pytest.mark.parametrize(("name", "kind"), [("a.png", "PNG"), ("b.JPG", "JPEG"), ("new/c.webp", "WEBP")])
def test_a_file_has_the_format_of_its_name(tmp_path: Path, name: str, kind: str) -> None:
    file = save_strip(video(), tmp_path / name)
    with Image.open(file) as image:
        assert (image.format, image.size) == (kind, (968, 180))
        red, green, blue = image.convert("RGB").getpixel((160, 80))  # type: ignore[misc]
    assert red > 200 > 60 > green, "the first frame"
    assert blue < 60
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_names_that_are_no_pictures(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.gif: expected the name of a picture that ends with \.jpeg, \.jpg, \.png"):
        save_strip(video(), tmp_path / "a.gif")
    (tmp_path / "b.png").mkdir()
    with pytest.raises(UserError, match=r"b\.png: expected the name of a picture, found a folder"):
        save_strip(video(), tmp_path / "b.png")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file/c\.png: it cannot be written: "):
        save_strip(video(), tmp_path / "file" / "c.png")


def terminal(system: str | None, **options: object) -> Console:
    return Console(file=StringIO(), force_terminal=True, color_system=system, width=80, **options)  # type: ignore[arg-type]


def shown(console: Console, of: FittedVideo) -> str:
    print_strip(of, console)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_a_terminal_shows_two_pixels_in_a_character() -> None:
    lines = shown(terminal("truecolor"), video()).splitlines()
    assert len(lines) == 6 + 1, "24 columns of 2:1 are 12 rows of pixels"
    assert lines[-1].split() == ["0.00", "s", "0.50", "s", "1.00", "s"]
    for line in lines[:-1]:
        assert line.count("▀") == 72
        places = [line.index("38;2;{};{};{};48;2;{};{};{}m".format(*color, *color)) for color in COLORS]
        assert places == sorted(places)
    many = shown(terminal("truecolor"), video(12)).splitlines()
    assert [line.count("▀") for line in many] == [64, 64, 0, 32, 32, 0], "8 columns each, 8 in a row"


def test_a_terminal_of_256_colors_shows_the_nearest() -> None:
    other = replace(video(), pixels=video().pixels + np.uint8(3))  # rich keeps a style as it was first rendered
    lines = shown(terminal("256"), other).splitlines()
    assert [line.count("▀") for line in lines] == [72] * 6 + [0]
    assert "38;2;" not in lines[0]
    assert "\x1b[38;5;" in lines[0]


@pytest.mark.parametrize("console", [Console(file=StringIO()), terminal(None), terminal("standard")])
def test_without_colors_nothing_is_shown(console: Console) -> None:
    assert shown(console, video()) == ""


def test_no_color_is_respected() -> None:
    assert shown(terminal("truecolor", no_color=True), video()) == ""


def test_times_in_words() -> None:
    assert frame_times(video()) == "3 frames, at 0.00 0.50 1.00 s"
    assert frame_times(video(1)) == "1 frame, at 0.00 s"
    assert frame_times(video(1, timed=False)) == "1 frame"
    assert frame_times(video(timed=False)) == "3 frames, whose times are not known"
    long = frame_times(video(60))
    assert long.startswith("60 frames, at 0.00 0.50 1.00 ")
    assert long.endswith(" … 26.00 26.50 27.00 27.50 28.00 28.50 29.00 29.50 s")
