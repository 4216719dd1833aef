"""The judge `openai` without a server: its options, its version, its estimate. `tests/integration/endpoint` has one."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from vlmkit.api import JudgeEstimate, JudgePrompt, JudgeRequest
from vlmkit.errors import SpecError
from vlmkit_judges.spec import OpenAISpec

PROMPT = JudgePrompt("p", "1", "{question} {answer}", "pred-score", system="You judge.", max_tokens=40)


def quick(**options: Any) -> OpenAISpec:
    return OpenAISpec.model_validate({"model": "judge", "api_key_env": "JUDGE_KEY", **options})


def requests(count: int) -> list[JudgeRequest]:
    return [
        JudgeRequest(f"number {number}?", ("x",), "{answer} {'pred': 'yes'}", prompt=PROMPT) for number in range(count)
    ]


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_KEY", "sk-nobody-may-see-this")


def test_a_key_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JUDGE_KEY")
    with pytest.raises(
        SpecError, match=r"judge openai: the environment variable JUDGE_KEY is not set; .*api\.openai\.com"
    ):
        quick().build()
    assert OpenAISpec.tiny().build().version == "1: tiny at 127.0.0.1:8000/v1"


def test_the_version_tells_all_that_changes_verdicts_but_no_secret() -> None:
    spec = quick(base_url="https://me:secret@host.example:81/v1/?token=secret", seed=3)
    assert spec.build().version == "1: judge at host.example:81/v1, seed 3"


@pytest.mark.parametrize("url", ["", "api.openai.com", "ftp://x", "http://", "http://[", "http://x:99999"])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(ValidationError, match="expected an address such as https"):
        OpenAISpec(model="m", base_url=url)


def test_an_estimate() -> None:
    judge = quick(input_price=1.0, output_price=2.0).build()
    assert judge.estimate(requests(10)) == JudgeEstimate(10, 10 * 44 // 4, 400, (110 + 800) / 1e6, "characters / 4")
    assert quick().build().estimate([]) == JudgeEstimate(0, 0, 0, None, "characters / 4")
