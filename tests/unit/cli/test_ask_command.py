"""`vlmkit ask`: one's own video, one's own questions."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from vlmkit.chat.chat_model import ChatModel, ChatRequest

Told = Callable[..., tuple[int, str, str]]
QUESTIONS = ("what is it", "who is left of ada", "how")


@pytest.fixture(scope="module")
def chat(talker: Path) -> ChatModel:
    return ChatModel.open(talker, device="cpu")


def expected(chat: ChatModel, clip: Path, question: str, system: str = "", **options: object) -> str:
    words = [{"role": "system", "content": system}] if system else []
    request = ChatRequest(
        [*words, {"role": "user", "content": f"<video>\n{question}"}],
        chat.encode(chat.look(clip)),
        **options,  # type: ignore[arg-type]
    )
    return chat.reply([request])[0].text


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """Puts text into stdin, which is a pipe."""

    def put(content: bytes) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content), "utf-8"))

    return put


def test_one_question(told: Told, chat: ChatModel, talker: Path, drawn_clips: list[Path]) -> None:
    code, out, err = told("ask", talker, drawn_clips[0], QUESTIONS[0], "--max-new-tokens", 9)
    assert code == 0
    assert out == expected(chat, drawn_clips[0], QUESTIONS[0], max_new_tokens=9) + "\n"
    assert err == (
        f"[{drawn_clips[0]}: 8 frames, at 0.00 0.25 0.50 0.75 1.00 1.25 1.50 1.75 s]\n"
        "[cut off after 9 tokens; --max-new-tokens allows more]\n"
    )


def test_several_questions_from_the_line_and_from_stdin(
    told: Told, chat: ChatModel, talker: Path, drawn_clips: list[Path], typed: Callable[[bytes], None]
) -> None:
    typed(f"{QUESTIONS[1]}\n\n  {QUESTIONS[2]}\r\n".encode())
    _, out, _ = told("ask", talker, drawn_clips[1], QUESTIONS[0], "-", "--max-new-tokens", 6, "--system", "be brief")
    answers = [expected(chat, drawn_clips[1], each, "be brief", max_new_tokens=6) for each in QUESTIONS]
    assert len(set(answers)) == 3
    assert out == "".join(f"> {question}\n{answer}\n" for question, answer in zip(QUESTIONS, answers, strict=True))


def test_json(told: Told, chat: ChatModel, talker: Path, drawn_clips: list[Path]) -> None:
    options = ("--max-new-tokens", 5, "--temperature", 2, "--seed", 3, "--start", 0.5, "--end", 1.25)
    code, out, err = told("ask", talker, drawn_clips[0], *QUESTIONS[:2], "--json", *options)
    assert (code, err) == (0, "")
    first, second = map(json.loads, out.splitlines())
    assert [first["question"], second["question"]] == list(QUESTIONS[:2])
    seen = chat.look(drawn_clips[0], (0.5, 1.25))
    assert (first["frames"], first["times"]) == (len(seen.seconds), list(seen.seconds))
    video = chat.processor.aligner.layout(seen.shape).tokens
    assert first["tokens"]["video"] == video < first["tokens"]["prompt"]
    assert (first["tokens"]["answer"], first["finish_reason"]) == (5, "length")
    assert (first["model"], first["video"]) == ("talker", str(drawn_clips[0]))
    assert 0 < first["seconds"] < 60
    again = json.loads(told("ask", talker, drawn_clips[0], QUESTIONS[0], "--json", *options)[1])
    assert again["answer"] == first["answer"], "the same seed draws the same"


def test_other_frames_than_the_models_are_said(told: Told, talker: Path, drawn_clips: list[Path]) -> None:
    line = ("ask", talker, drawn_clips[0], "how", "--max-new-tokens", 2)
    *_, err = told(*line, "--frames", 4)
    rule = "not by the model's own rule (reference, 8 frames)"
    assert f"[frames by {{type: reference, frames: 4}}, {rule}]\n[{drawn_clips[0]}: 4 frames, at 0.00 " in err
    *_, err = told(*line, "--sampling", "{type: fps, fps: 2, max_frames: 16}", "--start", 1)
    assert f"[frames by {{type: fps, fps: 2, max_frames: 16}}, {rule}]" in err
    assert ": 2 frames, at 1.00 1.50 s]" in err
    *_, err = told(*line, "--sampling", "uniform")
    assert f"[frames by {{type: uniform}}, {rule}]" in err


def test_the_frames_and_a_picture(told: Told, talker: Path, drawn_clips: list[Path], tmp_path: Path) -> None:
    code, _, err = told("ask", talker, drawn_clips[0], "how", "--save-frames", tmp_path / "strip.png")
    assert (code, f"[written: {tmp_path / 'strip.png'}]\n" in err) == (0, True)
    with Image.open(tmp_path / "strip.png") as image:
        assert image.width > image.height
    code, _, err = told("ask", talker, tmp_path / "strip.png", "how", "--max-new-tokens", 2)
    assert (code, "strip.png: 1 frame]" in err) == (0, True)


@pytest.mark.parametrize(
    ("stdin", "more", "said"),
    [
        (b"", (), 'stdin has no question: expected a question, e.g. "What happens?"'),
        (b"", ("how", " "), "question 2 is empty"),
        (b"w\xe4s\n", ("-",), r"'w\udce4s': expected text in UTF-8, found the byte 0xe4"),
        (b"", ("how", "--system", "w\udce4s"), "expected text in UTF-8, found the byte 0xe4"),
        (b"", ("how", "--start", "2", "--end", "1"), "--end 1: expected a time after --start 2"),
        (b"", ("how", "--start", "7"), "the part from 7 s on lies outside of the video, which is 2 s long"),
        (b"", ("how", "--sampling", "unifrom"), "no installed plugin offers sampler 'unifrom'; did you mean 'uniform'"),
        (b"", ("how", "--sampling", "[1"), "--sampling: '[1' is not valid YAML"),
        (b"", ("how", "--frames", "3"), "aligner 'stab' does not take a video of this shape"),
        (b"", ("how", "--save-frames", "a.gif"), "a.gif: expected the name of a picture that ends with"),
        (b"", ("<video> and <video>",), "holds <video> 2 times, but one video belongs to it"),
        (b"", ("how " * 5000,), "tokens, which do not fit into the 4,096 positions of the model"),
    ],
)
def test_mistakes(
    told: Told,
    talker: Path,
    drawn_clips: list[Path],
    typed: Callable[[bytes], None],
    stdin: bytes,
    more: tuple[str, ...],
    said: str,
) -> None:
    typed(stdin)
    code, out, err = told("ask", talker, drawn_clips[0], *more)
    assert (code, out) == (2, "")
    assert said in err


def test_no_model_and_no_video(told: Told, talker: Path, tmp_path: Path) -> None:
    code, _, err = told("ask", tmp_path, "a.mp4", "how")
    assert code == 2
    assert "expected a run folder (e.g. runs/quickstart) or the folder of a saved model" in err
    (tmp_path / "a.mp4").write_text("this is no video")
    for name, said in (("b.mp4", "nothing of this name here"), ("", "a folder"), ("a.mp4", "this is no video")):
        code, out, err = told("ask", talker, tmp_path / name, "how")
        assert (code, out) == (2, "")
        assert err.startswith(f"vlmkit: {tmp_path / name}: ")
        assert said in err
