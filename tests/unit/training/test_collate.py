"""From datasets to micro-batches, without a model."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from vlmkit.api import Dataset, Sample, Turn, UnreadableVideo, UserError, VideoInput
from vlmkit.data import FittedVideo
from vlmkit.model.tokens import Encoded, Tokens
from vlmkit.spec.experiment import StageSpec
from vlmkit.training.collate import (
    Collator,
    LoadedSample,
    StageDataset,
    StageSamples,
    UnreadableSample,
)
from vlmkit.training.sample_order import SampleOrder

INPUT = VideoInput(frames=2, size=28)


class Few(Dataset):
    def __init__(self, *videos: str | None) -> None:
        self.videos = videos

    def __len__(self) -> int:
        return len(self.videos)

    def sample(self, index: int) -> Sample:
        return Sample(str(index), (Turn("a", "b"),), self.videos[index])

    def fingerprint(self) -> str:
        return "few"


class FakeVideos:
    """Pixels that tell whether the video was mirrored; `bad` cannot be read, `short` has one frame."""

    def load(self, path: str, flip: bool) -> dict[str, FittedVideo]:
        if path == "bad":
            raise UnreadableVideo("bad: no video")
        pixels = np.zeros((2, 28, 28, 3), np.uint8)
        pixels[:, :, 0] = 255
        view = FittedVideo(pixels, (0, 28, 0, 28), 1 if path == "short" else 2)
        return dict.fromkeys(("aligner", "teacher"), view.flipped() if flip else view)


class FakeProcessor:
    def sequences(
        self, samples: Sequence[Any], videos: Sequence[Any], max_length: int, *, systems: Sequence[str]
    ) -> list[Tokens]:
        assert len(systems) == len(samples)
        if max_length < 4:
            raise UserError("too long")
        labels = [[1, -100, -100 if turns == "cut" else 1] for turns in samples]
        return [Tokens(np.ones(3, np.int64), np.array(row)) for row in labels]

    def pad(self, tokens: Sequence[Tokens], side: str) -> Encoded:
        ids, labels = (torch.tensor(np.stack(values)) for values in zip(*(row[:2] for row in tokens), strict=True))
        return Encoded(ids, torch.ones_like(ids), labels)

    def text_batch(self, texts: Any, videos: Any) -> None:
        return None

    def row_inputs(self, tokens: Any, videos: Any) -> dict[str, torch.Tensor]:
        return {}


def items(*videos: str | None, flip: bool = False) -> StageDataset:
    stage = StageSpec.model_validate({"name": "a", "data": [{"type": "moving-shapes"}], "train": {"aligner": 1.0},
                                      "epochs": 40})  # fmt: skip
    samples = StageSamples([Few(*videos)])
    videos_: Any = FakeVideos()
    return StageDataset(SampleOrder.of(stage, len(samples), 0, 1), samples, videos_, flip)


def collate(found: Sequence[LoadedSample | UnreadableSample], teacher: bool = True, max_length: int = 9) -> Any:
    processor: Any = FakeProcessor()
    return Collator(processor, INPUT, INPUT if teacher else None, max_length)(found)


def test_ids_of_several_datasets_do_not_clash() -> None:
    samples = StageSamples([Few("a", "b"), Few("c")])
    assert [samples[i][0] for i in range(len(samples))] == ["0:0", "0:1", "1:0"]
    assert [samples[i][1].video for i in range(len(samples))] == ["a", "b", "c"]
    assert StageSamples([Few("a")])[0][0] == "0"


def test_a_batch_of_videos_text_and_something_unreadable() -> None:
    source = items("good", None, "bad", "good")
    batch = collate([source[position] for position in range(4)])
    assert len(batch.text["input_ids"]) == 3
    assert batch.video.pixels.shape == batch.teacher.pixels.shape == (2, 2, 3, 28, 28)
    assert batch.unreadable == [UnreadableSample("2", "bad", "bad: no video")]
    assert sorted(batch.loaded) == ["0", "1", "3"]
    assert (batch.tokens, batch.frames) == (3, 4)


def test_frames_that_are_padding_are_not_compared() -> None:
    source = items("good", "short")
    assert collate([source[position] for position in range(2)]).frames == 3


def test_without_a_teacher_nothing_is_compared() -> None:
    batch = collate([items("good")[0]], teacher=False)
    assert batch.teacher is None
    assert (batch.tokens, batch.frames) == (1, 0)


def test_text_alone_has_no_video() -> None:
    batch = collate([items(None)[0]])
    assert batch.video is None
    assert batch.frames == 0


@pytest.mark.parametrize("found", [[], [UnreadableSample("2", "bad", "no video")]])
def test_a_batch_without_anything_readable_is_empty(found: list[UnreadableSample]) -> None:
    batch = collate(found)
    assert batch.text == {}
    assert (batch.tokens, batch.frames) == (0, 0)


def test_errors_of_the_data_as_a_whole_are_carried_not_raised() -> None:
    batch = collate([items(None)[0]], max_length=1)
    assert str(batch.error) == "too long (one of 0)"


def test_a_sample_of_which_nothing_can_be_learnt_is_bad() -> None:
    text, video, unreadable = (items(name)[0] for name in (None, "a", "bad"))
    cut = video._replace(id="long", sample=dataclasses.replace(video.sample, turns="cut"))
    batch = collate([cut, text, unreadable, video])
    assert batch.loaded == [text.id, video.id]
    assert batch.video.pixels.shape[0] == 1
    assert [bad.id for bad in batch.unreadable] == [unreadable.id, "long"]
    assert batch.unreadable[1].reason.startswith("no token of its answers lies within max_length 9; raise it")
    assert collate([cut]).text == {}


def test_aligner_and_teacher_see_the_same_mirrored_picture() -> None:
    source = items("good", flip=True)
    left = []
    for position in range(40):
        batch = collate([source[position]])
        assert torch.equal(batch.video.pixels, batch.teacher.pixels)
        left.append(bool(batch.video.pixels[0, 0, 0, 0, 0] > 0))
    assert 5 < sum(left) < 35
    assert all(collate([items("good")[p]]).video.pixels[0, 0, 0, 0, 0] > 0 for p in range(3))


def test_a_sample_with_several_videos() -> None:
    source = items("good", ("short", "good"), None, ("good", "bad"))  # type: ignore[arg-type]
    batch = collate([source[position] for position in range(4)])
    assert batch.video.frame_mask.sum(1).tolist() in ([2, 1, 2], [1, 2, 2])
    assert batch.unreadable == [UnreadableSample("3", "bad", "bad: no video")]
    assert sorted(batch.loaded) == ["0", "1", "2"]
    assert batch.frames == 5
