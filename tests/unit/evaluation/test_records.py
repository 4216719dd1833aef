"""Records of an evaluation on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from vlmkit.errors import RunError
from vlmkit.evaluation.records import (
    BenchmarkResult,
    read_pending,
    read_result,
    release_answers,
    write_pending,
    write_result,
)
from vlmkit.json_files import write_record

RESULT: dict[str, Any] = {
    "benchmark": "tiny",
    "version": "7",
    "split": "test",
    "limit": None,
    "annotations": {"files": [{"path": "a.json", "sha256": "0"}], "registered": False},
    "asked": "1",
    "model_sha256": "2",
    "decoding": {"greedy": True, "max_new_tokens": 5, "batch_size": 8},
    "judge": {"name": "exact", "version": "2"},
    "components": {"judge/exact": "vlmkit 0.1.0"},
    "n": 1,
    "skipped": 1,
    "unscored": 0,
    "metrics": {"accuracy": {"value": 1.0, "ci95": [0.2, 1.0]}},
    "by_type": {
        "who": {"n": 1, "metrics": {"accuracy": {"value": 1.0, "ci95": [0.2, 1.0]}}},
        "why": {"n": 0, "metrics": {}},
    },
    "files": {},
    "counting": "n are …",
    "seconds": 0.5,
    "spec_sha256": "3",
    "plugins": {"judges": "vlmkit 0.1.0"},
    "vlmkit_version": "0.1.0",
}


@pytest.mark.parametrize("control", [False, True])
def test_a_result_is_written_as_it_was_read(tmp_path: Path, control: bool) -> None:
    path = tmp_path / "result.json"
    scores = {key: RESULT[key] for key in ("n", "skipped", "unscored", "metrics", "by_type")}
    before = {key: value for key, value in RESULT.items() if list(RESULT).index(key) < list(RESULT).index("files")}
    after = {key: value for key, value in RESULT.items() if key not in before}
    write_record(path, {**before, **({"controls": {"other-video": scores}} if control else {}), **after})
    text = path.read_text()
    result = read_result(path)
    write_result(path, result)
    assert path.read_text() == text
    assert result.metrics["accuracy"].ci95 == [0.2, 1.0]
    assert list(result.controls) == ["other-video"] * control
    with pytest.raises(ValidationError):
        result.n = 3


def test_a_result_of_an_older_version_has_less(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    needed = ("benchmark", "version", "split", "judge", "n", "skipped", "unscored", "metrics", "by_type", "spec_sha256")
    path.write_text(json.dumps({key: RESULT[key] for key in needed}))
    assert read_result(path).components == {}
    for key in needed:
        path.write_text(json.dumps({other: RESULT[other] for other in needed if other != key}))
        with pytest.raises(RunError, match=f"expected the key {key}, which is missing; remove the file and run"):
            read_result(path)


@pytest.mark.parametrize(
    ("key", "value"), [("n", "1"), ("n", -1), ("seconds", "1"), ("judge", {"name": "exact"}), ("components", [])]
)
def test_a_value_of_another_type_is_refused(tmp_path: Path, key: str, value: object) -> None:
    path = tmp_path / "result.json"
    path.write_text(json.dumps(RESULT | {key: value}))
    with pytest.raises(RunError, match=rf"result\.json.*{key}.*remove the file and run `vlmkit eval`"):
        read_result(path)


def test_a_result_stands_while_its_answers_are_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    release_answers(path)
    assert not path.exists()
    entry = {"bytes": 1, "xxh3_128": "0"}
    write_record(path, RESULT | {"files": {"predictions.jsonl": entry}, "later": 1})
    (tmp_path / "predictions.jsonl").write_text("another")
    with pytest.raises(RunError, match=r"predictions\.jsonl: expected 1 bytes, found 7 bytes"):
        read_result(path)
    release_answers(path)
    written = json.loads(path.read_text())
    assert written == {key: value for key, value in RESULT.items() if key != "files"} | {
        "later": 1,
        "checksum": written["checksum"],
    }
    assert isinstance(read_result(path), BenchmarkResult)


def test_the_file_of_pending_observers_goes_with_the_last_one(tmp_path: Path) -> None:
    folder = tmp_path / "eval" / "tiny"
    assert read_pending(folder) == []
    write_pending(folder, ["board"])
    assert read_pending(folder) == ["board"]
    assert list(json.loads((folder / "untold.json").read_text())) == ["plugins", "checksum"]
    write_pending(folder, [])
    assert list(folder.iterdir()) == []
