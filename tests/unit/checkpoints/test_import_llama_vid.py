"""LLaMA-VID's released checkpoints: the whole model, the trained part of the first stage, and what they lack."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from vlmkit.checkpoints import ImportReport, import_checkpoint
from vlmkit.errors import CheckpointError
from vlmkit.model import load
from vlmkit.spec.experiment import ExperimentSpec

State = dict[str, Tensor]
ALIGNER: dict[str, Any] = {
    "type": "llama-vid",
    "input": {"frames": 4, "size": 28},
    "encoder": {"type": "eva-clip-g", "width": 16, "layers": 2, "heads": 2, "mlp": 32, "image_size": 28},
    "qformer": {"queries": 3, "layers": 2, "width": 16, "heads": 2, "mlp": 32, "words": 300, "positions": 20},
    "text": {"tokenizer": {"text": ["what is it"]}, "length": 20},
}
BEGINNINGS = {
    "encoder.": "model.vision_tower.vision_tower.",
    "query_tokens": "model.vlm_att_query",
    "norm.": "model.vlm_att_ln.",
    "qformer.": "model.vlm_att_encoder.bert.",
    "query_projector.": "model.vlm_att_projector.",
    "key_projector.": "model.vlm_att_key_projector.",
    "value_projector.": "model.vlm_att_val_projector.",
    "projector.": "model.mm_projector.",
}
"""Of our names in the aligner, and of the published ones."""
BLIP = {"query_tokens": "query_tokens", "norm.": "ln_vision.", "qformer.": "Qformer.bert."}
BUFFERS = {
    "model.vlm_att_encoder.bert.embeddings.position_ids": torch.arange(4)[None],
    "model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(2),
}


def renamed(weights: State, beginnings: dict[str, str]) -> State:
    """Those weights of the aligner that begin like this, under published names."""
    found = {}
    for name, value in weights.items():
        own = name.removeprefix("aligner.")
        begin = next((begin for begin in beginnings if own.startswith(begin)), None)
        if name != own and begin is not None:
            found[own.replace(begin, beginnings[begin], 1)] = value
    return found


def language(weights: State) -> State:
    return {name.removeprefix("backbone."): value for name, value in weights.items() if name.startswith("backbone.")}


def saved(folder: Path, state: State, name: str = "pytorch_model.bin") -> Path:
    """The folder with its weights in one file."""
    folder.mkdir()
    torch.save(state, folder / name)
    (folder / "config.json").write_text(json.dumps({"hidden_size": 32}))
    return folder


def imported(source: Path, spec: ExperimentSpec, out: Path, **parts: Path) -> ImportReport:
    return import_checkpoint("llama-vid", source, out, parts=parts, spec=spec)


def check(out: Path, weights: State) -> None:
    model, processor = load(out)
    own = model.state_dict()
    assert own.keys() == weights.keys()
    assert [name for name, value in own.items() if not torch.equal(value, weights[name])] == []
    assert processor.text_words is not None, "the tokenizer of questions is saved, too"


def test_the_whole_model(weights: State, spec: ExperimentSpec, tmp_path: Path) -> None:
    state = renamed(weights, BEGINNINGS) | language(weights) | BUFFERS
    report = imported(saved(tmp_path / "released", state), spec, tmp_path / "out")
    check(tmp_path / "out", weights)
    assert report.counts()["dropped"] == len(BUFFERS)


def test_a_folder_without_the_tower(weights: State, spec: ExperimentSpec, tmp_path: Path) -> None:
    state = {
        name: value
        for name, value in (renamed(weights, BEGINNINGS) | language(weights)).items()
        if "vision_tower" not in name
    }
    source = saved(tmp_path / "released", state)
    with pytest.raises(CheckpointError, match="give it with --with eva=PATH"):
        imported(source, spec, tmp_path / "out")
    torch.save(renamed(weights, {"encoder.": ""}), tmp_path / "eva.pth")
    imported(source, spec, tmp_path / "out", eva=tmp_path / "eva.pth")
    check(tmp_path / "out", weights)


@pytest.mark.parametrize("prefix", ["model.", ""])
def test_the_first_stage_alone(weights: State, spec: ExperimentSpec, tmp_path: Path, prefix: str) -> None:
    """mm_projector.bin with tower and language model; the Q-Former is in it, or InstructBLIP's."""
    whole = renamed(weights, {begin: name for begin, name in BEGINNINGS.items() if begin != "encoder."})
    torch.save(renamed(weights, {"encoder.": ""}) | {"head.weight": torch.ones(2)}, tmp_path / "eva.pth")
    torch.save({"model": renamed(weights, BLIP) | {"llm_proj.bias": torch.ones(2)}}, tmp_path / "blip.pth")
    llm = saved(tmp_path / "llm", language(weights))
    trained = [name for name in whole if "projector" in name]
    for number, names in enumerate((whole, trained)):
        file = tmp_path / f"{number}" / "mm_projector.bin"
        file.parent.mkdir()
        torch.save({prefix + name.removeprefix("model."): whole[name] for name in names}, file)
        others = {"eva": tmp_path / "eva.pth", "llm": llm} | ({"blip": tmp_path / "blip.pth"} if number else {})
        imported(file, spec, tmp_path / f"out-{number}", **others)
        check(tmp_path / f"out-{number}", weights)
    with pytest.raises(CheckpointError) as error:
        imported(tmp_path / "1" / "mm_projector.bin", spec, tmp_path / "out", llm=llm)
    lines = str(error.value).splitlines()[1:]
    assert [line.rpartition("--with ")[2] for line in lines] == ["eva=PATH", "blip=PATH"]


def test_what_is_lacking_is_named_as_published(weights: State, spec: ExperimentSpec, tmp_path: Path) -> None:
    state = renamed(weights, BEGINNINGS) | language(weights)
    del state["model.vlm_att_val_projector.bias"]
    state["model.vlm_att_bert_proj.weight"] = torch.ones(2)
    with pytest.raises(CheckpointError) as error:
        imported(saved(tmp_path / "released", state), spec, tmp_path / "out")
    assert str(error.value).splitlines()[1:] == [
        "  unexpected: model.vlm_att_bert_proj.weight is no name of this format",
        "  missing: aligner.value_projector.bias, published as model.vlm_att_val_projector.bias",
    ]
