"""A saved model of random weights, a benchmark of drawn clips, and text tasks of lm-eval in local files."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import vlmkit_lm_eval
from vlmkit.model import compose
from vlmkit.registry import registry
from vlmkit.spec.experiment import ExperimentSpec

MODEL = {
    "aligner": {
        "type": "stab",
        "width": 32,
        "patch": 8,
        "heads": 2,
        "projector": "identity",
        "input": {"size": 48, "multiple": 16},
    },
    "backbone": {
        "type": "hf-causal-lm",
        "init": "random",
        "config": {
            "model_type": "llama",
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "intermediate_size": 32,
            "max_position_embeddings": 64,
            "initializer_range": 0.5,
        },
        "tokenizer": {"text": ["which colour what shape is it how many fast left right"], "vocab_size": 300},
    },
}
TASKS = {
    "tiny-choice": "output_type: multiple_choice\ndoc_to_text: '{{question}}'\ndoc_to_choice: '{{choices}}'\n"
    "doc_to_target: gold\nnum_fewshot: 1\nfewshot_split: test\n",
    "tiny-rolling": "output_type: loglikelihood_rolling\ndoc_to_text: ''\ndoc_to_target: '{{text}}'\n"
    "metric_list: [{metric: word_perplexity}]\n",
    "tiny-generate": "output_type: generate_until\ndoc_to_text: '{{question}}'\ndoc_to_target: '{{choices[0]}}'\n"
    "generation_kwargs: {until: [is], max_gen_toks: 6}\n",
}


class Saved(NamedTuple):
    """Folders of one model."""

    model: Path
    """As vlmkit saves it."""
    language: Path
    """Its language model with the tokenizer, as transformers saves them."""


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    """The model of MODEL with random weights."""
    folder = tmp_path_factory.mktemp("saved")
    saved = Saved(folder / "model", folder / "language")
    model, processor = compose(_experiment({}).model, seed=1)
    for part in (model, processor):
        part.save_pretrained(saved.model)
    for part in (model.backbone, processor.tokenizer):
        part.save_pretrained(saved.language)
    return saved


class Clips(NamedTuple):
    """Questions about drawn clips, for the entry `msvd-qa` of the registry."""

    annotations: Path
    """A list of questions with answers."""
    videos: Path

    @property
    def options(self) -> dict[str, Any]:
        """What a spec says of the benchmark besides its name."""
        own = [{"path": str(self.annotations)}]
        return {"annotations": own, "video_root": str(self.videos), "video_file": "{video}"}

    def spec(self, **evaluation: Any) -> ExperimentSpec:
        """The spec of a run that is measured on them."""
        return _experiment({"benchmarks": [{**self.options, "name": "msvd-qa"}], **evaluation})


def _experiment(evaluation: dict[str, Any]) -> ExperimentSpec:
    options = {"evaluation": evaluation} if evaluation else {}
    return ExperimentSpec.model_validate({"vlmkit": 1, "name": "measured", "model": MODEL, **options})


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of clips."""
    shapes: Any = registry().get("dataset", "moving-shapes").spec
    spec = shapes(clips=6, size=32, root=str(tmp_path_factory.mktemp("drawn")))
    spec.prepare()
    folder: Path = spec.video_root()
    return folder


@pytest.fixture
def clips(drawn: Path, tmp_path: Path) -> Clips:
    """Four questions about each of three clips, not one after the other."""
    names = sorted(file.name for file in drawn.glob("*.mp4"))[:3]
    questions = [
        {"id": f"{word}-{number}", "video": name, "question": f"{word} is it?", "answer": word}
        for word in ("what", "which", "how", "left")
        for number, name in enumerate(names)
    ]
    annotations = tmp_path / "questions.json"
    annotations.write_text(json.dumps(questions))
    return Clips(annotations, drawn)


@pytest.fixture(scope="session")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the text tasks of TASKS."""
    folder = tmp_path_factory.mktemp("tasks")
    rows = [
        {"question": f"which colour is {n}?", "choices": ["red", "fast left"], "gold": n % 2, "text": "it is " * 9 * n}
        for n in range(1, 7)
    ]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    data = f"dataset_path: json\ndataset_kwargs: {{data_files: {{test: {folder}/rows.jsonl}}}}\ntest_split: test\n"
    for name, text in TASKS.items():
        (folder / f"{name}.yaml").write_text(f"task: {name}\n{data}{text}")
    return folder


@pytest.fixture(autouse=True)
def harness(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """lm-eval without network, with vlmkit's models and tasks, and without its own thousands of tasks."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    vlmkit_lm_eval.register()
    import datasets
    import lm_eval.tasks

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("datasets"))
    own = partial(lm_eval.tasks.TaskManager, include_defaults=False)
    monkeypatch.setattr(lm_eval.tasks, "TaskManager", own)
    monkeypatch.setattr("lm_eval.evaluator.TaskManager", own)
