"""The layers eve-v2 against the reference implementation."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, Qwen2Config

from vlmkit.api import TokenContext
from vlmkit_eve.visual_set import EveV2LayersSpec

torch.set_num_threads(1)


def qwen(file: Any = None, **options: Any) -> Any:
    """The LLM of a golden file, or one with these options."""
    sizes = options or {
        "vocab_size": int(file["vocab"]),
        "hidden_size": int(file["llm_width"]),
        "num_hidden_layers": int(file["layers"]),
        "num_attention_heads": int(file["heads"]),
        "num_key_value_heads": int(file["kv_heads"]),
        "intermediate_size": int(file["llm_mlp"]),
        "rms_norm_eps": float(file["eps"]),
        "rope_parameters": {"rope_type": "default", "rope_theta": float(file["rope_theta"])},
    }
    return AutoModelForCausalLM.from_config(Qwen2Config(**sizes, tie_word_embeddings=False))


class Embedding(nn.Module):
    """EVEv2's patch embedding: a class vector, then rows of cells, each ended by a split vector."""

    def __init__(self, width: int, llm_width: int) -> None:
        super().__init__()
        self.class_embedding = nn.Parameter(torch.empty(llm_width))
        self.split_embedding = nn.Parameter(torch.empty(llm_width))
        self.patch_embedding = nn.Sequential(nn.Conv2d(3, width, 16, 16), nn.GELU(), nn.Conv2d(width, llm_width, 2, 2))

    def forward(self, pixels: Tensor) -> Tensor:
        """(F, 3, H, W) -> (F, N, D)."""
        cells = self.patch_embedding(pixels).permute(0, 2, 3, 1)
        splits = self.split_embedding.expand(*cells.shape[:2], 1, -1)
        rows = torch.cat([cells, splits], 2).flatten(1, 2)
        return torch.cat([self.class_embedding.expand(len(pixels), 1, -1), rows], 1)


def name_here(published: str) -> str:
    name = published.removeprefix("model.")
    if name.startswith("vision_tower."):
        return name.replace("vision_tower", "embedding")
    if "moe_" in name:
        return "layers." + name.replace("layers.", "visual.").replace("moe_", "")
    return f"backbone.{published}"


@pytest.fixture
def evev2(golden: Path, fill: ModuleType) -> tuple[nn.ModuleDict, Any]:
    file = np.load(golden / "evev2_2x64x96.npz")
    backbone = qwen(file)
    parts = nn.ModuleDict(
        {"embedding": Embedding(int(file["patch_width"]), int(file["llm_width"])), "backbone": backbone}
    )
    parts["layers"] = EveV2LayersSpec().build(backbone)
    parts["layers"].install(backbone)
    shapes = [tuple(map(int, shape.split("x"))) for shape in file["shapes"]]
    weights = fill.weights(dict(zip(file["names"].tolist(), shapes, strict=True)), str(file["seed"]))
    parts.load_state_dict({name_here(name): torch.from_numpy(value) for name, value in weights.items()}, strict=True)
    return parts.eval(), file


@pytest.mark.parametrize("kernel", ["sdpa", "eager"])
def test_outputs_and_gradients(evev2: tuple[nn.ModuleDict, Any], fill: ModuleType, kernel: str) -> None:
    parts, file = evev2
    backbone, seed = parts["backbone"], str(file["seed"])
    backbone.set_attn_implementation(kernel)
    tokens = parts["embedding"](torch.from_numpy(fill.pixels(seed, 1, 2, 64, 96)[0]))
    assert np.abs(tokens.detach().numpy() - file["tokens"]).max() <= 1e-5

    pieces, images = [], iter(tokens)
    for index in torch.from_numpy(file["ids"]):
        pieces.append(next(images) if index == -200 else backbone.get_input_embeddings()(index)[None])
    embeddings = torch.cat(pieces)[None]
    visual = torch.from_numpy(file["visual"])[None]
    context = TokenContext(None, None, visual=visual)
    output = backbone(inputs_embeds=embeddings, token_context=context, output_hidden_states=True)
    assert np.abs(output.hidden_states[1][0].detach().numpy() - file["layer0_out"]).max() <= 2e-5
    assert np.abs(output.logits.detach().numpy() - file["logits"]).max() <= 2e-5

    (output.logits * torch.from_numpy(fill.cotangent(seed, tuple(output.logits.shape)))).mean().backward()
    gradients = {name: parameter.grad for name, parameter in parts.named_parameters()}
    for name, norm in zip(file["grad_names"].tolist(), file["grad_norms"].tolist(), strict=True):
        assert gradients.pop(name_here(name)).norm().item() == pytest.approx(norm, rel=1e-4), name
    assert not gradients


def test_parameters_of_the_released_model() -> None:
    sizes = {"hidden_size": 3584, "num_hidden_layers": 28, "num_attention_heads": 28, "num_key_value_heads": 4}
    with torch.device("meta"):
        backbone = qwen(vocab_size=152064, intermediate_size=18944, **sizes)
        layers = EveV2LayersSpec().build(backbone)
    assert sum(p.numel() for p in layers.parameters()) == 6_525_618_176
    assert sum(p.numel() for p in backbone.parameters()) == 7_615_616_512


def test_the_second_set_starts_as_the_first_and_is_its_own() -> None:
    torch.manual_seed(0)
    small = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    backbone = qwen(vocab_size=60, intermediate_size=48, **small)
    embeddings, visual = torch.randn(2, 7, 32), torch.rand(2, 7) > 0.5
    before = backbone(inputs_embeds=embeddings).logits
    layers = EveV2LayersSpec().build(backbone)
    layers.install(backbone)
    context = TokenContext(None, None, visual=visual)
    torch.testing.assert_close(backbone(inputs_embeds=embeddings, token_context=context).logits, before)
    with torch.no_grad():
        layers.visual[0].mlp.up_proj.weight.zero_()
    changed = backbone.model.layers[0](
        embeddings,
        position_embeddings=backbone.model.rotary_emb(embeddings, torch.arange(7)[None]),
        token_context=context,
    )
    kept = backbone.model.layers[0](
        embeddings, position_embeddings=backbone.model.rotary_emb(embeddings, torch.arange(7)[None])
    )
    differs = (changed - kept).abs().amax(-1) > 1e-6
    assert torch.equal(differs, visual)
    assert torch.equal(backbone(inputs_embeds=embeddings).logits, before)


def test_another_family_is_refused() -> None:
    from transformers import GPT2Config

    backbone = AutoModelForCausalLM.from_config(GPT2Config(n_embd=8, n_layer=1, n_head=2, vocab_size=10))
    with pytest.raises(ValueError, match=r"of the family qwen2 or llama or mistral or qwen3, found 'gpt2'"):
        EveV2LayersSpec().build(backbone)
