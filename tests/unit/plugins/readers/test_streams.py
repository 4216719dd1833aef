"""What in a file is a video: covers of songs are none, and of several the main one is read."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.stream import Disposition

from vlmkit.api import UnreadableVideo
from vlmkit_readers.spec import DecordSpec

_FRAMES = {"libmp3lame": 1152, "alac": 4096, "ac3": 1536}


def _add_sound(container: Any, stream: Any, frame_size: int) -> None:
    sound = av.AudioFrame.from_ndarray(np.zeros((1, 44100), np.float32), format="fltp", layout="mono")
    sound.rate = 44100
    resampler = av.AudioResampler(format=stream.format.name, layout="mono", rate=44100, frame_size=frame_size)
    for part in [*resampler.resample(sound), *resampler.resample(None), None]:
        container.mux(stream.encode(part))


def _cover() -> bytes:
    painter: Any = av.CodecContext.create("png", "w")
    painter.width, painter.height, painter.pix_fmt, painter.time_base = 64, 64, "rgb24", Fraction(1, 25)
    picture = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 200, np.uint8), format="rgb24")
    picture.pts = 0
    return b"".join(bytes(packet) for packet in [*painter.encode(picture), *painter.encode(None)])


def _song(path: Path) -> Path:
    """A second of silence with a cover."""
    with av.open(str(path), "w") as container:
        codec = {".mp3": "libmp3lame", ".mp4": "alac", ".mkv": "ac3"}[path.suffix]
        sound: Any = container.add_stream(codec, rate=44100)
        if path.suffix == ".mp4":
            cover: Any = container.add_stream("png", rate=25)
            cover.width, cover.height, cover.pix_fmt = 64, 64, "rgb24"
            cover.disposition = Disposition.attached_pic
            container.mux(cover.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")))
            container.mux(cover.encode())
        elif path.suffix == ".mkv":
            container.add_attachment("cover.png", "image/png", _cover())
        _add_sound(container, sound, _FRAMES[codec])
    if path.suffix == ".mp3":
        body = b"\0image/png\0\x03\0" + _cover()
        frame = b"APIC" + struct.pack(">I", len(body)) + b"\0\0" + body
        size = bytes(len(frame) >> shift & 127 for shift in (21, 14, 7, 0))
        path.write_bytes(b"ID3\x03\0\0" + size + frame + path.read_bytes())
    return path


@pytest.mark.parametrize("extension", ["mp3", "mp4", "mkv"])
def test_the_cover_of_a_song_is_no_video(tmp_path: Path, extension: str) -> None:
    song = _song(tmp_path / f"song.{extension}")
    with av.open(str(song)) as container:
        assert len(container.streams.video) + len(container.streams.attachments) == 1
    for source in (song, song.read_bytes()):
        with pytest.raises(UnreadableVideo, match="no video stream"):
            DecordSpec().build().open(source)


def test_a_cover_beside_a_video_is_not_taken_for_it(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    with av.open(str(clip), "w") as container:
        cover: Any = container.add_stream("png", rate=25)
        cover.width, cover.height, cover.pix_fmt = 640, 480, "rgb24"
        cover.disposition = Disposition.attached_pic
        video: Any = container.add_stream("mpeg4", rate=25)
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        container.mux(cover.encode(av.VideoFrame.from_ndarray(np.zeros((480, 640, 3), np.uint8), format="rgb24")))
        for number in range(20):
            picture = np.full((64, 96, 3), 10 * number, np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux([*cover.encode(), *video.encode()])
    opened = DecordSpec().build().open(clip)
    assert (opened.num_frames, opened.width, opened.height) == (20, 96, 64)
    assert opened.frames([15]).mean() == pytest.approx(150, abs=8)


@pytest.mark.parametrize("extension", ["mp4", "mkv"])
def test_of_two_videos_both_ways_read_the_same(tmp_path: Path, extension: str) -> None:
    clip = tmp_path / f"clip.{extension}"
    with av.open(str(clip), "w") as container:
        streams: list[Any] = [container.add_stream("mpeg4", rate=25) for _ in range(2)]
        for size, stream in zip((64, 128), streams, strict=True):
            stream.width, stream.height, stream.pix_fmt = size, size, "yuv420p"
        for number in range(20):
            for size, stream in zip((64, 128), streams, strict=True):
                picture = np.full((size, size, 3), (10 if size == 128 else 3) * number, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        for stream in streams:
            container.mux(stream.encode())
    video = DecordSpec().build().open(clip)
    with av.open(str(clip)) as container:
        best = container.streams.best("video")
        assert best is not None
        size = best.codec_context.width
    assert (video.num_frames, video.width) == (20, size)
    assert video.frames([15]).mean() == pytest.approx(150 if size == 128 else 45, abs=8)


def test_texts_of_any_encoding(tmp_path: Path) -> None:
    clip = tmp_path / "clip.avi"
    with av.open(str(clip), "w") as container:
        container.metadata["title"] = "TITLE"
        stream: Any = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 96, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode())
    content = clip.read_bytes()
    assert b"TITLE" in content
    clip.write_bytes(content.replace(b"TITLE", b"T\xeft\xe9!"))
    assert DecordSpec().build().open(clip).num_frames == 1
