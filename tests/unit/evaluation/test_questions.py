"""Finding and verifying what a benchmark needs."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError

import vlmkit
from vlmkit.benchmarks import locating
from vlmkit.errors import DataError, SpecError
from vlmkit.evaluation import prepare_benchmark, prepare_benchmarks, questions
from vlmkit.evaluation.questions import other_clips
from vlmkit.spec.evaluation import BenchmarkUse, EvaluationSpec
from vlmkit.spec.experiment import ExperimentSpec

Experiment = Callable[..., ExperimentSpec]


def use(tiny: SimpleNamespace, clips: Path, **changes: Any) -> BenchmarkUse:
    options = {"name": "tiny", "annotation_root": str(tiny.annotations.parent), "video_root": str(clips)}
    return BenchmarkUse.model_validate({**options, **changes})


def test_documents_and_videos(tiny: SimpleNamespace, clips: Path) -> None:
    prepared = prepare_benchmark(use(tiny, clips))
    assert len(prepared.documents) == 12
    assert prepared.documents[0].type == "what"
    assert prepared.videos == {name: clips / f"{name}.mp4" for name in ("ada", "bob", "cy", "dee")}
    assert not prepared.missing
    assert prepared.annotations.used.registered


def test_limit_takes_the_first(tiny: SimpleNamespace, clips: Path) -> None:
    prepared = prepare_benchmark(use(tiny, clips, limit=2))
    assert [document.id for document in prepared.documents] == ["ada-what", "bob-what"]
    assert list(prepared.videos) == ["ada", "bob"]


def test_a_limit_leaves_out_what_is_judged_with_a_question_beyond_it(tiny: SimpleNamespace, clips: Path) -> None:
    rows = json.loads(tiny.annotations.read_text())
    rows[0]["other"], rows[2]["other"] = rows[1]["id"], rows[3]["id"]
    tiny.annotations.write_text(json.dumps(rows))
    tiny.write(annotations={"companion": "{other}"})
    own = {"annotation_root": None, "annotations": [{"path": str(tiny.annotations)}]}
    prepared = prepare_benchmark(use(tiny, clips, limit=3, **own))
    assert [document.id for document in prepared.documents] == [rows[0]["id"], rows[1]["id"]]


def test_a_changed_annotation_file_is_refused(tiny: SimpleNamespace, clips: Path) -> None:
    tiny.annotations.write_text("[]")
    with pytest.raises(DataError) as caught:
        prepare_benchmark(use(tiny, clips))
    message = str(caught.value)
    assert str(tiny.annotations) in message
    assert "expected sha256" in message
    assert "found 4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945" in message
    assert "the author's desk" in message


def test_own_annotations_may_have_another_checksum(tiny: SimpleNamespace, clips: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.json"
    own.write_text(json.dumps([{"id": 1, "video": "ada", "question": "who?", "answer": "she"}]))
    prepared = prepare_benchmark(use(tiny, clips, annotation_root=None, annotations=[{"path": str(own)}]))
    assert len(prepared.documents) == 1
    assert not prepared.annotations.used.registered
    with pytest.raises(DataError, match=r"own\.json: expected sha256 0+ as the spec says, found"):
        prepare_benchmark(use(tiny, clips, annotation_root=None, annotations=[{"path": str(own), "sha256": "0" * 64}]))


def test_a_question_that_holds_the_placeholder_is_named(tiny: SimpleNamespace, clips: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.json"
    rows = [{"id": i, "video": "ada", "question": q, "answer": "x"} for i, q in enumerate(["who?", "in the <video>?"])]
    own.write_text(json.dumps(rows))
    with pytest.raises(DataError) as caught:
        prepare_benchmark(use(tiny, clips, annotation_root=None, annotations=[{"path": str(own)}]))
    assert str(caught.value) == (
        f"tiny: expected <video> once in a prompt, found it 2 times in that of question '1' of {own}: "
        "'in the <video>?'; change the question there, or the evaluator's prompt"
    )


@pytest.mark.parametrize("name", ["x" * 400, "a\0b"])
def test_a_name_that_no_file_can_have_is_that_of_a_missing_video(
    tiny: SimpleNamespace, clips: Path, tmp_path: Path, name: str
) -> None:
    own = tmp_path / "own.json"
    rows = [{"id": v, "video": v, "question": "who?", "answer": "x"} for v in ("ada", name)]
    own.write_text(json.dumps(rows))
    prepared = prepare_benchmark(use(tiny, clips, annotation_root=None, annotations=[{"path": str(own)}]))
    assert list(prepared.missing) == [name]


def test_the_number_of_questions_is_verified(tiny: SimpleNamespace, clips: Path) -> None:
    files = [{"name": tiny.annotations.name, "sha256": _digest(tiny.annotations), "source": "x"}]
    tiny.write(splits={"test": {"questions": 13, "files": files}})
    with pytest.raises(DataError, match="expected 13 questions as the registry says, found 12"):
        prepare_benchmark(use(tiny, clips))


def _digest(path: Path) -> str:
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"video_root": None}, "set `video_root`"),
        ({"video_root": "/no/such/folder"}, r"no folder of videos /no/such/folder .*; correct `video_root`"),
        ({"video_root": "x" * 5000}, "no folder of videos xxx"),
        ({"annotation_root": "x" * 5000}, "no annotation file xxx"),
        ({"annotation_root": None}, r"set `annotation_root` \(--annotation-root\) to the folder .* questions\.json"),
        (
            {"annotation_root": "/nowhere"},
            r"no annotation file /nowhere/questions\.json; get it from the author's desk",
        ),
        ({"annotations": [{"path": "a.json"}]}, "set either `annotation_root` or `annotations`"),
        ({"annotations": [{"path": "a.json"}], "annotation_root": None}, r"no annotation file a\.json"),
        ({"dataset": {"clips": 3}}, "`dataset` cannot be set"),
        (
            {"video_file": "clip_{video}{ext}"},
            r"none of its 4 videos was found; the first: no file clip_ada\.avi or clip_",
        ),
        (
            {"video_file": "{video}", "extensions": [".avi"]},
            r"`extensions` would do nothing: the template '\{video\}' of `video_file` has no \{ext\}",
        ),
        ({"split": "train"}, "there is no split 'train'"),
        ({"name": "tinny"}, "did you mean 'tiny'"),
    ],
)
def test_mistakes(tiny: SimpleNamespace, clips: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        prepare_benchmark(use(tiny, clips, **changes))


def test_a_template_finds_other_names(tiny: SimpleNamespace, clips: Path) -> None:
    for clip in list(clips.iterdir()):
        clip.rename(clip.with_name(f"x_{clip.stem}.MP4"))
    prepared = prepare_benchmark(use(tiny, clips, video_file="x_{video}{ext}", extensions=[".mkv", ".MP4"]))
    assert prepared.videos["cy"] == clips / "x_cy.MP4"


def test_extensions_may_stand_in_capitals(tiny: SimpleNamespace, clips: Path) -> None:
    (clips / "cy.mp4").rename(clips / "cy.MP4")
    (clips / "bob.avi").mkdir()
    prepared = prepare_benchmark(use(tiny, clips))
    assert prepared.videos["cy"] == clips / "cy.MP4"
    assert prepared.videos["bob"] == clips / "bob.mp4"


def test_the_name_of_a_video_is_no_template(tiny: SimpleNamespace, clips: Path, tmp_path: Path) -> None:
    (clips / "ada.mp4").rename(clips / "a{ext}{video}.mp4")
    own = tmp_path / "own.json"
    own.write_text(json.dumps([{"id": 1, "video": "a{ext}{video}", "question": "who?", "answer": "she"}]))
    prepared = prepare_benchmark(use(tiny, clips, annotation_root=None, annotations=[{"path": str(own)}]))
    assert list(prepared.videos.values()) == [clips / "a{ext}{video}.mp4"]


def test_pipes_are_neither_annotations_nor_videos(tiny: SimpleNamespace, clips: Path, tmp_path: Path) -> None:
    (clips / "ada.mp4").unlink()
    os.mkfifo(clips / "ada.mp4")
    assert list(prepare_benchmark(use(tiny, clips)).missing) == ["ada"]
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(DataError, match=r"there is no annotation file .*pipe\.json"):
        prepare_benchmark(use(tiny, clips, annotation_root=None, annotations=[{"path": str(tmp_path / "pipe.json")}]))


def test_more_missing_videos_than_allowed(experiment: Experiment, clips: Path) -> None:
    (clips / "bob.mp4").unlink()
    with pytest.raises(DataError, match=r"tiny: 1 of 4 videos have no file, more than data\.max_bad_fraction = 0\.01"):
        prepare_benchmarks(experiment())
    [prepared] = prepare_benchmarks(experiment(data={"max_bad_fraction": 0.25}))
    assert prepared.missing == {"bob": f"no file bob.avi or bob.mp4 in {clips}"}


def test_another_clip_needs_two(experiment: Experiment) -> None:
    with pytest.raises(DataError, match="at least two clips, found 1"):
        prepare_benchmarks(experiment(use={"limit": 1}, controls=["other-video"]))


def test_a_dataset_gives_questions_and_videos(tmp_path: Path) -> None:
    options = {"clips": 8, "size": 32, "root": str(tmp_path)}
    prepared = prepare_benchmark(BenchmarkUse(name="moving-shapes", split="scenes", dataset=options))
    assert (prepared.annotations.used.dataset or {})["level"] == "scenes"
    assert not prepared.missing
    assert {document.type for document in prepared.documents} == {"colour", "shape", "direction", "speed"}


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"dataset": {"clip": 3}}, SpecError, "unknown key clip; did you mean 'clips'"),
        ({"video_root": "x"}, DataError, "`video_root` cannot be set: questions and videos come from the dataset"),
    ],
)
def test_mistakes_with_a_dataset(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        prepare_benchmark(BenchmarkUse.model_validate({"name": "moving-shapes", **options}))


def test_one_benchmark_twice_needs_labels() -> None:
    with pytest.raises(ValidationError, match="2 benchmarks have the name 'moving-shapes'"):
        EvaluationSpec.model_validate({"benchmarks": ["moving-shapes", {"name": "moving-shapes", "split": "scenes"}]})
    spec = EvaluationSpec.model_validate(
        {"benchmarks": ["moving-shapes", {"name": "moving-shapes", "label": "scenes"}]}
    )
    assert [use.result_name for use in spec.benchmarks] == ["moving-shapes", "scenes"]


def test_msvd_qa_in_both_layouts(shared: Path) -> None:
    where = {"name": "msvd-qa", "video_root": str(shared / "videos"), "video_file": "msvd_{video}{ext}"}
    mini = shared / "annotations" / "mini" / "MSVD_test"
    files = [{"path": str(mini / "test_q.json")}, {"path": str(mini / "test_a.json")}]
    small = prepare_benchmark(BenchmarkUse.model_validate({**where, "annotations": files}))
    assert len(small.documents) == 73
    assert not small.missing
    assert all(path.is_file() for path in small.videos.values())
    whole = prepare_benchmark(
        BenchmarkUse.model_validate({**where, "annotation_root": str(shared / "annotations" / "msvd_qa")})
    )
    assert len(whole.documents) == 13157
    assert whole.videos == small.videos
    ours = {(d.video, d.question, d.answer, d.type) for d in small.documents}
    assert ours == {(d.video, d.question, d.answer, d.type) for d in whole.documents if d.video in small.videos}


@pytest.mark.parametrize("count", [2, 3, 50])
def test_each_clip_stands_in_for_exactly_one_other(count: int) -> None:
    clips = [f"{index}.mp4" for index in range(count)]
    other = other_clips(clips * 3, seed=1)
    assert sorted(other) == sorted(other.values()) == sorted(clips)
    assert all(clip != shown for clip, shown in other.items())


def test_the_seed_decides() -> None:
    clips = [str(index) for index in range(50)]
    assert other_clips(clips, 1) == other_clips(reversed(clips), 1)
    assert other_clips(clips, 1) != other_clips(clips, 2)


def test_one_clip_is_too_few() -> None:
    with pytest.raises(DataError, match="at least two clips, found 1"):
        other_clips(["a", "a"], 0)


@pytest.mark.parametrize("trained", [False, True])
def test_a_command_prepares_a_benchmark_once(
    experiment: Experiment, tiny: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trained: bool
) -> None:
    """From the check before the training to the page: annotations are hashed once and videos looked for once."""
    counts: Counter[str] = Counter()

    def count(module: ModuleType, name: str) -> None:
        function = getattr(module, name)

        def counted(*args: Any) -> Any:
            counts[name] += 1
            return function(*args)

        monkeypatch.setattr(module, name, counted)

    for module, name in ((questions, "prepare_benchmark"), (questions, "find_videos"), (locating, "content_sha256")):
        count(module, name)
    spec = experiment(controls=["other-video"])
    if trained:
        data = {"type": "moving-shapes", "clips": 4, "size": 32, "root": str(tmp_path / "drawn")}
        stage = {"name": "learn", "data": [data], "train": {"backbone": 1e-3}, "steps": 1, "batch_size": 2}
        spec = ExperimentSpec.model_validate(spec.model_dump(mode="json") | {"training": {"stages": [stage]}})
    done = vlmkit.run(spec, tmp_path)
    assert done.results["tiny"].n == 12
    assert done.report_path is not None
    assert done.report_path.read_text().count("<img") > 4, "the page has frames of the videos"
    assert counts == {"prepare_benchmark": 1, "find_videos": 1, "content_sha256": 1}
