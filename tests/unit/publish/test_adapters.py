"""LoRA: merged into the model, or as a repository of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import ModelCard

from vlmkit.errors import CheckpointError, DataError
from vlmkit.model import load
from vlmkit.publish.card_data import CardOptions
from vlmkit.publish.hub_folder import ExportOptions, export_model

peft = pytest.importorskip("peft", reason="needs the extra peft")


def write_lora(model: Path, folder: Path, **options: Any) -> Any:
    """Write an adapter with drawn weights; return the model that it is on."""
    loaded = load(model)[0]
    loaded.name_or_path = str(model)
    chosen = {"target_modules": ["q_proj", "v_proj"], "r": 2, "modules_to_save": ["projector"], **options}
    adapted = peft.get_peft_model(loaded, peft.LoraConfig(**chosen))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, value in adapted.named_parameters():
            if "lora_B" in name:
                value.copy_(torch.randn(value.shape, generator=generator))
    adapted.save_pretrained(folder)
    return adapted.eval()


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(input_ids=torch.tensor([[1, 40, 41, 42]])).logits
    return found


def test_merged(run: Path, place: Path, tmp_path: Path) -> None:
    adapted = write_lora(run / "model", place / "lora")
    options = ExportOptions(adapter=place / "lora")
    done = export_model(run, tmp_path / "out", options)
    assert {"model.safetensors", "config.json", "spec.yaml"} <= done.files.keys()
    assert not any(name.startswith("adapter") for name in done.files)
    torch.testing.assert_close(logits(load(done.folder)[0]), logits(adapted), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(logits(load(run / "model")[0]), logits(adapted))
    again = export_model(run, tmp_path / "again", options)
    assert again.files == done.files
    card = ModelCard.load(done.folder / "README.md")
    assert card.data.eval_results is None  # those of the run are of other weights
    assert "No scores are known of the model with this adapter." in card.text
    assert "The adapter: LORA, rank 2, alpha 8, adapts q_proj, v_proj, replaces projector, merged" in card.text


def test_alone(run: Path, place: Path, tmp_path: Path) -> None:
    adapted = write_lora(run / "model", place / "lora")
    with pytest.raises(DataError, match="--no-merge: expected --base-model"):
        export_model(run, tmp_path / "out", ExportOptions(adapter=place / "lora", merge=False))
    options = ExportOptions(CardOptions(base_model="org/tiny"), adapter=place / "lora", merge=False)
    done = export_model(run, tmp_path / "out", options)
    assert "model.safetensors" not in done.files
    config = json.loads((done.folder / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "org/tiny"
    assert str(place) not in json.dumps(config)
    fresh = peft.PeftModel.from_pretrained(load(run / "model")[0], done.folder).eval()
    assert torch.equal(logits(fresh), logits(adapted))
    card = ModelCard.load(done.folder / "README.md")
    assert (card.data.library_name, card.data.base_model) == ("peft", "org/tiny")
    assert card.data["base_model_relation"] == "adapter"
    assert "# tiny (adapter)" in card.text
    assert "It goes with org/tiny, without which it does nothing." in card.text


def test_no_adapter_of_this_model(run: Path, place: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="expected the folder of an adapter, found none"):
        export_model(run, tmp_path / "out", ExportOptions(adapter=place / "lora"))
    (place / "lora").mkdir()
    with pytest.raises(CheckpointError, match=r"there is no adapter_config\.json in it"):
        export_model(run, tmp_path / "out", ExportOptions(adapter=place / "lora"))
    write_lora(run / "model", place / "lora")
    config = place / "lora" / "adapter_config.json"
    text = config.read_text()
    config.write_text(json.dumps({**json.loads(text), "r": 3}))
    with pytest.raises(CheckpointError, match="it cannot be put on this model"):
        export_model(run, tmp_path / "out", ExportOptions(adapter=place / "lora"))
    config.write_text(json.dumps({**json.loads(text), "target_modules": ["q_proj", "k_proj"]}))
    with pytest.raises(CheckpointError, match="its weights do not fit this model"):
        export_model(run, tmp_path / "out", ExportOptions(adapter=place / "lora"))
    assert not (tmp_path / "out").exists()
