"""Run folders: finished ones and interrupted ones, with damaged files, and the commands that go on with them."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
from pathlib import Path
from typing import Any

from fuzz.text import byte_edits, damage, edit_text, text_edits
from fuzz.trees import edits, mutate, to_json
from hypothesis import strategies as st

ENOUGH = {"refused": 0.3}
_COMMANDS = {"done": ("run", "eval", "report", "train"), "training": ("train", "report", "run"),
             "measuring": ("eval", "run", "report")}  # fmt: skip
_KINDS = ["bytes"] * 4 + ["data"] * 5 + ["text"] * 2 + ["swap", "gone", "folder", "link", "odd"]
Change = tuple[str, str, Any, str]
"""Kind, path in the run folder, what is written there, and how it was made."""
Example = tuple[str, str, list[Change]]


def examples(bases: dict[str, dict[str, bytes]]) -> st.SearchStrategy[Example]:
    """Which run, which command, and the changes before it."""

    @st.composite
    def build(draw: st.DrawFn) -> Example:
        base = draw(st.sampled_from(sorted(bases)))
        command = draw(st.sampled_from(_COMMANDS[base]))
        changes = draw(st.lists(_change(bases[base]), min_size=1, max_size=2))
        return base, command, changes

    return build()


@st.composite
def _change(draw: st.DrawFn, files: dict[str, bytes]) -> Change:
    path = draw(st.sampled_from([name for name in sorted(files) if name != ".lock"]))
    kind = draw(st.sampled_from(_KINDS))
    if kind == "data" and path.endswith((".json", ".jsonl")):
        return "write", path, *draw(_data(files[path].decode(), path.endswith("l")))
    if kind == "text" and path.endswith((".json", ".jsonl", ".yaml", ".html")):
        changes = draw(text_edits(2))
        return "write", path, edit_text(files[path].decode(), changes).encode("utf-8", "surrogatepass"), f"{changes}"
    if kind == "swap":
        other = draw(st.sampled_from(sorted(files)))
        return "write", path, files[other], f"that of {other}"
    if kind in ("gone", "folder", "link"):
        above = draw(st.integers(0, path.count("/") + 1)) if draw(st.booleans()) else 0
        return kind, "/".join(path.split("/")[: path.count("/") + 1 - above]) or path, None, ""
    if kind == "odd":
        names = ["stages/x", "stages/9-x/metrics.jsonl", "eval/x/result.json", "eval/x", ".model.saving/x", "x\n.json"]
        names += [path.replace("checkpoint-", "checkpoint-9"), f"{path}.saving", f"{path}/x", "eval/\x7f/result.json"]
        return "write", draw(st.sampled_from(names)), files[path], "more"
    changes = draw(byte_edits(2))
    return "write", path, damage(files[path], changes), f"{changes}"


@st.composite
def _data(draw: st.DrawFn, text: str, lines: bool) -> tuple[bytes, str]:
    """JSON with another meaning, or none."""
    changes = draw(edits(3, 4))
    tree = [json.loads(line) for line in text.splitlines()] if lines else json.loads(text)
    tree = mutate(tree, changes, {})
    rows = tree if lines and isinstance(tree, list) else [tree]
    return "".join(f"{to_json(row)}\n" for row in rows).encode(), f"{changes}"


def show(example: Example) -> str:
    """Run, command and changes."""
    base, command, changes = example
    lines = [f"  {kind} {path!r}: {how} {content[:200] if content else ''}" for kind, path, content, how in changes]
    return "\n".join([f"{command} on the run `{base}`, after", *lines])


class Killed(BaseException):
    """The process would end here."""


class Target:
    """A command on a damaged run: refused, or with the right result; whatever it leaves is whole."""

    def __init__(self, folder: Path) -> None:
        import torch

        torch.set_num_threads(1)
        self.folder = folder
        self.spec = _spec(folder)

    def bases(self) -> dict[str, dict[str, bytes]]:
        """Files by run."""
        from vlmkit.runner import run, train

        with _quiet():
            run(self.spec, self.folder / "done")
            with _killed_at("vlmkit_step_ended", 8):
                run(self.spec, self.folder / "training")
            train(self.spec, self.folder / "measuring")
            with _killed_at("generate", 3):
                run(self.spec, self.folder / "measuring")
        self.files = {name: _files(self.folder / name / "tiny") for name in _COMMANDS}
        return self.files

    def check(self, example: Example) -> str:
        """Damage, run the command, look at what it leaves."""
        from vlmkit.errors import UserError

        base, command, changes = example
        shutil.rmtree(self.folder / "damaged", ignore_errors=True)
        run = self.folder / "damaged" / "tiny"
        shutil.copytree(self.folder / base / "tiny", run)
        for change in changes:
            _apply(run, change)
        before = _files(run)
        try:
            with _quiet():
                self._command(command, run)
        except UserError:
            _check_left(run, before, self.files[base])
            raise
        _check_left(run, before, self.files[base])
        if command != "report":
            self._check_right(run, command)
        return "done"

    def _command(self, command: str, run: Path) -> None:
        from vlmkit import runner
        from vlmkit.report import write_report

        if command == "report":
            write_report(run)
        elif command == "train":
            runner.train(self.spec, run.parent)
        elif command == "eval":
            runner.evaluate(self.spec, run.parent).summary()
        else:
            runner.run(self.spec, run.parent).summary()

    def _check_right(self, run: Path, command: str) -> None:
        """What a run that nothing has damaged comes to."""
        from safetensors.torch import load

        right, found = self.files["done"], _files(run)
        weights, expected = load(found["model/model.safetensors"]), load(right["model/model.safetensors"])
        same = weights.keys() == expected.keys() and all((weights[n] == expected[n]).all() for n in weights)
        assert same, "other weights than those of an undamaged run, and nobody is told"
        if command != "train":
            name = "eval/moving-shapes/result.json"
            result, known = json.loads(found[name]), json.loads(right[name])
            for key in ("n", "skipped", "unscored", "metrics", "controls"):
                assert result[key] == known[key], f"another result ({key}) than that of an undamaged run"


def _check_left(run: Path, before: dict[str, bytes], good: dict[str, bytes]) -> None:
    after = _files(run)
    left = [name for name in after.keys() - before.keys() if name.endswith((".saving", ".old")) or "/." in f"/{name}"]
    left = [name for name in left if not name.endswith(".lock")]
    assert not left, f"half-written files are left: {left}"
    for name, content in after.items():
        if content != before.get(name):
            _check_whole(name, content)
    kept = [name for name in good if "checkpoint-" not in name and before.get(name) == good[name]]
    lost = [name for name in kept if name not in after]
    assert not lost, f"good files are gone: {lost}"


def _check_whole(name: str, content: bytes) -> None:
    """What was written can be read."""
    import yaml
    from safetensors.torch import load

    if name.endswith(".json"):
        json.loads(content)
    elif name.endswith(".jsonl"):
        assert not content or content.endswith(b"\n"), f"{name} ends in the middle of a line"
        for line in content.splitlines():
            json.loads(line)
    elif name.endswith(".yaml"):
        yaml.safe_load(content)
    elif name.endswith(".safetensors"):
        load(content)
    elif name.endswith(".html"):
        assert content.rstrip().endswith(b"</html>"), f"{name} is cut"


def _files(folder: Path) -> dict[str, bytes]:
    found = [Path(above) / name for above, _, names in os.walk(folder) for name in names]
    return {str(path.relative_to(folder)): path.read_bytes() for path in found if path.is_file()}


def _apply(run: Path, change: Change) -> None:
    kind, name, content, _ = change
    path = run / name
    with contextlib.suppress(OSError):  # where the change before it has left no such place
        if kind != "write" or path.is_dir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
        if kind == "write":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        elif kind == "folder":
            path.mkdir()
        elif kind == "link":
            path.symlink_to(path.name)


@contextlib.contextmanager
def _quiet() -> Any:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


@contextlib.contextmanager
def _killed_at(what: str, call: int) -> Any:
    """The run ends at the n-th step, or answer."""
    from vlmkit import hookimpl
    from vlmkit.model import VideoLM
    from vlmkit.registry import registry

    calls, generate = iter(range(1, 1000)), VideoLM.generate

    class Plugin:
        @hookimpl
        def vlmkit_step_ended(self, stage: str, step: int, metrics: Any) -> None:
            if what == "vlmkit_step_ended" and next(calls) == call:
                raise Killed

    def dying(self: VideoLM, **inputs: Any) -> Any:
        if what == "generate" and next(calls) == call:
            raise Killed
        return generate(self, **inputs)

    plugin = Plugin()
    registry().manager.register(plugin)
    VideoLM.generate = dying  # type: ignore[method-assign]
    try:
        yield
    except Killed:
        return
    finally:
        VideoLM.generate = generate  # type: ignore[method-assign]
        registry().manager.unregister(plugin)
    raise RuntimeError(f"{what} was not called {call} times")


def _spec(folder: Path) -> Any:
    """Three stages of a few steps and a benchmark of a few questions."""
    from vlmkit.spec.experiment import ExperimentSpec

    clips = {"type": "moving-shapes", "clips": 6, "size": 32, "frames": 8, "root": str(folder / "clips")}
    words = clips | {"text_only": True}
    asked = {"clips": 6, "size": 32, "root": clips["root"]}
    llama = {"model_type": "llama", "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
    stage = {"batch_size": 4, "warmup": 0, "save_every": 2, "data": [clips]}
    return ExperimentSpec.model_validate(
        {
            "vlmkit": 1,
            "name": "tiny",
            "model": {
                "aligner": {"type": "stab", "width": 16, "patch": 8, "heads": 2,
                            "input": {"frames": 4, "sampling": "uniform", "size": 32, "multiple": 16}},
                "backbone": {"type": "hf-causal-lm", "init": "random", "config": llama | {"num_attention_heads": 2},
                             "tokenizer": {"text": ["which colour is the shape red green blue"], "vocab_size": 270}},
            },
            "data": {"cache_mib": 8},
            "training": {
                "log_every": 1,
                "distillation": {"teacher": {"type": "hog", "input": {"size": 28}}, "layer_rate": 1, "heads": 2},
                "stages": [
                    stage | {"name": "words", "data": [words], "train": {"backbone": 1e-2}, "steps": 2},
                    stage | {"name": "align", "train": {"aligner": 1e-2, "distillation": 1e-2}, "steps": 3},
                    stage | {"name": "all", "train": {"aligner": 1e-2, "backbone": 1e-3}, "steps": 4},
                ],
            },
            "evaluation": {
                "benchmarks": [{"name": "moving-shapes", "limit": 8, "dataset": asked}],
                "batch_size": 4,
                "max_new_tokens": 2,
                "controls": ["other-video"],
            },
        }
    )  # fmt: skip
