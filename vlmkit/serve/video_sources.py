"""Videos that requests name become fitted ones: found within what the server allows, decoded once, remembered."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlsplit

from vlmkit.data import FittedVideo
from vlmkit.errors import UserError, shown
from vlmkit.evaluation.answer_model import EncodedVideo
from vlmkit.files import file_sha256, is_file
from vlmkit.runtime import give_back_freed_memory
from vlmkit.serve.api_errors import bad_request
from vlmkit.serve.limits import HeldBytes, ServerLimits
from vlmkit.serve.video_fetch import fetch_public
from vlmkit.serve.worker_threads import WorkerThreads

if TYPE_CHECKING:
    from vlmkit.serve.openai_messages import SourcePart

__all__ = ["SeenVideo", "VideoMemory", "VideoSources"]

Source = Path | bytes | str
"""A file, the content of one, or a `data:` URL."""
Look = Callable[[Source, None, Mapping[str, Any] | None], FittedVideo]


class SeenVideo(NamedTuple):
    """A video of a request, on its way to the model."""

    key: str
    """Its content and the rule for its frames, as a checksum."""
    video: FittedVideo | EncodedVideo
    """Encoded where it was seen before."""


class VideoMemory:
    """Encoded videos by their content: the least recently used are dropped when they exceed `max_bytes`.

    For several threads.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes, self.bytes = max_bytes, 0
        self._videos: OrderedDict[str, EncodedVideo] = OrderedDict()
        self._lock = Lock()

    def find(self, key: str) -> EncodedVideo | None:
        """Return a video that is remembered."""
        with self._lock:
            if (video := self._videos.get(key)) is not None:
                self._videos.move_to_end(key)
            return video

    def put(self, key: str, video: EncodedVideo) -> None:
        """Remember a video."""
        with self._lock:
            if key in self._videos or video.size > self.max_bytes:
                return
            self._videos[key] = video
            self.bytes += video.size
            while self.bytes > self.max_bytes:
                self.bytes -= self._videos.popitem(last=False)[1].size


class VideoSources:
    """Finds the videos of requests and decodes them in threads of its own, each once at a time."""

    def __init__(self, look: Look, memory: VideoMemory, limits: ServerLimits) -> None:
        """Take the function that decodes a source, a part of it or all, with a sampling of its own or the model's."""
        self._look, self._memory, self._limits = look, memory, limits
        self._files = None if limits.files is None else limits.files.resolve()
        self._pool = WorkerThreads(limits.decoders, "decoder")
        self._under_way: dict[str, asyncio.Task[FittedVideo]] = {}

    async def see(self, part: SourcePart, sampling: Mapping[str, Any] | None, held: HeldBytes) -> SeenVideo:
        """Return the video of a request. An ApiError where it is not allowed, not found or not readable."""
        source = await self._found(part, held)
        try:
            digest = await self._pool.run(_checksum, source)
            key = f"{digest} {json.dumps(sampling, sort_keys=True)}"
            if (known := self._memory.find(key)) is not None:
                return SeenVideo(key, known)
            return SeenVideo(key, await self._fitted(key, source, sampling))
        except UserError as error:
            message = str(error).replace(f"{self._files}/", "")
            raise bad_request(f"{part.param}: {message}", part.param, "unreadable_video") from error

    async def _fitted(self, key: str, source: Source, sampling: Mapping[str, Any] | None) -> FittedVideo:
        """Decode a video, or wait for another request that has it decoded; it goes on when one of them gives up."""
        task = self._under_way.get(key)
        if task is None:
            task = asyncio.ensure_future(self._pool.run(self._decode, source, sampling))
            self._under_way[key] = task
            task.add_done_callback(lambda done: self._finished(key, done))
        return await asyncio.shield(task)

    def _decode(self, source: Source, sampling: Mapping[str, Any] | None) -> FittedVideo:
        try:
            return self._look(source, None, sampling)
        finally:
            give_back_freed_memory()

    def _finished(self, key: str, task: asyncio.Task[FittedVideo]) -> None:
        del self._under_way[key]
        if not task.cancelled():
            task.exception()  # nobody may be left to ask for it

    async def _found(self, part: SourcePart, held: HeldBytes) -> Source:
        """Return what a source stands for, fetched where it is a URL."""
        scheme = part.source[:8].partition(":")[0].lower() if ":" in part.source[:8] else ""
        if scheme == "data":
            return part.source
        if scheme in ("http", "https"):
            if self._limits.urls:
                return await fetch_public(part.source, part.param, self._limits.max_request_bytes, held)
            raise _not_allowed(part, "this server fetches nothing from URLs; send the content as a data: URL", "URLs")
        return self._file(part, scheme == "file")

    def _file(self, part: SourcePart, is_url: bool) -> Path:
        """Return a file below the folder whose files are allowed. Others are not told apart from missing ones."""
        if self._files is None:
            raise _not_allowed(part, "this server reads no files; send the content as a data: URL", "files")
        try:
            parts = urlsplit(part.source)
            path = Path(unquote(parts.path) if is_url else part.source)
            if is_url and parts.netloc not in ("", "localhost"):
                raise ValueError(parts.netloc)
            file = (self._files / path).resolve()
            if file.is_relative_to(self._files) and is_file(file):
                return file
        except (OSError, ValueError, RuntimeError):  # a zero byte, a circle of links, a name that is too long
            pass
        message = f"there is no such file below the folder that this server reads from: {shown(part.source)}"
        raise bad_request(f"{part.param}: {message}", part.param, "file_not_found")


def _checksum(source: Source) -> str:
    if isinstance(source, Path):
        return file_sha256(source)
    return hashlib.sha256(source if isinstance(source, bytes) else source.encode()).hexdigest()


def _not_allowed(part: SourcePart, message: str, what: str) -> Exception:
    return bad_request(f"{part.param}: {message}", part.param, f"{what.lower()}_not_allowed")
