"""The conformance kit finds layers that do not keep their promises."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vlmkit.api import Layers, LayersSpec, TokenContext
from vlmkit.registry import registry
from vlmkit.testing import checks


class _Shift(Layers):
    """Adds a vector to the visual tokens before each layer."""

    def __init__(self, backbone: Any) -> None:
        super().__init__()
        self.shift = nn.ParameterList(torch.randn(backbone.config.hidden_size) for _ in backbone.model.layers)

    def install(self, backbone: Any) -> None:
        for layer, shift in zip(backbone.model.layers, self.shift, strict=True):
            layer.register_forward_pre_hook(self.moved(shift), with_kwargs=True)

    def moved(self, shift: Tensor) -> Any:
        def before(_: Any, args: tuple[Tensor, ...], kwargs: dict[str, Any]) -> Any:
            context: TokenContext | None = kwargs.get("token_context")
            if context is None or context.visual is None:
                return None
            return (args[0] + shift * context.visual[..., None], *args[1:]), kwargs

        return before


def faults(module: type[Layers]) -> dict[str, str]:
    """The words of the kit about layers with this module, by the name of the check."""

    class ShiftSpec(LayersSpec):
        """Options."""

        type: str = "shift"
        families = ("llama",)

        def build(self, backbone: Any) -> Layers:
            return module(backbone)

    found = {}
    for check in checks("layers"):
        try:
            check(ShiftSpec())
        except AssertionError as error:
            found[check.__name__] = str(error)
    return found


def test_takes_layers_that_keep_them() -> None:
    assert faults(_Shift) == {}


def test_finds_parameters_that_the_llm_gets() -> None:
    class Inside(_Shift):
        def install(self, backbone: Any) -> None:
            super().install(backbone)
            backbone.model.layers[0].shift = self.shift[0]

    said = faults(Inside)["leaves_names_as_they_are"]
    assert said == "weights of the language model changed: ['model.layers.0.shift']"


def test_finds_an_attention_of_something_else() -> None:
    class Wordless(_Shift):
        def attention(self, context: TokenContext) -> Any:
            return None

    found = faults(Wordless)
    assert len(found) >= 6
    assert all("attention gives None" in said for said in found.values())


def test_finds_a_parameter_without_use_and_tokens_that_are_all_alike() -> None:
    class Idle(_Shift):
        def install(self, backbone: Any) -> None:
            pass

    found = faults(Idle)
    assert "no gradient reaches ['shift.0', 'shift.1']" in found["is_reached_by_gradients"]
    assert "visual" in found["tells_visual_tokens_apart"]


@pytest.mark.parametrize(
    ("change", "check"),
    [
        (lambda context: (None, context.position_ids), "does_not_depend_on_padding"),
        (lambda context: (context.attention_mask, context.position_ids + context.past), "agrees_with_its_cache"),
    ],
)
def test_finds_attention_that_looks_at_padding_and_forgets_the_cache(change: Any, check: str) -> None:
    class Careless(_Shift):
        def attention(self, context: TokenContext) -> Any:
            return change(context)

    assert "differs by" in faults(Careless)[check]


def test_finds_rows_of_a_batch_that_see_each_other() -> None:
    class Mixing(_Shift):
        def moved(self, shift: Tensor) -> Any:
            def before(_: Any, args: tuple[Tensor, ...], kwargs: dict[str, Any]) -> Any:
                mean = args[0].mean(0, keepdim=True) if "token_context" in kwargs else 0
                return (args[0] + shift * mean, *args[1:]), kwargs

            return before

    assert "padded on the left: differs by" in faults(Mixing)["does_not_depend_on_padding"]


def test_finds_positions_behind_a_cache_that_count_padding() -> None:
    class Counting(_Shift):
        def attention(self, context: TokenContext) -> Any:
            if not context.past:
                return context.attention_mask, context.position_ids
            return context.attention_mask, torch.full_like(context.position_ids, context.past)

    assert "of a batch behind a cache: differs by" in faults(Counting)["agrees_with_its_cache"]


def test_finds_positions_that_do_not_follow_the_highest() -> None:
    class Leaping(_Shift):
        own_positions = True

        def attention(self, context: TokenContext) -> Any:
            return context.attention_mask, context.position_ids if context.past else 2 * context.position_ids  # type: ignore[operator]

    assert faults(Leaping)["agrees_with_its_cache"] == "positions [24] come next behind [22]"


def test_finds_weights_that_nobody_initializes() -> None:
    class Left(_Shift):
        def __init__(self, backbone: Any) -> None:
            super().__init__(backbone)
            self.shift[1] = nn.Parameter(torch.empty(backbone.config.hidden_size))

    assert faults(Left)["initializes_every_weight"] == "never initialized: ['shift.1']"


def test_finds_weights_of_the_llm_that_change() -> None:
    class Taking(_Shift):
        def __init__(self, backbone: Any) -> None:
            super().__init__(backbone)
            with torch.no_grad():
                backbone.model.norm.weight.add_(1)

    said = faults(Taking)["initializes_every_weight"]
    assert said == "weights of the language model changed: ['model.norm.weight']"


def test_every_component_of_the_kind_is_checked() -> None:
    assert {"eve-v2", "neo"} <= set(registry().names("layers"))
    assert len(checks("layers")) >= 10
