"""Inputs for an inference engine, which decodes videos, places tokens and keeps what it made of a video by itself.

Engines such as vLLM call a processor with placeholders and frames, and want to know what each placeholder became
(`vllm/model_executor/models/transformers/multimodal.py` in https://github.com/vllm-project/vllm). Shape letters: B
texts, S positions, V videos, T frame slots, H W pixels, n frames as given.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from transformers import BatchFeature

from vlmkit.api.video import VideoInput
from vlmkit.data import FittedVideo, VideoSource, fit_frames, to_batch
from vlmkit.errors import UserError, shown
from vlmkit.model.placeholders import insert_texts, placed_videos
from vlmkit.model.tokens import VIDEO, Rendered, tokenize

if TYPE_CHECKING:
    from vlmkit.model.processor import VideoLMProcessor

__all__ = ["ENGINE_OPTIONS", "choose_decoded", "engine_inputs"]

ENGINE_OPTIONS = ("return_mm_token_type_ids", "return_text_replacement_offsets")
"""Options of a call that ask for what models themselves do not take."""
_USUAL = {
    "add_special_tokens": False,
    "padding": True,
    "return_tensors": "pt",
    "truncation": False,
}
"""Options of transformers, with what is done anyway."""


def engine_inputs(
    processor: VideoLMProcessor,
    text: str | Sequence[str],
    videos: Sequence[VideoSource],
    *,
    video_metadata: Sequence[Mapping[str, Any] | None] | None = None,
    do_sample_frames: bool = False,
    **kwargs: Any,
) -> BatchFeature:
    """Return tokens and pixels, and what each placeholder became.

    Args:
        processor: of the model.
        text: B texts; each may hold any number of `<video>`, since the engine gives every token its place.
        videos: V in the order of the placeholders: (n, H, W, 3) uint8 RGB, or what the processor takes otherwise.
        video_metadata: for each what transformers' `VideoMetadata` holds: `fps`, `frames_indices`, `total_num_frames`.
        do_sample_frames: the frames are all that the videos have; see `choose_decoded`.
        kwargs: nothing else; engines say besides that there are tensors to be given, and no tokens to be added or cut.

    Returns:
        `input_ids`, `attention_mask` (B, S); `pixel_values_videos` (V, T, 3, H, W), `content_box` (V, 4), `frame_mask`
        (V, T), the first and the last as lists where T differs, so that no video depends on its neighbors;
        `text_replacement_offsets` as transformers' processors give it; `mm_token_type_ids` (B, S), 2 at tokens of
        videos.

    Raises:
        UserError: the numbers of placeholders and videos differ, or a video is no array of frames.
        TypeError: an option that is not known.
    """
    if unknown := sorted(set(kwargs) - {*ENGINE_OPTIONS, *_USUAL}):
        raise TypeError(f"unexpected arguments: {', '.join(unknown)}")
    for name, value in _USUAL.items():
        if kwargs.get(name, value) != value:
            raise UserError(f"{name}: expected {value!r} where an engine asks, found {shown(kwargs[name])}")
    texts = [text] if isinstance(text, str) else list(text)
    wanted = sum(item.count(VIDEO) for item in texts)
    if wanted != len(videos):
        raise UserError(f"the texts hold {wanted} {VIDEO}, but {len(videos)} videos are given; give one for each")
    if processor.text_input(len(videos)) is not None:
        raise UserError("the aligner reads text, which inference engines do not give it; `vlmkit serve` does")
    if processor.aligner.num_prompts:
        raise UserError("the aligner gives prompts, which inference engines do not carry; `vlmkit serve` does")
    known = video_metadata or [None] * len(videos)
    canvas = processor.aligner.input
    fitted = [_fit(processor, video, item, do_sample_frames) for video, item in zip(videos, known, strict=True)]
    expansions = [_expanded(*processor.expansion(placed)) for video in fitted for placed in placed_videos(video)]
    texts, offsets = processor.get_text_with_replacements(texts, videos_replacements=expansions)
    encoded = processor.pad(tokenize(processor.tokenizer, [Rendered(text, []) for text in texts]))
    types = torch.tensor(processor.create_mm_token_type_ids(encoded.input_ids.tolist()))
    features: dict[str, Any] = {"input_ids": encoded.input_ids, "attention_mask": encoded.attention_mask}
    features |= {"mm_token_type_ids": types, "text_replacement_offsets": offsets}
    return BatchFeature(features | _pixels(fitted, canvas), skip_tensor_conversion=["text_replacement_offsets"])


def choose_decoded(
    wanted: VideoInput, count: int, metadata: Mapping[str, Any] | None = None, sample: bool = False
) -> list[int]:
    """Return which of `count` decoded frames the model looks at.

    Where `sample` says that they are all frames of a file, its sampler chooses, as from the file. Frames that were
    chosen already are taken as they are; of too many of them the sampler chooses again, by the seconds at which they
    are shown. A warning where others have chosen them from more.
    """
    known = metadata or {}
    fps = float(known.get("fps") or 0)
    sampler = wanted.sampler.build()
    if sample:
        return list(sampler.positions(count, fps, None, wanted.frames))
    indices = known.get("frames_indices")
    chosen = indices is not None and len(indices) < (known.get("total_num_frames") or 0)
    if chosen:
        rule = wanted.sampling if isinstance(wanted.sampling, str) else wanted.sampling.type
        warnings.warn(
            f"the {count} frames of a video were chosen by the caller, not by the model's own rule (sampling {rule}, "
            f"at most {wanted.frames} frames), so that answers may differ; give all frames: with vLLM "
            """--media-io-kwargs '{"video": {"num_frames": -1}}'""",
            stacklevel=2,
        )
    if count <= wanted.frames:
        return list(range(count))
    if not chosen or not fps or indices is None:
        return list(sampler.positions(count, 0.0, None, wanted.frames))
    seconds = [float(index) / fps for index in indices]
    span = seconds[-1] - seconds[0]
    rate = (count - 1) / span if span > 0 else 0.0
    return list(sampler.positions(count, rate, [second - seconds[0] for second in seconds], wanted.frames))


def _fit(
    processor: VideoLMProcessor, video: VideoSource, metadata: Mapping[str, Any] | None, sample: bool
) -> FittedVideo:
    if not isinstance(video, np.ndarray):
        return processor.fit(video)
    if video.ndim != 4 or video.shape[-1] != 3 or video.dtype != np.uint8 or not len(video):
        raise UserError(
            f"expected the decoded frames of a video as (frames, height, width, 3) uint8, found {video.dtype} of shape "
            f"{video.shape}"
        )
    wanted = processor.aligner.input
    chosen = choose_decoded(wanted, len(video), metadata, sample)
    known = metadata or {}
    fps, indices = float(known.get("fps") or 0), known.get("frames_indices") or ()
    seconds = tuple(float(indices[place]) / fps for place in chosen) if fps and len(indices) == len(video) else ()
    return fit_frames(video[chosen], wanted, seconds)


def _expanded(text: str, lengths: Sequence[int]) -> str:
    """Return the text in place of a video's `<video>` with a placeholder for each token."""
    return insert_texts(Rendered(text, []), [VIDEO * length for length in lengths]).text


def _pixels(videos: Sequence[FittedVideo], canvas: VideoInput) -> dict[str, Tensor | list[Tensor]]:
    """Return the model's inputs of each video by itself: stacked where they have the same T."""
    each = [to_batch([video], canvas).model_inputs() for video in videos]
    columns = {name: [inputs[name][0] for inputs in each] for name in (each[0] if each else ())}
    return {
        name: torch.stack(values) if len({value.shape for value in values}) == 1 else values
        for name, values in columns.items()
    }
