"""Fixtures that several folders of tests share: golden files of the visual part, finished evaluations."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from vlmkit.api import Judge, JudgeRequest, Unscored, Verdict
from vlmkit.evaluation.answers import Answer
from vlmkit.evaluation.finished import find_finished
from vlmkit.evaluation.judging import VerdictStore
from vlmkit.evaluation.scores import score_answers
from vlmkit.json_files import json_line


@pytest.fixture(scope="session")
def fill(golden: Path) -> ModuleType:
    """The deterministic weights and inputs behind the golden files."""
    spec = importlib.util.spec_from_file_location("golden_fill", golden / "fill.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def published_shapes(golden: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the visual part of the released Video-Panda checkpoints."""
    shapes = json.loads((golden / "video_panda_shapes.json").read_text())
    return {name: tuple(shape) for name, shape in shapes.items()}


@pytest.fixture(scope="session")
def tower_shapes(published_shapes: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Those of the tower, without their prefix."""
    prefix = "model.video_tower."
    return {name.removeprefix(prefix): shape for name, shape in published_shapes.items() if name.startswith(prefix)}


def _entry(evaluator: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "title": "Invented", "paper": "none", "license": "none", "version": "1", "default_split": "test",
        "splits": {"test": {"files": [{"name": "test.json", "sha256": "0" * 64, "source": "none"}]}},
        "video": {"file": "{video}.mp4"}, "generation": {"max_new_tokens": 5}, "metrics": ["accuracy"],
        "evaluator": evaluator, **more,
    }  # fmt: skip


_CHOICE = {"type": "multiple-choice", "extractor": "video-mme"}
_STRICT = {"version": "2", "source": "us", "evaluator": {"extractor": "strict"}}
_PROTOCOLS = {"authors": {"version": "1", "source": "them"}, "strict": _STRICT}


class _Saying(Judge):
    """Says of each answer what it is told to, and fails on the others."""

    version = "1"

    def __init__(self, verdicts: Mapping[str, Verdict]) -> None:
        self.verdicts = verdicts

    def judge_one(self, request: JudgeRequest) -> Verdict | Unscored:
        return self.verdicts.get(request.answer) or Unscored("asleep")


class FinishedRuns:
    """Runs with invented answers to two invented benchmarks: `colors`, multiple choice, and `words`, judged.

    Questions are named after their video: a1, a2, b1, … The first of a video is of type `what`, the others of `where`.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.entries = root / "runs", root / "entries"
        self.entry("colors", **_entry(_CHOICE, protocols=_PROTOCOLS))
        self.entry("words", **_entry({"type": "open-ended-qa"}, metrics=["accuracy", "score"]))

    def entry(self, name: str, **changes: Any) -> None:
        """Change what an entry says."""
        folder = self.entries / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "README.md").write_text("Invented.")
        file = folder / "benchmark.yaml"
        before = yaml.safe_load(file.read_text()) if file.exists() else {}
        file.write_text(yaml.safe_dump({**before, **changes}))

    def add(self, run: str, benchmark: str, said: Mapping[str, str | None], **result: Any) -> Path:
        """Write the answers of a run by the id of the question, and a result that says this; return the run."""
        folder = self.root / run / "eval" / benchmark
        folder.mkdir(parents=True)
        lines = [self.answer(key, text, benchmark).data() for key, text in said.items()]
        self.rewrite(folder / "predictions.jsonl", lines)
        plain = {
            "benchmark": benchmark, "version": "1", "split": "test", "protocol": "authors@1", "judge": None,
            "n": len(said), "skipped": 0, "unscored": 0, "metrics": {}, "by_type": {}, "spec_sha256": "",
        }  # fmt: skip
        (folder / "result.json").write_text(json.dumps({**plain, **result}))
        return self.root / run

    @staticmethod
    def rewrite(file: Path, lines: Sequence[Mapping[str, Any]]) -> None:
        """Write answers."""
        file.write_text("".join(map(json_line, lines)))

    @staticmethod
    def answer(key: str, said: str | None, benchmark: str) -> Answer:
        """An answer to one question; green is right."""
        about = {"id": key, "video": key[0], "type": "what" if key[1:] == "1" else "where", "group": key[0]}
        choice = {"options": ["red", "green", "blue"], "correct": 1} if benchmark == "colors" else {}
        return Answer(**about, **choice, question=f"Which in {key}?", answer="green", prediction=said)

    def judge(self, run: str, name: str, verdicts: Mapping[str, Verdict], *, prompted: bool = False) -> None:
        """Store a judge's verdicts, by the answer, on the answers to `words`."""
        folder = self.root / run / "eval" / "words"
        answers = [Answer.model_validate_json(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]
        asked: list[JudgeRequest] = []

        def note(requests: Any) -> list[Unscored]:
            asked.extend(requests)
            return [Unscored("") for _ in requests]

        score_answers(answers, find_finished(folder, more=[str(self.entries)]).rules(), note)
        requests = asked if prompted else [one.plain() for one in asked]
        with closing(VerdictStore(folder / "verdicts.sqlite")) as store:
            store.judge_all(name, _Saying(verdicts), requests)


@pytest.fixture
def finished_runs(tmp_path: Path) -> FinishedRuns:
    """Writes runs with invented answers, and the entries of their benchmarks."""
    return FinishedRuns(tmp_path)
