"""Answers that are there already, found by the name of a run, of a folder or of a file, with their result."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from vlmkit.benchmarks.entries import Benchmark, find_benchmark
from vlmkit.benchmarks.protocols import Rules
from vlmkit.errors import DataError, RunError, SpecError, did_you_mean
from vlmkit.evaluation.answers import Answer, read_answers
from vlmkit.evaluation.judging import VerdictStore
from vlmkit.evaluation.questions import answers_file
from vlmkit.evaluation.records import BenchmarkResult, JudgeName, read_result
from vlmkit.evaluation.rescoring import stored_rules
from vlmkit.files import expand_path, is_file, is_folder
from vlmkit.json_files import is_present
from vlmkit.spec.yaml import read as read_yaml

__all__ = ["FinishedEvaluation", "answers_in", "choose_judges", "find_finished"]


@dataclass(frozen=True)
class FinishedEvaluation:
    """The answers of one system to the questions of one benchmark."""

    file: Path
    answers: Sequence[Answer]
    benchmark: Benchmark
    result: BenchmarkResult | None
    """None of a file alone: nothing is known but the answers."""

    @property
    def folder(self) -> Path:
        """Where its verdicts lie."""
        return self.file.parent

    def judges(self) -> list[JudgeName]:
        """Return the judges whose verdicts are stored."""
        with closing(VerdictStore(self.folder / "verdicts.sqlite", read_only=True)) as store:
            return store.judges()

    def rules(self) -> Rules:
        """Return the rules of its own protocol. A UserError where it is not known, or has another version here."""
        if self.result is None:
            raise RunError(f"{self.file}: there is no result.json beside these answers; give the folder of a run")
        return stored_rules(self.benchmark, self.result.protocol)

    def judge(self, rules: Rules, said: str | None = None) -> JudgeName | None:
        """Return the judge whose verdicts count under some rules: the one `said`, that of the result, or the only one.

        None where the rules need no judge, or there are no verdicts. A DataError where the judge is not told.
        """
        if not rules.judged:
            return None
        if said is None and self.result is not None and self.result.judge is not None:
            return self.result.judge
        stored = self.judges()
        if said is not None:
            return choose_judges(stored, [said], self.folder)[0]
        if len(stored) > 1:
            known = ", ".join(map(str, stored))
            raise DataError(f"{self.folder}: there are verdicts of several judges: {known}; choose one with --judge")
        return stored[0] if stored else None


def choose_judges(stored: Sequence[JudgeName], said: Sequence[str], folder: Path) -> list[JudgeName]:
    """Return the judges of these names, or of name and version. A DataError where there is not one of each."""
    chosen = []
    for text in said:
        found = [one for one in stored if text in (one.name, str(one))]
        if len(found) != 1:
            known = ", ".join(map(str, found or stored)) or "none"
            what = "versions of it" if found else "there are"
            hint = "" if found else did_you_mean(text, [one.name for one in stored])
            raise DataError(
                f"{folder}: expected one judge {text!r} among the stored verdicts, found {len(found)}; {hint}{what}: "
                f"{known}; name one, or run `vlmkit judge` first"
            )
        if found[0] in chosen:
            raise DataError(f"the judge {found[0]} is named twice; name each once")
        chosen += found
    return chosen


def find_finished(place: Path, benchmark: str | None = None, more: Sequence[str] = ()) -> FinishedEvaluation:
    """Return the answers that lie in a place.

    Args:
        place: a run, a folder `eval/BENCHMARK`, or a file of answers.
        benchmark: which result, of a run with several; of a file alone, the entry that it is about.
        more: further folders of entries, beside those that the run's own spec names.

    Raises:
        UserError: there are no answers, several results, or it is not known what the answers are about.
    """
    place = expand_path(place)
    file = _answers_file(place, benchmark)
    result = _result(file)
    name = result.benchmark if result else benchmark
    if name is None:
        raise DataError(f"{file}: there is no result beside these answers; name their entry with --benchmark")
    if benchmark not in (None, name, file.parent.name):
        raise DataError(f"{file}: expected answers to {benchmark}, found answers to {name}")
    return FinishedEvaluation(file, _read(file, result), find_benchmark(name, [*more, *_of_spec(file.parent)]), result)


def _answers_file(place: Path, benchmark: str | None) -> Path:
    if is_file(place):
        return place.with_name(answers_file()) if place.name == "result.json" else place
    if not is_folder(place):
        raise RunError(f"{place}: expected a run, its folder eval/BENCHMARK or a file of answers; there is none")
    if is_present(place / answers_file()):
        return place / answers_file()
    found = answers_in(place, [benchmark] if benchmark else ())
    if benchmark is None and len(found) > 1:
        raise RunError(f"{place}: there are answers to several benchmarks; choose with --benchmark: {', '.join(found)}")
    return found[benchmark] if benchmark else next(iter(found.values()))


def answers_in(run: Path, names: Sequence[str] = ()) -> dict[str, Path]:
    """Return the files of answers in a run by the name of their result: all, or those of these names.

    A RunError where there is none, or none of a name.
    """
    known = {file.parent.name: file for file in sorted(run.glob(f"eval/*/{answers_file()}")) if is_present(file)}
    if not known:
        raise RunError(f"{run}: it holds no answers; `vlmkit eval` or `vlmkit answers import` makes some")
    if unknown := [name for name in names if name not in known]:
        raise RunError(
            f"{run}: there are no answers to {unknown[0]!r} in it; {did_you_mean(unknown[0], known)}"
            f"there are: {', '.join(known)}"
        )
    return {name: known[name] for name in names or known}


def _result(file: Path) -> BenchmarkResult | None:
    """Return the result beside the answers, once the checksums of these are compared."""
    beside = file.with_name("result.json")
    return read_result(beside) if file.name.endswith(answers_file()) and is_present(beside) else None


def _read(file: Path, result: BenchmarkResult | None) -> list[Answer]:
    try:
        answers = list(read_answers(file).values())
    except RunError as error:
        if result:
            raise
        raise DataError(f"{error}\n`vlmkit answers import` takes the answers of other tools, and tables") from None
    if not answers:
        raise RunError(f"{file}: expected answers, found none")
    return answers


def _of_spec(folder: Path) -> list[str]:
    """Return the folders of entries that the spec of the run names, as far as they are still there."""
    spec = folder.parent.parent / "spec.yaml"
    if folder.parent.name != "eval" or not is_file(spec):
        return []
    try:
        evaluation = read_yaml(spec).data.get("evaluation") or {}
    except (SpecError, AttributeError):  # what is wrong with it matters to whoever continues the run
        return []
    named = evaluation.get("benchmarks_path", []) if isinstance(evaluation, dict) else []
    return [one for one in named if isinstance(one, str) and is_folder(expand_path(one))]
