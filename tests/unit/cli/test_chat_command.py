"""`vlmkit chat` from a pipe: a script of turns and commands."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from PIL import Image

from vlmkit.chat.chat_model import ChatModel, ChatRequest

Told = Callable[..., tuple[int, str, str]]
Talk = Callable[..., tuple[list[str], list[str]]]


@pytest.fixture(scope="module")
def chat(talker: Path) -> ChatModel:
    return ChatModel.open(talker, device="cpu")


@pytest.fixture
def talk(told: Told, talker: Path, monkeypatch: pytest.MonkeyPatch) -> Talk:
    """The lines that a script of turns gives, and the notes beside them."""

    def run(script: str | bytes, *arguments: object) -> tuple[list[str], list[str]]:
        content = script if isinstance(script, bytes) else script.encode()
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content), "utf-8"))
        code, out, err = told("chat", talker, *arguments, "--max-new-tokens", 6)
        assert code == 0
        return out.splitlines(), [line for line in err.splitlines() if not line.startswith("[cut off after 6 tokens")]

    return run


def replies(chat: ChatModel, clip: Path | None, questions: Sequence[str], system: str = "") -> list[str]:
    """The answers to questions in turns."""
    video = None if clip is None else chat.encode(chat.look(clip))
    messages = [{"role": "system", "content": system}] if system else []
    found: list[str] = []
    for question in questions:
        place = "<video>\n" if video is not None and not found else ""
        messages.append({"role": "user", "content": place + question})
        found.append(chat.reply([ChatRequest(messages, video, 6)])[0].text)
        messages.append({"role": "assistant", "content": found[-1]})
    return [line for answer in found for line in answer.splitlines()]


def test_turns_know_those_before(talk: Talk, chat: ChatModel, drawn_clips: list[Path]) -> None:
    out, notes = talk("what is it\n\n  who is left of ada\nwhat is it\n", drawn_clips[0])
    answers = replies(chat, drawn_clips[0], ["what is it", "who is left of ada", "what is it"])
    assert out == answers
    assert notes == [f"[{drawn_clips[0]}: 8 frames, at 0.00 0.25 0.50 0.75 1.00 1.25 1.50 1.75 s]"]
    assert replies(chat, drawn_clips[0], ["what is it"]) * 2 != [answers[0], answers[-1]], "a turn changes the next"


def test_without_a_video(talk: Talk, chat: ChatModel) -> None:
    out, notes = talk("who is it\n/frames\n")
    assert out == replies(chat, None, ["who is it"])
    assert notes == ["vlmkit: /frames: there is no video yet; /video PATH begins a conversation about one"]


def test_another_video_other_system_words_and_a_new_conversation(
    talk: Talk, chat: ChatModel, drawn_clips: list[Path]
) -> None:
    one, two = drawn_clips[:2]
    script = f"how\n/video {two}\nhow\n/reset\nhow\n/system be brief\nhow\nwho\n/system\nhow\n/quit\nwhat is it\n"
    out, notes = talk(script, one)
    alone = replies(chat, two, ["how"])
    assert out == [
        *replies(chat, one, ["how"]),
        *alone,
        *alone,
        *replies(chat, two, ["how", "who"], "be brief"),
        *alone,
    ]
    assert notes[1].startswith(f"[{two}: 8 frames, at 0.00 ")
    assert notes[2:] == [
        "[a new conversation]",
        "[a new conversation, with these words before it]",
        "[a new conversation, without words of the system]",
    ]


def test_a_second_video_is_shown_with_the_next_question(
    talk: Talk, chat: ChatModel, drawn_clips: list[Path], tmp_path: Path
) -> None:
    one, two = drawn_clips[:2]
    out, notes = talk(f"how\n/add {two}\nwho is left\n/add none.mp4\n/add\n/reset\nhow\n", one)
    videos = [chat.encode(chat.look(clip)) for clip in (one, two)]
    [first] = replies(chat, one, ["how"])
    said = [{"role": "user", "content": "<video>\nhow"}, {"role": "assistant", "content": first},
            {"role": "user", "content": "<video>\nwho is left"}]  # fmt: skip
    again = [{"role": "user", "content": "<video>\n<video>\nhow"}]
    assert out == [first, *(chat.reply([ChatRequest(each, videos, 6)])[0].text for each in (said, again))]
    assert notes[1].startswith(f"[{two}: 8 frames, at 0.00 ")
    assert notes[1].endswith(", with the next question]")
    assert notes[2].endswith(f"; the conversation goes on about {one} and {two}")
    assert notes[3] == "vlmkit: /add: expected a path behind it, e.g. /add clip.mp4"


def test_a_path_is_taken_as_a_terminal_gives_it(talk: Talk, drawn_clips: list[Path], tmp_path: Path) -> None:
    clip = tmp_path / "it's mine.mp4"
    clip.symlink_to(drawn_clips[0])
    escaped = str(clip).replace("'", "\\'").replace(" ", "\\ ")
    _, notes = talk(f'/video {clip}\n/video "{clip}"\n/video {escaped}\n/video {clip.as_uri()}\n/video \'\n')
    assert [note.partition(": 8 frames")[0] for note in notes[:3]] == [f"[{clip}"] * 3
    assert notes[3].startswith(f"[{clip.as_uri()}: 8 frames, ")
    assert notes[4].startswith("vlmkit: ': expected a video or picture, found nothing of this name here")


def test_which_frames_were_seen(talk: Talk, drawn_clips: list[Path], tmp_path: Path) -> None:
    file = tmp_path / "my frames.png"
    out, _ = talk(f"/frames\n/frames '{file}'\n", drawn_clips[0], "--frames", 4)
    assert out[0].startswith(f"{drawn_clips[0]}: 4 frames, at 0.00 ")
    assert out[1] == f"written: {file}"
    with Image.open(file) as image:
        assert image.width > 3 * image.height


def test_what_is_wrong_is_said_and_the_chat_goes_on(
    talk: Talk, chat: ChatModel, drawn_clips: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "bad.mp4").write_text("this is no video")
    script = [
        "how", f"/video {tmp_path}/bad.mp4", "/video", "/video none.mp4", "/vidio x", "/reset now", "/frames a.gif",
        "<video> what", "w\udce4s", "who",
    ]  # fmt: skip
    out, notes = talk("\n".join(script).encode(errors="surrogateescape"), drawn_clips[0])
    assert out == replies(chat, drawn_clips[0], ["how", "who"])
    assert notes[1].endswith(f"; the conversation goes on about {drawn_clips[0]}")
    for found, said in zip(
        notes[1:],
        (
            f"vlmkit: {tmp_path}/bad.mp4: this is no video, or a damaged one",
            "vlmkit: /video: expected a path behind it",
            "vlmkit: none.mp4: expected a video or picture, found nothing of this name here",
            "vlmkit: /vidio: no command; did you mean 'video'? there are /video, /add, /frames, /reset, ",
            "vlmkit: /reset: expected nothing behind it, found 'now'",
            "vlmkit: a.gif: expected the name of a picture",
            "vlmkit: text 0 of the batch holds <video> 2 times",
            r"vlmkit: 'w\udce4s': expected text in UTF-8, found the byte 0xe4",
        ),
        strict=True,
    ):
        assert found.startswith(said)


def test_help_lists_every_command(talk: Talk) -> None:
    out, _ = talk("/help\n")
    assert [line.split()[0] for line in out[:-1]] == [
        "/video",
        "/add",
        "/frames",
        "/reset",
        "/system",
        "/help",
        "/quit",
    ]


def test_an_answer_that_is_cut_off_says_so(told: Told, talker: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("who is it\n"))
    *_, err = told("chat", talker, "--max-new-tokens", 1)
    assert err == "[cut off after 1 token; --max-new-tokens allows more]\n"


def test_a_video_that_is_not_there_ends_it(told: Told, talker: Path) -> None:
    code, out, err = told("chat", talker, "none.mp4")
    assert (code, out) == (2, "")
    assert err.startswith("vlmkit: none.mp4: expected a video or picture, found nothing of this name here")
