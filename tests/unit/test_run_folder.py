"""The run folder: made, continued, refused; writes that a kill cannot tear."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from pathlib import Path
from typing import Any, get_args

import pytest

from vlmkit import __version__, files
from vlmkit.errors import CheckpointError, RunError, SpecError
from vlmkit.eval_target import eval_target
from vlmkit.evaluation.controls import DUE_TO
from vlmkit.evaluation.records import BenchmarkResult
from vlmkit.files import atomic_folder, write_atomic
from vlmkit.registry import registry
from vlmkit.run_folder import RunFolder
from vlmkit.runner import Run, train
from vlmkit.spec.evaluation import Control
from vlmkit.spec.experiment import ExperimentSpec

SPEC: dict[str, Any] = {
    "vlmkit": 1,
    "name": "one",
    "model": {
        "aligner": {"type": "stab", "width": 16, "heads": 2, "input": {"frames": 4}},
        "backbone": {
            "type": "hf-causal-lm",
            "init": "random",
            "config": {"model_type": "llama", "hidden_size": 32, "num_hidden_layers": 2},
            "tokenizer": {"text": ["a red circle"]},
        },
    },
    "training": {
        "stages": [{"name": "all", "data": [{"type": "moving-shapes"}], "train": {"aligner": 1e-3}, "steps": 2}]
    },
}


def spec(**changes: Any) -> ExperimentSpec:
    return ExperimentSpec.model_validate({**SPEC, **changes})


def begin(run: RunFolder) -> None:
    """What the first stage leaves behind as soon as it starts."""
    run.stage(1, "all").mkdir(parents=True)
    (run.stage(1, "all") / "data.json").write_text("[]")


def test_a_new_run_holds_the_resolved_spec_and_the_environment(tmp_path: Path) -> None:
    run = RunFolder.open(spec(), tmp_path)
    assert run.path == tmp_path / "one"
    assert run.spec() == spec()
    (environment,) = json.loads(run.environment_file.read_text())
    assert environment["packages"]["vlmkit"]
    assert {"stab", "backbones"} <= {plugin["name"] for plugin in environment["plugins"]}


def test_the_same_spec_continues(tmp_path: Path) -> None:
    run = RunFolder.open(spec(), tmp_path)
    line = '{"id": "1", "video": null, "reason": "torn", "where": "stages/1-all"}\n'
    run.bad_samples.write_text(line)
    again = RunFolder.open(spec(), tmp_path)
    assert again.bad_samples.read_text() == line
    assert len(json.loads(again.environment_file.read_text())) == 1


def test_another_spec_is_refused_with_the_keys_that_changed(tmp_path: Path) -> None:
    begin(RunFolder.open(spec(), tmp_path))
    stage = {**SPEC["training"]["stages"][0], "train": {"aligner": 2e-3}}
    with pytest.raises(RunError) as refusal:
        RunFolder.open(spec(seed=7, training={"stages": [stage]}), tmp_path)
    message = str(refusal.value)
    assert "seed: 42 -> 7" in message
    assert "training.stages.0.train.aligner: 0.001 -> 0.002" in message
    assert "2 keys differ" in message
    assert "--output" in message
    assert RunFolder(tmp_path / "one").spec() == spec()


def test_a_spec_that_cannot_be_read_any_more_names_both_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder.open(spec(), tmp_path)
    run.spec_file.write_text(run.spec_file.read_text().replace("widt", "wide").partition("# ")[0])
    with pytest.raises(SpecError, match="unknown key wideh") as refusal:
        run.spec()
    assert "this run was made with" not in str(refusal.value)
    stab = next(plugin for plugin in registry().plugins if plugin.name == "stab")
    monkeypatch.setattr(stab, "version", "9.9")
    said = f"\nthis run was made with plugin 'stab' of vlmkit {__version__}, here of vlmkit 9.9"
    for read in (run.spec, lambda: eval_target(run.path, benchmarks=["moving-shapes"])):
        with pytest.raises(SpecError, match="unknown key wideh") as refusal:
            read()
        assert str(refusal.value).endswith(said)


def test_a_run_that_holds_nothing_yet_takes_the_new_spec(tmp_path: Path) -> None:
    RunFolder.open(spec(), tmp_path)
    run = RunFolder.open(spec(seed=7), tmp_path)
    assert run.spec() == spec(seed=7)
    begin(run)
    with pytest.raises(RunError, match="seed: 7 -> 42"):
        RunFolder.open(spec(), tmp_path)


def test_another_component_counts_as_one_change(tmp_path: Path) -> None:
    begin(RunFolder.open(spec(), tmp_path))
    model = {**SPEC["model"], "aligner": {"type": "eve", "width": 16, "heads": 2}}
    with pytest.raises(RunError, match=r"1 key differs:\n  model\.aligner: "):
        RunFolder.open(spec(model=model), tmp_path)


def test_what_leaves_the_weights_as_they_are_may_change(tmp_path: Path) -> None:
    begin(RunFolder.open(spec(), tmp_path))
    training = {**SPEC["training"], "workers": 1}
    data = {"cache_mib": 5, "max_bad_fraction": 0.5}
    changed = spec(evaluation={"benchmarks": ["msvd-qa"]}, data=data, training=training)
    run = RunFolder.open(changed, tmp_path)
    assert run.spec() == changed


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "one"
    folder.mkdir()
    (folder / "thesis.tex").write_text("precious")
    with pytest.raises(RunError, match=r"no spec\.yaml, but holds thesis\.tex"):
        RunFolder.open(spec(), tmp_path)
    assert [file.name for file in folder.iterdir()] == ["thesis.tex"]


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be made: Not a directory; use another --output"):
        RunFolder.open(spec(), tmp_path / "file")


def test_a_half_created_folder_is_completed(tmp_path: Path) -> None:
    folder = tmp_path / "one"
    folder.mkdir()
    (folder / ".spec.yaml.saving").write_text("vlmki")
    assert RunFolder.open(spec(), tmp_path).spec() == spec()


def test_an_unreadable_spec_is_a_clear_error(tmp_path: Path) -> None:
    run = RunFolder.open(spec(), tmp_path)
    lines = run.spec_file.read_text().replace("type: stab", "type: gone").splitlines(keepends=True)
    run.spec_file.write_text("".join(lines[:-1]))
    weights = run.stage(1, "one") / "weights.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"")
    with pytest.raises(RunError, match=r"this run belongs to another spec; 1 key differs:\n  model.aligner: .*gone"):
        RunFolder.open(spec(), tmp_path)


def test_a_judge_that_is_gone_does_not_lock_a_run(tmp_path: Path) -> None:
    before = spec(evaluation={"benchmarks": ["msvd-qa"]})
    run = RunFolder.open(before, tmp_path)
    lines = run.spec_file.read_text().replace("type: exact", "type: gone").splitlines(keepends=True)
    run.spec_file.write_text("".join(lines[:-1]))
    weights = run.stage(1, "one") / "weights.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"")
    RunFolder.open(before, tmp_path)
    assert run.spec() == before


def test_a_spec_that_was_damaged_or_edited_is_refused_until_the_edit_is_meant(tmp_path: Path) -> None:
    run = RunFolder.open(spec(), tmp_path)
    begin(run)
    whole = run.spec_file.read_text()
    run.spec_file.write_text(whole.replace("seed: 42", "seed: 43"))
    with pytest.raises(
        RunError, match=r"spec\.yaml: the checksum in its last line is wrong: .*; restore it from a copy"
    ):
        RunFolder.open(spec(seed=43), tmp_path)
    run.spec_file.write_text("".join(run.spec_file.read_text().splitlines(keepends=True)[:-1]))
    assert RunFolder.open(spec(seed=43), tmp_path).spec() == spec(seed=43)


@pytest.mark.parametrize("found", [[], ["config.json"], ["model.safetensors"]])
def test_a_folder_without_a_model_in_it_is_no_trained_model(tmp_path: Path, found: list[str]) -> None:
    run = RunFolder.open(spec(), tmp_path)
    run.model.mkdir()
    for name in found:
        (run.model / name).touch()
    with pytest.raises(CheckpointError, match=r"model: expected the trained model, config\.json and"):
        train(spec(), tmp_path)


def test_a_missing_run_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="expected a run folder"):
        RunFolder(tmp_path).spec()


def test_two_processes_do_not_share_a_run(tmp_path: Path) -> None:
    run = RunFolder.open(spec(), tmp_path)
    with run.locked(), pytest.raises(RunError, match="another process"), run.locked():
        pass
    with run.locked():
        pass


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_on_a_disk_without_locks_a_run_goes_on_and_says_so_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], code: int
) -> None:
    def flock(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    run = RunFolder.open(spec(), tmp_path)
    monkeypatch.setattr(fcntl, "flock", flock)
    monkeypatch.setattr(files, "_warned", set())
    for _ in range(2):
        with run.locked(), run.locked():
            pass
    said = capsys.readouterr().err
    assert said.count("this disk has no file locks") == 1
    assert os.strerror(code) in said


def test_a_spec_stays_as_it_is_while_a_process_works_on_the_run(tmp_path: Path) -> None:
    run = RunFolder.open(spec(), tmp_path)
    begin(run)
    with run.locked(), pytest.raises(RunError, match="another process"):
        RunFolder.open(spec(evaluation={"benchmarks": ["msvd-qa"]}), tmp_path)
    assert run.spec() == spec()


def test_a_failed_write_leaves_the_old_folder(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    with atomic_folder(folder) as new:
        (new / "weights").write_text("old")
        assert not folder.exists()

    def fail() -> None:
        with atomic_folder(folder) as new:
            (new / "weights").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert (folder / "weights").read_text() == "old"
    with atomic_folder(folder) as new:
        (new / "weights").write_text("new")
    assert (folder / "weights").read_text() == "new"
    assert [file.name for file in tmp_path.iterdir()] == ["model"]


def test_a_text_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a.json", "1")
    write_atomic(tmp_path / "a.json", "2")
    assert (tmp_path / "a.json").read_text() == "2"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_damaged_record_of_bad_samples_is_said_at_once(tmp_path: Path) -> None:
    RunFolder.open(spec(), tmp_path).bad_samples.write_text("{}\n")
    with pytest.raises(RunError, match=r"bad_samples\.jsonl, line 1: expected the key id, which is missing"):
        RunFolder.open(spec(), tmp_path)


@pytest.mark.parametrize(
    ("text", "said"), [("[{", "expected JSON"), ("{}", "expected a list"), ("[{}]", "expected the key 0.plugins")]
)
def test_a_damaged_record_of_environments_is_a_clear_error(tmp_path: Path, text: str, said: str) -> None:
    RunFolder.open(spec(), tmp_path).environment_file.write_text(text)
    with pytest.raises(RunError, match=rf"environment\.json: {said}.*; remove the file"):
        RunFolder.open(spec(), tmp_path)


def test_what_stands_in_the_place_of_a_file_is_a_clear_error(tmp_path: Path) -> None:
    run = RunFolder.open(spec(), tmp_path)
    (run.path / ".lock").mkdir()
    with pytest.raises(RunError, match=r"one/\.lock: cannot be read or written: Is a directory"), run.locked():
        pass
    run.report.mkdir()
    with pytest.raises(RunError, match=r"one/report\.html: cannot be read or written: Is a directory"), run.guarded():
        write_atomic(run.report, "text")
    assert not list(run.path.glob("*.saving")), "nothing half written stays"
    (run.path / "stages").write_text("")
    with pytest.raises(RunError, match=r"one/stages.* cannot be read or written"), run.guarded():
        run.stage(1, "all").mkdir(parents=True)


def test_errors_about_other_files_pass_by_the_guard(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), RunFolder(tmp_path / "one").guarded():
        (tmp_path / "two").read_text()


def benchmark_result(metrics: dict[str, Any], **more: Any) -> BenchmarkResult:
    named = {"benchmark": "few", "version": "1", "split": "test", "judge": {"name": "j", "version": "2"}}
    counts = {"n": 1, "skipped": 0, "unscored": 0, "by_type": {}, "spec_sha256": ""}
    return BenchmarkResult.model_validate({**named, **counts, "metrics": metrics, **more})


@pytest.mark.parametrize(
    ("bad", "skipped", "said"),
    [
        (1, 1, "1 sample could not be read (FILE); 1 question skipped, 0 unscored"),
        (2, 3, "2 samples could not be read (FILE); 3 questions skipped, 0 unscored"),
    ],
)
def test_the_summary_ends_with_what_was_skipped(tmp_path: Path, bad: int, skipped: int, said: str) -> None:
    run = RunFolder.open(spec(), tmp_path)
    lines = [{"id": str(i), "video": None, "reason": "torn", "where": "stages/1-all"} for i in range(bad)]
    run.bad_samples.write_text("".join(json.dumps(line) + "\n" for line in lines))
    judged = benchmark_result({"accuracy": {"value": 1.0, "ci95": [0.2, 1.0]}}, skipped=skipped)
    summary = Run(run.path, None, {"few": judged}).summary()
    assert summary.splitlines() == [
        "few accuracy 1.000 (95% interval 0.200 to 1.000), 1 question, judge j 2",
        said.replace("FILE", str(run.bad_samples)),
    ]


def test_the_summary_says_what_controls_tell(tmp_path: Path) -> None:
    run = RunFolder.open(spec(), tmp_path)
    metrics = {name: {"value": 0.9, "ci95": [0.85, 0.95]} for name in ("score", "accuracy")}
    empty = {"n": 1, "metrics": {}, "by_type": {}}
    lost = {"accuracy": {"value": 0.5, "ci95": [0.4, 0.625]}}
    known = {**empty, "metrics": {"accuracy": {"value": 0.4, "ci95": [0.3, 0.5]}}}
    controls = {"other-video": {**known, "difference": lost}, "single-frame": known, "reversed-frames": empty}
    lines = Run(run.path, None, {"few": benchmark_result(metrics, controls=controls)}).summary().splitlines()
    assert lines[1] == "few accuracy 0.900 (95% interval 0.850 to 0.950), 1 question, judge j 2"
    assert lines[2:] == [
        "  of 0.900 accuracy, 0.500 [0.400, 0.625] are due to the video (control other-video: 0.400)",
        "  control single-frame: 0.400",
        "  control reversed-frames: nothing is scored",
    ]
    assert set(get_args(Control)) == set(DUE_TO)


@pytest.mark.parametrize("name", ["environment.json", "bad_samples.jsonl", ".lock", "spec.yaml", "verdicts.sqlite"])
def test_a_pipe_in_a_run_is_said_and_not_opened(tmp_path: Path, name: str) -> None:
    run = RunFolder.open(spec(), tmp_path)
    (run.path / name).unlink(missing_ok=True)
    os.mkfifo(run.path / name)
    for use in (lambda: RunFolder.open(spec(), tmp_path), run.spec):
        with pytest.raises(RunError, match=f"{name}: expected a file, found a pipe or device"):
            use()
