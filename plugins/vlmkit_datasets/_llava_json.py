"""LLaVA-style conversations over video files."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

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

_TAG = re.compile(r"\s*<(video|image)>\s*")
_EXPECTED = "conversations"
_MEDIA = ("image", "images", "video", "videos")
"""Keys, in small letters or others, under which entries name what they are about."""
_VIDEOS = ("avi", "f4v", "flv", "gif", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg", "ogv", "qt", "webm", "wmv")
_RARER = ("3gp", "asf", "m2ts", "mts", "rm", "rmvb", "ts", "vob")
_KNOWN = frozenset(f".{name}" for name in (*_VIDEOS, *_RARER))
"""Extensions of videos, which may be exchanged for another one. The `.2` of `talk.2` is none."""


class _Medium(NamedTuple):
    """A video or picture of an entry."""

    kind: str
    """`video` or `image`."""
    name: str


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
        """The entry, with the path of each video: the first file there is, by its own extension or another.

        The plain name where there is none, so that reading it fails and says so.
        """
        sample = self._samples[index]
        if sample.video is None:
            return sample
        paths = tuple(self._path(video) for video in sample.videos)
        return replace(sample, video=paths if len(paths) > 1 else paths[0])

    def _path(self, video: str) -> str:
        plain = self.root / video
        paths = [plain, *(Path(f"{plain}{end}") for end in self.extensions)]
        if plain.suffix.lower() in self._known:
            paths += [plain.parent / f"{plain.stem}{end}" for end in self.extensions]
        return str(next((path for path in paths if is_file(path)), plain))

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
        system, users, answers = _said(entry.get("conversations"), where)
        users, media = _placed(users, answers, _media(entry, where), where)
        names = tuple(medium.name for medium in media)
        video = names if len(names) > 1 else names[0] if names else None
        return Sample(name, tuple(map(Turn, users, answers)), video, system=system)


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


def _media(entry: Mapping[str, Any], where: str) -> list[_Medium]:
    """The videos and pictures that an entry names; none where it names nothing that one could see.

    What is not understood is refused: trained as text, it would teach to answer without looking.
    """
    found: list[_Medium] = []
    for key, value in entry.items():
        if key.lower() not in _MEDIA or value is None:
            continue
        kind = key.lower().removesuffix("s")
        if key not in _MEDIA or any(medium.kind == kind for medium in found):
            raise DataError(
                f"{where}: its {kind} should stand under `{kind}` (`{key}`: {shown(value)}); expected `video` or "
                "`image` with the name of a file or a list of names, or, for text alone, neither"
            )
        names = value if isinstance(value, list) else [value]
        if not names or not all(isinstance(name, str) and name.strip() for name in names):
            raise DataError(
                f"{where}: `{key}` should be a list of names or the name of a file, found {shown(value)}; for text "
                "alone, none"
            )
        # no file has such a name, nor can it be asked for
        found += [_Medium(kind, whole_text(name, where).replace("\0", r"\0")) for name in names]
    return found


def _said(conversation: Any, where: str) -> tuple[str, list[str], list[str]]:
    """The words of the system, those of the human in each turn, and the answers."""
    messages = conversation if isinstance(conversation, list) else []
    system = ""
    if messages and isinstance(messages[0], dict) and messages[0].get("from") == "system":
        system, messages = _value(messages[0], "system", f"{where}, message 0"), messages[1:]
        if _TAG.search(system):
            raise DataError(
                f"{where}: <video> or <image> stands in what the system says; only a human's words can have it"
            )
    if messages and isinstance(messages[0], dict) and messages[0].get("from") == "gpt":
        messages = messages[1:]  # as LLaVA's training does with conversations that begin in the middle
    if not messages or len(messages) % 2:
        found = f"{len(messages)} messages" if isinstance(conversation, list) else shown(conversation)
        raise DataError(f"{where}: `conversations` should hold pairs of a human and a gpt message, found {found}")
    first = len(conversation) - len(messages)
    values = [
        _value(message, ("human", "gpt")[i % 2], f"{where}, message {first + i}") for i, message in enumerate(messages)
    ]
    return system, values[::2], values[1::2]


def _value(message: Any, speaker: str, where: str) -> str:
    if not isinstance(message, dict) or message.get("from") != speaker or not isinstance(message.get("value"), str):
        raise DataError(f"{where}: expected {{from: {speaker}, value: text}}, found {shown(message)}")
    return whole_text(message["value"], where)


def _placed(
    users: list[str], answers: list[str], media: Sequence[_Medium], where: str
) -> tuple[list[str], list[_Medium]]:
    """The questions with a `<video>` for each video or picture, and these in the order of their `<video>`.

    The `<video>` of a single one in the first question, and those that stand nowhere, are put before the first
    question, each with a line break.
    """
    tags = [tag for user in users for tag in _TAG.findall(user)]
    if tags and not media:
        raise DataError(f"{where}: it asks about a <{tags[0]}> but names none; add `{tags[0]}`, or drop the tag")
    if any("<video>" in answer for answer in answers):
        raise DataError(f"{where}: <video> stands in an answer; only what a human says can have it")
    only_first = not any(_TAG.search(user) for user in users[1:])
    if only_first and (len(media) == 1 or not tags):
        opening = "<video>\n" * len(media)
        first = _TAG.sub(" ", users[0]).strip() if media else users[0]
        return [opening + first, *users[1:]], list(media)
    if len(tags) != len(media):
        raise DataError(
            f"{where}: expected a <video> or <image> for each video and image that it names, or none, found "
            f"{len(tags)} for {len(media)}; write one where each goes, in what the human says"
        )
    kinds = [medium.kind for medium in media]
    if len(set(kinds)) > 1 and sorted(kinds) != sorted(tags):
        named = ", ".join(f"<{kind}>" for kind in kinds)
        raise DataError(f"{where}: expected {named} in any order, found {', '.join(f'<{tag}>' for tag in tags)}")
    rest = list(media)
    order = [rest.pop(next((i for i, each in enumerate(rest) if each.kind == tag), 0)) for tag in tags]
    return [user.replace("<image>", "<video>") for user in users], order
