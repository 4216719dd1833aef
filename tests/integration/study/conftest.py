"""A tiny study, whose runs are made in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from vlmkit import runner
from vlmkit.errors import UserError
from vlmkit.run_folder import RunFolder
from vlmkit.spec.loading import load_spec
from vlmkit.study.launching import Job, Launcher
from vlmkit.study.running import StudyProgress

MODEL: dict[str, Any] = {
    "aligner": {"type": "stab", "width": 16, "patch": 8, "heads": 2,
                "input": {"frames": 4, "sampling": "uniform", "size": 32, "multiple": 16}},
    "backbone": {
        "type": "hf-causal-lm",
        "init": "random",
        "chat_template": "plain",
        "config": {"model_type": "llama", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1,
                   "num_attention_heads": 2, "num_key_value_heads": 2},
        "tokenizer": {"text": ["Which color is the shape? red green blue left right one two"], "vocab_size": 290},
    },
}  # fmt: skip
VARIANTS: list[dict[str, Any]] = [
    {"name": "without-fsra", "label": "w/o FSRA", "set": {"model.aligner.fsra": False}},
    {"name": "slower", "set": {"training.stages.together.train": {"aligner": 1e-4, "backbone": 1e-4}}},
    {"name": "again", "label": "the base again", "set": {"model.aligner.fsra": True}},
]
WriteStudy = Callable[..., Path]


@pytest.fixture
def write_study(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> WriteStudy:
    """Writes a study of a tiny model on clips that all tests share, and returns its file."""
    root = str(tmp_path_factory.getbasetemp() / "study-clips")
    data = {"type": "moving-shapes", "clips": 24, "size": 32, "root": root}
    stages = [
        {"name": "language", "data": [{**data, "text_only": True}], "train": {"backbone": 3e-3}, "steps": 25,
         "batch_size": 16},
        {"name": "together", "data": [data], "train": {"aligner": 3e-3, "backbone": 3e-3}, "steps": 6, "batch_size": 8},
    ]  # fmt: skip
    clips = {"clips": 30, "size": 32, "root": root}
    base = {
        "vlmkit": 1,
        "name": "tiny",
        "model": MODEL,
        "training": {"stages": stages},
        "evaluation": {"benchmarks": [{"name": "moving-shapes", "dataset": clips}], "judge": "exact", "workers": 0},
    }

    def write(**changes: Any) -> Path:
        (tmp_path / "base.yaml").write_text(yaml.safe_dump(base))
        study = {"vlmkit": 1, "study": "tiny-study", "base": {"spec": "base.yaml", "label": "STAB"}, "seeds": [1, 2]}
        (tmp_path / "study.yaml").write_text(yaml.safe_dump({**study, "variants": VARIANTS, **changes}))
        return tmp_path / "study.yaml"

    return write


class _Ended(Job):
    def __init__(self, code: int) -> None:
        self.code = code

    def exit_code(self) -> int | None:
        return self.code

    def stop(self) -> None: ...


class HereLauncher(Launcher):
    """Makes each run in this process, at once."""

    slots = 1

    def __init__(self, broken: str = "", most: int = 1000) -> None:
        """The runs whose name begins with `broken` fail; after so many starts comes Ctrl-C."""
        self.broken, self.most = broken, most
        self.started: list[str] = []

    def start(self, command: Sequence[str], log: Path, slot: int) -> Job:
        _, spec, _, output = command
        name = Path(spec).stem
        if len(self.started) == self.most:
            raise KeyboardInterrupt
        self.started.append(name)
        try:
            if self.broken and name.startswith(self.broken):
                raise UserError(f"{name}: it is broken")
            runner.run(load_spec(spec), output)
        except UserError as error:
            log.write_text(f"vlmkit: {error}\n")
            return _Ended(2)
        return _Ended(0)


class Holder:
    """Works on a run, as another process would, until some run of the study has ended. Call it with the progress."""

    def __init__(self, folder: RunFolder) -> None:
        self._lock = folder.locked()
        self._lock.__enter__()
        self.released: list[str] = []
        """Names of the runs that had ended when it let go."""

    def __call__(self, progress: StudyProgress) -> None:
        """Let go where a run has ended."""
        if progress.ended and not self.released:
            self.released.extend(progress.ended)
            self._lock.__exit__(None, None, None)
