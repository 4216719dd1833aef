"""A server as its clients see it: OpenAI's own client, health and metrics, the key, limits, the stop."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from vlmkit.chat.chat_model import ChatModel, ChatRequest

KEY = "sk-nobody-may-see-this"
ASK = [{"role": "user", "content": "how"}]
ASK_LONG = [{"role": "user", "content": "who"}]
"""It has an answer of more than 1500 tokens."""


def shown(clip: Path, question: str) -> list[dict[str, Any]]:
    url = f"data:video/mp4;base64,{base64.b64encode(clip.read_bytes()).decode()}"
    parts = [{"type": "video_url", "video_url": {"url": url}}, {"type": "text", "text": question}]
    return [{"role": "user", "content": parts}]


@pytest.fixture(scope="module")
def server(talker: Path, served: Callable[..., Any]) -> Any:
    """One that demands a key."""
    return served(talker, "--api-key-env", "SERVE_KEY", "--stop-seconds", 10, SERVE_KEY=KEY)


@pytest.fixture(scope="module")
def client(server: Any) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=KEY, max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def model(talker: Path) -> ChatModel:
    return ChatModel.open(talker, device="cpu")


def test_openai_s_client_asks_about_a_video(
    client: openai.OpenAI, server: Any, model: ChatModel, drawn_clips: list[Path]
) -> None:
    [entry] = client.models.list().data
    assert entry.id == client.models.retrieve(entry.id).id == server.name == "talker"
    options: Any = {"model": entry.id, "messages": shown(drawn_clips[0], "what is it"), "max_tokens": 20}
    video = model.encode(model.look(drawn_clips[0]))
    request = ChatRequest([{"role": "user", "content": "<video>\nwhat is it"}], video, 20)
    [expected] = model.reply([request])
    said = client.chat.completions.create(**options)
    assert said.choices[0].message.content == expected.text
    assert said.choices[0].finish_reason == expected.finish_reason
    assert said.usage is not None
    assert (said.usage.prompt_tokens, said.usage.completion_tokens) == (
        expected.prompt_tokens, expected.completion_tokens,
    )  # fmt: skip
    chunks = list(client.chat.completions.create(**options, stream=True, stream_options={"include_usage": True}))
    assert len(chunks) > 4
    assert "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices) == expected.text
    assert chunks[-2].choices[0].finish_reason == expected.finish_reason
    assert chunks[-1].usage == said.usage


def test_other_frames_are_taken_where_they_are_asked_for(
    client: openai.OpenAI, model: ChatModel, drawn_clips: list[Path]
) -> None:
    options: Any = {"model": "talker", "messages": shown(drawn_clips[1], "how"), "max_tokens": 20}
    sampling = {"type": "uniform", "frames": 4}
    request = ChatRequest([{"role": "user", "content": "<video>\nhow"}], max_new_tokens=20)
    lengths = []
    for chosen in (None, sampling):
        video = model.encode(model.look(drawn_clips[1], sampling=chosen))
        [expected] = model.reply([ChatRequest(request.messages, video, 20)])
        body = None if chosen is None else {"sampling": chosen}
        said = client.chat.completions.create(**options, extra_body=body)
        assert said.choices[0].message.content == expected.text
        assert said.usage is not None
        lengths.append(said.usage.prompt_tokens)
    assert lengths[0] > lengths[1]
    for wrong in ({"type": "nothing"}, {"type": "uniform", "frames": 500}, {}):
        with pytest.raises(openai.BadRequestError) as found:
            client.chat.completions.create(**options, extra_body={"sampling": wrong})
        assert str(found.value.param).startswith("sampling")
    with pytest.raises(openai.BadRequestError, match="there is none in the messages"):
        client.chat.completions.create(model="talker", messages=ASK, extra_body={"sampling": sampling})  # type: ignore[arg-type]


def test_without_the_key_nothing_is_told(server: Any) -> None:
    for headers in ({}, {"Authorization": "Bearer other"}, {"Authorization": KEY}):
        for method, path in (("GET", "/v1/models"), ("POST", "/v1/chat/completions"), ("GET", "/v1/other")):
            response = httpx.request(method, server.url + path, headers=headers)
            assert (response.status_code, response.json()["error"]["code"]) == (401, "invalid_api_key")
    assert KEY not in "".join(server.errors)


def test_health_metrics_and_other_addresses(server: Any, client: openai.OpenAI) -> None:
    client.chat.completions.create(model="talker", messages=ASK, max_tokens=3)  # type: ignore[arg-type]
    for path, said in (("/health", "ready"), ("/health/ready", "ready"), ("/health/live", "live")):
        response = httpx.get(server.url + path)
        assert (response.status_code, response.json()["status"]) == (200, said)
    numbers = dict(
        line.rsplit(" ", 1) for line in httpx.get(f"{server.url}/metrics").text.splitlines() if line[0] != "#"
    )
    assert float(numbers['vlmkit_requests_total{code="200"}']) >= 1
    assert float(numbers['vlmkit_tokens_total{kind="completion"}']) >= 3
    assert float(numbers["vlmkit_batch_size_count"]) >= 1
    assert float(numbers["process_resident_memory_bytes"]) > 1e8
    assert [numbers[f"vlmkit_requests_{state}"] for state in ("waiting", "running", "in_work")] == ["0.0"] * 3
    for method, path, status in (("GET", "/nothing", 404), ("DELETE", "/health", 405)):
        response = httpx.request(method, server.url + path)
        assert (response.status_code, response.json()["error"]["type"]) == (status, "invalid_request_error")
        assert "this server has POST /v1/chat/completions" in response.json()["error"]["message"]


def test_a_request_past_its_time_and_one_past_the_queue_are_refused(talker: Path, served: Callable[..., Any]) -> None:
    server = served(
        talker, "--batch-size", 1, "--max-waiting", 1, "--request-seconds", 1.0, "--max-tokens", 4000,
        "--stop-seconds", 10,
    )  # fmt: skip
    long = {"messages": ASK_LONG, "max_tokens": 3900}

    def ask(delay: float, stream: bool = False) -> httpx.Response:
        time.sleep(delay)
        return httpx.post(f"{server.url}/v1/chat/completions", json={**long, "stream": stream}, timeout=20)

    ask(0)
    with ThreadPoolExecutor(3) as pool:
        running, waiting, further = pool.map(ask, (0, 0.2, 0.4))
    assert (running.status_code, running.json()["error"]["code"]) == (504, "request_timeout")
    assert waiting.status_code in (503, 504)  # its time may end when its turn has just come
    assert (further.status_code, int(further.headers["Retry-After"]) > 0) == (429, True)
    assert further.json()["error"]["type"] == "rate_limit_error"
    stream = ask(0, stream=True)
    assert stream.status_code == 200
    last = stream.text.strip().split("\n\n")[-1].removeprefix("data: ")
    assert json.loads(last)["error"]["code"] == "request_timeout"
    numbers = httpx.get(f"{server.url}/metrics").text
    assert 'vlmkit_requests_total{code="504"}' in numbers
    assert 'vlmkit_requests_total{code="429"} 1.0' in numbers


def test_a_stop_lets_running_requests_end_and_refuses_new_ones(
    talker: Path, model: ChatModel, served: Callable[..., Any]
) -> None:
    server = served(talker, "--max-tokens", 1000, "--stop-seconds", 30, "--request-seconds", 60)
    [expected] = model.reply([ChatRequest(ASK_LONG, max_new_tokens=900)])
    with httpx.Client(base_url=server.url, timeout=60) as other:
        assert other.get("/health").status_code == 200
        answers: list[httpx.Response] = []
        address = f"{server.url}/v1/chat/completions"
        body = {"messages": ASK_LONG, "max_tokens": 900}
        thread = threading.Thread(target=lambda: answers.append(httpx.post(address, json=body, timeout=60)))
        thread.start()
        while "vlmkit_requests_running 1.0" not in other.get("/metrics").text:
            time.sleep(0.01)
        server.terminate()
        refused = httpx.post(address, json=body)
        while refused.status_code == 200:
            refused = httpx.post(address, json=body)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "server_busy")
        assert other.get("/health").json()["status"] == "stopping"
        thread.join()
    assert answers[0].json()["choices"][0]["message"]["content"] == expected.text
    assert server.ended()[0] == 0


def test_a_stop_ends_what_runs_too_long(talker: Path, served: Callable[..., Any]) -> None:
    server = served(talker, "--max-tokens", 4000, "--stop-seconds", 2.5, "--request-seconds", 60)
    body = {"messages": ASK_LONG, "max_tokens": 3900}
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(httpx.post, f"{server.url}/v1/chat/completions", json=body, timeout=60)
        while "vlmkit_requests_running 1.0" not in httpx.get(f"{server.url}/metrics").text:
            time.sleep(0.01)
        server.terminate()
        assert server.ended()[0] == 0
        assert (asked.result().status_code, asked.result().json()["error"]["code"]) == (503, "server_busy")
