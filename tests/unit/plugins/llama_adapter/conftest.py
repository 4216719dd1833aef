"""The released checkpoints of a golden file, in the three parts that they come in."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from vlmkit.spec.experiment import ExperimentSpec
from vlmkit.spec.loading import load_spec

State = dict[str, Tensor]
_CLIP = {
    "class_embedding": "embeddings.class_embedding", "positional_embedding": "embeddings.position_embedding.weight",
    "conv1.weight": "embeddings.patch_embedding.weight", "ln_pre": "pre_layrnorm", "ln_post": "post_layernorm",
    "transformer.resblocks": "encoder.layers", "attn.out_proj": "self_attn.out_proj", "ln_1": "layer_norm1",
    "ln_2": "layer_norm2", "mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2",
}  # fmt: skip
_FROZEN = (".wq.weight", ".wk.weight", ".wv.weight", ".wo.weight", ".w1.weight", ".w2.weight", ".w3.weight")


class Released(NamedTuple):
    """What is published, and where each tensor of the golden file became part of it."""

    adapter: State
    clip: State
    """In the layout of transformers."""
    llm: State
    """In Meta's layout."""
    pieces: dict[str, list[str]]
    """By the name in the golden file the names in one of these; several where a tensor is cut."""


def released_parts(case: Any) -> Released:
    """Cut the checkpoint of a golden file into its parts."""
    found = Released({}, {}, {}, {})
    for name, value in case.checkpoint().items():
        if name.startswith("clip.visual."):
            pieces = clip_of_transformers(name.removeprefix("clip.visual."), value)
            part = found.clip
        elif name in ("llama.tok_embeddings.weight", "llama.output.weight") or name.endswith(_FROZEN):
            pieces, part = {name.removeprefix("llama."): value}, found.llm
        else:
            pieces, part = {name: value}, found.adapter
        part |= pieces
        found.pieces[name] = [*pieces]
    # A language model of its own has norms, which were trained further; CLIP has a side of texts.
    norms = [name for name in found.adapter if name.startswith("llama.") and name.endswith("norm.weight")]
    found.llm.update({name.removeprefix("llama."): found.adapter[name] + 1 for name in norms})
    found.clip["logit_scale"] = torch.zeros(())
    return found


def clip_of_transformers(name: str, value: Tensor) -> State:
    """One tensor of OpenAI's CLIP under the names of transformers."""
    if name == "proj":
        return {"visual_projection.weight": value.T.contiguous()}
    for ours, theirs in _CLIP.items():
        name = name.replace(ours, theirs)
    if "in_proj_" not in name:
        return {f"vision_model.{name}": value}
    kind = name.rpartition("_")[2]
    stem = name.partition("attn.in_proj")[0]
    return {
        f"vision_model.{stem}self_attn.{x}_proj.{kind}": part for x, part in zip("qkv", value.chunk(3), strict=True)
    }


def small(case: Any) -> ExperimentSpec:
    """The shipped spec at the sizes of a golden file, whose pictures are RGB."""
    backbone: Any = load_spec("specs/llama-adapter-7b.yaml").model.backbone
    config = backbone.config | {
        "vocab_size": case["vocab"], "hidden_size": case["llm_width"], "num_hidden_layers": case["layers"],
        "num_attention_heads": case["heads"], "num_key_value_heads": case["heads"],
        "intermediate_size": case["llm_mlp"],
    }  # fmt: skip
    tower = {
        "width": case["clip_width"], "layers": case["clip_layers"], "heads": case["clip_heads"],
        "mlp": 4 * case["clip_width"], "image_size": case["px"],
    }  # fmt: skip
    aligner = {
        "bgr": False, "input.size": case["px"], "joint_width": case["clip_out"], "width": case["v_width"],
        "heads": case["v_heads"], "blocks": case["v_depth"], "queries": case["query_len"],
    } | {f"encoder.{name}": value for name, value in tower.items()}  # fmt: skip
    layers = {"prompts": case["query_len"], "layers": case["query_layer"], "lora_rank": case["lora_rank"]}
    changes = {f"model.aligner.{name}": value for name, value in aligner.items()}
    changes |= {f"model.layers.{name}": value for name, value in layers.items()}
    return load_spec("specs/llama-adapter-7b.yaml", set={"training": None, "model.backbone.config": config} | changes)


@pytest.fixture(params=["llama_adapter_2x56", "llama_adapter_lora_1x56"])
def case(request: Any, golden_file: Any) -> Any:
    """A golden file."""
    return golden_file(request.param)
