"""LLaVA-style conversations over video files."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlmkit.api import DataError, Dataset, Sample, Turn, is_file, is_folder, whole_text

if TYPE_CHECKING:
    from .spec import LlavaJsonSpec

__all__ = ["LlavaJson"]

_TAG = re.compile(r"\s*<(?:video|image)>\s*")


class LlavaJson(Dataset):
    """The entries of one file, checked when it is opened; the videos are looked at when they are needed."""

    def __init__(self, spec: LlavaJsonSpec) -> None:
        self.path = spec.path.expanduser()
        self.root = self.path.parent if spec.video_root is None else spec.video_root.expanduser()
        self.extensions = spec.extensions
        content = _content(self.path)
        self._hash = hashlib.sha256(content + repr(spec.limit).encode()).hexdigest()
        entries = _entries(content, self.path)[: spec.limit]
        self._samples = _distinct([self._conversation(entry, row) for row, entry in enumerate(entries)])
        if any(sample.video for sample in self._samples) and not is_folder(self.root):
            raise DataError(
                f"{self.path}: its videos should lie below {self.root}, which is no folder; set `video_root`"
            )

    def __len__(self) -> int:
        return len(self._samples)

    def sample(self, index: int) -> Sample:
        """The entry, with the path of its video: the first file there is, by its own extension or another.

        The plain name where there is none, so that reading it fails and says so.
        """
        sample = self._samples[index]
        if sample.video is None:
            return sample
        plain = self.root / sample.video
        paths = [plain, *(Path(f"{plain}{end}") for end in self.extensions)]
        paths += [plain.parent / f"{plain.stem}{end}" for end in self.extensions]
        return replace(sample, video=str(next((path for path in paths if is_file(path)), plain)))

    def fingerprint(self) -> str:
        """The hash of the file's bytes and of how much of it is used."""
        return self._hash

    def _conversation(self, entry: Any, row: int) -> Sample:
        where = f"{self.path}, entry {row}"
        if not isinstance(entry, dict):
            raise DataError(f"{where}: expected an object, found {type(entry).__name__}")
        name = whole_text(str(entry.get("id", row)), where)
        where += f" (id {entry['id']!r})" if "id" in entry else ""
        if "image" in entry and "video" not in entry:
            raise DataError(f"{where}: it is about an image; expected `video`, or neither for text alone")
        video = entry.get("video")
        if video is not None and not (isinstance(video, str) and video):
            raise DataError(f"{where}: `video` should be the name of a file, found {video!r}")
        if video is not None:
            video = whole_text(video, where).replace("\0", r"\0")  # no file has such a name, nor can it be asked for
        turns = _turns(entry.get("conversations"), video is not None, where)
        return Sample(name, turns, video)


def _distinct(samples: Sequence[Sample]) -> list[Sample]:
    """Published files repeat ids; a repeated one gets its place in the file behind it."""
    often = Counter(sample.id for sample in samples)
    return [replace(s, id=f"{s.id}#{row}") if often[s.id] > 1 else s for row, s in enumerate(samples)]


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: cannot read the conversations: {reason}; correct `path` of llava-json") from None


def _entries(content: bytes, path: Path) -> list[Any]:
    try:
        text = content.decode("utf-8")
        if path.suffix == ".jsonl":
            return [_line(line, number, path) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
        entries = json.loads(text)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{path}: expected JSON, found {error}") from None
    if not isinstance(entries, list):
        raise DataError(f"{path}: expected a list of entries, found {type(entries).__name__}")
    return entries


def _line(line: str, number: int, path: Path) -> Any:
    try:
        return json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{path}, line {number}: expected JSON, found {error}") from None


def _turns(conversation: Any, has_video: bool, where: str) -> tuple[Turn, ...]:
    messages = conversation if isinstance(conversation, list) else []
    if messages and isinstance(messages[0], dict) and messages[0].get("from") == "gpt":
        messages = messages[1:]  # as LLaVA's training does with conversations that begin in the middle
    if not messages or len(messages) % 2:
        found = f"{len(messages)} messages" if isinstance(conversation, list) else repr(conversation)
        raise DataError(f"{where}: `conversations` should hold pairs of a human and a gpt message, found {found}")
    values = [_value(message, ("human", "gpt")[i % 2], f"{where}, message {i}") for i, message in enumerate(messages)]
    return tuple(_opened(values[::2], values[1::2], has_video, where))


def _value(message: Any, speaker: str, where: str) -> str:
    if not isinstance(message, dict) or message.get("from") != speaker or not isinstance(message.get("value"), str):
        raise DataError(f"{where}: expected {{from: {speaker}, value: text}}, found {message!r}")
    return whole_text(message["value"], where)


def _opened(users: Sequence[str], answers: Sequence[str], has_video: bool, where: str) -> Iterable[Turn]:
    """The turns, with `<video>` and a line break before the first question where there is a video."""
    if not has_video and any(_TAG.search(user) for user in users):
        raise DataError(f"{where}: it asks about a <video> but names none; add `video`, or drop the tag")
    if any(_TAG.search(user) for user in users[1:]):
        raise DataError(f"{where}: <video> should stand in the first human message only")
    if any("<video>" in answer for answer in answers):
        raise DataError(f"{where}: <video> stands in an answer; only the first human message can have it")
    for i, (user, answer) in enumerate(zip(users, answers, strict=True)):
        text = _TAG.sub(" ", user).strip() if has_video and not i else user
        yield Turn(f"<video>\n{text}" if has_video and not i else text, answer)
