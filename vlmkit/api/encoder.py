"""The kind `encoder`: a pretrained vision tower. Encoder-based aligners and teachers share one implementation."""

from __future__ import annotations

from abc import abstractmethod
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from vlmkit.api.bounds import Channels, Side
from vlmkit.api.contract import Promise, Promises, builds, check_int, check_none, check_optional_int
from vlmkit.api.spec import ComponentSpec

if TYPE_CHECKING:
    from vlmkit.api.modules import Encoder

__all__ = ["EncoderSpec"]


class EncoderSpec(ComponentSpec):
    """Options of an encoder. Without `path` its weights are random."""

    kind: ClassVar[str] = "encoder"
    _promises: ClassVar[Promises] = {
        "frame_limit": Promise(check_optional_int),
        "num_blocks": Promise(partial(check_int, least=0)),
        "check_size": Promise(check_none, refuses=True),
        "build": builds("vlmkit.api.modules:Encoder", refuses=True),
    }
    prefix_tokens: ClassVar[int] = 1
    """P: tokens before the patches (1: CLS)."""

    path: str | None = None
    """Local folder or hub id of the weights; None: random."""

    width: Channels
    """C: channels of its features."""
    patch: Side
    """Side of a patch, pixels."""

    @property
    def frame_limit(self) -> int | None:
        """The most frames that a video may have; None: any number."""
        return None

    @property
    def num_blocks(self) -> int:
        """How many blocks there are whose outputs `Encoder.block_outputs` gives; 0: it gives none."""
        return 0

    def check_size(self, size: int) -> None:
        """A ValueError, with both numbers, where it cannot take frames of size x size pixels (its position table)."""

    @abstractmethod
    def build(self) -> Encoder:
        """The module, freshly initialized; `Encoder.load_pretrained` then takes the weights from `path`."""
