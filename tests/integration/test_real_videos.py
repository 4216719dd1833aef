"""All real clips decode and fit, from a path and from bytes."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from vlmkit.api import Canvas, VideoInput
from vlmkit.data import FittedVideo, VideoLoader, padding_color, to_batch
from vlmkit_readers.spec import DecordSpec

INPUTS = {"aligner": VideoInput(), "teacher": Canvas(size=224, multiple=14)}


@pytest.fixture(scope="module")
def clips(shared: Path) -> list[Path]:
    return sorted((shared / "videos").iterdir())


def _check(fitted: FittedVideo, video: Canvas) -> None:
    top, bottom, left, right = fitted.content_box
    assert fitted.pixels.shape == (8, video.size, video.size, 3)
    assert fitted.num_frames_present == 8
    ground = np.ones((video.size, video.size), bool)
    ground[top:bottom, left:right] = False
    assert (fitted.pixels[:, ground] == padding_color(video)).all()
    picture = fitted.pixels[:, top:bottom, left:right]
    assert max(picture.shape[1:3]) == video.size
    assert picture.std() > 5, "the picture is flat"


def test_all_clips_decode_and_fit(clips: list[Path]) -> None:
    assert len(clips) == 40
    assert {clip.suffix for clip in clips} == {".avi", ".gif", ".mkv", ".mp4"}
    loader = VideoLoader(DecordSpec(), VideoInput(), INPUTS)
    for clip in clips:
        views = loader.load(clip)
        for name, video in INPUTS.items():
            _check(views[name], video)
        (teacher, aligner) = (np.array(views[name].content_box) for name in ("teacher", "aligner"))
        np.testing.assert_array_equal(teacher * 2, aligner)
        batch = to_batch([views["teacher"]], INPUTS["teacher"])
        assert batch.pixels.isfinite().all()
        assert batch.pixels.abs().max() < 4


@pytest.mark.parametrize(
    "name", ["mmaction2_test.avi", "msvd_klteYv1Uv9A_27_33.avi", "tgif_4.gif", "pllava_cooking.mp4"]
)
def test_frames_are_those_of_decoding_in_order(shared: Path, name: str) -> None:
    path = shared / "videos" / name
    with av.open(str(path)) as container:
        every = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    video = DecordSpec().build().open(path)
    wanted = [int(x) for x in np.linspace(0, video.num_frames - 1, 8)]
    for position, frame in zip(wanted, video.frames(wanted), strict=True):
        np.testing.assert_array_equal(frame, every[min(position, len(every) - 1)], err_msg=f"frame {position}")


@pytest.mark.parametrize("name", ["ask_yoga.mp4", "intel_asl_book.mkv", "msvd_j2Dhf-xFUxU_13_20.avi", "tgif_1.gif"])
def test_bytes_give_the_same_frames(shared: Path, name: str) -> None:
    path = shared / "videos" / name
    reader = DecordSpec().build()
    by_path, by_bytes = reader.open(path), reader.open(path.read_bytes())
    assert (by_path.num_frames, by_path.fps) == (by_bytes.num_frames, by_bytes.fps)
    wanted = [0, by_path.num_frames // 2, by_path.num_frames - 1]
    np.testing.assert_array_equal(by_path.frames(wanted), by_bytes.frames(wanted))
