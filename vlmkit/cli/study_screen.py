"""How far a study is, while it runs: one screen that is drawn again in place, or lines where there is no terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.segment import Segment
from rich.text import Text

from vlmkit.formatting import duration, figure, plural
from vlmkit.progress import on_terminal
from vlmkit.study.other_runs import told
from vlmkit.study.run_status import JobState, RunStatus
from vlmkit.study.study_status import StudyStatus, StudyWatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from vlmkit.study.rows import Study, StudyRun
    from vlmkit.study.running import StudyProgress
    from vlmkit.study.study_folder import StudyFolder

    Show = Callable[[StudyProgress], None]

__all__ = ["ProgressLines", "StudyScreen", "show_progress"]

_STYLES = {"done": "green", "failed": "bold red", "running": "cyan", "waiting": "dim", "not needed": "dim"}
_COUNTED: tuple[JobState, ...] = ("not needed", "waiting", "done")
"""States of which the runs are counted where there is not room for each, in this order."""
_LEAST = 3
"""Lines for runs, however low the terminal is."""
_WIDE = 100
"""Columns from which on the numbers of all runs stand one below the other."""
_SECONDS = 2.0
"""Between two looks at the records."""


@contextmanager
def show_progress(study: Study, folder: StudyFolder, runs: Sequence[StudyRun], slots: int) -> Iterator[Show]:
    """Show on stderr how far some runs of a study are, of which at most `slots` run at once.

    Yields what is to be called with the progress, again and again. On a terminal it draws a screen, of which the last
    state stays; elsewhere it prints lines.
    """
    if not on_terminal():
        yield ProgressLines(len(runs))
        return
    watch, console = StudyWatch(study, folder, runs, slots), Console(stderr=True)
    live = _LiveScreen(watch)
    try:
        with Live(get_renderable=live.screen, console=console, screen=True, refresh_per_second=2):
            yield live
    finally:
        if live.status is not None:
            console.print(StudyScreen(live.status))
            console.print(*told(live.unusable), sep="\n", highlight=False, markup=False)


class _LiveScreen:
    """Looks at the records every other second, and whenever runs begin or end."""

    def __init__(self, watch: StudyWatch) -> None:
        self.status: StudyStatus | None = None
        self.unusable: dict[str, str] = {}
        self._watch = watch
        self._looked = 0.0
        self._seen: tuple[int, ...] = ()

    def __call__(self, progress: StudyProgress) -> None:
        now = time.monotonic()
        seen = tuple(map(len, (progress.running, progress.ended, progress.failed, progress.not_needed)))
        if seen != self._seen or now - self._looked >= _SECONDS:
            self.status, self.unusable = self._watch.look(progress), progress.unusable
            self._looked, self._seen = time.monotonic(), seen

    def screen(self) -> StudyScreen | str:
        """Return what is to be drawn now."""
        return StudyScreen(self.status, fit=True) if self.status is not None else ""


class StudyScreen:
    """The status of a study for rich, as wide as the console.

    With `fit` it is not higher than the console either: of more runs than there is room for, those that wait are
    counted, then those that are done.
    """

    def __init__(self, status: StudyStatus, fit: bool = False) -> None:
        self.status, self.fit = status, fit

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines."""
        status, width = self.status, options.max_width
        title, *head = map(Text, _head(status))
        title.stylize("bold")
        ended = len(status.runs) - status.count("running") - status.count("waiting")
        bar = ProgressBar(total=max(1, len(status.runs)), completed=ended, width=min(width, 60))
        room = max(_LEAST, options.size.height - len(head) - 3) if self.fit else len(status.runs)
        rows = list(_rows(status, width, room))
        for line in [title, *head, Text(), *rows]:
            line.truncate(width, overflow="ellipsis")
        yield title
        yield bar
        yield Segment.line()
        yield from [*head, Text(), *rows]


def _head(status: StudyStatus) -> Iterator[str]:
    is_over = not status.count("running") + status.count("waiting")
    done = f"{status.count('done')} of {plural(len(status.runs), 'run')} done"
    yield f"{status.study}: {done}" + ("" if is_over else f", {_time_left(status)}")
    states: tuple[JobState, ...] = ("running", "waiting", "failed", "not needed")
    if counts := [f"{count} {state}" for state in states if (count := status.count(state))]:
        yield ", ".join(counts)
    yield (
        f"stages: {status.stages_trained} trained, {status.stages_taken} taken from other runs, {status.stages_left} "
        "to train"
    )
    if status.unusable:
        yield f"nothing is taken from {', '.join(status.unusable)}"


def _time_left(status: StudyStatus) -> str:
    if status.training_left is None:
        return "time left not known yet"
    if status.questions_left is None:
        return f"{duration(round(status.training_left))} of training left"
    return f"{duration(round(status.training_left + status.questions_left))} left"


def _rows(status: StudyStatus, width: int, room: int) -> Iterator[Text]:
    """Yield a line for each run, or for all in one state where there is not room for each: at most `room` lines."""
    runs, counted = list(status.runs), list[str]()
    for state in _COUNTED:
        if len(runs) + len(counted) > room and (count := status.count(state)) > 1:
            runs = [run for run in runs if run.state != state]
            counted.insert(0, f"{count} {state}")
    if (beyond := len(runs) + len(counted) - room) > 0:
        cut = min(len(runs), beyond + 1)
        runs = runs[:-cut]
        counted.insert(0, f"and {cut} more, running or failed")
    names = min(max((len(run.name) for run in runs), default=0), max(16, width // 3))
    states = max((len(run.state) for run in runs), default=0)
    stages = max((len(run.part.name) for run in runs if run.part is not None and width >= _WIDE), default=0)
    for run in runs:
        line = Text(f"{_shortened(run.name, names):<{names}}  ").append(f"{run.state:<{states}}  ", _STYLES[run.state])
        yield line.append(_detail(run, stages, width - len(line)))
    yield from (Text(line, "dim") for line in counted)


def _detail(run: RunStatus, stages: int, room: int) -> str:
    """Return what there is to say of a run; where there is not room for all of it, the most telling."""
    if run.state == "failed":
        return run.error
    said: list[tuple[str, int]] = []  # with its rank
    if run.state == "running" and run.part is None:
        said.append(("report", 0))
    if run.part is not None:
        part, left = run.part, run.part.seconds_left()
        steps = f"{part.step}" if part.steps is None else f"{part.step}/{part.steps}"
        said.append((f"{part.name:<{stages}} {steps:>9}", 0))
        if part.loss is not None:
            said.append((f"loss {part.loss:.3f}", 2))
        if left is not None:
            said.append((f"{duration(round(left))} left", 1))
    several = len({score.benchmark for score in run.scores}) > 1
    for one in run.scores:
        said.append((f"{f'{one.benchmark} ' * several}{one.metric} {figure(one.value, one.metric)}", 0))
    if run.taken_from:
        said.append((f"taken from {run.taken_from}", 3))
    elif run.stages_taken:
        sources = ", ".join(dict.fromkeys(run.stages_taken))
        said.append((f"{plural(len(run.stages_taken), 'stage')} taken from {sources}", 3))
    while len(said) > 1 and len("  ".join(text for text, _ in said)) > room:
        said.remove(max(said, key=lambda one: one[1]))
    return "  ".join(text for text, _ in said)


def _shortened(name: str, width: int) -> str:
    """Return a name that is cut in the middle: its seed stands at the end."""
    kept = width - 1
    return name if len(name) <= width else f"{name[: kept - kept // 2]}…{name[-(kept // 2) :]}"


class ProgressLines:
    """Says what has changed, in lines."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._said: set[str] = set()

    def __call__(self, progress: StudyProgress) -> None:
        """Print the lines that were not printed before."""
        if not self._said and progress.passed_over:
            self._say(f"{plural(len(progress.passed_over), 'run')} of {self.total} done before")
        for line in told(progress.unusable):
            self._say(line)
        for name in progress.running:
            taken, same = ", ".join(progress.stages_taken.get(name, ())), progress.runs_taken.get(name)
            having = f", with the stages {taken} of others" * bool(taken) + f", with the answers of {same}" * bool(same)
            self._say(f"{name}: started{having}")
        done = len(progress.passed_over)
        for number, name in enumerate(progress.ended, done + 1):
            self._say(f"{name}: done ({number} of {self.total})", name)
        for name in progress.failed:
            self._say(f"{name}: failed")

    def _say(self, line: str, key: str = "") -> None:
        if (key or line) not in self._said:
            self._said.add(key or line)
            print(line, file=sys.stderr, flush=True)
