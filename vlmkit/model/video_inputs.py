"""Videos as callers of the processor give them: told apart, read from files, fitted on the aligner's canvas."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from pydantic import ValidationError

from vlmkit.api.reader import ReaderSpec
from vlmkit.api.sampler import SamplerSpec
from vlmkit.api.video import VideoInput
from vlmkit.data import FittedVideo, VideoLoader, VideoSource, fit_frames, local_file, still_image
from vlmkit.data.sources import as_frames, is_frame
from vlmkit.errors import UserError, problem_list
from vlmkit.spec.loading import read_component

__all__ = ["fit_source", "listed_images", "listed_videos", "sampled_input"]

_Span = tuple[float, float]
_File = str | Path | bytes


def fit_source(
    source: VideoSource, video: VideoInput, reader: Callable[[], ReaderSpec], span: _Span | None = None
) -> FittedVideo:
    """Fit a video or a picture on the canvas of `video`.

    Of a video's file the sampler of `video` chooses the frames; frames that are given are chosen already.

    Args:
        source: see `VideoSource`.
        video: canvas, sampler and number of frames.
        reader: gives what decodes videos; asked for where there is a video's file.
        span: only the part of the file between these seconds.

    Raises:
        UserError: where it cannot be read, or there are more frames than `video` has.
    """
    if isinstance(source, FittedVideo):
        return source
    if not isinstance(source, _File):
        return _fit(as_frames(source), video, span)
    with local_file(source) as path:
        picture = still_image(path)
        if picture is not None:
            return _fit(picture[None], video, span)
        return VideoLoader(reader(), video, {"aligner": video}).load(path, span=span)["aligner"]


def sampled_input(video: VideoInput, sampling: str | Mapping[str, Any] | None) -> VideoInput:
    """Return the same canvas with another sampler: its name, or `{type: …}` with its options.

    `frames` beside them is another number of frames, as options of some samplers are (`max_frames`). A UserError where
    it is no sampler.
    """
    if sampling is None:
        return video
    options = {"type": sampling} if isinstance(sampling, str) else dict(sampling)
    frames = options.pop("frames", None)
    sampler = read_component(SamplerSpec.kind, options, "sampling")
    assert isinstance(sampler, SamplerSpec)
    if frames is None:
        frames = sampler.max_positions or video.frames
    try:
        return VideoInput.model_validate({**video.model_dump(), "frames": frames, "sampling": sampler})
    except ValidationError as error:
        raise UserError(problem_list(error, "sampling: this has")) from None


def listed_videos(videos: Any) -> list[VideoSource]:
    """Return the videos of a call: one, several, or lists of them as transformers makes for a batch of conversations.

    A list of pictures is one video, a list of anything else several; so is an array or tensor with five dimensions.
    """
    if videos is None:
        return []
    if isinstance(videos, FittedVideo | Image.Image | _File):
        return [videos]
    if (dimensions := getattr(videos, "ndim", None)) is not None:
        return list(videos) if dimensions == 5 else [videos]
    items = _items(videos)
    if items and all(map(is_frame, items)):
        return [items]
    return [video for item in items for video in listed_videos(item)]


def listed_images(images: Any) -> list[VideoSource]:
    """Return the pictures of a call, each a video of one frame: one, several, or lists of them."""
    if images is None:
        return []
    if is_frame(images) or isinstance(images, FittedVideo | _File):
        return [images]
    return [image for item in _items(images) for image in listed_images(item)]


def _items(several: Any) -> Sequence[Any]:
    if isinstance(several, Iterable) and not isinstance(several, Mapping):
        return list(several)
    raise UserError(f"expected videos or pictures, found a value of type {type(several).__name__}")


def _fit(frames: Any, video: VideoInput, span: _Span | None) -> FittedVideo:
    if span is not None:
        raise UserError(f"the part from {span[0]:g} to {span[1]:g} s is one of a video's file; found frames")
    if len(frames) > video.frames:
        raise UserError(
            f"expected at most {video.frames} frames, which are chosen already, found {len(frames)}; give the video's "
            "file, of which the model chooses its frames itself, or choose them"
        )
    return fit_frames(frames, video)
