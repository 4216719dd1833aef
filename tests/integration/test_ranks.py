"""Several processes train what one does, and say what one would."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from safetensors.torch import load_file

from vlmkit.registry import validate_slot
from vlmkit.run_folder import RunFolder
from vlmkit.runner import train
from vlmkit.spec.experiment import ExperimentSpec

pytestmark = pytest.mark.usefixtures("quick")

MODEL = {
    "aligner": {
        "type": "stab",
        "width": 16,
        "patch": 8,
        "heads": 2,
        "dropout": 0,
        "input": {"frames": 4, "sampling": "uniform", "size": 32, "multiple": 16},
    },
    "backbone": {
        "type": "hf-causal-lm",
        "init": "random",
        "config": {"model_type": "llama", "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
        | {"num_attention_heads": 2},
        "tokenizer": {"text": ["which colour is the shape red green blue"], "vocab_size": 270},
    },
}
HOG = {"teacher": {"type": "hog", "input": {"size": 28}}, "layer_rate": 1, "heads": 2}
EVERYTHING = {"aligner": 1e-3, "backbone": 1e-3, "distillation": 1e-3}
ROWS = {"video": "vvvvvvvvvvvv", "mixed": "vtvttvtttvtt", "ragged": "vtvttttvt", "broken": "vvvvvbvvvvvv"}
"""With video, without, or with one that cannot be read. Some steps of `mixed` have no video; the last one of `ragged`
has one row."""
ZERO = {"type": "deepspeed", "zero": 2}


class Cell(NamedTuple):
    """One training: its stages, and what runs it on two processes."""

    stages: list[dict[str, Any]]
    engine: dict[str, Any]
    kill_at: int | None = None
    """The step at which all processes are killed."""
    left: bool = False
    """Whether it stays interrupted."""
    damage: str | None = None
    """Which file of a checkpoint then has a bit flipped."""
    spoil_at: int | None = None
    """The step in which a weight of the second process is no number."""
    log_every: int = 1
    refused: str | None = None
    """The message with which every process ends."""
    max_bad_fraction: float = 0.5
    precision: str = "float32"


Data = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    """The dataset of some rows: answers differ, four clips take turns."""
    root = tmp_path_factory.mktemp("data")
    shapes = {"type": "moving-shapes", "clips": 4, "size": 32, "frames": 8, "root": str(root / "shapes")}
    clips = validate_slot("dataset", shapes).build()
    (root / "broken.mp4").write_bytes(b"this is no video")

    def row(number: int, kind: str) -> dict[str, Any]:
        path = clips[number % 4].video if kind == "v" else str(root / "broken.mp4")
        video = {} if kind == "t" else {"video": path}
        mark = "<video>\n" if video else ""
        answer = ("red", "green", "blue", "red green")[number % 4]
        turns = [{"from": "human", "value": f"{mark}which colour?"}, {"from": "gpt", "value": answer}]
        return {"id": str(number), "conversations": turns} | video

    def dataset(name: str) -> dict[str, Any]:
        path = root / f"{name}.json"
        if not path.exists():
            path.write_text(json.dumps([row(number, kind) for number, kind in enumerate(ROWS[name])]))
        return {"type": "llava-json", "path": str(path)}

    return dataset


def spec(name: str, cell: Cell) -> dict[str, Any]:
    defaults = {"train": EVERYTHING, "batch_size": 4, "epochs": 2, "warmup": 0.3, "weight_decay": 0.1}
    stages = [{"name": f"s{number}"} | defaults | stage for number, stage in enumerate(cell.stages)]
    distillation = {"distillation": HOG} if any("distillation" in stage["train"] for stage in stages) else {}
    training = {"log_every": cell.log_every, "stages": stages, "engine": cell.engine, "precision": cell.precision}
    data = {"cache_mib": 8, "max_bad_fraction": cell.max_bad_fraction}
    return {"vlmkit": 1, "name": name, "seed": 3, "model": MODEL, "data": data, "training": training | distillation}


def cells(data: Data) -> dict[str, Cell]:
    stages: dict[str, dict[str, Any]] = {
        "video": {"data": [data("video")]},
        "clipped": {"data": [data("video")], "max_grad_norm": 0.05},
        "mixed": {"data": [data("mixed")]},
        "ragged": {"data": [data("ragged")], "max_grad_norm": 0.05},
        "accumulated": {"data": [data("ragged")], "micro_batch_size": 1},
    }
    found = {
        f"{name}-zero{zero}": Cell([stage], {"type": "deepspeed", "zero": zero})
        for zero in (0, 1, 2)
        for name, stage in stages.items()
    }
    several = [
        stages["mixed"] | {"train": {"backbone": 1e-3}},
        stages["ragged"] | {"train": {"aligner": 1e-3, "distillation": 1e-3}, "flip": True},
        stages["accumulated"] | {"gradient_checkpointing": True},
        stages["mixed"] | {"train": {"aligner.projector": 1e-3, "backbone.lm_head": 1e-3}},
    ]
    found["stages"] = Cell(several, ZERO)
    found["continued"] = Cell([stages["mixed"] | {"save_every": 2}], ZERO, kill_at=3)
    found["interrupted"] = Cell([stages["mixed"] | {"save_every": 2}], ZERO, kill_at=3, left=True)
    found["bfloat16"] = Cell([stages["accumulated"]], {"type": "deepspeed", "zero": 0}, precision="bfloat16")
    broken = [{"data": [data("broken")]}]
    found["broken"] = Cell(broken, ZERO)
    said = "step 2: the .* not a finite number of the samples "
    for logs in (1, 10):
        every = {**stages["video"], "micro_batch_size": 1}
        found[f"spoilt-{logs}"] = Cell([every], ZERO, spoil_at=2, log_every=logs, refused=said)
    saved = stages["mixed"] | {"save_every": 2}
    said = r"optim_states.pt: expected the checksum xxh3_128 .*; remove the folder"
    found["damaged"] = Cell([saved], ZERO, kill_at=3, damage="*rank_1*optim_states.pt", refused=said)
    found["refused"] = Cell(broken, ZERO, refused="1 of . samples could not be read", max_bad_fraction=0)
    return found


def launch(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Two processes of a script or module."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return _run([*command, *map(str, arguments)], **environment)


def _run(command: list[str], folder: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


def test_two_processes_train_what_one_does(data: Data, tmp_path: Path) -> None:
    """Whatever ZeRO stage, whichever rows have a video; and what is interrupted goes on."""
    wanted = cells(data)
    described = [
        cell._asdict() | {"spec": spec(name, cell), "output": str(tmp_path / "two")} for name, cell in wanted.items()
    ]
    (tmp_path / "cells.json").write_text(json.dumps(described))
    done = launch(Path(__file__).with_name("train_cells.py"), tmp_path / "cells.json")
    assert not done.returncode, done.stderr[-4000:]
    one: dict[str, RunFolder] = {}
    far: dict[str, Any] = {}
    for name, cell in wanted.items():
        key = json.dumps([cell.stages, cell.precision])
        if key not in one:
            alone = spec(name, cell._replace(engine={"type": "single"}))
            one[key] = train(ExperimentSpec.model_validate(alone), tmp_path / "one")
        if not cell.left and not cell.refused:
            far |= {f"{name}: {what}": much for what, much in _differences(one[key], tmp_path / "two" / name)}
    assert not far
    ours, theirs = ((tmp_path / runs / "broken" / "bad_samples.jsonl").read_text() for runs in ("one", "two"))
    assert ours == theirs
    assert len(ours.splitlines()) == 1

    continued = [
        sys.executable,
        "-m",
        "vlmkit",
        "train",
        str(tmp_path / "spec.yaml"),
        "--output",
        str(tmp_path / "two"),
    ]
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(described[list(wanted).index("interrupted")]["spec"]))
    refused = _run(continued)
    assert refused.returncode == 2
    said = (
        r"vlmkit: \S+checkpoint-2: this stage was begun by 2 processes and cannot be continued by 1 process; start as "
    )
    assert len(re.findall(said, refused.stderr)) == 1
    assert "Traceback" not in refused.stderr


def _differences(one: RunFolder, two: Path) -> Iterator[tuple[str, Any]]:
    """What differs by more than 1e-6: every tensor of the model, running statistics included, and every line."""
    ours, theirs = load_file(two / "model" / "model.safetensors"), load_file(one.model / "model.safetensors")
    assert ours.keys() == theirs.keys()
    for name in ours:
        distance = (ours[name].double() - theirs[name].double()).abs().max().item()
        if not distance < 1e-6:
            yield name, distance
    lines = [_metrics(folder) for folder in (two, one.path)]
    assert len(lines[0]) == len(lines[1])
    for number, (our, their) in enumerate(zip(*lines, strict=True)):
        if our != pytest.approx(their, rel=1e-6):
            yield f"line {number}", (our, their)


def _metrics(run: Path) -> list[dict[str, float]]:
    lines = [
        json.loads(line)
        for file in sorted(run.glob("stages/*/metrics.jsonl"))
        for line in file.read_text().splitlines()
    ]
    return [{name: line[name] for name in line if name.endswith("loss") or name == "step"} for line in lines]


FAILING = """\
import os
from typing import Literal

from vlmkit import hookimpl, runtime
from vlmkit.api import Dataset, DatasetSpec, Sample, Turn

VLMKIT_API = 1
runtime._PATIENCE = 2.0


class Two(Dataset):
    def __len__(self):
        return 2

    def sample(self, index):
        return Sample(str(index), (Turn("which colour?", "red"),))

    def fingerprint(self):
        return "two"


class TwoSpec(DatasetSpec):
    "Cannot be opened on one machine."
    type: Literal["one-machine"] = "one-machine"

    def build(self):
        if os.environ["RANK"] == "1":
            raise RuntimeError("the disk of this machine is gone")
        return Two()


@hookimpl
def vlmkit_components():
    return [TwoSpec]
"""


@pytest.fixture
def failing(tmp_path: Path) -> str:
    """PYTHONPATH with a plugin whose dataset fails in the second process, which waits a little for the first."""
    site = tmp_path / "site"
    (site / "failing-1.dist-info").mkdir(parents=True)
    (site / "failing-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: failing\nVersion: 1\n")
    (site / "failing-1.dist-info" / "entry_points.txt").write_text("[vlmkit]\nfailing = failing_plugin\n")
    (site / "failing_plugin.py").write_text(FAILING)
    return os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH", "")]))


def test_what_all_processes_find_wrong_is_said_once(tmp_path: Path, data: Data) -> None:
    """torchrun itself ends with 1 whatever happens, and reports the exit code."""
    wrong = spec("wrong", Cell([{"data": [data("video")], "steps": 0}], ZERO))
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(wrong))
    done = launch("-m", "vlmkit", "train", tmp_path / "spec.yaml", "--output", tmp_path / "runs")
    assert len(re.findall("^vlmkit: .*this spec has 1 problem", done.stderr, re.MULTILINE)) == 1
    assert re.search(r"exitcode +: 2 ", done.stderr)
    assert not (tmp_path / "runs").exists()


def test_one_process_that_fails_ends_all(tmp_path: Path, failing: str) -> None:
    stage = {"data": [{"type": "one-machine"}], "train": {"backbone": 1e-3}}
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(spec("failing", Cell([stage], ZERO))))
    done = launch("-m", "vlmkit", "train", tmp_path / "spec.yaml", "--output", tmp_path / "runs", PYTHONPATH=failing)
    assert len(re.findall("^vlmkit: .*the disk of this machine is gone", done.stderr, re.MULTILINE)) == 1
    assert done.stderr.count("vlmkit: ") == 1
    assert "Connection closed by peer" not in done.stderr
    assert re.search(r"exitcode +: 2 ", done.stderr)


SCRIPT = """\
import vlmkit

spec = vlmkit.load_spec("spec.yaml", set={"training.workers": 1})
run = vlmkit.run(spec)
print(run.model_path)
"""


def test_a_script_whose_workers_would_train_as_well(tmp_path: Path, data: Data) -> None:
    single = spec("single", Cell([{"data": [data("mixed")], "train": {"backbone": 1e-3}}], {"type": "single"}))
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(single))
    (tmp_path / "script.py").write_text(SCRIPT)
    done = _run([sys.executable, str(tmp_path / "script.py")], folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr.count("Traceback") == 1
    assert done.stderr.endswith("put that beneath `if __name__ == '__main__':`\n")
