"""The choice among frames that an engine has decoded, and calls that ask for what engines want."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch

from vlmkit.api.video import VideoInput
from vlmkit.errors import UserError
from vlmkit.model import VideoLM, VideoLMProcessor
from vlmkit.model.engine_inputs import choose_decoded

Composed = tuple[VideoLM, VideoLMProcessor]
CHOSEN = {"fps": 10, "frames_indices": range(0, 100, 5), "total_num_frames": 100}
"""Every fifth frame of ten seconds."""


def choose(sampling: str, count: int, metadata: dict[str, Any] | None = None, sample: bool = False) -> list[int]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return choose_decoded(VideoInput(frames=6, sampling=sampling), count, metadata, sample)


@pytest.mark.parametrize(("sampling", "expected"), [("one-fps", [0, 10]), ("uniform", [0, 3, 7, 11, 15, 19])])
def test_the_sampler_chooses_among_all_frames(sampling: str, expected: list[int]) -> None:
    whole = {"fps": 10, "frames_indices": range(20), "total_num_frames": 20}
    assert choose(sampling, 20, whole, sample=True) == expected


def test_frames_that_are_few_enough_are_taken_as_they_are() -> None:
    assert choose("one-fps", 6) == [0, 1, 2, 3, 4, 5]
    assert choose("one-fps", 3, {"fps": None, "frames_indices": range(3), "total_num_frames": 3}) == [0, 1, 2]


@pytest.mark.parametrize("known", [{}, CHOSEN | {"fps": None}])
def test_of_too_many_frames_without_seconds_some_are_taken(known: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert choose_decoded(VideoInput(frames=6, sampling="uniform"), 20, known) == [0, 3, 7, 11, 15, 19]


def test_of_too_many_frames_that_others_chose_the_seconds_count() -> None:
    wanted = VideoInput(frames=6, sampling="one-fps")
    with pytest.warns(UserWarning, match=r"20 frames .* chosen by the caller.*\(sampling one-fps, at most 6 frames\)"):
        assert choose_decoded(wanted, 20, CHOSEN) == [0, 2, 6, 10, 14, 18]
    late = CHOSEN | {"frames_indices": range(50, 250, 5), "total_num_frames": 250}
    with pytest.warns(UserWarning, match="chosen by the caller"):
        assert choose_decoded(wanted, 40, late)[:2] == [0, 6]


def test_several_videos_in_one_text_have_their_types(composed: Composed) -> None:
    _, processor = composed
    square, wide = np.zeros((2, 40, 40, 3), np.uint8), np.zeros((4, 20, 40, 3), np.uint8)
    output = processor("<video> and <video>", [square, wide], return_mm_token_type_ids=True)
    [ids], [types], [offsets] = (
        output[name] for name in ("input_ids", "mm_token_type_ids", "text_replacement_offsets")
    )
    assert torch.equal(types == 2, ids == processor.video_token_id)
    counts = processor._get_num_multimodal_tokens(video_sizes=[(2, 40, 40), (4, 20, 40)])["num_video_tokens"]
    assert [entry["replacement"].count("<video>") for entry in offsets] == counts == [28, 16]
    assert int((types == 2).sum()) == sum(counts)
    assert torch.equal(output["pixel_values_videos"][1], processor("<video>", [wide])["pixel_values_videos"][0])


@pytest.mark.parametrize(
    ("videos", "options", "message"),
    [
        ([], {}, r"hold 1 <video>, but 0 videos are given"),
        ([np.zeros((2, 8, 8, 3))], {}, r"\(frames, height, width, 3\) uint8, found float64 of shape \(2, 8, 8, 3\)"),
        ([np.zeros((0, 8, 8, 3), np.uint8)], {}, r"found uint8 of shape \(0, 8, 8, 3\)"),
        ([np.zeros((2, 8, 8, 3), np.uint8)], {"truncation": True}, "truncation: expected False"),
    ],
)
def test_mistakes_are_told(composed: Composed, videos: list[Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        composed[1]("<video>", videos, return_text_replacement_offsets=True, **options)


def test_unknown_options_are_told(composed: Composed) -> None:
    with pytest.raises(TypeError, match="unexpected arguments: fps"):
        composed[1]("<video>", [np.zeros((2, 8, 8, 3), np.uint8)], return_text_replacement_offsets=True, fps=2)
