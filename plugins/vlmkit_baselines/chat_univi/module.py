"""The aligner `chat-univi`.

Shape letters: B videos, T frames, F frames present in the whole batch, P patches of a frame, E events of a video at
most, S tokens of a scale, C channels, D LLM width.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vlmkit.api import VideoBatch, VisualTokens
from vlmkit.nn.assemble import assemble
from vlmkit_baselines.chat_univi.clustering import Groups, dpc_knn, merge, neighbours_for
from vlmkit_baselines.chat_univi.spec import ChatUniViSpec, Scale
from vlmkit_baselines.module import EncoderAligner, to_slots

__all__ = ["ChatUniVi"]


class ChatUniVi(EncoderAligner):
    """Merging within frames, frames into events, merging within events."""

    def __init__(self, spec: ChatUniViSpec, llm_width: int) -> None:
        super().__init__(spec, llm_width)
        self.spec = spec

    def forward(self, video: VideoBatch) -> VisualTokens:
        """`event_tokens` tokens per event."""
        shapes = video.shapes()
        layouts = [self.spec.layout(shape) for shape in shapes]
        features_FPC, present = self.encode_present(video)
        counts = [self.spec.events(shape.num_frames_present) for shape in shapes]
        events = Groups(self._events(features_FPC.mean(1), present, video.frame_mask, counts), max(counts))

        blocks, tokens = [], features_FPC
        for scale in self.spec.scales:
            everything = Groups(torch.zeros(tokens.shape[:2], dtype=torch.long, device=tokens.device), 1)
            tokens = _merge_groups(tokens, everything, scale)
            slots_BNC = to_slots(tokens, present, video.frame_mask).flatten(1, 2)
            event_of_token = events.of.repeat_interleave(scale.tokens, 1)
            merged = _merge_groups(slots_BNC, Groups(event_of_token, events.number), scale)
            blocks.append(merged.unflatten(1, (events.number, scale.tokens)))

        pool = self.projector(torch.cat(blocks, 2)).flatten(0, 2)
        first = np.arange(len(shapes)) * events.number * self.spec.event_tokens
        sources = [start + np.arange(layout.tokens) for start, layout in zip(first, layouts, strict=True)]
        return assemble(pool, sources, layouts)

    def _events(self, means_FC: Tensor, present: Tensor, frames_BT: Tensor, counts: list[int]) -> Tensor:
        """(B, T): the event of each frame, numbered by first frames; -1 for padding."""
        device = means_FC.device
        k = [neighbours_for(self.spec.event_neighbours, count) for count in counts]
        here = frames_BT.to(device)
        slots_BTC = to_slots(means_FC, present, frames_BT)
        clusters, neighbours = torch.tensor(counts, device=device), torch.tensor(k, device=device)
        group = torch.where(here, 0, -1)
        assigned = dpc_knn(slots_BTC, Groups(group, 1), clusters, neighbours, (max(counts), max(k)))
        return _number_by_first(assigned, max(counts)).where(here, -1)


def _merge_groups(tokens: Tensor, groups: Groups, scale: Scale) -> Tensor:
    """(R, N, C) -> (R, G * S, C)."""
    k = neighbours_for(scale.neighbours, scale.tokens)
    clusters = torch.full((len(tokens),), scale.tokens, device=tokens.device)
    assigned = dpc_knn(tokens, groups, clusters, torch.full_like(clusters, k), (scale.tokens, k))
    return merge(tokens, assigned, groups.of >= 0, groups.number * scale.tokens)


def _number_by_first(assigned: Tensor, count: int) -> Tensor:
    """Rename the clusters of (R, N), so that they are numbered in the order of their first members."""
    member = assigned[:, None] == torch.arange(count, device=assigned.device)[:, None]
    place = torch.arange(assigned.shape[1], device=assigned.device).expand_as(assigned)
    first = place[:, None].where(member, assigned.shape[1]).amin(-1)
    return first.argsort(stable=True, dim=1).argsort(1).gather(1, assigned)
