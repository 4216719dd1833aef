"""A training goes on with the packages that it was begun with."""

from __future__ import annotations

from pathlib import Path

import pytest

import vlmkit
from vlmkit.errors import RunError
from vlmkit.registry import registry
from vlmkit.run_folder import RunFolder
from vlmkit.spec import ExperimentSpec
from vlmkit.training.origins import check_origins, note_origins

SPEC = ExperimentSpec.model_validate(
    {
        "vlmkit": 1,
        "name": "one",
        "model": {
            "aligner": {"type": "stab", "width": 16, "heads": 2},
            "backbone": {
                "type": "hf-causal-lm",
                "init": "random",
                "config": {"model_type": "llama", "hidden_size": 32, "num_hidden_layers": 4},
                "tokenizer": {"text": ["a"]},
            },
        },
        "training": {
            "distillation": {"teacher": "hog"},
            "stages": [{"name": "all", "data": ["moving-shapes"], "train": {"aligner": 1e-3}, "steps": 2}],
        },
        "evaluation": {"benchmarks": ["moving-shapes"]},
    }
)


@pytest.mark.parametrize(
    "component",
    [
        "aligner/stab",
        "downsampler/lsd",
        "backbone/hf-causal-lm",
        "teacher/hog",
        "dataset/moving-shapes",
        "reader/decord",
    ],
)
def test_another_version_is_refused(component: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunFolder(tmp_path)
    check_origins(SPEC, run)
    note_origins(SPEC, run)
    check_origins(SPEC, run)
    kind, name = component.split("/")
    monkeypatch.setattr(registry().get(kind, name).plugin, "version", "9.9")
    note_origins(SPEC, run)
    with pytest.raises(RunError) as caught:
        check_origins(SPEC, run)
    message, here = str(caught.value), vlmkit.__version__
    assert f"{kind} {name!r} of vlmkit {here}, here of vlmkit 9.9" in message
    assert f"to go on, install what it was begun with: pip install 'vlmkit=={here}'; or remove the folder " in message


def test_what_only_the_evaluation_needs_may_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunFolder(tmp_path)
    note_origins(SPEC, run)
    monkeypatch.setattr(registry().get("judge", "exact").plugin, "version", "9.9")
    check_origins(SPEC, run)


def test_a_damaged_file_is_a_clear_error(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    note_origins(SPEC, run)
    (tmp_path / "stages" / "components.json").write_text('{"components": {"aligner/stab": 1}}')
    with pytest.raises(RunError, match=r"stages/components.json: components.aligner/stab: .*; remove the file, if"):
        check_origins(SPEC, run)
