"""The runs and stages of a study that need not be made: its own finished ones, and those of runs beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from vlmkit.formatting import plural
from vlmkit.study.other_runs import OtherRuns, shared, told
from vlmkit.study.rows import Study, StudyRun
from vlmkit.study.study_folder import StudyFolder

__all__ = ["AlreadyMade", "already_made"]


@dataclass(frozen=True)
class AlreadyMade:
    """Runs and stages of a study that are there already."""

    done: frozenset[str]
    """Names of its own runs that are done."""
    taken: Mapping[str, str]
    """By name of a run that is not done, the same one beside the study, `STUDY/NAME` or `NAME`."""
    stages: Mapping[str, str]
    """By identity of a stage that such runs lack, the run beside the study that has trained it."""
    identities: frozenset[str]
    """Of all stages that are trained, here or beside the study."""
    unusable: Mapping[str, str]
    """By name of a run beside the study, why nothing is taken from it."""

    def left(self, runs: Sequence[StudyRun]) -> list[StudyRun]:
        """Return those of some runs of the study that have to be made."""
        return [run for run in runs if run.experiment.name not in {*self.done, *self.taken}]

    def lines(self) -> Iterator[str]:
        """Yield it in words."""
        if self.done:
            yield f"{plural(len(self.done), 'run')} of it {_are(len(self.done))} done"
        for what, places in (("run", self.taken.values()), ("training stage", self.stages.values())):
            for name, count in Counter(place.partition("/")[0] for place in places).most_common():
                yield f"{plural(count, what)} {_are(count)} there already in {name}"
        yield from told(self.unusable)


def already_made(study: Study, folder: StudyFolder) -> AlreadyMade:
    """Look at the folder of a study and at the runs beside it. Checksums are compared when something is taken."""
    others = OtherRuns(folder)
    own = {run.experiment.name: shared(run, folder) for run in study.runs}
    done = frozenset(run.experiment.name for run in study.runs if folder.state(run) == "done")
    left = {name: run for name, run in own.items() if name not in done}
    known = {stage for run in own.values() for stage in set(run.stages).difference(run.missing())}
    known |= {stage for name in done for stage in own[name].stages}
    taken: dict[str, str] = {}
    for name, run in left.items():
        if measured := others.measured(run):
            taken[name] = measured[0].place
            known |= set(run.stages)
    stages: dict[str, str] = {}
    for run in left.values():
        number, place = others.trained(run)
        stages |= dict.fromkeys(set(run.stages[:number]) - known - set(stages), place)
    return AlreadyMade(done, taken, stages, frozenset(known | set(stages)), others.unusable)


def _are(count: int) -> str:
    return "is" if count == 1 else "are"
