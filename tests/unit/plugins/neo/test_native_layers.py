"""The layers neo against the reference implementation, and their start."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoModelForCausalLM, DynamicCache, Qwen3Config, StaticCache

from vlmkit.api import TokenContext, UserError
from vlmkit_neo.native_layers import NeoLayersSpec

torch.set_num_threads(1)
FILES = ("neo_2_images", "neo_3_frames")


def qwen(width: int, layers: int, heads: int, kv_heads: int, mlp: int, vocab: int = 60, **options: Any) -> Any:
    config = Qwen3Config(
        vocab_size=vocab, hidden_size=width, num_hidden_layers=layers, num_attention_heads=heads,
        num_key_value_heads=kv_heads, intermediate_size=mlp, rms_norm_eps=1e-6,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6}, **options,
    )  # fmt: skip
    return AutoModelForCausalLM.from_config(config)


def small() -> Any:
    torch.manual_seed(0)
    return qwen(32, 2, 4, 2, 48, head_dim=16)


class Embedding(nn.Module):
    """NEO's patch embedding: features of 16-pixel patches turned by column and row, then cells of 2x2 patches."""

    def __init__(self, width: int, llm_width: int, theta: float) -> None:
        super().__init__()
        self.patch_embedding = nn.Conv2d(3, width, 16, 16)
        self.dense_embedding = nn.Conv2d(width, llm_width, 2, 2)
        self.theta = theta

    def forward(self, pixels: Tensor) -> Tensor:
        """(3, H, W) -> (N, D)."""
        x = F.gelu(self.patch_embedding(pixels[None]))[0].permute(1, 2, 0)
        rows, columns = torch.meshgrid(*map(torch.arange, x.shape[:2]), indexing="ij")
        half = x.shape[-1] // 2
        turned = [self._turn(x[..., :half], columns), self._turn(x[..., half:], rows)]
        return self.dense_embedding(torch.cat(turned, -1).permute(2, 0, 1)[None])[0].flatten(1).T

    def _turn(self, x: Tensor, places: Tensor) -> Tensor:
        pairs = x.unflatten(-1, (-1, 2))
        count = pairs.shape[-2]
        angles = places[..., None] * self.theta ** (-torch.arange(count) / count)
        first, second = pairs.unbind(-1)
        cos, sin = angles.cos(), angles.sin()
        return torch.stack([first * cos - second * sin, first * sin + second * cos], -1).flatten(-2)


def name_here(published: str, before: int) -> str:
    if published.startswith("vision_model."):
        return published.replace("vision_model.embeddings", "embedding")
    name = published.removeprefix("language_model.")
    if not name.startswith("model.layers."):
        return f"backbone.{name}"
    _, _, index, rest = name.split(".", 3)
    *_, last, _ = rest.split(".")
    if last.endswith(("_hw", "_h", "_w")):
        return f"layers.spatial.{index}.{last}.weight"
    if int(index) < before:
        return f"layers.before.{index}.{rest}"
    return f"backbone.model.layers.{int(index) - before}.{rest}"


@pytest.fixture(params=FILES)
def neo(request: Any, golden: Path, fill: ModuleType) -> tuple[nn.ModuleDict, Any]:
    file = np.load(golden / f"{request.param}.npz")
    before, width = int(file["extra_layers"]), int(file["llm_width"])
    own = int(file["layers"]) - before
    backbone = qwen(
        width, own, int(file["heads"]), int(file["kv_heads"]), int(file["llm_mlp"]), head_dim=int(file["head_dim"]),
        tie_word_embeddings=False,
    )  # fmt: skip
    layers = NeoLayersSpec(before=before, theta=float(file["rope_theta_hw"])).build(backbone)
    layers.install(backbone)
    embedding = Embedding(int(file["patch_width"]), width, float(file["rope_theta_vision"]))
    parts = nn.ModuleDict({"embedding": embedding, "backbone": backbone, "layers": layers})
    shapes = [tuple(map(int, shape.split("x"))) for shape in file["shapes"]]
    weights = fill.weights(dict(zip(file["names"].tolist(), shapes, strict=True)), str(file["seed"]))
    parts.load_state_dict({name_here(name, before): torch.from_numpy(x) for name, x in weights.items()}, strict=True)
    return parts.eval(), file


def context_of(file: Any) -> TokenContext:
    """The context, from the ids and grids of a golden file."""
    ids = torch.from_numpy(file["ids"])
    visual = ids == int(file["img_context"])
    cells, frames = torch.zeros(len(ids), 2, dtype=torch.int64), torch.full((len(ids),), -1)
    grids = [tuple((grid // 2).tolist()) for grid in file["grid"]]
    places = [(frame, row, column) for frame, (h, w) in enumerate(grids) for row in range(h) for column in range(w)]
    placed = torch.tensor(places)
    frames[visual], cells[visual] = placed[:, 0], placed[:, 1:]
    return TokenContext(None, torch.arange(len(ids))[None], visual=visual[None], frames=frames[None], cells=cells[None])


def test_mask_and_positions(neo: tuple[nn.ModuleDict, Any]) -> None:
    parts, file = neo
    context = context_of(file)
    mask, positions = parts["layers"].attention(context)
    assert torch.equal(mask[0, 0], torch.from_numpy(file["mask"]))
    expected = torch.from_numpy(file["indexes"])
    assert torch.equal(positions[0], expected[0])
    assert torch.equal(context.cells[0], expected[1:].T)


@pytest.mark.parametrize("kernel", ["sdpa", "eager"])
def test_outputs_and_gradients(neo: tuple[nn.ModuleDict, Any], fill: ModuleType, kernel: str) -> None:
    parts, file = neo
    backbone, layers, seed = parts["backbone"], parts["layers"], str(file["seed"])
    backbone.set_attn_implementation(kernel)
    images = [fill.pixels(f"{seed}/{i}", 1, 1, *size)[0, 0] for i, size in enumerate(file["sizes"].tolist())]
    tokens = torch.cat([parts["embedding"](torch.from_numpy(image)) for image in images])
    assert np.abs(tokens.detach().numpy() - file["tokens"]).max() <= 1e-5

    context = context_of(file)
    seen, positions = layers.attention(context)
    mask = torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)
    table = backbone.get_input_embeddings()
    ids = torch.from_numpy(file["ids"])[None]
    embeddings = table(ids).masked_scatter(context.visual[..., None], tokens)
    angles = backbone.model.rotary_emb(embeddings, positions)
    first = (*layers.before, *backbone.model.layers)[0]
    options = {"position_embeddings": angles, "attention_mask": mask, "token_context": context}
    attended, _ = first.self_attn(embeddings, **options)
    assert np.abs(attended[0].detach().numpy() - file["attention0_of_embeds"]).max() <= 2e-5
    assert np.abs(first(embeddings, **options)[0].detach().numpy() - file["layer0_out"]).max() <= 2e-5

    output = backbone(inputs_embeds=embeddings, attention_mask=mask, position_ids=positions, token_context=context)
    assert np.abs(output.logits.detach().numpy() - file["logits"]).max() <= 2e-5
    (output.logits * torch.from_numpy(fill.cotangent(seed, tuple(output.logits.shape)))).mean().backward()
    gradients = {name: parameter.grad for name, parameter in parts.named_parameters()}
    before = int(file["extra_layers"])
    for name, norm in zip(file["grad_names"].tolist(), file["grad_norms"].tolist(), strict=True):
        assert gradients.pop(name_here(name, before)).norm().item() == pytest.approx(norm, rel=1e-4), name
    assert not gradients


@pytest.mark.parametrize(
    ("sizes", "before", "tied", "of_before", "of_own", "of_llm"),
    [
        ((2048, 28, 16, 8, 6144), 12, True, 679_532_544, 176_167_936, 1_720_574_976),
        ((4096, 36, 32, 8, 12288), 6, False, 1_283_509_248, 754_983_936, 8_190_735_360),
    ],
    ids=["2b", "9b"],
)
def test_parameters_of_the_released_models(
    sizes: tuple[int, ...], before: int, tied: bool, of_before: int, of_own: int, of_llm: int
) -> None:
    with torch.device("meta"):
        backbone = qwen(*sizes, vocab=151936, head_dim=128, tie_word_embeddings=tied)
        layers: Any = NeoLayersSpec(before=before).build(backbone)
    spatial = [sum(p.numel() for p in axes.parameters()) for axes in layers.spatial]
    assert sum(p.numel() for p in layers.before.parameters()) + sum(spatial[:before]) == of_before
    assert sum(spatial[before:]) == of_own
    assert sum(p.numel() for p in backbone.parameters()) == of_llm


def test_the_llms_own_layers_start_as_they_were() -> None:
    backbone = small()
    embeddings = torch.randn(1, 6, 32)
    before = backbone(inputs_embeds=embeddings).logits
    layers: Any = NeoLayersSpec(before=0).build(backbone)
    layers.install(backbone)
    cells = torch.randint(0, 5, (1, 6, 2))
    context = TokenContext(None, None, cells=cells)
    torch.testing.assert_close(backbone(inputs_embeds=embeddings, token_context=context).logits, before)
    query = backbone.model.layers[1].self_attn.q_proj.weight.view(4, 16, 32)
    spatial = layers.spatial[1].q_proj_hw.weight.view(4, 2, 8, 32)
    for half in spatial.unbind(1):
        assert torch.equal(half, torch.cat([query[:, :4], query[:, 8:12]], 1))
    assert not layers.spatial[1].k_proj_hw.weight.any()


def test_layers_before_are_drawn() -> None:
    backbone = small()
    layers: Any = NeoLayersSpec(before=2).build(backbone)
    matrices = [p for part in (*layers.before, *layers.spatial[:2]) for p in part.parameters() if p.ndim > 1]
    vectors = [p for part in (*layers.before, *layers.spatial) for p in part.parameters() if p.ndim == 1]
    assert torch.cat([p.flatten() for p in matrices]).std().item() == pytest.approx(0.02, rel=0.02)
    assert all((p == 1).all() for p in vectors)
    assert not torch.equal(layers.before[0].mlp.up_proj.weight, layers.before[1].mlp.up_proj.weight)


def test_a_cache_keeps_the_layers_before() -> None:
    backbone = small()
    layers = NeoLayersSpec(before=1).build(backbone)
    layers.install(backbone)
    embeddings = torch.randn(1, 6, 32)
    whole = backbone(inputs_embeds=embeddings).logits
    cache = DynamicCache(config=backbone.config)
    backbone(inputs_embeds=embeddings[:, :5], past_key_values=cache, use_cache=True)
    assert [layer.keys.shape[-1] for layer in cache.layers] == [32, 32, 32]
    step = backbone(inputs_embeds=embeddings[:, 5:], past_key_values=cache, use_cache=True)
    torch.testing.assert_close(step.logits, whole[:, 5:], atol=1e-5, rtol=1e-4)
    with pytest.raises(UserError, match="need a dynamic cache"):
        backbone(inputs_embeds=embeddings, past_key_values=StaticCache(backbone.config, 8), use_cache=True)


def test_heads_that_have_no_quarters_are_refused() -> None:
    with pytest.raises(ValueError, match="heads of 6 channels cannot be cut into quarters"):
        NeoLayersSpec().build(qwen(32, 1, 4, 2, 48, head_dim=6))
