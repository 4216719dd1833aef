"""LLaVA-style conversations over video files."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlmkit.api import (
    DataError,
    Dataset,
    Sample,
    Turn,
    expand_path,
    is_file,
    is_folder,
    name_of,
    parse_rows,
    read_bytes,
    shown,
    whole_text,
)

if TYPE_CHECKING:
    from vlmkit_datasets.spec import LlavaJsonSpec

__all__ = ["LlavaJson"]

_TAG = re.compile(r"\s*<(?:video|image)>\s*")
_EXPECTED = "conversations"
_MEDIA = ("image", "images", "video", "videos")
"""Keys, in small letters or others, under which entries name what they are about."""
_VIDEOS = ("avi", "f4v", "flv", "gif", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg", "ogv", "qt", "webm", "wmv")
_RARER = ("3gp", "asf", "m2ts", "mts", "rm", "rmvb", "ts", "vob")
_KNOWN = frozenset(f".{name}" for name in (*_VIDEOS, *_RARER))
"""Extensions of videos, which may be exchanged for another one. The `.2` of `talk.2` is none."""


class LlavaJson(Dataset):
    """The entries of one file, checked when it is opened; the videos are looked at when they are needed."""

    def __init__(self, spec: LlavaJsonSpec) -> None:
        self.path = expand_path(spec.path)
        self.root = self.path.parent if spec.video_root is None else expand_path(spec.video_root)
        self.extensions = tuple(dict.fromkeys(end for own in spec.extensions for end in (own, own.upper())))
        self._known = _KNOWN | {end.lower() for end in spec.extensions}
        content = read_bytes(self.path, _EXPECTED, remedy="correct `path` of llava-json")
        self._hash = hashlib.sha256(content + repr(spec.limit).encode()).hexdigest()
        entries = parse_rows(content, str(self.path), _EXPECTED)[: spec.limit]
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
        if plain.suffix.lower() in self._known:
            paths += [plain.parent / f"{plain.stem}{end}" for end in self.extensions]
        return replace(sample, video=str(next((path for path in paths if is_file(path)), plain)))

    def fingerprint(self) -> str:
        """The hash of the file's bytes and of how much of it is used."""
        return self._hash

    def _conversation(self, entry: Any, row: int) -> Sample:
        where = f"{self.path}, entry {row}"
        if not isinstance(entry, dict):
            raise DataError(f"{where}: expected an object, found {type(entry).__name__}")
        known = entry.get("id") is not None
        name = name_of(entry["id"], "id", where) if known else str(row)
        where += f" (id {shown(entry['id'])})" if known else ""
        video = _video(entry, where)
        return Sample(name, _turns(entry.get("conversations"), video is not None, where), video)


def _distinct(samples: Sequence[Sample]) -> list[Sample]:
    """Published files repeat ids; a repeated one gets its place in the file behind it."""
    often = Counter(sample.id for sample in samples)
    taken = {name for name, count in often.items() if count == 1}
    distinct = []
    for row, sample in enumerate(samples):
        if often[sample.id] > 1:
            name = f"{sample.id}#{row}"
            while name in taken:
                name += "#"
            taken.add(name)
            sample = replace(sample, id=name)
        distinct.append(sample)
    return distinct


def _video(entry: Mapping[str, Any], where: str) -> str | None:
    """The name of the entry's video; None where it names nothing that one could see.

    What is not understood is refused: trained as text, it would teach to answer without looking.
    """
    named = {key: value for key, value in entry.items() if key.lower() in _MEDIA and value is not None}
    video = named.pop("video", None)
    for key, value in named.items():
        about = "it is about an image" if key.lower().startswith("image") else "its video should stand under `video`"
        raise DataError(
            f"{where}: {about} (`{key}`: {shown(value)}); expected `video` with the name of a file, or, for text "
            "alone, neither image nor video"
        )
    if video is None:
        return None
    if not isinstance(video, str) or not video.strip():
        raise DataError(f"{where}: `video` should be the name of a file, found {shown(video)}; for text alone, none")
    return whole_text(video, where).replace("\0", r"\0")  # no file has such a name, nor can it be asked for


def _turns(conversation: Any, has_video: bool, where: str) -> tuple[Turn, ...]:
    messages = conversation if isinstance(conversation, list) else []
    if messages and isinstance(messages[0], dict) and messages[0].get("from") == "gpt":
        messages = messages[1:]  # as LLaVA's training does with conversations that begin in the middle
    if not messages or len(messages) % 2:
        found = f"{len(messages)} messages" if isinstance(conversation, list) else shown(conversation)
        raise DataError(f"{where}: `conversations` should hold pairs of a human and a gpt message, found {found}")
    values = [_value(message, ("human", "gpt")[i % 2], f"{where}, message {i}") for i, message in enumerate(messages)]
    return _opened(values[::2], values[1::2], has_video, where)


def _value(message: Any, speaker: str, where: str) -> str:
    if not isinstance(message, dict) or message.get("from") != speaker or not isinstance(message.get("value"), str):
        raise DataError(f"{where}: expected {{from: {speaker}, value: text}}, found {shown(message)}")
    return whole_text(message["value"], where)


def _opened(users: list[str], answers: list[str], has_video: bool, where: str) -> tuple[Turn, ...]:
    """The turns, with `<video>` and a line break before the first question where there is a video."""
    if not has_video and any(_TAG.search(user) for user in users):
        raise DataError(f"{where}: it asks about a <video> but names none; add `video`, or drop the tag")
    if any(_TAG.search(user) for user in users[1:]):
        raise DataError(f"{where}: <video> should stand in the first human message only")
    if any("<video>" in answer for answer in answers):
        raise DataError(f"{where}: <video> stands in an answer; only the first human message can have it")
    if has_video:
        users = ["<video>\n" + _TAG.sub(" ", users[0]).strip(), *users[1:]]
    return tuple(map(Turn, users, answers))
