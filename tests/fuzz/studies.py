"""Study files: one with everything in it, as data and as text changed; its base and a spec that a row names, too."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from fuzz.text import edit_text, text_edits
from fuzz.trees import edits, mutate, to_json, to_yaml
from hypothesis import strategies as st

ENOUGH = {"shown": 0.1, "refused": 0.3}
_BASE: dict[str, Any] = {
    "vlmkit": 1,
    "name": "small",
    "model": {
        "aligner": {"type": "stab", "width": 16, "heads": 2, "patch": 8,
                    "input": {"frames": 4, "size": 32, "multiple": 16}},
        "backbone": {
            "type": "hf-causal-lm",
            "init": "random",
            "config": {"model_type": "llama", "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4},
            "tokenizer": {"text": ["a red circle"], "vocab_size": 300},
        },
    },
    "training": {
        "stages": [
            {"name": "align", "data": ["moving-shapes"], "train": {"aligner": 1e-3}, "steps": 2},
            {"name": "both", "data": ["moving-shapes"], "train": {"aligner": 1e-3, "backbone": 1e-3}, "steps": 3},
        ]
    },
    "evaluation": {"benchmarks": ["moving-shapes"]},
}  # fmt: skip
_STUDY: dict[str, Any] = {
    "vlmkit": 1,
    "study": "parts",
    "title": "Parts",
    "base": {"spec": "base.yaml", "label": "STAB", "published": {"msvd-qa": {"accuracy": 0.5, "score": 3.1}}},
    "set": {"training.stages.both.steps": 4},
    "seeds": [1, 2, 3],
    "variants": [
        {"name": "less", "label": "w/o <b>FSRA</b> & $x_1$ | `=1+1`", "set": {"model.aligner.fsra": False}},
        {"name": "pooled", "set": {"model.aligner.downsampler": {"type": "avg-pool", "window": 2}},
         "published": {"scenes": {"accuracy": 0.4}}},
        {"name": "other", "spec": "other.yaml"},
    ],
    "grid": {"model.aligner.width": [16, 32], "training.stages.both.train": [{"aligner": 1e-3}, {"backbone": 1e-4}]},
    "benchmarks": ["msvd-qa", {"name": "moving-shapes", "label": "scenes", "split": "scenes", "limit": 100}],
    "metrics": ["accuracy"],
    "fixed": "parameters",
    "correction": "holm",
    "seed_variance": "pooled",
    "budget": {"hours": 100, "disk_gib": 5.5},
    "stop_when": {"difference": 1.5, "benchmark": "scenes"},
    "published": {"source": "a paper, Table 1", "judge": "a judge", "split": "test", "frames": "8"},
}  # fmt: skip
_OTHER = {"extends": "base.yaml", "training": {"stages": {"both": {"steps": 5}}}}
_POOL = {"": ["less", "base", "parts", "x" * 300, "../x", "a/b", ""], "base.spec": ["study.yaml", ".", "other.yaml"]}
_FILES = {"study.yaml": _STUDY, "base.yaml": _BASE, "other.yaml": _OTHER}


def examples(bases: dict[str, Any]) -> st.SearchStrategy[dict[str, bytes]]:
    """The content of each file."""

    @st.composite
    def build(draw: st.DrawFn) -> dict[str, bytes]:
        files = {name: to_yaml(tree) for name, tree in _FILES.items()}
        changed = draw(st.sampled_from(["study.yaml"] * 8 + ["base.yaml", "other.yaml"]))
        if draw(st.integers(0, 4)) == 4:
            files[changed] = edit_text(files[changed], draw(text_edits(3)))
        else:
            tree = mutate(_FILES[changed], draw(edits(4, 3)), _POOL)
            files[changed] = to_json(tree) if draw(st.integers(0, 7)) == 7 else to_yaml(tree)
        return {name: text.encode("utf-8", "surrogatepass") for name, text in files.items()}

    return build()


def show(example: dict[str, bytes]) -> str:
    """The file that was changed."""
    return "\n".join(
        f"--- {name}\n{content!r}\n{content.decode(errors='replace')}"
        for name, content in example.items()
        if content.decode(errors="replace") != to_yaml(_FILES[name])
    )


class Target:
    """`vlmkit check STUDY`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        os.chdir(folder)

    def bases(self) -> dict[str, Any]:
        """Nothing: all that is mutated stands here."""
        return {}

    def check(self, example: dict[str, bytes]) -> str:
        """Validate all rows, compose them on the meta device, and write the table before anything runs."""
        from vlmkit.cli.experiments import check
        from vlmkit.spec.study_files import is_study

        for entry in self.folder.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        for name, content in example.items():
            (self.folder / name).write_bytes(content)
        check(Path("study.yaml"))
        left = {str(file.relative_to(self.folder)) for file in self.folder.rglob("*")} - set(example)
        assert not left, f"a check leaves files: {left}"
        return "shown" if is_study(Path("study.yaml")) else "a spec"
