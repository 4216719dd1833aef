"""`vlmkit.load`: a trained model for scripts and notebooks."""

from __future__ import annotations

from pathlib import Path

import pytest

import vlmkit


def test_the_model_of_a_run_and_a_saved_one(talker: Path, drawn_clips: list[Path], tmp_path: Path) -> None:
    (tmp_path / "model").symlink_to(talker)
    said = []
    for target in (talker, str(tmp_path)):
        model, processor = vlmkit.load(target)
        assert not model.training
        inputs = processor([processor.prompt("<video>\nwhat is it")], [drawn_clips[0]])
        said.append(model.generate(**inputs, max_new_tokens=5, do_sample=False).tolist())
    assert said[0] == said[1]


def test_no_model(tmp_path: Path) -> None:
    with pytest.raises(vlmkit.UserError, match="or the folder of a saved model, found a folder with"):
        vlmkit.load(tmp_path)
