"""Fixtures that several test folders share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent


TALKER: dict[str, Any] = {
    "aligner": {"type": "stab", "width": 32, "patch": 8, "heads": 2, "projector": "identity",
                "input": {"size": 48, "multiple": 16}},
    "backbone": {
        "type": "hf-causal-lm",
        "init": "random",
        "config": {"model_type": "llama", "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
                   "num_key_value_heads": 2, "intermediate_size": 32, "max_position_embeddings": 4096},
        "tokenizer": {"text": ["what who how is it of ada bob cy dee color moves left right"], "vocab_size": 300},
        "chat_template": "plain",
    },
}  # fmt: skip


@pytest.fixture(scope="session")
def talker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a saved model, tiny and random, that says something else about each video and question.

    Do not write into it.
    """
    import torch

    from vlmkit.model import compose
    from vlmkit.spec.experiment import ModelSpec

    model, processor = compose(ModelSpec.model_validate(TALKER), seed=5)
    with torch.no_grad():
        for value in model.backbone.parameters():
            value.mul_(6)  # small differences of the input make other words
    folder = tmp_path_factory.mktemp("talker") / "talker"
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def drawn_clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Six real clips, H.264 in mp4, that `moving-shapes` has drawn."""
    from vlmkit.registry import validate_slot

    options = {"type": "moving-shapes", "clips": 6, "size": 64, "root": tmp_path_factory.mktemp("clips")}
    spec: Any = validate_slot("dataset", options)
    spec.prepare()
    return sorted(spec.video_root().glob("*.mp4"))


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's root folder."""
    return ROOT


@pytest.fixture(scope="session")
def golden() -> Path:
    """Outputs of the reference implementations."""
    return ROOT / "tests" / "golden"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real videos and annotations beside the checkout; tests that need them are skipped where they are absent."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("needs the folder ../shared (real videos and annotations), which is absent")
    return folder
