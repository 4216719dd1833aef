"""When a result is kept, and when questions are asked again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from vlmkit.errors import RunError
from vlmkit.evaluation import evaluate, read_predictions
from vlmkit.runs import RunFolder
from vlmkit.spec import ExperimentSpec

Experiment = Callable[..., ExperimentSpec]
Measure = Callable[[ExperimentSpec], dict[str, Any]]


@pytest.fixture
def measured(tmp_path: Path, oracle: Any, monkeypatch: pytest.MonkeyPatch) -> Measure:
    """The result of a spec's benchmark, with the oracle in the model's place."""
    monkeypatch.setattr("vlmkit.evaluation.respond.responder", lambda load: oracle)
    return lambda spec: evaluate(spec, RunFolder.open(spec, tmp_path))["tiny"]


def test_a_finished_result_is_kept(
    experiment: Experiment, measured: Measure, oracle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = measured(experiment())
    monkeypatch.setattr("vlmkit.evaluation.measure.measure", None)
    assert measured(experiment()) == first
    assert len(oracle.batches) == 3


def test_changed_annotations_are_asked(
    experiment: Experiment, measured: Measure, tiny: SimpleNamespace, tmp_path: Path, oracle: Any
) -> None:
    use = {"annotation_root": None, "annotations": [{"path": str(tiny.annotations)}]}
    every = json.loads(tiny.annotations.read_text())
    tiny.annotations.write_text(json.dumps(every[:5]))
    assert measured(experiment(use))["n"] == 5
    tiny.annotations.write_text(json.dumps(every[:7]))
    result = measured(experiment(use))
    assert result["n"] == 7
    assert [len(batch) for batch in oracle.batches] == [5, 5, 2]
    assert len(read_predictions(tmp_path / "measured", "tiny")) == 7
    every[0]["answer"] = "another"
    tiny.annotations.write_text(json.dumps(every[:7]))
    assert measured(experiment(use))["annotations"] != result["annotations"]
    assert len(oracle.batches) == 3, "the questions are the same"
    assert read_predictions(tmp_path / "measured", "tiny")[0]["answer"] == "another"


def test_a_video_that_was_missing_is_asked_about(
    experiment: Experiment, measured: Measure, clips: Path, tmp_path: Path
) -> None:
    spec = experiment(data={"max_bad_fraction": 0.5})
    (clips / "bob.mp4").rename(tmp_path / "bob.mp4")
    assert (measured(spec)["n"], measured(spec)["skipped"]) == (9, 3)
    (tmp_path / "bob.mp4").rename(clips / "bob.mp4")
    assert (measured(spec)["n"], measured(spec)["skipped"]) == (12, 0)


@pytest.mark.parametrize("text", ['{"n": 12', "[]", "{}", '{"judge": {}}'])
def test_a_damaged_result_is_a_clear_error(
    experiment: Experiment, measured: Measure, tmp_path: Path, oracle: Any, text: str
) -> None:
    first = measured(experiment())
    file = tmp_path / "measured/eval/tiny/result.json"
    file.write_text(text)
    for reading in (lambda: measured(experiment()), lambda: read_predictions(tmp_path / "measured", "tiny")):
        with pytest.raises(RunError, match=r"tiny/result\.json.*: expected .*; remove the file and run `vlmkit eval`"):
            reading()
    file.unlink()
    assert measured(experiment()) | {"seconds": 0} == first | {"seconds": 0}
    assert len(oracle.batches) == 3


def test_junk_in_the_place_of_a_folder_is_a_clear_error(
    experiment: Experiment, measured: Measure, tmp_path: Path
) -> None:
    RunFolder.open(experiment(), tmp_path)
    (tmp_path / "measured/eval").write_text("")
    with pytest.raises(RunError, match=r"measured/eval.* cannot be read or written"):
        measured(experiment())
