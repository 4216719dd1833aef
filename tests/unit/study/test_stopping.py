"""Rows end early where their difference is found, or too small to matter; what was decided once stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from vlmkit.errors import SpecError
from vlmkit.spec.study import StudySpec
from vlmkit.study import running
from vlmkit.study.launching import Job, Launcher
from vlmkit.study.rows import Study, StudyRun, load_study
from vlmkit.study.run_values import MeasuredColumn, RunValues
from vlmkit.study.stopping import is_needed, stopped_rows
from vlmkit.study.study_folder import RunState, StudyFolder
from vlmkit.study.table_records import Column

from .test_rows import BASE, STUDY

SEEDS = [1, 2, 3, 4, 5]
COLUMN = Column(benchmark="shapes", metric="accuracy", protocol="p", judge="none", split="test", questions=400)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return _study(tmp_path, {"difference": 4})


def _study(folder: Path, stop_when: Mapping[str, Any]) -> Study:
    (folder / "tiny.yaml").write_text(yaml.safe_dump(BASE))
    (folder / "study.yaml").write_text(yaml.safe_dump({**STUDY, "seeds": SEEDS, "stop_when": dict(stop_when)}))
    return load_study(folder / "study.yaml")


class Folder(StudyFolder):
    """The runs of the first so many seeds are done."""

    def __init__(self, done: int) -> None:
        super().__init__(Path("nowhere"))
        self.done = done

    def state(self, run: StudyRun) -> RunState:
        return "done" if run.seed <= self.done else "new"


def measured(scores: Mapping[str, float], seeds: int) -> MeasuredColumn:
    """Rows that answer this share of 400 questions rightly, 1% more or less by seed, and alike but for that."""
    rng = np.random.default_rng(0)
    order = rng.permutation(400)

    def values(score: float, seed: int) -> RunValues:
        right = order < 400 * (score + 0.01 * (-1) ** seed)
        keys = [str(number) for number in range(400)]
        return RunValues(dict(zip(keys, right * 1.0, strict=True)), {key: key for key in keys}, None)

    rows = {row: {seed: values(score, seed) for seed in SEEDS[:seeds]} for row, score in scores.items()}
    return MeasuredColumn(COLUMN, (0.0, 1.0), rows)


def test_a_clear_difference_ends_a_row_and_what_was_decided_stands(study: Study) -> None:
    column = measured({"base": 0.7, "without-fsra": 0.4, "pooled": 0.64}, 5)
    early = stopped_rows(study, Folder(3), [column])
    assert {row: (one.after, one.why) for row, one in early.items()} == {"without-fsra": (3, "found")}
    assert early["without-fsra"].difference.value == pytest.approx(-0.3)
    late = stopped_rows(study, Folder(5), [column])
    assert late["without-fsra"] == early["without-fsra"]
    assert late["pooled"].after > 3


def test_a_row_that_is_like_the_base_ends_where_that_is_known(study: Study) -> None:
    stopped = stopped_rows(study, Folder(5), [measured({"base": 0.7, "without-fsra": 0.7, "pooled": 0.5}, 5)])
    assert stopped["without-fsra"].why == "small"


def test_only_rows_that_are_not_clear_yet_get_more_seeds_and_the_base_with_them(study: Study) -> None:
    stopped = stopped_rows(study, Folder(3), [measured({"base": 0.7, "without-fsra": 0.4, "pooled": 0.64}, 3)])
    fourth = [run for run in study.runs if run.seed == 4]
    assert [run.rows[0] for run in fourth if is_needed(study, run, stopped)] == ["base", "pooled"]
    stopped["pooled"] = stopped["without-fsra"]
    assert not any(is_needed(study, run, stopped) for run in fourth)
    assert all(is_needed(study, run, stopped) for run in study.runs if run.seed < 4)


def test_nothing_is_decided_in_the_middle_of_a_seed(study: Study) -> None:
    assert stopped_rows(study, Folder(2), [measured({"base": 0.7, "without-fsra": 0.4}, 3)]) == {}


def test_the_benchmark_that_counts_is_one_of_the_study(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no 'moving-shape'; did you mean 'moving-shapes'"):
        _study(tmp_path, {"difference": 1, "benchmark": "moving-shape"})
    study = _study(tmp_path, {"difference": 1, "benchmark": "moving-shapes"})
    assert stopped_rows(study, Folder(5), [measured({"base": 0.7, "without-fsra": 0.1}, 5)]) == {}  # of `shapes`


def test_two_seeds_are_too_few_to_stop_early() -> None:
    with pytest.raises(ValueError, match="at least three `seeds`"):
        StudySpec.model_validate({**STUDY, "stop_when": {"difference": 1}})


class _Done(Job):
    def exit_code(self) -> int:
        return 0

    def stop(self) -> None: ...


class Counting(Launcher):
    """Runs end at once."""

    slots = 2

    def __init__(self) -> None:
        self.started: list[str] = []

    def start(self, command: Sequence[str], log: Path, slot: int) -> Job:
        self.started.append(Path(command[1]).stem)
        return _Done()


class Started(StudyFolder):
    """Runs are done once they were started."""

    def __init__(self, path: Path, launcher: Counting) -> None:
        super().__init__(path)
        self.launcher = launcher

    def state(self, run: StudyRun) -> RunState:
        return "done" if run.experiment.name in self.launcher.started else "new"


def test_each_seed_waits_for_the_one_before_and_rows_that_are_clear_get_no_more(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    StudyFolder.open(study, tmp_path)
    launcher = Counting()
    folder = Started(tmp_path / "parts", launcher)

    def so_far(study: Study, folder: StudyFolder) -> list[MeasuredColumn]:
        done = sum(name.startswith("base-") for name in launcher.started)
        return [measured({"base": 0.7, "without-fsra": 0.4, "pooled": 0.64}, done)]

    monkeypatch.setattr(running, "_PAUSE", 0.0)
    monkeypatch.setattr(running, "measured_columns", so_far)
    progress = running.run_study(study, folder, launcher, study.runs)
    assert [name for name in launcher.started if name.startswith("without")] == [
        *("without-fsra-seed1", "without-fsra-seed2", "without-fsra-seed3")
    ]
    seeds = [int(name[-1]) for name in launcher.started]
    assert seeds[6:] == sorted(seeds[6:])
    assert {"without-fsra-seed4", "without-fsra-seed5"} <= set(progress.not_needed)
    assert set(progress.not_needed) | set(launcher.started) == {run.experiment.name for run in study.runs}
