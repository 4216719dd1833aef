"""Protocols: what an entry says of each, what it inherits, and the rules that are built from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vlmkit.api import DataError, Document, Prompt
from vlmkit.benchmarks.protocols import build_rules, read_protocols, without_video

ENTRY: dict[str, Any] = {
    "version": "3",
    "evaluator": {"type": "open-ended-qa", "prompt": "<video>\n{question}"},
    "generation": {"max_new_tokens": 8},
    "metrics": ["accuracy", "score"],
    "judge_prompt": "video-chatgpt-qa",
}
CHOICE = {"type": "multiple-choice", "extractor": {"type": "strict"}}


def test_an_entry_without_protocols_has_the_one_of_its_authors() -> None:
    [(name, protocol)] = read_protocols(ENTRY).items()
    assert (name, protocol.label, protocol.metrics) == ("authors", "authors@3", ("accuracy", "score"))
    assert (protocol.evaluator, protocol.generation.max_new_tokens) == (ENTRY["evaluator"], 8)


def test_a_protocol_inherits_what_it_does_not_say() -> None:
    said = {
        "authors": {"version": "1", "source": "a paper"},
        "terse": {
            "version": "2",
            "source": "a tool",
            "evaluator": {"prompt": "<video> {question}"},
            "metrics": ["score"],
        },
        "choice": {"version": "1", "source": "a tool", "evaluator": CHOICE, "metrics": ["accuracy"]},
    }
    authors, terse, choice = read_protocols({**ENTRY, "protocols": said}).values()
    assert (authors.label, authors.judge_prompt) == ("authors@1", "video-chatgpt-qa")
    assert terse.evaluator == {"type": "open-ended-qa", "prompt": "<video> {question}"}
    assert terse.metrics == ("score",)
    assert choice.evaluator == CHOICE, "options of another type of evaluator are not inherited"


def test_tasks_differ_in_what_they_say() -> None:
    tasks = {"count": {"generation": {"max_new_tokens": 2}}, "tell": {"judge_prompt": "cvrr-es"}}
    said = {"authors": {"version": "1", "source": "s", "tasks": tasks}}
    [protocol] = read_protocols({**ENTRY, "protocols": said}).values()
    count, tell = protocol.tasks["count"], protocol.tasks["tell"]
    assert (count.generation.max_new_tokens, count.judge_prompt, count.evaluator) == (
        2,
        "video-chatgpt-qa",
        ENTRY["evaluator"],
    )
    assert (tell.generation.max_new_tokens, tell.judge_prompt) == (8, "cvrr-es")


def test_rules_are_those_of_the_task_of_a_question() -> None:
    tasks = {"choose": {"evaluator": {"type": "multiple-choice", "prompt": "<video> {question} {options} {hint}"}}}
    said = {"authors": {"version": "1", "source": "s", "metrics": ["accuracy"], "tasks": tasks}}
    rules = build_rules(read_protocols({**ENTRY, "protocols": said})["authors"], Path("here"))
    choose = Document("1", "v", "which?", options=("a", "b"), correct=1, task="choose", tags={"hint": "look {up}"})
    assert rules.prompt(choose) == Prompt("<video> which? A. a\nB. b look {up}")
    assert rules.prompt(Document("2", "v", "what?", "x")) == Prompt("<video>\nwhat?")
    assert rules.judged
    assert rules.base.judge_prompt is not None
    assert rules.base.judge_prompt.name == "video-chatgpt-qa"
    assert set(rules.origins) == {"evaluator/open-ended-qa", "evaluator/multiple-choice", "extractor/strict"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"judge_prompt": "video-chatgtp-qa"},
            "there is no judge prompt 'video-chatgtp-qa'; did you mean 'video-chatgpt-qa'",
        ),
        ({"metrics": ["accurcy"]}, "has no metric 'accurcy'; did you mean 'accuracy'"),
        ({"evaluator": {"type": "open-endd"}}, "here, protocol authors, `evaluator`"),
        ({"evaluator": {"type": "open-ended-qa", "prompt": "{question}"}}, "expected <video> exactly once"),
    ],
)
def test_faults_of_a_protocol_are_named(changes: dict[str, Any], said: str) -> None:
    from vlmkit.errors import UserError

    with pytest.raises(UserError, match=said):
        build_rules(read_protocols({**ENTRY, **changes})["authors"], Path("here"))


def test_a_template_names_what_a_question_has() -> None:
    entry = {**ENTRY, "evaluator": {"type": "open-ended-qa", "prompt": "<video> {question} {subttle}"}}
    rules = build_rules(read_protocols(entry)["authors"], Path("here"))
    with pytest.raises(DataError, match=r"names \{subttle\}, which a question lacks; did you mean 'subtitle'"):
        rules.prompt(Document("1", "v", "q?", "a", tags={"subtitle": "s"}))


def test_a_prompt_without_its_video() -> None:
    assert without_video(Prompt("<video>\nWho?", "sys", "A:")) == Prompt("Who?", "sys", "A:")
