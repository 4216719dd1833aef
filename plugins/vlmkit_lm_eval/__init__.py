"""lm-eval with vlmkit's models and benchmarks: the model type `vlmkit`, for text tasks too, every entry of the registry
as a task, and the other way round lm-eval's text tasks as benchmarks of a run.

On the command line: `vlmkit lm-eval run --model vlmkit --model_args path=runs/quickstart/model --tasks moving-shapes`.
From Python: `vlmkit_lm_eval.register()`, then `lm_eval.simple_evaluate(model="vlmkit", model_args={"path": …}, …)`.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

from vlmkit import hookimpl
from vlmkit.api import HarnessSpec, UserError
from vlmkit_lm_eval.spec import LmEvalSpec, check_installed

__all__ = ["VLMKIT_API", "command", "register", "vlmkit_components"]

VLMKIT_API = 1


@hookimpl
def vlmkit_components() -> Sequence[type[HarnessSpec]]:
    """Return lm-eval as a harness: its text tasks as benchmarks of a run."""
    return [LmEvalSpec]


def register() -> None:
    """Make lm-eval know the model type `vlmkit` and every benchmark of vlmkit's registry, as a task of the same name.

    A UserError where lm-eval is not installed.
    """
    check_installed()
    import lm_eval.models  # noqa: F401 -- fills its registry, which lm-eval leaves alone once anything is in it
    from lm_eval.api.registry import model_registry
    from lm_eval.tasks._index import TaskIndex

    if "vlmkit" in model_registry:
        return
    model_registry.register("vlmkit", target="vlmkit_lm_eval.harness_model:HarnessModel")
    build = TaskIndex.build

    def build_with_benchmarks(*args: Any, **kwargs: Any) -> dict[str, Any]:
        return _with_benchmarks(build(*args, **kwargs))

    TaskIndex.build = staticmethod(build_with_benchmarks)


def _with_benchmarks(index: Mapping[str, Any]) -> dict[str, Any]:
    """Add the benchmarks to lm-eval's index of tasks, in which tasks of lm-eval and of the user keep their names."""
    from lm_eval.tasks._index import Entry, Kind

    from vlmkit.evaluation import benchmark_folders
    from vlmkit_lm_eval.benchmark_task import BenchmarkTask

    own = {
        name: Entry(name, Kind.PY_TASK, yaml_path=None, cfg={"task": name, "class": BenchmarkTask})
        for name in benchmark_folders()
    }
    for name in own.keys() & index.keys():
        logging.getLogger(f"lm_eval.{__name__}").warning("the task %r of lm-eval hides vlmkit's benchmark", name)
    return own | dict(index)


def command(arguments: Sequence[str]) -> None:
    """Run lm-eval's own command line with vlmkit's models and benchmarks, e.g. `vlmkit lm-eval run --help`."""
    register()
    from lm_eval.__main__ import cli_evaluate

    before = sys.argv
    sys.argv = ["lm-eval", *arguments]
    try:
        cli_evaluate()
    except Exception as error:
        if isinstance(error, UserError) or _is_of_vlmkit(error):
            raise
        raise UserError(f"lm-eval: {error or type(error).__name__}") from error
    finally:
        sys.argv = before


def _is_of_vlmkit(error: BaseException) -> bool:
    """Return True where the last of lm-eval's and vlmkit's functions that were called is one of vlmkit's."""
    modules = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
    packages = [module.partition(".")[0] for module in modules]
    return next(name for name in reversed(packages) if name.startswith(("vlmkit", "lm_eval"))) != "lm_eval"
