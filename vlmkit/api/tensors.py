"""The tensors that components exchange.

Shape letters: B videos, T frames, H W pixels, h w token grid, N tokens, D LLM width, C channels, Q texts, L tokens of a
text, K layers that read prompts, P prompts. Of `TokenContext`: B sequences, S positions of this pass, `past` positions
that are cached.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from vlmkit.api.video import VideoShape

__all__ = ["TextBatch", "TokenContext", "VideoBatch", "VisualTokens"]


@dataclass
class VideoBatch:
    """Fitted videos of one canvas size.

    ``content_box`` and ``frame_mask`` steer shapes, not arithmetic: they are kept on the CPU whatever the device of the
    pixels, so that a forward never waits for the device and works on the meta device too.
    """

    pixels: Tensor
    """(B, T, 3, H, W) normalized."""
    content_box: Tensor
    """(B, 4) int64: top, bottom, left, right of the picture inside its padding, pixels."""
    frame_mask: Tensor
    """(B, T) bool: False where a frame is padding in time (at the end)."""

    def __post_init__(self) -> None:
        if self.pixels.ndim != 5 or self.pixels.shape[2] != 3:
            raise ValueError(f"pixels: expected (B, T, 3, H, W), found {tuple(self.pixels.shape)}")
        batch, time = self.pixels.shape[:2]
        if tuple(self.content_box.shape) != (batch, 4):
            raise ValueError(f"content_box: expected {(batch, 4)}, found {tuple(self.content_box.shape)}")
        if tuple(self.frame_mask.shape) != (batch, time):
            raise ValueError(f"frame_mask: expected {(batch, time)}, found {tuple(self.frame_mask.shape)}")
        self.content_box, self.frame_mask = self.content_box.cpu(), self.frame_mask.cpu()

    @classmethod
    def full(cls, pixels: Tensor) -> VideoBatch:
        """Return videos without any padding."""
        return cls.from_model_inputs(pixels)

    @classmethod
    def from_model_inputs(
        cls, pixel_values_videos: Tensor, content_box: Tensor | None = None, frame_mask: Tensor | None = None
    ) -> VideoBatch:
        """Invert `model_inputs`; by default the whole canvas is picture, and no frame is padding."""
        batch, time, _, height, width = pixel_values_videos.shape
        if content_box is None:
            content_box = torch.tensor([[0, height, 0, width]], device="cpu").expand(batch, 4)
        if frame_mask is None:
            frame_mask = torch.ones(batch, time, dtype=torch.bool, device="cpu")
        return cls(pixel_values_videos, content_box, frame_mask)

    def model_inputs(self) -> dict[str, Tensor]:
        """Return the keyword arguments by which `VideoLM` takes the videos; its processor gives them, too."""
        return {
            "pixel_values_videos": self.pixels, "content_box": self.content_box, "frame_mask": self.frame_mask
        }  # fmt: skip

    def shapes(self) -> list[VideoShape]:
        """Return the B shapes, for `AlignerSpec.layout`."""
        time, _, height, width = self.pixels.shape[1:]
        present = self.frame_mask.sum(1).tolist()
        return [
            VideoShape(time, height, width, tuple(box), count)
            for box, count in zip(self.content_box.tolist(), present, strict=True)
        ]

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> VideoBatch:
        """Return the same videos with the pixels on another device or in another dtype."""
        return VideoBatch(self.pixels.to(device=device, dtype=dtype), self.content_box, self.frame_mask)


@dataclass
class TextBatch:
    """The texts that an aligner reads, each about one video of a VideoBatch; a video may have several, or none.

    ``video_of_text`` is kept on the CPU, as the shapes of videos are.
    """

    ids: Tensor
    """(Q, L) int64, of the aligner's own tokenizer."""
    mask: Tensor
    """(Q, L) bool: True where a token stands; shorter texts are padded at the end."""
    video_of_text: Tensor
    """(Q,) int64: which of the B videos each text is about."""

    def __post_init__(self) -> None:
        if self.ids.ndim != 2 or self.mask.shape != self.ids.shape:
            raise ValueError(f"ids and mask: expected (Q, L) both, found {self.ids.shape} and {self.mask.shape}")
        if tuple(self.video_of_text.shape) != (len(self.ids),):
            raise ValueError(f"video_of_text: expected {(len(self.ids),)}, found {tuple(self.video_of_text.shape)}")
        self.video_of_text = self.video_of_text.cpu()

    @classmethod
    def from_model_inputs(
        cls, text_ids: Tensor, text_mask: Tensor | None = None, video_of_text: Tensor | None = None
    ) -> TextBatch:
        """Invert `model_inputs`; by default nothing is padding, and the texts are about one video each, in order."""
        if text_mask is None:
            text_mask = torch.ones_like(text_ids, dtype=torch.bool)
        if video_of_text is None:
            video_of_text = torch.arange(len(text_ids), device="cpu")
        return cls(text_ids, text_mask, video_of_text)

    def model_inputs(self) -> dict[str, Tensor]:
        """Return the keyword arguments by which `VideoLM` takes the texts; its processor gives them, too."""
        return {"text_ids": self.ids, "text_mask": self.mask, "video_of_text": self.video_of_text}

    def to(self, device: torch.device | str | None = None) -> TextBatch:
        """Return the same texts on another device."""
        return TextBatch(self.ids.to(device=device), self.mask.to(device=device), self.video_of_text)


@dataclass
class VisualTokens:
    """The tokens that an aligner makes of a VideoBatch. Where it reads texts, B counts these: one block for each."""

    embeddings: Tensor
    """(B, N, D); zeros where the mask is False."""
    mask: Tensor
    """(B, N) bool: True where a token stands; videos with fewer tokens are padded at the end."""
    patches: Tensor
    """(B, T, h, w) int64: where each cell's token stands among the N, -1 where there is none."""
    prompts: Tensor | None = None
    """(K, B, P, D): what layers inside the LLM read beside its sequence, for each of K layers, or one for all of them
    (K = 1). There are `AlignerSpec.num_prompts` of each video, which take no place in the sequence."""

    @property
    def features(self) -> Tensor:
        """(B, K * P + N, D): everything that the aligner computes, prompts before tokens."""
        if self.prompts is None:
            return self.embeddings
        return torch.cat([self.prompts.transpose(0, 1).flatten(1, 2), self.embeddings], 1)


@dataclass
class TokenContext:
    """The tokens of a pass through the LLM, position by position, for components of the kind `layers`."""

    attention_mask: Tensor | None
    """(B, past + S), 0 where a row is padded; None where none is."""
    position_ids: Tensor | None
    """(B, S) int64, counted over what the mask shows; None: from `past` on."""
    past: int = 0
    """How many positions are cached."""
    visual: Tensor | None = None
    """(B, S) bool: True where an aligner's token stands; None where there is none in this pass, as while generating."""
    frames: Tensor | None = None
    """(B, S) int64: the frame that a token shows, counted over all videos of the batch; -1 for text, and for tokens of
    the aligner before, between and behind the frames' cells. None where `visual` is."""
    cells: Tensor | None = None
    """(B, S, 2) int64: row and column of a token in its frame's grid, 0 where it stands for no cell. None where
    `visual` is."""
    prompts: Tensor | None = None
    """(K, B, P, D): the prompts that each sequence reads, those of its videos one after the other; in every pass, also
    while generating. They have no positions and are not cached. None where no video of the batch has any."""
    prompts_mask: Tensor | None = None
    """(B, P) bool: False where a sequence has fewer prompts than another. None where `prompts` is."""

    @cached_property
    def order(self) -> tuple[Tensor, Tensor, Tensor]:
        """(n,) positions of text and (B * S - n,) of visual tokens among the B * S, and (B * S,) the place of each
        position in these two joined. `visual` must be there. Waits for the device, once a pass."""
        assert self.visual is not None
        flat = self.visual.flatten()
        text, visual = (~flat).nonzero().squeeze(1), flat.nonzero().squeeze(1)
        return text, visual, torch.cat([text, visual]).argsort()
