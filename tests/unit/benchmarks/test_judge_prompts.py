"""The prompts of judges."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest

from vlmkit.api import JudgePrompt, JudgeRequest
from vlmkit.benchmarks.annotations import read_documents
from vlmkit.benchmarks.entries import benchmark_folders, find_benchmark
from vlmkit.benchmarks.judge_prompts import DEFAULT_PROMPT, find_judge_prompt, judge_prompts
from vlmkit.benchmarks.protocols import build_rules
from vlmkit.errors import DataError, SpecError
from vlmkit.evaluation.scores import judge_request

SHIPPED = {
    "cvrr-es": "dada629f7951589c",
    "mlvu-sub-scene": "0b7fbd46e222769c",
    "mlvu-summary": "67e5f0b8c4026e7f",
    "mmvu-multiple-choice": "f4be0e5b991a98e5",
    "mmvu-open-ended": "9d5b0e8ce72d002b",
    "tempcompass-caption-matching": "d0d124958f9dede0",
    "tempcompass-captioning": "cbc4943adfe0112a",
    "tempcompass-lmms-eval-caption-matching": "0a1bb41d9f1f8df6",
    "tempcompass-lmms-eval-captioning": "75d6add21320bab9",
    "tempcompass-lmms-eval-multi-choice": "55e3cc479f062e82",
    "tempcompass-lmms-eval-yes-no": "5f420d2c1692a318",
    "tempcompass-multi-choice": "406410f9e6cfa58d",
    "tempcompass-yes-no": "cabd33f5f2b34ca7",
    "video-chatgpt-consistency": "bfde8c850972751a",
    "video-chatgpt-context": "6cf90ffccc8c6eb4",
    "video-chatgpt-correctness": "b62f50220b577cc4",
    "video-chatgpt-detail": "8299eeb2a3f56962",
    "video-chatgpt-qa": "dd5671044da310c9",
    "video-chatgpt-temporal": "463314e79708d3f0",
}
"""Beginning of the checksum: where one changes, the version of that file must too."""
REQUEST = JudgeRequest(
    "which way?", ("left", "west"), "to the left {reference}", ("right", "left"),
    other_question="where?", other_answer="there",
    tags={"scoring_points": "left", "mc_question": "which?\nA. right\nB. left",
          "lettered": "A: right\nB: left", "ground_truth": "B"},
)  # fmt: skip


@pytest.mark.parametrize(("name", "checksum"), SHIPPED.items())
def test_the_shipped_prompts(name: str, checksum: str) -> None:
    prompt = find_judge_prompt(name)
    assert (prompt.name, prompt.version) == (name, "1")
    assert prompt.sha256.startswith(checksum)
    system, user = prompt.messages(REQUEST)
    assert (system["role"], user["role"]) == ("system", "user")
    assert "to the left {reference}" in user["content"]
    assert "{answer}" not in user["content"]
    assert system["content"] == prompt.system


def test_all_that_are_shipped_are_tested() -> None:
    assert list(judge_prompts()) == sorted(SHIPPED)
    assert DEFAULT_PROMPT in SHIPPED


def test_every_prompt_that_an_entry_names_is_there() -> None:
    named = set()
    for name, folder in benchmark_folders().items():
        for protocol in find_benchmark(name).protocols.values():
            for prompt in (protocol.judge_prompt, *(task.judge_prompt for task in protocol.tasks.values())):
                if prompt is not None:
                    named.add(find_judge_prompt(prompt, folder).name)
    assert named == set(SHIPPED)


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        (
            "video-chatgpt-qa",
            ("Question: which way?\nCorrect Answer: left\nPredicted Answer: to the left {reference}\n",),
        ),
        ("video-chatgpt-consistency", ("Question 1: which way?\nQuestion 2: where?\n", "to Question 2: there\n")),
        ("tempcompass-multi-choice", ("which way?\nA. right\nB. left\nGround-Truth Answer: B. left\n",)),
        (
            "tempcompass-captioning",
            ("Description:to the left {reference}\nMulti-Choice Question:\nwhich?\nA. right\n",),
        ),
        (
            "tempcompass-lmms-eval-captioning",
            ("Description:to the left {reference}\nMulti-Choice Question:\nwhich?\nA. right\nB. left\nAnswer:",),
        ),
        (
            "tempcompass-lmms-eval-caption-matching",
            ("\n        \nCaption Matching Question:\nwhich way?\nA. right\nB. left\nGround-Truth Answer: B. left\n",),
        ),
        (
            "mmvu-multiple-choice",
            ("Question: which way?\n\nOptions:\nA: right\nB: left\n\nGround Truth Answer: B\n\nModel Response to",),
        ),
        ("mmvu-open-ended", ("Question: which way?\n\nGround Truth Answer: left\n\nModel Response to",)),
        ("mlvu-sub-scene", ("Scoring Points: left\n",)),
    ],
)
def test_where_texts_go(name: str, texts: tuple[str, ...]) -> None:
    user = find_judge_prompt(name).messages(REQUEST)[1]["content"]
    for text in texts:
        assert text in user


@pytest.mark.parametrize(
    ("question", "options", "full"),
    [
        ("Which?\nOption 1: a red ball\nOption 2: ball", ("ball", "a red ball"), "Option 2: ball"),
        ("Which?\nCaption A: It rolls.\nCaption B: It flies.", ("It rolls.", "It flies."), "Caption A: It rolls."),
        ("Does it roll or fly", ("fly", "roll"), "A. fly"),
        ("Which?", (), "fly"),
    ],
)
def test_the_reference_as_it_stands_in_the_question(question: str, options: tuple[str, ...], full: str) -> None:
    reference = options[0] if options else "fly"
    fields = JudgeRequest(question, (reference,), "x", options).fields()
    assert (fields["reference"], fields["full_reference"]) == (reference, full)
    assert fields["full_question"].startswith(question)
    assert (fields["full_question"] == question) == (full != "A. fly")


def test_tempcompass_s_prompts_are_those_of_its_authors(shared: Path) -> None:
    """Of all questions, also where lines are options that were parted; 26 have other blanks there."""
    folder, benchmark = shared / "annotations" / "tempcompass", find_benchmark("tempcompass")
    names = [file.name for file in benchmark.splits["test"].files]
    rows = {name: json.loads((folder / name).read_text()) for name in names}
    documents = read_documents([folder / name for name in names], benchmark.annotation_options("test"))
    prompt_named, same = cache(find_judge_prompt), 0
    for document in documents:
        task, video, aspect, index = document.id.rsplit("/", 3)
        prompt = prompt_named(f"tempcompass-{task.replace('_', '-')}")
        tags = {name: text for name, text in document.tags.items() if name in prompt.fields}
        request = JudgeRequest(document.question, document.references, "MODEL", document.options, tags=tags)
        if task == "captioning":
            row = rows["questions/multi-choice.json"][video][aspect][0]
            expected = f"Video Description:MODEL\nMulti-Choice Question:\n{row['question']}\n"
        else:
            row = rows[f"questions/{task}.json"][video][aspect][int(index)]
            expected = f"Question:\n{row['question']}\nGround-Truth Answer: {row['answer']}\nModel Prediction: MODEL"
        user = prompt.messages(request)[1]["content"]
        assert "".join(user.split()).endswith("".join(expected.split()))
        same += user.endswith(expected)
    assert (len(documents), same) == (7540, 7514)


def test_mmvu_s_judge_sees_options_and_answers_as_its_authors_show_them(shared: Path) -> None:
    file, benchmark = shared / "annotations" / "mmvu" / "validation.json", find_benchmark("mmvu")
    rows = {row["id"]: row for row in json.loads(file.read_text())}
    rules = build_rules(benchmark.protocol("authors"), benchmark.folder)
    for document in read_documents([file], benchmark.annotation_options("validation")):
        request, row = judge_request(document, "MODEL", rules, None), rows[document.id]
        options = "\n".join(f"{letter}: {text}" for letter, text in row["choices"].items())
        shown = f"\n\nOptions:\n{options}" if document.options else ""
        assert request.prompt is not None
        system, user = request.prompt.messages(request)
        assert ("single character" in system["content"]) == bool(document.options)
        assert user["content"] == (
            f"Question: {row['question']}{shown}\n\nGround Truth Answer: {row['answer']}\n\n"
            "Model Response to the Question: MODEL"
        )


def test_braces_in_an_answer_are_text() -> None:
    prompt = JudgePrompt("mine", "1", "{'pred': 'yes'} {0} {} {question}: {answer} {Answer}", "pred-score")
    request = JudgeRequest("{answer}", (), "{question} {0} {{}} {tags.__class__} \\1 \\g<0>")
    [user] = prompt.messages(request)
    assert user["content"] == (
        "{'pred': 'yes'} {0} {} {answer}: {question} {0} {{}} {tags.__class__} \\1 \\g<0> {Answer}"
    )


def test_a_request_lacks_a_field() -> None:
    with pytest.raises(
        SpecError, match="judge prompt video-chatgpt-qa: expected requests with reference, found question, answer"
    ):
        find_judge_prompt("video-chatgpt-qa").messages(JudgeRequest("who?", (), "a man"))


def test_an_entry_brings_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "judge_prompts"
    folder.mkdir()
    (folder / "mine.yaml").write_text("version: '2'\nsource: here\nreply: score\nuser: Rate {answer}.\n")
    (folder / f"{DEFAULT_PROMPT}.yaml").write_text("version: '3'\nreply: score\nuser: Rate {answer}.\n")
    assert find_judge_prompt("mine", tmp_path) == JudgePrompt("mine", "2", "Rate {answer}.", "score", source="here")
    assert find_judge_prompt(DEFAULT_PROMPT, tmp_path).version == "3"
    assert find_judge_prompt(DEFAULT_PROMPT).version == "1"
    with pytest.raises(DataError, match=r"there is no judge prompt 'mine'; .*prompts: cvrr-es, "):
        find_judge_prompt("mine")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("version: '1'\nreply: score\nuser: Rate it.\n", r"mine\.yaml: expected \{answer\} in its text"),
        ("version: 1\nreply: essay\n", r"mine\.yaml: this prompt has 3 problem\(s\)\n  version: .*\n  .*user: .*"),
        (
            "version: '1'\nreply: score\nuser: '{answer}'\nmax_tokens: 0\n",
            "  max_tokens: expected a number greater than",
        ),
        ("version: '1'\nreply: score\nuser: '{answer}'\ntop_p: 1\n", "  top_p: "),
        ("name: his\nversion: '1'\nreply: score\nuser: '{answer}'\n", "the name is that of the file"),
        ("- 1\n", "expected "),
    ],
)
def test_a_malformed_file_is_a_clear_error(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "judge_prompts").mkdir()
    (tmp_path / "judge_prompts" / "mine.yaml").write_text(text)
    with pytest.raises(DataError, match=said):
        find_judge_prompt("mine", tmp_path)


def test_the_checksum_is_of_all_that_changes_a_verdict() -> None:
    base = {"name": "p", "version": "1", "user": "{answer}", "reply": "score"}
    changed = [{"user": "{answer}."}, {"reply": "pred-score"}, {"system": "x"}, {"max_tokens": 9}, {"temperature": 0.5}]
    changed.append({"presence_penalty": 1.0})
    sums = {JudgePrompt(**{**base, **change}).sha256 for change in [{}, *changed]}  # type: ignore[arg-type]
    assert len(sums) == 7
    same = [{"name": "q"}, {"version": "2"}, {"source": "there"}]
    assert len({JudgePrompt(**{**base, **change}).sha256 for change in [{}, *same]}) == 1  # type: ignore[arg-type]
