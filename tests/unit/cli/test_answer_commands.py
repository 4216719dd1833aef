"""`vlmkit answers`: import, export and reproduce on the command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from vlmkit.cli import main

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Exit code, output and message of a command line below `vlmkit answers`."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["vlmkit", "answers", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out, said.err

    return run


@pytest.fixture
def entries(write_entries: Callable[[str], Path]) -> Path:
    """A folder of entries with one of two questions."""
    return write_entries("ab")


def test_import_says_what_came_along_and_what_did_not(call: Call, entries: Path, tmp_path: Path) -> None:
    asked = {"q": "what?", "a": "cup"}
    judged = {
        "a": [{"pred": "yes", "score": 5}, {**asked, "pred": "a cup"}],
        "b": [{"pred": "no", "score": 1}, {**asked, "pred": "a hat"}],
    }
    (tmp_path / "judged.json").write_text(json.dumps(judged))
    (tmp_path / "answers.csv").write_text("id,answer\na,a cup\nb,\n")
    given = ("import", tmp_path / "answers.csv", "--verdicts", tmp_path / "judged.json", "--benchmark", "tiny",
             "--benchmarks-path", entries)  # fmt: skip
    code, out, err = call(*given, "--to", tmp_path / "ada")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        f"2 answers of ada to tiny, split test: {tmp_path / 'ada/eval/tiny'}",
        "  1 of them are empty: the tool got no answer",
        "  1 verdicts of gpt-3.5-turbo-0125",
        "  1 verdicts judged another answer and are left out, e.g. 'b': '' here, 'a hat' there; --answers judged takes "
        "what was judged",
        "  accuracy 1.0000 [0.2065, 1.0000] of 1 questions, protocol authors@3, judge gpt-3.5-turbo-0125 stored",
        "  1 answers are unscored: that judge did not judge them",
    ]
    code, out, err = call(*given, "--answers", "judged", "--model", "Bob", "--to", tmp_path / "bob")
    assert code == 0
    assert out.splitlines()[0].startswith("2 answers of Bob to tiny")
    assert out.splitlines()[1:3] == [
        "  2 verdicts of gpt-3.5-turbo-0125",
        "  accuracy 0.5000 [0.0945, 0.9055] of 2 questions, protocol authors@3, judge gpt-3.5-turbo-0125 stored",
    ]
    code, _, err = call(*given, "--to", tmp_path / "bob")
    assert code == 2
    assert "there is an evaluation already" in err


def test_results_are_exported(call: Call, entries: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLMKIT_BENCHMARKS_PATH", str(entries))
    (tmp_path / "answers.csv").write_text("id,answer\na,cup\nb,hat\n")
    run = tmp_path / "ada"
    assert call("import", tmp_path / "answers.csv", "--benchmark", "tiny", "--to", run)[0] == 0
    record, entry = tmp_path / "record.json", tmp_path / "entry.yaml"
    code, out, _ = call("export", run, "--format", "every-eval-ever", "--organization", "lab", "--to", record)
    assert (code, out) == (0, f"written: {record}\n")
    assert json.loads(record.read_text())["evaluation_results"][0]["score_details"]["score"] == 0.5
    given = ("export", run, "--format", "hf-eval-results", "--to", entry)
    code, _, err = call(*given)
    assert code == 2
    assert "expected --dataset" in err
    assert call(*given, "--dataset", "lab/tiny")[0] == 0
    assert yaml.safe_load(entry.read_text())[0]["dataset"] == {"id": "lab/tiny", "task_id": "default"}


def test_export_of_no_run_is_one_message(call: Call, tmp_path: Path) -> None:
    code, _, err = call("export", tmp_path, "--format", "every-eval-ever", "--to", tmp_path / "a.json")
    assert code == 2
    assert err.startswith(f"vlmkit: {tmp_path}: expected a run with results")


def test_reproduce_writes_the_page(call: Call, tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    (tmp_path / "answers.csv").write_text("id,video,task,reference,answer\n1,a,order,A,A\n2,b,order,B,A\n")
    system = {
        "name": "Ada",
        "answers": ["answers.csv"],
        "numbers": [{"published": "50.0"}, {"published": "3", "what": "right"}],
    }
    content = {"title": "Tiny", "source": "none", "benchmark": "vnbench", "letters": 2, "systems": [system]}
    (tmp_path / "lists" / "tiny.yaml").write_text(yaml.safe_dump(content))
    page = tmp_path / "page.md"
    code, out, err = call("reproduce", "--from", tmp_path, "--published", tmp_path / "lists", "--to", page)
    assert (code, err) == (0, "")
    assert out == f"1 of 2 published numbers agree: {page}\n"
    assert "| Ada | accuracy | 50.0 | 50.0 |" in page.read_text()
