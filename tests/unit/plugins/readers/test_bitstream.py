"""What packets say of their pictures, against what the encoders of FFmpeg write and its decoders give."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from vlmkit_readers._bitstream import packet_parser
from vlmkit_readers._ordered import OrderedVideo
from vlmkit_readers.spec import DecordSpec

Write = Callable[..., Path]
Read = Callable[[np.ndarray[Any, Any]], list[int]]
X265 = {"x265-params": "keyint=12:log-level=none"}
CODECS = [
    ("mp4", "libx264", {"g": "12", "bf": "3", "sc_threshold": "0"}),
    ("mkv", "libx264", {"g": "12", "bf": "0"}),
    ("mp4", "libx265", X265),
    ("mkv", "libx265", X265),
    ("webm", "libvpx", {"g": "12", "auto-alt-ref": "1", "lag-in-frames": "16"}),
    ("webm", "libvpx-vp9", {"g": "30", "auto-alt-ref": "1", "lag-in-frames": "16", "cpu-used": "5"}),
    ("mp4", "mpeg4", {"g": "12", "bf": "2"}),
    ("mov", "prores", {}),
]


@pytest.mark.parametrize(("extension", "codec", "options"), CODECS)
def test_pictures_and_key_frames_are_the_decoders(
    tmp_path: Path, numbered: Write, extension: str, codec: str, options: dict[str, str]
) -> None:
    if codec == "prores":
        clip = tmp_path / "clip.mov"
        with av.open(str(clip), "w") as container:
            stream: Any = container.add_stream(codec, rate=25)
            stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv422p10le"
            for _ in range(5):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 96, 3), np.uint8), "rgb24")))
            container.mux(stream.encode())
    else:
        clip = numbered(tmp_path / f"clip.{extension}", codec, **options)
    with av.open(str(clip)) as container:
        context = container.streams.video[0].codec_context
        parser = packet_parser(context.codec.canonical_name, context.extradata or b"")
        assert parser is not None
        contents = [(parser(memoryview(p)), p.is_keyframe) for p in container.demux(video=0) if p.size]
    with av.open(str(clip)) as container:
        frames = list(container.decode(video=0))
    assert sum(content.num_pictures for content, _ in contents) == len(frames)
    assert [content.can_start for content, _ in contents] == [key for _, key in contents]
    assert all(content.is_plain for content, _ in contents) == all(content.num_pictures == 1 for content, _ in contents)


def test_unknown_codecs_are_left_to_decoding_in_order(tmp_path: Path, numbered: Write, numbers: Read) -> None:
    assert packet_parser("mpeg2video", b"") is None
    assert packet_parser("h264", b"\0\0\0\1\x67") is None  # start codes, no lengths
    video = DecordSpec().build().open(numbered(tmp_path / "clip.mkv", "mpeg2video", qmax="2"))
    assert isinstance(video, OrderedVideo)
    assert numbers(video.frames([0, 30, 59])) == [0, 30, 59]


def _write_packets(path: Path, source: Path, packets: list[bytes]) -> Path:
    """Copy a video with the contents of other packets, one frame apart."""
    with av.open(str(source)) as read, av.open(str(path), "w") as written:
        stream = written.add_stream_from_template(read.streams.video[0])
        for number, content in enumerate(packets):
            packet = av.Packet(content)
            packet.stream, packet.time_base = stream, read.streams.video[0].time_base
            packet.pts = packet.dts = number * 40 if path.suffix == ".mkv" else number
            written.mux(packet)
    return path


@pytest.mark.parametrize("extension", ["mkv", "avi"])
def test_pictures_of_mpeg4_that_are_not_coded(tmp_path: Path, numbered: Write, numbers: Read, extension: str) -> None:
    """An encoder says "as before" with a header alone: no picture of its own."""
    clip = numbered(tmp_path / f"clip.{extension}", "mpeg4", g="12", qmax="2", sc_threshold="1000000000")
    with av.open(str(clip)) as container:
        extradata = container.streams.video[0].codec_context.extradata or b""
        contents = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    parser = packet_parser("mpeg4", extradata)
    assert parser is not None
    bits = 5  # of a time stamp, at 25 frames per second
    nothing = b"\0\0\1\xb6" + (0b01_0_1 << 28 | 0 << 28 - bits | 1 << 27 - bits).to_bytes(4)
    assert parser(memoryview(nothing)) == (0, False, False)
    assert parser(memoryview(contents[1])) == (1, False, True)
    kept = [content for number, content in enumerate(contents) for content in ([content, nothing][: 1 + number % 2])]
    video = DecordSpec().build().open(_write_packets(tmp_path / f"few.{extension}", clip, kept))
    assert isinstance(video, OrderedVideo)
    assert video.num_frames == 60
    assert numbers(video.frames(range(60))) == list(range(60))


def test_packed_pictures_of_mpeg4() -> None:
    """Two pictures in one packet and none in the next come out as one each."""
    layer = b"\0\0\1\x20" + (0x0086_8400_670C_2810).to_bytes(8)
    coded, nothing = b"\0\0\1\xb6\x9f\xff\xff\xff", b"\0\0\1\xb6\x50\x40\x00\x00"
    parser = packet_parser("mpeg4", layer)
    assert parser is not None
    found = [parser(memoryview(packet)) for packet in (coded, coded + coded, nothing, nothing)]
    assert [content.num_pictures for content in found] == [1, 1, 1, 0]
    assert [content.is_plain for content in found] == [True, False, False, False]
