"""The module of the aligner `video-llama` (arXiv:2306.02858, code DAMO-NLP-SG/Video-LLaMA).

Shape letters: B videos, T frames, F frames present in the whole batch, S tokens of a frame's encoder, Q queries of a
frame, N queries of the video, C channels of the Q-Formers, D LLM width.

| parameter | initialization |
|---|---|
| query_tokens, video_query_tokens | normal, std 0.02 |
| qformer, video_qformer | as BERT: normal, std 0.02; biases 0 |
| frame_positions | normal, std 1 |
| norm, projector | torch's default |
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from vlmkit.api import VideoBatch, VisualTokens
from vlmkit.api.weights import STANDARD
from vlmkit.nn import present_frames, to_slots
from vlmkit_encoders.released import ReleasedWeights, load_weights
from vlmkit_qformer._blip2 import Blip2Aligner, learned_queries
from vlmkit_qformer.qformer import QFormer

if TYPE_CHECKING:
    from vlmkit_qformer.spec import VideoLlamaSpec

__all__ = ["VideoLlama"]


class VideoLlama(Blip2Aligner):
    """A Q-Former reads each frame, another one all frames."""

    spec: VideoLlamaSpec

    def __init__(self, spec: VideoLlamaSpec, llm_width: int) -> None:
        super().__init__(spec, llm_width)
        width = spec.qformer.width
        self.frame_positions = nn.Embedding(spec.frame_table, width)
        self.video_query_tokens = learned_queries(spec.video_qformer.queries, width)
        self.video_qformer = QFormer(spec.video_qformer, width)

    def forward(self, video: VideoBatch) -> VisualTokens:
        """N tokens per video."""
        pixels, present = present_frames(video)
        features_FSC = self.norm(self.encoder(pixels)[:, 0])
        read_FQC = self.qformer(self.query_tokens.expand(len(pixels), -1, -1), features_FSC)
        read_BTQC = to_slots(read_FQC, present, video.frame_mask)
        batch, frames, queries, _ = read_BTQC.shape
        placed_BTQC = read_BTQC + self.frame_positions.weight[:frames, None]
        mask_BTQ = video.frame_mask.to(read_FQC.device)[:, :, None].expand(-1, -1, queries)
        own_BNC = self.video_query_tokens.expand(batch, -1, -1)
        read_BNC = self.video_qformer(own_BNC, placed_BTQC.flatten(1, 2), mask_BTQ.flatten(1))
        return self.lay_out(self.projector(read_BNC), video)

    def load_pretrained(self) -> None:
        """Load the weights of the encoder, of BLIP-2 and of MiniGPT-4's projector."""
        super().load_pretrained()
        if self.spec.projector_start is not None:
            path = self.spec.projector_start.path
            load_weights(self.projector, ReleasedWeights(path).state(STANDARD), path, ("llama_proj.",), ())
