"""Every variant learns: each switch of stab, downsampler, aligner, teacher, layers and loss, 20 steps on moving shapes.

The cases come from the registry: a component that is registered is covered, at the size of its `tiny()`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from safetensors.torch import load_file

from vlmkit.model import compose
from vlmkit.registry import registry
from vlmkit.run_folder import RunFolder
from vlmkit.spec.experiment import DistillationSpec, ExperimentSpec
from vlmkit.training.stages import train

Options = dict[str, Any]

STEPS = 20
LLAMA = {"model_type": "llama", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
BACKBONE = {
    "type": "hf-causal-lm",
    "init": "random",
    "chat_template": "plain",
    "config": LLAMA | {"num_attention_heads": 2, "num_key_value_heads": 2},
    "tokenizer": {"text": ["What colour is the shape? Which way does it move? red green blue"], "vocab_size": 280},
}
VIDEO = {"frames": 4, "sampling": "uniform", "size": 32, "multiple": 16}
FRAMEWISE = {"width": 32, "patch": 8, "heads": 4, "input": VIDEO}
STAB = {"type": "stab", "dropout": 0.0} | FRAMEWISE


SWITCHES: dict[str, Options] = {
    "without row tokens": {"row_tokens": False},
    "without fsra": {"fsra": False},
    "without gstra": {"gstra": False},
    "without fsra and gstra": {"fsra": False, "gstra": False},
    "without cls head": {"gstra": False, "cls_head": False},
    "without lste": {"lste": False},
    "without lste and gstra": {"lste": False, "gstra": False},
    "without dpe": {"dpe": False},
    "without lmhra": {"lmhra": False},
    "without dense": {"dense": False},
    "chunks of 2 frames": {"chunk_frames": 2},
    "one chunk": {"chunk_frames": "all"},
    "downsampler before lste": {"downsampler_position": "before-lste"},
}
LOSSES = get_args(DistillationSpec.model_fields["loss"].annotation)


def _tiny(kind: str) -> dict[str, Options]:
    """The options of a small instance of each component of a kind."""
    return {
        offer.spec.component_name(): offer.spec.tiny().model_dump(mode="json") for offer in registry().components(kind)
    }


def _num_prompts(kind: str, name: str) -> int:
    """How many prompts a small instance of an aligner gives, or one of layers reads."""
    prompts: int = registry().get(kind, name).spec.tiny().num_prompts
    return prompts


def _cases() -> dict[str, tuple[Options, Options | None, str | None]]:
    """Aligner, distillation and layers by what they show."""
    cases: dict[str, tuple[Options, Options | None, str | None]] = {
        name: (STAB | switch, None, None) for name, switch in SWITCHES.items()
    }
    for name, options in _tiny("downsampler").items():
        cases[f"downsampler {name}"] = (STAB | {"downsampler": options}, None, None)
    readers = {layers: count for layers in _tiny("layers") if (count := _num_prompts("layers", layers))}
    for name, options in _tiny("aligner").items():
        prompts = _num_prompts("aligner", name)
        reader = next(layers for layers, count in readers.items() if count == prompts) if prompts else None
        cases[f"aligner {name}"] = (options, None, reader)
    teachers = _tiny("teacher")
    for name, options in teachers.items():
        cases[f"teacher {name}"] = (STAB, {"teacher": options}, None)
    for name in LOSSES:
        cases[f"loss {name}"] = (STAB, {"teacher": teachers["hog"], "loss": name}, None)
    for name in sorted(_tiny("layers").keys() - readers):
        cases[f"layers {name}"] = (STAB, {"teacher": teachers["hog"]}, name)
    return cases


CASES = _cases()
pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Options:
    """The clips that all variants see."""
    root = str(tmp_path_factory.mktemp("clips"))
    return {"type": "moving-shapes", "clips": 24, "size": 32, "frames": 8, "root": root, "questions_per_clip": 1}


def _spec(aligner: Options, distillation: Options | None, layers: str | None, clips: Options) -> ExperimentSpec:
    rates = {"aligner": 1e-2, "backbone": 1e-2} | ({"distillation": 1e-2} if distillation else {})
    model: Options = {"aligner": aligner, "backbone": BACKBONE}
    if layers:
        rates["layers"] = 1e-2
        chosen = registry().get("layers", layers).spec.tiny()
        config = BACKBONE["config"] | {"model_type": chosen.families[0]}
        model = {"aligner": aligner, "backbone": BACKBONE | {"config": config}, "layers": chosen}
    stage = {"name": "all", "data": [clips], "train": rates, "steps": STEPS, "batch_size": 8, "save_every": STEPS}
    stage["gradient_checkpointing"] = layers is not None
    head = {"layer_rate": 1, "heads": 2} | distillation if distillation else None
    return ExperimentSpec.model_validate(
        {
            "vlmkit": 1,
            "name": "variant",
            "model": model,
            "data": {"cache_mib": 8},
            "training": {"log_every": 1, "distillation": head, "stages": [stage]},
        }
    )


def _falls(values: list[float]) -> bool:
    return sum(values[-5:]) < 0.7 * sum(values[:5])


@pytest.mark.parametrize(("aligner", "distillation", "layers"), CASES.values(), ids=CASES)
def test_it_learns(
    aligner: Options, distillation: Options | None, layers: str | None, clips: Options, tmp_path: Path
) -> None:
    """The losses fall, and everything that can train has moved."""
    spec = _spec(aligner, distillation, layers, clips)
    run = RunFolder.open(spec, tmp_path)
    train(spec, run)
    stage = run.stage(1, "all")
    lines = [json.loads(line) for line in (stage / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, STEPS + 1))
    assert _falls([line["language_loss"] for line in lines])
    if distillation:
        assert _falls([line["distillation_loss"] for line in lines])
    fresh, _ = compose(spec.model, seed=spec.seed)
    own = ("aligner.", "layers.")
    named = fresh.named_parameters()
    parameters = {name: value for name, value in named if name.startswith(own) and value.requires_grad}
    trained = load_file(stage / "weights.safetensors")
    assert parameters.keys() <= trained.keys()
    assert [name for name, value in parameters.items() if torch.equal(trained[name], value)] == []


def test_every_switch_of_stab_is_a_case() -> None:
    fields = registry().get("aligner", "stab").spec.model_fields
    switches = {name for name, field in fields.items() if field.annotation is bool}
    assert switches <= {name for options in SWITCHES.values() for name, value in options.items() if value is False}
