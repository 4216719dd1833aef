"""The dataset `llava-json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vlmkit.api import DataError, Sample, Turn, UnreadableVideo
from vlmkit_datasets.spec import LlavaJsonSpec
from vlmkit_readers.spec import DecordSpec


def _say(*values: str) -> list[dict[str, str]]:
    return [{"from": ("human", "gpt")[i % 2], "value": value} for i, value in enumerate(values)]


def _write(folder: Path, entries: Any, name: str = "data.json") -> Path:
    path = folder / name
    lines = name.endswith(".jsonl")
    path.write_text("\n".join(json.dumps(e) for e in entries) + "\n" if lines else json.dumps(entries))
    return path


ENTRIES = [
    {"id": "v", "video": "a.mp4", "conversations": _say("<video>\nWho?", "A man.", "Why?", "For fun.")},
    {"id": "behind", "video": "sub/b", "conversations": _say("Who is it?\n<video>", "A cat.")},
    {"id": "inside", "video": "c.mp4", "conversations": _say("Look <image> and say.", "Yes.")},
    {"id": "bare", "video": "c.mp4", "conversations": _say("Who?", "Nobody.")},
    {"id": "text", "conversations": _say("  What is 1 + 1?", "2")},
    {"id": 7, "conversations": [{"from": "gpt", "value": "(earlier)"}, *_say("More", "Less")]},
]


@pytest.mark.parametrize("name", ["data.json", "data.jsonl"])
def test_conversations_become_turns(tmp_path: Path, name: str) -> None:
    data = LlavaJsonSpec(path=_write(tmp_path, ENTRIES, name)).build()
    assert len(data) == 6
    assert data[0] == Sample("v", (Turn("<video>\nWho?", "A man."), Turn("Why?", "For fun.")), str(tmp_path / "a.mp4"))
    assert [sample.turns[0].user for sample in data] == [
        "<video>\nWho?",
        "<video>\nWho is it?",
        "<video>\nLook and say.",
        "<video>\nWho?",
        "  What is 1 + 1?",
        "More",
    ]
    assert [sample.video is None for sample in data] == [False] * 4 + [True] * 2
    assert data[-1].id == "7"
    assert [sample.id for sample in data[1:3]] == ["behind", "inside"]


def test_videos_are_found_by_several_extensions(tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    (videos / "sub").mkdir(parents=True)
    for name in ("a.avi", "sub/b.mkv", "c.mp4", "c.avi"):
        (videos / name).touch()
    path = _write(tmp_path, ENTRIES)
    data = LlavaJsonSpec(path=path, video_root=videos).build()
    assert [s.video and Path(s.video).name for s in data] == ["a.avi", "b.mkv", "c.mp4", "c.mp4", None, None]
    only = LlavaJsonSpec(path=path, video_root=videos, extensions=(".mkv",)).build()
    assert only[0].video == str(videos / "a.mp4"), "a missing video keeps its name, and fails when it is read"


@pytest.mark.parametrize("name", ["x" * 400, "x/" * 4000, "a\0b.mp4", "/", "..", "."])
def test_a_name_that_no_file_can_have_is_that_of_a_missing_video(tmp_path: Path, name: str) -> None:
    path = _write(tmp_path, [{"video": name, "conversations": _say("Who?", "She.")}])
    video = LlavaJsonSpec(path=path, extensions=(".mp4", "avi")).build()[0].video
    assert video is not None
    with pytest.raises(UnreadableVideo):
        DecordSpec().build().open(video)


def test_repeated_ids_are_told_apart(tmp_path: Path) -> None:
    entries = [{"id": "x", "conversations": _say("a", "b")}] * 2 + [{"conversations": _say("c", "d")}]
    data = LlavaJsonSpec(path=_write(tmp_path, entries)).build()
    assert [sample.id for sample in data] == ["x#0", "x#1", "2"]


def test_limit_and_fingerprint(tmp_path: Path) -> None:
    path = _write(tmp_path, ENTRIES)
    whole, part = LlavaJsonSpec(path=path).build(), LlavaJsonSpec(path=path, limit=2).build()
    assert len(part) == 2
    assert whole.fingerprint() == LlavaJsonSpec(path=path).build().fingerprint()
    assert whole.fingerprint() != part.fingerprint()
    _write(tmp_path, ENTRIES[:-1])
    assert whole.fingerprint() != LlavaJsonSpec(path=path).build().fingerprint()


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("text", "expected an object, found str"),
        ({"id": "x"}, r"\(id 'x'\): `conversations` should hold pairs .* found None"),
        ({"id": "x", "conversations": []}, "found 0 messages"),
        ({"id": "x", "conversations": _say("a", "b", "c")}, "found 3 messages"),
        ({"id": "x", "conversations": [*_say("a"), *_say("a")]}, "message 1: expected {from: gpt, value: text}"),
        ({"id": "x", "conversations": [{"from": "human"}, *_say("a")]}, "message 0: expected {from: human"),
        ({"id": "x", "conversations": _say("<video> who?", "b")}, "names none"),
        ({"id": "x", "video": "a.mp4", "conversations": _say("a", "b", "<video>", "d")}, "first human message only"),
        ({"id": "x", "video": 3, "conversations": _say("a", "b")}, "name of a file, found 3"),
        ({"id": "x", "conversations": _say("a", "my <video>")}, r"\(id 'x'\): <video> stands in an answer"),
        ({"id": "x", "conversations": _say("a", "b \ud83d")}, r"message 1: '\\ud83d' is half a character"),
        ({"id": "\udc00", "conversations": _say("a", "b")}, r"'\\udc00' is half a character"),
        ({"id": "x", "video": "\udc00", "conversations": _say("a", "b")}, r"\(id 'x'\): '\\udc00' is half a char"),
        ({"id": "x", "image": "a.jpg", "conversations": _say("a", "b")}, "about an image"),
    ],
)
def test_malformed_entries_are_named(tmp_path: Path, entry: Any, message: str) -> None:
    path = _write(tmp_path, [ENTRIES[-2], entry])
    with pytest.raises(DataError, match=message) as error:
        LlavaJsonSpec(path=path).build()
    assert f"{path}, entry 1" in str(error.value)


def test_files_that_are_no_lists_of_entries(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found dict"):
        LlavaJsonSpec(path=_write(tmp_path, {})).build()
    (tmp_path / "no.json").write_text("[{]")
    with pytest.raises(DataError, match=r"no\.json: expected JSON, found .*column 3"):
        LlavaJsonSpec(path=tmp_path / "no.json").build()
    (tmp_path / "no.jsonl").write_text(json.dumps(ENTRIES[0]) + "\n{]\n")
    with pytest.raises(DataError, match=r"no\.jsonl, line 2: expected JSON"):
        LlavaJsonSpec(path=tmp_path / "no.jsonl").build()
    for name in ("deep.json", "deep.jsonl"):
        (tmp_path / name).write_text("[" * 5000 + "]" * 5000)
        with pytest.raises(DataError, match=r"expected JSON, found maximum recursion depth"):
            LlavaJsonSpec(path=tmp_path / name).build()
    for name in ("x" * 400, "a\0b"):
        with pytest.raises(DataError, match=r"cannot read the conversations: (File name too long|embedded null byte)"):
            LlavaJsonSpec(path=tmp_path / name).build()
    with pytest.raises(DataError, match="cannot read the conversations: No such file"):
        LlavaJsonSpec(path=tmp_path / "none.json").build()


def test_a_missing_video_folder_is_reported_at_once(tmp_path: Path) -> None:
    path = _write(tmp_path, ENTRIES)
    with pytest.raises(DataError, match=r"nowhere, which is no folder; set `video_root`"):
        LlavaJsonSpec(path=path, video_root=tmp_path / "nowhere").build()
