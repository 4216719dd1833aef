"""Published numbers are made again by the steps of any evaluation, and compared in every printed digit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from vlmkit.answers.published import PublishedList, read_published
from vlmkit.answers.published_page import published_page
from vlmkit.answers.reproduction import Reproduced, reproduce
from vlmkit.errors import DataError

ENTRY = {
    **{"title": "Tiny", "paper": "none", "license": "none", "version": "1", "default_split": "test"},
    "splits": {"test": {"files": [{"name": "none.json", "source": "none"}]}},
    "video": {"file": "{video}.mp4"},
    "evaluator": {"type": "multiple-choice", "extractor": {"type": "video-mme"}},
    "generation": {"max_new_tokens": 5},
    "metrics": ["accuracy"],
    "protocols": {
        "authors": {"version": "1", "source": "none"},
        "macro": {"version": "1", "source": "none", "aggregate": {"over": "type"}},
        "judged": {"version": "1", "source": "none", "evaluator": {"type": "open-ended-qa"}},
    },
}
FIRST = """question_id,video_id,category,reference,answer
1-1,1,short,A,A
1-2,1,short,B,B
1-3,1,short,A,C
2-1,2,long,D,C
"""
SECOND = FIRST.replace("A,A", "A,B").replace("D,C", "D,D").replace("A,C", "A,")

Reproduce = Callable[..., dict[str, Reproduced]]


@pytest.fixture(autouse=True)
def entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The benchmark `tiny`, whose annotation files are not at hand."""
    folder = tmp_path / "entries" / "tiny"
    folder.mkdir(parents=True)
    (folder / "README.md").write_text("Tiny.")
    (folder / "benchmark.yaml").write_text(yaml.safe_dump(ENTRY))
    monkeypatch.setenv("VLMKIT_BENCHMARKS_PATH", str(folder.parent))


@pytest.fixture
def made(tmp_path: Path) -> Reproduce:
    """Reproduce a list about two small files; the numbers by name."""
    (tmp_path / "first.csv").write_text(FIRST)
    (tmp_path / "second.csv").write_text(SECOND)

    def numbers(
        *asked: dict[str, Any], files: str = "first.csv", more: dict[str, Any] | None = None, **system: Any
    ) -> Any:
        own = {"name": "Ada", "answers": [files], "numbers": list(asked), **system}
        content = {
            "title": "Tiny",
            "source": "none",
            "benchmark": "tiny",
            "letters": 4,
            "systems": [own],
            **(more or {}),
        }
        return {one.name: one for one in reproduce(PublishedList.model_validate(content), tmp_path)}

    return numbers


def test_each_kind_of_number(made: Reproduce) -> None:
    found = made(
        {"published": "50.0"},
        {"published": "66.67", "where": {"type": "short"}},
        {"published": "50", "where": {"type": ["short", "long"]}},
        {"published": "2", "what": "right"},
        {"published": "4", "what": "questions"},
        {"published": "0", "what": "contradictions"},
        {"published": "0.25", "what": "standard-error"},
    )
    assert list(found) == [
        *("accuracy", "accuracy, short", "accuracy, short+long", "right", "questions", "contradictions"),
        "standard error, clustered",
    ]
    assert [name for name, one in found.items() if not one.agrees] == ["standard error, clustered"]
    assert found["standard error, clustered"].ours == pytest.approx(100 * (2 * 0.5**2) ** 0.5 / 4)
    low, high = found["accuracy"].interval or (0, 0)
    assert 0 < low < 50 < high < 100


def test_a_named_protocol_and_a_mean_beside_its_aggregate(made: Reproduce) -> None:
    found = made({"published": "33.33"}, {"published": "50.0", "what": "mean"}, protocol="macro")
    assert all(one.agrees for one in found.values())
    assert found["accuracy"].ours == pytest.approx(100 / 3)


def test_what_was_not_answered_is_left_out_where_the_protocol_says_so(made: Reproduce) -> None:
    found = made({"published": "66.7"}, {"published": "3", "what": "questions"}, files="second.csv")
    assert all(one.agrees for one in found.values())


def test_questions_may_stand_in_another_file(made: Reproduce, tmp_path: Path) -> None:
    (tmp_path / "wide.csv").write_text("sample_id,8f,16f\n1-1,A,B\n2-1,,D\n")
    more = {"documents": "first.csv"}
    found = made({"published": "50.0"}, files="wide.csv", column="16f", partial=True, more=more)
    assert found["accuracy"].agrees
    with pytest.raises(DataError, match="2 of them have no answer"):
        made({"published": "50.0"}, files="wide.csv", column="16f", more=more)


def test_pairs_and_counts(made: Reproduce, tmp_path: Path) -> None:
    (tmp_path / "by_task.json").write_text(
        json.dumps({"order": {"correct": 1, "total": 4}, "count": {"correct": 1, "total": 1}})
    )
    second = {"name": "Bob", "answers": ["second.csv"], "numbers": []}
    first = {"name": "Ada", "answers": ["first.csv"], "numbers": []}
    pair = {
        "first": "Ada",
        "second": "Bob",
        "numbers": {"only_first": "1", "only_second": "1", "difference": "0.00", "p": "1.0"},
    }
    counts = {"name": "Cy", "file": "by_task.json", "tasks": ["order", "count"], "micro": "40.0", "macro": "62.5"}
    with pytest.raises(DataError, match="Ada and Bob: expected answers to the same questions"):
        made(more={"systems": [first, second], "pairs": [pair]})
    (tmp_path / "second.csv").write_text(SECOND.replace("A,\n", "A,B\n"))
    found = made(more={"systems": [first, second], "pairs": [pair], "counts": [counts]})
    assert all(one.agrees for one in found.values())
    assert {one.system for one in found.values()} == {"Ada against Bob", "Cy"}


@pytest.mark.parametrize(
    ("asked", "system", "message"),
    [
        ({"where": {"type": "medium"}}, {}, r"Ada: there is no answer with accuracy where \{'type': 'medium'\}"),
        ({"where": {"aspect": "x"}}, {}, "Ada: its questions have no 'aspect'; they have: "),
        ({}, {"protocol": "strict"}, r"tiny: there is no protocol 'strict'; .*authors, judged, macro"),
        ({}, {"answers": ["gone.csv"]}, r"gone\.csv: expected answers: .*No such file"),
    ],
)
def test_a_list_that_does_not_fit_the_answers(
    made: Reproduce, asked: dict[str, Any], system: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        made({"published": "50.0", **asked}, **system)


def test_an_answer_that_needs_a_judge_is_not_decided_without_one(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps([{"id": 1, "question": "Who?", "answer": "Ada", "pred": "Bob"}]))
    system: dict[str, Any] = {
        "name": "Ada",
        "answers": ["a.json"],
        "numbers": [{"published": "0.0"}],
        "protocol": "judged",
    }
    content = {"title": "Tiny", "source": "none", "benchmark": "tiny", "systems": [system]}
    with pytest.raises(DataError, match=r"Tiny, Ada: 1 answers need a judge, e\.g\. 'Bob'; name one"):
        reproduce(PublishedList.model_validate(content), tmp_path)
    system["judge"] = "exact"
    [found] = reproduce(PublishedList.model_validate(content), tmp_path)
    assert found.agrees


@pytest.mark.parametrize(
    ("published", "ours", "agrees"),
    [
        ("41.15", 41.1492, True),
        ("41.15", 41.156, False),
        ("66.0", 66.04, True),
        ("5414", 5414, True),
        ("5414", 5413, False),
    ],
)
def test_agreement_is_that_of_every_printed_digit(published: str, ours: float, agrees: bool) -> None:
    assert Reproduced("Ada", "accuracy", published, ours).agrees == agrees


def test_lists_are_validated(tmp_path: Path) -> None:
    assert len(read_published()) >= 10
    with pytest.raises(DataError, match="expected lists of published numbers"):
        read_published(tmp_path)
    pair = {"first": "Ada", "second": "Bob", "numbers": {}}
    for wrong in ({"systems": [{"name": "Ada", "answers": [], "numbers": []}]}, {"benchmark": "tiny", "pairs": [pair]}):
        with pytest.raises(ValueError, match=r"expected `benchmark`|expected pairs of the systems , found 'Ada'"):
            PublishedList.model_validate({"title": "Tiny", "source": "none", **wrong})
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump({"title": "Tiny", "systems": [{"name": "Ada"}]}))
    with pytest.raises(
        DataError, match=r"tiny.yaml: this list has 3 problem\(s\)\n  source: .*\n  systems.0.answers: "
    ):
        read_published(tmp_path)


def test_the_page_shows_what_differs() -> None:
    published = PublishedList(title="Tiny", source="somewhere")
    page = published_page([(published, [Reproduced("Ada", "accuracy", "41.15", 41.1492, (39.0, 43.0)),
                                        Reproduced("Ada", "right", "5414", 5410)])])  # fmt: skip
    assert "2 numbers, of which 1 agree in every printed digit." in page
    assert "| Ada | accuracy | 41.15 | 41.15 | [39.00, 43.00] | 0 |" in page
    assert "| Ada | right | 5414 | 5410 |  | -4 |" in page
