"""Fingerprints of what a result depends on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from vlmkit.evaluation.fingerprint import model_sha256, question_fingerprint, shared_fingerprint
from vlmkit.evaluation.records import Decoding
from vlmkit.run_folder import RunFolder
from vlmkit.spec.experiment import ExperimentSpec

Experiment = Callable[..., ExperimentSpec]
SHARED = json.dumps(["0" * 64, 8, 64, {"aligner/stab": "vlmkit 0.1.0"}])


def test_answers_of_earlier_versions_keep_their_fingerprint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    clip = Path("clip.mp4")
    clip.write_bytes(b"123")
    assert question_fingerprint("<video>\nq", clip, SHARED) == "10eae349c6004f83"
    assert question_fingerprint("<video>\nq", None, SHARED) == "a39c08f941ad0c96"
    clip.write_bytes(b"1234")
    assert question_fingerprint("<video>\nq", clip, SHARED) != "10eae349c6004f83"


def test_answers_share_model_decoding_and_components(experiment: Experiment) -> None:
    shared = shared_fingerprint(experiment(), "2", Decoding(greedy=True, max_new_tokens=5, batch_size=8))
    model, longest, components = json.loads(shared)
    assert (model, longest) == ("2", 5)
    assert list(components) == ["aligner/stab", "backbone/hf-causal-lm", "downsampler/lsd", "reader/decord"]


def _weights(folder: Path, content: bytes) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "model.safetensors").write_bytes(content)


def test_without_training_the_files_that_the_model_names_tell_it(experiment: Experiment, tmp_path: Path) -> None:
    run, weights = RunFolder(tmp_path / "none"), tmp_path / "weights"
    spec = experiment()
    plain = model_sha256(spec, run)
    spec = spec.model_copy(update={"model": spec.model.model_copy(update={"weights": str(weights)})})
    assert model_sha256(spec, run) == plain, "no such folder, so a hub's"
    _weights(weights, b"one")
    first = model_sha256(spec, run)
    _weights(weights, b"two")
    assert len({plain, first, model_sha256(spec, run)}) == 3
