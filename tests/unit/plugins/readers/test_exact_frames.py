"""Files in which decord seeks to wrong frames: edit lists, a start without a key frame, open groups of pictures."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from vlmkit.api import UnreadableVideo
from vlmkit_readers._module import SeekingVideo
from vlmkit_readers.spec import DecordSpec

Write = Callable[..., Path]
Read = Callable[[np.ndarray[Any, Any]], list[int]]
FRAMES = 60
SPARSE = (0.0, 0.3, 0.55, 0.8, 1.0)


def _edit(path: Path, *segments: tuple[int, int]) -> Path:
    """Replace the one segment of the edit list by segments of frames, (first, after the last)."""
    content = bytearray(path.read_bytes())
    moov = content.rindex(b"moov")
    entries = content.index(b"elst", moov) + 8
    delay = struct.unpack(">i", content[entries + 8 : entries + 12])[0]
    for box in (b"moov", b"trak", b"edts", b"elst"):
        size = content.index(box, moov) - 4
        grown = int.from_bytes(content[size : size + 4]) + 12 * (len(segments) - 1)
        content[size : size + 4] = grown.to_bytes(4)
    edits = [struct.pack(">iihh", 40 * (end - start), delay + 512 * start, 1, 0) for start, end in segments]
    content[entries : entries + 16] = len(segments).to_bytes(4) + b"".join(edits)
    path.write_bytes(content)
    return path


def _drop_start(path: Path, packets: int) -> Path:
    """Copy all but the first packets, as cutting without encoding anew does."""
    cut = path.with_stem("cut")
    with av.open(str(path)) as source, av.open(str(cut), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in [packet for packet in source.demux(video=0) if packet.size][packets:]:
            packet.stream = stream
            target.mux(packet)
    return cut


def _check(source: Path | bytes, numbers: Read, expected: list[int]) -> None:
    reader = DecordSpec().build()
    video = reader.open(source)
    assert video.num_frames == len(expected)
    assert video.fps == pytest.approx(25)
    assert numbers(video.frames(range(video.num_frames))) == expected
    for part in SPARSE:
        position = round(part * (len(expected) - 1))
        assert numbers(reader.open(source).frames([position])) == [expected[position]]
    sparse = [round(part * (len(expected) - 1)) for part in SPARSE]
    assert numbers(reader.open(source).frames(sparse)) == [expected[position] for position in sparse]


@pytest.mark.parametrize("reordered", ["0", "3"])
@pytest.mark.parametrize(
    "segments",
    [
        [(0, 60)],
        [(20, 60)],
        [(30, 60)],
        [(0, 40)],
        [(20, 40)],
        [(0, 20), (40, 60)],
        [(40, 60), (10, 20)],
    ],
    ids=str,
)
def test_edit_lists(
    tmp_path: Path, numbered: Write, numbers: Read, segments: list[tuple[int, int]], reordered: str
) -> None:
    clip = _edit(numbered(tmp_path / "clip.mp4", bf=reordered, g="15"), *segments)
    expected = [number for start, end in segments for number in range(start, end)]
    _check(clip, numbers, expected)
    _check(clip.read_bytes(), numbers, expected)


@pytest.mark.parametrize("codec", ["libsvtav1", "libx265"])
def test_edit_lists_of_other_codecs(tmp_path: Path, numbered: Write, numbers: Read, codec: str) -> None:
    options = {"preset": "12"} if codec == "libsvtav1" else {"x265-params": "keyint=15:log-level=none"}
    clip = _edit(numbered(tmp_path / "clip.mp4", codec, **options), (20, 50))
    _check(clip, numbers, list(range(20, 50)))


@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("libx264", {"bf": "3", "g": "30", "sc_threshold": "0"}),
        ("libx264", {"bf": "3", "g": "30", "sc_threshold": "0", "x264-params": "open-gop=1"}),
        ("libx265", {"x265-params": "keyint=30:min-keyint=30:scenecut=0:log-level=none"}),
        ("mpeg4", {"bf": "2", "g": "30", "qmax": "2", "sc_threshold": "1000000000"}),
        ("libvpx-vp9", {"g": "30", "deadline": "realtime", "cpu-used": "8"}),
    ],
)
@pytest.mark.parametrize("extension", ["mp4", "mkv"])
def test_pictures_before_the_first_key_frame_do_not_count(
    tmp_path: Path, numbered: Write, numbers: Read, extension: str, codec: str, options: dict[str, str]
) -> None:
    clip = numbered(tmp_path / f"clip.{extension}", codec, **options)
    with av.open(str(clip)) as container:
        key = [frame.key_frame for frame in container.decode(video=0)].index(True, 1)
    _check(_drop_start(clip, 10), numbers, list(range(key, FRAMES)))


@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("libx264", {"bf": "3", "g": "12", "sc_threshold": "0", "x264-params": "open-gop=1"}),
        ("libx265", {"x265-params": "keyint=15:log-level=none"}),
        ("mpeg4", {"bf": "2", "g": "15", "qmax": "2"}),
        ("mpeg2video", {"bf": "2", "g": "15", "qmax": "2"}),
    ],
)
@pytest.mark.parametrize("extension", ["mp4", "mkv"])
def test_pictures_that_need_the_next_key_frame(
    tmp_path: Path, numbered: Write, numbers: Read, extension: str, codec: str, options: dict[str, str]
) -> None:
    _check(numbered(tmp_path / f"clip.{extension}", codec, **options), numbers, list(range(FRAMES)))


@pytest.mark.parametrize("options", [{"bf": "3"}, {"bf": "0"}], ids=str)
@pytest.mark.parametrize("extension", ["mp4", "mov", "mkv"])
def test_ordinary_files_are_read_by_seeking(
    tmp_path: Path, numbered: Write, numbers: Read, extension: str, options: dict[str, str]
) -> None:
    clip = numbered(tmp_path / f"clip.{extension}", g="15", **options)
    assert isinstance(DecordSpec().build().open(clip), SeekingVideo)
    _check(clip, numbers, list(range(FRAMES)))


def test_a_truncated_file_with_an_edit_list_is_refused(tmp_path: Path, numbered: Write) -> None:
    clip = _edit(numbered(tmp_path / "clip.mp4", movflags="faststart", g="15"), (5, 60))
    content = clip.read_bytes()
    clip.write_bytes(content[: (content.rindex(b"mdat") + len(content)) // 2])
    with pytest.raises(UnreadableVideo, match=r"of 60 frames found; the file is incomplete"):
        DecordSpec().build().open(clip)
