"""Fingerprints of what a result depends on."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vlmkit.api import Document, Prompt
from vlmkit.evaluation.answers import Question
from vlmkit.evaluation.controls import Arrangement
from vlmkit.evaluation.fingerprint import model_sha256, question_fingerprint, shared_fingerprint
from vlmkit.evaluation.records import Decoding
from vlmkit.run_folder import RunFolder
from vlmkit.spec.experiment import ExperimentSpec

Experiment = Callable[..., ExperimentSpec]


def asked(path: Path | None, **changes: Any) -> Question:
    document = Document("1", "v", "q", "a", span=changes.pop("span", None))
    prompt = Prompt(**{"user": "<video>\nq", **changes.pop("prompt", {})})
    return replace(Question(document, prompt, "v", path, "", "", 8), **changes)


def test_a_fingerprint_tells_all_that_an_answer_depends_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    clip = Path("clip.mp4")
    clip.write_bytes(b"123")
    changes: list[dict[str, Any]] = [
        {},
        {"prompt": {"user": "<video>\nr"}},
        {"prompt": {"system": "s"}},
        {"prompt": {"reply": "s"}},
        {"span": (0.0, 2.0)},
        {"max_new_tokens": 9},
        {"continuations": ("A", "B")},
        {"arrangement": Arrangement("shuffled-frames", 1, "v")},
        {"arrangement": Arrangement("shuffled-frames", 2, "v")},
    ]
    found = [question_fingerprint(asked(clip, **some), "shared") for some in changes]
    found += [question_fingerprint(asked(None), "shared"), question_fingerprint(asked(clip), "other")]
    assert question_fingerprint(asked(clip), "shared") == found[0]
    clip.write_bytes(b"1234")
    found.append(question_fingerprint(asked(clip), "shared"))
    assert len(set(found)) == len(found)


def test_answers_share_model_decoding_and_components(experiment: Experiment) -> None:
    decoding = Decoding(greedy=True, max_new_tokens=5, batch_size=8, frames=8, sampling="uniform")
    shared = shared_fingerprint(experiment(), "2", decoding)
    model, longest, shown, components = json.loads(shared)
    assert (model, longest, shown) == ("2", 5, [8, "uniform"])
    assert shared != shared_fingerprint(experiment(), "2", decoding.model_copy(update={"frames": 4}))
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
