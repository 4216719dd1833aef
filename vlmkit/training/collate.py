"""From positions of a stage to micro-batches. Runs in the training process or in worker processes."""

from __future__ import annotations

import os
import pickle
import traceback
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import get_worker_info

from vlmkit.api.canvas import Canvas
from vlmkit.api.dataset import Dataset, Sample
from vlmkit.api.spec import ComponentSpec
from vlmkit.api.tensors import TextBatch, VideoBatch
from vlmkit.data import FittedVideo, VideoLoader, to_batch
from vlmkit.errors import DataError, UnreadableVideo, UserError
from vlmkit.guard import guarded
from vlmkit.model.processor import VideoLMProcessor
from vlmkit.model.tokens import IGNORE
from vlmkit.training.sample_order import SampleOrder, is_flipped

__all__ = [
    "Collator",
    "FailedSample",
    "LoadedSample",
    "MicroBatch",
    "StageDataset",
    "StageSamples",
    "UnreadableSample",
    "check_picklable",
]


class UnreadableSample(NamedTuple):
    """A sample that could not be read, or of which nothing can be learned."""

    id: str
    video: str | None
    reason: str


class LoadedSample(NamedTuple):
    """A sample that was read."""

    id: str
    sample: Sample
    views: Sequence[Mapping[str, FittedVideo]]
    """Each video fitted for each input."""


class FailedSample(NamedTuple):
    """A sample that stops the run. The error is raised in the training process, as `MicroBatch.error` is."""

    error: UserError


AnySample = LoadedSample | UnreadableSample | FailedSample


@dataclass
class MicroBatch:
    """The input of one forward pass. Samples that could not be read are not in the tensors."""

    text: dict[str, Tensor]
    """`input_ids`, `attention_mask` and `labels`, (B, S) each, and (V,) `video_rows` where the aligner gives prompts;
    empty where no sample could be read."""
    video: VideoBatch | None
    """The aligner's videos, in the order of the rows that have one."""
    teacher: VideoBatch | None
    """The same videos as the teacher wants them."""
    loaded: list[str]
    """Ids of the samples in the tensors."""
    unreadable: list[UnreadableSample]
    error: UserError | None = None
    """The fault of the data as a whole. It is raised in the training process: crossing from a worker as an
    exception would bury its message in a traceback."""
    questions: TextBatch | None = None
    """What an aligner that reads text reads about the videos."""

    @property
    def tokens(self) -> int:
        """Tokens that have a label."""
        return int((self.text["labels"][:, 1:] != IGNORE).sum()) if self.text else 0

    @property
    def frames(self) -> int:
        """Frames that are compared with the teacher."""
        return int(self.video.frame_mask.sum()) if self.video is not None and self.teacher is not None else 0

    def to(self, device: torch.device, dtype: torch.dtype | None = None) -> MicroBatch:
        """Return the same on another device; `dtype` is that of the pixels."""
        text = {name: tensor.to(device, non_blocking=True) for name, tensor in self.text.items()}
        video = self.video.to(device, dtype) if self.video is not None else None
        teacher = self.teacher.to(device, dtype) if self.teacher is not None else None
        questions = self.questions.to(device) if self.questions is not None else None
        return replace(self, text=text, video=video, teacher=teacher, questions=questions)


class StageSamples(Sequence[tuple[str, Sample]]):
    """The datasets of a stage as one sequence of (id, sample). With several, an id begins with its dataset's number."""

    def __init__(self, datasets: Sequence[Dataset]) -> None:
        self.datasets = list(datasets)
        self._ends = list(accumulate(len(dataset) for dataset in self.datasets))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: int) -> tuple[str, Sample]:  # type: ignore[override]
        number = bisect_right(self._ends, index)
        sample = self.datasets[number].sample(index - (self._ends[number - 1] if number else 0))
        return (sample.id if len(self.datasets) == 1 else f"{number}:{sample.id}"), sample


@dataclass
class StageDataset:
    """The samples of a stage by position, read when they are asked for: a dataset for torch's DataLoader."""

    order: SampleOrder
    samples: StageSamples
    videos: VideoLoader
    flip: bool

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, position: int) -> AnySample:
        epoch, index = self.order[position]
        try:
            key, sample = self.samples[index]
            flip = bool(sample.videos) and self.flip and is_flipped(self.order, epoch, key)
            views = []
            for video in sample.videos:
                try:
                    views.append(self.videos.load(video, flip))
                except UnreadableVideo as error:
                    return UnreadableSample(key, video, str(error))
            return LoadedSample(key, sample, views)
        except UserError as error:
            if get_worker_info() is not None:  # its traceback, for --debug, does not cross by itself
                error.add_note("".join(traceback.format_exception(error)))
            return FailedSample(error)


@dataclass
class Collator:
    """Turns samples into a `MicroBatch`."""

    processor: VideoLMProcessor
    aligner: Canvas
    teacher: Canvas | None
    max_length: int

    def __call__(self, samples: Sequence[AnySample]) -> MicroBatch:
        """Collate any number of samples, none included."""
        failed = next((sample.error for sample in samples if isinstance(sample, FailedSample)), None)
        if failed is not None:
            return MicroBatch({}, None, None, [], [], failed)
        loaded = [sample for sample in samples if isinstance(sample, LoadedSample)]
        unreadable = [sample for sample in samples if isinstance(sample, UnreadableSample)]
        if not loaded:
            return MicroBatch({}, None, None, [], unreadable)
        videos = [[view["aligner"] for view in item.views] for item in loaded]
        try:
            turns = [item.sample.turns for item in loaded]
            systems = [item.sample.system for item in loaded]
            sequences = self.processor.sequences(turns, videos, self.max_length, systems=systems)
            encoded = self.processor.pad(sequences, "right")
            questions = self.processor.text_batch([item.read for item in sequences], [len(each) for each in videos])
        except UserError as error:
            names = ", ".join(item.id for item in loaded)
            return MicroBatch({}, None, None, [], [], DataError(f"{error} (one of {names})"))
        has_label = (encoded.labels[:, 1:] != IGNORE).any(1).tolist()
        if not all(has_label):
            reason = (
                f"no token of its answers lies within max_length {self.max_length}; raise it, or shorten the question"
            )
            pairs = [*zip(loaded, has_label, strict=True)]
            cut = [
                UnreadableSample(item.id, ", ".join(item.sample.videos) or None, reason)
                for item, labeled in pairs
                if not labeled
            ]
            return self([*(item for item, labeled in pairs if labeled), *unreadable, *cut])
        views = [view for item in loaded for view in item.views]
        return MicroBatch(
            text=encoded._asdict() | self.processor.row_inputs(sequences, [len(each) for each in videos]),
            video=to_batch([view["aligner"] for view in views], self.aligner) if views else None,
            teacher=to_batch([view["teacher"] for view in views], self.teacher) if views and self.teacher else None,
            loaded=[item.id for item in loaded],
            unreadable=unreadable,
            questions=questions,
        )


def check_picklable(*things: Dataset | ComponentSpec) -> None:
    """Raise a PluginError where a worker process could not be given these datasets or specs."""
    for thing in things:
        doing = "being pickled for a worker process (training.workers)"
        with Path(os.devnull).open("wb") as sink, guarded(thing, doing):
            pickle.dump(thing, sink)
