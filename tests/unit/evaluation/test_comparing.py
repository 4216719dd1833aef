"""Two systems on the same questions: refused where more differs, paired, told apart by type."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import pytest

from vlmkit.api import Verdict
from vlmkit.errors import RunError, UserError
from vlmkit.evaluation import evaluate_benchmarks
from vlmkit.evaluation.comparing import Compared, compare
from vlmkit.evaluation.finished import find_finished
from vlmkit.run_folder import RunFolder
from vlmkit.statistics.paired import paired

FIRST = {"a1": "B", "a2": "B", "b1": "B", "b2": "A", "c1": "A"}
SECOND = {"a1": "B", "a2": "A", "b1": "A", "b2": "A", "c1": "B"}


@pytest.fixture
def against(finished_runs: Any) -> Any:
    def run(one: Path, other: Path, *options: Any, **more: Any) -> Compared:
        a, b = (find_finished(place, None, [str(finished_runs.entries)]) for place in (one, other))
        return compare(a, b, *options, **more)

    return run


def test_pairs_are_those_of_the_questions(finished_runs: Any, against: Any) -> None:
    a = finished_runs.add("a", "colors", FIRST)
    b = finished_runs.add("b", "colors", dict(reversed(SECOND.items())))
    found = against(a, b)
    assert found.whole.paired == paired([1, 1, 1, 0, 0], [1, 0, 0, 0, 1], list("aabbc"))
    assert (found.metric, found.differing, found.left_out) == ("accuracy", {}, 0)
    assert [(one.document.id, other.answer.prediction) for one, other in found.discordant] == [
        ("a2", "A"), ("b1", "A"), ("c1", "B"),
    ]  # fmt: skip
    parts = {name: (pair.n, pair.paired.difference.value) for name, pair in found.parts["type"].items()}
    assert parts == {"what": (3, 0.0), "where": (2, 0.5)}


def test_what_one_of_them_has_no_score_of_is_left_out(finished_runs: Any, against: Any) -> None:
    a = finished_runs.add("a", "colors", {**FIRST, "a1": "no idea"})
    b = finished_runs.add("b", "colors", {**SECOND, "c1": None})
    found = against(a, b)
    assert (found.whole.n, found.left_out) == (3, 2)
    none = finished_runs.add("none", "colors", dict.fromkeys(FIRST, "no idea"))
    with pytest.raises(UserError, match="none of 5 questions that both have is scored in both"):
        against(a, none)


def test_groups_that_are_right_as_a_whole(finished_runs: Any, against: Any) -> None:
    finished_runs.entry("colors", aggregate={"all_right": True})
    found = against(finished_runs.add("a", "colors", FIRST), finished_runs.add("b", "colors", SECOND))
    assert found.whole.paired == paired([1, 0, 0], [0, 0, 1], list("abc"))


def test_a_mean_of_means(finished_runs: Any, against: Any) -> None:
    finished_runs.entry("colors", aggregate={"over": "type"})
    found = against(finished_runs.add("a", "colors", FIRST), finished_runs.add("b", "colors", SECOND))
    assert found.whole.paired.difference.value == pytest.approx((0 + 0.5) / 2)
    assert found.whole.questions_needed() is None, "of means of means it is not known"


def test_graded_values(finished_runs: Any, against: Any) -> None:
    said = {"a1": "lime", "b1": "grass", "c1": "brick"}
    verdicts = {"lime": Verdict(True, 5.0), "grass": Verdict(True, 3.5), "brick": Verdict(False, 0.0)}
    judge = {"name": "kind", "version": "1"}
    a = finished_runs.add("a", "words", said, judge=judge)
    b = finished_runs.add("b", "words", dict(zip(said, ("grass", "grass", "lime"), strict=True)), judge=judge)
    for run in ("a", "b"):
        finished_runs.judge(run, "kind", verdicts)
    found = against(a, b, "score")
    assert found.whole.paired == paired([5, 3.5, 0], [3.5, 3.5, 5], list("abc"), 0, 5)
    assert found.whole.detectable() is None, "of graded values it is not known"
    assert against(a, b).metric == "accuracy"
    with pytest.raises(UserError, match=r"found 'scores'; did you mean 'score'\? both have: accuracy, score"):
        against(a, b, "scores")


def test_how_many_questions_would_tell(finished_runs: Any, against: Any) -> None:
    said = {f"{video}{number}": "BA"[number > "2"] for video in ascii_lowercase for number in "1234"}
    a, b = (
        finished_runs.add(name, "colors", {**said, **dict.fromkeys((f"{video}1" for video in wrong), "A")})
        for name, wrong in (("a", "abcdefg"), ("b", "hijklmnopq"))
    )
    pair = against(a, b).whole
    needed, least = pair.questions_needed(), pair.detectable()
    assert needed is not None
    assert least is not None
    assert needed > pair.n
    assert least > pair.paired.difference.value == pytest.approx(3 / 104)
    assert against(a, a).whole.questions_needed() is None, "of no difference at all"


ANNOTATIONS = {"files": [{"path": "/here/test.json", "sha256": "a" * 64}]}
DECODING = {"greedy": True, "max_new_tokens": 5, "batch_size": 4, "frames": 8, "sampling": "uniform"}
PLAIN = {"annotations": ANNOTATIONS, "decoding": DECODING}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"version": "0"}, "version: 1 against 0"),
        ({"split": "val"}, "split: test against val"),
        ({"protocol": "strict@2"}, "protocol: authors@1 against strict@2"),
        ({"limit": 5}, "limit: none against 5"),
        (
            {"annotations": {"files": [{"path": "/here/test.json", "sha256": "b" * 64}]}},
            "annotations: 1 file with sha256 aaaaaaaaaaaa… against 1 file with sha256 bbbbbbbbbbbb…",
        ),
        ({"decoding": {**DECODING, "frames": 16}}, "number of frames: 8 against 16"),
        (
            {"decoding": {**DECODING, "sampling": {"type": "fps", "fps": 1.0}}},
            "sampler: uniform against fps, fps 1.0",
        ),
    ],
)  # fmt: skip
def test_other_conditions_are_refused(finished_runs: Any, against: Any, changes: Any, said: str) -> None:
    a = finished_runs.add("a", "colors", FIRST, **PLAIN)
    b = finished_runs.add("b", "colors", SECOND, **{**PLAIN, **changes})
    with pytest.raises(RunError, match="differ in more than the system") as refused:
        against(a, b)
    assert f"\n  {said}\n" in str(refused.value)
    found = against(a, b, across=True)
    assert [f"{name}: {one} against {other}" for name, (one, other) in found.differing.items()] == [said]


def test_other_judges_are_refused(finished_runs: Any, against: Any) -> None:
    said = {"a1": "lime", "b1": "grass"}
    runs = [finished_runs.add(run, "words", said, judge={"name": run, "version": "1"}) for run in ("kind", "stern")]
    finished_runs.judge("kind", "kind", {"lime": Verdict(True, 5.0), "grass": Verdict(True, 5.0)})
    finished_runs.judge("stern", "stern", {"lime": Verdict(True, 3.0), "grass": Verdict(False, 2.0)})
    with pytest.raises(RunError, match="judge: kind 1 against stern 1"):
        against(*runs)
    assert against(*runs, across=True).whole.paired.difference.value == 0.5


def test_where_annotations_lie_does_not_matter(finished_runs: Any, against: Any) -> None:
    elsewhere = {"files": [{"path": "/there/test.json", "sha256": "a" * 64}]}
    a = finished_runs.add("a", "colors", FIRST, annotations=ANNOTATIONS)
    for name, used in (("b", elsewhere), ("c", None)):
        b = finished_runs.add(name, "colors", SECOND, annotations=used, decoding=DECODING)
        assert against(a, b).differing == {}, "what an imported result does not say is not held against it"


def test_other_questions_are_refused(finished_runs: Any, against: Any) -> None:
    a = finished_runs.add("a", "colors", FIRST)
    fewer = finished_runs.add("b", "colors", {key: SECOND[key] for key in ("a1", "a2", "b1")})
    with pytest.raises(RunError, match="questions: 5 questions against 3 questions, of which 3 are the same"):
        against(a, fewer)
    found = against(a, fewer, across=True)
    assert (found.whole.n, [*found.differing]) == (3, ["questions"])
    words = finished_runs.add("c", "words", {"a1": "green"}, judge={"name": "kind", "version": "1"})
    with pytest.raises(RunError, match="benchmark: colors against words"):
        against(a, words)
    with pytest.raises(RunError, match="have no question in common"):
        against(a, words, across=True)


def test_the_same_id_can_be_another_question(finished_runs: Any, against: Any) -> None:
    a = finished_runs.add("a", "colors", FIRST)
    b = finished_runs.add("b", "colors", SECOND)
    file = b / "eval" / "colors" / "predictions.jsonl"
    lines = [finished_runs.answer(key, said, "colors").data() for key, said in SECOND.items()]
    lines[0]["question"] = "Another one?"
    finished_runs.rewrite(file, lines)
    with pytest.raises(RunError, match="5 questions against 5 questions, of which 4 are the same"):
        against(a, b)
    assert against(a, b, across=True).whole.n == 4


def test_runs_as_they_are_evaluated(experiment: Any, oracle: Any, tmp_path: Path) -> None:
    def answers(prompts: Sequence[str], videos: Sequence[Any], longest: int) -> list[str]:
        return [f"{prompt.split()[1]} of ada" for prompt in prompts]

    places = []
    for name, model in (("first", oracle), ("second", answers)):
        spec = experiment(judge={"type": "exact"}, controls=["other-video"])
        run = RunFolder.open(spec, tmp_path / name)
        evaluate_benchmarks(spec, run, generate=model)
        places.append(run.path)
    found = compare(*map(find_finished, places))
    assert (found.differing, found.whole.n) == ({}, 12)
    assert found.whole.paired.difference.value == pytest.approx(-3 / 12), "three questions are about ada"
    assert {name: pair.n for name, pair in found.parts["type"].items()} == {"how": 4, "what": 4, "who": 4}
