"""The dataset `llava-json`."""

from __future__ import annotations

import json
import os
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


def test_the_system_may_speak_first(tmp_path: Path) -> None:
    system = {"from": "system", "value": "Count."}
    rows = [{"conversations": [system, *_say("How many?", "Two")]}, {"conversations": _say("Hi", "Hello")}]
    said = [(sample.system, sample.turns[0].user) for sample in LlavaJsonSpec(path=_write(tmp_path, rows)).build()]
    assert said == [("Count.", "How many?"), ("", "Hi")]


@pytest.mark.parametrize(
    ("media", "said", "users", "names"),
    [
        ({"image": "a.jpg"}, ["<image>\nWho?", "A"], ["<video>\nWho?"], "a.jpg"),
        ({"videos": ["a.mp4"]}, ["Who?", "A"], ["<video>\nWho?"], "a.mp4"),
        ({"video": "a.mp4"}, ["Hi", "A", "Who <video>?", "B"], ["Hi", "Who <video>?"], "a.mp4"),
        ({"video": ["a.mp4", "b.mp4"]}, ["Which?", "A"], ["<video>\n<video>\nWhich?"], ("a.mp4", "b.mp4")),
        ({"images": ["a.jpg", "b.jpg"]}, ["<image> x", "A", "y <image>", "B"], ["<video> x", "y <video>"],
         ("a.jpg", "b.jpg")),
        ({"video": "a.mp4", "image": ["b.jpg", "c.jpg"]}, ["<image> or <video> or <image>?", "A"],
         ["<video> or <video> or <video>?"], ("b.jpg", "a.mp4", "c.jpg")),
        ({"image": ["a.jpg", "b.mp4"]}, ["<video> or <image>?", "A"], ["<video> or <video>?"], ("a.jpg", "b.mp4")),
    ],
)  # fmt: skip
def test_several_videos_and_images(tmp_path: Path, media: Any, said: Any, users: list[str], names: Any) -> None:
    [sample] = LlavaJsonSpec(path=_write(tmp_path, [{**media, "conversations": _say(*said)}])).build()
    assert [turn.user for turn in sample.turns] == users
    expected = tuple(str(tmp_path / name) for name in ([names] if isinstance(names, str) else names))
    assert sample.videos == expected
    assert sample.video == (expected[0] if isinstance(names, str) else expected)


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
    named = [{"id": name, "conversations": _say("a", "b")} for name in (1, "1", "1#0", None)]
    data = LlavaJsonSpec(path=_write(tmp_path, named)).build()
    assert [sample.id for sample in data] == ["1#0#", "1#1", "1#0", "3"]


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
        ({"id": "x", "video": "a", "conversations": _say("<video>", "b", "<video>", "d")}, "found 2 for 1; write one"),
        ({"id": "x", "image": ["a", "b"], "conversations": _say("<image>", "b")}, "found 1 for 2; write one where"),
        (
            {"image": "a", "video": ["b", "c"], "conversations": _say("<image> <image> <video>", "b")},
            "expected <image>, <video>, <video> in any order, found <image>, <image>, <video>",
        ),
        ({"id": "x", "video": 3, "conversations": _say("a", "b")}, "name of a file, found 3"),
        ({"id": "x", "conversations": _say("a", "my <video>")}, r"\(id 'x'\): <video> stands in an answer"),
        ({"id": "x", "conversations": _say("a", "b \ud83d")}, r"message 1: '\\ud83d' is half a character"),
        ({"id": "\udc00", "conversations": _say("a", "b")}, r"'\\udc00' is half a character"),
        ({"id": "x", "video": "\udc00", "conversations": _say("a", "b")}, r"\(id 'x'\): '\\udc00' is half a char"),
        (
            {"image": "a.jpg", "images": ["b.jpg"], "conversations": _say("a", "b")},
            "its image should stand under `image`",
        ),
        ({"Video": "a.mp4", "conversations": _say("a", "b")}, "its video should stand under `video`"),
        ({"id": True, "conversations": _say("a", "b")}, "`id` should be text or a whole number, found true"),
        ({"id": 1.0, "conversations": _say("a", "b")}, r"`id` should be text or a whole number, found 1\.0"),
        ({"id": float("nan"), "conversations": _say("a", "b")}, "`id` should be text or a whole number, found nan"),
        ({"id": ["x"], "conversations": _say("a", "b")}, r"`id` should be text or a whole number, found \[\"x\"\]"),
        ({"conversations": {}}, r"`conversations` should hold pairs .* found \{\}"),
        ({"conversations": [{"from": 1, "value": "a"}, *_say("a")]}, "message 0: expected {from: human, value: text}"),
        ({"conversations": [{"from": "system", "value": 1}, *_say("a", "b")]}, "message 0: expected {from: system"),
        ({"conversations": [{"from": "system", "value": "a"}, *_say("a")]}, "found 1 messages"),
        ({"conversations": [{"from": "system", "value": "a"}] * 2}, "found 1 messages"),
        ({"conversations": [{"from": "system", "value": "a"}] * 3}, "message 1: expected {from: human"),
        (
            {"video": "a.mp4", "conversations": [{"from": "system", "value": "<video> a"}, *_say("a", "b")]},
            "stands in what the system says",
        ),
    ],
)
def test_malformed_entries_are_named(tmp_path: Path, entry: Any, message: str) -> None:
    path = _write(tmp_path, [ENTRIES[-2], entry])
    with pytest.raises(DataError, match=message) as error:
        LlavaJsonSpec(path=path).build()
    assert f"{path}, entry 1" in str(error.value)


@pytest.mark.parametrize("key", ["image", "images", "video", "videos"])
@pytest.mark.parametrize("value", [[], "", " ", False, 0, {}, 2.5, float("nan"), [""], ["a", 1], {"path": "a.mp4"}])
def test_no_entry_loses_what_it_is_about(tmp_path: Path, key: str, value: Any) -> None:
    path = _write(tmp_path, [{key: value, "conversations": _say("a", "b")}])
    with pytest.raises(DataError, match=r"entry 0: .*for text alone"):
        LlavaJsonSpec(path=path).build()


def test_null_is_as_good_as_absent(tmp_path: Path) -> None:
    rows = [{"id": None, "image": None, "video": None, "videos": None, "conversations": _say("Hi", "Hello")}]
    assert list(LlavaJsonSpec(path=_write(tmp_path, rows)).build()) == [Sample("0", (Turn("Hi", "Hello"),), None)]


@pytest.mark.parametrize("value", [None, [], 1, True, {"text": "a"}])
def test_messages_are_text(tmp_path: Path, value: Any) -> None:
    for said in ([{"from": "human", "value": value}, *_say("a")], [*_say("a"), {"from": "gpt", "value": value}]):
        with pytest.raises(DataError, match=r"entry 0, message \d: expected {from: (human|gpt), value: text}"):
            LlavaJsonSpec(path=_write(tmp_path, [{"conversations": said}])).build()


@pytest.mark.parametrize("lines", [True, False])
def test_the_content_tells_lists_from_lines(tmp_path: Path, lines: bool) -> None:
    """Whatever the file is called; with a byte order mark, and with the line ends of Windows."""
    text = "\r\n".join(["", *(json.dumps(e) for e in ENTRIES), ""]) if lines else json.dumps(ENTRIES, indent=1)
    expected = list(LlavaJsonSpec(path=_write(tmp_path, ENTRIES)).build())
    for name in ("data.json", "data.jsonl", "DATA.JSON", "data"):
        for encoding in ("utf-8", "utf-8-sig"):
            (tmp_path / name).write_text(text, encoding=encoding)
            assert list(LlavaJsonSpec(path=tmp_path / name).build()) == expected
    (tmp_path / "data.json").write_text(json.dumps(ENTRIES[0]))
    assert len(LlavaJsonSpec(path=tmp_path / "data.json").build()) == 1


@pytest.mark.parametrize(
    ("asked", "there", "taken"),
    [
        ("talk.2", ["talk.mp4"], None),
        ("10.0_20.5", ["10.0_20.mp4", "10.mp4"], None),
        ("talk.final", ["talk.avi"], None),
        ("talk.2", ["talk.mp4", "talk.2.avi"], "talk.2.avi"),
        ("talk.2.mp4", ["talk.2.mkv", "talk.mp4"], "talk.2.mkv"),
        ("talk.mkv", ["talk.mp4"], "talk.mp4"),
        ("talk.MOV", ["talk.mp4"], "talk.mp4"),
        ("talk", ["talk.MP4"], "talk.MP4"),
        ("talk.mp4", ["talk.MP4"], "talk.MP4"),
        ("talk.mkv", ["talk.avi", "talk.mp4"], "talk.mp4"),
        ("talk.mkv", ["talk.mkv", "talk.mp4"], "talk.mkv"),
        ("talk.mkv", ["Talk.mkv"], None),
        ("../clips/talk", ["talk.mp4"], "../clips/talk.mp4"),
    ],
)
def test_no_other_clip_takes_the_place_of_a_missing_one(
    tmp_path: Path, asked: str, there: list[str], taken: str | None
) -> None:
    clips = tmp_path / "clips"
    (clips / "talk.webm").mkdir(parents=True)  # a folder is no video, whatever it is called
    for name in there:
        (clips / name).touch()
    path = _write(tmp_path, [{"video": asked, "conversations": _say("Who?", "She.")}])
    video = LlavaJsonSpec(path=path, video_root=clips).build()[0].video
    assert video == str(clips / (taken or asked))


def test_pipes_are_no_videos(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        os.mkfifo(tmp_path / name)
    (tmp_path / "b.avi").touch()
    path = _write(tmp_path, [{"video": name, "conversations": _say("Who?", "She.")} for name in ("a.mp4", "b.mp4")])
    found = [sample.video for sample in LlavaJsonSpec(path=path).build()]
    assert found == [str(tmp_path / "a.mp4"), str(tmp_path / "b.avi")]


def test_paths_begin_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.mp4").touch()
    _write(tmp_path, ENTRIES[:1])
    spec = LlavaJsonSpec.model_validate({"path": "~/data.json", "video_root": "~"})
    assert spec.build()[0].video == str(tmp_path / "a.mp4")
    with pytest.raises(DataError, match="`~nobody-here` is no home folder here"):
        LlavaJsonSpec.model_validate({"path": "~nobody-here/data.json"}).build()


def test_files_that_are_no_lists_of_entries(tmp_path: Path) -> None:
    contents = {
        "7": r"expected a JSON list of conversations, or one JSON object per line; found 7",
        "[{]": r"no\.json: expected a JSON list .*no JSON: .*column 3",
        json.dumps(ENTRIES[0]) + "\n{]\n": r"no\.json, line 2: expected a JSON list",
        "[" * 100_000 + "]" * 100_000: "nested too deeply",
        "": "the file is empty",
        f'[{{"id": {"9" * 5000}}}]': "too many digits",
        f'{{"id": {"9" * 5000}}}': "line 1: .*too many digits",
    }
    for content, message in contents.items():
        (tmp_path / "no.json").write_text(content)
        with pytest.raises(DataError, match=message) as error:
            LlavaJsonSpec(path=tmp_path / "no.json").build()
        assert len(str(error.value)) < 500
    os.mkfifo(tmp_path / "pipe.json")
    named = {"x" * 400: "too long", "a\0b": "null byte", "none": "No such file", "pipe.json": "pipe", ".": "a folder"}
    for name, message in named.items():
        with pytest.raises(DataError, match=f"expected conversations.*{message}.*; correct `path` of llava-json"):
            LlavaJsonSpec(path=tmp_path / name).build()


def test_a_missing_video_folder_is_reported_at_once(tmp_path: Path) -> None:
    path = _write(tmp_path, ENTRIES)
    with pytest.raises(DataError, match=r"nowhere, which is no folder; set `video_root`"):
        LlavaJsonSpec(path=path, video_root=tmp_path / "nowhere").build()
