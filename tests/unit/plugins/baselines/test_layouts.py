"""Token counts and places, without torch."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from vlmkit.api import AlignerSpec, VideoShape
from vlmkit_baselines.spec import (
    ChatUniViSpec,
    PllavaSpec,
    Scale,
    VideoChatGptSpec,
    VideoLlavaSpec,
)
from vlmkit_pooling.spec import HalfResolutionSpec, NoneSpec, PerceiverSpec

ALL = [ChatUniViSpec, PllavaSpec, VideoChatGptSpec, VideoLlavaSpec]


@pytest.mark.parametrize(
    ("spec", "present", "tokens"),
    [
        (VideoLlavaSpec, 8, 2056),
        (VideoLlavaSpec, 3, 2056),
        (VideoChatGptSpec, 100, 356),
        (VideoChatGptSpec, 7, 356),
        (PllavaSpec, 16, 2304),
        (PllavaSpec, 1, 2304),
        (ChatUniViSpec, 1, 112),
        (ChatUniViSpec, 16, 112),
        (ChatUniViSpec, 17, 224),
        (ChatUniViSpec, 64, 448),
    ],
)
@pytest.mark.parametrize("size", [(640, 360), (360, 640), (480, 480)])
def test_tokens_per_video(spec: type[AlignerSpec], present: int, tokens: int, size: tuple[int, int]) -> None:
    made = spec()
    layout = made.layout(made.input.shape(*size, num_frames_present=present))
    assert layout.tokens == tokens
    assert layout.rows.size == 0


def test_video_llava_finds_the_patches_after_each_cls() -> None:
    spec = VideoLlavaSpec()
    patches = spec.layout(spec.input.shape(640, 480)).patches
    assert patches.shape == (8, 16, 16)
    assert np.array_equal(patches, np.arange(2056).reshape(8, 257)[:, 1:].reshape(8, 16, 16))


def test_pllava_finds_the_pooled_patches() -> None:
    spec = PllavaSpec()
    patches = spec.layout(spec.input.shape(640, 480)).patches
    assert np.array_equal(patches, np.arange(2304).reshape(16, 12, 12))


def test_a_repeated_frame_is_found_in_its_first_block() -> None:
    spec = PllavaSpec()
    patches = spec.layout(spec.input.shape(640, 480, num_frames_present=5)).patches
    assert patches[:, 0, 0].tolist() == [0, 4 * 144, 8 * 144, 12 * 144, *[-1] * 12]


@pytest.mark.parametrize("spec", [ChatUniViSpec, VideoChatGptSpec])
def test_merged_tokens_stand_at_no_cell(spec: type[AlignerSpec]) -> None:
    made = spec()
    shape = made.input.shape(640, 480, num_frames_present=9)
    layout = made.layout(shape)
    assert layout.patches.shape == (shape.frames, 16, 16)
    assert (layout.patches == -1).all()


@pytest.mark.parametrize("present", range(1, 9))
def test_even_repeats_are_those_of_sampling_first_to_last(present: int) -> None:
    assert np.array_equal(VideoLlavaSpec().order(present), np.linspace(0, present - 1, 8).astype(int))


@pytest.mark.parametrize("present", range(1, 17))
def test_several_times_as_pllava_does(present: int) -> None:
    times = int(16 / present) + 1 if present < 16 else 1
    expected = [frame for frame in range(present) for _ in range(times)][:16]
    assert PllavaSpec().order(present).tolist() == expected


@pytest.mark.parametrize("spec", ALL)
def test_a_part_of_the_input_keeps_the_rest(spec: type[AlignerSpec]) -> None:
    own = spec().input
    changed = spec.model_validate({"input": {"frames": 4}}).input
    assert changed == own.model_copy(update={"frames": 4})
    assert changed.sampling != "reference"


@pytest.mark.parametrize("spec", ALL)
def test_spec_round_trip(spec: type[AlignerSpec]) -> None:
    assert spec.model_validate(spec().model_dump(mode="json")) == spec()


@pytest.mark.parametrize("spec", ALL)
@pytest.mark.parametrize("present", [0, 101])
def test_refuses_a_video_with_too_few_or_too_many_frames(spec: type[AlignerSpec], present: int) -> None:
    shape = VideoShape(max(present, 1), 224, 224, (0, 224, 0, 224), present)
    with pytest.raises(ValueError, match=rf"1 to \d+ frames .*found {present} in"):
        spec().layout(shape)


@pytest.mark.parametrize("spec", ALL)
def test_refuses_a_size_that_patches_do_not_tile(spec: type[AlignerSpec]) -> None:
    with pytest.raises(ValidationError, match=r"14x14 pixels do not tile 225x225 pixels; change `input\.size`"):
        spec.model_validate({"input": {"size": 225}})


def test_refuses_what_the_encoder_cannot_take() -> None:
    with pytest.raises(ValidationError, match=r"input\.size is 448, but the encoder takes frames of 224 pixels only"):
        VideoChatGptSpec.model_validate({"input": {"size": 448}})
    with pytest.raises(ValidationError, match=r"input\.frames is 16, but the encoder takes at most 8 frames"):
        VideoLlavaSpec.model_validate({"input": {"frames": 16}})
    assert VideoChatGptSpec.model_validate({"input": {"size": 448}, "encoder": "dinov2"}).encoder.patch == 14


def test_pllava_refuses_fewer_pixels_after_the_projector() -> None:
    with pytest.raises(ValidationError, match="'half-resolution' works on pixels"):
        PllavaSpec(downsampler=HalfResolutionSpec())


def test_pllava_takes_other_downsamplers() -> None:
    shape = PllavaSpec().input.shape(640, 480)
    assert PllavaSpec(downsampler=NoneSpec()).layout(shape).tokens == 16 * 576
    flat = PllavaSpec(downsampler=PerceiverSpec(latents=5)).layout(shape)
    assert flat.tokens == 80
    assert (flat.patches == -1).all()


def test_chat_univi_refuses_scales_that_grow() -> None:
    with pytest.raises(ValidationError, match=r"found \[4, 8\] tokens from 256 patches"):
        ChatUniViSpec(scales=(Scale(tokens=4, neighbours=2), Scale(tokens=8, neighbours=2)))
    with pytest.raises(ValidationError, match=r"found \[300\] tokens from 256 patches"):
        ChatUniViSpec(scales=(Scale(tokens=300, neighbours=2),))
    with pytest.raises(ValueError, match="2x2 patches are fewer than the 64 tokens"):
        ChatUniViSpec().layout(VideoShape(3, 28, 28, (0, 28, 0, 28), 3))
