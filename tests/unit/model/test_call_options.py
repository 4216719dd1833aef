"""Options of a call of the processor under the names of transformers."""

from __future__ import annotations

import re
from typing import Any

import pytest

from vlmkit.errors import UserError
from vlmkit.model.call_options import CallOptions, is_call_option

LONGEST = 512


def read(**given: Any) -> CallOptions:
    return CallOptions.read(given, "`uniform`, at most 8", LONGEST)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, CallOptions()),
        ({"padding": None, "audio": None, "return_tensors": None, "truncation": None}, CallOptions()),
        ({"return_tensors": "pt", "add_special_tokens": False, "padding": "longest"}, CallOptions()),
        ({"padding": False, "padding_side": "right"}, CallOptions(padding=False, padding_side="right")),
        ({"padding": "do_not_pad"}, CallOptions(padding=False)),
        ({"padding": "max_length", "max_length": 9}, CallOptions(length=9)),
        ({"padding": "max_length", "max_length": 9, "truncation": True}, CallOptions(length=9, max_length=9)),
        ({"max_length": 9}, CallOptions(max_length=9)),
        ({"max_length": 9, "truncation": False}, CallOptions()),
        ({"truncation": "longest_first"}, CallOptions(max_length=LONGEST)),
        ({"text_kwargs": {"padding": False}, "videos_kwargs": {"sampling": "uniform"}, "images_kwargs": None},
         CallOptions(padding=False, sampling="uniform")),
        ({"do_sample_frames": True, "load_audio_from_video": False, "fps": None}, CallOptions()),
    ],
)  # fmt: skip
def test_what_is_followed(given: dict[str, Any], expected: CallOptions) -> None:
    assert read(**given) == expected


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"num_frames": 32}, "num_frames=32 is not followed: .* its own rule chooses, `uniform`, at most 8; sampling="),
        ({"fps": 2.0}, "fps=2.0 is not followed"),
        ({"do_sample_frames": False}, "do_sample_frames=False is not followed"),
        ({"videos_kwargs": {"video_metadata": [{}]}}, "video_metadata=.* is not followed"),
        ({"load_audio_from_video": True}, "load_audio_from_video is not followed: the model does not hear"),
        ({"audio": [1.0]}, "audio is not followed: the model does not hear"),
    ],
)
def test_what_is_not_followed(given: dict[str, Any], said: str) -> None:
    [found] = read(**given).not_followed
    assert re.search(said, found)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"padding": "shortest"}, "padding: expected one of True, False, 'longest', .*; found 'shortest'"),
        ({"padding_side": "top"}, "padding_side: expected one of 'left', 'right'; found 'top'"),
        ({"truncation": "only_second"}, "truncation: expected one of"),
        ({"return_tensors": "tf"}, "return_tensors: expected one of 'pt', 'auto'; found 'tf'"),
        ({"max_length": 0}, "max_length: expected a number of tokens, found 0"),
        ({"max_length": "9"}, "max_length: expected a number of tokens, found '9'"),
        ({"padding": "max_length"}, "says to pad to max_length, which is not given"),
    ],
)
def test_values_that_cannot_be(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        read(**given)


def test_options_that_are_unknown() -> None:
    with pytest.raises(TypeError, match="unexpected arguments: imgaes, size"):
        read(imgaes=[], images_kwargs={"size": 3})


def test_options_of_the_template_are_others() -> None:
    assert is_call_option("num_frames")
    assert is_call_option("text_kwargs")
    assert not is_call_option("enable_thinking")
