"""All that one result depends on, known before anything is asked: a result that says otherwise is of something else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlmkit.api.judge import JudgeSpec
from vlmkit.evaluation.records import Conditions, Decoding, JudgeName
from vlmkit.evaluation.saved_model import saved_model_of
from vlmkit.files import expand_path, file_sha256, is_file, is_folder
from vlmkit.manifest import MANIFEST
from vlmkit.run_folder import RunFolder
from vlmkit.spec.experiment import ExperimentSpec
from vlmkit.spec.identity import origins, versions

if TYPE_CHECKING:
    from vlmkit.benchmarks.protocols import Rules
    from vlmkit.evaluation.answers import Question
    from vlmkit.evaluation.questions import PreparedBenchmark, QuestionSet

__all__ = [
    "answering_components",
    "conditions_of",
    "judge_name",
    "model_sha256",
    "question_fingerprint",
    "shared_fingerprint",
]

_KEYS = ("path", "weights", "tokenizer")


def model_sha256(spec: ExperimentSpec, run: RunFolder) -> str:
    """Return the checksum of all files that the run's model is loaded from.

    Of a spec that is composed these are the files and folders that its `model` names under `path`, `weights` and
    `tokenizer`; what comes from a hub, or is drawn from the seed, is told by the spec itself.
    """
    own = [expand_path(name) for name in _names(spec.model.model_dump(mode="json"))]
    saved = saved_model_of(spec, run)
    named = own if saved is None else [saved]
    digest = hashlib.sha256()
    for path in named:
        for file in _files(path):
            digest.update(f"{file.name} {file_sha256(file)}\n".encode())
    return digest.hexdigest()


def shared_fingerprint(spec: ExperimentSpec, model_sha256: str, decoding: Decoding) -> str:
    """Return what all answers to a benchmark depend on: the model, its components, and how answers are generated.

    The size of batches is none of it: see `vlmkit.evaluation.answer_model.LoadedModel`.
    """
    shown = [decoding.frames, decoding.sampling]
    return json.dumps([model_sha256, decoding.max_new_tokens, shown, answering_components(spec)])


def question_fingerprint(question: Question, shared: str) -> str:
    """Return what changes with all that an answer depends on; of the video, path and size stand for it.

    `shared` is what the answer shares with the others, see `shared_fingerprint`.
    """
    path, span = question.path, question.document.span
    video = path and [str(path), path.stat().st_size]
    asked = [astuple(question.prompt), video, span, question.arrangement, question.max_new_tokens,
             question.continuations, shared]  # fmt: skip
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]


def conditions_of(
    spec: ExperimentSpec,
    benchmark: PreparedBenchmark,
    sets: Sequence[QuestionSet],
    judge: JudgeSpec | None,
    model_sha256: str,
    decoding: Decoding,
) -> Conditions:
    """Return all that the result of a benchmark depends on."""
    judging = versions(benchmark.origins | origins(judge))
    fingerprints = [question.fingerprint for some in sets for question in some.questions]
    return Conditions(
        benchmark=benchmark.benchmark.name,
        version=benchmark.benchmark.version,
        split=benchmark.split,
        protocol=benchmark.rules.protocol.label,
        limit=benchmark.limit,
        annotations=benchmark.annotations.used,
        asked=hashlib.sha256("".join(fingerprints).encode()).hexdigest(),
        model_sha256=model_sha256,
        decoding=decoding,
        judge=None if judge is None else judge_name(judge, benchmark.rules),
        components={**answering_components(spec), **judging},
    )


def judge_name(judge: JudgeSpec, rules: Rules) -> JudgeName:
    """Return the name that the verdicts of a judge are stored under, and the prompts that it is given by the rules."""
    package, built = versions(origins(judge))[f"{judge.kind}/{judge.address}"], judge.build()
    prompts = rules.prompts if built.prompted else []
    return JudgeName(name=judge.type, version=f"{built.version} ({package})", prompts=prompts)


def answering_components(spec: ExperimentSpec) -> dict[str, str]:
    """Return package and version of each component that the answers depend on."""
    return versions(origins(spec.model, spec.data.reader))


def _names(node: Any) -> Iterator[str]:
    for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        if isinstance(value, str) and key in _KEYS:
            yield value
        yield from _names(value)


def _files(path: Path) -> list[Path]:
    if is_folder(path):
        return sorted(file for file in path.iterdir() if is_file(file) and file.name != MANIFEST)
    return [path] if is_file(path) else []
