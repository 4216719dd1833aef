"""The loader: one decoding for all canvases, a bounded memory."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from vlmkit.api import Canvas, OpenVideo, Reader, ReaderSpec, UnreadableVideo, VideoInput
from vlmkit.data import VideoLoader, select_frames

ALIGNER = VideoInput(frames=4, size=28, sampling="uniform")
TEACHER = Canvas(size=14, multiple=14)
LONG = VideoInput(frames=10, size=28, sampling="segment-centre")


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


class _CountingSpec(ReaderSpec):
    type: Literal["counting"] = "counting"
    length: int = 40

    def build(self) -> Reader:
        return _Reader(self.length, asked)


asked: list[list[int]] = []


@pytest.fixture(autouse=True)
def _forget() -> None:
    asked.clear()


def loader(frames: VideoInput = ALIGNER, cache_bytes: int = 0, length: int = 40, **more: Canvas) -> VideoLoader:
    return VideoLoader(_CountingSpec(length=length), frames, {"aligner": frames, **more}, cache_bytes)


def test_one_decoding_serves_all_canvases() -> None:
    views = loader(teacher=TEACHER).load("a.mp4")
    assert asked == [[0, 13, 26, 39]]
    for name, canvas in (("aligner", ALIGNER), ("teacher", TEACHER)):
        assert views[name].pixels[:, 7, 7, 0].tolist() == asked[0]
        assert views[name].pixels.shape == (4, canvas.size, canvas.size, 3)


def test_repeated_frames_are_decoded_once() -> None:
    view = loader(length=3).load("a.mp4")["aligner"]
    assert asked == [[0, 1, 2]]
    assert view.pixels[:, 0, 0, 0].tolist() == [0, 0, 1, 2]


def test_few_big_frames_are_in_memory_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    views = loader(LONG, teacher=TEACHER).load("a.mp4")
    asked.clear()
    monkeypatch.setattr("vlmkit.data.loader._AT_ONCE", 3 * 3 * 20 * 20 + 1)
    again = loader(LONG, teacher=TEACHER).load("a.mp4")
    assert [len(part) for part in asked] == [3, 3, 3, 1]
    for name, view in views.items():
        np.testing.assert_array_equal(again[name].pixels, view.pixels)


def test_short_videos_are_padded_in_time() -> None:
    view = loader(VideoInput(frames=8, size=28), length=3).load("a.mp4")["aligner"]
    assert view.num_frames_present == 3
    assert view.pixels[:, 0, 0, 0].tolist() == [0, 1, 2, 0, 0, 0, 0, 0]


def test_samplers_decide_what_is_padded() -> None:
    every = {"type": "fps", "fps": 1, "max_frames": 6}  # 40 frames at 10 a second
    for pad, slots in ((True, 6), (False, 4)):
        frames = VideoInput.model_validate({"size": 28, "sampling": every | {"pad": pad}})
        view = loader(frames).load("a.mp4")["aligner"]
        assert (view.num_frames_present, len(view.pixels)) == (4, slots)
        assert view.pixels[:4, 0, 0, 0].tolist() == [0, 10, 20, 30]
        assert view.shape == frames.shape(20, 20, num_frames_present=4)


def test_times_of_frames_go_to_the_sampler(monkeypatch: pytest.MonkeyPatch) -> None:
    times = [0.0, 0.1, 0.2, 3.0, 3.1]
    monkeypatch.setattr(_Counting, "times", property(lambda video: times))
    frames = VideoInput.model_validate({"sampling": {"type": "fps", "fps": 1}})
    selected = select_frames(_Reader(length=5), "a.mp4", frames)
    assert selected.positions == [0, 2, 2, 3]
    assert [selected.seconds(position) for position in selected.positions] == [0.0, 0.2, 0.2, 3.0]


def test_memory_is_bounded_and_forgets_the_least_recent() -> None:
    one = 4 * 28 * 28 * 3
    videos = loader(cache_bytes=2 * one)
    for name in ("a", "b", "a", "c", "a", "b"):  # c drops b
        videos.load(name)
    assert len(asked) == 4
    assert videos.cached_bytes == 2 * one


def test_without_memory_every_load_decodes() -> None:
    videos = loader()
    videos.load("a")
    videos.load("a")
    assert len(asked) == 2
    assert videos.cached_bytes == 0


def test_memory_stays_behind_when_it_is_sent_to_a_worker() -> None:
    videos = loader(cache_bytes=1 << 20)
    view = videos.load("a")["aligner"]
    sent = pickle.loads(pickle.dumps(videos))
    assert (sent.cached_bytes, sent.cache_bytes) == (0, 1 << 20)
    np.testing.assert_array_equal(sent.load("a")["aligner"].pixels, view.pixels)
    assert videos.cached_bytes == sent.cached_bytes > 0


def test_a_cache_serves_those_who_want_some_of_its_canvases() -> None:
    videos = loader(cache_bytes=1, teacher=TEACHER)
    assert videos.has_cache_for({"aligner": ALIGNER})
    assert not videos.has_cache_for({"aligner": VideoInput(frames=3, size=28)})
    assert not videos.has_cache_for({"teacher": ALIGNER})
    assert not videos.has_cache_for({"other": TEACHER})
    assert not loader(teacher=TEACHER).has_cache_for({"aligner": ALIGNER}), "without memory there is nothing to keep"


def test_the_flip_is_the_same_for_all_views_and_leaves_the_memory_alone() -> None:
    videos = loader(cache_bytes=1 << 20, teacher=TEACHER)
    plain, flipped, again = videos.load("a"), videos.load("a", flip=True), videos.load("a")
    for name in plain:
        np.testing.assert_array_equal(flipped[name].pixels, plain[name].pixels[:, :, ::-1])
        np.testing.assert_array_equal(again[name].pixels, plain[name].pixels)


def test_bad_videos_raise_with_their_reason() -> None:
    with pytest.raises(UnreadableVideo, match=r"bad\.mp4: broken"):
        loader().load("bad.mp4")
    with pytest.raises(UnreadableVideo, match="no frames"):
        loader(length=0).load("a.mp4")
    with pytest.raises(ValueError, match="at least one canvas"):
        VideoLoader(_CountingSpec(), ALIGNER, {})


def test_importing_the_data_side_costs_no_torch() -> None:
    code = "import sys, vlmkit.data, vlmkit_datasets.spec, vlmkit_readers.spec; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


def test_a_span_is_sampled_as_a_video_of_its_own() -> None:
    videos = loader(cache_bytes=1 << 20)
    part, whole = videos.load("a", span=(1.0, 2.0)), videos.load("a")
    assert asked == [[10, 13, 16, 19], [0, 13, 26, 39]]
    assert part["aligner"].pixels[:, 0, 0, 0].tolist() == asked[0]
    assert whole["aligner"].pixels[:, 0, 0, 0].tolist() == asked[1]
    again = videos.load("a", span=(1.0, 2.0))["aligner"], videos.load("a", span=(1.0, 2.1))["aligner"]
    assert again[0] is part["aligner"]
    assert asked[2:] == [[10, 13, 16, 20]]


@pytest.mark.parametrize(
    ("span", "expected"),
    [((0.0, 99.0), [0, 13, 26, 39]), ((3.85, 9.0), [38, 38, 38, 39]), ((0.52, 0.58), [5, 5, 5, 5])],
)
def test_which_frames_a_span_shows(span: tuple[float, float], expected: list[int]) -> None:
    assert select_frames(_Reader(), "a", ALIGNER, span).positions == expected


def test_a_span_goes_by_the_times_of_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    times = [0.0, 0.1, 0.2, 3.0, 3.1, 4.0, 5.0]
    monkeypatch.setattr(_Counting, "times", property(lambda video: times))
    frames = VideoInput.model_validate({"sampling": {"type": "fps", "fps": 1}})
    assert select_frames(_Reader(length=7), "a", frames, (3.05, 5.0)).positions == [3, 5]


@pytest.mark.parametrize("span", [(4.0, 5.0), (7.5, 8.0), (2.0, 1.0), (-1.0, 2.0)])
def test_a_span_outside_of_the_video_is_told_with_numbers(span: tuple[float, float]) -> None:
    start, end = span
    said = f"a.mp4: the part from {start:g} to {end:g} s lies outside of the video, which is 4 s long"
    with pytest.raises(UnreadableVideo, match=said):
        loader().load("a.mp4", span=span)


def test_a_picture_is_a_video_of_one_frame(tmp_path: Path) -> None:
    Image.new("RGB", (40, 20), (9, 8, 7)).save(tmp_path / "a.png")
    [view] = loader().load(tmp_path / "a.png").values()
    assert view.num_frames_present == 1
    assert view.pixels[0, 14, 14].tolist() == [9, 8, 7]
    assert view.seconds == ()
    assert not asked
    with pytest.raises(UnreadableVideo, match=r"a\.png: a picture has no part from 1 to 2 s"):
        loader().load(tmp_path / "a.png", span=(1.0, 2.0))
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:60])
    with pytest.raises(UnreadableVideo, match=r"b\.png: the picture cannot be decoded"):
        loader().load(tmp_path / "b.png")
