"""From an evaluation to a published folder whose recorded answers hold."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from vlmkit import runner
from vlmkit.cli import main
from vlmkit.errors import DataError
from vlmkit.publish.hub_folder import ExportOptions, export_model
from vlmkit.publish.verification import verify


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, talker: Path) -> Path:
    """The run that measured a saved model, whose weights are not its own."""
    home = tmp_path_factory.mktemp("export")
    use = {"name": "moving-shapes", "dataset": {"clips": 6, "root": str(home / "drawn")}}
    options = {"evaluation.controls": ["other-video"], "evaluation.workers": 0}
    return runner.evaluate(talker, home / "runs", benchmarks=[use], set=options).path


def test_a_capsule_of_the_exported_model(
    measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    out = tmp_path / "out"
    monkeypatch.setattr(
        "sys.argv", ["vlmkit", "export", str(measured), str(out), "--capsule", "--capsule-questions", "4"]
    )
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code, capsys.readouterr().err
    card = (out / "README.md").read_text()
    assert "vlmkit verify FOLDER" in card
    assert "moving-shapes | other-video: each question is asked about another clip's video |" in card
    moved = tmp_path / "elsewhere" / "model"
    shutil.copytree(out, moved)
    found = verify(moved)
    assert (found.holds, found.expected, found.model) == (True, 4, [])
    (moved / "README.md").write_text("edited on the Hub")
    assert verify(moved).holds
    again = export_model(measured, tmp_path / "again", ExportOptions(capsule=4))
    assert {name: (again.folder / name).read_bytes() for name in again.files} == {
        name: (out / name).read_bytes() for name in again.files
    }
    assert not any(str(tmp_path.parent) in (out / name).read_text(errors="replace") for name in again.files)


def test_no_capsule_of_other_weights(measured: Path, tmp_path: Path) -> None:
    adapter = tmp_path / "lora"
    with pytest.raises(DataError, match="--capsule: the run's answers are those of the model without the adapter"):
        export_model(measured, tmp_path / "out", ExportOptions(capsule=4, adapter=adapter))
