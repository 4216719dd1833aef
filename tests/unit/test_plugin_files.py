"""A file as a plugin: named by a spec or by the variable, told apart by its content, and what is wrong with one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from vlmkit.errors import CheckpointError, PluginError, SpecError
from vlmkit.model.config import check_installed
from vlmkit.plugin_files import inherited, version_of_file
from vlmkit.registry import registry
from vlmkit.runtime import WorkerContext
from vlmkit.spec.identity import identity, origins
from vlmkit.spec.loading import load_spec, read_resolved, resolved, sha256

FILE = """
from typing import Literal
from vlmkit import hookimpl
from vlmkit.api import Dataset, DatasetSpec, Sample, Turn

VLMKIT_API = 1

class Colours(Dataset):
    def __len__(self):
        return 2

    def sample(self, index):
        return Sample(str(index), None, (Turn("which colour?", "red"),))

    def fingerprint(self):
        from vlmkit.registry import registry
        return "1 in a process that offers " + next(name for name in registry().names("dataset") if "local" in name)

class ColoursSpec(DatasetSpec):
    "Two questions."
    type: Literal["NAME"] = "NAME"

    def build(self):
        return Colours()

@hookimpl
def vlmkit_components():
    return [ColoursSpec]
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Write a plugin's file, with a component of its own name."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.chdir(tmp_path)
    registry.cache_clear()

    def write(name: str, text: str = FILE, folder: str = "below") -> Path:
        file = tmp_path / folder / f"{name}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text.replace("NAME", name))
        return file

    yield write
    registry.cache_clear()


def _spec(file: Path, small_spec: str, name: str) -> Path:
    file.write_text(f"plugins: [./{name}.py]\n{small_spec.replace('data: [moving-shapes]', f'data: [{name}]')}")
    return file


SMALL = """\
vlmkit: 1
name: small
model:
  aligner: {type: stab, width: 32, patch: 8, heads: 4, input: {size: 32, multiple: 16}}
  backbone:
    type: hf-causal-lm
    init: random
    config: {model_type: llama, hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 4, vocab_size: 300}
    tokenizer: {text: [hello world], vocab_size: 300}
training: {stages: [{name: align, data: [moving-shapes], train: {aligner: 4e-4}, steps: 3}]}
"""


def test_a_spec_names_a_file_beside_it(write, tmp_path: Path) -> None:
    file = write("local_one")
    spec = load_spec(_spec(tmp_path / "below" / "spec.yaml", SMALL, "local_one"))
    assert spec.plugins == [str(file)]
    version = version_of_file(file)
    assert origins(spec.training)["dataset/local_one"] == {
        "plugin": "local_one",
        "package": "local_one.py",
        "version": version,
    }
    (tmp_path / "resolved.yaml").write_text(resolved(spec))
    registry.cache_clear()  # another process
    assert read_resolved(tmp_path / "resolved.yaml") == spec
    (tmp_path / "below" / "more.yaml").write_text("extends: spec.yaml\nname: more\n")
    assert load_spec(tmp_path / "below" / "more.yaml").plugins == [str(file)]


def test_where_a_file_lies_changes_no_checksum(write, tmp_path: Path) -> None:
    write("local_two")
    spec = load_spec(_spec(tmp_path / "below" / "spec.yaml", SMALL, "local_two"))
    elsewhere = spec.model_copy(update={"plugins": ["/elsewhere/local_two.py"]})
    assert (identity(spec), sha256(spec)) == (identity(elsewhere), sha256(elsewhere))


def test_a_process_that_reads_data_knows_the_file(write, tmp_path: Path) -> None:
    write("local_three")
    dataset = (
        load_spec(_spec(tmp_path / "below" / "spec.yaml", SMALL, "local_three")).training.stages[0].data[0].build()
    )
    with WorkerContext(script=False).Pool(1) as pool:
        assert pool.apply(dataset.fingerprint) == "1 in a process that offers local_three"


def test_a_worker_refuses_a_file_that_has_changed(write) -> None:
    file = write("local_ten")
    with (
        inherited({str(file): "sha256:0123"}),
        pytest.raises(PluginError, match=r"ten\.py: it has changed since the com"),
    ):
        registry()


def test_the_variable_names_files_beside_all_plugins(write, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write("local_four")
    monkeypatch.setenv("VLMKIT_PLUGINS", "./below/local_four.py")
    assert {"moving-shapes", "local_four"} <= set(registry().names("dataset"))
    registry.cache_clear()
    monkeypatch.setenv("VLMKIT_PLUGINS", f"samplers,{file}")
    assert registry().names("dataset") == ["local_four"]
    assert "uniform" in registry().names("sampler")


def test_a_file_that_has_changed_is_not_taken_for_the_other(write) -> None:
    file = write("local_five")
    registry().add_file(file)
    registry().add_file(file)
    assert [plugin.name for plugin in registry().plugins].count("local_five") == 1
    write("local_five", f"{FILE}# changed")
    with pytest.raises(PluginError, match=r"local_five\.py: it has changed since this process imported it; start Py"):
        registry().add_file(file)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("json", FILE, r"json\.py: another module has the name 'json' \(.*json/__init__\.py\); rename the file"),
        ("sys", FILE, r"another module has the name 'sys' \(built in\); rename the file"),
        ("local-six", FILE, r"local-six\.py: expected letters, digits and `_` before `\.py`"),
        ("local_seven", "VLMKIT_API = 1", "has no hook, so it offers nothing"),
        ("local_eight", "raise OSError('no disk')", "OSError: no disk"),
    ],
)
def test_a_file_that_cannot_be_a_plugin_is_said(write, tmp_path: Path, name: str, text: str, said: str) -> None:
    write(name, text)
    with pytest.raises(SpecError, match=rf"spec\.yaml:1: plugins: plugin .*{said}"):
        load_spec(_spec(tmp_path / "below" / "spec.yaml", SMALL, name))


def test_a_file_that_is_missing_is_said(write, tmp_path: Path) -> None:
    write("local_nine").unlink()
    with pytest.raises(SpecError, match=r"local_nine\.py: expected the Python file of a plugin; there is no such file"):
        load_spec(_spec(tmp_path / "below" / "spec.yaml", SMALL, "local_nine"))


def test_a_model_whose_file_is_missing_says_how_to_name_it() -> None:
    origin = {"plugin": "mine", "package": "mine.py", "version": "sha256:0123"}
    with pytest.raises(
        CheckpointError, match=r"have the file mine\.py \(sha256:0123\) in VLMKIT_PLUGINS=FOLDER/mine\.py"
    ):
        check_installed("dataset/mine", origin)
