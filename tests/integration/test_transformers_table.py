"""docs/transformers.md: which of transformers' ways work on a model of vlmkit. Every row of its table is run here.

`make transformers-table` writes the page anew.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest
import torch
import transformers
from transformers import BitsAndBytesConfig, HqqConfig, QuantoConfig

from . import transformers_rows as rows
from .transformers_rows import World

PAGE = Path(__file__).resolve().parents[2] / "docs" / "transformers.md"
INTRODUCTION = f"""# transformers' own ways

Written by `make transformers-table`; do not edit. A test runs every row on a small model, with transformers
{transformers.__version__} and torch {torch.__version__.partition("+")[0]} on a CPU.

`import vlmkit.model` comes first, once in a process: transformers has no entry point by which an installed package
could make itself known. On the command line, `vlmkit transformers …` stands for `transformers …`.

`folder` is the folder of a saved model, that of a run `runs/NAME/model`.
"""


class Row(NamedTuple):
    """A line of the table."""

    use: str
    """As users write it."""
    says: str
    """One sentence; it begins with `no` where it does not work."""
    check: Callable[[World], None]
    """Shows that this is so."""


TABLE: dict[str, list[Row]] = {
    "Loading": [
        *(
            Row(f"`{auto.__name__}.from_pretrained(folder)`", "gives a `VideoLM`", partial(rows.opens, auto=auto))
            for auto in (
                transformers.AutoModel,
                transformers.AutoModelForCausalLM,
                transformers.AutoModelForImageTextToText,
                transformers.AutoModelForMultimodalLM,
            )
        ),
        Row("`AutoConfig`, `AutoProcessor`, `AutoTokenizer`", "work", rows.opens_small_files),
        Row("`AutoImageProcessor`, `AutoVideoProcessor`", "no: the processor decodes and fits by itself, and has no "
            "parts that do", rows.has_no_parts_of_a_processor),
        Row("all of these without `import vlmkit.model`", "no: transformers does not know the architecture and says so",
            rows.is_unknown_before_the_import),
        Row("`model.input_modalities`", '`("video", "image", "text")`', rows.tells_its_inputs),
        Row('`dtype="bfloat16"`, `torch_dtype=`', "is the type of all weights; running statistics stay float32, and "
            '`{"": …, "text_config": …}` names one for the aligner and one for the language model', rows.takes_types),
        *(
            Row(f'`attn_implementation="{kernel}"`, `set_attn_implementation`', "reaches the language model" + more,
                partial(rows.takes_attention, kernel=kernel))
            for kernel, more in (("sdpa", ""), ("eager", ""),
                                 ("flex_attention", "; on a CPU torch has no backward pass for it"))
        ),
        Row('`attn_implementation="flash_attention_2"`', "no, without the package `flash-attn`, which needs a GPU; "
            "transformers says so", rows.has_no_flash_attention),
        Row('`device_map="auto"`, `"cpu"`, `{"aligner": …, "backbone": …}`', "works; no map splits the aligner",
            partial(rows.takes_devices, places=("auto", "cpu", {"": "cpu"}, {"aligner": "cpu", "backbone": "cpu"}))),
        Row('`device_map={"aligner": "cpu", "backbone": "disk"}, offload_folder=…`', "works: the language model's "
            "weights are read from the disk when they are needed",
            partial(rows.takes_devices, places=({"aligner": "cpu", "backbone": "disk"},))),
        Row('`device_map={"aligner": "disk", …}`', "no: an aligner's modules use each other's weights; a UserError "
            "says to name a device for it", rows.keeps_the_aligner_off_the_disk),
    ],
    "Quantized loading": [
        Row("`quantization_config=TorchAoConfig(Int8WeightOnlyConfig())`", "works where torchao is installed, and "
            "is saved and loaded again; where it is missing, transformers says so",
            partial(rows.quantizes, package="torchao", make=rows.torchao)),
        Row('`quantization_config=QuantoConfig(weights="int8")`', "works, the aligner is left as it is, here and "
            "below; no saving: transformers refuses it",
            partial(rows.quantizes, package="optimum-quanto", make=lambda: QuantoConfig(weights="int8"), saves=False)),
        Row("`quantization_config=BitsAndBytesConfig(load_in_8bit=True)`", "works where bitsandbytes is installed, and "
            "is saved and loaded again; where it is missing, transformers says so",
            partial(rows.quantizes, package="bitsandbytes", make=lambda: BitsAndBytesConfig(load_in_8bit=True))),
        Row("`quantization_config=BitsAndBytesConfig(load_in_4bit=True)`", "works where bitsandbytes is installed; its "
            "kernel for CPUs wants widths that 64 divides",
            partial(rows.quantizes, package="bitsandbytes", make=lambda: BitsAndBytesConfig(load_in_4bit=True))),
        Row("`quantization_config=HqqConfig()`", "no, without the package `hqq`; transformers says so",
            partial(rows.quantizes, package="hqq", make=HqqConfig)),
    ],
    "Pipelines": [
        Row('`pipeline("image-text-to-text", folder)`', "answers messages with videos and images, alone and in batches",
            partial(rows.answers_in_a_pipeline, task="image-text-to-text")),
        Row('`pipeline("image-text-to-text", folder, dtype="bfloat16", device_map="auto")`', "works",
            rows.answers_in_bfloat16),
        Row('`pipeline("any-to-any", folder)`', "the same; torchvision, which transformers asks for, is not needed",
            partial(rows.answers_in_a_pipeline, task="any-to-any")),
        Row('`pipeline("text-generation", folder)`', "works, without videos", rows.answers_text_in_a_pipeline),
        Row('`pipeline("video-classification", folder)`', "no: the model has no classes, it answers in words",
            rows.has_no_classes),
    ],
    "Generating": [
        Row("`generate(…, num_beams=3, num_return_sequences=3)`", "works", rows.searches_beams),
        Row('`generate(…, cache_implementation="static")`', "works",
            partial(rows.generates, cache_implementation="static")),
        Row("`model.forward = torch.compile(model.forward)`", "works, in several graphs",
            partial(rows.generates, prepare=rows.compiles)),
    ],
    "Changing": [
        Row("`resize_token_embeddings`, `save_pretrained`, `from_pretrained`", "works; `<video>` is never generated, "
            "also where its id lay beyond the table before", rows.resizes),
        Row('`get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", …))`, `save_pretrained`', "works; "
            "`PeftModel`, `AutoPeftModelForCausalLM` and Auto classes of transformers load the adapter with its model",
            rows.adapts),
        Row('`AutoPeftModel.from_pretrained(adapter, import_allowlist=["vlmkit.model.videolm"])`', "works for an "
            "adapter without `task_type`; PEFT imports no package that is not named", rows.adapts_without_a_task),
        Row("`resize_token_embeddings` before `get_peft_model`", "works: PEFT saves the table with the adapter; the "
            "tokenizer has to be saved into the same folder", rows.adapts_what_was_resized),
        Row("`merge_and_unload()`, `save_pretrained`", "gives a model of vlmkit with the weights' own names",
            rows.merges),
    ],
    "Command line": [
        Row("`vlmkit transformers serve folder`", "knows the model, and that it takes videos",
            rows.is_served),
    ],
}  # fmt: skip
ALL = [row for part in TABLE.values() for row in part]


def page() -> str:
    """Return the page."""
    parts = [INTRODUCTION]
    for title, part in TABLE.items():
        lines = [f"| {row.use} | {row.says} |" for row in part]
        parts.append("\n".join([f"## {title}\n", "| you write | what happens |", "|---|---|", *lines, ""]))
    return "\n".join(parts)


@pytest.fixture(scope="module")
def world(quick: None, tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("table"))


@pytest.mark.parametrize("row", ALL, ids=[row.use for row in ALL])
def test_every_row(world: World, row: Row) -> None:
    row.check(world)


def test_the_page_is_the_one_that_is_made_now() -> None:
    assert PAGE.read_text() == page(), "run `make transformers-table`"


if __name__ == "__main__":
    with TemporaryDirectory() as scratch:
        small = World(Path(scratch))
        for one in ALL:
            one.check(small)
    PAGE.write_text(page())
