"""How many tokens a video becomes, as the processor tells those who ask before there are any pixels.

Inference engines such as vLLM read the names that transformers' processors have for this: `video_processor`,
`video_token`, `_get_num_multimodal_tokens` (https://huggingface.co/docs/transformers/transformers_as_backend).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from transformers.processing_utils import MultiModalData

from vlmkit.model.sequences import SequenceMaker
from vlmkit.model.tokens import VIDEO

__all__ = ["VideoCounts", "VideoSizes"]


@dataclass(frozen=True)
class VideoSizes:
    """A processor's `video_processor` as those read it who prepare videos for it."""

    size: dict[str, int]
    """`height` and `width` of the canvas, pixels: the size that gives the most tokens."""
    do_sample_frames: bool = True
    """True: frames are chosen here; a caller who has them decoded already tells when they are shown."""
    model_input_names: tuple[str, ...] = ("pixel_values_videos", "content_box", "frame_mask")
    """The model's inputs that are made of videos."""


class VideoCounts(SequenceMaker):
    """The part of the processor that tells others of videos and their tokens."""

    video_token = VIDEO

    @property
    def video_token_id(self) -> int:
        """The id of `<video>`."""
        return self.tokenizer.video_token_id

    @property
    def video_processor(self) -> VideoSizes:
        """The canvas, and what is made of videos. There is no `image_processor`: a picture is a video of one frame."""
        return self._sizes

    @cached_property
    def _sizes(self) -> VideoSizes:
        video = self.aligner.input
        width, height = max(video.filling_pictures(), key=lambda sides: self.count_tokens(video.shape(*sides)))
        return VideoSizes({"height": height, "width": width})

    def _get_num_multimodal_tokens(
        self,
        image_sizes: Sequence[Sequence[int]] | None = None,
        video_sizes: Sequence[Sequence[int]] | None = None,
        **kwargs: Any,
    ) -> MultiModalData:
        """Return the number of tokens of videos and pictures of these sizes, as transformers' processors do.

        Args:
            image_sizes: (height, width) of each picture, pixels.
            video_sizes: (frames, height, width) of each video. Of more frames than the aligner takes it looks at as
                many as it takes, so that this is the most that such a video becomes.
            kwargs: nothing; options that a user gave for the processor.
        """
        frames = self.aligner.input.frames

        def count(sizes: Sequence[Sequence[int]]) -> list[int]:
            return [
                self.count_tokens(self.aligner.input.shape(width, height, min(present, frames)))
                for present, height, width in sizes
            ]

        images = None if image_sizes is None else count([(1, *size) for size in image_sizes])
        videos = None if video_sizes is None else count(video_sizes)
        patches = None if image_sizes is None else [1] * len(image_sizes)
        return MultiModalData(num_image_tokens=images, num_video_tokens=videos, num_image_patches=patches)
