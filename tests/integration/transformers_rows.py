"""What users of transformers do with a saved model, and what comes of it: the checks behind docs/transformers.md."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import torch
import transformers
from PIL import Image
from transformers.cli.serving.model_manager import ModelManager
from transformers.cli.serving.utils import Modality

from vlmkit.model import VideoLM, VideoLMProcessor, compose, load
from vlmkit.spec.experiment import ModelSpec

SPEC = {
    "aligner": {"type": "stab", "width": 16, "input": {"size": 56, "frames": 4}},
    "backbone": {
        "type": "hf-causal-lm",
        "init": "random",
        "config": {"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
                   "intermediate_size": 128},
        "tokenizer": {"text": ["what colour is it? red"], "vocab_size": 300},
        "chat_template": "plain",
    },
}  # fmt: skip


class World:
    """The small model, as it is and on disk."""

    def __init__(self, scratch: Path) -> None:
        self.scratch, self.folder = scratch, scratch / "model"
        self.model, self.processor = compose(ModelSpec.model_validate(SPEC), seed=1)
        self.save(self.model, self.folder)

    def save(self, model: Any, folder: Path) -> Path:
        """Write the model, with its processor."""
        model.save_pretrained(folder)
        self.processor.save_pretrained(folder)
        return folder

    @cached_property
    def batch(self) -> dict[str, torch.Tensor]:
        """A question about four frames of noise."""
        return dict(self.processor([self.processor.prompt("<video>\nwhat colour?")], [self.pixels]))

    @cached_property
    def pixels(self) -> np.ndarray[Any, Any]:
        """(T, H, W, 3) uint8."""
        return np.random.default_rng(0).integers(0, 255, (4, 56, 56, 3), np.uint8)

    def chat(self, *, image: bool = False) -> list[dict[str, Any]]:
        """The same question as messages."""
        still = {"type": "image", "image": Image.fromarray(self.pixels[0])}
        part = still if image else {"type": "video", "video": self.pixels}
        return [{"role": "user", "content": [part, {"type": "text", "text": "what colour?"}]}]

    @torch.no_grad()
    def logits(self, model: Any) -> torch.Tensor:
        """What the model computes of `batch`."""
        return model(**self.batch).logits.float()

    def assert_same(self, model: Any, tolerance: float = 0.0) -> None:
        """Compare with the model as it was made."""
        torch.testing.assert_close(self.logits(model), self.logits(self.model), atol=tolerance, rtol=tolerance)

    def open(self, auto: Any = transformers.AutoModel, **options: Any) -> Any:
        """Load the model by an Auto class."""
        return auto.from_pretrained(self.folder, **options)


def opens(world: World, auto: Any) -> None:
    world.assert_same(world.open(auto))


def opens_small_files(world: World) -> None:
    assert world.open(transformers.AutoConfig).model_type == "vlmkit"
    assert isinstance(world.open(transformers.AutoProcessor), VideoLMProcessor)
    text = "what colour?"
    assert world.open(transformers.AutoTokenizer)(text)["input_ids"] == world.processor.tokenizer(text)["input_ids"]


def has_no_parts_of_a_processor(world: World) -> None:
    for auto in (transformers.AutoImageProcessor, transformers.AutoVideoProcessor):
        with pytest.raises((ImportError, OSError, ValueError)):
            world.open(auto)


def is_unknown_before_the_import(world: World) -> None:
    code = f"from transformers import AutoModel; AutoModel.from_pretrained({str(world.folder)!r})"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert result.returncode == 1
    assert "`vlmkit` but Transformers does not recognize this architecture" in result.stderr


def takes_types(world: World) -> None:
    for options in ({"dtype": "bfloat16"}, {"torch_dtype": torch.bfloat16}):
        model = world.open(**options)
        assert {value.dtype for value in model.parameters()} == {torch.bfloat16}
        world.assert_same(model, 0.1)
    mixed = world.open(dtype={"text_config": "bfloat16"})
    assert [next(part.parameters()).dtype for part in (mixed.aligner, mixed.backbone)] == [
        torch.float32,
        torch.bfloat16,
    ]


def takes_attention(world: World, kernel: str) -> None:
    model = world.open(attn_implementation=kernel)
    assert model.backbone.config._attn_implementation == kernel
    world.assert_same(model, 1e-5)
    model = world.open()
    model.set_attn_implementation(kernel)
    world.assert_same(model, 1e-5)


def has_no_flash_attention(world: World) -> None:
    with pytest.raises(ImportError, match="FlashAttention2"):
        world.open(attn_implementation="flash_attention_2")


def takes_devices(world: World, places: Iterable[Any]) -> None:
    for place in places:
        model = world.open(device_map=place, offload_folder=world.scratch / "offloaded")
        world.assert_same(model)
        assert model.generate(**world.batch, max_new_tokens=2).shape[0] == 1


def keeps_the_aligner_off_the_disk(world: World) -> None:
    with pytest.raises(ValueError, match="expected the aligner's weights on the device"):
        takes_devices(world, [{"aligner": "disk", "backbone": "cpu"}])


def quantizes(world: World, package: str, make: Callable[[], Any], *, saves: bool = True) -> None:
    """Load quantized, and again what was saved. Where the package is missing transformers says which."""
    if find_spec(package.partition("-")[0]) is None:
        with pytest.raises((ImportError, ValueError), match=rf"(?i){package}"):
            world.open(quantization_config=make())
        return
    model = world.open(quantization_config=make())
    plain = {name for name, value in model.named_parameters() if type(value) is torch.nn.Parameter}
    assert {name for name, _ in model.aligner.named_parameters(prefix="aligner")} <= plain
    assert not any(name.endswith("q_proj.weight") for name in plain)
    world.assert_same(model, 0.2)
    folder = world.scratch / f"quantized-{package}-{saves}"
    if saves:
        again = world.logits(load(world.save(model, folder))[0])
        torch.testing.assert_close(again, world.logits(model), atol=1e-6, rtol=1e-6)
    else:
        with pytest.raises(ValueError, match="not serializable"):
            model.save_pretrained(folder)


def torchao() -> Any:
    if find_spec("torchao") is None:
        return transformers.TorchAoConfig("int8_weight_only")  # which asks for torchao
    from torchao.quantization import Int8WeightOnlyConfig

    return transformers.TorchAoConfig(Int8WeightOnlyConfig())


def answers_in_a_pipeline(world: World, task: str) -> None:
    pipe = transformers.pipeline(task, model=str(world.folder))
    options: dict[str, Any] = {"max_new_tokens": 3, "return_full_text": False}
    chats = [world.chat(), world.chat(image=True)]
    alone = [pipe(text=one, **options)[0]["generated_text"] for one in chats]
    assert [found[0]["generated_text"] for found in pipe(text=chats, batch_size=2, **options)] == alone
    new = world.model.generate(**world.batch, max_new_tokens=3)[0, world.batch["input_ids"].shape[1] :]
    assert alone[0] == world.processor.tokenizer.decode(new, skip_special_tokens=True)


def answers_in_bfloat16(world: World) -> None:
    task, options = "image-text-to-text", {"dtype": "bfloat16", "device_map": "auto"}
    pipe = transformers.pipeline(task, model=str(world.folder), **options)
    assert pipe.model.dtype == torch.bfloat16
    assert isinstance(pipe(text=world.chat(), max_new_tokens=3)[0]["generated_text"], list)


def answers_text_in_a_pipeline(world: World) -> None:
    pipe = transformers.pipeline("text-generation", model=str(world.folder))
    assert isinstance(pipe("what colour", max_new_tokens=2)[0]["generated_text"], str)


def has_no_classes(world: World) -> None:
    with pytest.raises(ValueError, match="VideoLMConfig"):
        transformers.pipeline("video-classification", model=str(world.folder))


def generates(world: World, prepare: Callable[[Any], Any] = lambda model: None, **options: Any) -> None:
    model = world.open()
    plain = model.generate(**world.batch, max_new_tokens=4)
    prepare(model)
    assert torch.equal(model.generate(**world.batch, max_new_tokens=4, **options), plain)


def searches_beams(world: World) -> None:
    found = world.model.generate(**world.batch, max_new_tokens=4, num_beams=3, num_return_sequences=3, do_sample=False)
    assert len({tuple(row.tolist()) for row in found}) == 3
    best = world.model.generate(**world.batch, max_new_tokens=4, num_beams=3)
    assert torch.equal(best[0], found[0])


def compiles(model: Any) -> None:
    model.forward = torch.compile(model.forward, backend="eager")


def resizes(world: World) -> None:
    model, processor = load(world.folder)
    rows = len(processor.tokenizer) + 1
    processor.tokenizer.add_tokens(["<time>"])
    model.resize_token_embeddings(rows)
    model.save_pretrained(world.scratch / "resized")
    processor.save_pretrained(world.scratch / "resized")
    loaded, read = load(world.scratch / "resized")
    assert len(read.tokenizer) == loaded.get_input_embeddings().weight.shape[0] == rows
    assert torch.equal(world.logits(loaded), world.logits(model))


def adapted(world: World, **options: Any) -> tuple[Any, Path]:
    """Return the model with a LoRA that changes it, and the folder of the adapter."""
    lora = peft.LoraConfig(target_modules=["q_proj", "v_proj"], r=2, **options)
    model = peft.get_peft_model(world.open(), lora).eval()
    for name, value in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(value, generator=torch.Generator().manual_seed(0))
    folder = world.scratch / f"adapter-{len(options)}"
    model.save_pretrained(folder)
    assert not torch.allclose(world.logits(model), world.logits(world.model))
    return model, folder


def adapts(world: World) -> None:
    model, folder = adapted(world, task_type="CAUSAL_LM")
    for loaded in (
        peft.PeftModel.from_pretrained(world.open(), folder),
        peft.AutoPeftModelForCausalLM.from_pretrained(folder),
        transformers.AutoModelForImageTextToText.from_pretrained(folder),
    ):
        assert torch.equal(world.logits(loaded.eval()), world.logits(model))


def adapts_without_a_task(world: World) -> None:
    model, folder = adapted(world)
    with pytest.raises(ValueError, match=r"import_allowlist=\['vlmkit\.model\.videolm'\]"):
        peft.AutoPeftModel.from_pretrained(folder)
    loaded = peft.AutoPeftModel.from_pretrained(folder, import_allowlist=["vlmkit.model.videolm"])
    assert torch.equal(world.logits(loaded.eval()), world.logits(model))


def adapts_what_was_resized(world: World) -> None:
    model, processor = load(world.folder)
    processor.tokenizer.add_tokens(["<time>"])
    model.resize_token_embeddings(len(processor.tokenizer), mean_resizing=False)
    lora = peft.LoraConfig(target_modules=["q_proj"], task_type="CAUSAL_LM")
    adapter, folder = peft.get_peft_model(model, lora).eval(), world.scratch / "resized-adapter"
    adapter.save_pretrained(folder)
    processor.tokenizer.save_pretrained(folder)
    loaded = peft.AutoPeftModelForCausalLM.from_pretrained(folder)
    assert torch.equal(loaded.get_input_embeddings().weight, model.get_input_embeddings().weight)
    assert torch.equal(world.logits(loaded.eval()), world.logits(adapter))


def merges(world: World) -> None:
    model, folder = adapted(world, task_type="CAUSAL_LM")
    merged = peft.AutoPeftModelForCausalLM.from_pretrained(folder).merge_and_unload()
    loaded, _ = load(world.save(merged, world.scratch / "merged"))
    assert loaded.state_dict().keys() == world.model.state_dict().keys()
    torch.testing.assert_close(world.logits(loaded), world.logits(model), atol=1e-5, rtol=1e-5)


def tells_its_inputs(world: World) -> None:
    model: VideoLM = world.open()
    assert model.input_modalities == ("video", "image", "text")
    assert model.output_modalities == ("text",)


def is_served(world: World) -> None:
    manager = ModelManager(device="cpu", force_model=str(world.folder))
    model, processor = manager.load_model_and_processor(manager.process_model_name(str(world.folder)))
    world.assert_same(model)
    assert isinstance(processor, VideoLMProcessor)
    assert manager.get_model_modality(model, processor) is Modality.MULTIMODAL
