"""Files in which packets, index and times are not what decord takes them for: the frames are right nevertheless."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from vlmkit_readers._module import SeekingVideo
from vlmkit_readers.spec import DecordSpec

Write = Callable[..., Path]
Read = Callable[[np.ndarray[Any, Any]], list[int]]
ALL = list(range(60))


def _rewrite(source: Path, target: Path, change: Callable[[list[av.Packet]], list[av.Packet]]) -> Path:
    """Copy a video with other packets."""
    with av.open(str(source)) as read, av.open(str(target), "w") as written:
        stream = written.add_stream_from_template(read.streams.video[0])
        for packet in change([packet for packet in read.demux(video=0) if packet.size]):
            packet.stream = stream
            written.mux(packet)
    return target


def _changed(packet: av.Packet, data: bytes) -> av.Packet:
    new = av.Packet(data)
    new.pts, new.dts, new.time_base, new.is_keyframe = packet.pts, packet.dts, packet.time_base, packet.is_keyframe
    return new


def _hide(packets: list[av.Packet], hidden: Callable[[int], bool]) -> list[av.Packet]:
    """Clear the bit of VP8 that says "show me"."""
    return [_changed(p, bytes([bytes(p)[0] & ~0x10]) + bytes(p)[1:]) if hidden(i) else p for i, p in enumerate(packets)]


def _check(path: Path, numbers: Read, expected: list[int], way: type | None = None) -> None:
    reader = DecordSpec().build()
    video = reader.open(path)
    if way:
        assert isinstance(video, way)
    assert video.num_frames == len(expected)
    assert numbers(video.frames(range(len(expected)))) == expected
    for position in (0, 1, len(expected) // 3, len(expected) // 2, len(expected) - 2, len(expected) - 1):
        assert numbers(reader.open(path).frames([position])) == [expected[position]]
    late = [len(expected) - 1, 5, len(expected) // 2, 5]
    assert numbers(video.frames(late)) == [expected[position] for position in late]


@pytest.mark.parametrize("shown", [1, 20, 57, 58, 59])
@pytest.mark.parametrize("extra", [0, 150])
def test_packets_at_the_end_that_are_not_shown(tmp_path: Path, shown: int, extra: int) -> None:
    """decord waits for ever for such pictures; a child can be killed."""
    code = f"""
import sys
from pathlib import Path
sys.path[:0] = [{str(Path(__file__).parent)!r}]
from test_trust import _hide, _rewrite
from vlmkit_readers.spec import DecordSpec
clip, hidden = Path(sys.argv[1]), Path(sys.argv[1]).with_name("hidden.webm")
_rewrite(clip, hidden, lambda packets: _hide(packets, lambda number: number >= {shown}))
video = DecordSpec().build().open(hidden)
print(video.num_frames, [round(f.mean() / 4) for f in video.frames([0, video.num_frames - 1])])
"""
    clip = _vp8(tmp_path / "clip.webm", 60 + extra)
    done = subprocess.run(
        [sys.executable, "-c", code, str(clip)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.strip() == f"{shown} [0, {shown - 1}]", done.stderr


def _vp8(path: Path, frames: int) -> Path:
    with av.open(str(path), "w") as container:
        options = {"g": "9999", "auto-alt-ref": "0", "lag-in-frames": "0", "deadline": "realtime", "cpu-used": "8"}
        stream: Any = container.add_stream("libvpx", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for number in range(frames):
            picture = np.full((64, 96, 3), 4 * min(number, 60), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def test_packets_in_the_middle_that_are_not_shown(tmp_path: Path, numbers: Read) -> None:
    clip = _rewrite(_vp8(tmp_path / "clip.webm", 60), tmp_path / "hidden.mkv", lambda p: _hide(p, lambda i: i % 3 == 1))
    _check(clip, numbers, [number for number in ALL if number % 3 != 1])


@pytest.mark.parametrize("reordered", ["0", "2"])
def test_mp4_without_a_table_of_key_frames(tmp_path: Path, numbered: Write, numbers: Read, reordered: str) -> None:
    clip = numbered(tmp_path / "clip.mp4", g="20", bf=reordered, sc_threshold="0")
    content = clip.read_bytes()
    assert content.count(b"stss") == 1
    clip.write_bytes(content.replace(b"stss", b"free"))
    _check(clip, numbers, ALL)


@pytest.mark.parametrize("extension", ["mp4", "mkv"])
@pytest.mark.parametrize("codec", ["libx264", "libvpx-vp9"])
def test_packets_that_are_called_key_frames_and_are_none(
    tmp_path: Path, numbered: Write, numbers: Read, extension: str, codec: str
) -> None:
    options = {"bf": "0"} if codec == "libx264" else {"deadline": "realtime", "cpu-used": "8"}

    def lie(packets: list[av.Packet]) -> list[av.Packet]:
        for number, packet in enumerate(packets):
            packet.is_keyframe = number % 7 == 0
        return packets

    clip = _rewrite(
        numbered(tmp_path / f"clip.{extension}", codec, g="30", **options), tmp_path / f"lie.{extension}", lie
    )
    _check(clip, numbers, ALL)


def test_key_frames_that_are_not_whole_pictures(tmp_path: Path, numbered: Write, numbers: Read) -> None:
    parameters = "intra-refresh=1:keyint=12:bframes=0:log-level=none"
    _check(numbered(tmp_path / "clip.mp4", **{"x264-params": parameters}), numbers, ALL)


@pytest.mark.parametrize(
    ("extension", "offset", "scale"),
    [(end, *times) for end in ("mp4", "mkv") for times in [(2**31 - 9000, 1), (2**33, 1), (0, 10**6)]]
    + [("mkv", -700, 1)],
)
def test_odd_times(tmp_path: Path, numbered: Write, numbers: Read, extension: str, offset: int, scale: int) -> None:
    def move(packets: list[av.Packet]) -> list[av.Packet]:
        for packet in packets:
            packet.pts, packet.dts = packet.pts * scale + offset, packet.dts * scale + offset
        return packets

    clip = numbered(tmp_path / f"clip.{extension}", g="15", bf="2" if extension == "mp4" else "0", sc_threshold="0")
    _check(_rewrite(clip, tmp_path / f"late.{extension}", move), numbers, ALL)


def test_gaps_between_times(tmp_path: Path, numbered: Write, numbers: Read) -> None:
    def spread(packets: list[av.Packet]) -> list[av.Packet]:
        for packet in packets:
            packet.pts, packet.dts = packet.pts**2, packet.dts**2
        return packets

    clip = numbered(tmp_path / "clip.mkv", g="15", bf="0", sc_threshold="0")
    _check(_rewrite(clip, tmp_path / "gaps.mkv", spread), numbers, ALL, SeekingVideo)


def test_pictures_at_the_same_time(tmp_path: Path, numbered: Write, numbers: Read) -> None:
    def pair(packets: list[av.Packet]) -> list[av.Packet]:
        for number, packet in enumerate(packets):
            packet.pts = packet.dts = packets[number - number % 2].pts
        return packets

    clip = numbered(tmp_path / "clip.mkv", g="15", bf="0", sc_threshold="0")
    _check(_rewrite(clip, tmp_path / "pairs.mkv", pair), numbers, ALL)


WIDTHS = [*range(1, 81), 90, 96, 100, 120, 144, 160, 176, 192, 200]


@pytest.mark.parametrize("height", [2, 33])
def test_every_width(tmp_path: Path, height: int) -> None:
    """decord cannot copy some: rows are padded to 32 or 64 columns; fatal where that makes 4, 5, … bytes a pixel."""
    reader, seeking = DecordSpec().build(), []
    for width in WIDTHS:
        clip = tmp_path / f"{width}.mov"
        pictures = np.random.default_rng(width).integers(0, 256, (4, height, width, 3), np.uint8)
        with av.open(str(clip), "w") as container:
            stream: Any = container.add_stream("png", rate=25)
            stream.width, stream.height, stream.pix_fmt = width, height, "rgb24"
            for picture in pictures:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode())
        video = reader.open(clip)
        assert (video.num_frames, video.width, video.height) == (4, width, height)
        np.testing.assert_array_equal(video.frames([3, 0, 1]), pictures[[3, 0, 1]])
        seeking += [width] if isinstance(video, SeekingVideo) else []
    assert {64, 80, 100, 160, 192, 200} <= set(seeking)
    assert not {1, 2, 3, 4, 6, 8, 12, 24} & set(seeking)


def test_what_decord_fails_at_later_is_decoded_in_order(
    tmp_path: Path, numbered: Write, numbers: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = DecordSpec().build().open(numbered(tmp_path / "clip.mp4"))
    assert isinstance(video, SeekingVideo)

    class Failing:
        def get_batch(self, positions: list[int]) -> Iterator[int]:
            raise RuntimeError("no")

    video.reader = Failing()
    assert numbers(video.frames([59, 3, 3])) == [59, 3, 3]
