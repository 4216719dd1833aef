"""A study that is killed again and again, with all of its runs, must end with the table of one that was left alone.

    python .ci/interrupted_study.py                       # specs/studies/moving-shapes-tiny.yaml, killed three times
    python .ci/interrupted_study.py STUDY --kills 5 --jobs 4 --output FOLDER

It also counts what was trained: each stage once, each run that is equal to another one never. A second study with the
same rows then takes all of it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import yaml

from vlmkit.study.rows import Study, load_study
from vlmkit.study.study_plan import plan_study

TABLES = ("table.json", "table.md", "table.tex", "table.csv")
SECONDS = 10
"""Between the start of a run and the kill, at most."""
VLMKIT = [sys.executable, "-m", "vlmkit"]


def main() -> None:
    """Run the study in three ways, and compare."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("study", nargs="?", type=Path, default=Path("specs/studies/moving-shapes-tiny.yaml"))
    words.add_argument("--kills", type=int, default=3)
    words.add_argument("--jobs", type=int, default=2)
    words.add_argument("--output", type=Path, help="a new folder, which is kept")
    given = words.parse_args()
    with tempfile.TemporaryDirectory(prefix="vlmkit-") as folder:
        place = given.output or Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        study = load_study(given.study)
        alone = place / "alone"
        finish(given.study, alone, given.jobs)
        count(study, alone)

        killed = place / "killed"
        begun = [max(1, len(study.runs) * number // (given.kills + 1)) for number in range(1, given.kills + 1)]
        interrupt(given.study, killed, given.jobs, begun)
        finish(given.study, killed, given.jobs)
        count(study, killed)
        compare(alone / study.spec.study, killed / study.spec.study)
        print(f"killed {given.kills} times: the same {', '.join(TABLES)}", flush=True)

        again = rename(given.study, place)
        finish(again, alone, given.jobs)
        compare(alone / study.spec.study, alone / load_study(again).spec.study, ["table.csv"])  # without its name


def finish(study: Path, output: Path, jobs: int) -> None:
    """Run a study to its end, and say how long that took."""
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command(study, output, jobs), stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"vlmkit ablate {study}: ended with {done.returncode}\n{done.stdout}")
    seconds, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{study} in {output.name}: {seconds:.0f} s, {cpu:.0f} s of CPU", flush=True)
    print("".join(f"  {line}\n" for line in done.stdout.splitlines() if not line.startswith("written: ")), end="")


def interrupt(study: Path, output: Path, jobs: int, begun: list[int]) -> None:
    """Begin a study several times, and each time kill it and its runs some seconds after so many runs have begun."""
    for wanted in begun:
        process = subprocess.Popen(command(study, output, jobs), stderr=subprocess.DEVNULL, start_new_session=True)
        while len(list(output.glob("*/*/spec.yaml"))) < wanted and process.poll() is None:
            time.sleep(0.1)
        time.sleep(random.uniform(0, SECONDS))  # noqa: S311 -- no secret
        if process.poll() is not None:
            sys.exit(f"the study ended with {process.returncode} before it could be killed")
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        specs, pages = (len(list(output.glob(f"*/*/{name}"))) for name in ("spec.yaml", "report.html"))
        print(f"killed: {specs} runs begun, {pages} of them ended", flush=True)


def command(study: Path, output: Path, jobs: int) -> list[str]:
    """Return the words of `vlmkit ablate`."""
    return [*VLMKIT, "ablate", str(study), "--output", str(output), "--jobs", str(jobs)]


def count(study: Study, output: Path) -> None:
    """Compare the runs that were made and the stages that were trained with those of the plan."""
    folder, plan = output / study.spec.study, plan_study(study)
    runs = len(list(folder.glob("*/model")))
    records = [json.loads(file.read_text()) for file in folder.glob("*/stages/*/stage.json")]
    trained = sum(record["taken_from"] is None for record in records)
    rows = len(study.rows) * len(study.spec.seeds)
    print(f"  {runs} runs for {rows} rows and seeds, {trained} stages trained for {plan.stages}", flush=True)
    if (runs, trained) != (len(study.runs), plan.stages_trained):
        sys.exit(f"expected {len(study.runs)} runs and {plan.stages_trained} stages that are trained")


def compare(one: Path, other: Path, tables: Sequence[str] = TABLES) -> None:
    """End with an error where the tables of two studies differ by a byte."""
    for table in tables:
        if (one / table).read_bytes() != (other / table).read_bytes():
            sys.exit(f"{one / table} and {other / table} differ")


def rename(study: Path, place: Path) -> Path:
    """Write the study under another name, and return its file."""
    content = yaml.safe_load(study.read_text(encoding="utf-8"))
    content["study"] += "-again"
    content["base"]["spec"] = str((study.parent / content["base"]["spec"]).resolve())
    file = place / f"{content['study']}.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return file


if __name__ == "__main__":
    main()
