"""A capsule holds elsewhere, and names the stage in which something was planted."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import yaml
from safetensors.torch import load_file, save_file

from vlmkit import runner
from vlmkit.api import Judge, JudgeRequest, Verdict
from vlmkit.cli import main
from vlmkit.data import loader
from vlmkit.data.fit import Fitting
from vlmkit.errors import DataError, RunError
from vlmkit.evaluation.answers import read_answers
from vlmkit.evaluation.judging import VerdictStore
from vlmkit.evaluation.records import JudgeName, read_result, write_result
from vlmkit.evaluation.rescoring import rules_of
from vlmkit.evaluation.scores import score_answers
from vlmkit.manifest import updating_manifest
from vlmkit.publish.capsule import write_capsule
from vlmkit.publish.capsule_record import read_capsule, save_capsule
from vlmkit.publish.provenance import model_files
from vlmkit.publish.verification import MEANING, Verification, verify

pytestmark = pytest.mark.usefixtures("quick")
LETTERS = ("ada", "bob", "cy", "dee", "ed", "flo")
FACTS = [
    {"id": f"{name}-{word}", "video": name, "question": f"{word} is {name}?", "answer": "it is of it"}
    for name in LETTERS
    for word in ("what", "how")
]
PICKS = [
    {**fact, "options": ["left", "right", "moves"], "answer": ["left", "right"][place % 2]}
    for place, fact in enumerate(FACTS)
]
PAIRS = [{**fact, **({"second": f"{fact['video']}-what"} if fact["id"].endswith("how") else {})} for fact in FACTS[:4]]


class Published(NamedTuple):
    """A run, its model with a capsule, and the files of its benchmarks."""

    run: Path
    model: Path
    benchmarks: Path
    annotations: Path
    videos: Path

    def verify(self, model: Path | None = None, **options: Any) -> Verification:
        """Verify the capsule of a folder."""
        where = {"video_root": str(self.videos), "annotation_root": str(self.annotations), **options}
        return verify(model or self.model, benchmarks_path=[str(self.benchmarks)], **where)


def _entry(folder: Path, name: str, rows: list[dict[str, Any]], annotations: Path, **more: Any) -> None:
    file = annotations / name / "questions.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(rows))
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    columns = {"options": {"column": "options"}} if "options" in rows[0] else {}
    columns |= {"companion": "{second}"} if "second" in rows[-1] else {}
    entry = {
        "title": name, "paper": "none", "version": "1", "default_split": "test",
        "splits": {"test": {"files": [{"name": "questions.json", "sha256": sha256, "source": "us"}]}},
        "video": {"file": "{video}.mp4"}, "generation": {"max_new_tokens": 6},
        "annotations": {"type": {"template": "{question}", "pattern": "\\S+"}, **columns}, **more,
    }  # fmt: skip
    (folder / name).mkdir(parents=True)
    (folder / name / "README.md").write_text("Invented.")
    (folder / name / "benchmark.yaml").write_text(yaml.safe_dump(entry))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, talker: Path, drawn_clips: list[Path]) -> Iterator[Published]:
    """A model that is measured on three benchmarks: one that draws its clips, two with files of their own."""
    home = tmp_path_factory.mktemp("capsule")
    benchmarks, annotations, videos = home / "entries", home / "annotations", home / "videos"
    judged = {"license": "MIT", "evaluator": {"type": "open-ended-qa"}, "metrics": ["accuracy", "score"]}
    _entry(benchmarks, "facts", FACTS, annotations, **judged)
    _entry(benchmarks, "pairs", PAIRS, annotations, **judged)
    choice = {"type": "multiple-choice", "output_type": "loglikelihood", "continuation": "{text}"}
    read = {"license": "CC BY-NC-SA 4.0, research only", "evaluator": choice, "metrics": ["accuracy"]}
    _entry(benchmarks, "picks", PICKS, annotations, **read)
    videos.mkdir()
    for name, clip in zip(LETTERS, drawn_clips, strict=True):
        shutil.copy(clip, videos / f"{name}.mp4")
    uses = [
        {"name": "moving-shapes", "dataset": {"clips": 6, "root": str(home / "drawn")}},
        *(
            {"name": name, "annotation_root": str(annotations / name), "video_root": str(videos)}
            for name in ("facts", "picks", "pairs")
        ),
    ]
    more = {"evaluation.benchmarks_path": [str(benchmarks)], "evaluation.workers": 0}
    run = runner.evaluate(talker, home / "runs", benchmarks=uses, set=more).path
    model = home / "model"
    shutil.copytree(talker, model)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(home / "cache"))
        write_capsule(run, model, questions=12, texts=True)
        yield Published(run, model, benchmarks, annotations, videos)


def _firsts(found: Verification) -> set[str | None]:
    return {one.first for one in found.questions}


def test_it_holds_where_it_was_made(made: Published) -> None:
    found = made.verify()
    assert (found.holds, found.first, found.model, found.environment) == (True, None, [], [])
    counts = Counter(one.benchmark for one in found.questions)
    assert (counts["moving-shapes"] + counts["facts"] + counts["picks"], counts["pairs"]) == (11, 2)
    assert min(counts.values()) == 2
    capsule, _ = read_capsule(made.model)
    assert all(question.as_in_run for benchmark in capsule.benchmarks for question in benchmark.questions)
    assert len({question.answer.ids_sha256 for one in capsule.benchmarks for question in one.questions}) > 4


def test_it_holds_no_path_and_no_text_that_may_not_be_given(made: Published) -> None:
    content = (made.model / "capsule.json").read_text()
    for place in (made.run.parents[1], Path.home(), Path.cwd(), Path(sys.prefix)):
        assert str(place) not in content
    capsule, _ = read_capsule(made.model)
    prompts = {one.result: [question.prompt.prompt.text for question in one.questions] for one in capsule.benchmarks}
    answers = {one.result: [question.answer.answer.text for question in one.questions] for one in capsule.benchmarks}
    assert set(prompts["picks"]) == set(answers["picks"]) == {None}
    assert all(any(f"is {name}?" in str(text) for name in LETTERS) for text in prompts["facts"])
    assert None not in answers["facts"]


@pytest.mark.parametrize("threads", [1, 2])
def test_it_holds_with_other_threads_in_a_fresh_folder(made: Published, tmp_path: Path, threads: int) -> None:
    shutil.copytree(made.model, tmp_path / "downloaded")
    command = [
        sys.executable,
        "-m",
        "vlmkit",
        "verify",
        "downloaded",
        "--json",
        "--benchmarks-path",
        str(made.benchmarks),
    ]
    roots = ["--video-root", str(made.videos), "--annotation-root", str(made.annotations)]
    there = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "OMP_NUM_THREADS": str(threads)}
    path = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [*command, *roots], cwd=tmp_path, env={**os.environ, **there, "PYTHONPATH": path},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["holds"], found["expected"], len(found["questions"])) == (True, 13, 13)
    assert found["environment"] == ([] if threads == 1 else ["torch threads: 1 in the capsule, 2 here"])
    assert list((tmp_path / "cache").rglob("*.mp4"))


@pytest.fixture
def changed(made: Published, tmp_path: Path) -> Callable[..., Path]:
    """Copies the model, changes its weights or another file, and has the capsule list the files as they then are."""

    def change(
        name: str = "", row: Callable[[Any], None] | None = None, file: str = "", old: str = "", new: str = ""
    ) -> Path:
        folder = tmp_path / "changed"
        shutil.copytree(made.model, folder)
        with updating_manifest(folder):
            if row is not None:
                weights = load_file(folder / "model.safetensors")
                row(weights[name])
                save_file(weights, folder / "model.safetensors", {"format": "pt"})
            for path in [folder / file] if file else []:
                before = path.read_text()
                assert old in before
                path.write_text(before.replace(old, new))
        return folder

    return change


def _signed(folder: Path) -> Path:
    """Let the capsule list the files of the model as they are now, so that nothing but the stages can tell."""
    capsule, _ = read_capsule(folder)
    save_capsule(capsule.model_copy(update={"model": model_files(folder)}), folder)
    with updating_manifest(folder):
        (folder / "capsule.json").touch()
    return folder


def test_another_video_file(made: Published, tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    shutil.copytree(made.videos, videos)
    shutil.copy(videos / "ada.mp4", videos / "bob.mp4")
    (videos / "cy.mp4").unlink()
    found = made.verify(video_root=str(videos))
    assert found.first == "video"
    assert _firsts(found) == {None, "video"}
    about = {one.id.partition("-")[0] for one in found.questions if one.first}
    assert about == {one.id.partition("-")[0] for one in found.questions} & {"bob", "cy"}
    assert {one.differences["video"].partition(":")[0] for one in found.questions if "cy-" in one.id} <= {
        "facts",
        "picks",
    }


def test_a_decoder_that_gives_the_next_frame(made: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    decode = loader.decode_frames

    def next_ones(video: Any, positions: Any) -> Iterator[tuple[int, Any]]:
        after = decode(video, [min(place + 1, video.num_frames - 1) for place in positions])
        yield from zip(positions, (frame for _, frame in after), strict=True)

    monkeypatch.setattr(loader, "decode_frames", next_ones)
    found = made.verify()
    assert (found.first, _firsts(found)) == ("frames", {"frames"})


def test_another_sampler(made: Published, changed: Callable[..., Path]) -> None:
    folder = changed(file="processor_config.json", old='"sampling": "reference"', new='"sampling": "uniform"')
    assert made.verify(folder).first == "model"
    found = made.verify(_signed(folder))
    assert (found.first, _firsts(found)) == ("frames", {"frames"})


def test_a_fit_that_is_off_by_one_pixel(made: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    put = Fitting.put
    monkeypatch.setattr(Fitting, "put", lambda self, slot, frame: put(self, slot, np.roll(frame, 1, axis=1)))
    found = made.verify()
    assert (found.first, _firsts(found)) == ("pixels", {"pixels"})


def _scale(by: float) -> Callable[[Any], None]:
    def row(weight: Any) -> None:
        flat = weight.flatten()
        place = int(flat.abs().argmax())
        weight.view(-1)[place] *= by

    return row


def _patch_weight(made: Published) -> str:
    names = load_file(made.model / "model.safetensors")
    return next(name for name in names if name.startswith("aligner.") and "patch" in name and "weight" in name)


def test_one_weight_of_the_aligner(made: Published, changed: Callable[..., Path]) -> None:
    [name, *_] = [
        key for key in load_file(made.model / "model.safetensors") if key.startswith("aligner.") and "patch" in key
    ]
    folder = changed(name, _scale(3))
    found = made.verify(folder)
    assert (found.first, found.model) == ("model", ["model.safetensors"])
    assert _firsts(found) == {"visual_tokens"}
    assert made.verify(_signed(folder)).first == "visual_tokens"


def test_a_weight_that_differs_within_the_tolerance(made: Published, changed: Callable[..., Path]) -> None:
    [name, *_] = [
        key for key in load_file(made.model / "model.safetensors") if key.startswith("aligner.") and "patch" in key
    ]
    folder = _signed(changed(name, _scale(1 + 1e-6)))
    assert made.verify(folder).holds


def test_another_chat_template(made: Published, changed: Callable[..., Path]) -> None:
    template = (made.model / "chat_template.jinja").read_text()
    folder = _signed(changed(file="chat_template.jinja", old=template, new=f"ask {template}"))
    found = made.verify(folder)
    assert (found.first, _firsts(found)) == ("prompt", {"prompt"})


def test_one_weight_of_the_language_model(made: Published, changed: Callable[..., Path]) -> None:
    folder = _signed(changed("backbone.model.layers.0.mlp.down_proj.weight", _scale(10)))
    found = made.verify(folder)
    assert (found.first, _firsts(found)) == ("answer", {"answer"})


def test_a_judge_that_decides_otherwise(made: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    from vlmkit_judges._module import ExactJudge

    monkeypatch.setattr(ExactJudge, "judge_one", lambda self, request: Verdict(True, 5.0))
    found = made.verify()
    assert found.first == "verdict"
    firsts = {one.benchmark: one.first for one in found.questions if not one.id.endswith("what")}
    assert firsts == {"moving-shapes": "verdict", "facts": "verdict", "pairs": "verdict", "picks": None}
    assert _firsts(found) == {None, "verdict"}


class _Paid(Judge):
    """Says of an answer what it is told to, and counts what it is asked."""

    version, prompted = "1", True

    def judge_one(self, request: JudgeRequest) -> Verdict:
        return Verdict(len(request.answer) % 2 == 0, 4.0, raw="Thinking costs money.")


def test_a_paid_judge_is_not_asked_again(made: Published, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(made.run, run)
    folder = run / "eval" / "facts"
    result = read_result(folder / "result.json")
    rules = rules_of(result, [str(made.benchmarks)])
    name = JudgeName(name="paid", version="1", prompts=rules.prompts)
    with closing(VerdictStore(folder / "verdicts.sqlite")) as store:
        score_answers(list(read_answers(folder / "predictions.jsonl").values()), rules, store.judging(name, _Paid()))
    write_result(folder / "result.json", result.model_copy(update={"judge": name}))
    model = tmp_path / "model"
    shutil.copytree(made.model, model)
    write_capsule(run, model, questions=12)
    capsule, _ = read_capsule(model)
    [facts] = [one for one in capsule.benchmarks if one.result == "facts"]
    assert facts.judge is not None
    assert facts.judge.rules is None
    assert {one.verdict.correct for one in facts.questions} <= {True, False}
    assert all(one.verdict.score == 4.0 for one in facts.questions)
    assert "Thinking" not in (model / "capsule.json").read_text()
    assert made.verify(model).holds
    asked = made.verify(model, judge="exact")
    assert (asked.first, {one.first for one in asked.questions if one.benchmark == "facts"}) == ("verdict", {"verdict"})


def test_the_command_says_it_in_a_table(
    made: Published, changed: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def call(folder: Path) -> tuple[int, str]:
        files = ["--video-root", str(made.videos), "--annotation-root", str(made.annotations)]
        monkeypatch.setattr(
            sys, "argv", ["vlmkit", "verify", str(folder), *files, "--benchmarks-path", str(made.benchmarks)]
        )
        with pytest.raises(SystemExit) as end:
            main()
        return int(end.value.code or 0), capsys.readouterr().out

    code, said = call(made.model)
    assert (code, said.splitlines()[-1]) == (0, "all hold")
    template = (made.model / "chat_template.jinja").read_text()
    code, said = call(changed(file="chat_template.jinja", old=template, new=f"ask {template}"))
    assert code == 2
    assert "model: chat_template.jinja differs" in said
    assert MEANING["prompt"] in said
    assert said.count("  prompt  expected ") == 13
    assert said.splitlines()[-1] == "the first difference: model"


def test_questions_that_are_judged_together_come_together(made: Published) -> None:
    capsule, _ = read_capsule(made.model)
    [pairs] = [one for one in capsule.benchmarks if one.result == "pairs"]
    assert [one.verdict.outcome for one in pairs.questions] == ["scored", "companion"]
    about = [one.id.partition("-") for one in pairs.questions]
    assert (about[0][0], about[0][2], about[1][2]) == (about[1][0], "how", "what")


def test_a_run_keeps_its_files_as_they_are(made: Published) -> None:
    with pytest.raises(RunError, match=r"found one within the run.*; write the capsule with `vlmkit export"):
        write_capsule(made.run, made.run / "model")
    with pytest.raises(RunError, match=r"expected answers to a benchmark of the registry"):
        write_capsule(_without_results(made), made.model)


def test_what_a_capsule_leaves_out_and_what_it_needs_elsewhere_is_said(
    made: Published, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, model = tmp_path / "run", tmp_path / "model"
    shutil.copytree(made.run, run)
    shutil.copytree(made.model, model)
    facts = {"name": "facts", "annotation_root": str(made.annotations / "facts"), "video_root": str(made.videos)}
    runner.evaluate(run, benchmarks=[facts])
    write_capsule(run, model)
    said = capsys.readouterr().err
    for name in ("moving-shapes", "pairs", "picks"):
        assert f"a benchmark is left out: {name}: the last `vlmkit eval` of this run did not name it" in said
    assert "it asks questions of facts, which vlmkit does not come with" in said
    with pytest.raises(DataError, match=r"'facts', which is not among those here; give --benchmarks-path FOLDER"):
        verify(model)


def _without_results(made: Published) -> Path:
    run = made.run.parent / "unmeasured"
    shutil.copytree(made.run, run, ignore=shutil.ignore_patterns("eval"), dirs_exist_ok=True)
    return run


def test_a_model_that_cannot_be_loaded(made: Published, tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(made.model, folder)
    with (folder / "model.safetensors").open("r+b") as file:
        file.seek(-9, os.SEEK_END)
        file.write(b"x")
    found = made.verify(folder)
    assert (found.first, found.model, found.questions, found.holds) == ("model", ["model.safetensors"], [], False)
    assert "model.safetensors" in found.unusable
