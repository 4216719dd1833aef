"""The loader: one decoding for all views, a bounded memory."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from vlmkit.api import OpenVideo, Reader, UnreadableVideo, VideoInput
from vlmkit.data import VideoLoader, frame_positions

ALIGNER = VideoInput(frames=4, size=28, sampling="uniform")
TEACHER = VideoInput(frames=4, size=14, multiple=14, sampling="uniform")
LONG = VideoInput(frames=6, size=14, multiple=14, sampling="segment-centre")


@dataclass
class _Counting(OpenVideo):
    """Frames whose value is their position."""

    asked: list[list[int]]

    def frames(self, positions: Sequence[int]) -> npt.NDArray[np.uint8]:
        self.asked.append(list(positions))
        values = np.asarray(positions, np.uint8)[:, None, None, None]
        return np.broadcast_to(values, (len(positions), self.height, self.width, 3)).copy()


@dataclass
class _Reader(Reader):
    length: int = 40
    asked: list[list[int]] = field(default_factory=list)

    def open(self, source: str | Path | bytes) -> OpenVideo:
        if "bad" in str(source):
            raise UnreadableVideo(f"{source!s}: broken")
        return _Counting(self.length, 10.0, 20, 20, self.asked)


def test_one_decoding_serves_all_views() -> None:
    reader = _Reader()
    views = VideoLoader(reader, {"aligner": ALIGNER, "teacher": TEACHER, "long": LONG}).load("a.mp4")
    assert len(reader.asked) == 1
    assert reader.asked[0] == sorted(set(reader.asked[0]))
    for name, video in (("aligner", ALIGNER), ("teacher", TEACHER), ("long", LONG)):
        positions = frame_positions(video.sampling, 40, 10.0, video.frames)
        assert views[name].pixels[:, 7, 7, 0].tolist() == positions
        assert views[name].pixels.shape == (video.frames, video.size, video.size, 3)


def test_few_big_frames_are_in_memory_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    views = VideoLoader(_Reader(), {"aligner": ALIGNER, "long": LONG}).load("a.mp4")
    monkeypatch.setattr("vlmkit.data.loader._AT_ONCE", 3 * 3 * 20 * 20 + 1)
    reader = _Reader()
    again = VideoLoader(reader, {"aligner": ALIGNER, "long": LONG}).load("a.mp4")
    assert [len(asked) for asked in reader.asked] == [3, 3, 3, 1]
    for name, view in views.items():
        np.testing.assert_array_equal(again[name].pixels, view.pixels)


def test_short_videos_are_padded_in_time() -> None:
    video = VideoInput(frames=8, size=28)
    view = VideoLoader(_Reader(length=3), {"aligner": video}).load("a.mp4")["aligner"]
    assert view.num_frames_present == 3
    assert view.pixels[:, 0, 0, 0].tolist() == [0, 1, 2, 0, 0, 0, 0, 0]


def test_memory_is_bounded_and_forgets_the_least_recent() -> None:
    reader = _Reader()
    one = 4 * 28 * 28 * 3
    loader = VideoLoader(reader, {"aligner": ALIGNER}, cache_bytes=2 * one)
    for name in ("a", "b", "a", "c", "a", "b"):  # c drops b
        loader.load(name)
    assert len(reader.asked) == 4
    assert loader.cached_bytes == 2 * one


def test_without_memory_every_load_decodes() -> None:
    reader = _Reader()
    loader = VideoLoader(reader, {"aligner": ALIGNER})
    loader.load("a")
    loader.load("a")
    assert len(reader.asked) == 2
    assert loader.cached_bytes == 0


def test_the_flip_is_the_same_for_all_views_and_leaves_the_memory_alone() -> None:
    loader = VideoLoader(_Reader(), {"aligner": ALIGNER, "teacher": TEACHER}, cache_bytes=1 << 20)
    plain, flipped, again = loader.load("a"), loader.load("a", flip=True), loader.load("a")
    for name in plain:
        np.testing.assert_array_equal(flipped[name].pixels, plain[name].pixels[:, :, ::-1])
        np.testing.assert_array_equal(again[name].pixels, plain[name].pixels)


def test_bad_videos_raise_with_their_reason() -> None:
    with pytest.raises(UnreadableVideo, match=r"bad\.mp4: broken"):
        VideoLoader(_Reader(), {"aligner": ALIGNER}).load("bad.mp4")
    with pytest.raises(UnreadableVideo, match="no frames"):
        VideoLoader(_Reader(length=0), {"aligner": ALIGNER}).load("a.mp4")
    with pytest.raises(ValueError, match="at least one video input"):
        VideoLoader(_Reader(), {})


def test_importing_the_data_side_costs_no_torch() -> None:
    code = "import sys, vlmkit.data, vlmkit_datasets.spec, vlmkit_readers.spec; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
