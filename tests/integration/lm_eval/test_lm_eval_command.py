"""`vlmkit lm-eval`: lm-eval's own command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import vlmkit_lm_eval
from vlmkit.api import UserError


def _run(folder: Path, *rest: str) -> None:
    arguments = ["run", "--model", "vlmkit", "--model_args", f"path={folder}", "--device", "cpu", *rest]
    vlmkit_lm_eval.command(arguments)


def test_it_prints_lm_evals_table(saved: Any, clips: Any, tasks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = list(sys.argv)
    metadata = json.dumps({"msvd-qa": clips.options})
    names = ["--tasks", "msvd-qa,tiny-choice", "tiny-rolling", "--include_path", str(tasks)]
    _run(saved.model, *names, "--metadata", metadata, "--batch_size", "4", "--limit", "2", "--apply_chat_template")
    lines = [[cell.strip() for cell in line.split("|")] for line in capsys.readouterr().out.splitlines()]
    assert [(line[1], line[5]) for line in lines if len(line) > 5 and "accuracy" in line] == [("msvd-qa", "accuracy")]
    assert {"acc", "word_perplexity", "score"} <= {line[5] for line in lines if len(line) > 5}
    assert sys.argv == before


def test_answers_are_written_where_a_user_says(saved: Any, clips: Any, tmp_path: Path) -> None:
    output = tmp_path / "output"
    metadata = json.dumps({"msvd-qa": clips.options})
    _run(saved.model, "--tasks", "msvd-qa", "--metadata", metadata, "--output_path", str(output), "--log_samples")
    [file] = output.rglob("samples_msvd-qa*.jsonl")
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [row["doc"]["id"] for row in rows][:3] == ["what-0", "what-1", "what-2"]
    assert rows[0]["target"] == "what"
    assert rows[0]["arguments"]["gen_args_0"]["arg_2"]["visual"][0].endswith(".mp4")


def test_it_lists_the_benchmarks(capsys: pytest.CaptureFixture[str]) -> None:
    vlmkit_lm_eval.command(["ls", "subtasks"])
    assert "msvd-qa" in capsys.readouterr().out


def test_answers_without_metrics(saved: Any, clips: Any, tmp_path: Path) -> None:
    metadata = json.dumps({"msvd-qa": clips.options})
    wanted = ["--predict_only", "--samples", json.dumps({"msvd-qa": [1, 5]}), "--num_fewshot", "3", "--write_out"]
    _run(saved.model, "--tasks", "msvd-qa", "--metadata", metadata, "--output_path", str(tmp_path / "o"), *wanted)
    [file] = (tmp_path / "o").rglob("samples_msvd-qa*.jsonl")
    assert [json.loads(line)["doc_id"] for line in file.read_text().splitlines()] == [1, 5]


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        (["--tasks", "msvd-qu"], "lm-eval: Tasks not found: msvd-qu"),
        (["--tasks", "msvd-qa", "--limit", "1", "--samples", "{}", "--log_samples"], "lm-eval: Specify --output_path"),
    ],
)
def test_what_lm_eval_refuses_is_one_message(saved: Any, rest: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        _run(saved.model, *rest)


def test_mistakes_of_ours_are_not_hidden(monkeypatch: pytest.MonkeyPatch, saved: Any, clips: Any) -> None:
    def fails(*_: Any) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr("vlmkit_lm_eval.harness_model.ask", fails)
    with pytest.raises(ZeroDivisionError):
        _run(saved.model, "--tasks", "msvd-qa", "--metadata", json.dumps({"msvd-qa": clips.options}))


def test_without_lm_eval_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vlmkit_lm_eval.spec.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"lm-eval is not installed; install it: pip install 'lm-eval"):
        vlmkit_lm_eval.command([])


def test_the_plugin_is_light() -> None:
    code = (
        "import sys, vlmkit_lm_eval\nfrom vlmkit.registry import registry\n"
        "assert not {'torch', 'lm_eval', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
