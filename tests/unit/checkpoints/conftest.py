"""Released checkpoints at toy size."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from vlmkit.checkpoints import ImportReport, import_checkpoint
from vlmkit.checkpoints.formats import match_name, published_format
from vlmkit.errors import CheckpointError
from vlmkit.model import compose
from vlmkit.spec.experiment import ExperimentSpec

State = dict[str, Tensor]
Maker = Callable[..., ExperimentSpec]
Saver = Callable[..., Path]
Importer = Callable[..., ImportReport]
Refusal = Callable[..., str]
LLAMA = {
    "model_type": "llama",
    "vocab_size": 300,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "intermediate_size": 64,
    "tie_word_embeddings": False,
}
EXPERIMENT: dict[str, Any] = {
    "vlmkit": 1,
    "name": "toy",
    "seed": 5,
    "model": {
        "aligner": {"type": "stab", "width": 16, "input": {"size": 56, "frames": 4}},
        "backbone": {
            "type": "hf-causal-lm",
            "init": "random",
            "config": LLAMA,
            "tokenizer": {"text": ["what colour is it? red"], "vocab_size": 300},
        },
    },
    "training": {
        "distillation": {"teacher": {"type": "hog"}, "layer_rate": 1, "heads": 1},
        "stages": [{"name": "one", "data": ["moving-shapes"], "train": {"distillation": 1}, "steps": 1}],
    },
}


@pytest.fixture(scope="session")
def make_experiment() -> Maker:
    """A Video-Panda at toy size, with changes: `make_experiment(aligner={…}, backbone={…}, config={…})`."""

    def make(config: dict[str, Any] | None = None, **parts: dict[str, Any]) -> ExperimentSpec:
        model = EXPERIMENT["model"]
        backbone = model["backbone"] | {"config": LLAMA | (config or {})} | parts.get("backbone", {})
        aligner = model["aligner"] | parts.get("aligner", {})
        return ExperimentSpec.model_validate(EXPERIMENT | {"model": {"aligner": aligner, "backbone": backbone}})

    return make


@pytest.fixture(scope="session")
def experiment(make_experiment: Maker) -> ExperimentSpec:
    return make_experiment()


@pytest.fixture(scope="session")
def eve_experiment(make_experiment: Maker) -> ExperimentSpec:
    return make_experiment(aligner={"type": "eve"})


@pytest.fixture
def nowhere(make_experiment: Maker, tmp_path: Path) -> ExperimentSpec:
    """The experiment with a tokenizer that cannot be read."""
    return make_experiment(backbone={"tokenizer": str(tmp_path / "nowhere")})


@pytest.fixture(scope="session")
def names(golden: Path) -> list[str]:
    """Names of the visual part in the released Video-Panda."""
    return list(json.loads((golden / "video_panda_shapes.json").read_text()))


def _draw(shapes: dict[str, tuple[int, ...]], dtype: torch.dtype = torch.bfloat16) -> State:
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(shape, generator=generator).to(dtype) for name, shape in shapes.items()}


def _head(prefix: str) -> State:
    shapes: dict[str, tuple[int, ...]] = {"input_layer.weight": (16, 32), "input_layer.bias": (16,)}
    shapes |= {"output_layer.weight": (16, 16), "output_layer.bias": (16,)}
    for layer in range(3):
        shapes |= {f"norm_layer.{layer}.0.weight": (32,), f"norm_layer.{layer}.0.bias": (32,)}
        shapes |= {f"norm_layer.{layer}.1.weight": (16, 32)}
    return {f"{prefix}{name}": value for name, value in _draw(shapes).items()}


@pytest.fixture(scope="session")
def panda(experiment: ExperimentSpec, names: list[str]) -> State:
    """All that the released checkpoint holds, with a toy's shapes."""
    model, _ = compose(experiment.model, meta=True)
    form = published_format("video-panda")
    wanted = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    tower = [name for name in names if "compressor" not in name]
    shapes = {name: wanted.get(match_name(form, name.replace("lmhra2", "lmhra1")).name) for name in tower}
    shapes |= {name.removeprefix("backbone."): s for name, s in wanted.items() if name.startswith("backbone.")}
    state = _draw({name: shape for name, shape in shapes.items() if shape is not None})
    for name in state:
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(7)
    state |= {
        name.replace("video_tower", "vision_tower").replace("video_projector", "mm_projector"): value
        for name, value in state.items()
        if "video_" in name
    }
    state |= _head("model.video_tower_compressor.")
    teacher = _draw({"embeddings.class_embedding": (8,), "encoder.layers.0.temporal_attn.q_proj.weight": (8, 8)})
    for prefix in ("model.video_teacher.video_tower.", "model.video_tower_compressor.teacher_layer.video_tower."):
        state |= {prefix + name: value for name, value in teacher.items()}
    return state | {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.zeros(4)}


@pytest.fixture(scope="session")
def eve(panda: State) -> State:
    """What EVE's released checkpoint holds."""
    temporal = ("temporal_cls_token", "balance", "lmhra", ".dpe.", ".dec.", "tower.proj.")
    state = {n: v for n, v in panda.items() if ".video_" not in n and not any(part in n for part in temporal)}
    return state | _head("model.vision_tower_compressor.") | {"model.vision_clip.post_layernorm.weight": torch.ones(8)}


def _save(folder: Path, state: State, shards: int = 3, safe: bool = False) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    stem, suffix = ("model", "safetensors") if safe else ("pytorch_model", "bin")
    index: dict[str, str] = {}
    for number in range(shards):
        name = f"{stem}-{number + 1:05}-of-{shards:05}.{suffix}"
        part = dict(list(state.items())[number::shards])
        if safe:
            save_file({key: value.clone() for key, value in part.items()}, folder / name)
        else:
            torch.save(part, folder / name)
        index |= dict.fromkeys(part, name)
    (folder / f"{stem}.{suffix}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    (folder / "config.json").write_text(json.dumps({key: LLAMA[key] for key in ("vocab_size", "hidden_size")}))
    return folder


@pytest.fixture
def save(tmp_path: Path) -> Saver:
    """Save a state as a released checkpoint, in shards with an index: `save(state, shards=3, safe=False)`."""
    return partial(_save, tmp_path / "released")


@pytest.fixture
def importer(tmp_path: Path, save: Saver, experiment: ExperimentSpec) -> Importer:
    """Save a state as a released checkpoint and import it into `tmp_path/out`."""

    def run(state: State, form: str = "video-panda", spec: ExperimentSpec = experiment, **saving: Any) -> ImportReport:
        return import_checkpoint(form, save(state, **saving), tmp_path / "out", spec=spec)

    return run


@pytest.fixture
def refusal(importer: Importer, tmp_path: Path) -> Refusal:
    """The message with which an import is refused; nothing may be left of it."""

    def run(state: State, **options: Any) -> str:
        with pytest.raises(CheckpointError) as error:
            importer(state, **options)
        assert not list(tmp_path.glob("*out*"))
        return str(error.value)

    return run


@pytest.fixture
def spec(make_experiment: Maker, request: pytest.FixtureRequest) -> ExperimentSpec:
    """The experiment with the aligner that the module of the test names as `ALIGNER`, without training."""
    plain = make_experiment().model_dump(mode="json", exclude_unset=True)
    plain["model"]["aligner"] = request.module.ALIGNER
    return ExperimentSpec.model_validate({**plain, "training": None})


@pytest.fixture
def weights(spec: ExperimentSpec) -> State:
    """The weights of the model of `spec`, under our names, none of them as they are initialized."""
    model, _ = compose(spec.model, seed=7)
    return {
        name: value + 0.1 * torch.randn(value.shape, generator=torch.Generator().manual_seed(len(name)))
        for name, value in model.state_dict().items()
    }
