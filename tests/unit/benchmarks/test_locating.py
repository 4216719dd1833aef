"""Annotation files: where they are looked for, and files of another split under the name of this one."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from vlmkit.errors import DataError
from vlmkit.evaluation import prepare_benchmark
from vlmkit.spec.evaluation import BenchmarkUse


def _file(path: Path, questions: int) -> dict[str, str]:
    rows = [{"id": n, "video": "ada", "question": "what is it?", "answer": "it"} for n in range(questions)]
    path.write_text(json.dumps(rows))
    return {"name": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "source": "the author's desk"}


@pytest.fixture
def two_splits(tiny: SimpleNamespace) -> Path:
    """The folder of the annotations of an entry with a test split of 5 and a validation split of 3 questions."""
    folder: Path = tiny.annotations.parent
    splits = {
        name: {"questions": count, "videos": 1, "files": [_file(folder / f"{name}.json", count)]}
        for name, count in (("test", 5), ("val", 3))
    }
    tiny.write(splits=splits)
    return folder


def _use(clips: Path, **changes: Any) -> BenchmarkUse:
    return BenchmarkUse.model_validate({"name": "tiny", "video_root": str(clips), **changes})


def test_the_file_of_another_split_is_named(two_splits: Path, clips: Path) -> None:
    shutil.copy(two_splits / "val.json", two_splits / "test.json")
    with pytest.raises(DataError, match=r"not the registered annotation file but holds val\.json of split 'val'"):
        prepare_benchmark(_use(clips, annotation_root=str(two_splits)))


def test_the_file_of_another_split_is_no_file_of_ones_own(two_splits: Path, clips: Path) -> None:
    own = [{"path": str(two_splits / "val.json")}]
    with pytest.raises(DataError, match=r"val\.json holds val\.json of split 'val'; use the file of split 'test'"):
        prepare_benchmark(_use(clips, annotations=own))
    assert len(prepare_benchmark(_use(clips, annotations=own, split="val")).documents) == 3


def test_another_file_with_as_many_questions_as_another_split(two_splits: Path, clips: Path, tmp_path: Path) -> None:
    lines = [json.loads(line) for line in json.dumps(json.loads((two_splits / "val.json").read_text())).splitlines()]
    (tmp_path / "copy.json").write_text(json.dumps(lines[0], indent=1))
    with pytest.raises(DataError, match=r"expected 5 questions .*, found 3 in .*copy\.json, .* of split 'val'"):
        prepare_benchmark(_use(clips, annotations=[{"path": str(tmp_path / "copy.json")}]))
    _file(tmp_path / "other.json", 2)
    assert len(prepare_benchmark(_use(clips, annotations=[{"path": str(tmp_path / "other.json")}])).documents) == 2


def test_without_a_checksum_counts_are_verified(tiny: SimpleNamespace, clips: Path) -> None:
    files = [{"name": tiny.annotations.name, "source": "x"}]
    for counts in ({"questions": 12, "videos": 4}, {}):
        tiny.write(splits={"test": {**counts, "files": files}})
        prepared = prepare_benchmark(_use(clips, annotation_root=str(tiny.annotations.parent)))
        [used] = prepared.annotations.used.files or []
        assert used.sha256 == hashlib.sha256(tiny.annotations.read_bytes()).hexdigest()
    tiny.write(splits={"test": {"questions": 12, "videos": 5, "files": files}})
    with pytest.raises(DataError, match="expected 5 videos as the registry says, found 4 in"):
        prepare_benchmark(_use(clips, annotation_root=str(tiny.annotations.parent)))


def test_a_root_has_a_folder_for_each_benchmark(tiny: SimpleNamespace, clips: Path, tmp_path: Path) -> None:
    shutil.move(tiny.annotations.parent, tmp_path / "all" / "tiny")
    prepared = prepare_benchmark(_use(clips, annotation_root=str(tmp_path / "all")))
    assert prepared.annotations.files == (tmp_path / "all" / "tiny" / "questions.json",)
    [used] = prepared.annotations.used.files or []
    assert used.path == str(tmp_path / "all" / "tiny" / "questions.json")


def test_annotations_beside_the_entry_need_no_root(tiny: SimpleNamespace, clips: Path) -> None:
    shutil.move(tiny.annotations, tiny.folder)
    prepared = prepare_benchmark(_use(clips))
    assert prepared.annotations.files == (tiny.folder / "questions.json",)
    [used] = prepared.annotations.used.files or []
    assert used.path == "tiny/questions.json"
