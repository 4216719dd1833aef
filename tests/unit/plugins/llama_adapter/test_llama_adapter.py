"""The aligner and the layers `llama-adapter` against the reference implementation; counts, start and refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, CLIPTextConfig, CLIPTextModelWithProjection, LlamaConfig

from vlmkit.api import CLIP_MEAN, CLIP_STD, TokenContext, VideoBatch
from vlmkit.checkpoints.formats import import_state_dict, match_name, published_format, published_part
from vlmkit_llama_adapter.prompt_layers import LlamaAdapterLayersSpec
from vlmkit_llama_adapter.spec import LlamaAdapterSpec

from .conftest import Released, released_parts, small

torch.set_num_threads(1)


def llama(width: int, layers: int, heads: int, mlp: int, vocab: int, **options: Any) -> Any:
    config = LlamaConfig(
        vocab_size=vocab, hidden_size=width, num_hidden_layers=layers, num_attention_heads=heads,
        num_key_value_heads=heads, intermediate_size=mlp, rms_norm_eps=1e-6, tie_word_embeddings=False, **options,
    )  # fmt: skip
    return AutoModelForCausalLM.from_config(config)


def released_llama() -> Any:
    return llama(4096, 32, 32, 11008, 32000)


def small_parts(**options: Any) -> tuple[Any, Any]:
    """A small LLM, and layers that are installed in it."""
    torch.manual_seed(0)
    backbone = llama(32, 3, 4, 48, 60)
    layers: Any = LlamaAdapterLayersSpec(prompts=2, layers=2, **options).build(backbone)
    layers.install(backbone)
    return backbone.eval(), layers


def aligner_spec(case: Any) -> LlamaAdapterSpec:
    sizes = {"width": case["clip_width"], "layers": case["clip_layers"], "heads": case["clip_heads"]}
    tower = {"type": "clip-vision", "select": -1, "final_norm": True, "image_size": case["px"]}
    return LlamaAdapterSpec.model_validate(
        {
            "input": {"size": case["px"]}, "bgr": False, "encoder": tower | sizes | {"mlp": 4 * case["clip_width"]},
            "joint_width": case["clip_out"], "width": case["v_width"], "heads": case["v_heads"],
            "blocks": case["v_depth"], "queries": case["query_len"],
        }
    )  # fmt: skip


def our_weights(case: Any, released: Released) -> dict[str, Tensor]:
    parts = {"llm": released.llm, "clip": released.clip, "": released.adapter}  # whose norms count
    return {
        name: value
        for part, state in parts.items()
        for name, value in import_state_dict("llama-adapter", state, part, small(case).model).items()
    }


def test_rows_of_metas_layout_move_apart() -> None:
    """By default the heads are those of the shipped spec, of 128 channels."""
    name = "llama.layers.0.attention.wq.bias"
    [found] = import_state_dict("llama-adapter", {name: torch.arange(4096.0)}).values()
    assert found[:4].tolist() == [0, 2, 4, 6]
    assert found[64:68].tolist() == [1, 3, 5, 7]
    assert found[128:130].tolist() == [128, 130]


@pytest.fixture
def model(case: Any) -> tuple[Any, Released]:
    """The three parts by name, and what their weights are from."""
    backbone = llama(case["llm_width"], case["layers"], case["heads"], case["llm_mlp"], case["vocab"])
    spec = LlamaAdapterLayersSpec(
        prompts=case["query_len"], layers=case["query_layer"], lora_rank=case["lora_rank"], biases=True
    )
    layers = spec.build(backbone)
    layers.install(backbone)
    aligner = aligner_spec(case).build(case["llm_width"])
    parts, released = nn.ModuleDict({"aligner": aligner, "backbone": backbone, "layers": layers}), released_parts(case)
    parts.load_state_dict(our_weights(case, released), strict=True)
    return parts.eval(), released


def ours(released: Released, name: str) -> list[str]:
    """The names here of a tensor of the golden file."""
    form = published_format("llama-adapter")
    part = published_part(form, "clip" if name.startswith("clip.") else "llm")
    rules = form if released.pieces[name][0] in released.adapter else part
    return [match_name(rules, piece).name for piece in released.pieces[name]]


def test_outputs_and_gradients(case: Any, model: tuple[Any, Released]) -> None:
    parts, released = model
    backbone, layers = parts["backbone"], parts["layers"]
    tokens = parts["aligner"](VideoBatch.full(case.pixels()))
    case.check("visual_query", tokens.prompts[0])
    assert tokens.embeddings.shape == (case["B"], 0, case["llm_width"])

    ids = torch.from_numpy(case["ids"])
    there = torch.ones(tokens.prompts.shape[1:3], dtype=torch.bool)
    context = TokenContext(None, None, prompts=tokens.prompts, prompts_mask=there)
    case.check("prompts", torch.stack([layers.prompts(k, context) for k in range(case["query_layer"])]))

    first = backbone.model.layers[case["layers"] - case["query_layer"]]
    hidden = case.noise("hidden", case["B"], ids.shape[1], case["llm_width"])
    angles = backbone.model.rotary_emb(hidden, torch.arange(ids.shape[1])[None])
    mask = torch.full((ids.shape[1],) * 2, torch.finfo(torch.float32).min).triu(1)[None, None]
    options = {"position_embeddings": angles, "attention_mask": mask, "token_context": context}
    case.check("attention_out", first.self_attn(hidden, **options)[0])
    case.check("layer_out", first(hidden, **options))

    output = backbone(input_ids=ids, token_context=context)
    assert np.abs(output.logits.detach().numpy() - case["logits"]).max() <= 2e-5
    (output.logits * torch.from_numpy(case.fill.cotangent(case.seed, tuple(output.logits.shape)))).mean().backward()
    own: dict[str, Any] = dict(parts.named_parameters())
    norms = dict(zip(case["grad_names"].tolist(), case["grad_norms"].tolist(), strict=True))
    for name in case["names"].tolist():
        gradients = [own.pop(each).grad for each in ours(released, name)]
        if name in norms:
            found = torch.cat([gradient.flatten() for gradient in gradients]).norm().item()
            assert found == pytest.approx(norms[name], rel=1e-4), name
        else:
            assert gradients == [None], name
    assert not own


def test_kernels_agree(case: Any, model: tuple[Any, Released]) -> None:
    parts, _ = model
    parts["backbone"].set_attn_implementation("eager")
    prompts = parts["aligner"](VideoBatch.full(case.pixels())).prompts
    context = TokenContext(None, None, prompts=prompts, prompts_mask=torch.ones(prompts.shape[1:3], dtype=torch.bool))
    logits = parts["backbone"](input_ids=torch.from_numpy(case["ids"]), token_context=context).logits
    assert np.abs(logits.detach().numpy() - case["logits"]).max() <= 2e-5


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_parameters_of_the_released_model() -> None:
    """Table 1 of Video-Panda counts also what the code keeps of CLIP's side of texts: all but its transformer."""
    with torch.device("meta"):
        aligner: Any = LlamaAdapterSpec().build(4096)
        layers: Any = LlamaAdapterLayersSpec(lora_rank=16).build(released_llama())
        config = CLIPTextConfig(hidden_size=768, projection_dim=768, num_hidden_layers=0, vocab_size=49408)
        texts = CLIPTextModelWithProjection(config)
    assert count(aligner.encoder) + count(aligner.projection) == 303_966_208
    assert count(aligner) == 364_427_008
    assert count(aligner) + count(layers.adapter_query) == 365_696_768
    logit_scale = 1
    assert count(texts) + logit_scale == 38_595_841
    assert count(aligner) + count(layers.adapter_query) + count(texts) + logit_scale == 404_292_609
    assert count(layers.biases) == 1_097_728
    assert count(layers.lora) == 39_976_960
    assert (count(layers.gates), count(layers.new_gates)) == (32 * 32, 32)


def test_the_llm_starts_as_it_was() -> None:
    torch.manual_seed(0)
    plain, embeddings = llama(32, 3, 4, 48, 60).eval(), torch.randn(2, 6, 32)
    for options in ({}, {"lora_rank": 2}, {"biases": False}):
        backbone, layers = small_parts(**options)
        context = TokenContext(
            None, None, prompts=torch.randn(1, 2, 2, 32), prompts_mask=torch.ones(2, 2, dtype=torch.bool)
        )
        found = backbone(inputs_embeds=embeddings, token_context=context).logits
        torch.testing.assert_close(found, plain(inputs_embeds=embeddings).logits, atol=1e-6, rtol=1e-5)
        assert layers.adapter_query.weight.std().item() == pytest.approx(1, rel=0.2)
        assert [gate.requires_grad for gate in layers.gates] == [False, True, True]


def test_every_sequence_reads_its_own_prompts() -> None:
    backbone, layers = small_parts()
    with torch.no_grad():
        for gate in layers.gates:
            gate.fill_(1.0)
    embeddings, prompts = torch.randn(3, 5, 32), torch.randn(2, 3, 4, 32)
    mask = torch.tensor([[True] * 4, [True] * 2 + [False] * 2, [False] * 4])
    context = TokenContext(None, None, prompts=prompts, prompts_mask=mask)
    together = backbone(inputs_embeds=embeddings, token_context=context).logits
    for row, number in enumerate((4, 2, 0)):
        own = TokenContext(
            None, None, prompts=prompts[:, row : row + 1, :number], prompts_mask=mask[row, None, :number]
        )
        alone = backbone(inputs_embeds=embeddings[row, None], token_context=own if number else None).logits[0]
        torch.testing.assert_close(together[row], alone, atol=1e-5, rtol=1e-4)
    with pytest.raises(ValueError, match="prompts of 1 or 2 layers, found those of 3"):
        layers.prompts(0, TokenContext(None, None, prompts=torch.randn(3, 1, 2, 32)))


def test_blue_comes_first_where_the_code_has_it_so() -> None:
    spec = LlamaAdapterSpec.tiny()
    torch.manual_seed(0)
    swapped: Any = spec.build(16)
    plain: Any = spec.model_copy(update={"bgr": False}).build(16)
    plain.load_state_dict(swapped.state_dict())
    picture = torch.rand(1, 1, 3, 28, 28)
    mean, std = (torch.tensor(value)[:, None, None] for value in (CLIP_MEAN, CLIP_STD))
    found = swapped(VideoBatch.full((picture - mean) / std)).prompts
    expected = plain(VideoBatch.full((picture.flip(2) - mean) / std)).prompts
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(found, plain(VideoBatch.full((picture - mean) / std)).prompts, atol=1e-3)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"input\.frames is 8, expected 1"):
        LlamaAdapterSpec.model_validate({"input": {"frames": 8}})
    with pytest.raises(ValueError, match="layers is 31, but the language model has 3"):
        LlamaAdapterLayersSpec().build(llama(32, 3, 4, 48, 60))
