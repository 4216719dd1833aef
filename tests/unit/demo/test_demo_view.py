"""Videos, frames and numbers in HTML."""

from __future__ import annotations

import base64
import re
from io import BytesIO

import numpy as np
from PIL import Image

from vlmkit.chat.chat_model import Reply
from vlmkit.data import FittedVideo
from vlmkit.demo.demo_model import GrowingAnswer, Watched
from vlmkit.demo.demo_view import answer_line, frame_strip, preview


def text(html: str) -> str:
    """What a browser shows of it, one part after the other."""
    return " ".join(re.sub("<[^>]*>", " ", html).split())


def watched(frames: int, seconds: tuple[float, ...]) -> Watched:
    pixels = np.zeros((frames + 1, 16, 32, 3), np.uint8)
    pixels[:frames, 4:12, 8:32] = np.arange(frames, dtype=np.uint8)[:, None, None, None] * 9 + 1
    encoded: object = None
    return Watched(FittedVideo(pixels, (4, 12, 8, 32), frames, seconds), encoded, 1234, 0.5)  # type: ignore[arg-type]


def test_frames_are_shown_without_padding_and_with_their_times() -> None:
    html = frame_strip("quick<", watched(2, (0.0, 1.256)))
    pictures = [Image.open(BytesIO(base64.b64decode(code))) for code in re.findall(r"base64,([^\"]+)", html)]
    assert [picture.size for picture in pictures] == [(24, 8), (24, 8)]
    assert [picture.getextrema()[0] for picture in pictures] == [(1, 1), (10, 10)]
    assert re.findall(r"<span>(.*?)</span></li>", html) == ["0.00 s", "1.26 s"]
    assert "quick&lt; saw 2 frames of 24 x 8 pixels · 1,234 tokens · 0.50 s" in text(html)


def test_of_many_frames_some_are_shown_from_first_to_near_the_last() -> None:
    html = frame_strip("quick<", watched(100, tuple(float(second) for second in range(100))))
    times = re.findall(r"<span>(\d+)\.00 s</span>", html)
    assert len(times) == 24
    assert (times[0], times[-1]) == ("0", "95")
    assert "100 frames of 24 x 8 pixels (24 of them shown)" in text(html)


def test_frames_without_times_are_numbered() -> None:
    assert re.findall(r"<span>(.*?)</span></li>", frame_strip("quick<", watched(2, ()))) == ["1", "2"]


def test_numbers_of_an_answer() -> None:
    video = watched(1, (0.0,))
    assert "Answered in 0.25 s" in text(answer_line(video, GrowingAnswer("re", 0.25)))
    complete = GrowingAnswer("red", 1.0, Reply("red", "stop", 1250, 1))
    assert "1.00 s · prompt 1,234 video + 16 text tokens · answer 1 token" in text(answer_line(video, complete))
    forgetful = GrowingAnswer("red", 1.0, complete.reply, 2)
    assert "· without the first 2 questions" in text(answer_line(video, forgetful))
    for reason, said in (("length", "cut off"), ("cancelled", "stopped")):
        assert said in answer_line(video, GrowingAnswer("red", 1.0, Reply("red", reason, 1250, 1)))  # type: ignore[arg-type]
    assert "without a word" in answer_line(video, GrowingAnswer("", 1.0, Reply("", "stop", 1250, 1)))
    assert "without a word" not in answer_line(video, complete)


def test_a_file_is_previewed_as_what_it_is() -> None:
    assert preview("/up/a b'\"<.mp4").startswith('<video src="gradio_api/file=/up/a%20b%27%22%3C.mp4"')
    assert preview("/up/A.PNG").startswith('<img src="gradio_api/file=/up/A.PNG"')
    assert preview("/up/moving.gif").startswith("<img ")  # browsers play it as a picture
