"""Parts of BLIP-2 (arXiv:2301.12597) and InstructBLIP (arXiv:2305.06500) that aligners take: norm behind the encoder,
queries, Q-Former, and weights.

Shape letters: B videos, N tokens, C channels of the Q-Former, D LLM width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from vlmkit.api import Aligner, VideoBatch, VisualTokens
from vlmkit.api.weights import STANDARD
from vlmkit.nn import build_projector, gather_tokens
from vlmkit_encoders.released import ReleasedWeights, load_weights

if TYPE_CHECKING:
    from vlmkit_qformer.spec import Blip2AlignerSpec, QFormerAlignerSpec

__all__ = ["Blip2Aligner", "QFormerAligner", "learned_queries"]

_FILES = ("blip2_pretrained_flant5xxl.pth", "instruct_blip_vicuna7b_trimmed.pth", *STANDARD)
"""The files that LAVIS publishes, and the names of transformers."""


def learned_queries(count: int, width: int) -> nn.Parameter:
    """(1, count, width) N(0, 0.02)."""
    return nn.Parameter(torch.empty(1, count, width).normal_(std=0.02))


class QFormerAligner(Aligner):
    """Encoder, norm, queries and Q-Former; subclasses say what reads what, and make tokens of it."""

    def __init__(self, spec: QFormerAlignerSpec) -> None:
        super().__init__()
        self.spec = spec
        self.encoder = spec.encoder.build()
        self.norm = nn.LayerNorm(spec.encoder.width)
        self.query_tokens = learned_queries(spec.qformer.queries, spec.qformer.width)
        self.qformer = spec.qformer.build(spec.encoder.width)

    def load_pretrained(self) -> None:
        """Load the weights of the encoder and of BLIP-2 or InstructBLIP."""
        self.encoder.load_pretrained()
        path = self.spec.qformer.path
        if path is None:
            return
        state = ReleasedWeights(path).state(_FILES)
        drop = ["embeddings.position_ids"]
        if not self.qformer.reads_text:
            drop += ["embeddings.position_embeddings.", "embeddings.word_embeddings."]
            layers = range(self.spec.qformer.layers)
            drop += [f"encoder.layer.{i}.{mlp}." for i in layers for mlp in ("intermediate", "output")]
        load_weights(self.norm, state, path, ("ln_vision.",), ())
        load_weights(self.qformer, state, path, ("Qformer.bert.",), tuple(drop))
        queries = {name: value for name, value in state.items() if name == "query_tokens"}
        load_weights(nn.ParameterDict({"query_tokens": self.query_tokens}), queries, path, (), ())


class Blip2Aligner(QFormerAligner):
    """A Q-Former whose queries are the tokens, behind a projector."""

    spec: Blip2AlignerSpec

    def __init__(self, spec: Blip2AlignerSpec, llm_width: int) -> None:
        super().__init__(spec)
        self.projector = build_projector(spec.projector, spec.qformer.width, llm_width)

    def lay_out(self, tokens: Tensor, video: VideoBatch) -> VisualTokens:
        """(B, N, D) -> the same tokens, at the places that the spec's layout says."""
        pool = tokens.flatten(0, 1)
        layouts = [self.spec.layout(shape) for shape in video.shapes()]
        return gather_tokens(pool, list(np.arange(len(pool)).reshape(len(tokens), -1)), layouts)
