"""The reader `decord`: right frames from every container, one error for every kind of bad file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from vlmkit.api import Reader, UnreadableVideo
from vlmkit_readers.spec import DecordSpec

FRAMES, WIDTH, HEIGHT = 100, 128, 64
CONTAINERS = [
    ("mp4", "libx264"),
    ("mov", "libx264"),
    ("mkv", "libx264"),
    ("webm", "libvpx"),
    ("mp4", "libsvtav1"),
    ("avi", "libx264"),
    ("avi", "mpeg4"),
    ("ts", "libx264"),
    ("mpg", "mpeg2video"),
    ("wmv", "wmv2"),
    ("gif", "gif"),
]


def _frame(number: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The number in eight black or white bars."""
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for bit in range(8):
        picture[:, bit * 16 : bit * 16 + 16] = 255 * (number >> bit & 1)
    return picture


def _number(picture: np.ndarray[Any, Any]) -> int:
    return sum(1 << bit for bit in range(8) if picture[:, bit * 16 + 5 : bit * 16 + 11].mean() > 127)


def _write(path: Path, codec: str, frames: int = FRAMES, rate: int = 25, **options: str) -> Path:
    with av.open(str(path), "w", options=options) as container:
        stream: Any = container.add_stream(codec, rate=rate)
        stream.width, stream.height = WIDTH, HEIGHT
        stream.pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
        stream.codec_context.gop_size = 15
        if codec == "libsvtav1":
            stream.options = {"preset": "12"}
        for number in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(_frame(number), format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def reader() -> Reader:
    return DecordSpec().build()


@pytest.mark.parametrize(("extension", "codec"), CONTAINERS)
@pytest.mark.parametrize("as_bytes", [False, True], ids=["path", "bytes"])
def test_frames_are_those_asked_for(reader: Reader, tmp_path: Path, extension: str, codec: str, as_bytes: bool) -> None:
    path = _write(tmp_path / f"clip.{extension}", codec)
    video = reader.open(path.read_bytes() if as_bytes else path)
    assert (video.num_frames, video.width, video.height) == (FRAMES, WIDTH, HEIGHT)
    assert video.fps == pytest.approx(25, rel=0.01)
    assert video.duration == pytest.approx(4, rel=0.01)
    wanted = [0, 14, 28, 42, 56, 70, 84, 99]
    frames = video.frames(wanted)
    assert frames.dtype == np.uint8
    assert frames.shape == (8, HEIGHT, WIDTH, 3)
    assert [_number(frame) for frame in frames] == wanted
    assert [_number(frame) for frame in video.frames([99, 3, 3, 60])] == [99, 3, 3, 60]


@pytest.mark.parametrize(("extension", "codec"), [("mp4", "libx264"), ("gif", "gif")])
def test_a_single_frame_is_a_video(reader: Reader, tmp_path: Path, extension: str, codec: str) -> None:
    video = reader.open(_write(tmp_path / f"one.{extension}", codec, frames=1))
    assert video.num_frames == 1
    assert _number(video.frames([0])[0]) == 0


@pytest.mark.parametrize("extension", ["mp4", "avi"])
def test_positions_past_the_end_are_refused(reader: Reader, tmp_path: Path, extension: str) -> None:
    path = _write(tmp_path / f"clip.{extension}", "libx264", frames=10)
    with pytest.raises(UnreadableVideo, match="clip"):
        reader.open(path).frames([0, 10])


def _bad(tmp_path: Path, kind: str) -> Path:
    if kind == "missing":
        return tmp_path / "missing.mp4"
    path = tmp_path / f"{kind}.avi" if kind == "truncated-avi" else tmp_path / f"{kind}.mp4"
    if kind in ("truncated", "truncated-avi"):
        content = _write(path, "libx264").read_bytes()
        path.write_bytes(content[: len(content) // 2])
    elif kind in ("half", "cut-index", "corrupt"):
        content = _write(path, "libx264", movflags="faststart").read_bytes()
        part = len(content) // 4
        corrupt = content[: 2 * part] + b"\x5a" * part + content[3 * part :]
        path.write_bytes({"half": content[: 2 * part], "cut-index": content[:400], "corrupt": corrupt}[kind])
    elif kind == "audio":
        with av.open(str(path), "w") as container:
            stream = container.add_stream("aac", rate=16000)
            sound = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
            sound.rate = 16000
            container.mux(stream.encode(sound))
            container.mux(stream.encode())
    else:
        path.write_bytes(
            {"empty": b"", "text": b"no video at all, just words " * 9, "head": b"\0\0\0\x20ftypisom"}[kind]
        )
    return path


def _read_all(reader: Reader, path: Path) -> None:
    video = reader.open(path)
    video.frames(range(video.num_frames))


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("missing", "No such file or directory"),
        ("empty", "the file is empty"),
        ("text", "Invalid data found"),
        ("head", r"its index \(moov\) is missing or cut off; the file is incomplete"),
        ("truncated", r"its index \(moov\) is missing or cut off; the file is incomplete"),
        ("cut-index", r"its index \(moov\) is missing or cut off; the file is incomplete"),
        ("half", "of 100 frames found; the file is incomplete"),
        ("truncated-avi", "of 100 frames found; the file is incomplete"),
        ("corrupt", "Invalid data found"),
        ("audio", "no video stream"),
    ],
)
def test_bad_files_raise_one_error_with_the_reason(
    reader: Reader, tmp_path: Path, capfd: pytest.CaptureFixture[str], kind: str, reason: str
) -> None:
    path = _bad(tmp_path, kind)
    capfd.readouterr()
    with pytest.raises(UnreadableVideo, match=reason) as error:
        _read_all(reader, path)
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert ".cc:" not in message
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("content", [b"", b"words " * 50])
def test_bad_bytes_raise_too(reader: Reader, content: bytes) -> None:
    with pytest.raises(UnreadableVideo, match=r"^video: "):
        reader.open(content)


def test_a_folder_is_no_video(reader: Reader, tmp_path: Path) -> None:
    with pytest.raises(UnreadableVideo, match="directory"):
        reader.open(tmp_path)
