"""The target of an evaluation: a spec file, a run or a saved model becomes a spec and the folder of a run."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from vlmkit.errors import RunError, SpecError
from vlmkit.evaluation.saved_model import spec_of_saved
from vlmkit.files import expand_path, is_file, is_folder
from vlmkit.run_folder import RunFolder
from vlmkit.spec.experiment import ExperimentSpec
from vlmkit.spec.loading import validate_spec
from vlmkit.spec.merge import apply, read_extended
from vlmkit.spec.spec_files import find_spec
from vlmkit.spec.tree import Placed, placed
from vlmkit.spec.yaml import read as read_yaml

__all__ = ["BenchmarkName", "EvalTarget", "eval_target"]

BenchmarkName = str | Mapping[str, Any]
"""A benchmark as a spec names it: by name, or a mapping with its options."""


class EvalTarget(NamedTuple):
    """An experiment with an `evaluation`, and where its results go."""

    spec: ExperimentSpec
    path: Path
    """The run folder, which need not be there yet."""


def eval_target(
    target: ExperimentSpec | str | Path,
    output: str | Path = "runs",
    benchmarks: Sequence[BenchmarkName] | None = None,
    options: Mapping[str, Any] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> EvalTarget:
    """Return what is to be measured, and on what.

    Args:
        target: a spec or its file; a run folder; the folder of a saved model, that of a run included.
        output: the folder that holds the run folders of specs and of saved models; a run's results go into it.
        benchmarks: they take the place of the spec's own. One of the spec's by its name keeps the spec's options.
        options: options of a benchmark (`limit`, `video_root`, …) for each of them.
        overrides: further values of the spec by dotted path.

    Raises:
        UserError: the target is none of these, its spec does not validate, or there is no benchmark.
    """
    if isinstance(target, ExperimentSpec):
        name, path = target.name, None
        if benchmarks is None and not options and not overrides:
            return EvalTarget(_with_evaluation(target, name), Path(output) / name)
        values = placed(target.model_dump(mode="json"), name)
    else:
        values, path = _read(expand_path(target), Path(output))
        name = str(target)
    if benchmarks is not None or options:
        uses = _benchmarks(values, benchmarks, options or {}, name)
        values = apply(values, "evaluation.benchmarks", uses)
    for dotted, value in (overrides or {}).items():
        values = apply(values, dotted, value)
    with RunFolder(path).naming_versions() if path else nullcontext():
        spec = validate_spec(values, name)
    spec = _with_evaluation(spec, name)
    return EvalTarget(spec, path or Path(output) / spec.name)


def _with_evaluation(spec: ExperimentSpec, name: str) -> ExperimentSpec:
    if spec.evaluation is None:
        raise SpecError(
            f"{name}: it has no `evaluation`, so there is nothing to measure; name a benchmark with --benchmark, e.g. "
            "--benchmark moving-shapes (`vlmkit benchmarks` lists them)"
        )
    return spec


def _read(path: Path, output: Path) -> tuple[Placed, Path | None]:
    """Return the spec of a target, and its run folder where that is known already."""
    if not is_folder(path):
        if not path.exists() and not path.suffix:
            raise SpecError(
                f"{path}: expected a spec file, a run folder or the folder of a saved model; there is nothing of this "
                f"name here ({Path.cwd()})"
            )
        return read_extended(find_spec(path)), None
    path = path.resolve() if path.name in ("", "..") else path  # `.` in the folder of a run's model
    inside = path.name == "model" and is_file(path.parent / "spec.yaml")
    saved = is_file(path / "config.json")  # an exported model has its spec beside it, for the record
    if inside or (is_file(path / "spec.yaml") and not saved):
        folder = RunFolder(path.parent if inside else path)
        folder.check()
        return read_yaml(folder.spec_file), folder.path
    if saved:
        model = path.resolve()
        values = {"vlmkit": 1, "name": _run_name(model, output), **spec_of_saved(model)}
        return placed(values, str(path / "config.json")), None
    if is_folder(path / "eval"):
        raise RunError(f"{path}: it holds answers, but no model to ask; `vlmkit judge {path}` judges and scores them")
    raise RunError(
        f"{path}: expected a spec file, a run folder (with spec.yaml) or the folder of a saved model (with "
        "config.json); found a folder with neither"
    )


def _run_name(model: Path, output: Path) -> str:
    """Return the name of the run for a saved model: that of its folder, as far as names of runs can have it."""
    said = model.parent.name if model.name == "model" else model.name
    name = re.sub(r"[^a-z0-9._-]+", "-", said.lower()).lstrip("._-") or "model"
    return f"{name}-eval" if (output / name).resolve() == model else name


def _benchmarks(
    values: Placed, named: Sequence[BenchmarkName] | None, options: Mapping[str, Any], target: str
) -> list[dict[str, Any]]:
    """Return the benchmarks with all their options, as a spec has them."""
    data = values.data
    evaluation = data.get("evaluation") if isinstance(data, dict) else None
    listed = evaluation.get("benchmarks") if isinstance(evaluation, dict) else None
    own = [_mapping(use) for use in (listed if isinstance(listed, list) else ())]
    known = {use.get("label") or use.get("name"): use for use in own}
    uses = own if named is None else [known.get(use, {"name": use}) if isinstance(use, str) else use for use in named]
    if not uses:
        raise SpecError(
            f"{target}: its spec names no benchmark; name one with --benchmark, e.g. --benchmark moving-shapes "
            "(`vlmkit benchmarks` lists them)"
        )
    return [{**use, **options} for use in uses]


def _mapping(use: object) -> dict[str, Any]:
    return dict(use) if isinstance(use, Mapping) else {"name": use}
