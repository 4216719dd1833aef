"""The judge `openai` against a server on this machine that fails in every way."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vlmkit.api import JudgePrompt, JudgeRequest, Unscored, Verdict
from vlmkit.evaluation.judging import VerdictStore
from vlmkit_judges.spec import OpenAISpec

KEY = "sk-nobody-may-see-this"
PROMPT = JudgePrompt("p", "1", "{question} {answer}", "pred-score", system="You judge.", max_tokens=40, temperature=0.5)
QUICK = {"model": "judge", "timeout": 0.4, "deadline": 3.0, "max_retries": 3, "api_key_env": "JUDGE_KEY"}


def quick(**options: Any) -> OpenAISpec:
    return OpenAISpec.model_validate({**QUICK, **options})


def requests(count: int) -> list[JudgeRequest]:
    return [
        JudgeRequest(f"number {number}?", ("x",), "{answer} {'pred': 'yes'}", prompt=PROMPT) for number in range(count)
    ]


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_KEY", KEY)


def judged(server: Any, count: int = 1, **options: Any) -> dict[int, Verdict | Unscored]:
    judge = quick(base_url=server.url, **options).build()
    return dict(judge.judge(requests(count)))


def test_a_verdict_has_all_that_the_server_tells(serving: Callable[..., Any]) -> None:
    server = serving()
    found = judged(server, 2, input_price=2.5, output_price=10.0, seed=7)
    assert isinstance(found[1], Verdict)
    assert replace(found[1], seconds=None) == Verdict(
        False, 1.0, "{'pred': 'no', 'score': 1}", 350e-6, "judge-2026-01-01", 100, 10
    )
    assert 0 < (found[1].seconds or 0) < 3
    body = next(body for body in server.bodies if "number 1?" in body["messages"][1]["content"])
    assert body == {
        "model": "judge",
        "messages": [
            {"role": "system", "content": "You judge."},
            {"role": "user", "content": "number 1? {answer} {'pred': 'yes'}"},
        ],
        "temperature": 0.5,
        "max_tokens": 40,
        "seed": 7,
    }
    assert server.keys == {KEY}


def test_options_stand_above_the_prompt(serving: Callable[..., Any]) -> None:
    server = serving()
    judged(server, temperature=0.0, max_tokens=9, max_completion_tokens=True)
    assert (server.bodies[0]["temperature"], server.bodies[0]["max_completion_tokens"]) == (0.0, 9)
    assert "max_tokens" not in server.bodies[0]


def test_an_extracted_answer_is_demanded_as_structured_output(serving: Callable[..., Any]) -> None:
    server = serving()
    prompt = replace(PROMPT, reply="extracted-answer")
    [(_, found)] = quick(base_url=server.url).build().judge([replace(requests(1)[0], prompt=prompt)])
    assert isinstance(found, Unscored)  # this server always writes `pred` and `score`
    form = server.bodies[0]["response_format"]
    assert (form["type"], form["json_schema"]["strict"]) == ("json_schema", True)
    assert form["json_schema"]["schema"]["required"] == ["extracted_answer", "correct"]


@pytest.mark.parametrize("fault", ["busy", "broken", "stall", "closed", "cut"])
def test_what_passes_is_tried_again(serving: Callable[..., Any], fault: str) -> None:
    server = serving(lambda number, attempt: fault if attempt == 1 else "")
    found = judged(server)
    assert isinstance(found[0], Verdict)
    assert server.attempts[0] == 2


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("bad", "BadRequestError: Error code: 400.*the prompt is too long"),
        ("busy", "RateLimitError: Error code: 429.*slow down"),
        ("broken", "InternalServerError: Error code: 500.*out of order"),
        ("closed", "APIConnectionError"),
        ("drip", r"no whole reply within 0\.5 s"),
        ("garbage", "Error"),
        ("text", "the server's reply is no chat completion: .*gateway"),
        ("strange", "the server's reply is no chat completion"),
        ("silent", "the judge's reply is empty"),
        ("null", "the judge's reply is empty"),
        ("talk", "the judge's reply has no `pred` and `score`: .*I cannot say"),
    ],
)
def test_what_fails_for_good_is_unscored(serving: Callable[..., Any], fault: str, said: str) -> None:
    found = judged(
        serving(lambda number, attempt: fault if number == 1 else ""),
        3,
        max_retries=1,
        deadline=0.5 if fault == "drip" else 5.0,
    )
    assert isinstance(found[1], Unscored)
    assert re.search(said, found[1].reason), found[1].reason
    assert KEY not in found[1].reason
    assert isinstance(found[0], Verdict)
    assert isinstance(found[2], Verdict)


def test_a_key_that_is_refused_is_not_sent_again_and_again(serving: Callable[..., Any]) -> None:
    server = serving(lambda number, attempt: "refused")
    found = judged(server, 100, concurrency=2)
    assert all(isinstance(verdict, Unscored) for verdict in found.values())
    assert sum(server.attempts.values()) <= 4
    reasons = {verdict.reason for verdict in found.values() if isinstance(verdict, Unscored)}
    assert any(
        reason.startswith("not asked, because another request failed: AuthenticationError") for reason in reasons
    )
    assert not any(KEY in reason for reason in reasons)


def test_a_server_that_is_not_there_is_not_waited_for_again_and_again() -> None:
    started = time.monotonic()
    found = dict(quick(base_url="http://127.0.0.1:9/v1", max_retries=1, concurrency=2).build().judge(requests(300)))
    assert time.monotonic() - started < 5
    reasons = {verdict.reason for verdict in found.values() if isinstance(verdict, Unscored)}
    assert len(found) == 300
    assert reasons == {
        "APIConnectionError: Connection error.",
        "not asked, because another request failed: APIConnectionError: Connection error.",
    }


def test_who_stops_listening_stops_the_asking(serving: Callable[..., Any]) -> None:
    server = serving()
    verdicts = quick(base_url=server.url, concurrency=2).build().judge(requests(500))
    next(verdicts)
    verdicts.close()  # type: ignore[attr-defined]
    before = sum(server.attempts.values())
    assert before < 500
    time.sleep(0.1)
    assert sum(server.attempts.values()) == before


def test_a_request_without_a_prompt_is_told_so(serving: Callable[..., Any]) -> None:
    judge = quick(base_url=serving().url).build()
    [(_, found)] = judge.judge([JudgeRequest("who?", ("x",), "y")])
    assert isinstance(found, Unscored)
    assert "set `judge_prompt`" in found.reason


FAULTS = ("busy", "broken", "stall", "closed", "cut", "garbage", "silent", "strange", "drip", "talk")
PROCESS = textwrap.dedent(
    """
    import logging, sys
    from contextlib import closing
    from pathlib import Path
    logging.basicConfig(level=logging.DEBUG)
    from vlmkit.api import JudgePrompt, JudgeRequest
    from vlmkit.evaluation.judging import VerdictStore
    from vlmkit_judges.spec import OpenAISpec

    prompt = JudgePrompt("p", "1", "{question} {answer}", "pred-score")
    requests = [JudgeRequest(f"number {number}?", ("x",), "y", prompt=prompt) for number in range(500)]
    judge = OpenAISpec(model="judge", base_url=sys.argv[1], timeout=0.4, deadline=1.5, max_retries=3, concurrency=12,
                       api_key_env="JUDGE_KEY").build()
    with closing(VerdictStore(Path("verdicts.sqlite"))) as store:
        found = store.judge_all("openai", judge, requests)
    print(sum(hasattr(one, "reason") for one in found), "unscored")
    """
)


def _faults(number: int, attempt: int) -> str:
    """One request of eight fails at first, by turns in every way."""
    return FAULTS[number // 8 % len(FAULTS)] if number % 8 == 0 and attempt == 1 else ""


def test_nothing_is_lost_or_paid_twice_when_the_process_is_killed(serving: Callable[..., Any], tmp_path: Path) -> None:
    server, command = serving(_faults), [sys.executable, "-c", PROCESS]
    environment = {**os.environ, "JUDGE_KEY": KEY}

    def start(output: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen([*command, server.url], cwd=tmp_path, env=environment, stdout=output, stderr=output)

    with (tmp_path / "log").open("wb") as log:
        for stop in (100, 200, 300):
            process = start(log)
            while sum(server.served.values()) < stop and process.poll() is None:
                time.sleep(0.01)
            process.send_signal(signal.SIGKILL)
            process.wait()
        for _ in range(2):  # what was unscored is asked again
            assert start(log).wait(60) == 0
    text = (tmp_path / "log").read_text()
    assert "0 unscored" in text

    with closing(sqlite3.connect(tmp_path / "verdicts.sqlite")) as database:
        rows = database.execute("SELECT question, correct, score, unscored, model FROM verdicts").fetchall()
    expected = [(f"number {n}?", int(n % 2 == 0), n % 6, None, "judge-2026-01-01") for n in range(500)]
    assert sorted(rows) == sorted(expected)
    assert sum(server.served.values()) <= 500 + 3 * 12  # at most those on their way when it was killed
    assert 4 < server.most <= 12
    for file in tmp_path.iterdir():
        assert KEY.encode() not in file.read_bytes(), file.name


def test_verdicts_are_found_again_by_prompt(serving: Callable[..., Any], tmp_path: Path) -> None:
    server = serving()
    judge = quick(base_url=server.url).build()
    asked = requests(3)
    changed = [replace(one, prompt=replace(PROMPT, user="Please: {question} {answer}")) for one in asked]
    renamed = [replace(one, prompt=replace(PROMPT, name="q")) for one in asked]
    with closing(VerdictStore(tmp_path / "v.sqlite")) as store:
        for some in (asked, changed, renamed, asked):
            store.judge_all("openai", judge, some)
    assert sum(server.served.values()) == 6
