"""Specs: every shipped one and small ones of every component, as data, text and options changed."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fuzz.text import SNIPPETS, edit_text, text_edits
from fuzz.trees import ODD, Pool, Raw, edits, mutate, to_json, to_yaml
from hypothesis import strategies as st

ENOUGH = {"composed": 0.3}
_SMALL_LLM = {
    "type": "hf-causal-lm",
    "init": "random",
    "config": {
        "model_type": "llama",
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "max_position_embeddings": 1024,
    },
    "tokenizer": {"text": ["which colour is it red green blue"], "vocab_size": 300},
}
_LLMS = {
    "gpt2": {"model_type": "gpt2", "n_embd": 32, "n_layer": 1, "n_head": 4, "vocab_size": 300},
    "qwen2": {"model_type": "qwen2", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1,
              "num_attention_heads": 4, "num_key_value_heads": 2},
    "opt": {"model_type": "opt", "hidden_size": 32, "ffn_dim": 64, "num_hidden_layers": 1, "num_attention_heads": 4,
            "word_embed_proj_dim": 32, "vocab_size": 300},
    "gemma": {"model_type": "gemma", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1,
              "num_attention_heads": 4, "num_key_value_heads": 4, "head_dim": 8},
}  # fmt: skip
_OF_FOLDER = {"type": "hf-causal-lm", "path": "llm", "init": "random", "chat_template": "plain"}
_SUMMARY = re.compile(r"\n^[a-z0-9._-]+: fits together$", re.MULTILINE)
Example = tuple[dict[str, bytes], list[str]]


def examples(bases: dict[str, Any]) -> st.SearchStrategy[Example]:
    """Files, of which `spec.yaml` is the spec, and overrides."""
    pool, data, folder = bases["pool"], bases["data"], bases["folder"]
    base = st.sampled_from(sorted(data))
    small = st.sampled_from(sorted(name for name in data if name.startswith("small")))

    @st.composite
    def build(draw: st.DrawFn) -> Example:
        how = draw(st.sampled_from(["near"] * 6 + ["far"] * 3 + ["text"] * 2 + ["folder"] * 2))
        if how == "folder":
            spec = data["small-0"] | {"model": data["small-0"]["model"] | {"backbone": _OF_FOLDER}}
            return {"spec.yaml": _encoded(to_yaml(spec))} | draw(_folder(folder)), []
        tree = data[draw(small if how == "near" else base)]
        if how == "text":
            text = edit_text(to_yaml(tree), draw(text_edits(3)))
        else:
            tree = mutate(tree, draw(edits(8, 1) if how == "near" else edits(3, 10)), pool)
            text = to_json(tree) if draw(st.integers(0, 7)) == 7 else to_yaml(tree)
        files = {"spec.yaml": _encoded(text)}
        if draw(st.integers(0, 5)) == 5:
            files = {"base.yaml": files["spec.yaml"], "spec.yaml": _encoded(draw(_changes(tree, pool)))}
        return files, draw(st.lists(_override(tree), max_size=2)) if draw(st.integers(0, 3)) == 3 else []

    return build()


@st.composite
def _folder(draw: st.DrawFn, files: dict[str, str]) -> dict[str, bytes]:
    """The files of a language model, one or two of them changed."""
    changed = {f"llm/{name}": _encoded(text) for name, text in files.items()}
    for name in draw(st.lists(st.sampled_from(sorted(files)), min_size=1, max_size=2)):
        if name.endswith(".json") and draw(st.integers(0, 4)):
            text = to_json(mutate(json.loads(files[name]), draw(edits(2, 3)), {}))
        else:
            text = edit_text(files[name], draw(text_edits(2)))
        changed[f"llm/{name}"] = _encoded(text)
    return changed


@st.composite
def _changes(draw: st.DrawFn, tree: Any, pool: Any) -> str:
    """A file that extends the other one and changes a few of its parts."""
    names = ["base.yaml"] * 8 + ["spec.yaml", "./base.yaml", "x", "."]
    over: dict[str, Any] = {"extends": draw(st.sampled_from(names))}
    parts = tree if isinstance(tree, dict) else {}  # the whole can have become a list or a scalar
    part = draw(st.sampled_from([key for key in parts if isinstance(key, str)] or ["model"]))
    if part in parts:
        over[part] = mutate(parts[part], draw(edits(6, 3)), pool)
    return to_yaml(over)


@st.composite
def _override(draw: st.DrawFn, tree: Any) -> str:
    """`--set` of some key to something."""
    path: list[str] = []
    while isinstance(tree, dict | list) and tree and len(path) < 6 and draw(st.integers(0, 4)):
        below = tree if isinstance(tree, dict) else {str(number): item for number, item in enumerate(tree)}
        path.append(draw(st.sampled_from([*map(str, below), *map(str, below), "x", "²", "-1", "99", "", "name"])))
        tree = below.get(path[-1])
    value = draw(st.one_of(st.sampled_from(SNIPPETS), st.sampled_from(ODD), st.integers(0, 40)))
    plain = isinstance(value, str) and not isinstance(value, Raw)
    return f"{'.'.join(path)}={value if plain else to_json(value)}".replace("\ud800", "?")


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def show(example: Example) -> str:
    """Files and options."""
    files, overrides = example
    texts = [f"--- {name}\n{content!r}\n{content.decode(errors='replace')}" for name, content in files.items()]
    return "\n".join([*texts, *(f"--set {item!r}" for item in overrides)])


class Target:
    """`vlmkit check --resolved`, and whether the resolved spec reads back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        os.chdir(folder)

    def bases(self) -> dict[str, Any]:
        """Specs as data, by name, and for each key the values that it has among them."""
        from vlmkit.files import is_folder
        from vlmkit.spec.loading import resolved
        from vlmkit.spec.merge import read_extended
        from vlmkit.spec.yaml import parse_scalar

        root = Path(__file__).resolve().parents[2] / "specs"
        assert is_folder(root)
        data = {
            str(file.relative_to(root)): _shallow(read_extended(file).data)
            for file in root.rglob("*.yaml")
            if file.parent.name not in ("designs", "studies")
        }
        data |= {name: parse_scalar(resolved(spec)) for name, spec in _small_specs()}
        pool: Pool = {}
        for spec in data.values():
            _collect(spec, pool)
        _collect_choices(pool)
        return {"data": data, "pool": pool, "folder": self._language_model()}

    def _language_model(self) -> dict[str, str]:
        """What a folder with a language model holds besides its weights."""
        from vlmkit_backbones.spec import HfCausalLmSpec

        backbone = HfCausalLmSpec.model_validate(_SMALL_LLM)
        backbone.load_tokenizer().save_pretrained(self.folder)
        backbone.build().config.save_pretrained(self.folder)
        files = {file.name: file.read_text() for file in self.folder.iterdir()}
        return files | {"generation_config.json": '{"bos_token_id": 1, "eos_token_id": 2, "max_length": 20}'}

    def check(self, example: Example) -> str:
        """Load, print, read back, compose on the meta device."""
        from vlmkit.cli.experiments import check
        from vlmkit.spec.loading import read_resolved, resolved

        files, overrides = example
        for entry in self.folder.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        for name, content in files.items():
            (self.folder / name).parent.mkdir(exist_ok=True)
            (self.folder / name).write_bytes(content)
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            check(Path("spec.yaml"), overrides, True)
        text = _SUMMARY.split(printed.getvalue())[0]
        again = self.folder / "again.yaml"
        again.write_text(text, encoding="utf-8")
        assert resolved(read_resolved(again)) == text.rstrip("\n") + "\n", "the resolved spec reads back as another one"
        left = {str(file.relative_to(self.folder)) for file in self.folder.rglob("*") if file.is_file()}
        left -= {*files, "again.yaml"}
        assert not left, f"a check leaves files: {left}"
        return "composed"


def _shallow(spec: Any) -> Any:
    """A shipped spec with a few layers: composing it costs time by their number, whatever their width."""
    spec["model"]["backbone"]["config"]["num_hidden_layers"] = 4
    distillation = (spec.get("training") or {}).get("distillation") or {}
    for above in (spec["model"]["aligner"], distillation.get("teacher", {})):
        if "encoder" in above or "path" in above:
            above["encoder"] = above.get("encoder", {}) | {"layers": 2}
    return spec


def _small_specs() -> Iterator[tuple[str, Any]]:
    """Each aligner, downsampler, sampler, teacher and family of LLMs at least once, whatever fits together."""
    from vlmkit.errors import UserError
    from vlmkit.registry import registry
    from vlmkit.spec.experiment import ExperimentSpec
    from vlmkit.summary import summarize

    known = registry()
    tiny = {kind: {c.spec.component_name(): c.spec.tiny().model_dump(mode="json") for c in known.components(kind)}
            for kind in ("aligner", "teacher", "downsampler", "sampler", "dataset")}  # fmt: skip
    stab = tiny["aligner"]["stab"]
    canvas = {key: value for key, value in stab["input"].items() if key != "frames"}
    for number, (aligner, teacher, downsampler) in enumerate(
        [(own, None, None) for own in tiny["aligner"].values()]
        + [(stab, own, None) for own in tiny["teacher"].values()]
        + [(stab, None, own) for own in tiny["downsampler"].values()]
        + [(stab | {"input": canvas | {"sampling": own}}, None, None) for own in tiny["sampler"].values()]
    ):
        llm = _SMALL_LLM if number % 3 else _SMALL_LLM | {"config": list(_LLMS.values())[number // 3 % len(_LLMS)]}
        train = {"aligner": 1e-3} | ({"distillation": 1e-3} if teacher else {})
        stages = [
            {"name": "one", "data": ["moving-shapes"], "train": {"backbone": 1e-3}, "steps": 4},
            {"name": "two", "data": [tiny["dataset"]["llava-json"]], "train": train, "epochs": 1.5, "batch_size": 8},
        ]
        if teacher:
            sides = {key: aligner["input"][key] for key in ("size", "fit", "multiple")}
            patch = {"patch": aligner["patch"]}
            if "encoder" in teacher:
                patch = {"encoder": teacher["encoder"] | patch | {"image_size": sides["size"]}}
            elif "aligner" in teacher:
                patch = {"aligner": aligner}
            teacher = {"teacher": teacher | {"input": teacher["input"] | sides} | patch, "layer_rate": 1, "heads": 1}
        spec = {
            "vlmkit": 1,
            "name": f"small-{number}",
            "model": {"aligner": aligner | ({"downsampler": downsampler} if downsampler else {}), "backbone": llm},
            "training": {"stages": stages, "distillation": teacher},
            "evaluation": {"benchmarks": ["moving-shapes", "msvd-qa"]},
        }
        try:
            valid = ExperimentSpec.model_validate(spec)
            summarize(valid)
        except (UserError, ValueError) as error:  # tiny parts need not fit each other
            print(f"{spec['name']}: {error}", file=sys.stderr)
            continue
        yield spec["name"], valid


def _collect(value: Any, pool: Pool, above: str = "") -> None:
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        own = key if isinstance(key, str) else above
        if item not in (known := pool.setdefault(f"{above}.{key}" if own is key else above, [])) and len(known) < 40:
            known.append(item)
        _collect(item, pool, own)


def _collect_choices(pool: Pool) -> None:
    """What the schema lists for a key, whichever component's it is."""
    from vlmkit.spec.loading import json_schema

    def walk(node: Any) -> None:
        for key, item in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
            if isinstance(item, dict) and isinstance(key, str) and "enum" in item:
                for known in [known for name, known in pool.items() if name.endswith(f".{key}")]:
                    known += [choice for choice in item["enum"] if choice not in known]
            walk(item)

    walk(json_schema())
