"""New packages: their files, for every kind, and the names that they cannot have."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from vlmkit.errors import PluginError
from vlmkit.registry import KINDS
from vlmkit.scaffold.new_package import TEMPLATE_KINDS, new_package

LONGEST = "abcdefghij-klmnopqrst-uvwxyzab"


def test_there_is_a_template_of_every_kind() -> None:
    assert set(TEMPLATE_KINDS) == {*KINDS, "benchmark", "format"}


@pytest.mark.parametrize("kind", TEMPLATE_KINDS)
def test_a_package_has_its_name_everywhere(kind: str, tmp_path: Path) -> None:
    place = new_package("bright-spots", kind, tmp_path / "mine")
    assert place == tmp_path / "mine" / "bright-spots"
    assert [path.name for path in place.parent.iterdir()] == ["bright-spots"]
    files = {file.relative_to(place).as_posix(): file.read_text() for file in place.rglob("*") if file.is_file()}
    assert {
        ".github/workflows/test.yml", ".gitignore", "README.md", "bright-spots.yaml", "bright_spots/__init__.py",
        "bright_spots/py.typed", "pyproject.toml", "tests/test_bright_spots.py",
    } <= files.keys()  # fmt: skip
    assert not [file for file in files if re.search(r"NAME|MODULE|\.txt$", file) and file != "texts/proverbs.txt"]
    assert not [file for file, text in files.items() if re.search(r"\$(?!\{\{)", text)]
    assert "VLMKIT_API = 1\n" in files["bright_spots/__init__.py"]


@pytest.mark.parametrize("name", [LONGEST, "ab"])
def test_packages_are_as_linters_want_them(name: str, tmp_path: Path) -> None:
    for kind in TEMPLATE_KINDS:
        new_package(name, kind, tmp_path / kind)
    for command in (["check"], ["format", "--diff"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--no-cache", "."], cwd=tmp_path, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("spots", "alinger", r"there is no kind 'alinger'; did you mean 'aligner'\?"),
        ("My_Spots", "aligner", "single hyphens between, e.g. my-spots, starting with a letter, .* found 'My_Spots'"),
        ("3d", "aligner", "between, starting with a letter"),
        (f"{LONGEST}c", "aligner", "at most 30 characters"),
        ("../spots", "aligner", "expected lower-case letters"),
        ("aligner", "judge", "which is a kind"),
        ("json", "judge", "a word or module of Python"),
        ("class", "judge", "a word or module of Python"),
        ("torch", "judge", "a package can be imported as `torch` already"),
        ("stab", "judge", "'stab' is an installed plugin"),
        ("vlmkit-stab", "judge", "'vlmkit-stab' is an installed plugin"),
        ("chat-univi", "aligner", "aligner 'chat-univi' is there already, of vlmkit"),
    ],
)
def test_some_names_cannot_be_given(name: str, kind: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=said):
        new_package(name, kind, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "spots").symlink_to("nowhere")
    with pytest.raises(PluginError, match="spots is there already"):
        new_package("spots", "judge", tmp_path)
    with pytest.raises(PluginError, match="cannot be made"):
        new_package("more", "judge", tmp_path / "spots" / "below")
    (tmp_path / "file").touch()
    with pytest.raises(PluginError, match="file/spots: this folder cannot be made"):
        new_package("spots", "judge", tmp_path / "file")


def test_a_package_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Path, *_: object, **__: object) -> int:
        if self.name == "py.typed":
            raise OSError(28, "No space left on device")
        return written(self, "")

    written = Path.write_text
    monkeypatch.setattr(Path, "write_text", fail)
    with pytest.raises(PluginError, match="No space left on device"):
        new_package("spots", "judge", tmp_path)
    assert list(tmp_path.iterdir()) == []
