"""A path is the name of one regular file, whatever FFmpeg would read into it."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vlmkit.api import UnreadableVideo
from vlmkit_datasets.spec import LlavaJsonSpec
from vlmkit_readers._module import SeekingVideo
from vlmkit_readers._ordered import OrderedVideo
from vlmkit_readers.spec import DecordSpec

Write = Callable[..., Path]
Read = Callable[[np.ndarray[Any, Any]], list[int]]
NAMES = [
    "12:30",
    "file:a",
    "http:a",
    "concat:a|b",
    "data:a",
    "-i",
    "100%",
    "clip%03d",
    "a\nb",
    "ä ö",
    "[0-9]*?",
    "a\\b",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("extension", "way"), [("mp4", SeekingVideo), ("avi", OrderedVideo)])
def test_names_are_no_syntax(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    numbered: Write,
    numbers: Read,
    name: str,
    extension: str,
    way: type,
) -> None:
    clip = numbered(tmp_path / f"clip.{extension}", "mpeg4", g="12", qmax="2")
    named = clip.rename(clip.with_name(f"{name}.{extension}"))
    monkeypatch.chdir(tmp_path)
    for path in (named, named.name, Path(named.name)):
        video = DecordSpec().build().open(path)
        assert isinstance(video, way)
        assert numbers(video.frames([0, 31])) == [0, 31]


def test_a_name_need_not_be_text(tmp_path: Path, numbered: Write, numbers: Read) -> None:
    named = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.mp4"))
    numbered(tmp_path / "clip.mp4").rename(named)
    assert numbers(DecordSpec().build().open(named).frames([31])) == [31]
    named.write_bytes(b"")
    with pytest.raises(UnreadableVideo, match="the file is empty") as error:
        DecordSpec().build().open(named)
    str(error.value).encode()


@pytest.mark.parametrize(
    "name", ["http://127.0.0.1:9/a.mp4", "concat:clip.mp4", "file:clip.mp4", "a\0b.mp4", "x" * 300]
)
def test_what_names_no_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, numbered: Write, name: str
) -> None:
    numbered(tmp_path / "clip.mp4")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnreadableVideo, match=r"No such file|null byte|too long"):
        DecordSpec().build().open(name)


def _playlists(video: str) -> dict[str, str]:
    segment = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:2,\n{video}\n#EXT-X-ENDLIST\n"
    return {
        "list.m3u8": segment,
        "list.mp4": segment,
        "list.ffconcat": f"ffconcat version 1.0\nfile {video}\n",
        "list.mkv": f"ffconcat version 1.0\nfile {video}\n",
        "remote.m3u8": segment.replace(video, "http://127.0.0.1:9/a.ts"),
        "list.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
        "list.mpd": f'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>{video}</BaseURL></MPD>',
        "list.svg": f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{video}"/></svg>',
        "list.smil": f'<smil><body><video src="{video}"/></body></smil>',
    }


@pytest.mark.parametrize("name", sorted(_playlists("")))
def test_a_file_cannot_make_others_be_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, numbered: Write, name: str
) -> None:
    numbered(tmp_path / "clip.ts", "mpeg2video")
    monkeypatch.chdir(tmp_path)
    for video in ("clip.ts", str(tmp_path / "clip.ts")):
        path = tmp_path / name
        path.write_text(_playlists(video)[name])
        for source in (path, name, path.read_bytes()):
            with pytest.raises(UnreadableVideo, match=r"Invalid data|its format is none that is read here"):
                DecordSpec().build().open(source)


def test_a_number_in_a_name_is_no_series(tmp_path: Path) -> None:
    for number in range(1, 4):
        Image.new("RGB", (32, 32), (70 * number, 0, 0)).save(tmp_path / f"p{number}.png")
    with pytest.raises(UnreadableVideo, match="No such file"):
        DecordSpec().build().open(tmp_path / "p%d.png")
    (tmp_path / "p2.png").rename(tmp_path / "p%d.png")
    video = DecordSpec().build().open(tmp_path / "p%d.png")
    assert video.num_frames == 1
    assert video.frames([0])[0, 0, 0].tolist() == [140, 0, 0]


def _no_file(folder: Path, kind: str) -> Path:
    path = folder / "0.mp4"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as end:
            end.bind(os.path.relpath(path))  # must be short
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to({"device": "/dev/zero", "terminal": "/dev/tty", "loop": path, "link to a pipe": "pipe"}[kind])
        if kind == "link to a pipe":
            os.mkfifo(folder / "pipe")
    return path


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("kind", ["pipe", "socket", "folder", "device", "terminal", "loop", "link to a pipe"])
def test_only_regular_files_are_opened(tmp_path: Path, kind: str) -> None:
    path = _no_file(tmp_path, kind)
    with pytest.raises(UnreadableVideo, match=r"0\.mp4: (expected a video file, found a|No such|Too many levels)"):
        DecordSpec().build().open(path)
    turns = '[{"from": "human", "value": "<video>\\nWhat?"}, {"from": "gpt", "value": "A"}]'
    (tmp_path / "talks.json").write_text(f'[{{"id": "1", "video": "0.mp4", "conversations": {turns}}}]')
    sample = LlavaJsonSpec(path=str(tmp_path / "talks.json"), video_root=str(tmp_path)).build().sample(0)
    assert sample.video == str(path)
    with pytest.raises(UnreadableVideo, match=r"0\.mp4"):
        DecordSpec().build().open(sample.video)
