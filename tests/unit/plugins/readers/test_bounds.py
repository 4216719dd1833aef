"""Small files that claim to be big cost neither memory nor time, and never the process."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from vlmkit.api import UnreadableVideo
from vlmkit_readers._ordered import OrderedVideo
from vlmkit_readers.spec import DecordSpec

Write = Callable[..., Path]
READ = """
import resource, sys
from vlmkit.api import VideoInput
from vlmkit.data import VideoLoader
from vlmkit.errors import UserError
from vlmkit_readers.spec import DecordSpec

resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
loader = VideoLoader(DecordSpec(), VideoInput(), {"aligner": VideoInput()})
for path in sys.argv[1:]:
    try:
        print("read", loader.load(path)["aligner"].num_frames_present)
    except UserError as error:
        print("refused", error)
print([line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")][0])
"""


def _put(content: bytes, box: bytes, at: int, *numbers: int) -> bytes:
    """Replace numbers of four bytes behind the first box of this kind."""
    place = content.index(box) + at
    return content[:place] + struct.pack(f">{len(numbers)}I", *numbers) + content[place + 4 * len(numbers) :]


def _gif(side: int, pictures: int) -> bytes:
    picture = b"\x21\xf9\4\0\x0a\0\0\0," + struct.pack("<4H", 0, 0, 1, 1) + b"\0\2\2D\1\0"
    return b"GIF89a" + struct.pack("<2H", side, side) + b"\x80\0\0\0\0\0\xff\xff\xff" + picture * pictures + b";"


def _png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(1)
    rows = b"".join(packer.compress(bytes(width // 8 + 1)) for _ in range(height)) + packer.flush()
    header = chunk(b"IHDR", struct.pack(">2I5B", width, height, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def _claims(numbered: Write, folder: Path) -> dict[str, bytes]:
    mp4 = numbered(folder / "a.mp4").read_bytes()
    parts = numbered(folder / "b.mp4", movflags="frag_keyframe+empty_moov").read_bytes()
    webm = numbered(folder / "c.webm", "libvpx").read_bytes()
    avi = numbered(folder / "d.avi", "mpeg4").read_bytes()
    claims = {
        f"{box.decode()}.mp4": _put(mp4, box, 8, 2**30)
        for box in (b"stts", b"stsc", b"stco", b"ctts", b"stss", b"elst")
    }
    size = webm.index(b"\x9d\1\x2a") + 3
    return claims | {
        "runs.mp4": _put(mp4, b"stts", 12, 2**31 - 1),
        "chunks.mp4": _put(mp4, b"stsc", 16, 2**31 - 1),
        "one-size.mp4": _put(mp4, b"stsz", 8, 1, 2**31),
        "sizes.mp4": _put(mp4, b"stsz", 12, 2**30),
        "fragment.mp4": _put(parts, b"trun", 4, 1, 2**30),
        "frame.mp4": _put(mp4, b"avc1", 28, 2**32 - 1),
        "frame.webm": webm[:size] + b"\xff\x3f\xff\x3f" + webm[size + 4 :],
        "length.avi": _put(avi, b"strh", 40, 2**32 - 1),
        "lengths.avi": _put(avi, b"avih", 24, 2**32 - 1),
        "frame.avi": _put(avi, b"strf", 12, 2**32 - 1, 2**32 - 1),
        "screen.gif": _gif(65535, 3),
        "days.gif": _gif(5000, 20000),
        "picture.png": _png(20000, 12000),
        "frame.y4m": b"YUV4MPEG2 W16384 H16384 F25:1 Ip A0:0 C420\nFRAME\n" + bytes(999),
    }


def test_claims_cost_little(tmp_path: Path, numbered: Write) -> None:
    claims = _claims(numbered, tmp_path)
    for name, content in claims.items():
        (tmp_path / name).write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-c", READ, *claims], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    *lines, peak = done.stdout.splitlines()
    assert int(peak) < 600_000
    said = dict(zip(claims, lines, strict=True))
    for name in ("one-size.mp4", "sizes.mp4", "fragment.mp4"):
        assert "frames in" in said[name]
        assert "the file is damaged" in said[name]
    for name in ("frame.webm", "screen.gif", "days.gif", "picture.png", "frame.y4m", "length.avi"):
        assert said[name].startswith("refused"), said[name]
    assert said["runs.mp4"] == "read 8"


def test_a_header_that_states_too_many_frames_is_not_for_decord(tmp_path: Path, numbered: Write) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(_put(numbered(tmp_path / "a.mp4").read_bytes(), b"stts", 12, 2**31 - 1))
    assert isinstance(DecordSpec().build().open(clip), OrderedVideo)


def test_more_than_a_gigabyte_is_not_given_at_once(tmp_path: Path, numbered: Write) -> None:
    video = DecordSpec().build().open(numbered(tmp_path / "clip.mp4"))
    with pytest.raises(UnreadableVideo, match=r"at most 1073741824 bytes together, found 60000 of 96x64 pixels"):
        video.frames([0] * 60000)
