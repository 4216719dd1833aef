"""The plugins that CONTRIBUTING.md writes out are such."""

from __future__ import annotations

import ast
import re
import shutil
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vlmkit.api import DataError, Document, JudgeRequest, Reading, Unscored, VideoInput
from vlmkit.benchmarks.annotations import read_documents
from vlmkit.benchmarks.benchmark_check import check_benchmark
from vlmkit.benchmarks.entries import find_benchmark
from vlmkit.benchmarks.locating import annotation_files
from vlmkit.benchmarks.protocols import build_rules
from vlmkit.registry import KINDS, registry
from vlmkit.spec.evaluation import BenchmarkUse
from vlmkit.testing import checks

PLUGINS = ("both_ends", "contains", "halve", "last_letter", "patch_tokens", "question_table", "traffic", "word_recall")
_TITLE = re.compile(r" {8}# ((?:\w+/)*\w+\.(?:py|yaml|jsonl))")
"""The first line of a block of code names its file."""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Iterator[Path]:
    """The files of the text, as a distribution."""
    site = tmp_path_factory.mktemp("site")
    for name, text in _files((root / "CONTRIBUTING.md").read_text(encoding="utf-8")).items():
        (site / name).parent.mkdir(exist_ok=True, parents=True)
        (site / name).write_text(text, encoding="utf-8")
    hook = (site / "halve/__init__.py").read_text(encoding="utf-8")
    hook = hook.replace("halve", "patch_tokens").replace("HalveSpec", "PatchTokensSpec")
    (site / "patch_tokens/__init__.py").write_text(hook, encoding="utf-8")
    (site / "mine/crossing/README.md").touch()
    info = site / "examples-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: examples\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[vlmkit]\n" + "".join(f"{name} = {name}\n" for name in PLUGINS))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(site)
        registry.cache_clear()
        yield site
    registry.cache_clear()
    for module in [name for name in sys.modules if name.partition(".")[0] in PLUGINS]:
        del sys.modules[module]


def _files(text: str) -> dict[str, str]:
    """The indented blocks by the name of their file."""
    blocks: dict[str, list[str]] = {}
    name = None
    for line in text.splitlines():
        if match := _TITLE.fullmatch(line):
            name = match[1]
            blocks[name] = []
        elif line and not line.startswith(" " * 8):
            name = None
        elif name is not None:
            blocks[name].append(line)
    return {name: textwrap.dedent("\n".join(lines)).strip() + "\n" for name, lines in blocks.items()}


def _spec(kind: str, name: str, **options: Any) -> Any:
    spec = registry().get(kind, name).spec
    assert issubclass(spec, KINDS[kind])
    return spec.model_validate({"type": name, **options})


def test_they_are_registered_and_their_lines_are_not_too_long(installed: Path) -> None:
    plugins = {plugin.name: plugin for plugin in registry().plugins}
    assert {plugins[name].state for name in PLUGINS} == {"loaded"}
    assert registry().get("downsampler", "halve").plugin.package == "examples 1"
    files = sorted(installed.rglob("*.py"))
    assert len(files) == 12
    for file in files:
        assert ast.get_docstring(ast.parse(file.read_text()))
        assert max(map(len, file.read_text().splitlines())) <= 120


@pytest.mark.parametrize("reduce", ["mean", "max"])
@pytest.mark.parametrize("check", checks("downsampler"), ids=lambda check: check.__name__)
@pytest.mark.usefixtures("installed")
def test_the_downsampler_passes_the_kit(check, reduce: str) -> None:
    check(_spec("downsampler", "halve", reduce=reduce))


@pytest.mark.parametrize("downsampler", ["none", "halve"])
@pytest.mark.parametrize("check", checks("aligner"), ids=lambda check: check.__name__)
@pytest.mark.usefixtures("installed")
def test_the_aligner_passes_the_kit(check, downsampler: str) -> None:
    tiny = registry().get("aligner", "patch-tokens").spec.tiny().model_dump()
    tiny["input"]["multiple"] *= 2
    check(_spec("aligner", "patch-tokens", **tiny | {"downsampler": downsampler}))


OTHERS = [
    ("dataset", "question-table"),
    ("evaluator", "word-recall"),
    ("extractor", "last-letter"),
    ("judge", "contains"),
    ("sampler", "both-ends"),
]


@pytest.mark.parametrize(("kind", "name"), OTHERS)
@pytest.mark.usefixtures("installed")
def test_the_others_pass_the_kit(kind: str, name: str) -> None:
    for check in checks(kind):
        check(registry().get(kind, name).spec.tiny())


@pytest.mark.usefixtures("installed")
def test_the_sampler_looks_at_both_ends() -> None:
    video = VideoInput.model_validate({"frames": 5, "sampling": {"type": "both-ends", "step": 1}})
    assert video.sampler.build().positions(250, 25.0, None, video.frames) == [0, 25, 50, 224, 249]
    assert video.sampler.build().positions(3, 25.0, None, video.frames) == [0, 2]
    assert _spec("sampler", "both-ends").build().positions(4, 0.0, None, 8) == [0, 1, 2, 3]


@pytest.mark.usefixtures("installed")
def test_the_dataset_reads_a_table(tmp_path: Path) -> None:
    file = tmp_path / "questions.tsv"
    file.write_text("a.mp4\tWhich way?\tleft\nb.mp4\tHow many?\ttwo\n")
    data = _spec("dataset", "question-table", path=file).build()
    assert [(sample.video, sample.turns) for sample in data] == [
        (str(tmp_path / "a.mp4"), (("<video>\nWhich way?", "left"),)),
        (str(tmp_path / "b.mp4"), (("<video>\nHow many?", "two"),)),
    ]
    before = data.fingerprint()
    file.write_text("a.mp4\tWhich way?\n")
    with pytest.raises(DataError, match=r"questions\.tsv, line 1: expected video, question and answer, found"):
        _spec("dataset", "question-table", path=file).build()
    file.write_text("a.mp4\tWhich way?\tright\n")
    assert _spec("dataset", "question-table", path=file).build().fingerprint() != before


@pytest.mark.usefixtures("installed")
def test_the_extractor_reads_the_last_letter() -> None:
    extractor = _spec("extractor", "last-letter").build()
    document = Document("q", "v", "Which way?", "left", options=("left", "right"), correct=0)
    assert extractor.read(document, "B? No, A.") == Reading("read", 0, True, why="last letter A")
    assert extractor.read(document, "C") == Reading("unreadable", why="no letter of an option")


@pytest.mark.usefixtures("installed")
def test_the_evaluator_counts_words() -> None:
    evaluator = _spec("evaluator", "word-recall").build()
    document = Document("q", "v", "Where does it go?", "to the left")
    reading = evaluator.read(document, "It goes TO THE right")
    assert reading.why == "2 of 3 words"
    assert evaluator.score(document, reading, None) == {"recall": 2 / 3}


@pytest.mark.usefixtures("installed")
def test_the_judge_compares() -> None:
    judge = _spec("judge", "contains").build()
    asked = [JudgeRequest("Which way?", ("left",), said) for said in ("It moves to the LEFT.", "right")]
    found = dict(judge.judge([*asked, JudgeRequest("Which way?", (" ",), "right")]))
    assert (found[0].correct, found[1].score) == (True, 0)
    assert isinstance(found[2], Unscored)


def test_the_benchmark_is_accepted_by_check_and_asked_as_it_says(installed: Path) -> None:
    mine = str(installed / "mine")
    assert len((installed / "mine/crossing/benchmark.yaml").read_text().splitlines()) <= 18
    report = check_benchmark(BenchmarkUse(name="crossing"), [mine])
    assert report.problems == []
    benchmark = find_benchmark("crossing", [mine])
    assert f"questions.jsonl: sha256 {benchmark.splits['test'].files[0].sha256}" in report.verified
    files, _ = annotation_files(BenchmarkUse(name="crossing"), benchmark, "test")
    documents = read_documents(files, benchmark.annotation_options("test"))
    assert [document.answer for document in documents] == ["green", "three"]
    rules = build_rules(benchmark.protocol(None), benchmark.folder)
    assert "<video>\nHow many cars pass?" in str(rules.base.evaluator.prompt(documents[1])).replace("\\n", "\n")


def test_a_package_ships_it_with_its_questions(installed: Path) -> None:
    with pytest.raises(DataError, match=r"plugin 'traffic' \(examples 1\) offers the folder of benchmarks .*traffic"):
        find_benchmark("crossing")
    shutil.copytree(installed / "mine", installed / "traffic" / "benchmarks")
    assert check_benchmark(BenchmarkUse(name="crossing")).problems == []
