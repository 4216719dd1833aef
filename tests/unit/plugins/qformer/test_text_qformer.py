"""The Q-Former that reads a text: against InstructBLIP in transformers, and drop path."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import InstructBlipQFormerConfig, InstructBlipQFormerModel

from vlmkit_qformer.qformer import QFormer
from vlmkit_qformer.spec import QFormerOptions, TextQFormerOptions

SMALL = TextQFormerOptions(queries=3, layers=3, width=16, heads=2, mlp=32, words=20, positions=9)


def shaken(module: nn.Module) -> Any:
    """In eval mode, without any zeros."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return module.eval()


def sequences(width: int, count: int = 2) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Queries, tokens of an encoder, ids of texts and their mask."""
    mask = torch.arange(6) < torch.tensor([[6], [2]]).repeat(count // 2, 1)
    return torch.randn(count, 3, 16), torch.randn(count, 5, width), torch.randint(1, 20, (count, 6)), mask


@pytest.mark.parametrize("width", [22, 16])
@pytest.mark.parametrize("every", [1, 2])
def test_it_computes_what_instructblip_of_transformers_does(width: int, every: int) -> None:
    """Outputs, and gradients of all parameters; the encoder as wide as in both systems that use it, in miniature."""
    options = SMALL.model_copy(update={"cross_every": every})
    qformer = shaken(options.build(width))
    config = InstructBlipQFormerConfig(
        vocab_size=options.words, hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=options.positions, cross_attention_frequency=every, encoder_hidden_size=width,
        layer_norm_eps=1e-12,
    )  # fmt: skip
    witness = InstructBlipQFormerModel(config).eval()
    ours = dict(qformer.named_parameters())
    names = {
        name: name.replace("attention.self.", "attention.attention.").replace(
            "embeddings.LayerNorm", "embeddings.layernorm"
        )
        for name in ours
    }
    witness.load_state_dict({names[name]: value.detach().clone() for name, value in ours.items()})
    queries, context, ids, mask = sequences(width)
    found = qformer(queries, context, ids=ids, text_mask=mask)
    whole = torch.cat([torch.ones(2, 3, dtype=torch.int64), mask.long()], 1)
    answer = witness(input_ids=ids, attention_mask=whole, query_embeds=queries, encoder_hidden_states=context)
    expected = answer.last_hidden_state[:, :3]
    torch.testing.assert_close(found, expected, atol=2e-6, rtol=0)
    weight = torch.randn_like(found)
    (found * weight).sum().backward()
    (expected * weight).sum().backward()
    for name, parameter in ours.items():
        gradient = witness.get_parameter(names[name]).grad
        if parameter.requires_grad:
            assert gradient is not None
            torch.testing.assert_close(parameter.grad, gradient, atol=1e-5, rtol=1e-4, msg=name)
        else:
            assert gradient is None or not gradient.any(), name


def test_drop_path_rises_with_the_layers_and_leaves_out_whole_sequences() -> None:
    options = QFormerOptions(queries=3, layers=3, width=16, heads=2, mlp=32, dropout=0, drop_path=0.5)
    qformer: Any = shaken(QFormer(options, 8, words=20))
    outputs = [[module.drop_path for name, module in layer.named_modules() if name.endswith("output")]
               for layer in qformer.encoder.layer]  # fmt: skip
    assert [set(rates) for rates in outputs] == [{0.0}, {0.25}, {0.5}]
    torch.manual_seed(0)
    x, residual = torch.randn(400, 3, 32), torch.randn(400, 3, 16)
    output = qformer.encoder.layer[2].output_query
    whole = output.dense(x)
    output.train()
    found = output(x, residual)
    left_out, doubled = output.LayerNorm(residual), output.LayerNorm(residual + 2 * whole)
    left = (found - left_out).abs().amax((1, 2)) < 1e-5
    torch.testing.assert_close(found[~left], doubled[~left])
    assert 150 < left.sum() < 250
    output.eval()
    torch.testing.assert_close(output(x, residual), output.LayerNorm(residual + whole))
