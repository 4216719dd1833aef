"""What encoder-based aligners have in common.

Shape letters: B videos, T frames, F frames present in the whole batch, H W pixels, P patches of a frame, C channels.
"""

from __future__ import annotations

from torch import Tensor

from vlmkit.api import Aligner, VideoBatch
from vlmkit.nn.projector import build_projector
from vlmkit_baselines.spec import EncoderAlignerSpec

__all__ = ["EncoderAligner", "to_slots"]


class EncoderAligner(Aligner):
    """Encoder and projector."""

    def __init__(self, spec: EncoderAlignerSpec, llm_width: int) -> None:
        super().__init__()
        self.prefix = spec.encoder.prefix_tokens
        self.encoder = spec.encoder.build()
        self.projector = build_projector(spec.projector, spec.encoder.width, llm_width)

    def load_pretrained(self) -> None:
        """Load the encoder's weights."""
        self.encoder.load_pretrained()

    def encode_present(self, video: VideoBatch) -> tuple[Tensor, Tensor]:
        """Encode each present frame by itself, whatever the encoder would do with several.

        Returns:
            features (F, P, C) of the patches, and (F,) which of the B * T frames they belong to.
        """
        present = video.frame_mask.flatten().nonzero().squeeze(1).to(video.pixels.device)
        pixels_F13HW = video.pixels.flatten(0, 1)[present][:, None]
        return self.encoder(pixels_F13HW)[:, 0, self.prefix :], present

    def encode_padded(self, video: VideoBatch) -> Tensor:
        """(B, T, P, C): the features of `encode_present`, zeros for frames that are padding."""
        return to_slots(*self.encode_present(video), video.frame_mask)


def to_slots(features: Tensor, present: Tensor, frames: Tensor) -> Tensor:
    """(F, …) of the frames `present` among the B * T of `frames` (B, T) -> (B, T, …), zeros for the others."""
    slots = features.new_zeros(frames.numel(), *features.shape[1:])
    return slots.index_copy(0, present, features).unflatten(0, tuple(frames.shape))
