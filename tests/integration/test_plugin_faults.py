"""Plugins at fault, as packages of their own, at the command line: one message that names component and package."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from importlib import invalidate_caches
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from vlmkit.cli import main
from vlmkit.errors import DataError
from vlmkit.registry import registry

SPEC = """\
vlmkit: 1
name: tiny
model:
  aligner: {type: ALIGNER, width: 16, patch: 8, heads: 2, input: {frames: 4, sampling: uniform, size: 32, multiple: 16}}
  backbone:
    type: hf-causal-lm
    init: random
    config: {model_type: llama, hidden_size: 16, intermediate_size: 32, num_hidden_layers: 1, num_attention_heads: 2}
    tokenizer: {text: [which colour is the shape], vocab_size: 270}
data: {reader: READER, max_bad_fraction: 0}
training:
  workers: WORKERS
  distillation: {teacher: {type: TEACHER, patch: 8, input: {size: 32, multiple: 16}}, layer_rate: 1, heads: 2}
  stages:
    - name: words
      data: [DATASET]
      train: {aligner: 1e-3, backbone: 1e-3, distillation: 1e-3}
      batch_size: 2
      steps: 1
evaluation:
  benchmarks: [{name: moving-shapes, dataset: {clips: 6, size: 32, root: shapes}, limit: 2}]
  judge: JUDGE
"""
USUAL = {
    "ALIGNER": "stab",
    "READER": "decord",
    "TEACHER": "hog",
    "DATASET": "{type: moving-shapes, clips: 6, size: 32, root: shapes}",
    "WORKERS": "0",
    "JUDGE": "exact",
}
PLUGIN = """
import os
from typing import Literal
from pydantic import field_validator
from vlmkit import hookimpl
from vlmkit.api import Dataset, DatasetSpec, Judge, JudgeSpec, Sample, Turn, Verdict
from vlmkit_stab.spec import StabSpec
from vlmkit_readers.spec import DecordSpec
from vlmkit_teachers.spec import HogSpec
from vlmkit_judges._module import ExactJudge
from vlmkit_pooling.spec import AvgPoolSpec

VLMKIT_API = 1

FAULT

@hookimpl
def vlmkit_components():
    return [value for value in list(globals().values()) if isinstance(value, type) and value.__module__ == __name__
            and hasattr(value, "component_name")]
"""


class Outcome(NamedTuple):
    code: object
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Install a package `odd 1.2` with one plugin of this code, and call the command line on the spec with these
    components."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VLMKIT_DEBUG", "")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("VLMKIT_PLUGINS", raising=False)
    site = tmp_path / "site"
    monkeypatch.syspath_prepend(site)

    def run(fault: str, *command: str, version: str = "1.2", **components: str) -> Outcome:
        for old in site.glob("*.dist-info"):
            shutil.rmtree(old)
        info = site / f"odd-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: odd\nVersion: {version}\n")
        (info / "entry_points.txt").write_text("[vlmkit]\nodd = odd_plugin\n")
        (site / "odd_plugin.py").write_text(PLUGIN.replace("FAULT", fault))
        monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path / "nowhere"))
        monkeypatch.delitem(sys.modules, "odd_plugin", raising=False)
        text = SPEC
        for key, value in (USUAL | components).items():
            text = text.replace(key, value)
        Path("tiny.yaml").write_text(text)
        registry.cache_clear()
        invalidate_caches()  # the folder may have been looked for before it was there
        monkeypatch.setattr(sys, "argv", ["vlmkit", *command, *(["tiny.yaml"] if command[0] != "report" else [])])
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
        with pytest.raises(SystemExit) as ended:
            main()
        return Outcome(ended.value.code or 0, *capsys.readouterr())

    yield run
    registry.cache_clear()


DATA = """
class Odd(Dataset):
    def __len__(self): return LENGTH
    def sample(self, index): return SAMPLE
    def fingerprint(self): return PRINT

class OddSpec(DatasetSpec):
    type: Literal["odd"] = "odd"
    def build(self):
        BUILD
"""


def _data(length: str = "4", sample: str = "None", print_: str = "'1'", build: str = "return Odd()") -> str:
    filled = DATA.replace("LENGTH", length).replace("SAMPLE", sample)
    return filled.replace("PRINT", print_).replace("BUILD", build)


ALIGNER = """
class OddSpec(StabSpec):
    type: Literal["odd"] = "odd"
    BODY
"""
FORWARD = """def build(self, llm_width):
        module = super().build(llm_width)
        class Odd(type(module)):
            def forward(self, video):
                tokens = super().forward(video)
                BODY
        module.__class__ = Odd
        return module
"""
AT_CHECK: dict[str, tuple[str, dict[str, str], str]] = {
    "a validator that raises KeyError": (
        "class OddSpec(StabSpec):\n    type: Literal['odd'] = 'odd'\n"
        "    @field_validator('width')\n    def look(cls, value): return {}['rows']\n",
        {"ALIGNER": "odd"},
        "tiny.yaml:4: model.aligner: aligner 'odd' (odd 1.2): looking at its options raised KeyError: 'rows'; ",
    ),
    "a validator that leaves": (
        "class OddSpec(StabSpec):\n    type: Literal['odd'] = 'odd'\n"
        "    @field_validator('width')\n    def look(cls, value): raise SystemExit\n",
        {"ALIGNER": "odd"},
        "aligner 'odd' (odd 1.2): looking at its options raised SystemExit; ",
    ),
    "an option that cannot be written": (
        "class OddSpec(AvgPoolSpec):\n    type: Literal['odd'] = 'odd'\n    x: object = object()\n",
        {"ALIGNER": "stab, downsampler: odd"},
        "downsampler 'odd' (odd 1.2): writing its options as JSON raised PydanticSerializationError: Unable to ",
    ),
    "a build that changes its options": (
        ALIGNER.replace("BODY", "def build(self, llm_width): self.width = 3"),
        {"ALIGNER": "odd"},
        "aligner 'odd' (odd 1.2): build(16) raised ValidationError: 1 validation error for OddSpec",
    ),
    "a layout that raises": (
        ALIGNER.replace("BODY", "def layout(self, video): return {}['rows']"),
        {"ALIGNER": "odd"},
        "model.aligner: aligner 'odd' (odd 1.2): layout raised KeyError: 'rows'; ",
    ),
    "a layout that is none": (
        ALIGNER.replace("BODY", "def layout(self, video): pass"),
        {"ALIGNER": "odd"},
        "model.aligner: aligner 'odd' (odd 1.2): layout gives None (is a `return` missing?), expected a vlmkit.api.Tok",
    ),
    "a build that forgets to return": (
        ALIGNER.replace("BODY", "def build(self, llm_width): super().build(llm_width)"),
        {"ALIGNER": "odd"},
        "aligner 'odd' (odd 1.2): build(16) gives None (is a `return` missing?), expected a vlmkit.api.Aligner; ",
    ),
    "tokens that are fewer than its layout says": (
        ALIGNER.replace("BODY", FORWARD.replace("BODY", "tokens.embeddings = tokens.embeddings[:, 1:]; return tokens")),
        {"ALIGNER": "odd"},
        "aligner 'odd' (odd 1.2): forward gives embeddings of the shape ",
    ),
    "a forward that raises": (
        ALIGNER.replace("BODY", FORWARD.replace("BODY", "raise IndexError('no such frame')")),
        {"ALIGNER": "odd"},
        "aligner 'odd' (odd 1.2): forward raised IndexError: no such frame; ",
    ),
    "a downsampler with a row fewer than its grid": (
        "class OddSpec(AvgPoolSpec):\n    type: Literal['odd'] = 'odd'\n"
        "    def grid(self, height, width): return height // 2, width // 2\n"
        "    def build(self, width):\n        module = super().build(width)\n"
        "        class Odd(type(module)):\n            def forward(self, x): return x[:, 2::2, ::2]\n"
        "        module.__class__ = Odd\n        return module\n",
        {"ALIGNER": "stab, downsampler: {type: odd, window: 2}"},
        "downsampler 'odd' (odd 1.2): forward gives of the shape (20, 1, 2, 16), expected (20, 2, 2, 16), as its grid",
    ),
    "a teacher of another width": (
        "class OddSpec(HogSpec):\n    type: Literal['odd'] = 'odd'\n"
        "    @property\n    def width(self): return 18\n",
        {"TEACHER": "odd"},
        "teacher 'odd' (odd 1.2): forward gives of the shape (1, 4, 4, 4, 16), expected (1, 4, 4, 4, 18), as its grid",
    ),
    "a width that is none": (
        "class OddSpec(HogSpec):\n    type: Literal['odd'] = 'odd'\n"
        "    @property\n    def width(self): return None\n",
        {"TEACHER": "odd"},
        "teacher 'odd' (odd 1.2): width gives None, expected a whole number of at least 1",
    ),
}  # fmt: skip
AT_TRAIN: dict[str, tuple[str, dict[str, str], str]] = {
    "a dataset that raises when it is built": (
        _data(build="return {}['rows']"),
        {"DATASET": "odd"},
        "dataset 'odd' (odd 1.2): build raised KeyError: 'rows'; ",
    ),
    "a ValueError of a dataset": (
        _data(build="return int('x')"),
        {"DATASET": "odd"},
        "dataset 'odd' (odd 1.2): build raised ValueError: invalid literal",
    ),
    "a sample that raises": (
        _data(sample="{'title': 1}['caption']"),
        {"DATASET": "odd"},
        "): raised KeyError: 'caption'; ".replace("): ", ") "),
    ),
    "a sample that is none": (_data(), {"DATASET": "odd"}, ") gives None (is a `return` missing?), expected a vlmkit."),
    "an id that is a number": (
        _data(sample="Sample(index, (Turn('q', 'a'),))"),
        {"DATASET": "odd"},
        ") gives an id that is a int, expected text",
    ),
    "a length below zero": (_data(length="-1"), {"DATASET": "odd"}, "dataset 'odd' (odd 1.2): the length gives -1"),
    "a fingerprint that is none": (
        _data(sample="Sample(str(index), (Turn('q', 'a'),))", print_="None"),
        {"DATASET": "odd"},
        "dataset 'odd' (odd 1.2): fingerprint gives something that is None",
    ),
    "a dataset that no worker can be given": (
        _data(build="data = Odd(); data.rows = lambda: 1; return data"),
        {"DATASET": "odd", "WORKERS": "1"},
        "dataset 'odd' (odd 1.2): being pickled for a worker process (training.workers) raised ",
    ),
    "a reader that gives frames of another size": (
        "class OddSpec(DecordSpec):\n    type: Literal['odd'] = 'odd'\n"
        "    def build(self):\n        reader = super().build()\n"
        "        class Odd(type(reader)):\n            def open(self, source):\n"
        "                video = super().open(source); video.width += 2; return video\n"
        "        reader.__class__ = Odd\n        return reader\n",
        {"READER": "odd"},
        "(4, 32, 32, 3), expected uint8 of (4, 32, 34, 3): the frames that were asked for",
    ),
    "a reader that raises": (
        "class OddSpec(DecordSpec):\n    type: Literal['odd'] = 'odd'\n"
        "    def build(self):\n        reader = super().build()\n"
        "        class Odd(type(reader)):\n            def open(self, source): raise RuntimeError('no decoder')\n"
        "        reader.__class__ = Odd\n        return reader\n",
        {"READER": "odd"},
        "reader 'odd' (odd 1.2): open('shapes/",
    ),
    "a judge that cannot be built": (
        "class OddSpec(JudgeSpec):\n    type: Literal['odd'] = 'odd'\n"
        "    def build(self): return os.environ['NO_SUCH_KEY']\n",
        {"JUDGE": "odd"},
        "judge 'odd' (odd 1.2): build raised KeyError: 'NO_SUCH_KEY'; ",
    ),
}  # fmt: skip


def _refused(outcome: Outcome, said: str) -> None:
    assert outcome.code == 2, outcome
    assert "Traceback" not in outcome.err
    assert said in outcome.err


@pytest.mark.parametrize(("code", "components", "said"), AT_CHECK.values(), ids=AT_CHECK)
def test_what_check_finds(run: Run, code: str, components: dict[str, str], said: str) -> None:
    _refused(run(code, "check", **components), said)


@pytest.mark.parametrize(("code", "components", "said"), AT_TRAIN.values(), ids=AT_TRAIN)
def test_what_a_run_finds(run: Run, code: str, components: dict[str, str], said: str, quick: None) -> None:
    _refused(run(code, "run", **components), said)


JUDGE = """
class OddJudge(ExactJudge):
    version = "1"

class OddSpec(JudgeSpec):
    type: Literal["odd"] = "odd"
    def build(self): return OddJudge()
"""
OBSERVER = """
from vlmkit.api import Observer, ObserverSpec

class Tracker(Observer):
    def stage_started(self, stage, options):
        raise ConnectionError("tracker.example.org cannot be reached")
    def evaluated(self, benchmark, metrics, result):
        print("heard of", benchmark, sorted(metrics)[:3])

class Teller(Observer):
    def __init__(self, run): self.file = run.parent / "told.txt"

def telling(event):
    def told(self, **about):
        with self.file.open("a") as file: file.write(event + chr(10))
    return told

for event in [name for name in vars(Observer) if name.endswith("ed")]:
    setattr(Teller, event, telling(event))

class OddSpec(ObserverSpec):
    type: Literal["odd"] = "odd"
    fails: bool = True
    def build(self, run): return Tracker() if self.fails else Teller(run)
"""


def test_observers_that_fail_end_nothing(run: Run, quick: None) -> None:
    observed = {"name: tiny": "name: tiny\nobservers: [odd, {type: odd, fails: false}, {type: csv, every: 5}]"}
    done = run(OBSERVER, "run", **observed)
    assert done.code == 0
    assert done.err.count("warning: observer 'odd' (odd 1.2): stage_started raised ConnectionError: tracker.exam") == 1
    assert json.loads(Path("runs/tiny/eval/moving-shapes/untold.json").read_text())["plugins"] == ["odd"]
    table = Path("runs/tiny/metrics.csv").read_text()
    assert "\nwords,,1,language_loss," in table
    assert "\n,moving-shapes,,accuracy/low," in table
    events = [
        "run_started",
        "stage_started",
        "step_ended",
        "stage_ended",
        "evaluation_started",
        "evaluated",
        "run_ended",
    ]
    assert Path("runs/told.txt").read_text().split() == events
    again = run(OBSERVER, "eval", **observed)
    assert "heard of moving-shapes ['accuracy', 'accuracy/high', 'accuracy/low']" in again.out
    assert Path("runs/told.txt").read_text().split() == [*events, "run_started", "run_ended"]
    assert not Path("runs/tiny/eval/moving-shapes/untold.json").exists()
    first = Path("runs/tiny/eval/moving-shapes/result.json").read_text()
    assert run("", "eval").code == 0  # without them nothing is asked or judged again
    assert Path("runs/tiny/eval/moving-shapes/result.json").read_text() == first


def test_observers_hear_of_what_fails(run: Run, quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*args: object, **kwargs: object) -> None:
        raise DataError("it is gone")

    observed = {"name: tiny": "name: tiny\nobservers: [{type: odd, fails: false}]"}
    with monkeypatch.context() as patch:
        patch.setattr("vlmkit.training.stages.measure_stage", failing)
        assert "vlmkit: it is gone" in run(OBSERVER, "run", **observed).err
    told = Path("runs/told.txt").read_text().split()
    assert told == ["run_started", "stage_started", "step_ended", "stage_failed", "run_failed"]
    Path("runs/told.txt").unlink()
    monkeypatch.setattr("vlmkit.evaluation.evaluate.score_controls", failing)
    assert "vlmkit: it is gone" in run(OBSERVER, "run", **observed).err
    assert Path("runs/told.txt").read_text().split()[-3:] == ["evaluation_started", "evaluation_failed", "run_failed"]


def test_a_judge_that_is_gone(run: Run, quick: None) -> None:
    assert run(JUDGE, "run", JUDGE="odd").code == 0
    assert "judge odd 1 (odd 1.2)" in Path("runs/tiny/report.html").read_text()
    page = run("", "report", "runs/tiny")
    assert page.code == 0
    assert "no installed plugin offers judge" in Path("runs/tiny/report.html").read_text()
    judged = run("", "eval")
    assert judged.code == 0
    assert "judge exact" in judged.out


def test_another_version_of_a_plugin(run: Run, quick: None) -> None:
    aligner = ALIGNER.replace("BODY", "pass")
    assert run(aligner, "run", ALIGNER="odd").code == 0
    first = json.loads(Path("runs/tiny/eval/moving-shapes/result.json").read_text())
    assert first["components"]["aligner/odd"] == "odd 1.2"
    with pytest.warns(UserWarning, match=r"made with aligner 'odd' of odd 1\.2, here of odd 1\.3: its weights"):
        assert run(aligner, "eval", ALIGNER="odd", version="1.3").code == 0
    again = json.loads(Path("runs/tiny/eval/moving-shapes/result.json").read_text())
    assert again["components"]["aligner/odd"] == "odd 1.3"
    assert again["asked"] != first["asked"]
    Path("runs/tiny/model").rename("model")
    said = "begun with aligner 'odd' of odd 1.2, here of odd 1.4, which may compute something else; to go on, install "
    _refused(run(aligner, "train", ALIGNER="odd", version="1.4"), said)
