"""The checks of layers: what they make of a language model, whatever is in its batch, with a cache and without.

Shape letters: B sequences, S positions, D LLM width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import AutoConfig, AutoModelForCausalLM

from vlmkit.api.decoder_layers import LayersSpec
from vlmkit.api.modules import Layers
from vlmkit.api.tensors import TokenContext
from vlmkit.testing.initialization import check_initialized
from vlmkit.testing.module_checks import check_gradients

__all__ = ["LayersChecks", "small_backbone"]

LENGTH = 14
GRID = (2, 2)
"""Rows and columns of each frame."""
FRAMES = 2


class _Model(NamedTuple):
    """A small language model with the layers in it."""

    backbone: Any
    layers: Layers

    def run(self, embeddings: Tensor, context: TokenContext, **options: Any) -> Tensor:
        """(B, S, D) -> (B, S, vocabulary) logits."""
        logits: Tensor = self.output(embeddings, context, **options).logits
        return logits

    def output(self, embeddings: Tensor, context: TokenContext, **options: Any) -> Any:
        """Return what the language model gives, with the mask and the positions of the layers."""
        mask, positions = self.layers.attention(context)
        if mask is not None and mask.ndim == 4:
            mask = torch.zeros_like(mask, dtype=embeddings.dtype).masked_fill(~mask, torch.finfo(embeddings.dtype).min)
        inputs = {"inputs_embeds": embeddings, "attention_mask": mask, "position_ids": positions}
        return self.backbone(**inputs, token_context=context, **options)


class LayersChecks:
    """Each public method is a check; it takes a small spec."""

    def __iter__(self) -> Iterator[Callable[[Any], None]]:
        """The checks."""
        yield from (getattr(self, name) for name in vars(type(self)) if name[0] != "_")

    def leaves_names_as_they_are(self, spec: LayersSpec) -> None:
        """Installing gives the language model neither parameters nor submodules, and takes none away."""
        backbone = small_backbone(spec)
        before = {name: id(value) for name, value in backbone.state_dict(keep_vars=True).items()}
        modules = [name for name, _ in backbone.named_modules()]
        layers = spec.build(backbone)
        layers.install(backbone)
        after = {name: id(value) for name, value in backbone.state_dict(keep_vars=True).items()}
        assert before == after, f"weights of the language model changed: {sorted(before.keys() ^ after.keys())}"
        assert modules == [name for name, _ in backbone.named_modules()], "modules of the language model changed"
        assert any(True for _ in layers.parameters()), "there are no parameters"

    def initializes_every_weight(self, spec: LayersSpec) -> None:
        """No weight is as the memory happened to be, and those of the language model stay as they are."""
        backbone = small_backbone(spec)
        before = {name: value.clone() for name, value in backbone.state_dict().items()}
        check_initialized(lambda: spec.build(backbone))
        changed = [name for name, value in backbone.state_dict().items() if not torch.equal(value, before[name])]
        assert not changed, f"weights of the language model changed: {changed}"

    def is_reached_by_gradients(self, spec: LayersSpec) -> None:
        """Every parameter of the layers gets a gradient from visual and text tokens."""
        model = _make(spec)
        embeddings, context = _sequence(spec)
        model.run(embeddings, context).square().sum().backward()
        check_gradients(model.layers)

    def tells_visual_tokens_apart(self, spec: LayersSpec) -> None:
        """The same embeddings give other logits where they are text, and no prompts are there."""
        model = _make(spec)
        embeddings, context = _sequence(spec)
        as_text = TokenContext(context.attention_mask, context.position_ids)
        same = torch.allclose(model.run(embeddings, context), model.run(embeddings, as_text), atol=1e-5)
        assert not same, "visual tokens and text of the same embeddings give the same logits"

    def does_not_depend_on_padding(self, spec: LayersSpec) -> None:
        """A sequence has the same logits alone, and beside a longer one with padding on either side."""
        model = _make(spec)
        embeddings, context = _sequence(spec)
        alone = model.run(embeddings[:, 2:], _cut(context, slice(2, None)))
        for left in (True, False):
            both, mask = _beside_a_longer_one(embeddings, context, left)
            found = model.run(both, mask)[0]
            _check_close(found[2:] if left else found[:-2], alone[0], f"padded on the {'left' if left else 'right'}")

    def agrees_with_its_cache(self, spec: LayersSpec) -> None:
        """Text behind a cache, token by token, has the logits that it has in one pass, alone and in a batch that is
        padded on the left, and its positions follow the highest before them."""
        model, alone = _make(spec), _sequence(spec)
        for what, (embeddings, context) in {"": alone, " of a batch": _beside_a_longer_one(*alone, left=True)}.items():
            whole, begin = model.run(embeddings, context), _first_text_behind(context)
            positions = _given(model.layers.attention(context)[1])
            if model.layers.own_positions:
                highest, following = positions[:, :begin].amax(1).tolist(), positions[:, begin].tolist()
                assert following == [each + 1 for each in highest], (
                    f"positions {following} come next{what} behind {highest}"
                )
            first = model.output(embeddings[:, :begin], _cut(context, slice(begin)), use_cache=True)
            cache, shown = first.past_key_values, _given(context.attention_mask)[:, :begin].bool()
            _check_close(first.logits[shown], whole[:, :begin][shown], f"up to the last visual token{what}")
            for place in range(begin, LENGTH):
                mask = _given(context.attention_mask)[:, : place + 1]
                prompts = {"prompts": context.prompts, "prompts_mask": context.prompts_mask}
                step = TokenContext(mask, positions[:, place : place + 1], place, **prompts)
                found = model.run(embeddings[:, place : place + 1], step, past_key_values=cache, use_cache=True)
                _check_close(found, whole[:, place : place + 1], f"token {place}{what} behind a cache")

    def agrees_between_kernels(self, spec: LayersSpec) -> None:
        """`eager` and `sdpa` attention give the same logits."""
        model = _make(spec)
        found = []
        for kernel in ("eager", "sdpa"):
            model.backbone.set_attn_implementation(kernel)
            found.append(model.run(*_sequence(spec)))
        _check_close(found[0], found[1], "eager attention")

    def agrees_with_recomputed_activations(self, spec: LayersSpec) -> None:
        """Gradient checkpointing changes no gradient."""
        gradients = []
        for recompute in (False, True):
            model = _make(spec)
            model.backbone.train()
            if recompute:
                model.backbone.gradient_checkpointing_enable({"use_reentrant": False})
            model.run(*_sequence(spec), use_cache=False).square().mean().backward()
            gradients.append([parameter.grad for parameter in model.layers.parameters() if parameter.requires_grad])
        for found, expected in zip(*gradients, strict=True):
            _check_close(found, expected, "a gradient with recomputed activations")

    def saving_keeps_every_bit(self, spec: LayersSpec) -> None:
        """A second model with the first one's weights gives the same bits."""
        first, second = _make(spec), _make(spec, seed=1)
        second.backbone.load_state_dict(first.backbone.state_dict())
        second.layers.load_state_dict(first.layers.state_dict())
        assert torch.equal(first.run(*_sequence(spec)), second.run(*_sequence(spec))), "a copy's logits differ"

    def builds_on_meta(self, spec: LayersSpec) -> None:
        """The module can be built and run on text without memory, for `vlmkit check`."""
        with torch.device("meta"):
            backbone = small_backbone(spec)
            layers = spec.build(backbone)
            layers.install(backbone)
            elsewhere = [name for name, value in layers.state_dict().items() if not value.is_meta]
            assert not elsewhere, f"built on the meta device, but elsewhere are {elsewhere}"
            mask, positions = torch.empty(1, 1, 3, 3), torch.empty(1, 3, dtype=torch.int64)
            embeddings = torch.empty(1, 3, backbone.config.hidden_size)
            backbone(inputs_embeds=embeddings, attention_mask=mask, position_ids=positions, use_cache=False)


def small_backbone(spec: LayersSpec) -> Any:
    """Return a language model of the first family that the layers take: 2 layers of 32 channels."""
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "vocab_size": 40}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8}
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(spec.families[0], **sizes, **heads))


def _make(spec: LayersSpec, seed: int = 0) -> _Model:
    """Build a model of the same weights in every call, none of them 0 or equal to another's."""
    torch.manual_seed(seed)
    backbone = small_backbone(spec)
    layers = spec.build(backbone)
    layers.install(backbone)
    with torch.no_grad():
        for parameter in (*backbone.parameters(), *layers.parameters()):
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return _Model(backbone.eval(), layers.eval())


def _sequence(spec: LayersSpec) -> tuple[Tensor, TokenContext]:
    """Return (1, S, D) embeddings, the same in every call, of text, two frames with text between, and text again; with
    the prompts of two videos where the layers read such."""
    embeddings = torch.randn(1, LENGTH, 32, generator=torch.Generator().manual_seed(2))
    visual = torch.zeros(1, LENGTH, dtype=torch.bool)
    frames, cells = torch.full((1, LENGTH), -1), torch.zeros(1, LENGTH, 2, dtype=torch.int64)
    size = GRID[0] * GRID[1]
    for frame in range(FRAMES):
        begin = 3 + frame * (size + 1)
        visual[0, begin : begin + size], frames[0, begin : begin + size] = True, frame
        cells[0, begin : begin + size] = torch.cartesian_prod(torch.arange(GRID[0]), torch.arange(GRID[1]))
    mask = torch.ones(1, LENGTH, dtype=torch.int64)
    context = TokenContext(mask, torch.arange(LENGTH)[None], 0, visual, frames, cells)
    if spec.num_prompts:
        context.prompts = torch.randn(1, 1, 2 * spec.num_prompts, 32, generator=torch.Generator().manual_seed(3))
        context.prompts_mask = torch.ones(1, 2 * spec.num_prompts, dtype=torch.bool)
    return embeddings, context


def _first_text_behind(context: TokenContext) -> int:
    return int(_given(context.visual)[0].nonzero().max()) + 1


def _cut(context: TokenContext, part: slice) -> TokenContext:
    """Return a part of the positions, counted from 0."""
    tensors = (context.attention_mask, context.visual, context.frames, context.cells)
    mask, visual, frames, cells = (tensor[:, part] for tensor in tensors if tensor is not None)
    return TokenContext(mask, _count(mask), 0, visual, frames, cells, context.prompts, context.prompts_mask)


def _count(mask: Tensor) -> Tensor:
    """Return positions (B, S) that count what a mask shows."""
    return (mask.cumsum(1) - 1).clamp(min=0)


def _beside_a_longer_one(embeddings: Tensor, context: TokenContext, left: bool) -> tuple[Tensor, TokenContext]:
    """Return the sequence without its first two positions, padded to its length, and below it the whole of another, of
    half as many prompts."""
    sides = (2, 0) if left else (0, 2)
    short = _cut(context, slice(2, None))
    fields = {}
    for name, fill in (("attention_mask", 0), ("visual", 0), ("frames", -1)):
        fields[name] = torch.cat([pad(getattr(short, name), sides, value=fill), getattr(context, name)])
    cells = torch.cat([pad(_given(short.cells), (0, 0, *sides)), _given(context.cells)])
    frames = fields["frames"] + (fields["frames"] >= 0) * torch.tensor([[0], [100]])
    both = torch.cat([pad(embeddings[:, 2:], (0, 0, *sides)), embeddings.flip(2)])
    mask = fields["attention_mask"]
    found = TokenContext(mask, _count(mask), 0, fields["visual"].bool(), frames, cells)
    if context.prompts is not None:
        count = context.prompts.shape[2]
        found.prompts = torch.cat([context.prompts, context.prompts.flip(3)], 1)
        found.prompts_mask = torch.arange(count) < torch.tensor([[count], [count // 2]])
    return both, found


def _given(tensor: Tensor | None) -> Tensor:
    assert tensor is not None, "positions or a tensor of the context are None, expected a Tensor"
    return tensor


def _check_close(found: Tensor | None, expected: Tensor | None, what: str) -> None:
    far = (_given(found) - _given(expected)).abs().max().item()
    assert torch.allclose(_given(found), _given(expected), atol=1e-5, rtol=1e-4), f"{what}: differs by {far}"
