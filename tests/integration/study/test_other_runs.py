"""What runs beside a study have made is taken from them, where it is the same and whole, and said."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import yaml

from vlmkit import runner
from vlmkit.cli import study_checks
from vlmkit.cli.study_checks import check_budget, check_study
from vlmkit.errors import RunError
from vlmkit.evaluation import evaluate
from vlmkit.evaluation.records import read_result
from vlmkit.json_files import read_record
from vlmkit.run_folder import RunFolder
from vlmkit.spec.experiment import ExperimentSpec
from vlmkit.spec.loading import load_spec, sha256
from vlmkit.study import running
from vlmkit.study.already_made import already_made
from vlmkit.study.probing import ProbedRow, StudyProbe
from vlmkit.study.rows import Study, load_study
from vlmkit.study.running import StudyProgress, run_study
from vlmkit.study.study_folder import StudyFolder
from vlmkit.study.table import build_table
from vlmkit.study.table_formats import write_tables
from vlmkit.summary import Summary
from vlmkit.training.metrics import read_stage_record

from .conftest import VARIANTS, HereLauncher, Holder, WriteStudy

pytestmark = pytest.mark.usefixtures("quick")
SLOWER = VARIANTS[1]
STILL_SLOWER = {"name": "still-slower", "set": {"training.stages.together.train": {"aligner": 1e-5, "backbone": 1e-5}}}


class Ablated:
    """A small study that was run: the base, one seed, and variants that differ from it in their second stage."""

    def __init__(self, write: WriteStudy, output: Path, name: str, variants: Sequence[dict[str, Any]]) -> None:
        self.study: Study = load_study(write(study=name, seeds=[1], variants=list(variants)))
        self.folder = StudyFolder.open(self.study, output)
        self.progress = StudyProgress()

    def run(self, **options: Any) -> Ablated:
        self.progress = run_study(self.study, self.folder, HereLauncher(), self.study.runs, **options)
        assert not self.progress.failed, self.folder.failures()
        return self

    def table(self) -> dict[str, str]:
        files = write_tables(build_table(self.study, self.folder), self.folder.path)
        return {file.name: file.read_text() for file in files}

    def there_already(self) -> list[str]:
        return list(already_made(self.study, self.folder).lines())

    def run_folder(self, number: int) -> RunFolder:
        return self.folder.run_folder(self.study.runs[number])


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "_PAUSE", 0.0)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The runs whose model was loaded to be asked."""
    found: list[str] = []
    load = evaluate.load_model

    def noted(spec: ExperimentSpec, run: RunFolder, on_meta: Any = None) -> tuple[Any, Any]:
        found.append(f"{run.path.parent.name}/{run.path.name}")
        return load(spec, run, on_meta)

    monkeypatch.setattr(evaluate, "load_model", noted)
    return found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return {"folder": tmp_path_factory.mktemp("made")}


@pytest.fixture
def output(made: dict[str, Any], write_study: WriteStudy, tmp_path: Path) -> Path:
    """A folder in which the study `first` is done: base and `slower`. It is made once, and copied."""
    if "table" not in made:
        made["table"] = Ablated(write_study, made["folder"] / "alone", "second", [SLOWER]).run().table()
        Ablated(write_study, made["folder"] / "runs", "first", [SLOWER]).run()
    return Path(shutil.copytree(made["folder"] / "runs", tmp_path / "runs"))


def test_a_run_that_another_study_has_made_is_taken(
    output: Path, write_study: WriteStudy, made: dict[str, Any], asked: list[str]
) -> None:
    second = Ablated(write_study, output, "second", [SLOWER])
    assert second.there_already() == ["2 runs are there already in first"]
    second.run()
    assert second.progress.runs_taken == {"base-seed1": "first/base-seed1", "slower-seed1": "first/slower-seed1"}
    assert second.progress.stages_taken == {}
    assert asked == []
    assert second.table() == made["table"]
    assert second.there_already() == ["2 runs of it are done"]
    run, experiment = second.run_folder(0), second.study.runs[0].experiment
    assert run.spec().name == read_record(run.composition_file, Summary).name == "base-seed1"
    assert read_result(run.evaluation("moving-shapes") / "result.json").spec_sha256 == sha256(experiment)
    assert run.report.is_file()
    run.check_model(experiment)
    there = RunFolder(output / "first" / "base-seed1")
    for file in ("model/model.safetensors", "stages/1-language/weights.safetensors"):
        assert (run.path / file).samefile(there.path / file)
    assert not (run.path / "eval/moving-shapes/predictions.jsonl").samefile(
        there.path / "eval/moving-shapes/predictions.jsonl"
    )


def test_stages_that_another_study_has_trained_are_taken(
    output: Path, write_study: WriteStudy, asked: list[str]
) -> None:
    second = Ablated(write_study, output, "second", [STILL_SLOWER])
    assert second.there_already() == ["1 run is there already in first"]
    shutil.rmtree(output / "first" / "base-seed1" / "eval")
    assert second.there_already() == ["2 training stages are there already in first"]
    second.run()
    assert second.progress.runs_taken == {}
    assert second.progress.stages_taken == {
        "base-seed1": ["1-language", "2-together"],
        "still-slower-seed1": ["1-language"],
    }
    record = read_stage_record(second.run_folder(1).stage(1, "language"))
    assert record is not None
    assert record.taken_from == "first/base-seed1"
    assert asked == ["second/base-seed1", "second/still-slower-seed1"]


def test_an_ordinary_run_is_taken(output: Path, write_study: WriteStudy, tmp_path: Path, asked: list[str]) -> None:
    shutil.rmtree(output / "first")
    study = write_study()
    spec = {**yaml.safe_load((study.parent / "base.yaml").read_text()), "name": "plain", "seed": 1}
    (tmp_path / "plain.yaml").write_text(yaml.safe_dump(spec))
    runner.run(load_spec(tmp_path / "plain.yaml"), output)
    second = Ablated(write_study, output, "second", [SLOWER]).run()
    assert second.progress.runs_taken == {"base-seed1": "plain"}
    assert asked == ["runs/plain", "second/slower-seed1"]


def test_what_is_there_already_costs_nothing(
    output: Path, write_study: WriteStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`check` and `ablate` count the same: of two runs one is done elsewhere, and the other lacks its second stage."""

    def probe(study: Study, questions: dict[str, int]) -> StudyProbe:
        row = ProbedRow(
            seconds_beside=10.0,
            seconds_of_stages=[100.0, 1000.0],
            seconds_of_questions=50.0,
            bytes_of_stages=[2**20, 2**21],
            bytes_beside=2**20,
        )
        return StudyProbe(rows=dict.fromkeys(["base", "still-slower"], row), specs={})

    monkeypatch.setattr(study_checks, "_probe", probe)
    hour = (10 + 1000 + 50) / 3600
    second = Ablated(write_study, output, "second", [STILL_SLOWER])
    said = check_study(second.study.file, output, 0.01, 0.1, probe=True)
    assert "all 2 runs, one after the other: 37 min, 7.0 MiB" in said  # 2 * (10 + 1000 + 50) + 100 s
    assert "1 run of them with what is not there yet: 18 min, 3.0 MiB" in said
    for budget, holds in ((hour + 0.001, True), (hour - 0.001, False)):
        limited = load_study(write_study(study="second", seeds=[1], variants=[STILL_SLOWER], budget={"hours": budget}))
        assert ("the budget does not hold it" not in check_study(limited.file, output, 0.01, 0.1, probe=True)) == holds
        with nullcontext() if holds else pytest.raises(RunError, match=r"1 run would take 0\.29 hours"):
            check_budget(limited, second.folder, limited.runs)
    shutil.copytree(output / "second", tmp_path / "alone" / "second")
    with pytest.raises(RunError, match=r"2 runs would take 0\.62 hours"):
        check_budget(limited, StudyFolder(tmp_path / "alone" / "second"), limited.runs)


DAMAGED = (
    "spec.yaml",
    "stages/1-language/stage.json",
    "stages/2-together/weights.safetensors",
    "stages/components.json",
    "environment.json",
    "bad_samples.jsonl",
    "eval/moving-shapes/result.json",
    "model/model.safetensors",
    "eval/moving-shapes/predictions.jsonl",
    "eval/moving-shapes/verdicts.sqlite",
)


def test_what_is_damaged_there_is_left_alone_and_told(
    output: Path, write_study: WriteStudy, made: dict[str, Any]
) -> None:
    """A copy of the base's run for each damage; they are looked at in this order."""
    for number, name in enumerate(DAMAGED):
        file = Path(shutil.copytree(output / "first" / "base-seed1", output / f"copy{number}")) / name
        content = file.read_bytes() if file.is_file() else b""
        half = len(content) // 2
        file.write_bytes(content[:half] + bytes(byte ^ 1 for byte in content[half:]) + b"\n" * (not content))
    shutil.rmtree(output / "first")
    second = Ablated(write_study, output, "second", [SLOWER])
    assert len(second.there_already()) > 1
    second.run()
    told = second.progress.unusable
    assert list(told) == [f"copy{number}" for number in range(len(DAMAGED))]
    for said, name in zip(told.values(), DAMAGED, strict=True):
        assert name.rpartition("/")[2] in said
    assert second.progress.runs_taken == {}
    assert second.table() == made["table"]


def test_half_a_run_is_taken_as_far_as_it_is_whole(output: Path, write_study: WriteStudy) -> None:
    shutil.rmtree(output / "first" / "slower-seed1")
    there = output / "first" / "base-seed1"
    for gone in (there / "eval", there / "model", there / "stages" / "2-together"):
        shutil.rmtree(gone)
    (there / "stages" / ".2-together.saving").mkdir()
    (output / "third" / "base-seed1").mkdir(parents=True)
    (output / ".hidden" / "base-seed1").mkdir(parents=True)
    (output / ".hidden" / "base-seed1" / "spec.yaml").write_text("not one of ours")
    second = Ablated(write_study, output, "second", [STILL_SLOWER]).run()
    assert second.progress.stages_taken == {name: ["1-language"] for name in ("base-seed1", "still-slower-seed1")}
    assert second.progress.unusable == {}


def test_a_run_that_is_being_made_is_waited_for(output: Path, write_study: WriteStudy, asked: list[str]) -> None:
    second = Ablated(write_study, output, "second", [STILL_SLOWER])
    holder = Holder(RunFolder(output / "first" / "base-seed1"))
    second.run(tell=holder)
    assert holder.released == ["still-slower-seed1"]
    assert second.progress.runs_taken == {"base-seed1": "first/base-seed1"}
    assert asked == ["second/still-slower-seed1"]


def test_two_studies_at_once_make_what_they_share_once(write_study: WriteStudy, tmp_path: Path) -> None:
    """Processes that start together; each has a row of its own beside the base."""
    output, files = tmp_path / "runs", []
    for name, variant in (("first", SLOWER), ("second", STILL_SLOWER)):
        files.append(write_study(study=name, seeds=[1], variants=[variant]).rename(tmp_path / f"{name}.yaml"))
    command = [sys.executable, "-m", "vlmkit", "ablate"]
    both = [subprocess.Popen([*command, file, "--output", output], stdout=subprocess.PIPE, text=True) for file in files]
    said = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum(text.count("1 run taken from") for text in said) == 1
    records = [read_stage_record(file.parent) for file in output.glob("*/*/stages/*/stage.json")]
    assert len(records) == 8
    trained = [record.stage for record in records if record is not None and record.taken_from is None]
    assert sorted(trained) == ["1-language", "2-together", "2-together", "2-together"]
