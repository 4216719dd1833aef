"""The Q-Former of BLIP-2 (arXiv:2301.12597, code salesforce/LAVIS): learned queries that read the tokens of an encoder.

A BERT whose sequence is the queries and, where it takes one, a text after them. Parameters have the published
names below `bert.`. Shape letters: B sequences, Q queries, L ids of a text, S tokens of the encoder, E their channels,
C channels of the Q-Former.

| parameter | initialization |
|---|---|
| Linear weights, tables of words and positions | normal, std 0.02; biases 0 |
| LayerNorm | weight 1, bias 0 |
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vlmkit.nn import initialize_linears

if TYPE_CHECKING:
    from vlmkit_qformer.spec import QFormerOptions

__all__ = ["BERT_WORDS", "QFormer"]

BERT_WORDS = 30_523
"""Rows of the published table of words: bert-base-uncased and `[DEC]`."""
_EPS = 1e-12


class QFormerProjections(nn.Module):
    """Queries, keys and values."""

    def __init__(self, width: int, context_width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(context_width, width)
        self.value = nn.Linear(context_width, width)


class QFormerOutput(nn.Module):
    """LayerNorm of the residual and what is added to it, which drop path leaves out for whole sequences in training."""

    def __init__(self, hidden: int, options: QFormerOptions, drop_path: float) -> None:
        super().__init__()
        self.dense = nn.Linear(hidden, options.width)
        self.LayerNorm = nn.LayerNorm(options.width, _EPS)
        self.dropout = nn.Dropout(options.dropout)
        self.drop_path = drop_path

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        added = self.dropout(self.dense(x))
        if self.training and self.drop_path:
            added = added * F.dropout(added.new_ones(len(added), 1, 1), self.drop_path)
        return self.LayerNorm(added + residual)


class QFormerAttention(nn.Module):
    """Attention of a sequence to itself or to the encoder's tokens, with its residual."""

    def __init__(self, options: QFormerOptions, context_width: int, drop_path: float) -> None:
        super().__init__()
        self.heads, self.dropout = options.heads, options.dropout
        self.self = QFormerProjections(options.width, context_width)
        self.output = QFormerOutput(options.width, options, drop_path)

    def forward(self, x: Tensor, context: Tensor, mask: Tensor | None) -> Tensor:
        """(B, N, C), (B, S, E), (B, 1, 1, S) True where a token stands -> (B, N, C)."""
        q, k, v = (
            projected.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for projected in (self.self.query(x), self.self.key(context), self.self.value(context))
        )
        dropout = self.dropout if self.training else 0.0
        read = F.scaled_dot_product_attention(q, k, v, mask, dropout)
        return self.output(read.transpose(1, 2).flatten(2), x)


class QFormerHidden(nn.Module):
    """The first half of an MLP."""

    def __init__(self, options: QFormerOptions) -> None:
        super().__init__()
        self.dense = nn.Linear(options.width, options.mlp)

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(self.dense(x))


class QFormerLayer(nn.Module):
    """Attention over queries and text together; the queries alone read the encoder; an MLP for each of the two."""

    def __init__(self, options: QFormerOptions, context_width: int, text: bool, index: int) -> None:
        super().__init__()
        drop_path = options.drop_path * index / max(options.layers - 1, 1)
        reads = index % options.cross_every == 0
        self.attention = QFormerAttention(options, options.width, drop_path)
        self.crossattention = QFormerAttention(options, context_width, drop_path) if reads else None
        self.intermediate_query = QFormerHidden(options)
        self.output_query = QFormerOutput(options.mlp, options, drop_path)
        self.last = index == options.layers - 1
        if text:
            self.intermediate = QFormerHidden(options)
            self.output = QFormerOutput(options.mlp, options, drop_path)
            if self.last:
                self.intermediate.requires_grad_(False)
                self.output.requires_grad_(False)

    def forward(
        self, queries: Tensor, text: Tensor | None, mask: Tensor | None, context: Tensor, context_mask: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """(B, Q, C) and (B, L, C) -> the same shapes."""
        count = queries.shape[1]
        x = queries if text is None else torch.cat([queries, text], 1)
        x = self.attention(x, x, mask)
        queries = x
        if text is not None:  # copies, so that the layers compute alike in a batch and alone
            queries, text = (part.clone() for part in x.split([count, x.shape[1] - count], 1))
        if self.crossattention is not None:
            queries = self.crossattention(queries, context, context_mask)
        queries = self.output_query(self.intermediate_query(queries), queries)
        return queries, None if text is None or self.last else self.output(self.intermediate(text), text)


class QFormerEmbeddings(nn.Module):
    """The sequence before the first layer: words have positions, queries have none."""

    def __init__(self, options: QFormerOptions, words: int, positions: int) -> None:
        super().__init__()
        if words:
            self.word_embeddings = nn.Embedding(words, options.width)
            self.position_embeddings = nn.Embedding(positions, options.width)
        self.LayerNorm = nn.LayerNorm(options.width, _EPS)
        self.dropout = nn.Dropout(options.dropout)

    def forward(self, queries: Tensor) -> Tensor:
        """(B, N, C) -> the same shape."""
        return self.dropout(self.LayerNorm(queries))

    def embed_text(self, ids: Tensor) -> Tensor:
        """(B, L) -> (B, L, C)."""
        return self(self.word_embeddings(ids) + self.position_embeddings.weight[: ids.shape[1]])


class QFormerLayers(nn.Module):
    def __init__(self, options: QFormerOptions, context_width: int, text: bool) -> None:
        super().__init__()
        self.layer = nn.ModuleList(QFormerLayer(options, context_width, text, index) for index in range(options.layers))


class QFormer(nn.Module):
    """Queries, and a text where it is built for one, in; the queries of the last layer out, without a final norm.

    The last layer's MLP of the text belongs to the published weights: it is held and counted, does not train and is not
    computed.
    """

    def __init__(self, options: QFormerOptions, context_width: int, words: int = 0, positions: int = 512) -> None:
        """Make it for encoders of `context_width` channels.

        Args:
            options: its sizes.
            context_width: E.
            words: rows of the table of words, e.g. `BERT_WORDS`; 0: it takes no text.
            positions: the most ids of a text.
        """
        super().__init__()
        self.reads_text = words > 0
        self.embeddings = QFormerEmbeddings(options, words, positions)
        self.encoder = QFormerLayers(options, context_width, self.reads_text)
        initialize_linears(self)
        for module in self.modules():
            if isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)

    def forward(
        self,
        queries: Tensor,
        context: Tensor,
        context_mask: Tensor | None = None,
        ids: Tensor | None = None,
        text_mask: Tensor | None = None,
    ) -> Tensor:
        """Return the queries (B, Q, C) after the last layer.

        Args:
            queries: (B, Q, C).
            context: (B, S, E), the encoder's tokens.
            context_mask: (B, S), True where a token stands; None: everywhere.
            ids: (B, L), the text's ids; None: queries alone.
            text_mask: (B, L), True where a word of the text stands; None: everywhere.
        """
        text = None if ids is None else self.embeddings.embed_text(ids)
        mask = None
        if text_mask is not None:
            mask = torch.cat([text_mask.new_ones(queries.shape[:2]), text_mask], 1).bool()[:, None, None]
        x = self.embeddings(queries)
        for layer in self.encoder.layer:
            x, text = layer(x, text, mask, context, None if context_mask is None else context_mask[:, None, None])
        return x
