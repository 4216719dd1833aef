"""Training from a spec to a model: freezing, interruption, bad samples, accumulation, precision."""

from __future__ import annotations

import json
import math
import os
import pickle
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from vlmkit import runner
from vlmkit.errors import CheckpointError, DataError, RunError, SpecError
from vlmkit.model import VideoLMProcessor
from vlmkit.registry import registry
from vlmkit.run_folder import RunFolder
from vlmkit.spec.evaluation import EvaluationSpec
from vlmkit.spec.experiment import ExperimentSpec, StageSpec
from vlmkit.training import stages as stages_module
from vlmkit.training import trainer as trainer_module
from vlmkit.training import training_plan
from vlmkit.training.arguments import StageRun
from vlmkit.training.checkpoint import latest_checkpoint
from vlmkit.training.collate import LoadedSample
from vlmkit.training.loss import Losses
from vlmkit.training.stages import train
from vlmkit.training.trainable import assign_parameters
from vlmkit.training.trainer import StageTrainer
from vlmkit.training.training_plan import plan_training

VIDEO = {"frames": 4, "sampling": "uniform", "size": 32, "multiple": 16}
LLAMA = {"model_type": "llama", "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
BACKBONE = {
    "type": "hf-causal-lm",
    "init": "random",
    "config": LLAMA | {"num_attention_heads": 2, "num_key_value_heads": 2, "attention_dropout": 0.1},
    "tokenizer": {"text": ["which colour is the shape red green blue"], "vocab_size": 270},
}

pytestmark = pytest.mark.usefixtures("quick")


class Killed(BaseException):
    """The process ends here."""


HOG = {"teacher": {"type": "hog", "input": {"size": 28}}, "layer_rate": 1, "heads": 2}
ENCODER = {"width": 8, "layers": 2, "heads": 2, "mlp": 16, "image_size": 28}
RANDOM = HOG | {"teacher": {"type": "clip", "encoder": ENCODER, "input": {"size": 28}}, "weight": 3.0}


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A dataset of six clips."""
    root = str(tmp_path_factory.mktemp("shapes"))
    return {"type": "moving-shapes", "clips": 6, "size": 32, "frames": 8, "root": root, "questions_per_clip": 2}


Make = Callable[..., ExperimentSpec]


@pytest.fixture(scope="module")
def make(shapes: dict[str, Any]) -> Make:
    """A spec with the given stages."""

    def make(*stages: dict[str, Any], data: Any = None, aligner: Any = None, **training: Any) -> ExperimentSpec:
        defaults = {"name": "one", "data": [shapes], "batch_size": 4, "warmup": 0}
        options = {"type": "stab", "width": 16, "patch": 8, "heads": 2, "input": VIDEO}
        return ExperimentSpec.model_validate(
            {
                "vlmkit": 1,
                "name": "tiny",
                "seed": 3,
                "model": {"aligner": options | (aligner or {}), "backbone": BACKBONE},
                "data": {"cache_mib": 8} | (data or {}),
                "training": {"log_every": 2, "stages": [defaults | stage for stage in stages]} | training,
            }
        )

    return make


@pytest.fixture(scope="module")
def three_stages(make: Make, shapes: dict[str, Any]) -> ExperimentSpec:
    """Language only, alignment with distillation from a teacher that is drawn by the seed, everything."""
    return make(
        {"name": "words", "data": [shapes | {"text_only": True}], "train": {"backbone": 1e-2}, "steps": 2},
        {"name": "align", "train": {"aligner": 1e-2, "distillation": 1e-2}, "steps": 7, "save_every": 3, "flip": True},
        {"name": "all", "train": {"aligner": 1e-2, "backbone": 1e-3}, "steps": 3, "save_every": 2, "max_grad_norm": 1},
        distillation=RANDOM,
    )


def weights(run: RunFolder) -> dict[str, torch.Tensor]:
    return load_file(run.model / "model.safetensors")


def metrics(run: RunFolder) -> list[dict[str, Any]]:
    """All lines of all stages, without what depends on the clock."""
    files = sorted(run.path.glob("stages/*/metrics.jsonl"))
    lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds_per_step"} for line in lines]


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def _raise() -> None:
    raise Killed


class Observer:
    """A plugin that notes what it is told, and can end the process at a step."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.kill_at: tuple[str, int] | None = None
        self.kill: Callable[[], None] = _raise


@pytest.fixture
def observer() -> Iterator[Observer]:
    from vlmkit import hookimpl

    seen = Observer()

    class Plugin:
        @hookimpl
        def vlmkit_stage_started(self, stage: str, config: Any) -> None:
            seen.told.append(("started", stage, config["name"]))

        @hookimpl
        def vlmkit_step_ended(self, stage: str, step: int, metrics: Any) -> None:
            assert all(isinstance(value, float | int) for value in metrics.values())
            seen.told.append(("step", stage, step))
            if seen.kill_at == (stage, step):
                seen.kill()

        @hookimpl
        def vlmkit_stage_ended(self, stage: str) -> None:
            seen.told.append(("ended", stage))

    plugin = Plugin()
    registry().manager.register(plugin)
    yield seen
    registry().manager.unregister(plugin)


@pytest.fixture(scope="module")
def reference(three_stages: ExperimentSpec, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """The run that nothing interrupted."""
    run = RunFolder.open(three_stages, tmp_path_factory.mktemp("reference"))
    train(three_stages, run)
    return run


def kill_in_hook(stage: str, step: int) -> Callable[[Observer, pytest.MonkeyPatch], None]:
    return lambda observer, _: setattr(observer, "kill_at", (stage, step))


def kill_in(module: Any, name: str, call: int, after: bool = False) -> Callable[[Observer, pytest.MonkeyPatch], None]:
    """End the process at the n-th call of a function, before or after it has done its work."""

    def patch(_: Observer, monkeypatch: pytest.MonkeyPatch) -> None:
        original, calls = getattr(module, name), iter(range(1, 1000))

        def dying(*args: Any, **kwargs: Any) -> Any:
            last = next(calls) == call
            if last and not after:
                raise Killed
            result = original(*args, **kwargs)
            if last:
                raise Killed
            return result

        monkeypatch.setattr(module, name, dying)

    return patch


KILLS = {
    "before the first checkpoint of a stage": kill_in_hook("align", 2),
    "between two log lines and two checkpoints": kill_in_hook("align", 6),
    "while the optimizer's state is written": kill_in(StageTrainer, "_save_scaler", 2),
    "before a checkpoint gets its name": kill_in(StageTrainer, "_save_rng_state", 2, after=True),
    "before the old checkpoint is removed": kill_in(trainer_module, "remove_leftovers", 2),
    "before a stage counts as done": kill_in(stages_module, "save_weights", 2, after=True),
    "in the last stage": kill_in_hook("all", 2),
    "while the model is saved": kill_in(VideoLMProcessor, "save_pretrained", 1),
}


def test_an_interrupted_run_ends_like_an_uninterrupted_one(
    three_stages: ExperimentSpec, reference: RunFolder, observer: Observer, tmp_path: Path
) -> None:
    for number, (when, kill) in enumerate(KILLS.items()):
        run = RunFolder.open(three_stages, tmp_path / str(number))
        with pytest.MonkeyPatch.context() as monkeypatch:
            kill(observer, monkeypatch)
            with pytest.raises(Killed):
                train(three_stages, run)
        observer.kill_at = None
        assert not run.model.exists(), when
        torch.manual_seed(number)
        train(three_stages, RunFolder.open(three_stages, tmp_path / str(number)))
        assert same(weights(run), weights(reference)), when
        assert metrics(run) == metrics(reference), when
        assert not list(run.path.glob("**/checkpoint-*")), when
        assert not [file for file in run.path.rglob(".*") if file.name != ".lock"], when


def test_a_damaged_checkpoint_is_refused_and_can_be_removed(
    three_stages: ExperimentSpec, reference: RunFolder, observer: Observer, tmp_path: Path
) -> None:
    """Of the right size, so that it is the reader of each file that meets the damage."""
    run = RunFolder.open(three_stages, tmp_path)
    observer.kill_at = ("align", 6)
    with pytest.raises(Killed):
        train(three_stages, run)
    checkpoint = run.stage(2, "align") / "checkpoint-3"
    kept = {"checkpoint": sorted(checkpoint.iterdir()), "stage": [run.stage(1, "words") / "weights.safetensors"]}
    names = [file.name for file in kept["checkpoint"]]
    assert names == ["optimizer.pt", "rng_state.pth", "scheduler.pt", "sealed.json", "trainer_state.json",
                     "weights.safetensors"]  # fmt: skip
    for file in (*kept["checkpoint"], *kept["stage"]):
        whole = file.read_bytes()
        file.write_bytes(bytes(len(whole)))
        with pytest.raises(CheckpointError) as refusal:
            train(three_stages, run)
        assert file.name in str(refusal.value)
        assert f"; remove the folder {file.parent}: what it held is then trained again" in str(refusal.value)
        file.write_bytes(whole)
    (checkpoint / "optimizer.pt").unlink()
    with pytest.raises(CheckpointError, match=r"optimizer\.pt: expected \d+ bytes, found no file"):
        train(three_stages, run)
    observer.kill_at = None
    shutil.rmtree(checkpoint)
    train(three_stages, run)
    assert same(weights(run), weights(reference))
    assert metrics(run) == metrics(reference)


def test_stages_train_what_they_list_and_nothing_else(reference: RunFolder, three_stages: ExperimentSpec) -> None:
    words, align, every = (load_file(reference.stage(n, s.name) / "weights.safetensors")
                           for n, s in enumerate(three_stages.training.stages, 1))  # fmt: skip
    parts = [{name.split(".")[0] for name in state if "running" not in name and "num_batches" not in name}
             for state in (words, align, every)]  # fmt: skip
    assert parts == [{"backbone"}, {"aligner", "distillation"}, {"aligner", "backbone"}]
    final = weights(reference)
    assert not any(name.startswith("distillation") for name in final)
    assert all(torch.equal(final[name], tensor) for name, tensor in every.items())
    assert any(not torch.equal(words[name], every[name]) for name in words if name.startswith("backbone"))


def test_frozen_parts_keep_every_bit(make: Make, tmp_path: Path) -> None:
    from vlmkit.model import compose

    spec = make({"train": {"aligner.projector": 1e-2}, "steps": 2})
    run = RunFolder.open(spec, tmp_path)
    train(spec, run)
    before = compose(spec.model, seed=spec.seed)[0].state_dict()
    moved = {name for name, tensor in weights(run).items() if not torch.equal(tensor, before[name])}
    assert moved == {name for name in before if name.startswith("aligner.projector.")}


def test_metrics_have_every_line_once(reference: RunFolder) -> None:
    lines = [json.loads(line) for line in (reference.stage(2, "align") / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4, 6, 7]
    for line in lines:
        assert line["loss"] == pytest.approx(line["language_loss"] + 3 * line["distillation_loss"])
        rate = 1e-2 * (1 + math.cos(math.pi * (line["step"] - 1) / 7)) / 2
        assert line["lr"] == pytest.approx({"aligner": rate, "distillation": rate}), "the rate of the step itself"
        assert line["grad_norm"] > 0
        assert line["seconds_per_step"] > 0
        assert line["samples_skipped"] == 0
    assert lines[0]["epoch"] == pytest.approx(8 / 6)
    assert lines[-1]["distillation_loss"] < lines[0]["distillation_loss"]
    assert "distillation_loss" not in json.loads((reference.stage(1, "words") / "metrics.jsonl").read_text())


def test_a_finished_run_is_not_repeated(
    reference: RunFolder, three_stages: ExperimentSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages_module, "compose", None)
    train(three_stages, RunFolder.open(three_stages, reference.path.parent))


def test_observers_are_told(make: Make, observer: Observer, tmp_path: Path) -> None:
    spec = make({"train": {"backbone": 1e-2}, "steps": 3})
    train(spec, RunFolder.open(spec, tmp_path))
    assert observer.told == [("started", "one", "one"), ("step", "one", 2), ("step", "one", 3), ("ended", "one")]


@pytest.mark.parametrize("distils", [False, True])
def test_accumulated_micro_batches_equal_a_full_batch(make: Make, tmp_path: Path, distils: bool) -> None:
    """Without batch statistics and dropout, which see other batches."""
    still = {"lste": False, "dropout": 0}
    options: dict[str, Any] = {"train": {"aligner": 1e-2, "backbone": 1e-2}, "epochs": 1.5, "schedule": "constant"}
    training: dict[str, Any] = {}
    if distils:
        options["train"] = {"aligner": 1e-2, "distillation": 1e-2}
        training["distillation"] = HOG | {"weight": 3.0}
    results = []
    for micro in (None, 1):
        spec = make(options | {"micro_batch_size": micro}, aligner=still, **training)
        spec = spec.model_copy(update={"model": _without_dropout(spec)})
        run = RunFolder.open(spec, tmp_path / str(micro))
        train(spec, run)
        results.append((weights(run), metrics(run)))
    (full, lines), (accumulated, other_lines) = results
    assert max((full[name] - accumulated[name]).abs().max().item() for name in full) < 2e-4
    assert [line["step"] for line in lines] == [2, 3]
    for line, other in zip(lines, other_lines, strict=True):
        assert other["language_loss"] == pytest.approx(line["language_loss"], rel=1e-4)
        assert other["loss"] == pytest.approx(line["loss"], rel=1e-4)


def _without_dropout(spec: ExperimentSpec) -> Any:
    backbone = spec.model.backbone
    config = {**backbone.config, "attention_dropout": 0.0}
    return spec.model.model_copy(update={"backbone": backbone.model_copy(update={"config": config})})


@pytest.fixture
def damaged(tmp_path: Path, shapes: dict[str, Any]) -> dict[str, Any]:
    """Conversations about four good videos and two that cannot be read, and one without video."""
    from vlmkit.registry import validate_slot

    dataset = validate_slot("dataset", shapes).build()
    (tmp_path / "bad.mp4").write_bytes(b"this is no video")
    entries = [{"id": f"good-{i}", "video": dataset[i].video} for i in range(4)]
    entries += [{"id": f"bad-{i}", "video": str(tmp_path / "bad.mp4")} for i in range(2)]
    turns = [{"from": "human", "value": "<video>\nwhich colour?"}, {"from": "gpt", "value": "red"}]
    talk = [{"from": "human", "value": "which colour?"}, {"from": "gpt", "value": "red"}]
    rows = [{**entry, "conversations": turns} for entry in entries] + [{"id": "text", "conversations": talk}]
    (tmp_path / "data.json").write_text(json.dumps(rows))
    return {"type": "llava-json", "path": str(tmp_path / "data.json")}


def test_bad_samples_are_skipped_recorded_once_and_counted(make: Make, damaged: dict[str, Any], tmp_path: Path) -> None:
    """Batches of one: some hold nothing that could be read."""
    stage = {"data": [damaged], "train": {"aligner": 1e-2}, "epochs": 2, "batch_size": 1}
    spec = make(stage, data={"max_bad_fraction": 0.5})
    run = RunFolder.open(spec, tmp_path / "runs")
    train(spec, run)
    records = [json.loads(line) for line in run.bad_samples.read_text().splitlines()]
    assert sorted(record["id"] for record in records) == ["bad-0", "bad-1"]
    assert all("bad.mp4" in record["video"] and record["reason"] for record in records)
    assert {record["where"] for record in records} == {"stages/1-one"}
    assert metrics(run)[-1]["samples_skipped"] == 4
    assert all(torch.isfinite(tensor).all() for tensor in weights(run).values())


def test_too_many_bad_samples_stop_the_run(make: Make, damaged: dict[str, Any], tmp_path: Path) -> None:
    spec = make({"data": [damaged], "train": {"aligner": 1e-2}, "epochs": 1}, data={"max_bad_fraction": 0.2})
    run = RunFolder.open(spec, tmp_path / "runs")
    with pytest.raises(DataError, match=r"2 of 7 samples could not be read, more than data\.max_bad_fraction"):
        train(spec, run)
    assert not run.model.exists()
    spec = make({"data": [damaged], "train": {"aligner": 1e-2}, "epochs": 1}, data={"max_bad_fraction": 0.3})
    train(spec, RunFolder.open(spec, tmp_path / "runs"))
    assert run.model.is_dir()


def test_too_many_bad_samples_stop_a_continued_stage_as_well(
    make: Make, damaged: dict[str, Any], observer: Observer, tmp_path: Path
) -> None:
    stage = {"data": [damaged], "train": {"aligner": 1e-2}, "epochs": 1, "batch_size": 1, "save_every": 3}
    spec = make(stage, data={"max_bad_fraction": 0.2})
    observer.kill_at = ("one", 4)
    with pytest.raises(Killed):
        train(spec, RunFolder.open(spec, tmp_path / "runs"))
    observer.kill_at = None
    with pytest.raises(DataError, match="2 of 7 samples could not be read"):
        train(spec, RunFolder.open(spec, tmp_path / "runs"))


def test_changed_data_is_refused(make: Make, damaged: dict[str, Any], observer: Observer, tmp_path: Path) -> None:
    stage = {"data": [damaged], "train": {"aligner": 1e-2}, "steps": 4}
    spec = make(stage, data={"max_bad_fraction": 0.5})
    observer.kill_at = ("one", 2)
    with pytest.raises(Killed):
        train(spec, RunFolder.open(spec, tmp_path / "runs"))
    rows = json.loads(Path(damaged["path"]).read_text())
    Path(damaged["path"]).write_text(json.dumps(rows[:-1]))
    with pytest.raises(RunError, match=r"dataset 0 \(llava-json\) has changed .* 7 samples .* now 6"):
        train(spec, RunFolder.open(spec, tmp_path / "runs"))


@pytest.mark.parametrize("text", ['[{"type": "mov', "{}", "[]", "[{}]"])
def test_a_damaged_record_of_the_data_is_named(make: Make, tmp_path: Path, text: str) -> None:
    spec = make({"train": {"aligner": 1e-2}, "steps": 4})
    run = RunFolder.open(spec, tmp_path)
    run.stage(1, "one").mkdir(parents=True)
    (run.stage(1, "one") / "data.json").write_text(text)
    with pytest.raises(
        RunError, match=r"data\.json: expected .*; remove the folder .*1-one to train the stage anew, or"
    ):
        train(spec, run)


def test_patterns_that_match_nothing_are_reported_at_once(make: Make, tmp_path: Path) -> None:
    spec = make(
        {"train": {"aligner.projektor": 1e-2}, "steps": 1},
        {"name": "two", "train": {"aligner": 1e-2, "backbone.modell": 1e-2}, "steps": 1},
    )
    with pytest.raises(SpecError) as error:
        train(spec, RunFolder.open(spec, tmp_path))
    assert "did you mean 'aligner.projector'" in str(error.value)
    assert "did you mean 'backbone.model'" in str(error.value)


def test_the_plan_counts_what_trains(three_stages: ExperimentSpec, reference: RunFolder) -> None:
    planned = plan_training(three_stages)
    saved = [load_file(reference.stage(n, s.name) / "weights.safetensors") for n, s in enumerate(planned.stages, 1)]
    for stage, state in zip(planned.stages, saved, strict=True):
        for part, count in stage.trains.items():
            names = [n for n in state if n.startswith(f"{part}.") and "running_" not in n and "num_batches" not in n]
            assert sum(state[name].numel() for name in names) == count
    assert planned.head_parameters == planned.stages[1].trains["distillation"]
    assert [list(stage.trains) for stage in planned.stages][1] == ["aligner", "distillation"]


@pytest.mark.parametrize("command", ["train", "train from weights", "eval"])
def test_a_command_composes_on_the_meta_device_and_plans_once(
    make: Make, reference: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    built: list[str] = []
    assigned: list[str] = []

    def build(self: Any, llm_width: int) -> Any:
        built.append(str(torch.get_default_device()))
        return original(self, llm_width)

    def assign(stage: StageSpec, named: Any) -> Any:
        assigned.append(stage.name)
        return assign_parameters(stage, named)

    spec = make({"train": {"aligner": 1e-2}, "steps": 1}, {"name": "two", "train": {"backbone": 1e-2}, "steps": 1})
    if command == "train from weights":
        spec = spec.model_copy(update={"model": spec.model.model_copy(update={"weights": str(reference.model)})})
    original = type(spec.model.aligner).build
    monkeypatch.setattr(type(spec.model.aligner), "build", build)
    monkeypatch.setattr(training_plan, "assign_parameters", assign)
    if command == "eval":
        measured = EvaluationSpec.model_validate({"benchmarks": [{"name": "moving-shapes", "limit": 2}]})
        runner.evaluate(spec.model_copy(update={"training": None, "evaluation": measured}), tmp_path)
    else:
        runner.train(spec, tmp_path)
    # transformers reads weights by way of meta
    assert built == (["meta", "meta"] if command == "train from weights" else ["meta", "cpu"])
    assert assigned == ([] if command == "eval" else ["one", "two"])


@pytest.mark.parametrize("parts", [("aligner",), ("aligner", "backbone")])
def test_bfloat16_trains_float32_weights_and_keeps_the_model_s_dtype(
    make: Make, tmp_path: Path, parts: tuple[str, ...]
) -> None:
    stage = {"train": dict.fromkeys(parts, 1e-2), "steps": 2, "gradient_checkpointing": True}
    spec = make(stage, precision="bfloat16")
    backbone = spec.model.backbone.model_copy(update={"dtype": "bfloat16"})
    spec = spec.model_copy(update={"model": spec.model.model_copy(update={"backbone": backbone})})
    run = RunFolder.open(spec, tmp_path)
    train(spec, run)
    trained = load_file(run.stage(1, "one") / "weights.safetensors")
    assert {name.split(".")[0] for name in trained} == set(parts)
    assert {tensor.dtype for name, tensor in trained.items() if "num_batches" not in name} == {torch.float32}
    final = weights(run)
    assert {final[name].dtype for name in final if name.startswith("backbone.")} == {torch.bfloat16}
    assert final["aligner.projector.0.weight"].dtype == torch.float32
    assert all(torch.isfinite(tensor.float()).all() for tensor in final.values())


def test_the_trained_model_can_be_opened(reference: RunFolder) -> None:
    from vlmkit.model import load

    model, processor = load(reference.model)
    assert not model.training
    assert processor.aligner.width == 16
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in weights(reference).items())


@pytest.fixture
def stage_run(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StageRun:
    """A stage that distils, before its first step; aligner and teacher see pictures of one size."""
    seen: list[StageRun] = []
    monkeypatch.setattr(StageTrainer, "train", lambda self, **_: seen.append(self.stage_run))
    stage = {"train": {"aligner": 1e-2, "distillation": 1e-2}, "steps": 1, "flip": True}
    teacher = {"type": "hog", "patch": 16, "input": {"size": 32, "multiple": 16}}
    spec = make(stage, distillation=HOG | {"teacher": teacher})
    train(spec, RunFolder.open(spec, tmp_path))
    return seen[0]


def test_the_teacher_looks_at_the_frames_of_the_aligner(stage_run: StageRun) -> None:
    for position in range(4):
        item = stage_run.dataset[position]
        assert isinstance(item, LoadedSample)
        aligner, teacher = item.views[0]["aligner"], item.views[0]["teacher"]
        assert (aligner.num_frames_present, aligner.content_box) == (teacher.num_frames_present, teacher.content_box)
        assert np.array_equal(aligner.pixels, teacher.pixels)


def test_what_reads_the_data_can_be_sent_to_a_worker(stage_run: StageRun) -> None:
    items, collator = stage_run.dataset, stage_run.collator
    ours = collator([items[position] for position in range(4)])
    items, collator = pickle.loads(pickle.dumps((items, collator)))
    theirs = collator([items[position] for position in range(4)])
    assert ours.loaded == theirs.loaded
    assert ours.video is not None
    assert theirs.video is not None
    assert torch.equal(ours.video.pixels, theirs.video.pixels)
    assert all(torch.equal(ours.text[name], theirs.text[name]) for name in ours.text)


def test_a_process_that_is_killed_leaves_a_run_that_goes_on(
    three_stages: ExperimentSpec, reference: RunFolder, observer: Observer, tmp_path: Path
) -> None:
    """The real thing: the process is gone in the middle of a stage, its lock with it."""
    observer.kill_at = ("align", 4)
    child = os.fork()
    if not child:
        observer.kill = lambda: os.kill(os.getpid(), signal.SIGKILL)
        try:
            train(three_stages, RunFolder.open(three_stages, tmp_path))
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    run = RunFolder.open(three_stages, tmp_path)
    assert (run.stage(2, "align") / "checkpoint-3").is_dir()
    observer.kill_at = None
    train(three_stages, run)
    assert same(weights(run), weights(reference))
    assert metrics(run) == metrics(reference)


def spoil(step: int, part: str) -> Callable[[pytest.MonkeyPatch], None]:
    """From a step of the second stage on, a loss, the gradients or a weight is no number."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        computed, norm = StageTrainer.compute_loss, StageTrainer._get_grad_norm

        def due(trainer: StageTrainer) -> bool:
            return trainer.stage_run.number == 2 and trainer.state.global_step + 1 >= step

        def losses(self: Any, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
            if due(self) and part in ("language", "distillation"):
                add = self.sums.add

                def broken(values: Losses, *more: Any) -> None:
                    add(values._replace(**{part: getattr(values, part) * float("nan")}), *more)

                monkeypatch.setattr(self.sums, "add", broken)
            return computed(self, model, inputs, *args, **kwargs)

        def gradients(self: Any, *args: Any, **kwargs: Any) -> Any:
            trained = next(p for members in self.stage_run.trained.values() for p in members if p.grad is not None)
            if due(self) and part == "gradients":
                trained.grad[...] = float("inf")
            if due(self) and part == "weights":
                trained.data[...] = float("nan")
            return norm(self, *args, **kwargs)

        monkeypatch.setattr(StageTrainer, "compute_loss", losses)
        monkeypatch.setattr(StageTrainer, "_get_grad_norm", gradients)

    return patch


@pytest.mark.parametrize(
    ("step", "part", "said"),
    [
        (5, "language", r"step 5: the language loss is not a finite number of the samples simple-train-0-"),
        (4, "distillation", "step 4: the distillation loss is not a finite number of the samples simple-"),
        (4, "gradients", "step 4: the norm of the gradients is (inf|nan), not a finite number of the samples simple-"),
        (
            6,
            "weights",
            r"2-align: after step 6 \d+ of \d+ weights hold values that are no finite numbers: model.aligner",
        ),
        (
            7,
            "weights",
            r"2-align: after step 7 \d+ of \d+ weights hold values that are no finite numbers: model.aligner",
        ),
    ],
)
def test_what_is_no_number_stops_the_training_and_is_never_saved(
    three_stages: ExperimentSpec, reference: RunFolder, tmp_path: Path, step: int, part: str, said: str
) -> None:
    run = RunFolder.open(three_stages, tmp_path)
    with pytest.MonkeyPatch.context() as monkeypatch:
        spoil(step, part)(monkeypatch)
        with pytest.raises(RunError, match=said):
            train(three_stages, run)
    saved = [load_file(file) for file in run.stage(2, "align").rglob("*.safetensors")]
    assert all(torch.isfinite(value).all() for state in saved for value in state.values())
    assert latest_checkpoint(run.stage(2, "align")) == run.stage(2, "align") / (
        "checkpoint-6" if step == 7 else "checkpoint-3"
    )
    train(three_stages, run)
    assert same(weights(run), weights(reference))
    assert metrics(run) == metrics(reference)
