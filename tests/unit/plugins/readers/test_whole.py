"""Half a file is no video, where anything in it says how long it should be."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from vlmkit.api import UnreadableVideo
from vlmkit_readers.spec import DecordSpec

Write = Callable[..., Path]
Read = Callable[[np.ndarray[Any, Any]], list[int]]
FRAGMENTS = "frag_keyframe+empty_moov"
CONTAINERS = [
    ("clip.mp4", "libx264", None),
    ("clip.mp4", "libx264", "faststart"),
    ("clip.mp4", "libx264", FRAGMENTS),
    ("clip.mp4", "libx264", f"{FRAGMENTS}+dash"),
    ("clip.mp4", "libx264", "cmaf+global_sidx+frag_keyframe"),
    ("clip.mkv", "mpeg4", None),
    ("clip.webm", "libvpx", None),
    ("clip.flv", "flv", None),
    ("clip.avi", "mpeg4", None),
    ("clip.wmv", "wmv2", None),
    ("clip.mxf", "mpeg2video", None),
    ("clip.ivf", "libvpx", None),
    ("clip.gif", "gif", None),
    ("clip.apng", "apng", None),
]


def _clip(path: Path, codec: str, movflags: str | None, frames: int = 60) -> Path:
    with av.open(str(path), "w", options={"movflags": movflags} if movflags else {}) as container:
        stream: Any = container.add_stream(codec, rate=25)
        stream.width, stream.height = 96, 64
        stream.pix_fmt = {"gif": "rgb8", "apng": "rgb24"}.get(codec, "yuv420p")
        stream.codec_context.gop_size = 10
        for number in range(frames):
            noise = np.random.default_rng(number).integers(0, 256, (64, 96, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(noise, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize(("name", "codec", "movflags"), CONTAINERS)
def test_a_part_is_refused_and_the_whole_is_not(tmp_path: Path, name: str, codec: str, movflags: str | None) -> None:
    clip = _clip(tmp_path / name, codec, movflags)
    content = clip.read_bytes()
    assert DecordSpec().build().open(clip).num_frames == 60
    for part in (0.25, 0.5, 0.7, 0.8):
        clip.write_bytes(content[: int(part * len(content))])
        for source in (clip, clip.read_bytes()):
            with pytest.raises(UnreadableVideo, match=r"the file is incomplete|Invalid data"):
                DecordSpec().build().open(source)


@pytest.mark.parametrize(("name", "codec"), [("clip.mkv", "mpeg4"), ("clip.webm", "libvpx"), ("clip.avi", "mpeg4")])
def test_a_little_may_be_missing(tmp_path: Path, name: str, codec: str) -> None:
    clip = _clip(tmp_path / name, codec, None)
    content = clip.read_bytes()
    clip.write_bytes(content[: int(0.96 * len(content))])
    video = DecordSpec().build().open(clip)
    assert 55 <= video.num_frames <= 60
    assert len(video.frames([0, video.num_frames - 1])) == 2


def _with_sound(path: Path, seconds: int) -> Path:
    """A clip of 60 pictures with sound."""
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream("flv" if path.suffix == ".flv" else "mpeg4", rate=25)
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        audio: Any = container.add_stream("aac", rate=44100)
        for number in range(60):
            picture = np.full((64, 96, 3), 4 * number, np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(video.encode())
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 44100 * seconds), np.float32), format="fltp", layout="mono")
        sound.rate = 44100
        container.mux(audio.encode(sound))
        container.mux(audio.encode())
    return path


@pytest.mark.parametrize("extension", ["mkv", "mp4", "flv"])
def test_sound_may_last_longer(tmp_path: Path, extension: str) -> None:
    assert DecordSpec().build().open(_with_sound(tmp_path / f"clip.{extension}", 9)).num_frames == 60


def test_avi_files_may_leave_out_what_does_not_change(tmp_path: Path, numbers: Read) -> None:
    clip = tmp_path / "clip.avi"
    with av.open(str(clip), "w") as container:
        stream: Any = container.add_stream("mpeg4", rate=25, options={"qmax": "2"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for number in range(20):
            frame = av.VideoFrame.from_ndarray(np.full((64, 96, 3), 4 * number, np.uint8), format="rgb24")
            frame.pts, frame.time_base = 3 * number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    video = DecordSpec().build().open(clip)
    assert numbers(video.frames(range(video.num_frames))) == list(range(20))
    assert video.duration == pytest.approx(58 / 25)
    content = clip.read_bytes()
    clip.write_bytes(content[: 4 * len(content) // 5])
    with pytest.raises(UnreadableVideo, match="the file is incomplete"):
        DecordSpec().build().open(clip)
