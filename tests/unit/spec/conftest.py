"""A small valid spec as text."""

from __future__ import annotations

from pathlib import Path

import pytest

SMALL = """\
vlmkit: 1
name: small
model:
  aligner:
    type: stab
    width: 32
    patch: 8
    heads: 4
    input: {size: 32, multiple: 16}
  backbone:
    type: hf-causal-lm
    init: random
    config: {model_type: llama, hidden_size: 32, num_hidden_layers: 4, num_attention_heads: 4, vocab_size: 300}
    tokenizer: {text: [hello world], vocab_size: 300}
training:
  distillation: {teacher: {type: hog, patch: 8, input: {size: 32, multiple: 16}}, layer_rate: 2, heads: 1}
  stages:
    - name: align
      data: [moving-shapes]
      train: {aligner: 4e-4, distillation: 4e-4}
      steps: 3
evaluation:
  benchmarks: [moving-shapes]
"""


@pytest.fixture
def small() -> str:
    return SMALL


@pytest.fixture
def small_file(tmp_path: Path) -> Path:
    (tmp_path / "small.yaml").write_text(SMALL)
    return tmp_path / "small.yaml"
