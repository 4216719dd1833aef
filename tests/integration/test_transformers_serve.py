"""`vlmkit transformers serve`: videos and pictures by the openai client, under the model's own frame rule."""

from __future__ import annotations

import base64
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from openai import OpenAI
from PIL import Image

from vlmkit.chat.chat_model import ChatModel, ChatRequest
from vlmkit.model import load
from vlmkit.model.prompts import render_conversation

from .transformers_server import STOP, serving

QUESTION = "what moves?"
MOST = 12


class Server(NamedTuple):
    """A running `transformers serve`."""

    client: Any
    model: str
    log: Path

    def ask(self, *parts: Mapping[str, Any], stream: bool = False, **options: Any) -> str:
        """Return the answer to one message, pieced together where it is streamed."""
        return self.reply([{"role": "user", "content": list(parts)}], stream=stream, **options)

    def reply(self, messages: list[Any], stream: bool = False, **options: Any) -> str:
        response = self.client.chat.completions.create(
            model=self.model, messages=messages, max_tokens=MOST, temperature=0, stream=stream, **options
        )
        if not stream:
            return str(response.choices[0].message.content)
        pieces = [chunk.choices[0].delta.content for chunk in response]
        return "".join(piece for piece in pieces if piece is not None)


@pytest.fixture(scope="module")
def folder(talker: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The talker, saying words alone: of bytes that are no text a stream shows nothing, and a finished answer marks."""
    model, processor = load(talker)
    tokenizer = processor.tokenizer
    unsaid = [
        token
        for token in range(model.backbone.config.vocab_size)
        if token != tokenizer.eos_token_id and not tokenizer.decode([token]).strip().isalpha()
    ]
    model.generation_config.suppress_tokens = unsaid
    saved = tmp_path_factory.mktemp("served") / "model"
    model.save_pretrained(saved)
    processor.save_pretrained(saved)
    return saved


@pytest.fixture(scope="module")
def server(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("log") / "server.log"
    with serving([sys.executable, "-m", "vlmkit", "transformers"], folder, log) as address:
        client = OpenAI(base_url=address, api_key="none", max_retries=0, timeout=60)
        yield Server(client, str(folder), log)


def _text(text: str = QUESTION) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _video(url: str) -> dict[str, Any]:
    return {"type": "video_url", "video_url": {"url": url}}


def _data(path: Path, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _offline(folder: Path, video: Any = None, sampling: Mapping[str, Any] | None = None) -> str:
    """The answer of `VideoLM.generate`; without the space around it, it is that of an evaluation."""
    text = QUESTION if video is None else f"<video>\n{QUESTION}"
    return _continued(folder, [text], video, sampling)


def _continued(folder: Path, turns: Sequence[str], video: Any, sampling: Mapping[str, Any] | None = None) -> str:
    talk = ChatModel.open(folder, "cpu")
    messages = [{"role": role, "content": text} for role, text in zip(cycle(["user", "assistant"]), turns)]
    fitted = None if video is None else talk.look(video, sampling=sampling)
    [reply] = talk.reply([ChatRequest(messages, None if fitted is None else talk.encode(fitted), MOST)])
    prompt = render_conversation(talk.processor.tokenizer, messages)
    inputs = talk.processor([prompt], [] if fitted is None else [fitted])
    output = talk.model.generate(**inputs, do_sample=False, max_new_tokens=MOST)
    answer = talk.processor.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    assert answer.strip() == reply.text
    return answer


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_videos_are_answered_as_offline(server: Server, folder: Path, drawn_clips: list[Path], stream: bool) -> None:
    first, second, third = drawn_clips[:3]
    expected = [_offline(folder, path) for path in (first, second, third)]
    assert len(set(expected)) > 1
    urls = [first.as_uri(), _data(second, "video/mp4"), str(third)]
    assert [server.ask(_video(url), _text(), stream=stream) for url in urls] == expected


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_picture_is_answered_as_offline(server: Server, folder: Path, tmp_path: Path, stream: bool) -> None:
    path = tmp_path / "two colors.png"
    picture = Image.new("RGB", (90, 60), "red")
    picture.paste("blue", (0, 0, 45, 60))
    picture.save(path)
    expected = _offline(folder, path)
    for url in (path.as_uri(), str(path), _data(path, "image/png")):
        assert server.ask({"type": "image_url", "image_url": {"url": url}}, _text(), stream=stream) == expected
    assert server.ask(_text(), stream=stream) == _offline(folder) != expected


def test_the_models_own_frame_rule_holds_and_is_said_once(
    server: Server, folder: Path, drawn_clips: list[Path]
) -> None:
    path = drawn_clips[0]
    expected = _offline(folder, path)
    for options in ({}, {"chat_template_kwargs": {"num_frames": 2}}, {"chat_template_kwargs": {"fps": 1.0}}):
        assert server.ask(_video(path.as_uri()), _text(), extra_body=options) == expected
    log = server.log.read_text()
    for name in ("num_frames=32", "num_frames=2", "fps=1.0"):
        [line] = [line for line in log.splitlines() if f"{name} is not followed" in line]
        assert "the frames that its own rule chooses, `reference`, at most 8; sampling={type: …, frames: N}" in line


def test_another_frame_rule_is_followed_where_it_is_asked_for(
    server: Server, folder: Path, drawn_clips: list[Path]
) -> None:
    sampling = {"type": "uniform", "frames": 1}
    path = next(path for path in drawn_clips if _offline(folder, path, sampling) != _offline(folder, path))
    answer = server.ask(_video(str(path)), _text(), extra_body={"chat_template_kwargs": {"sampling": sampling}})
    assert answer == _offline(folder, path, sampling)


def test_a_conversation_goes_on(server: Server, folder: Path, drawn_clips: list[Path]) -> None:
    first = server.ask(_video(str(drawn_clips[0])), _text())
    messages: list[Any] = [
        {"role": "user", "content": [_video(str(drawn_clips[0])), _text()]},
        {"role": "assistant", "content": first},
        {"role": "user", "content": "who is it?"},
    ]
    expected = _continued(folder, [f"<video>\n{QUESTION}", first, "who is it?"], drawn_clips[0])
    assert server.reply(messages) == expected


def test_a_bad_video_ends_its_request_alone(server: Server, folder: Path, drawn_clips: list[Path]) -> None:
    from openai import APIStatusError

    with pytest.raises(APIStatusError) as caught:
        server.ask(_video("file:///nowhere/clip.mp4"), _text())
    assert caught.value.status_code == 500
    deadline = time.monotonic() + STOP
    while "/nowhere/clip.mp4" not in server.log.read_text() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert "/nowhere/clip.mp4" in server.log.read_text()
    assert server.ask(_video(str(drawn_clips[0])), _text()) == _offline(folder, drawn_clips[0])
