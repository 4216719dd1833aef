"""The whole spec file as pydantic models. Light: no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, Field, field_validator, model_validator

from vlmkit.api.aligner import AlignerSpec
from vlmkit.api.backbone import BackboneSpec
from vlmkit.api.bounds import MOST_LAYERS, Batch, Count, Fraction, Heads, Length, Mebibytes, Name, Processes, Rate
from vlmkit.api.dataset import DatasetSpec
from vlmkit.api.decoder_layers import LayersSpec
from vlmkit.api.observer import ObserverSpec
from vlmkit.api.reader import ReaderSpec
from vlmkit.api.spec import Slot, Spec, default_component
from vlmkit.api.teacher import TeacherSpec
from vlmkit.files import expand_path
from vlmkit.spec.evaluation import EvaluationSpec

__all__ = [
    "PARTS",
    "DataSpec",
    "DistillationSpec",
    "EngineSpec",
    "ExperimentSpec",
    "ModelSpec",
    "StageSpec",
    "TrainingSpec",
    "part_of",
    "with_part",
    "without_part",
]

T = TypeVar("T")

PARTS = ("aligner", "backbone", "layers", "distillation")
"""The parts that can train: names of parameters, and the keys of a stage's `train`, begin with one of them."""

_MOST_RATES = 200
_Rates = Annotated[dict[str, Rate | None], Field(min_length=1, max_length=_MOST_RATES)]


def part_of(name: str) -> str:
    """Return the part that the name of a parameter, or a key of `train`, begins with."""
    return name.partition(".")[0]


def with_part(part: str, named: Mapping[str, T]) -> dict[str, T]:
    """Return the same values, their names prefixed with those of a part: `weight` -> `distillation.weight`."""
    return {f"{part}.{name}": value for name, value in named.items()}


def without_part(name: str) -> str:
    """Return the name within its part: `distillation.weight` -> `weight`."""
    return name.partition(".")[2]


def _is_none(value: object) -> bool:
    """Tell what need not be written: specs without it stay as they are, and so do their checksums."""
    return value is None


def _is_empty(value: Any) -> bool:
    """Tell what need not be written, as above."""
    return not value


def _absolute(file: str) -> str:
    return str(expand_path(file).absolute())


_PluginFile = Annotated[str, AfterValidator(_absolute)]


class ModelSpec(Spec):
    """The parts of the model, and the weights that it starts from."""

    aligner: Slot[AlignerSpec]
    """From pixels to tokens of the LLM's width."""
    backbone: Slot[BackboneSpec]
    """The language model."""
    layers: Annotated[Slot[LayersSpec] | None, Field(exclude_if=_is_none)] = None
    """Parameters inside the language model that know which tokens are visual; None: none."""
    weights: str | None = None
    """Folder of a vlmkit checkpoint that the model starts from, as `vlmkit train` and `vlmkit import` write it; it has
    to be of the same parts. It takes the place of all weights that aligner and backbone name, its tokenizer that of one
    that cannot be read, and its `distillation.safetensors`, if it has one, is where the spec's head starts."""

    @model_validator(mode="after")
    def _prompts_are_read(self) -> ModelSpec:
        given, read = self.aligner.num_prompts, self.layers.num_prompts if self.layers is not None else 0
        if given == read:
            return self
        aligner = f"aligner {self.aligner.type!r} gives {given or 'no'} prompts of each video"
        if self.layers is None:
            layers, remedy = "no layers inside the language model read them", "add `layers` that read as many"
        else:
            layers = f"layers {self.layers.type!r} read {read or 'none'}"
            remedy = "take an aligner and layers of the same number"
        raise ValueError(f"{aligner}, but {layers}; {remedy}")


class DataSpec(Spec):
    """How videos are read, in training and in evaluation."""

    reader: Slot[ReaderSpec] = default_component("decord")
    """Decodes the video files."""
    max_bad_fraction: Fraction = 0.01
    """The run stops when more than this fraction of its samples cannot be read."""
    cache_mib: Mebibytes = 0
    """Memory for decoded and fitted frames, so that clips which come again are not decoded again, MiB."""


class DistillationSpec(Spec):
    """Distillation from a teacher: a stage distils when its `train` lists the part `distillation`."""

    teacher: Slot[TeacherSpec]
    """Where the target features come from."""
    loss: Literal["cosine", "mse"] = "cosine"
    """`cosine`: 1 - cosine similarity; `mse`: mean squared error, unnormalized."""
    weight: Rate = 1.0
    """Weight of the distillation loss beside the language loss."""
    layer_rate: Annotated[int, Field(gt=0, le=MOST_LAYERS)] = 4
    """Every how many LLM layers, counted from the last, a hidden state is fused."""
    heads: Heads = 8
    """Heads of the attention that fuses the layers."""


class EngineSpec(Spec):
    """The engine of the optimizer steps."""

    type: Literal["single", "deepspeed"] = "single"
    """`single`: one process; `deepspeed`: ZeRO under torchrun or the deepspeed launcher."""
    zero: Literal[0, 1, 2] = 2
    """ZeRO stage of `deepspeed`."""

    @model_validator(mode="after")
    def _zero_is_of_deepspeed(self) -> EngineSpec:
        if self.type == "single" and self.zero != 2:
            raise ValueError(f"zero {self.zero} is for `type: deepspeed`; give that, or remove `zero`")
        return self


class StageSpec(Spec):
    """One training phase."""

    name: Name
    """Name of the stage; its folder in the run is NUMBER-NAME."""
    data: Annotated[list[Slot[DatasetSpec]], Field(min_length=1, max_length=1000)]
    """The datasets, mixed sample by sample."""
    train: Annotated[dict[str, Rate], Field(min_length=1, max_length=_MOST_RATES)]
    """Learning rate of each part that trains; what is not listed is frozen. A key is a part (`aligner`, `backbone`,
    `layers`, `distillation`) or the beginning of parameter names below it (`aligner.projector`), in which `*` stands
    for anything between two dots (`backbone.model.layers.*.input_layernorm`); the longest match wins. `null` takes back
    a key of the spec that this one extends."""
    batch_size: Batch = 32
    """Samples per optimizer step, over all processes."""
    micro_batch_size: Batch | None = None
    """Samples per forward pass of one process; None: all that a step needs."""
    epochs: Annotated[float, Field(gt=0, le=10**6)] | None = None
    """Passes over the data. Give either `epochs` or `steps`."""
    steps: Count | None = None
    """Optimizer steps. Give either `epochs` or `steps`."""
    fraction: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Fraction of the samples that is used, drawn by the seed."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """How learning rates fall after the warm-up."""
    warmup: Fraction = 0.03
    """Fraction of the steps over which learning rates rise from 0."""
    weight_decay: Annotated[float, Field(ge=0, le=1000)] = 0.0
    """AdamW's weight decay."""
    max_grad_norm: Annotated[float, Field(gt=0, le=10**9)] | None = None
    """Gradients are clipped to this norm; None: not at all."""
    gradient_checkpointing: bool = False
    """Recompute activations of the LLM in the backward pass to save memory."""
    max_length: Length = 4096
    """Longest sequence, visual tokens included; longer ones are cut at the end."""
    save_every: Count | None = None
    """Optimizer steps between checkpoints, from which an interrupted run goes on; None: a tenth of the stage."""
    flip: bool = False
    """Mirror half of the videos, drawn by the seed; aligner and teacher always see the same picture."""

    @field_validator("train", mode="before", json_schema_input_type=_Rates)
    @classmethod
    def _take_back(cls, value: Any) -> Any:
        return {k: rate for k, rate in value.items() if rate is not None} if isinstance(value, Mapping) else value

    @model_validator(mode="after")
    def _length(self) -> StageSpec:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give exactly one of `epochs` and `steps`")
        micro = self.micro_batch_size
        if micro is not None and self.batch_size % micro:
            raise ValueError(f"batch_size {self.batch_size} is not a multiple of micro_batch_size {micro}")
        return self

    @property
    def parts(self) -> set[str]:
        """Parts of the model of which something trains."""
        return set(map(part_of, self.train))

    @property
    def distils(self) -> bool:
        """True where the distillation loss is part of this stage."""
        return "distillation" in self.parts


class TrainingSpec(Spec):
    """The stages, and what they share."""

    stages: Annotated[list[StageSpec], Field(min_length=1, max_length=50)]
    """One after the other; each starts from the weights of the one before."""
    distillation: DistillationSpec | None = None
    """Optional teacher."""
    engine: EngineSpec = EngineSpec()
    """Single process or DeepSpeed."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Arithmetic of the forward and backward passes. What a single process trains is kept in float32; what no stage
    trains keeps the precision of the model, unless this is float32."""
    workers: Processes = 0
    """Processes that read data ahead; 0: the training process reads itself."""
    log_every: Count = 10
    """Optimizer steps between two lines of metrics.jsonl."""


class ExperimentSpec(Spec):
    """One experiment: what is composed, how it is trained, on what it is measured."""

    vlmkit: Literal[1]
    """Version of this format."""
    name: Name
    """Name of the experiment; its run folder is runs/NAME."""
    plugins: Annotated[list[_PluginFile], Field(max_length=100, default_factory=list, exclude_if=_is_empty)]
    """Python files, each a plugin that is not installed; relative to the spec file that names them."""
    observers: Annotated[list[Slot[ObserverSpec]], Field(max_length=100, default_factory=list, exclude_if=_is_empty)]
    """What hears of the stages, steps and results of the run. It changes none of them."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 42
    """Decides initial weights, the order of the data and everything else that is drawn."""
    model: ModelSpec
    """What the model is made of."""
    data: DataSpec = Field(default={}, validate_default=True)
    """How videos are read."""
    training: TrainingSpec | None = None
    """How it is trained; without it only what needs no training can be run."""
    evaluation: EvaluationSpec | None = None
    """On what it is measured."""
