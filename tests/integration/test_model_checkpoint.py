"""A checkpoint in other hands: another process without a plugin, and PEFT."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from vlmkit.data import FittedVideo
from vlmkit.model import VideoLM, VideoLMProcessor, compose
from vlmkit.spec.experiment import ModelSpec

SPEC = {
    "aligner": {"type": "stab", "width": 16, "input": {"size": 56, "frames": 4}},
    "backbone": {
        "type": "hf-causal-lm",
        "init": "random",
        "config": {"model_type": "llama", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
                   "intermediate_size": 64},
        "tokenizer": {"text": ["what colour is it? red"], "vocab_size": 300},
        "chat_template": "plain",
    },
}  # fmt: skip


@pytest.fixture
def composed() -> tuple[VideoLM, VideoLMProcessor]:
    return compose(ModelSpec.model_validate(SPEC), seed=1)


def test_process_without_the_plugin(composed: tuple[VideoLM, VideoLMProcessor], tmp_path: Path) -> None:
    for part in composed:
        part.save_pretrained(tmp_path)
    code = f"from vlmkit.model import VideoLM; VideoLM.from_pretrained({str(tmp_path)!r})"
    environment = os.environ | {"VLMKIT_PLUGINS": "backbones"}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    last = result.stderr.strip().splitlines()[-1]
    assert (
        "CheckpointError: the checkpoint needs the aligner 'stab' of the plugin 'stab' from the package vlmkit" in last
    )
    assert "left out by VLMKIT_PLUGINS" in last


def test_a_video_file_becomes_a_prompt(composed: tuple[VideoLM, VideoLMProcessor], shared: Path) -> None:
    model, processor = composed
    file = sorted((shared / "videos").glob("*.mp4"))[0]
    batch = processor([processor.prompt("<video>\nwhat?")], [file])
    assert batch["pixel_values_videos"].shape == (1, 4, 3, 56, 56)
    again = processor([processor.prompt("<video>\nwhat?")], [processor.fit(file)])
    assert all(torch.equal(batch[key], again[key]) for key in batch)
    assert model.generate(**batch, max_new_tokens=3).shape[0] == 1


def test_lora(composed: tuple[VideoLM, VideoLMProcessor], tmp_path: Path) -> None:
    peft = pytest.importorskip("peft", reason="needs the extra peft")
    model, processor = composed
    video = FittedVideo(np.zeros((4, 56, 56, 3), np.uint8), (0, 56, 0, 56), 4)
    batch = processor([processor.prompt("<video>\nred?")], [video])
    before = model(**batch).logits.detach()
    adapted = peft.get_peft_model(
        model,
        peft.LoraConfig(target_modules=["q_proj", "v_proj"], r=2, task_type="CAUSAL_LM", modules_to_save=["aligner"]),
    )
    labels = batch["input_ids"].masked_fill(batch["input_ids"] == model.config.video_token_id, -100)
    optimizer = torch.optim.SGD([value for value in adapted.parameters() if value.requires_grad], lr=1.0)
    adapted(**batch, labels=labels).loss.backward()
    optimizer.step()
    changed = adapted.eval()(**batch).logits
    assert not torch.allclose(before, changed)
    adapted.save_pretrained(tmp_path)
    fresh = peft.PeftModel.from_pretrained(compose(ModelSpec.model_validate(SPEC), seed=1)[0], tmp_path)
    torch.testing.assert_close(fresh.eval()(**batch).logits, changed)
    assert fresh.generate(**batch, max_new_tokens=2).shape[0] == 1
