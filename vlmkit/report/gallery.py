"""The section of test videos: frame strips with question, answer and prediction."""

from __future__ import annotations

import base64
import io
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from vlmkit.api.reader import Reader
from vlmkit.api.video import FrameSelection
from vlmkit.data import select_frames
from vlmkit.errors import DataError, UserError
from vlmkit.evaluation import PreparedBenchmark, prepare_benchmark
from vlmkit.evaluation.scores import ScoredAnswer
from vlmkit.report.run_files import RunFiles

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = [
    "FRAMES", "SHOWN", "SIDE", "Gallery", "ReadStrip", "StripFrame", "choose", "galleries", "outcome", "strip_reader",
    "systematic_sample",
]  # fmt: skip

SHOWN = 15
"""Videos per page."""
FRAMES = 8
"""Most frames per strip."""
SIDE = 160
"""Longest side of a frame, pixels. Smaller ones stay as they are."""


T = TypeVar("T")
ReadStrip = Callable[[str], "list[StripFrame]"]
"""The name of a video, to frames of it. A `DataError` where it cannot be read."""


class StripFrame(NamedTuple):
    """One frame of a strip."""

    seconds: float
    """When it is shown."""
    uri: str
    """The JPEG as a data URI."""


class Card(NamedTuple):
    """One answered question."""

    answer: ScoredAnswer
    outcome: str
    frames: list[StripFrame]
    problem: str
    """The reason why there are no frames, unless it is that of the whole gallery."""


class Gallery(NamedTuple):
    """The cards of one result."""

    name: str
    cards: list[Card]
    shown: Counter[str]
    """The number of cards of each outcome."""
    answered: Counter[str]
    """The number of answered questions of each outcome."""
    problem: str
    """The reason why no frames are shown."""


def galleries(
    run: RunFiles, answers: Mapping[str, Sequence[ScoredAnswer]], prepared: Sequence[PreparedBenchmark] = ()
) -> list[Gallery]:
    """One gallery per result that has answers; several show fewer videos each."""
    answers = {name: rows for name, rows in answers.items() if rows}
    wanted = max(6, SHOWN // max(1, len(answers)))
    return [_gallery(run, name, rows, wanted, prepared) for name, rows in answers.items()]


def _gallery(
    run: RunFiles, name: str, answers: Sequence[ScoredAnswer], wanted: int, prepared: Sequence[PreparedBenchmark]
) -> Gallery:
    answered = [answer for answer in answers if answer.answer.prediction is not None]
    chosen = choose(answered, wanted, run.spec.seed)
    try:
        read, problem = strip_reader(run, name, prepared), ""
    except UserError as error:
        read, problem = None, str(error)
    cards = [_card(answer, read) for answer in chosen]
    return Gallery(name, cards, Counter(map(outcome, chosen)), Counter(map(outcome, answered)), problem)


def outcome(answer: ScoredAnswer) -> str:
    """`correct`, `wrong` or `unscored`. (Not `right`, which is an answer too.)"""
    return "unscored" if answer.is_right is None else "correct" if answer.is_right else "wrong"


def choose(answers: Sequence[ScoredAnswer], wanted: int, seed: int) -> list[ScoredAnswer]:
    """A systematic sample by outcome, then type; ordered by type, then outcome, for showing."""
    by_id = sorted(answers, key=lambda answer: answer.document.id)
    chosen = systematic_sample(by_id, wanted, seed, lambda answer: (outcome(answer), answer.document.type))
    return sorted(chosen, key=lambda answer: (answer.document.type, outcome(answer)))


def systematic_sample(items: Sequence[T], wanted: int, seed: int, label: Callable[[T], tuple[Any, ...]]) -> list[T]:
    """Every so many of the items sorted by their labels: each label gets its share to within one.

    The same for the same items in the same order and the same seed.
    """
    draw = random.Random(seed)  # noqa: S311 -- a choice of pictures, not a secret
    shuffled = list(items)
    draw.shuffle(shuffled)
    ordered = sorted(shuffled, key=label)
    wanted = min(wanted, len(ordered))
    start = draw.random()
    return [ordered[int((i + start) * len(ordered) / wanted)] for i in range(wanted)]


def _card(answer: ScoredAnswer, read: ReadStrip | None) -> Card:
    try:
        frames, problem = read(answer.document.video) if read else [], ""
    except UserError as error:
        frames, problem = [], str(error)
    return Card(answer, outcome(answer), frames, problem)


def strip_reader(run: RunFiles, name: str, prepared: Sequence[PreparedBenchmark] = ()) -> ReadStrip:
    """Return what reads the videos of the result of this name. A UserError where they are not known or gone."""
    if (spec := run.experiment) is None:
        raise DataError(run.spec_problem)
    benchmark = next((benchmark for benchmark in prepared if benchmark.name == name), None)
    if benchmark is None:
        options = spec.evaluation
        use = next((use for use in options.benchmarks if use.result_name == name), None) if options else None
        if not options or not use:
            raise DataError(f"the spec has no benchmark {name} any more, so its videos are not known")
        benchmark = prepare_benchmark(use, options.benchmarks_path)
    return partial(_read_strip, spec.data.reader.build(), spec.model.aligner.input, benchmark)


def _read_strip(reader: Reader, frames: FrameSelection, benchmark: PreparedBenchmark, name: str) -> list[StripFrame]:
    """Return frames of the video of this name. A `DataError` where there is none, or it cannot be decoded."""
    if name not in benchmark.videos:
        raise DataError(benchmark.missing.get(name, f"the benchmark has no video {name}"))
    selected = select_frames(reader, benchmark.videos[name], frames)
    distinct = sorted(set(selected.positions))
    count = min(FRAMES, len(distinct))
    positions = [distinct[i * len(distinct) // count] for i in range(count)]
    pictures = zip(positions, selected.video.frames(positions), strict=True)
    return [StripFrame(selected.seconds(position), _jpeg(picture)) for position, picture in pictures]


def _jpeg(frame: npt.NDArray[np.uint8]) -> str:
    from PIL import Image

    image = Image.fromarray(frame)
    image.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=72, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
