"""The questions of a benchmark are asked: all of them in one process, or shares of them in several, on any machines."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from vlmkit.evaluation.answer_model import AnswerModel
from vlmkit.evaluation.answers import AnswerFile
from vlmkit.evaluation.generate import AskedQuestion, generate_answers
from vlmkit.evaluation.prefetch import AlignerVideos
from vlmkit.evaluation.records import Decoding
from vlmkit.evaluation.shards import EvaluationShard, QuestionsOfFile, answers_so_far, unanswered, wait_for
from vlmkit.formatting import plural
from vlmkit.run_folder import RunFolder
from vlmkit.runtime import rank, world_size
from vlmkit.spec.experiment import ExperimentSpec

if TYPE_CHECKING:
    from vlmkit.data import BadSamples

__all__ = ["answer_shards", "ask_questions", "shards_here"]


def ask_questions(
    asked: Sequence[AskedQuestion],
    benchmark: str,
    model: AnswerModel,
    decoding: Decoding,
    spec: ExperimentSpec,
    run: RunFolder,
) -> None:
    """Ask what has no answer yet of a benchmark's questions. A DataError where too many videos cannot be read."""
    from vlmkit.data import BadSamples

    bad = BadSamples(run.bad_samples, spec.data.max_bad_fraction, benchmark)
    _ask(asked, model, decoding, spec, bad, benchmark)
    bad.finish()


def shards_here(shard: EvaluationShard | None) -> list[EvaluationShard]:
    """Return the shares that the processes of this launch answer, by their rank; none where one process asks all.

    Where the launch has a `shard` of its own, that is what its processes share.
    """
    count = world_size()
    if shard is None and count == 1:
        return []
    whole = shard or EvaluationShard(1, 1)
    return [EvaluationShard((whole.number - 1) * count + place + 1, whole.count * count) for place in range(count)]


def answer_shards(
    benchmarks: Mapping[str, tuple[Sequence[QuestionsOfFile], Decoding]],
    shards: Sequence[EvaluationShard],
    model: AnswerModel,
    spec: ExperimentSpec,
    run: RunFolder,
) -> bool:
    """Answer this process's share of each benchmark, and return whether it is the one to put all shares together.

    That is the first process of a launch, which waits for the others, if no share of another launch is missing.
    """
    from vlmkit.data import BadSamples

    mine = shards[rank()]
    with mine.locked(run.path):
        for name, (sets, decoding) in benchmarks.items():
            asked: list[AskedQuestion] = []
            for questions, path in mine.share(sets):
                known, file = answers_so_far(path), AnswerFile(mine.file(path))
                asked += [
                    AskedQuestion(question, file)
                    for question in questions
                    if (answer := known.get(question.document.id)) is None
                    or answer.asked != question.fingerprint
                    or answer.skipped is not None
                ]
            bad = BadSamples(run.bad_samples, spec.data.max_bad_fraction, name, writes=False)
            _ask(asked, model, decoding, spec, bad, f"{name}, shard {mine}")
    if rank():
        return False
    every = [sets for sets, _ in benchmarks.values()]
    wait_for(shards[1:], run.path, lambda shard: sum(len(unanswered(shard.share(sets))) for sets in every))
    left = sum(len(unanswered(sets)) for sets in every)
    if left:
        print(f"shard {mine} is done; {plural(left, 'question')} of other shards to do", file=sys.stderr)
    return not left


def _ask(
    asked: Sequence[AskedQuestion],
    model: AnswerModel,
    decoding: Decoding,
    spec: ExperimentSpec,
    bad: BadSamples,
    title: str,
) -> None:
    from vlmkit.data import VideoLoader

    assert spec.evaluation is not None
    frames = spec.model.aligner.input
    if decoding.sampling is not None:
        frames = frames.sampled_by(decoding.sampling)
    load = AlignerVideos(VideoLoader(spec.data.reader, frames, {"aligner": frames}))
    generate_answers(asked, model, load, bad, decoding, spec.evaluation.workers, title)
