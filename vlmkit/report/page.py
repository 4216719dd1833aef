"""The page of a run: one HTML file that needs no other file and no network, rendered from `templates/page.html`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from vlmkit import formatting
from vlmkit._version import __version__
from vlmkit.errors import DataError, SpecError
from vlmkit.evaluation import PreparedBenchmark, PreparedTask, ScoredAnswer, read_scored
from vlmkit.files import write_atomic
from vlmkit.report.gallery import galleries
from vlmkit.report.loss_curves import POINTS, stage_curves
from vlmkit.report.results import benchmark_section, interval, lost, lost_interval, score
from vlmkit.report.run_files import RunFiles, read_run
from vlmkit.run_folder import RunFolder
from vlmkit.spec.loading import sha256

__all__ = ["LISTED", "page_templates", "render_page", "write_report"]

LISTED = 50
"""Most samples listed one by one."""


def write_report(run_folder: Path, prepared: Sequence[PreparedBenchmark | PreparedTask] = ()) -> Path:
    """Write `report.html` into a run folder, finished or not, and return its path.

    Args:
        run_folder: the run.
        prepared: benchmarks of its spec that are prepared already; others are prepared here.

    Raises:
        RunError: the folder is no run, or holds a malformed file.
    """
    run = RunFolder(run_folder)
    with run.guarded():
        write_atomic(run.report, render_page(read_run(run.path), prepared))
    return run.report


def render_page(run: RunFiles, prepared: Sequence[PreparedBenchmark | PreparedTask] = ()) -> str:
    """The whole document."""
    versions = dict.fromkeys(result.vlmkit_version for result in run.results.values() if result.vlmkit_version)
    more = run.experiment.evaluation.benchmarks_path if run.experiment and run.experiment.evaluation else []
    answers, untold = _answers(run, more)
    unscored = [(name, answer) for name, rows in answers.items() for answer in rows if answer.outcome == "unscored"]
    template = page_templates().get_template("page.html")
    return template.render(
        run=run,
        versions=list(versions) or [__version__],
        plugins=_loaded_plugins(run),
        sha256=sha256(run.experiment) if run.experiment else "",
        results=[benchmark_section(name, result, more) for name, result in run.results.items()],
        curves=[stage_curves(name, lines) for name, lines in run.logs.items() if lines],
        galleries=galleries(run, answers, [one for one in prepared if isinstance(one, PreparedBenchmark)]),
        unscored=unscored,
        untold=untold,
        places=Counter(sample.where for sample in run.bad),
        points=POINTS,
        listed=LISTED,
    )


def _answers(run: RunFiles, more: Sequence[str]) -> tuple[dict[str, list[ScoredAnswer]], dict[str, str]]:
    """Return the answers of each result; where they cannot be told, e.g. of a benchmark that is gone, why."""
    answers, untold = {}, {}
    for name, result in run.results.items():
        if result.harness is not None:  # its samples are none of our questions
            continue
        try:
            answers[name] = read_scored(RunFolder(run.folder).evaluation(name), more=more)
        except (DataError, SpecError) as error:  # of the registry; a damaged run is a RunError
            untold[name] = str(error)
    return answers, untold


def page_templates() -> Environment:
    """The templates of the page: every text is escaped, a missing name is an error, None is a dash."""
    templates = Environment(
        loader=PackageLoader("vlmkit.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=lambda value: formatting.EN_DASH if value is None else value,
    )
    filters = {name: getattr(formatting, name) for name in ("count", "duration", "figure", "large", "plural")}
    filters |= {
        "score": score,
        "interval": interval,
        "lost": lost,
        "lost_interval": lost_interval,
        "millions": lambda number: f"{number:g} M",
    }
    templates.filters |= {name: _unless_none(function) for name, function in filters.items()}
    return templates


def _unless_none(function: Callable[..., str]) -> Callable[..., str | None]:
    return lambda value, *options: None if value is None else function(value, *options)


def _loaded_plugins(run: RunFiles) -> dict[str, list[str]]:
    """The names of the plugins that were loaded, by package."""
    packages: dict[str, list[str]] = defaultdict(list)
    for plugin in (plugin for environment in run.environments for plugin in environment["plugins"]):
        if plugin["state"] == "loaded" and plugin["name"] not in packages[plugin["package"]]:
            packages[plugin["package"]].append(plugin["name"])
    return packages
