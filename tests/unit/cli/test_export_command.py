"""`vlmkit export`: its options, and what it says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Told = Callable[..., tuple[int, str, str]]


def test_a_saved_model(told: Told, talker: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, said, err = told("export", talker, out, "--license", "mit", "--dataset", "org/clips")
    assert (code, err) == (0, "")
    assert said.startswith(f"written: {out} (9 files, ")
    card = (out / "README.md").read_text()
    assert "license: mit\n" in card
    assert "datasets:\n- org/clips\n" in card
    code, _, err = told("export", talker, out)
    assert code == 2
    assert "expected an empty folder, or none; name another one, or give --overwrite" in err
    assert told("export", talker, out, "--overwrite")[0] == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--no-merge"], "--no-merge: expected --adapter FOLDER too"),
        (["--private"], "--private: expected --push ORG/NAME too"),
        (["--capsule"], "--capsule: expected a run, of whose answers it records some"),
        (["--capsule-texts"], "--capsule-texts: expected --capsule too"),
        (["--hub-benchmark", "shapes"], "--hub-benchmark: expected RESULT=ORG/DATASET or RESULT=ORG/DATASET:TASK"),
        (["--hub-benchmark", "shapes=org/shapes"], "expected the name of a result of this model, found 'shapes'"),
        (["--license", "My own"], "license: expected an id as the Hub has it"),
        (["--push", "name-alone"], "--push: expected an id on the Hub, ORG/NAME"),
        (["--push", "org/name"], "--push: expected a token of the Hub with the right to write, found none"),
    ],
)
def test_wrong_options(
    told: Told, talker: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], said: str
) -> None:
    monkeypatch.setattr("vlmkit.publish.upload.get_token", lambda: None)
    code, out, err = told("export", talker, tmp_path / "out", *options)
    assert (code, out) == (2, "")
    assert said in err
    assert not (tmp_path / "out").exists()


def test_what_is_no_model(told: Told, tmp_path: Path) -> None:
    code, _, err = told("export", tmp_path, tmp_path / "out")
    assert code == 2
    assert "expected a run folder" in err
