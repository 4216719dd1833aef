"""Entries of the benchmark registry."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from vlmkit.benchmarks import entries
from vlmkit.errors import DataError, SpecError
from vlmkit.evaluation import benchmark_folders, find_benchmark, prepare_benchmark, prepare_benchmarks
from vlmkit.registry import Gathered, Plugin
from vlmkit.spec.evaluation import BenchmarkUse


def test_the_schema_is_one(root: Path) -> None:
    Draft202012Validator.check_schema(json.loads((root / "benchmarks_registry" / "schema.json").read_text()))


def test_every_shipped_entry_is_valid() -> None:
    assert {"moving-shapes", "msvd-qa"} <= set(benchmark_folders())
    for name in benchmark_folders():
        entry = find_benchmark(name)
        assert entry.name == name
        assert entry.split(None)[0] == entry.default_split


def test_an_entry_of_a_plugin_is_found(tiny: SimpleNamespace) -> None:
    assert find_benchmark("tiny").version == "7"
    assert "msvd-qa" in benchmark_folders()


def test_an_unknown_benchmark_names_the_nearest_and_all(tiny: SimpleNamespace) -> None:
    with pytest.raises(
        DataError, match=r"'mvsd-qa'; did you mean 'msvd-qa'\? benchmarks: .*moving-shapes, .*msvd-qa, .*tiny"
    ):
        find_benchmark("mvsd-qa")


def test_an_unknown_split_names_the_nearest_and_all() -> None:
    with pytest.raises(DataError, match=r"no split 'tets'; did you mean 'test'\? splits: test, val, train"):
        find_benchmark("msvd-qa").split("tets")


def test_two_folders_with_one_name_are_both_named(tiny: SimpleNamespace) -> None:
    (tiny.folder.parent / "msvd-qa").mkdir()
    (tiny.folder.parent / "msvd-qa" / "benchmark.yaml").write_text("")
    with pytest.raises(DataError, match=r"2 folders offer the benchmark 'msvd-qa': .*benchmarks_registry.* and .*more"):
        find_benchmark("msvd-qa")
    assert find_benchmark("tiny").name == "tiny"


def test_a_plugin_at_fault_is_named_where_its_benchmark_is_wanted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gathered = Gathered([(Plugin("mine", "m", "mine", "1.0"), tmp_path / "gone")], ["plugin 'other' raised KeyError"])
    monkeypatch.setattr(entries, "registry", lambda: SimpleNamespace(gather=lambda hook, what: gathered))
    assert find_benchmark("msvd-qa").name == "msvd-qa"
    with pytest.raises(DataError) as caught:
        find_benchmark("clips-qa")
    assert f"plugin 'mine' (mine 1.0) offers the folder of benchmarks {tmp_path / 'gone'}" in str(caught.value)
    assert "plugin 'other' raised KeyError" in str(caught.value)


def test_all_problems_are_reported_with_file_and_path(tiny: SimpleNamespace) -> None:
    tiny.write(version=2, titel="x", generation={"max_new_tokens": 0, "greedy": True})
    with pytest.raises(DataError) as caught:
        find_benchmark("tiny")
    message = str(caught.value)
    assert f"{tiny.folder / 'benchmark.yaml'}: this benchmark has 3 problem(s)" in message
    assert "the whole file: Additional properties are not allowed ('titel' was unexpected)" in message
    assert "generation.max_new_tokens: 0 is less than the minimum of 1" in message
    assert "version: 2 is not of type 'string'" in message


def _one_file(**changes: Any) -> dict[str, Any]:
    return {"splits": {"test": {"files": [{"name": "a.json", "source": "x", **changes}]}}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (_one_file(sha256="abc"), "splits.test.files.0.sha256: 'abc' does not match"),
        (_one_file(source=""), "splits.test.files.0.source: '' should be non-empty"),
        (_one_file(sha265="0" * 64), "splits.test.files.0: Additional properties are not allowed ('sha265' was unexp"),
        ({"splits": {"test": {"files": []}}}, "splits.test.files: [] should be non-empty"),
        ({"splits": {"test": {"files": [{"name": "a.json"}]}}}, "splits.test.files.0: 'source' is a required property"),
        (
            {"splits": {"test": {"questions": 0, "dataset": {}}}},
            "splits.test.questions: 0 is less than the minimum of 1",
        ),
        ({"splits": {"test": {"videos": "many"}}}, "splits.test.videos: 'many' is not of type 'integer'"),
        ({"protocols": {"strict": {"version": "1"}}}, "protocols.strict: 'source' is a required property"),
        ({"annotations": {"answer_is": "word"}}, "annotations.answer_is: 'word' is not one of"),
        (
            {"annotations": {"options": {"columns": "a"}}},
            "annotations.options: {'columns': 'a'} is not valid under any "
            "of the given schemas; as a mapping it has column or line",
        ),
        ({"evaluator": "multiple-choice"}, "evaluator: 'multiple-choice' is not of type 'object'; write {type: multip"),
        (
            {"generation": {"max_new_tokens": 1, "gredy": True}},
            "generation: Additional properties are not allowed ('gredy' was unexpected)",
        ),
        (
            {"judge_promt": "x"},
            "the whole file: Additional properties are not allowed ('judge_promt' was unexpected); "
            "did you mean 'judge_prompt'?",
        ),
        ({"size": 3}, "size: 3 is not of type 'string'"),
        ({"metrics": []}, "metrics: [] should be non-empty"),
        ({"video": {"file": "clip"}}, "video.file: 'clip' does not match"),
    ],
)
def test_each_problem_has_its_path(tiny: SimpleNamespace, changes: dict[str, Any], message: str) -> None:
    tiny.write(**changes)
    with pytest.raises(DataError) as caught:
        find_benchmark("tiny")
    assert f"\n  {message}" in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"default_split": "dev"}, "default_split: 'dev' is none of the splits test"),
        ({"splits": {"test": {}}}, "splits.test: expected either `files` or `dataset`"),
        ({"video": {"file": "{video}{ext}"}}, "video.extensions: the template has {ext}"),
    ],
)
def test_what_a_schema_cannot_say(tiny: SimpleNamespace, changes: dict[str, Any], message: str) -> None:
    tiny.write(**changes)
    with pytest.raises(DataError) as caught:
        find_benchmark("tiny")
    assert message in str(caught.value)


def test_an_entry_needs_a_readme(tiny: SimpleNamespace) -> None:
    (tiny.folder / "README.md").unlink()
    with pytest.raises(DataError, match=r"README\.md: there is none beside it"):
        find_benchmark("tiny")


def test_yaml_that_cannot_be_read(tiny: SimpleNamespace) -> None:
    (tiny.folder / "benchmark.yaml").write_text("title: [")
    with pytest.raises(DataError, match=r"benchmark\.yaml:1: not valid YAML at column 9"):
        find_benchmark("tiny")


@pytest.mark.parametrize(
    ("evaluator", "said"),
    [
        ({"type": "gone"}, "`evaluator`: no installed plugin offers evaluator 'gone'"),
        ({"type": "open-ended-qa", "promt": 1}, "`evaluator`: promt: unknown key promt"),
    ],
)
def test_an_evaluator_that_is_none(tiny: SimpleNamespace, evaluator: dict[str, Any], said: str) -> None:
    tiny.write(evaluator=evaluator)
    use = BenchmarkUse(name="tiny", annotation_root=str(tiny.annotations.parent), video_root=str(tiny.folder))
    with pytest.raises(SpecError, match=said):
        prepare_benchmark(use)


def _moved(tiny: SimpleNamespace, folder: Path) -> Path:
    """Move the entry where no plugin offers it, and give the folder that holds it."""
    folder.mkdir()
    tiny.folder.rename(folder / "tiny")
    return folder


def test_further_folders_of_entries(tiny: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = _moved(tiny, tmp_path / "mine")
    with pytest.raises(DataError, match="there is no benchmark 'tiny'"):
        find_benchmark("tiny")
    assert find_benchmark("tiny", [str(mine)]).folder == mine / "tiny"
    monkeypatch.setenv("VLMKIT_BENCHMARKS_PATH", f"{tmp_path / 'more'}:{mine}")
    assert find_benchmark("tiny", [f"{mine}/../mine"]).name == "tiny", "the same folder again is no second one"
    assert "tiny" in benchmark_folders()


def test_a_further_folder_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"benchmarks_path: there is no folder of benchmarks /nowhere"):
        find_benchmark("msvd-qa", ["/nowhere"])
    monkeypatch.setenv("VLMKIT_BENCHMARKS_PATH", str(tmp_path / "gone"))
    with pytest.raises(DataError, match=r"VLMKIT_BENCHMARKS_PATH: there is no folder of benchmarks .*gone"):
        benchmark_folders()


def test_a_spec_names_further_folders(experiment: Any, tiny: SimpleNamespace, tmp_path: Path) -> None:
    mine = _moved(tiny, tmp_path / "mine")
    [prepared] = prepare_benchmarks(experiment(benchmarks_path=[str(mine)]))
    assert prepared.benchmark.folder == mine / "tiny"
