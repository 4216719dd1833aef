"""Damage of any file that a run keeps: it is refused by name, or the run ends as if nothing had been."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import vlmkit
from vlmkit import hookimpl
from vlmkit.errors import UserError
from vlmkit.registry import registry
from vlmkit.spec.experiment import ExperimentSpec

pytestmark = pytest.mark.usefixtures("quick")


def flip(content: bytes) -> bytes:
    """One bit, in the middle."""
    place = len(content) // 2
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def flip_last(content: bytes) -> bytes:
    """One bit near the end, where weights are and digits of a checksum."""
    place = max(0, len(content) - 9)
    return content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :]


def zero(content: bytes) -> bytes:
    """A block, as a disk loses it."""
    start = len(content) // 3
    return content[:start] + bytes(len(content[start : start + 512])) + content[start + 512 :]


def pad(content: bytes) -> bytes:
    """The end is lost, the size is not."""
    return content[: len(content) // 2].ljust(len(content), b"\0")


class Killed(BaseException):
    """The process ends here."""


def spec_of(seed: int) -> ExperimentSpec:
    video = {"frames": 4, "sampling": "uniform", "size": 32, "multiple": 16}
    llama = {"model_type": "llama", "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    backbone = {
        "type": "hf-causal-lm",
        "init": "random",
        "config": llama | {"num_attention_heads": 2, "num_key_value_heads": 2},
        "tokenizer": {"text": ["which colour is the shape red green blue"], "vocab_size": 270},
    }
    clips = {"size": 32, "frames": 8, "root": "clips"}
    data = {"type": "moving-shapes", "clips": 6, "questions_per_clip": 2, **clips}
    teacher = {"type": "hog", "input": {"size": 28}, "cache": "features"}
    distillation = {"teacher": teacher, "layer_rate": 1, "heads": 2}
    parts = ("aligner", "backbone", "distillation")
    stages = [
        {"name": "words", "data": [data | {"text_only": True}], "train": {"backbone": 1e-2}, "steps": 2},
        {"name": "all", "data": [data], "train": dict.fromkeys(parts, 1e-2), "steps": 4, "save_every": 2},
    ]
    return ExperimentSpec.model_validate(
        {
            "vlmkit": 1,
            "name": "tiny",
            "seed": seed,
            "model": {
                "aligner": {"type": "stab", "width": 16, "patch": 8, "heads": 2, "input": video},
                "backbone": backbone,
            },
            "training": {
                "log_every": 1,
                "distillation": distillation,
                "stages": [{"batch_size": 2, **stage} for stage in stages],
            },
            "evaluation": {
                "benchmarks": [{"name": "moving-shapes", "dataset": {"clips": 16, **clips}}],
                "batch_size": 8,
                "max_new_tokens": 2,
            },
        }
    )


class World:
    """A run, finished or interrupted, with the clips and features beside it; and how it ends undamaged."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.spec = folder, spec_of(seed)

    def go(self) -> None:
        """The command, in this folder: what is named in the spec lies below it."""
        with chdir(self.folder):
            vlmkit.run(self.spec)

    def end(self) -> dict[str, Any]:
        """What the run came to, without times."""
        run = self.folder / "runs" / "tiny"
        result = json.loads((run / "eval/moving-shapes/result.json").read_text())
        left = [*sorted((run / "model").iterdir()), run / "eval/moving-shapes/predictions.jsonl"]
        kept = {str(file.relative_to(run)): file.read_bytes() for file in left}
        rows = [json.loads(line) for log in sorted(run.glob("stages/*/metrics.jsonl")) for line in log.open()]
        for timed in (result, *rows):
            for key in ("checksum", "seconds", "seconds_per_step"):
                timed.pop(key, None)
        return {**kept, "result": result, "metrics": rows}

    def files(self) -> list[str]:
        """Every file of the run, one clip with its list, and one entry of the teacher's cache."""
        run = [file for file in sorted((self.folder / "runs").rglob("*")) if file.is_file() and file.stat().st_size]
        clips = next(self.folder.glob("clips/*-train-*"))
        some = [
            next(clips.rglob("*.mp4")),
            clips / "checksums.json",
            next(self.folder.rglob("features/**/*.safetensors")),
        ]
        found = [file for file in run if file.name not in (".lock", "report.html")] + some
        return [str(file.relative_to(self.folder)) for file in found]


class Expected(NamedTuple):
    """What a run comes to."""

    world: World
    end: dict[str, Any]


@pytest.fixture(scope="module")
def place(expected: Expected, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A folder with the clips of the expected run: the encoder does not always draw the same ones."""

    def make(name: str) -> Path:
        folder = tmp_path_factory.mktemp(name)
        shutil.copytree(expected.world.folder / "clips", folder / "clips")
        return folder

    return make


@pytest.fixture(scope="module", params=["interrupted", "finished"])
def world(request: pytest.FixtureRequest, place: Callable[[str], Path]) -> World:
    return _make(place("world"), 3, request.param == "interrupted")


@pytest.fixture(scope="module")
def other(place: Callable[[str], Path]) -> Path:
    """A run of another seed, interrupted and finished."""
    folder = place("other")
    world = _make(folder, 4, True)
    shutil.copytree(folder / "runs" / "tiny" / "stages", folder / "kept")
    world.go()
    shutil.copytree(folder / "kept", folder / "runs" / "tiny" / "stages", dirs_exist_ok=True)
    return folder


def _make(folder: Path, seed: int, interrupted: bool) -> World:
    world = World(folder, seed)

    class Plugin:
        @hookimpl
        def vlmkit_step_ended(self, stage: str, step: int) -> None:
            if interrupted and (stage, step) == ("all", 3):
                raise Killed

    plugin = Plugin()
    registry().manager.register(plugin)
    try:
        world.go()
    except Killed:
        assert (folder / "runs/tiny/stages/2-all/checkpoint-2").is_dir()
    finally:
        registry().manager.unregister(plugin)
    return world


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Expected:
    """The run that nothing interrupted."""
    world = World(tmp_path_factory.mktemp("expected"), 3)
    world.go()
    return Expected(world, world.end())


def test_damage_is_refused_or_changes_nothing(world: World, other: Path, expected: Expected) -> None:
    """Each file in one of the ways: a bit is flipped, a block or the end is lost, or it is that of another run."""
    pristine = world.folder.with_name(f"{world.folder.name}-pristine")
    shutil.copytree(world.folder, pristine)
    refused, names = 0, world.files()
    for number, name in enumerate(names):
        file = world.folder / name
        whole = file.read_bytes()
        taken = (other / name).read_bytes() if (other / name).is_file() else whole
        ways = [flip(whole), zero(whole), pad(whole), taken, flip_last(whole)]
        file.write_bytes(ways[number % len(ways)])
        said = _outcome(world)
        if said is None:
            found = world.end()
            assert {key: found.get(key) for key in expected.end} == expected.end, name
        else:
            refused += 1
            assert any(part in said for part in (file.name, file.parent.name)), (name, said)
        shutil.rmtree(world.folder)
        shutil.copytree(pristine, world.folder)
    assert refused > len(names) / 3


def _outcome(world: World) -> str | None:
    """What the command refuses; None where it ends well."""
    try:
        world.go()
    except UserError as error:
        return str(error)
    return None
