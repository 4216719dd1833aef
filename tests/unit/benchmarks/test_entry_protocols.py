"""The protocols of all entries of the registry can be built, and put the questions in the words of their sources."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vlmkit.api import Document
from vlmkit.benchmarks.entries import benchmark_folders, find_benchmark
from vlmkit.benchmarks.protocols import build_rules

CHOICE = Document("1", "v", "What is it?", "a dog", options=("a cat", "a dog"), correct=1)
NAMES = [name for name, folder in benchmark_folders().items() if folder.parent.name == "benchmarks_registry"]


@pytest.mark.parametrize("name", NAMES)
def test_protocols_can_be_built(name: str) -> None:
    entry = find_benchmark(name)
    for protocol in entry.protocols.values():
        rules = build_rules(protocol, entry.folder)
        assert protocol.metrics
        for task in ("", *protocol.tasks):
            prompt = rules.prompt(Document("1", "v", "What is it?", "2", options=("1", "2"), correct=1, task=task))
            assert prompt.user.count("<video>") == 1
            assert "What is it?" in prompt.user
    if "authors" in entry.protocols and "strict" in entry.protocols:
        assert next(iter(entry.protocols)) == "authors"


def asked(name: str, protocol: str, document: Document = CHOICE) -> tuple[str, str, str]:
    entry = find_benchmark(name)
    prompt = build_rules(entry.protocol(protocol), entry.folder).prompt(document)
    return prompt.system, prompt.user, prompt.reply


def test_words_of_mvbench() -> None:
    system, user, reply = asked("mvbench", "authors")
    assert system.startswith("Carefully watch the video and pay attention to the cause and sequence of events,")
    assert user == "<video>\nQuestion: What is it?\nOptions:\n(A) a cat\n(B) a dog\nOnly give the best option."
    assert reply == "Best option:("
    assert asked("mvbench", "lmms-eval") == (
        "", "<video>\nQuestion:What is it?\nOption:\n(A) a cat\n(B) a dog\nOnly give the best option.\n", ""
    )  # fmt: skip
    assert asked("mvbench", "vlmevalkit")[1:] == (
        "Question: What is it?\nOptions:\n(A) a cat\n(B) a dog<video>\nOnly give the best option.", "Best option:("
    )  # fmt: skip
    assert asked("tvbench", "authors") == asked("mvbench", "authors")


def test_words_of_video_mme() -> None:
    _, user, reply = asked("video-mme", "authors")
    assert user.splitlines() == [
        "<video>",
        "Select the best answer to the following multiple-choice question based on the video. Respond with only the "
        "letter (A, B, C, or D) of the correct option.",
        "What is it?", "A. a cat", "B. a dog", "The best answer is:",
    ]  # fmt: skip
    assert reply == ""
    assert "based on the video and the subtitles." in asked("video-mme", "lmms-eval")[1]
    assert asked("video-mme", "vlmevalkit")[1].endswith("Question: What is it?\nA. a cat\nB. a dog\nAnswer: ")


@pytest.mark.parametrize(
    ("task", "question", "user"),
    [
        ("multi-choice", "What?", "What?\nA. a cat\nB. a dog\nPlease directly give the best option:"),
        ("yes_no", "Is it?", "Is it?\nPlease answer yes or no:"),
        (
            "caption_matching", "Which?\nOption 1: a cat\nOption 2: a dog",
            "Which?\nOption 1: a cat\nOption 2: a dog\nPlease directly give the best option:",
        ),
        ("captioning", "Describe.\nGenerated Caption:", "Describe.\nGenerated Caption:"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("protocol", ["authors", "lmms-eval", "strict"])
def test_words_of_tempcompass(task: str, question: str, user: str, protocol: str) -> None:
    document = Document("1", "v", question, "a dog", options=("a cat", "a dog"), correct=1, task=task)
    assert asked("tempcompass", protocol, document) == ("", f"<video>\n{user}", "")


def test_words_of_tempcompass_with_vlmevalkit() -> None:
    assert asked("tempcompass", "vlmevalkit")[1] == (
        "What is it?\nA. a cat\nB. a dog<video>\nPlease directly give the best option:"
    )
    for task, end in (("yes_no", "\nPlease answer yes or no:"), ("captioning", "")):
        assert asked("tempcompass", "vlmevalkit", replace(CHOICE, task=task))[1] == f"What is it?<video>{end}"


def test_words_of_mmvu() -> None:
    assert asked("mmvu", "authors")[1] == (
        "<video>\nQuestion: What is it?\nA: a cat\nB: a dog\n\nDo not generate any intermediate reasoning process. "
        "Answer directly with the option letter from the given choices.\n"
    )
    assert "'Therefore, the final answer is: $LETTER' (without quotes)" in asked("mmvu", "authors-cot")[1]
    document = replace(CHOICE, task="open-ended", options=(), correct=None)
    assert asked("mmvu", "authors", document)[1].endswith("Directly output the final short answer.\n")
    assert "the final answer is: 'Answer: $ANSWER' (without quotes)" in asked("mmvu", "authors-cot", document)[1]


@pytest.mark.parametrize(
    ("name", "answer", "state"),
    [
        ("eventhallusion", "It is so.", "unreadable"),
        ("vnbench", "b", "unreadable"),
        ("lvbench", "b", "unreadable"),
        ("mmvu", "B", "judge"),
        ("video-mmmu", "", "dropped"),
        ("tempcompass", "b", "judge"),
    ],
)
def test_readings_of_the_authors(name: str, answer: str, state: str) -> None:
    entry = find_benchmark(name)
    rules = build_rules(entry.protocol("authors"), entry.folder)
    assert rules.of(CHOICE).evaluator.read(CHOICE, answer).state == state
    assert rules.judged == (name in ("mmvu", "tempcompass"))


def test_video_mmmu_is_scored_without_a_judge_by_its_authors() -> None:
    entry = find_benchmark("video-mmmu")
    document = Document("1", "v", "How many?", "12.97", task="Adaptation-open")
    authors, strict = (build_rules(entry.protocol(name), entry.folder) for name in ("authors", "strict"))
    reading = authors.of(document).evaluator.read(document, "It is 12.971")
    assert authors.of(document).evaluator.score(document, reading, None) == {"accuracy": 1.0}
    assert strict.of(document).evaluator.read(document, "It is 12.971").state == "judge"


def test_words_of_mlvu() -> None:
    _, user, reply = asked("mlvu", "authors")
    assert user == "<video>\nQuestion: What is it?\nOptions:\n(A) a cat\n(B) a dog\nOnly give the best option."
    assert reply == "Best Option: ("
    assert asked("mlvu", "lmms-eval")[1].endswith("Only give the best option.\nBest option: (")
    assert asked("mlvu", "lmms-eval")[2] == ""


@pytest.mark.parametrize(
    ("name", "over", "all_right"),
    [
        ("mvbench", "task", False), ("mlvu", "task", False), ("star", "type", False), ("vnbench", "task", True),
        ("next-qa", None, False), ("tvbench", None, False), ("tempcompass", None, False),
    ],
)  # fmt: skip
def test_means(name: str, over: str | None, all_right: bool) -> None:
    aggregate = find_benchmark(name).protocol(None).aggregate
    assert (aggregate.over, aggregate.all_right) == (over, all_right)
    assert find_benchmark("mlvu").protocol("vlmevalkit").aggregate.over is None
