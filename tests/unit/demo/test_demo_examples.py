"""Clips to begin with, for models that were trained on `moving-shapes`."""

from __future__ import annotations

from pathlib import Path

import pytest

from vlmkit.demo.demo_examples import draw_examples
from vlmkit.files import shipped_folder
from vlmkit.run_folder import RunFolder
from vlmkit.spec.loading import load_spec


def test_a_run_of_moving_shapes_has_clips_of_the_split_test_with_questions_of_several_kinds(tmp_path: Path) -> None:
    run = RunFolder.open(load_spec(shipped_folder("specs") / "quickstart.yaml"), tmp_path)
    examples = draw_examples([tmp_path / "elsewhere" / "model", run.model], tmp_path / "drawn")
    assert len(examples) == 4
    assert len({example.question for example in examples}) >= 3
    assert all(Path(example.file).is_file() and "-test-" in example.file for example in examples)
    assert not any("<video>" in example.question for example in examples)


def test_other_models_have_none(tmp_path: Path) -> None:
    spec = load_spec(shipped_folder("specs") / "quickstart.yaml").model_copy(update={"training": None})
    run = RunFolder.open(spec, tmp_path)
    assert draw_examples([run.model, tmp_path / "elsewhere" / "model"], tmp_path / "drawn") == []
    assert not (tmp_path / "drawn").exists()


def test_a_damaged_spec_costs_only_the_examples(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "spec.yaml").write_text("vlmkit: [")
    assert draw_examples([tmp_path / "model"], tmp_path / "drawn") == []
    assert "no clips to begin with" in caplog.text
