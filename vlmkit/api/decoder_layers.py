"""The kind `layers`: parameters inside the language model, a second set of its weights or layers before its own."""

from __future__ import annotations

from abc import abstractmethod
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from vlmkit.api.contract import Promise, Promises, builds, check_int
from vlmkit.api.spec import ComponentSpec

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from vlmkit.api.modules import Layers

__all__ = ["LayersSpec"]


class LayersSpec(ComponentSpec):
    """Options of layers."""

    kind: ClassVar[str] = "layers"
    _promises: ClassVar[Promises] = {
        "extra_layers": Promise(partial(check_int, least=0)),
        "num_prompts": Promise(partial(check_int, least=0)),
        "build": builds("vlmkit.api.modules:Layers", refuses=True),
    }
    families: ClassVar[tuple[str, ...]]
    """Values of transformers' `model_type`: language models whose layers it can change."""

    @property
    def extra_layers(self) -> int:
        """Number of decoder layers that run besides those of the language model: memory is estimated by it."""
        return 0

    @property
    def num_prompts(self) -> int:
        """P: how many prompts of each video it reads, of `TokenContext.prompts`. 0: it reads none. The aligner of the
        model has to give as many (`AlignerSpec.num_prompts`)."""
        return 0

    @abstractmethod
    def build(self, backbone: PreTrainedModel) -> Layers:
        """The module for this language model, which has its weights already: it starts from them, or from fresh ones.

        It neither changes `backbone` nor keeps it; `Layers.install` is called next. A ValueError where the family or
        the sizes do not fit.
        """
