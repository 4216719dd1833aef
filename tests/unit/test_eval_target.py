"""The target of `vlmkit eval`, and the spec and run folder that it becomes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from vlmkit.errors import UserError
from vlmkit.eval_target import eval_target
from vlmkit.run_folder import RunFolder
from vlmkit.spec.experiment import ExperimentSpec, ModelSpec

MODEL = {
    "aligner": {"type": "stab", "width": 32, "patch": 8, "heads": 2, "input": {"size": 48, "multiple": 16}},
    "backbone": {
        "type": "hf-causal-lm",
        "init": "random",
        "config": {
            "model_type": "llama",
            "hidden_size": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "intermediate_size": 32,
        },
        "tokenizer": {"text": ["what is it"], "vocab_size": 300},
    },
}
OWN = [{"name": "msvd-qa", "video_root": "clips", "limit": 9}, {"name": "mvbench", "label": "moves"}]
SPEC = {"vlmkit": 1, "name": "tiny", "model": MODEL, "evaluation": {"benchmarks": OWN, "batch_size": 3}}

Saved = Callable[..., Path]


@pytest.fixture
def spec_file(tmp_path: Path) -> Path:
    file = tmp_path / "tiny.yaml"
    file.write_text(yaml.safe_dump(SPEC))
    return file


@pytest.fixture
def saved(tmp_path: Path) -> Saved:
    """Writes what a saved model says of itself into a folder."""

    def write(name: str, **config: Any) -> Path:
        folder = tmp_path / name
        folder.mkdir(parents=True)
        model = ModelSpec.model_validate(MODEL).model_dump(mode="json", exclude={"weights"})
        (folder / "config.json").write_text(json.dumps({"model_type": "vlmkit", "model": model, **config}))
        processor = {"reader": {"type": "decord", "threads": 3}, "model": model}
        (folder / "processor_config.json").write_text(json.dumps(processor))
        return folder

    return write


def _names(spec: ExperimentSpec) -> list[str]:
    assert spec.evaluation is not None
    return [use.result_name for use in spec.evaluation.benchmarks]


def test_a_spec_file_is_measured_on_its_own_benchmarks(spec_file: Path, tmp_path: Path) -> None:
    spec, path = eval_target(spec_file, tmp_path / "runs")
    assert (_names(spec), path) == (["msvd-qa", "moves"], tmp_path / "runs" / "tiny")


def test_benchmarks_take_the_place_of_the_specs(spec_file: Path) -> None:
    spec, _ = eval_target(spec_file, benchmarks=["moves", {"name": "egoschema", "split": "subset"}])
    assert _names(spec) == ["moves", "egoschema"]
    assert spec.evaluation is not None
    assert spec.evaluation.benchmarks[0].name == "mvbench", "one of the spec's keeps its options"
    assert spec.evaluation.benchmarks[1].split == "subset"
    assert spec.evaluation.batch_size == 3, "what is not named stays"


def test_options_are_for_all_benchmarks_and_set_has_the_last_word(spec_file: Path) -> None:
    overrides = {"evaluation.benchmarks.mvbench.limit": 5, "evaluation.judge": "exact"}
    spec, _ = eval_target(spec_file, options={"limit": 2}, overrides=overrides)
    assert spec.evaluation is not None
    assert [(use.limit, use.video_root) for use in spec.evaluation.benchmarks] == [(2, "clips"), (5, None)]
    assert spec.evaluation.judge is not None


def test_a_loaded_spec_is_changed_in_the_same_way() -> None:
    loaded = ExperimentSpec.model_validate(SPEC)
    assert eval_target(loaded).spec is loaded
    assert _names(eval_target(loaded, benchmarks=["mvbench"]).spec) == ["mvbench"]


@pytest.mark.parametrize("inside", ["", "model"])
def test_a_run_takes_its_results_itself(inside: str, tmp_path: Path) -> None:
    run = RunFolder.open(ExperimentSpec.model_validate(SPEC), tmp_path)
    run.path.rename(tmp_path / "renamed")
    (tmp_path / "renamed" / "model").mkdir()
    spec, path = eval_target(tmp_path / "renamed" / inside, tmp_path / "elsewhere", ["mvbench"])
    assert (spec.name, _names(spec), path) == ("tiny", ["mvbench"], tmp_path / "renamed")
    assert RunFolder.open_at(spec, path).spec() == spec


def test_the_current_folder_can_be_a_runs_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunFolder.open(ExperimentSpec.model_validate(SPEC), tmp_path)
    run.model.mkdir()
    for folder, target in ((run.path, "."), (run.model, "."), (run.model, ".."), (run.path, "model")):
        monkeypatch.chdir(folder)
        assert eval_target(target, "elsewhere", ["mvbench"]).path.resolve() == run.path.resolve()


def test_a_saved_model_knows_its_spec(saved: Saved, tmp_path: Path) -> None:
    folder = saved("Tiny Model")
    spec, path = eval_target(folder, tmp_path / "runs", ["mvbench"])
    assert spec.model == ModelSpec.model_validate({**MODEL, "weights": str(folder)})
    assert spec.data.reader.model_dump() == {"type": "decord", "threads": 3}
    assert (spec.training, spec.name, path) == (None, "tiny-model", tmp_path / "runs" / "tiny-model")


@pytest.mark.parametrize(("folder", "name"), [("copied/model", "copied"), ("runs/big", "big-eval"), ("_", "model")])
def test_its_run_is_named_after_its_folder(folder: str, name: str, saved: Saved, tmp_path: Path) -> None:
    assert eval_target(saved(folder), tmp_path / "runs", ["mvbench"]).spec.name == name


def _mistakes(saved: Saved, tmp_path: Path) -> dict[str, tuple[str | Path, str]]:
    (tmp_path / "answers" / "eval").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "config.json").write_text("{}")
    foreign = {"aligner/seer": {"package": "seer", "plugin": "seer", "version": "2.0"}}
    return {
        "nothing": ("nowhere", "expected a spec file, a run folder or the folder of a saved model; there is nothing"),
        "no spec": ("nowhere.yaml", "there is no such spec file here"),
        "answers": (tmp_path / "answers", "it holds answers, but no model to ask; `vlmkit judge"),
        "empty": (tmp_path / "empty", "found a folder with neither"),
        "half": (tmp_path / "half", "not a model of vlmkit: it has no processor_config.json"),
        "other": (saved("llama", model_type="llama"), "expected model_type 'vlmkit', found 'llama'; `vlmkit import`"),
        "plugin": (saved("seen", components=foreign), "needs the aligner 'seer' of the plugin 'seer' .* pip install"),
        "list": (saved("listed", model=[1]), "expected a mapping under 'model', found"),
    }


@pytest.mark.parametrize("what", ["nothing", "no spec", "answers", "empty", "half", "other", "plugin", "list"])
def test_what_is_no_target_is_told(what: str, saved: Saved, tmp_path: Path) -> None:
    target, message = _mistakes(saved, tmp_path)[what]
    with pytest.raises(UserError, match=message):
        eval_target(target, tmp_path / "runs", ["mvbench"])


@pytest.mark.parametrize("options", [{}, {"limit": 3}])
def test_without_a_benchmark_there_is_nothing_to_measure(options: dict[str, Any], saved: Saved, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"bare.*; name (one|a benchmark) with --benchmark"):
        eval_target(saved("bare"), tmp_path, options=options)


def test_an_exported_model_is_a_saved_one_though_its_spec_is_beside_it(saved: Saved, tmp_path: Path) -> None:
    model = saved("published")
    (model / "spec.yaml").write_text(yaml.safe_dump(SPEC))
    spec, path = eval_target(model, tmp_path / "runs", ["msvd-qa"])
    assert (spec.model.weights, path) == (str(model), tmp_path / "runs" / "published")
