"""VideoChat2's released checkpoints: each stage has what it trained, the last one LoRA on the language model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from vlmkit.checkpoints import ImportReport, import_checkpoint
from vlmkit.checkpoints.formats import import_state_dict
from vlmkit.errors import CheckpointError
from vlmkit.model import load
from vlmkit.spec.experiment import ExperimentSpec

State = dict[str, Tensor]
ALIGNER: dict[str, Any] = {
    "type": "video-chat2",
    "input": {"frames": 4, "size": 28},
    "encoder": {"type": "umt-l", "width": 16, "layers": 2, "heads": 2, "mlp": 32, "patch": 14, "image_size": 28},
    "qformer": {"queries": 3, "layers": 2, "width": 16, "heads": 2, "mlp": 32, "words": 300, "positions": 20},
    "text": {"source": "instruction", "tokenizer": {"text": ["what is it"]}, "length": 20},
    "extra_queries": 2,
}
BEGINNINGS = {
    "encoder.": "vision_encoder.encoder.",
    "norm.": "vision_layernorm.",
    "qformer.": "qformer.bert.",
    "projector.": "llama_proj.",
}
"""Of our names in the aligner, and of the published ones."""
LORA = "llama_model.base_model.model.model.layers.0.self_attn.{}_proj.lora_{}.default.weight"
TEXT = ("word_embeddings", "position_embeddings", ".intermediate.", ".output.dense.", ".output.LayerNorm.")


def visual(weights: State) -> State:
    """Those of the aligner, under published names."""
    found = {}
    for name, value in weights.items():
        if (own := name.removeprefix("aligner.")) != name:
            begin = next((begin for begin in BEGINNINGS if own.startswith(begin)), "")
            found[own.replace(begin, BEGINNINGS[begin], 1) if begin else own] = value
    return found


def is_of_text(name: str) -> bool:
    return any(part in name for part in TEXT) and "attention" not in name


def of_stage2(weights: State) -> State:
    return {name: value for name, value in visual(weights).items() if not is_of_text(name)}


def of_stage1(weights: State) -> State:
    """With what only this stage needs."""
    more = ("vision_temp_embed", "temp", "vision_proj.weight", "itm_head.bias", "qformer.cls.predictions.bias")
    own = {name: value for name, value in visual(weights).items() if name[:5] not in ("extra", "llama")}
    return own | dict.fromkeys(more, torch.ones(2)) | {"qformer.bert.embeddings.position_ids": torch.arange(4)[None]}


def factors(weights: State) -> State:
    """Changes of rank 2 of queries and values of the first layer."""
    draw, found = torch.Generator().manual_seed(3), {}
    for name in "qv":
        out, width = weights[f"backbone.model.layers.0.self_attn.{name}_proj.weight"].shape
        found[LORA.format(name, "A")] = torch.randn(2, width, generator=draw)
        found[LORA.format(name, "B")] = torch.randn(out, 2, generator=draw)
    return found


@pytest.fixture
def llm(weights: State, tmp_path: Path) -> Path:
    folder = tmp_path / "llm"
    folder.mkdir()
    state = {name.removeprefix("backbone."): value for name, value in weights.items() if name.startswith("backbone.")}
    torch.save(state, folder / "pytorch_model.bin")
    (folder / "config.json").write_text(json.dumps({"hidden_size": 32}))
    return folder


def imported(folder: Path, spec: ExperimentSpec, released: State, llm: Path, **parts: State) -> ImportReport:
    files = {"llm": llm}
    for name, state in {"released": released, **parts}.items():
        files[name] = folder / f"{name}.pth"
        torch.save({"model": state}, files[name])
    source = files.pop("released")
    return import_checkpoint("video-chat2", source, folder / "out", parts=files, spec=spec)


def check(out: Path, weights: State) -> None:
    model, processor = load(out)
    own = model.state_dict()
    assert own.keys() == weights.keys()
    assert [name for name, value in own.items() if not torch.equal(value, weights[name])] == []
    assert processor.text_words is not None


@pytest.mark.parametrize("others", [False, True])
def test_the_third_stage_is_taken_before_others_and_its_lora_is_added(
    weights: State, spec: ExperimentSpec, llm: Path, tmp_path: Path, others: bool
) -> None:
    older = {name: value + 1 for name, value in weights.items()}
    more = {"stage1": of_stage1(older), "stage2": of_stage2(older)} if others else {}
    changes = factors(weights)
    report = imported(tmp_path, spec, visual(weights) | changes, llm, **more)
    for name in "qv":
        changed = f"backbone.model.layers.0.self_attn.{name}_proj.weight"
        weights[changed] = weights[changed] + 2.0 * changes[LORA.format(name, "B")] @ changes[LORA.format(name, "A")]
    check(tmp_path / "out", weights)
    assert report.counts()["added"] == 4
    assert report.counts().get("dropped", 0) == len(more.get("stage1", ())) + len(more.get("stage2", ()))
    written = json.loads((tmp_path / "out" / "import.json").read_text())
    reasons = {key["name"]: key["reason"] for key in written["keys"] if key["fate"] == "added"}
    assert (
        reasons[LORA.format("q", "A")] == "factor A of what is added to backbone.model.layers.0.self_attn.q_proj.weight"
    )
    assert [row[:2] for row in report.rows() if row[0] == "added"] == [("added", "1")] * 4


def test_the_second_stage_has_its_text_from_the_first(
    weights: State, spec: ExperimentSpec, llm: Path, tmp_path: Path
) -> None:
    older = {name: value if is_of_text(name) else value + 1 for name, value in weights.items()}
    report = imported(tmp_path, spec, of_stage2(weights), llm, stage1=of_stage1(older))
    check(tmp_path / "out", weights)
    dropped = {key["name"]: key["reason"] for key in report.as_dict()["keys"] if key["fate"] == "dropped"}
    assert dropped["query_tokens"] == "trained further in a later checkpoint"


def test_what_no_stage_holds_is_asked_for(weights: State, spec: ExperimentSpec, llm: Path, tmp_path: Path) -> None:
    state = of_stage2(weights)
    del state["extra_query_tokens"]
    with pytest.raises(CheckpointError) as error:
        imported(tmp_path, spec, state, llm)
    assert [line.rpartition("--with ")[2] for line in str(error.value).splitlines()[1:]] == [
        "stage2=PATH",
        "stage1=PATH",
    ]
    with pytest.raises(CheckpointError, match=r"missing: aligner\.extra_query_tokens, published as extra_query_tokens"):
        imported(tmp_path, spec, state, llm, stage1=of_stage1(weights), stage2=state)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (LORA.format("q", "B"), None, "factor B of backbone.model.layers.0.self_attn.q_proj.weight is missing"),
        (LORA.format("q", "B"), torch.ones(8, 3), r"\(8, 3\) change backbone.model.layers.0.self_attn.q_proj.weight"),
        (LORA.format("x", "A"), torch.ones(2, 2), "factor B of backbone.model.layers.0.self_attn.x_proj.weight is"),
        ("llama_model.base_model.model.lm_head.lora_A.weight", torch.ones(2, 2), "is no name of this format"),
    ],
)
def test_lora_that_does_not_fit_is_refused(
    weights: State, spec: ExperimentSpec, llm: Path, tmp_path: Path, name: str, value: Tensor | None, message: str
) -> None:
    state = visual(weights) | factors(weights)
    state.pop(name, None)
    if value is not None:
        state[name] = value
    with pytest.raises(CheckpointError, match=message):
        imported(tmp_path, spec, state, llm)
    assert not (tmp_path / "out").exists()


def test_lora_of_a_weight_that_is_not_there_is_refused(
    weights: State, spec: ExperimentSpec, llm: Path, tmp_path: Path
) -> None:
    both = {LORA.format("x", "A"): torch.ones(2, 4), LORA.format("x", "B"): torch.ones(4, 2)}
    with pytest.raises(
        CheckpointError, match=r"changes backbone\.model\.layers\.0\.self_attn\.x_proj\.weight, which no"
    ):
        imported(tmp_path, spec, visual(weights) | both, llm)


def test_python_says_that_lora_is_added_by_an_import(weights: State) -> None:
    with pytest.raises(CheckpointError, match=r"4 tensors change weights of another checkpoint, e\.g\. llama_model"):
        import_state_dict("video-chat2", factors(weights))
