"""The estimate of memory, against sums done by hand."""

from __future__ import annotations

from typing import Any

import pytest

from vlmkit.spec.experiment import ExperimentSpec
from vlmkit.training.training_plan import StagePlan, TrainingPlan, estimate_memory, plan_training

LAYER = 34 * 8 * 56 * 32
"""Bytes of activations of a layer: a batch of 8, at most 56 tokens, 32 channels, one byte each."""


def experiment(
    engine: str = "single",
    precision: str = "float32",
    dtype: str = "float32",
    attention: str | None = None,
    **stage: Any,
) -> Any:
    return ExperimentSpec.model_validate(
        {
            "vlmkit": 1,
            "name": "small",
            "model": {
                "aligner": {"type": "stab", "width": 32, "patch": 8, "heads": 4, "input": {"size": 32, "multiple": 16}},
                "backbone": {
                    "type": "hf-causal-lm",
                    "init": "random",
                    "dtype": dtype,
                    "attn_implementation": attention,
                    "config": {
                        "model_type": "llama",
                        "hidden_size": 32,
                        "intermediate_size": 32,
                        "num_hidden_layers": 4,
                        "num_attention_heads": 4,
                        "vocab_size": 300,
                    },
                    "tokenizer": {"text": ["hello world"], "vocab_size": 300},
                },
            },
            "training": {
                "engine": {"type": engine},
                "precision": precision,
                "stages": [
                    {
                        "name": "align",
                        "data": ["moving-shapes"],
                        "train": {"aligner": 1e-3},
                        "steps": 1,
                        "batch_size": 8,
                        "max_length": 56,
                        **stage,
                    }
                ],
            },
        }
    )


MODEL: Any = None
PLANNED = TrainingPlan(MODEL, [], set(), parameters=1000, weight_bytes=2600, head_parameters=10)
TRAINED = StagePlan("align", {}, {"aligner": 300})


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {1: 2600 + 12 * 300 + 4 * 2 * LAYER}),
        ({"attention": "eager"}, {1: 2600 + 12 * 300 + 4 * 2 * (LAYER + 5 * 4 * 8 * 56 * 56)}),
        ({"attention": "sdpa"}, {1: 2600 + 12 * 300 + 4 * 2 * LAYER}),
        ({"gradient_checkpointing": True}, {1: 2600 + 12 * 300 + 2 * LAYER + 2 * 2 * 8 * 56 * 32 * 4}),
        (
            {"engine": "deepspeed"},
            {
                1: 4 * 1000 + (4 + 12) * 300 + 4 * 2 * LAYER,
                8: 4 * 1000 + 2 * 300 + LAYER,
                64: 4 * 1000 + 4 * 300 // 64 + 12 * 300 // 64 + LAYER,
            },
        ),
        (
            {"engine": "deepspeed", "precision": "bfloat16", "micro_batch_size": 1},
            {
                1: 2 * 1000 + 14 * 300 + LAYER // 2,
                8: 2 * 1000 + 2 * 300 // 8 + 12 * 300 // 8 + LAYER // 2,
                64: 2 * 1000 + 2 * 300 // 64 + 12 * 300 // 64 + LAYER // 2,
            },
        ),
    ],
)
def test_memory_per_gpu(options: dict[str, Any], expected: dict[int, int]) -> None:
    spec = experiment(**options)
    assert estimate_memory(spec, spec.training.stages[0], PLANNED, TRAINED, teacher=50, tokens=56) == expected


@pytest.mark.parametrize(("precision", "frozen"), [("float32", 4), ("bfloat16", 2)])
def test_what_stays_frozen_keeps_the_precision_of_the_model(precision: str, frozen: int) -> None:
    planned = plan_training(experiment(precision=precision, dtype="bfloat16"))
    trained = planned.stages[0].trains["aligner"]
    assert planned.parameters > trained
    assert planned.weight_bytes == 4 * trained + frozen * (planned.parameters - trained)


def test_activations_grow_with_the_video_up_to_the_longest_sequence() -> None:
    spec = experiment(max_length=4096)
    small, large, largest = (
        estimate_memory(spec, spec.training.stages[0], PLANNED, TRAINED, teacher=0, tokens=tokens)[1]
        for tokens in (56, 3968, 2**22)
    )
    assert large - small == 2 * 8 * (4096 - 56 - 128) * 34 * 32 * 4
    assert largest == large
