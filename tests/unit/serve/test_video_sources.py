"""Videos of requests: from where they may come, decoded once, remembered by their content."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vlmkit.api.video import VideoShape
from vlmkit.data import FittedVideo
from vlmkit.errors import UnreadableVideo
from vlmkit.evaluation.answer_model import EncodedVideo
from vlmkit.serve import video_sources
from vlmkit.serve.api_errors import ApiError
from vlmkit.serve.limits import Admission, ServerLimits
from vlmkit.serve.openai_messages import SourcePart
from vlmkit.serve.video_sources import SeenVideo, VideoMemory, VideoSources

FITTED = FittedVideo(np.zeros((1, 8, 8, 3), np.uint8), (0, 8, 0, 8), 1)
SHAPE = VideoShape(1, 8, 8, (0, 8, 0, 8), 1)


class Looks:
    """Notes what it is asked to decode; each takes until `go`."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.go = threading.Event()
        self.go.set()

    def __call__(self, source: Any, span: None, sampling: Any) -> FittedVideo:
        self.seen.append(source)
        assert self.go.wait(10)
        if isinstance(source, Path) and source.suffix == ".txt":
            raise UnreadableVideo(f"{source}: no video")
        return FITTED


def see(
    looks: Looks, *sources: str, limits: ServerLimits | None = None, memory: VideoMemory | None = None, **options: Any
) -> list[SeenVideo]:
    """Videos that are asked for at the same time."""
    limits = limits or ServerLimits()

    async def all_of_them() -> list[SeenVideo]:
        found = VideoSources(looks, memory or VideoMemory(1000), limits)
        with Admission(limits).holding() as held:
            parts = [SourcePart(source, "here") for source in sources]
            return await asyncio.gather(*(found.see(part, options.get("sampling"), held) for part in parts))

    return asyncio.run(all_of_them())


def test_the_same_content_is_decoded_once_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []

    def checksum(path: Path) -> str:
        read.append(path)
        if len(read) == 2:
            threading.Timer(0.2, looks.go.set).start()
        return path.read_bytes().hex()

    monkeypatch.setattr(video_sources, "file_sha256", checksum)
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_bytes(b"same")
    looks = Looks()
    looks.go.clear()
    one, two = see(looks, f"file://{tmp_path}/a.mp4", "b.mp4", limits=ServerLimits(files=tmp_path))
    assert one.key == two.key
    assert one.video is two.video is FITTED
    assert len(looks.seen) == 1


def test_a_video_that_is_remembered_is_not_decoded_unless_other_frames_are_wanted() -> None:
    looks, memory = Looks(), VideoMemory(1000)
    [first] = see(looks, "data:a", memory=memory)
    memory.put(first.key, EncodedVideo("tokens", SHAPE, 10))
    [again] = see(looks, "data:a", memory=memory)
    assert again.video == EncodedVideo("tokens", SHAPE, 10)
    [other] = see(looks, "data:a", memory=memory, sampling={"type": "uniform", "frames": 2})
    assert other.video is FITTED
    assert len(looks.seen) == 2


def test_the_memory_drops_what_was_used_least_recently() -> None:
    memory = VideoMemory(25)
    for key in "ab":
        memory.put(key, EncodedVideo(key, SHAPE, 10))
    assert memory.find("a") is not None
    memory.put("c", EncodedVideo("c", SHAPE, 10))
    memory.put("c", EncodedVideo("c", SHAPE, 10))
    memory.put("far too large", EncodedVideo("d", SHAPE, 26))
    assert [key for key in ("a", "b", "c", "far too large") if memory.find(key)] == ["a", "c"]
    assert memory.bytes == 20


@pytest.fixture
def refused(tmp_path: Path) -> Callable[[str], ApiError]:
    """The error about a source, of a server that reads files below a folder."""
    (tmp_path / "videos").mkdir()
    (tmp_path / "secret.mp4").write_bytes(b"secret")
    (tmp_path / "videos" / "link.mp4").symlink_to(tmp_path / "secret.mp4")
    (tmp_path / "videos" / "notes.txt").write_text("no video")

    def refusal(source: str) -> ApiError:
        with pytest.raises(ApiError) as found:
            see(Looks(), source, limits=ServerLimits(files=tmp_path / "videos"))
        assert (found.value.status, found.value.param) == (400, "here")
        return found.value

    return refusal


@pytest.mark.parametrize(
    "source",
    ["file://{0}/secret.mp4", "file://{0}/videos/../secret.mp4", "file://{0}/videos/%2e%2e/secret.mp4", "../secret.mp4",
     "link.mp4", "file://{0}/videos/link.mp4", "file://elsewhere{0}/videos/notes.txt", "file:///dev/zero",
     "missing.mp4", ".", "a\0b", "x" * 5000, "ftp://host/a.mp4", "file://[", "~/a.mp4"],
)  # fmt: skip
def test_files_elsewhere_are_not_told_apart_from_missing_ones(
    refused: Callable[[str], ApiError], tmp_path: Path, source: str
) -> None:
    error = refused(source.format(tmp_path))
    assert error.code == "file_not_found"
    assert "there is no such file below the folder" in str(error)


def test_a_file_that_is_no_video_is_named_without_its_folder(refused: Callable[[str], ApiError]) -> None:
    error = refused("notes.txt")
    assert str(error) == "here: notes.txt: no video"


@pytest.mark.parametrize("source", ["a.mp4", "file:///a.mp4", "http://example.org/a.mp4", "HTTPS://example.org/a.mp4"])
def test_by_default_neither_files_nor_urls_are_read(source: str) -> None:
    with pytest.raises(ApiError, match="send the content as a data: URL"):
        see(Looks(), source)
