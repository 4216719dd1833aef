"""capsule.json: read as it was written, and refused where it is damaged or of another version."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vlmkit.errors import RunError
from vlmkit.publish.capsule_record import (
    AnswerOutput,
    Capsule,
    HashedFile,
    HashedText,
    PromptOutput,
    digest,
    read_capsule,
    save_capsule,
    without_texts,
)


@pytest.fixture
def capsule() -> Capsule:
    model = {"config.json": HashedFile(bytes=3, sha256="a" * 64)}
    return Capsule(capsule=1, run="mine", seed=0, environment={"python": "3"}, model=model, benchmarks=[])


def test_it_is_read_from_its_folder_and_by_its_name(capsule: Capsule, tmp_path: Path) -> None:
    file = save_capsule(capsule, tmp_path)
    assert file == tmp_path / "capsule.json"
    assert read_capsule(tmp_path) == read_capsule(str(file)) == (capsule, tmp_path)


def _replaced(old: str, new: str) -> Callable[[Path], Any]:
    return lambda file: file.write_text(file.read_text().replace(old, new))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (Path.unlink, r"expected a folder with capsule\.json, or that file, found none; `vlmkit export"),
        (_replaced('"mine"', '"ours"'), "its checksum is wrong"),
        (lambda file: file.write_text(json.dumps({"capsule": 1, "run": 5})), "run: expected text"),
        (lambda file: file.write_text(json.dumps({"capsule": 2})), "expected a capsule of version 1, found 2; use"),
        (lambda file: file.write_text("{"), "this is no JSON"),
        (lambda file: file.write_text("[]"), "expected a mapping"),
    ],
)
def test_damage_is_told(capsule: Capsule, tmp_path: Path, damage: Callable[[Path], Any], said: str) -> None:
    damage(save_capsule(capsule, tmp_path))
    with pytest.raises(RunError, match=said):
        read_capsule(tmp_path)


def test_texts_are_left_out() -> None:
    text = HashedText.of("what is it?")
    assert text.sha256 == digest("what is it?")
    prompt = PromptOutput(prompt=text, tokens=3, ids_sha256="b" * 64)
    answer = AnswerOutput(answer=HashedText.of("ada"), tokens=1, ids_sha256="c" * 64, logprobs=[-0.5], margin=0.1)
    for given in (prompt, answer):
        hidden = without_texts(given)
        assert '"text":null' not in given.model_dump_json()
        assert hidden.model_dump_json() == given.model_dump_json().replace('"what is it?"', "null").replace(
            '"ada"', "null"
        )
