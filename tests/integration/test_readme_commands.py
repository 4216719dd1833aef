"""The way from the quickstart to a video, data and a benchmark of one's own, as README.md has it, is run."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from vlmkit.spec.loading import load_spec

FEW = {"language": 1, "align": 1, "together": 2}
"""Steps of the stages, in the place of hundreds."""
SMALL = [
    *(f"training.stages.{stage}.steps={steps}" for stage, steps in FEW.items()),
    *(f"training.stages.{stage}.data=[{{type: moving-shapes, clips: 8}}]" for stage in ("language", "align")),
    "evaluation.benchmarks=[{name: moving-shapes, dataset: {clips: 12}, limit: 6}]",
]


@pytest.fixture
def section(root: Path) -> str:
    text = (root / "README.md").read_text(encoding="utf-8")
    [found] = re.findall(r"^## After the quickstart\n(.*?)^## ", text, re.MULTILINE | re.DOTALL)
    return str(found)


@pytest.fixture
def here(root: Path, talker: Path, drawn_clips: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as a user has it: the run of the quickstart, a clip, and clips with conversations about them."""
    shutil.copytree(root / "specs", tmp_path / "specs")
    run = tmp_path / "runs" / "quickstart"
    run.mkdir(parents=True)
    shutil.copytree(talker, run / "model")
    shutil.copy(drawn_clips[0], tmp_path / "clip.mp4")
    (tmp_path / "videos").mkdir()
    for clip in drawn_clips:
        shutil.copy(clip, tmp_path / "videos" / clip.name)
    shutil.copy(
        drawn_clips[0], tmp_path / "videos" / "example.mp4"
    )  # what a new benchmark's example questions are about
    turns = [{"from": "human", "value": "<video>\nWhat is it?"}, {"from": "gpt", "value": "A circle."}]
    conversations = [{"id": str(n), "video": clip.name, "conversations": turns} for n, clip in enumerate(drawn_clips)]
    (tmp_path / "conversations.json").write_text(json.dumps(conversations))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def commands(section: str, title: str) -> list[list[str]]:
    """The commands below a bold title, as words."""
    part = section.partition(f"**{title}")[2].partition("\n**")[0]
    return [shlex.split(line, comments=True)[1:] for line in re.findall(r"^ {4}(vlmkit .*)$", part, re.MULTILINE)]


def call(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "vlmkit", *words], input="", capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, f"{words}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_a_video_of_ones_own(section: str, here: Path) -> None:
    ask, frames, chat = commands(section, "Your own video")
    assert call(*ask).strip()
    assert json.loads(call(*frames))["video"] == "clip.mp4"
    assert Image.open(here / "seen.png").width > 100
    call(*chat)


def test_data_of_ones_own(section: str, here: Path) -> None:
    [name, text] = re.search(r"^ {4}# (\S+\.yaml)\n((?: {4}.*\n){3})", section, re.MULTILINE).groups()  # type: ignore[union-attr]
    (here / name).write_text("\n".join(line[4:] for line in text.splitlines()))
    data = load_spec(here / name).training.stages[-1].data  # type: ignore[union-attr]
    assert [one.type for one in data] == ["llava-json"]
    check, run = commands(section, "Your own data")
    assert "parameters" in call(*check)
    call(*run, *(word for change in SMALL for word in ("--set", change)))
    assert (here / "runs" / "mine" / "report.html").is_file()
    assert (here / "runs" / "mine" / "model" / "config.json").is_file()


def test_a_benchmark_of_ones_own(section: str, here: Path) -> None:
    shutil.copytree(here / "runs" / "quickstart" / "model", here / "saved")
    shutil.rmtree(here / "runs" / "quickstart")
    shutil.move(
        here / "saved", here / "runs" / "quickstart"
    )  # a saved model stands for the run, whose spec is not there
    new, check, evaluate = commands(section, "Your own benchmark")
    call(*new)
    assert "2" in call(*check)
    assert "crossing accuracy" in call(*evaluate)


def test_what_is_for_others_names_commands_that_there_are(section: str) -> None:
    named = [words[0] for words in commands(section, "For others")]
    assert named == ["demo", "serve", "export", "verify"]
    listed = call("--help")
    assert all(name in listed for name in named)
