"""How much memory an import takes: one file of the source, one group of the result."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import save_file
from torch import Tensor

from vlmkit.checkpoints.formats import match_name, published_format
from vlmkit.model import compose
from vlmkit.spec.loading import load_spec

SPEC: dict[str, Any] = {
    "vlmkit": 1,
    "name": "deep-panda",
    "model": {
        "aligner": {"type": "stab", "width": 16, "projector": "linear"},
        "backbone": {
            "type": "hf-causal-lm",
            "init": "random",
            "config": {
                "model_type": "llama",
                "vocab_size": 300,
                "hidden_size": 512,
                "num_hidden_layers": 16,
                "num_attention_heads": 4,
                "intermediate_size": 1024,
                "tie_word_embeddings": False,
            },
            "tokenizer": {"text": ["what is it? a cat"], "vocab_size": 300},
        },
    },
}
SHARDS = 8
GROUP = 2 * 2**20
SLACK = 12 * 2**20
"""Bytes that Python and the libraries allocate besides."""
MEASURE = """
import sys
from pathlib import Path
from vlmkit import load_spec
from vlmkit.model import compose
from vlmkit.checkpoints import import_checkpoint

def kib(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(key)))

folder, group = Path(sys.argv[1]), int(sys.argv[2])
spec = load_spec(folder / "spec.yaml")
compose(spec.model, meta=True)
for suffix in ("bin", "safetensors"):
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    before = kib("VmRSS")
    import_checkpoint("video-panda", folder / suffix, folder / f"{suffix}-out", spec=spec, group_bytes=group)
    print((kib("VmHWM") - before) * 1024)
"""


def test_memory_is_that_of_a_shard_and_a_group(tmp_path: Path, golden: Path) -> None:
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("needs Linux's /proc/self/clear_refs to measure a peak")
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(SPEC))
    state = _published(tmp_path / "spec.yaml", golden)
    sizes = {suffix: _save(state, tmp_path / suffix, suffix) for suffix in ("bin", "safetensors")}
    command = [sys.executable, "-c", MEASURE, str(tmp_path), str(GROUP)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    for peak, size in zip(map(int, result.stdout.split()), sizes.values(), strict=True):
        allowed = max(size) + GROUP + SLACK
        assert sum(size) > 3 * allowed
        assert peak < allowed


def _published(spec_file: Path, golden: Path) -> dict[str, Tensor]:
    """The published names of the spec's model, language model and visual part mixed."""
    model, _ = compose(load_spec(spec_file).model, meta=True)
    form = published_format("video-panda")
    ours = model.state_dict()
    names = {name: match_name(form, name).name for name in json.loads((golden / "video_panda_shapes.json").read_text())}
    names |= {name.removeprefix("backbone."): name for name in ours if name.startswith("backbone.")}
    return {name: _filled(ours[own]) for name, own in names.items() if own in ours}


def _filled(wanted: Tensor) -> Tensor:
    dtype = torch.bfloat16 if wanted.is_floating_point() else wanted.dtype
    return torch.ones(wanted.shape, dtype=dtype)


def _save(state: dict[str, Tensor], folder: Path, suffix: str) -> list[int]:
    """Sizes of the shards."""
    folder.mkdir()
    index: dict[str, str] = {}
    for number in range(SHARDS):
        part = {name: state[name] for name in list(state)[number::SHARDS]}
        name = f"part-{number}.{suffix}"
        if suffix == "bin":
            torch.save(part, folder / name)
        else:
            save_file(part, folder / name)
        index |= dict.fromkeys(part, name)
    stem = "pytorch_model.bin" if suffix == "bin" else "model.safetensors"
    (folder / f"{stem}.index.json").write_text(json.dumps({"weight_map": index}))
    return [file.stat().st_size for file in folder.glob(f"*.{suffix}")]
