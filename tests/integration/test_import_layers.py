"""Released checkpoints with layers inside the LLM: imported, they compute what the references do."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from vlmkit.checkpoints import import_checkpoint
from vlmkit.checkpoints.formats import match_name, published_format
from vlmkit.model import VideoLM, compose
from vlmkit.spec.experiment import ExperimentSpec
from vlmkit.spec.loading import load_spec

VIDEO = 1000
"""The id that stands for a token of a picture, beyond the table."""


def small(name: str, file: Any) -> ExperimentSpec:
    """The shipped spec at the sizes of a golden file."""
    before = int(file["extra_layers"]) if "extra_layers" in file else 0
    config = load_spec(f"specs/{name}.yaml").model.backbone.config | {
        "vocab_size": int(file["vocab"]), "hidden_size": int(file["llm_width"]),
        "num_hidden_layers": int(file["layers"]) - before, "num_attention_heads": int(file["heads"]),
        "num_key_value_heads": int(file["kv_heads"]), "intermediate_size": int(file["llm_mlp"]),
        "tie_word_embeddings": False,
    }  # fmt: skip
    changes: dict[str, Any] = {"model.aligner.width": int(file["patch_width"])}
    if before:
        config["head_dim"] = int(file["head_dim"])
        changes |= {"model.layers.before": before, "model.aligner.input.frames": 3}
    return load_spec(f"specs/{name}.yaml", set={"training": None, "model.backbone.config": config} | changes)


@pytest.fixture
def fill(golden: Path) -> SimpleNamespace:
    """The deterministic weights and inputs behind the golden files."""
    return SimpleNamespace(**runpy.run_path(str(golden / "fill.py")))


@pytest.mark.parametrize(("name", "golden_file"), [("eve-v2", "evev2_2x64x96"), ("neo", "neo_3_frames")])
def test_an_imported_model_gives_the_golden_logits(
    name: str,
    golden_file: str,
    golden: Path,
    fill: SimpleNamespace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    file = np.load(golden / f"{golden_file}.npz")
    seed = str(file["seed"])
    shapes = [tuple(map(int, shape.split("x"))) for shape in file["shapes"]]
    arrays = fill.weights(dict(zip(file["names"].tolist(), shapes, strict=True)), seed)
    (tmp_path / "released").mkdir()
    save_file({key: torch.from_numpy(value) for key, value in arrays.items()}, tmp_path / "released/model.safetensors")
    spec = small(published_format(name).spec, file)
    report = import_checkpoint(name, tmp_path / "released", tmp_path / "out", spec=spec)
    assert report.plan.fresh == []
    model = VideoLM.from_pretrained(tmp_path / "out").eval()
    model.config.video_token_id = VIDEO

    ids = torch.from_numpy(file["ids"])
    if name == "eve-v2":
        pixels = torch.from_numpy(fill.pixels(seed, 1, 2, 64, 96)[0])[:, None]  # two videos of a frame, in one row
        count = file["tokens"].shape[1]
        ids = torch.cat([torch.full((count,), VIDEO) if index == -200 else index[None] for index in ids])
        tokens = model.get_video_features(pixels)
        given = {"visual_embeds": tokens.embeddings.flatten(0, 1)[None]}
        assert (ids == VIDEO).tolist() == file["visual"].tolist()
    else:
        frames = [fill.pixels(f"{seed}/{i}", 1, 1, *size)[0, 0] for i, size in enumerate(file["sizes"].tolist())]
        given = {"pixel_values_videos": torch.from_numpy(np.stack(frames))[None]}
        ids = torch.where(ids == int(file["img_context"]), VIDEO, ids)
    output = model(input_ids=ids[None], **given)
    assert np.abs(output.logits.detach().numpy() - file["logits"]).max() <= 1e-4


@pytest.mark.parametrize(("form_name", "name"), [("eve-v2", "eve-v2-7b"), ("neo", "neo-2b"), ("neo", "neo-9b")])
def test_every_weight_of_the_shipped_spec_has_a_released_name(
    form_name: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the format makes of the released names, layer by layer, are the names of the model."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    spec = load_spec(f"specs/{name}.yaml")
    form = published_format(form_name).for_model(spec.model)
    model, _ = compose(spec.model, meta=True)
    found = {match_name(form, released).name for released in _released(form_name, spec)}
    assert found == model.state_dict().keys()


def _released(name: str, spec: ExperimentSpec) -> list[str]:
    linear = [f"{part}_proj" for part in "qkvo"]
    norms, mlp = ["input_layernorm", "post_attention_layernorm"], [f"{part}_proj" for part in ("gate", "up", "down")]
    names = []
    if name == "eve-v2":
        tower = "model.vision_tower"
        names += [f"{tower}.class_embedding", f"{tower}.split_embedding"]
        names += [f"{tower}.patch_embedding.{i}.{kind}" for i in (0, 2) for kind in ("weight", "bias")]
        for layer in (f"model.layers.{index}" for index in range(28)):
            for moe in ("", "moe_"):
                names += [f"{layer}.self_attn.{moe}{part}.weight" for part in linear]
                names += [f"{layer}.self_attn.{moe}{part}.bias" for part in linear[:3]]
                names += [f"{layer}.{moe}mlp.{part}.weight" for part in mlp]
                names += [f"{layer}.{moe}{part}.weight" for part in norms]
        return [*names, "model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"]
    embeddings = "vision_model.embeddings"
    names += [f"{embeddings}.{part}_embedding.{kind}" for part in ("patch", "dense") for kind in ("weight", "bias")]
    config = spec.model.backbone.config
    for index in range(config["num_hidden_layers"] + spec.model.layers.before):
        layer = f"language_model.model.layers.{index}"
        own = [*linear, "q_proj_hw", "k_proj_hw", *(f"{x}_norm{axis}" for x in "qk" for axis in ("", "_h", "_w"))]
        names += [f"{layer}.self_attn.{part}.weight" for part in own]
        names += [f"{layer}.mlp.{part}.weight" for part in mlp]
        names += [f"{layer}.{part}.weight" for part in norms]
    tail = ["model.embed_tokens", "model.norm", "lm_head"]
    return [*names, *(f"language_model.{part}.weight" for part in tail)]
