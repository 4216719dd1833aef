"""The page of a run, put together from its sections."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from vlmkit._version import __version__
from vlmkit.evaluation import read_predictions
from vlmkit.files import write_atomic
from vlmkit.report.breakdown import by_type
from vlmkit.report.composition import composition
from vlmkit.report.gallery import galleries
from vlmkit.report.html import Html, el
from vlmkit.report.progress import progress, unfinished
from vlmkit.report.published import published
from vlmkit.report.reproduce import reproduce
from vlmkit.report.run import RunFiles, read_run
from vlmkit.report.scores import headline
from vlmkit.report.skipped import skipped
from vlmkit.run_folder import RunFolder

__all__ = ["page", "write_report"]

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""The page loads nothing and runs nothing, whatever the texts in it say."""


def write_report(run_folder: Path) -> Path:
    """Write `report.html` into a run folder, finished or not, and return its path.

    A RunError where the folder is no run, or holds a malformed file.
    """
    run = RunFolder(run_folder)
    with run.guarded():
        write_atomic(run.report, page(read_run(run.path)))
    return run.report


def page(run: RunFiles) -> str:
    """The whole document; it needs no other file and no network."""
    name = run.options["name"]
    style = Html(files("vlmkit.report").joinpath("page.css").read_text(encoding="utf-8"))
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("title", f"{name}: vlmkit report"),
        el("style", style),
    )
    body = el("body", _header(run), el("main", *_sections(run)))
    return f"<!DOCTYPE html>\n{el('html', head, body, lang='en')}\n"


def _header(run: RunFiles) -> Html:
    versions = list(dict.fromkeys(r["vlmkit_version"] for r in run.results.values() if "vlmkit_version" in r))
    same_day = run.started.date() == run.ended.date()
    until = f"{run.ended:%H:%M}" if same_day else f"{run.ended:%d %B %Y, %H:%M}"
    facts = [
        ("run", f"{run.started:%d %B %Y, %H:%M} to {until} UTC, by its files"),
        ("vlmkit", ", ".join(versions) or __version__),
        ("seed", str(run.options["seed"])),
        ("plugins", _plugins(run)),
    ]
    listed = [el("div", el("dt", term), el("dd", value)) for term, value in facts if value]
    title = [el("p", "vlmkit report", class_="kicker"), el("h1", run.options["name"])]
    return el("header", *title, el("dl", *listed), *_banner(run))


def _banner(run: RunFiles) -> list[Html]:
    missing = unfinished(run)
    lines = [el("p", "This run is not finished.", class_="strong"), *(el("p", line) for line in missing)]
    return [el("div", *lines, class_="banner")] if missing else []


def _plugins(run: RunFiles) -> str:
    """The plugins that were loaded, by package."""
    packages: dict[str, list[str]] = {}
    loaded = [(plugin["name"], plugin["package"]) for environment in run.environments
              for plugin in environment["plugins"] if plugin["state"] == "loaded"]  # fmt: skip
    for name, package in dict.fromkeys(loaded):
        packages.setdefault(package, []).append(name)
    return "; ".join(f"{', '.join(names)} ({package})" for package, names in packages.items())


def _sections(run: RunFiles) -> list[Html]:
    predictions = {name: read_predictions(run.folder, name) for name in run.results}
    answered = {name: answers for name, answers in predictions.items() if answers}
    videos = [_section("videos", "Test videos", *galleries(run, answered))] if answered else []
    return [
        _results(run),
        _section("model", "The model", composition(run)),
        _section("training", "Training", progress(run)),
        *videos,
        _section("skipped", "What was skipped", skipped(run, predictions)),
        _section("reproduce", "How to reproduce it", reproduce(run)),
    ]


def _section(anchor: str, title: str, *content: Html) -> Html:
    return el("section", el("h2", title), *content, id=anchor)


def _results(run: RunFiles) -> Html:
    if not run.results:
        missing = "No benchmark has a result yet." if run.planned_benchmarks else "This experiment measures nothing."
        return _section("results", "Results", el("p", missing))
    blocks = []
    for name, result in run.results.items():
        blocks += [el("h3", name), headline(result), by_type(result)]
        blocks += published(result)
    return _section("results", "Results", *blocks)
