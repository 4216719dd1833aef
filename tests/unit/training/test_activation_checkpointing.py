"""Recomputed activations: the same gradients, also through frozen layers that have dropout."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM

from vlmkit.training.activation_checkpointing import checkpointed_layers, set_activation_checkpointing

SMALL = {
    "llama": {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2},
    "opt": {"hidden_size": 16, "ffn_dim": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
            "word_embed_proj_dim": 16, "max_position_embeddings": 64, "dropout": 0.5},
    "falcon": {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "hidden_dropout": 0.5},
}  # fmt: skip


@pytest.fixture(params=SMALL)
def frozen(request: pytest.FixtureRequest) -> Any:
    torch.manual_seed(0)
    config = AutoConfig.for_model(request.param, vocab_size=32, **SMALL[request.param])
    return AutoModelForCausalLM.from_config(config).requires_grad_(False).eval()


def gradient(model: Any) -> Tensor:
    """Of a frozen model's logits by its inputs; the layers that recompute are in training mode."""
    for layer in checkpointed_layers(model):
        layer.training = True
    torch.manual_seed(1)
    inputs = torch.randn(1, 5, 16).requires_grad_()
    model(inputs_embeds=inputs, use_cache=False).logits.square().sum().backward()
    assert inputs.grad is not None
    return inputs.grad


def test_frozen_layers_do_the_same(frozen: Any) -> None:
    expected = gradient(frozen)
    set_activation_checkpointing(frozen, enabled=True)
    assert len(list(checkpointed_layers(frozen))) >= 2
    assert torch.equal(gradient(frozen), expected)


def test_frozen_layers_recompute(frozen: Any) -> None:
    """Forward runs twice; the layers are in training mode again for the next decision."""
    set_activation_checkpointing(frozen, enabled=True)
    ran: list[int] = []
    *_, layer = checkpointed_layers(frozen)
    next(child for child in layer.modules() if isinstance(child, nn.Linear)).register_forward_hook(
        lambda *_: ran.append(1)
    )
    gradient(frozen)
    assert len(ran) == 2
    assert all(layer.training for layer in checkpointed_layers(frozen))


def test_it_can_be_switched_off_again(frozen: Any) -> None:
    set_activation_checkpointing(frozen, enabled=True)
    set_activation_checkpointing(frozen, enabled=False)
    assert not list(checkpointed_layers(frozen))
