"""All benchmarks of an experiment, on the model of its run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vlmkit.errors import SpecError
from vlmkit.evaluation.announce import announce, expect_listeners
from vlmkit.evaluation.inquiry import Inquiry
from vlmkit.evaluation.model_files import model_sha256
from vlmkit.evaluation.result import read_result
from vlmkit.evaluation.selection import prepare
from vlmkit.json_files import is_present
from vlmkit.run_folder import RunFolder
from vlmkit.spec.experiment import ExperimentSpec
from vlmkit.spec.loading import sha256

__all__ = ["evaluate"]


def evaluate(spec: ExperimentSpec, run: RunFolder) -> dict[str, dict[str, Any]]:
    """Measure the run's model on each benchmark of the spec. Called again, it asks only what has no answer yet.

    Args:
        spec: the experiment, with an `evaluation`.
        run: its run folder; answers, verdicts and results go to `eval/BENCHMARK/`. `run.model` is loaded, or, where
            the spec trains nothing, the model is composed, once it is needed.

    Returns:
        What each `result.json` holds, by the name of the result.

    Raises:
        UserError: benchmark, split, annotations or videos are missing or changed, too many videos are unreadable, or
            another process works on the run.
    """
    if spec.evaluation is None:
        raise SpecError(f"{spec.name}: this spec has no `evaluation`, so there is nothing to measure")
    selections = prepare(spec)
    from vlmkit.evaluation.measure import measure
    from vlmkit.evaluation.respond import responder
    from vlmkit.model.config import refuse_code

    respond = responder(lambda: _load(spec, run))
    results = {}
    with run.locked():
        refuse_code(run.model)
        run.check_model(spec)  # a damaged one must not take the place of a result that stands
        digest = model_sha256(spec, run)
        for selection in selections:
            inquiry = Inquiry.of(selection, spec, digest)
            folder = run.evaluation(selection.name)
            result = _finished(folder / "result.json", sha256(spec), inquiry)
            if result is None:
                expect_listeners(folder)
                result = measure(inquiry, spec, run, respond)
            announce(folder, run=run.path, benchmark=selection.name, result=result)
            results[selection.name] = result
    return results


def _finished(path: Path, spec_sha256: str, inquiry: Inquiry) -> dict[str, Any] | None:
    """The result of the same spec and the same inquiry, unless some questions are to be asked or judged again."""
    if not is_present(path):
        return None
    result = read_result(path)
    same = {"spec_sha256": spec_sha256, **inquiry.described()}
    parts = (result, result.get("blind") or {})
    again = any(part.get(lost) for part in parts for lost in ("skipped", "unscored"))
    return None if again or any(result.get(key) != value for key, value in same.items()) else result


def _load(spec: ExperimentSpec, run: RunFolder) -> tuple[Any, Any]:
    """The model that the run has trained; of a spec without training, the composed one."""
    import torch

    from vlmkit.model import compose, load
    from vlmkit.model.pretrained import without_progress_bars

    trained = spec.training is not None or run.model.is_dir()
    with without_progress_bars():
        model, processor = load(run.model) if trained else compose(spec.model, seed=spec.seed, reader=spec.data.reader)
    return model.to("cuda" if torch.cuda.is_available() else "cpu"), processor
