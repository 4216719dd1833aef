"""One benchmark on one model: asked through lm-eval, judged, summed up."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from vlmkit._version import __version__
from vlmkit.api.evaluator import Document
from vlmkit.api.judge import Unscored, Verdict
from vlmkit.data import BadSamples, VideoLoader
from vlmkit.evaluation.inquiry import Inquiry
from vlmkit.evaluation.journal import Journal
from vlmkit.evaluation.respond import Respond
from vlmkit.evaluation.result import release_answers
from vlmkit.evaluation.scores import Row, summarise
from vlmkit.evaluation.selection import Selection
from vlmkit.evaluation.verdicts import VerdictStore
from vlmkit.files import write_atomic
from vlmkit.json_files import json_line, write_record
from vlmkit.manifest import file_entries
from vlmkit.registry import registry
from vlmkit.run_folder import RunFolder
from vlmkit.spec.experiment import ExperimentSpec
from vlmkit.spec.loading import sha256

__all__ = ["measure"]

_COUNTING = (
    "n questions were scored and make up the metrics; questions about unreadable videos (skipped) and those that the "
    "judge failed on (unscored) are left out of n and of all metrics"
)


def measure(inquiry: Inquiry, spec: ExperimentSpec, run: RunFolder, respond: Respond) -> dict[str, Any]:
    """Ask, judge and sum up one benchmark; `result.json` is written last. Continues where an earlier call stopped."""
    started = time.monotonic()
    selection = inquiry.selection
    folder = run.evaluation(selection.name)
    _forget_bad(run, selection.name)
    release_answers(folder / "result.json")
    files = dict(zip(inquiry.asked, ("predictions.jsonl", "blind_predictions.jsonl"), strict=False))
    journals = {task: Journal(folder / file) for task, file in files.items()}
    with VerdictStore.open(folder / "verdicts.sqlite") as verdicts:
        samples = _run_harness(inquiry, spec, run, respond, journals, verdicts)
    for task, journal in journals.items():
        journal.compact([question.entry() for question in inquiry.asked[task]])
    own, *blind = (_part(selection, samples[task]) for task in inquiry.asked)
    result = {
        **inquiry.described(),
        **own,
        **({"blind": blind[0]} if blind else {}),
        "files": file_entries(folder, [journal.path for journal in journals.values() if journal.path.is_file()]),
        "counting": _COUNTING,
        "seconds": round(time.monotonic() - started, 1),
        "spec_sha256": sha256(spec),
        "plugins": {plugin.name: plugin.package for plugin in registry().plugins if plugin.state == "loaded"},
        "vlmkit_version": __version__,
    }
    write_record(folder / "result.json", result)
    return result


def _forget_bad(run: RunFolder, where: str) -> None:
    """Each unreadable video is met, and written down, every time; those that were repaired should not stay."""
    lines = run.bad_lines()
    kept = [line for line in lines if line["where"] != where]
    if len(kept) < len(lines):
        write_atomic(run.bad_samples, "".join(map(json_line, kept)))


def _run_harness(
    inquiry: Inquiry,
    spec: ExperimentSpec,
    run: RunFolder,
    respond: Respond,
    journals: Mapping[str, Journal],
    verdicts: VerdictStore,
) -> dict[str, list[dict[str, Any]]]:
    """lm-eval's samples of each task: the question under `doc`, the answer, and the value of each metric."""
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    from vlmkit.evaluation.adapter import VideoLMAdapter
    from vlmkit.evaluation.task import BenchmarkTask

    selection, options = inquiry.selection, inquiry.options

    def judged(document: Document, prediction: str) -> Verdict | Unscored:
        asked = (document.question, document.answer, prediction)
        return verdicts.judge(options.judge.type, inquiry.judge, *asked, version=inquiry.judge_version)

    inputs = {"aligner": spec.model.aligner.input}
    loader = VideoLoader(spec.data.reader.build(), inputs, spec.data.cache_mib << 20)
    adapter = VideoLMAdapter(
        respond,
        lambda path: loader.load(path)["aligner"],
        journals,
        BadSamples(run.bad_samples, spec.data.max_bad_fraction, selection.name),
        options.batch_size,
        inquiry.how,
        selection.name,
    )
    benchmark = selection.benchmark
    tasks = [
        BenchmarkTask(name, benchmark.version, some, selection.evaluator, benchmark.metrics, judged, inquiry.longest)
        for name, some in inquiry.asked.items()
    ]
    with _without_surroundings():
        results = simple_evaluate(
            adapter,
            tasks=tasks,
            task_manager=TaskManager(include_defaults=False),
            bootstrap_iters=0,
            random_seed=None,
            numpy_random_seed=None,
            torch_random_seed=None,
            fewshot_random_seed=None,
        )
    return dict(results["samples"])


@contextmanager
def _without_surroundings() -> Iterator[None]:
    """lm-eval asks `git describe` for the commit of the folder that it is called in, which complains on stderr where
    that is no repository, and describes the machine, which takes a second. Nothing here looks at either."""
    from lm_eval import evaluator

    before = evaluator.get_git_commit_hash, evaluator.add_env_info
    evaluator.get_git_commit_hash, evaluator.add_env_info = lambda: None, lambda storage: None
    try:
        yield
    finally:
        evaluator.get_git_commit_hash, evaluator.add_env_info = before


def _part(selection: Selection, samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Counts and metrics of one task's samples."""
    ranges = {name: selection.evaluator.metrics()[name] for name in selection.benchmark.metrics}
    rows, skipped = [], 0
    for sample in samples:
        document = sample["doc"].document
        skipped += sample["filtered_resps"] == [None]
        values = {name: sample[name] for name in ranges if name in sample}
        rows.append(Row(document.type, document.video, values))
    summary = summarise(rows, ranges)
    return {"n": summary["n"], "skipped": skipped, "unscored": len(rows) - summary["n"] - skipped, **summary}
