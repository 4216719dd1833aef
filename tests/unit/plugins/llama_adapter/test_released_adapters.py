"""`vlmkit import llama-adapter`: a file of what was trained, CLIP, and LLaMA in either layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from vlmkit.checkpoints import import_checkpoint
from vlmkit.checkpoints.formats import import_state_dict, match_name, published_format
from vlmkit.errors import CheckpointError
from vlmkit.model import VideoLM, compose
from vlmkit.spec.loading import load_spec

from .conftest import Released, State, released_parts, small

torch.set_num_threads(1)


def write(released: Released, case: Any, layout: str, folder: Path) -> dict[str, Path]:
    """Write the released files; return the places of the parts."""
    torch.save({"model": released.adapter, "config": {"w_bias": True}}, folder / "BIAS-7B.pth")
    (folder / "clip").mkdir()
    save_file(released.clip, folder / "clip" / "model.safetensors")
    (folder / "llm").mkdir()
    if layout == "meta":
        torch.save(released.llm | {"rope.freqs": torch.ones(2)}, folder / "llm" / "consolidated.00.pth")
        return {"clip": folder / "clip", "llm": folder / "llm" / "consolidated.00.pth"}
    state = import_state_dict("llama-adapter", released.llm, "llm", small(case).model)
    theirs: State = {name.removeprefix("backbone."): value for name, value in state.items()}
    save_file({name: value.contiguous() for name, value in theirs.items()}, folder / "llm/model.safetensors")
    backbone: Any = small(case).model.backbone
    (folder / "llm" / "config.json").write_text(json.dumps(backbone.config), encoding="utf-8")
    return {"clip": folder / "clip", "llm": folder / "llm"}


@pytest.mark.parametrize("layout", ["meta", "transformers"])
def test_an_imported_model_gives_the_golden_logits(
    case: Any, layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    places = write(released_parts(case), case, layout, tmp_path)
    source = tmp_path / "BIAS-7B.pth"
    with pytest.raises(CheckpointError, match=r"weights of CLIP ViT-L/14 .*; give it with --with clip=PATH"):
        import_checkpoint("llama-adapter", source, tmp_path / "out", spec=small(case), parts={"llm": places["llm"]})
    report = import_checkpoint("llama-adapter", source, tmp_path / "out", spec=small(case), parts=places)
    assert report.plan.fresh == []
    model = VideoLM.from_pretrained(tmp_path / "out").eval()
    model.config.video_token_id = 1000
    logits = model(input_ids=torch.from_numpy(case["ids"]), pixel_values_videos=case.pixels()).logits
    assert np.abs(logits.detach().numpy() - case["logits"]).max() <= 2e-5


@pytest.mark.parametrize("rank", [0, 16])
def test_every_weight_of_the_shipped_spec_has_a_released_name(rank: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    spec = load_spec("specs/llama-adapter-7b.yaml", set={"model.layers.lora_rank": rank})
    form = published_format("llama-adapter")
    names = [f"{part}.{kind}" for part in ("clip_proj", "clip_proj_norm", "visual_proj", "visual_proj_norm")
             for kind in ("weight", "bias")]  # fmt: skip
    names += ["visual_query.weight", "adapter_query.weight", "llama.norm.weight"]
    inner = ("norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2")
    names += [f"visual_blocks.{i}.{part}.{kind}" for i in range(8) for part in inner for kind in ("weight", "bias")]
    for layer in (f"llama.layers.{index}" for index in range(32)):
        attention, mlp = f"{layer}.attention", f"{layer}.feed_forward"
        names += [f"{attention}.gate", f"{attention}.wq.bias", f"{attention}.wo.bias"]
        names += [f"{layer}.attention_norm.weight", f"{layer}.ffn_norm.weight", *(f"{mlp}.w{i}.bias" for i in "123")]
        if rank:
            places = [*(f"{attention}.lora_w{x}" for x in "qkvo"), *(f"{mlp}.lora_w{i}" for i in "123")]
            names += [f"{attention}.new_gate", *(f"{place}_l{i}.weight" for place in places for i in "12")]
    found = {match_name(form, name).name for name in names}
    model, _ = compose(spec.model, meta=True)
    of_parts = ("aligner.encoder.", "aligner.projection.")
    trained = {name for name in model.state_dict() if name.startswith(("aligner.", "layers.")) or "norm" in name}
    assert found == {name for name in trained if not name.startswith(of_parts)}
