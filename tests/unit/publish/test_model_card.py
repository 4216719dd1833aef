"""The model card: what it says, that the Hub can read it, and that its code runs."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import EvalResult, ModelCard, ModelCardData
from huggingface_hub.repocard import metadata_load
from markdown_it import MarkdownIt

from vlmkit.answers.exports import HubBenchmark
from vlmkit.errors import DataError
from vlmkit.formatting import EN_DASH
from vlmkit.publish.card_data import CardOptions
from vlmkit.publish.hub_folder import ExportOptions, export_model

from .conftest import measured, scores


def card_of(target: Path, out: Path, options: ExportOptions | None = None) -> ModelCard:
    card: ModelCard = ModelCard.load(export_model(target, out, options).folder / "README.md")
    return card


def eval_results(card: ModelCard) -> list[EvalResult]:
    """The scores as huggingface_hub reads them back."""
    assert isinstance(card.data, ModelCardData)
    return card.data.eval_results or []


def tables(card: ModelCard) -> list[list[list[str]]]:
    """The cells of every table, as Markdown is read."""
    found: list[list[list[str]]] = []
    for token in (tokens := MarkdownIt().enable("table").parse(card.text)):
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            found[-1].append([])
        elif token.type == "inline" and found and tokens[tokens.index(token) - 1].type in ("td_open", "th_open"):
            found[-1][-1].append("".join(part.content for part in token.children or []))
    return found


def test_metadata(run: Path, tmp_path: Path) -> None:
    about = CardOptions("apache-2.0", "org/base", ("org/clips",), "org/tiny-model")
    options = ExportOptions(about, {"moving-shapes": HubBenchmark("org/shapes", "default")})
    card = card_of(run, tmp_path / "out", options)
    data = metadata_load(tmp_path / "out" / "README.md")
    assert data is not None
    results = data.pop("model-index")
    assert data == {
        "base_model": "org/base",
        "base_model_relation": "finetune",
        "datasets": ["org/clips"],
        "library_name": "vlmkit",
        "license": "apache-2.0",
        "metrics": ["accuracy"],
        "pipeline_tag": "video-text-to-text",
        "tags": ["vlmkit", "video", "video-question-answering", "stab", "encoder-free"],
    }
    assert results[0]["name"] == "tiny-model"
    (score,) = eval_results(card)  # huggingface_hub reads back what it wrote
    assert (score.dataset_type, score.dataset_split, score.metric_type, score.metric_value) == (
        "org/shapes", "test", "accuracy", 0.7,
    )  # fmt: skip
    assert score.metric_args == {
        "protocol": "authors@1", "judge": "openai 1: some-judge at LOCAL (vlmkit 0.1.0)", "frames": 16, "limit": 105,
        "questions": 100, "skipped": 3, "unscored": 2, "ci95": [0.6, 0.79],
    }  # fmt: skip


def test_text(run: Path, tmp_path: Path) -> None:
    card = card_of(run, tmp_path / "out")
    parts, headline, measured_how, controls, types, training = tables(card)
    assert [row[0] for row in parts[1:]] == [
        "aligner, from pixels to tokens of the language model", "language model", "whole model",
    ]  # fmt: skip
    assert int(parts[3][2].replace(",", "")) == sum(int(row[2].replace(",", "")) for row in parts[1:3])
    assert headline[1] == ["moving-shapes", "accuracy", "70.0%", f"60.0{EN_DASH}79.0%", "100"]
    assert measured_how[1] == [
        "moving-shapes", "test, the first 105 questions only", "authors@1",
        "openai 1: some-judge at LOCAL (vlmkit 0.1.0)", "16, uniform",
        "3 videos unreadable, 2 without a verdict, 4 answers unreadable, counted as wrong",
    ]  # fmt: skip
    assert controls[1][2:] == ["25.0%", f"20.0{EN_DASH}31.0%", "+45.00", "+40.00 to +50.00"]
    assert types[1] == ["colour|shade", "80.0%", f"70.0{EN_DASH}90.0%", "100"]
    assert training[1][:2] == ["align", "moving-shapes (clips 50, root LOCAL), 48 samples"]
    assert training[1][3:] == ["30 steps of 4 samples, 15 s", "0.2500"]
    for said in (
        "It started from the weights in LOCAL.",
        "Named in its spec, and not measured: msvd-qa.",
        "with the control `other-video` it still reaches 25.0% (accuracy)",
        "No license is stated",
        "Python 3.11.4, Linux x86_64, 2 CPU cores, torch 2.13.0",
    ):
        assert said in card.text, said
    assert "Nothing was measured" not in card.text


def test_a_saved_model_has_no_scores(talker: Path, tmp_path: Path) -> None:
    card = card_of(talker, tmp_path / "out")
    assert not eval_results(card)
    assert "# talker" in card.text
    assert "No scores are known of this model." in card.text
    assert "Nothing was measured" in card.text
    assert "How it was trained is not known" in card.text
    (parts,) = tables(card)
    assert "stab" in parts[1][1]


def test_a_run_that_measured_a_saved_model(run: Path, talker: Path, place: Path, tmp_path: Path) -> None:
    shutil.copytree(talker, place / "start")
    text = (run / "spec.yaml").read_text()
    (run / "spec.yaml").write_text(
        re.sub(r"^training:\n(  .*\n)+", "training: null\n", text, flags=re.M).split("# ")[0]
    )
    shutil.rmtree(run / "model")
    shutil.rmtree(run / "stages")
    shutil.rmtree(run / "eval")
    measured(run, "moving-shapes")
    card = card_of(run, tmp_path / "out")
    assert "| moving-shapes | accuracy | 70.0% |" in card.text
    assert "How it was trained is not known" in card.text
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == (talker / "model.safetensors").read_bytes()


def test_a_result_of_another_framework_and_one_without_control(run: Path, tmp_path: Path) -> None:
    harness = {"name": "lm-eval", "version": "0.4.13"}
    measured(run, "words", harness=harness, judge=None, controls={}, decoding=None, benchmark="hellaswag", by_type={})
    measured(run, "bare", controls={}, metrics=scores(0.5, 0.4, 0.6)["metrics"])
    card = card_of(run, tmp_path / "out")
    assert f"only | lm-eval 0.4.13 | none: rules decide | {EN_DASH} |" in card.text
    assert "bare: no control was measured" in card.text
    assert "words: no control" not in card.text
    kinds = {str(one.metric_name).partition(",")[0]: one.task_type for one in eval_results(card)}
    assert kinds == {
        "bare: accuracy": "video-text-to-text", "accuracy": "video-text-to-text", "words: accuracy": "text-generation",
    }  # fmt: skip


def test_a_run_whose_judge_is_not_installed(run: Path, tmp_path: Path) -> None:
    text = (run / "spec.yaml").read_text()
    (run / "spec.yaml").write_text(text.replace("type: openai", "type: oracle").split("# checksum")[0])
    card = card_of(run, tmp_path / "out")
    assert "| moving-shapes | accuracy | 70.0% |" in card.text
    assert "| align | moving-shapes, 48 samples |" in card.text  # its options are not known


@pytest.mark.parametrize(
    ("path", "known"),
    [("org/llm", "org/llm"), ("/cache/models--org--llm/snapshots/01", "org/llm"), ("/data/alice/llm", None)],
)
def test_the_base_model_of_the_spec(run: Path, tmp_path: Path, path: str, known: str | None) -> None:
    config = run / "model" / "config.json"
    said = json.loads(config.read_text())
    said["model"]["backbone"] |= {"path": path, "init": "pretrained"}
    config.write_text(json.dumps(said))
    (run / "model" / "checksums.json").unlink()
    card = card_of(run, tmp_path / "out")
    assert card.data.base_model == known
    assert ("an encoder-free video-language model on org/llm" in card.text) == (known is not None)
    assert "drawn at random" not in card.text


def test_its_code_runs(run: Path, drawn_clips: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    card = card_of(run, tmp_path / "out")
    (code,) = re.findall(r"```python\n(.*?)```", card.text, re.S)
    code = code.replace('"FOLDER"', repr(str(tmp_path / "out"))).replace('"clip.mp4"', repr(str(drawn_clips[0])))
    exec(compile(code, "card", "exec"), {})
    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"license": "Apache 2.0"}, "license: expected an id as the Hub has it"),
        ({"base_model": "vicuna"}, "base model: expected an id on the Hub, ORG/NAME, found 'vicuna'"),
        ({"datasets": ("org/a b",)}, "dataset: expected an id on the Hub"),
        ({"repository": "a/b/c"}, "repository: expected an id on the Hub"),
    ],
)
def test_wrong_options(options: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        CardOptions(**options)
