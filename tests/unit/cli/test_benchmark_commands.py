"""`vlmkit benchmarks`: the registry, what of it is on this machine, and new entries."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from vlmkit.benchmarks import entries
from vlmkit.evaluation import benchmark_folders
from vlmkit.registry import Gathered, Plugin, validate_slot

Call = Callable[..., int]
Said = Callable[[], tuple[str, str]]


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real video."""
    options = {"type": "moving-shapes", "clips": 1, "size": 32, "root": tmp_path_factory.mktemp("drawn")}
    spec: Any = validate_slot("dataset", options)
    spec.prepare()
    [file] = spec.video_root().glob("*.mp4")
    assert isinstance(file, Path)
    return file


@pytest.fixture
def videos(tmp_path: Path, clip: Path) -> Path:
    """A folder with the video of the example questions."""
    (tmp_path / "videos").mkdir()
    shutil.copy(clip, tmp_path / "videos" / "example.mp4")
    return tmp_path / "videos"


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    """What was printed since the last time, and what was reported as wrong."""
    return lambda: tuple(capsys.readouterr())  # type: ignore[return-value]


@pytest.fixture(autouse=True)
def own_pins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLMKIT_PINS", str(tmp_path / "pins.yaml"))


@pytest.fixture
def crossing(call: Call, said: Said, tmp_path: Path) -> Path:
    """A new entry."""
    assert call("benchmarks", "new", "crossing", "--folder", str(tmp_path / "mine")) == 0
    said()
    return tmp_path / "mine" / "crossing"


def test_the_list_has_every_entry(call: Call, said: Said, crossing: Path, videos: Path, tmp_path: Path) -> None:
    root = tmp_path / "root" / "crossing"
    shutil.copytree(videos, root)
    (root / "notes.txt").touch()
    assert call("benchmarks", "--benchmarks-path", str(crossing.parent), "--video-root", str(root.parent)) == 0
    out, _ = said()
    assert {line.split(":")[0] for line in out.splitlines() if line[0] != " "} == {*benchmark_folders(), "crossing"}
    own = out[out.index("crossing:") :].splitlines()[:5]
    assert own == [
        "crossing: crossing, questions about videos",
        "  split test: 2 questions",
        "  license: write here who may use questions and videos, and for what",
        "  protocols: authors",
        f"  here: 1 of 1 annotation file, 1 file in {root}",
    ]
    assert "here: 0 of 2 annotation files" in out[out.index("msvd-qa:") :]
    assert "here: made by the dataset moving-shapes" in out


def test_a_broken_entry_is_listed_with_what_is_wrong(call: Call, said: Said, crossing: Path) -> None:
    (crossing / "benchmark.yaml").write_text("title: x")
    assert call("benchmarks", "--benchmarks-path", str(crossing.parent)) == 0
    out, _ = said()
    assert "this benchmark has" in out
    assert "msvd-qa: MSVD-QA" in out


def test_the_list_needs_no_torch() -> None:
    code = """if True:
        import sys
        from vlmkit.cli import app
        app(["benchmarks"], standalone_mode=False)
        print("torch" in sys.modules, "decord" in sys.modules)"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "False False"


def test_show(call: Call, said: Said) -> None:
    assert call("benchmarks", "show", "msvd-qa") == 0
    out, _ = said()
    for part in ("paper: Xu et al.", "split test (default): 13,157 questions, 504 videos", "split val: 6,415",
                 "  youtube_mapping.txt: sha256 28ad09f8b345eab", "from https://github.com/fanchenyou/HME-VideoQA",
                 "protocol video-chatgpt@1: accuracy, score", "protocol authors@1: accuracy",
                 "Video-Panda    same data       accuracy 0.647  score 3.8"):  # fmt: skip
        assert part in out


@pytest.mark.parametrize("command", ["show", "check", "pin"])
def test_an_unknown_name(call: Call, said: Said, command: str) -> None:
    assert call("benchmarks", command, "msvd") == 2
    assert said()[1].startswith("vlmkit: there is no benchmark 'msvd'; did you mean 'msvd-qa'? benchmarks: ")


def test_a_new_entry_is_accepted_as_it_is(call: Call, said: Said, crossing: Path, videos: Path) -> None:
    lines = (crossing / "benchmark.yaml").read_text().splitlines()
    assert len([line for line in lines if not line.startswith("#")]) <= 15
    check = ["benchmarks", "check", "crossing", "--benchmarks-path", str(crossing.parent)]
    assert call(*check, "--video-root", str(videos)) == 0
    assert said()[0].splitlines() == [
        "crossing, split test",
        "  questions.jsonl: not verified: the entry has no checksum of it, pin it",
        "  2 questions about 1 video",
        "  videos: 1 of 1 there",
        "  videos: 1 of 1 decode (first, middle and last frame)",
    ]
    assert call(*check) == 0
    assert "videos: not looked for" in said()[0]


def test_the_folder_can_be_given_to_the_group_or_in_the_environment(
    call: Call, crossing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call("benchmarks", "--benchmarks-path", str(crossing.parent), "check", "crossing") == 0
    monkeypatch.setenv("VLMKIT_BENCHMARKS_PATH", str(crossing.parent))
    assert call("benchmarks", "check", "crossing") == 0


def test_the_folder_of_an_entry_is_as_good_as_the_one_around_it(call: Call, crossing: Path) -> None:
    assert call("benchmarks", "check", "crossing", "--benchmarks-path", str(crossing)) == 0


def test_a_plugin_whose_entries_are_missing_is_named(call: Call, said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    gathered = Gathered([(Plugin("mine", "m", "mine", "1.0"), Path("/gone"))], [])
    monkeypatch.setattr(entries, "registry", lambda: SimpleNamespace(gather=lambda hook, what: gathered))
    assert call("benchmarks") == 0
    assert said()[0].splitlines()[-1] == (
        "entries are missing here: plugin 'mine' (mine 1.0) offers the folder of benchmarks /gone, but there is none; "
        "reinstall it"
    )


@pytest.mark.parametrize("option", ["--annotation-root", "--video-root"])
def test_the_list_needs_the_folders_that_it_is_given(call: Call, said: Said, option: str) -> None:
    assert call("benchmarks", option, "/nowhere") == 2
    assert said()[1].startswith(f"vlmkit: {option}: there is no folder /nowhere")


def test_pins_that_cannot_be_written(
    call: Call, said: Said, crossing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("VLMKIT_PINS", str(tmp_path / "file" / "pins.yaml"))
    assert call("benchmarks", "pin", "crossing", "--benchmarks-path", str(crossing.parent)) == 2
    assert "it cannot be written: " in said()[1]


def test_what_is_made_is_not_overwritten(call: Call, said: Said, crossing: Path) -> None:
    before = (crossing / "questions.jsonl").read_text()
    assert call("benchmarks", "new", "crossing", "--folder", str(crossing.parent)) == 2
    assert f"{crossing} is there already; choose another name or folder" in said()[1]
    assert (crossing / "questions.jsonl").read_text() == before


@pytest.mark.parametrize("name", ["Crossing", "a/b", "", ".."])
def test_a_name_that_is_none(call: Call, said: Said, tmp_path: Path, name: str) -> None:
    assert call("benchmarks", "new", name, "--folder", str(tmp_path / "mine")) == 2
    assert "expected lower-case letters, digits" in said()[1]
    assert not (tmp_path / "mine").exists()


def test_a_folder_that_cannot_be_made(call: Call, said: Said, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert call("benchmarks", "new", "crossing", "--folder", str(tmp_path / "file")) == 2
    assert "this folder cannot be made" in said()[1]


def test_all_that_is_wrong_with_videos_is_told(call: Call, said: Said, crossing: Path, videos: Path) -> None:
    rows = [{"id": name, "video": name, "question": "what is it?", "answer": "it"}
            for name in ("example", "gone", "broken", "empty")]  # fmt: skip
    (crossing / "questions.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (videos / "broken.mp4").write_bytes((videos / "example.mp4").read_bytes()[:500])
    (videos / "empty.mp4").touch()
    check = ["benchmarks", "check", "crossing", "--benchmarks-path", str(crossing.parent), "--video-root", str(videos)]
    assert call(*check) == 2
    out, err = said()
    assert "  videos: 3 of 4 there" in out
    assert "  videos: 1 of 3 decode (first, middle and last frame)" in out
    for part in ("expected 2 questions as the registry says, found 4", "video gone: no file gone.mp4 or gone.mkv",
                 f"video broken: {videos / 'broken.mp4'}", f"video empty: {videos / 'empty.mp4'}"):  # fmt: skip
        assert f"  wrong: crossing, split test: {part}" in out or f"  wrong: {part}" in out
    assert err.splitlines()[-1] == "vlmkit: crossing, split test: 4 problems, see above"
    assert call(*check, "--no-decode") == 2
    assert "decode" not in said()[0]


def test_videos_of_another_name(call: Call, said: Said, crossing: Path, videos: Path) -> None:
    (videos / "example.mp4").rename(videos / "x_example.mp4")
    check = ["benchmarks", "check", "crossing", "--benchmarks-path", str(crossing.parent), "--video-root", str(videos)]
    assert call(*check) == 2
    assert "none of its 1 videos was found" in said()[1]
    assert call(*check, "--video-file", "x_{video}{ext}") == 0
    assert call(*check, "--video-file", "x") == 2
    assert "vlmkit: --video-file: expected a template with {video} in it" in said()[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--split", "val"], "crossing: there is no split 'val'; splits: test"),
        (["--video-root", "/nowhere"], "there is no folder of videos /nowhere"),
        (["--benchmarks-path", "/nowhere"], "there is no folder of benchmarks /nowhere"),
    ],
)
def test_mistakes(call: Call, said: Said, crossing: Path, arguments: list[str], message: str) -> None:
    assert call("benchmarks", "check", "crossing", "--benchmarks-path", str(crossing.parent), *arguments) == 2
    assert message in said()[1]


def test_a_missing_and_a_truncated_annotation_file(call: Call, said: Said, crossing: Path) -> None:
    check = ["benchmarks", "check", "crossing", "--benchmarks-path", str(crossing.parent)]
    whole = (crossing / "questions.jsonl").read_text()
    entry = crossing / "benchmark.yaml"
    digest = hashlib.sha256(whole.encode()).hexdigest()
    entry.write_text(entry.read_text().replace("source:", f"sha256: {digest}, source:"))
    assert call(*check) == 0
    assert f"questions.jsonl: sha256 {digest}" in said()[0]
    (crossing / "questions.jsonl").write_text(whole[:-30])
    assert call(*check) == 2
    assert f"questions.jsonl is not the registered annotation file: expected sha256 {digest}" in said()[0]
    (crossing / "questions.jsonl").unlink()
    assert call(*check) == 2
    assert "set `annotation_root` (--annotation-root) to the folder that holds questions.jsonl" in said()[0]


def test_a_prompt_that_cannot_be_made_of_the_questions(call: Call, said: Said, crossing: Path) -> None:
    entry = crossing / "benchmark.yaml"
    prompt = "<video> {question} {subtitel}"
    entry.write_text(entry.read_text().replace("{type: open-ended-qa}", f'{{type: open-ended-qa, prompt: "{prompt}"}}'))
    assert call("benchmarks", "check", "crossing", "--benchmarks-path", str(crossing.parent)) == 2
    assert "names {subtitel}, which a question lacks" in "".join(said())


def test_a_truncated_file_without_checksum(call: Call, said: Said, crossing: Path) -> None:
    (crossing / "questions.jsonl").write_text((crossing / "questions.jsonl").read_text()[:-30])
    assert call("benchmarks", "check", "crossing", "--benchmarks-path", str(crossing.parent)) == 2
    assert "questions.jsonl, line 2: " in "".join(said())


def test_pinned_content_is_verified_from_then_on(call: Call, said: Said, crossing: Path) -> None:
    where = ["crossing", "--benchmarks-path", str(crossing.parent)]
    digest = hashlib.sha256((crossing / "questions.jsonl").read_bytes()).hexdigest()
    assert call("benchmarks", "pin", *where) == 0
    assert f"questions.jsonl: sha256 {digest}" in said()[0]
    assert call("benchmarks", "pin", *where) == 0, "the same again"
    assert call("benchmarks", "check", *where) == 0
    assert f"questions.jsonl: sha256 {digest}" in said()[0]
    text = (crossing / "questions.jsonl").read_text()
    (crossing / "questions.jsonl").write_text(text.replace("green", "amber"))
    assert call("benchmarks", "check", *where) == 2
    assert "is not the registered annotation file" in said()[0]
    assert call("benchmarks", "pin", *where) == 2
    assert f"questions.jsonl is pinned with sha256 {digest}, found" in said()[1]


@pytest.mark.parametrize(("name", "why"), [("moving-shapes", "come from a dataset"), ("crossing", "all checksums")])
def test_nothing_to_pin(call: Call, said: Said, crossing: Path, name: str, why: str) -> None:
    entry = crossing / "benchmark.yaml"
    digest = hashlib.sha256((crossing / "questions.jsonl").read_bytes()).hexdigest()
    text = entry.read_text().replace("questions: 2", "questions: 2\n    videos: 1")
    entry.write_text(text.replace("source:", f"sha256: {digest}, source:"))
    assert call("benchmarks", "pin", name, "--benchmarks-path", str(crossing.parent)) == 2
    assert "there is nothing to pin" in (err := said()[1])
    assert why in err


@pytest.mark.parametrize(("split", "questions", "clips"), [("test", 73, 3), ("train", 131, 4), ("val", 22, 1)])
def test_clips_of_msvd_decode(call: Call, said: Said, shared: Path, split: str, questions: int, clips: int) -> None:
    """Real files: the questions about the clips beside the checkout, in the layout of Video-ChatGPT."""
    mini = shared / "annotations" / "mini" / f"MSVD_{split}"
    files = [part for name in ("test_q.json", "test_a.json") for part in ("--annotations", str(mini / name))]
    assert call("benchmarks", "check", "msvd-qa", "--split", split, *files, "--video-root", str(shared / "videos"),
                "--video-file", "msvd_{video}{ext}") == 0  # fmt: skip
    out, _ = said()
    assert f"{questions} questions about {clips} video" in out
    assert f"videos: {clips} of {clips} decode" in out
