"""Folders that were saved before aligners read text and there were layers.

`tests/golden/saved_model.json` holds two files of such a folder, of the tiny `stab`, written by vlmkit 0.1 before.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from vlmkit.api.tensors import VideoBatch
from vlmkit.model import compose, load
from vlmkit.spec.experiment import ModelSpec

OF_VERSIONS = {"components", "transformers_version"}


@pytest.fixture
def earlier(golden: Path) -> dict[str, dict[str, object]]:
    """Content of config.json and processor_config.json."""
    found: dict[str, dict[str, object]] = json.loads((golden / "saved_model.json").read_text(encoding="utf-8"))
    return found


def test_they_load_and_are_written_as_before(earlier: dict[str, dict[str, object]], tmp_path: Path) -> None:
    model, processor = compose(ModelSpec.model_validate(earlier["config.json"]["model"]), seed=3)
    for part in (model, processor):
        part.save_pretrained(tmp_path)
    for name, expected in earlier.items():
        found = json.loads((tmp_path / name).read_text(encoding="utf-8"))
        assert found.keys() == expected.keys()
        assert {key for key in found if found[key] != expected[key]} <= OF_VERSIONS
        (tmp_path / name).write_text(json.dumps(expected), encoding="utf-8")
    (tmp_path / "checksums.json").unlink()
    again, read = load(tmp_path)
    assert (again.layers, read.text_words) == (None, None)
    video = VideoBatch.full(torch.randn(1, 8, 3, 32, 32, generator=torch.Generator().manual_seed(1)))
    tokens = [each.get_video_features(**video.model_inputs()).embeddings for each in (model, again)]
    torch.testing.assert_close(*tokens, atol=1e-7, rtol=0)
    assert read.prompt("<video>\nwhich way?") == processor.prompt("<video>\nwhich way?")
