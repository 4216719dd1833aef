"""Videos as callers of the processor give them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image

from vlmkit.data import FittedVideo
from vlmkit.errors import UserError
from vlmkit.model import VideoLM, VideoLMProcessor
from vlmkit.model.video_inputs import listed_images, listed_videos

Composed = tuple[VideoLM, VideoLMProcessor]
SECONDS, FPS = 6, 4


@pytest.fixture
def processor(composed: Composed) -> VideoLMProcessor:
    return composed[1]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip that grows brighter, 40 levels each second."""
    file = tmp_path_factory.mktemp("clip") / "clip.mp4"
    with av.open(file, "w") as container:
        stream = container.add_stream("mpeg4", FPS)
        stream.width = stream.height = 56
        for number in range(SECONDS * FPS):
            pixels = np.full((56, 56, 3), 40 * (number // FPS), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        container.mux(stream.encode())
    return file


def levels(fitted: FittedVideo) -> list[int]:
    """The second that each frame is from."""
    return [round(frame.mean() / 40) for frame in fitted.pixels[: fitted.num_frames_present]]


def picture(level: int = 0) -> Image.Image:
    return Image.new("RGB", (56, 56), (level, level, level))


def test_a_clip_is_one_clip_however_it_is_named(processor: VideoLMProcessor, clip: Path) -> None:
    expected = processor.fit(clip)
    assert expected.num_frames_present == 4
    for source in (str(clip), f"file://{clip}", clip.read_bytes()):
        found = processor.fit(source)
        np.testing.assert_array_equal(found.pixels, expected.pixels)
        assert found.seconds == expected.seconds


def test_frames_are_looked_at_as_they_are(processor: VideoLMProcessor) -> None:
    frames = [picture(0), picture(80), picture(200)]
    array = np.stack([np.asarray(frame) for frame in frames])
    for source in (frames, tuple(frames), array, list(array), torch.from_numpy(np.moveaxis(array, -1, 1).copy())):
        fitted = processor.fit(source)
        assert levels(fitted) == [0, 2, 5]
        assert fitted.pixels.shape == (4, 56, 56, 3)


def test_a_picture_is_a_video_of_one_frame(processor: VideoLMProcessor, tmp_path: Path) -> None:
    picture(80).save(tmp_path / "a.png")
    for source in (picture(80), tmp_path / "a.png", np.asarray(picture(80)), (tmp_path / "a.png").read_bytes()):
        fitted = processor.fit(source)
        assert (levels(fitted), fitted.num_frames_present) == ([2], 1)


def test_another_sampler(processor: VideoLMProcessor, clip: Path) -> None:
    assert levels(processor.fit(clip, sampling="segment-start")) == [0, 1, 3, 4]
    assert levels(processor.fit(clip, sampling={"type": "segment-start"})) == [0, 1, 3, 4]
    assert levels(processor.fit(clip, sampling={"type": "uniform", "frames": 8})) == [0, 0, 1, 2, 3, 4, 4, 5]
    assert levels(processor.fit(clip, sampling={"type": "fps", "fps": 1, "max_frames": 8})) == [*range(6)]
    assert levels(processor.fit(clip, span=(2, 4), sampling="segment-start")) == [2, 2, 3, 3]


@pytest.mark.parametrize(
    ("sampling", "said"),
    [
        ("uniforn", "sampling: no installed plugin offers sampler 'uniforn'; did you mean 'uniform'"),
        ({"type": "uniform", "frames": 0}, r"sampling: this has 1 problem\(s\)\n  frames: "),
        ({"type": "fps", "max_frames": 16, "frames": 4}, "frames is 4, but sampling fps gives at most 16"),
        ({"frames": 3}, "sampling"),
    ],
)
def test_what_is_no_sampler(processor: VideoLMProcessor, clip: Path, sampling: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        processor.fit(clip, sampling=sampling)


def test_more_frames_than_the_model_takes(processor: VideoLMProcessor) -> None:
    with pytest.raises(UserError, match="expected at most 4 frames, which are chosen already, found 5"):
        processor.fit([picture()] * 5)


def test_a_part_of_a_picture(processor: VideoLMProcessor) -> None:
    with pytest.raises(UserError, match=r"the part from 1 to 2 s is one of a video's file; found frames"):
        processor.fit(picture(), span=(1, 2))


def test_a_text_is_no_video(processor: VideoLMProcessor, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("no video")
    with pytest.raises(UserError, match=r"a\.txt: "):
        processor.fit(tmp_path / "a.txt")
    with pytest.raises(UserError, match="the bytes that are given: "):
        processor.fit(b"no video")


def test_the_videos_of_a_call() -> None:
    one, frames = picture(), [picture(), picture()]
    array = np.zeros((2, 4, 4, 3), np.uint8)
    assert listed_videos(None) == []
    assert listed_videos("a.mp4") == listed_videos(["a.mp4"]) == listed_videos([["a.mp4"]]) == ["a.mp4"]
    assert listed_videos((Path("a"), b"b")) == [Path("a"), b"b"]
    assert listed_videos(one) == [one]
    assert listed_videos(frames) == listed_videos([frames]) == [frames]
    assert listed_videos([frames, ["a.mp4"], [None]]) == [frames, "a.mp4"]
    assert len(listed_videos(array)) == len(listed_videos([array])) == 1
    assert len(listed_videos(np.stack([array, array]))) == len(listed_videos([array, array])) == 2
    with pytest.raises(UserError, match="expected videos or pictures, found a value of type int"):
        listed_videos([5])


def test_the_pictures_of_a_call() -> None:
    one, frames = picture(), [picture(), picture()]
    assert listed_images(None) == []
    assert listed_images(one) == listed_images([one]) == listed_images([[one]]) == [one]
    assert listed_images(frames) == listed_images([[frames[0]], [frames[1]]]) == frames
    assert listed_images("a.png") == ["a.png"]
    assert len(listed_images(np.zeros((2, 4, 4, 3), np.uint8))) == 2
    with pytest.raises(UserError, match="expected videos or pictures, found a value of type dict"):
        listed_images({"url": "a.png"})
