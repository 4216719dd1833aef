"""The contracts of every kind of component, which a plugin author imports.

Specs are light. The names that need torch (`Aligner`, `Downsampler`, `Encoder`, `Layers`, `Teacher`, `TokenContext`,
`VideoBatch`, `VisualTokens`) are imported when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from vlmkit.api.aligner import AlignerSpec, Projector
from vlmkit.api.backbone import BackboneSpec
from vlmkit.api.canvas import CLIP_MEAN, CLIP_STD, IMAGENET_MEAN, IMAGENET_STD, Canvas, Fit
from vlmkit.api.dataset import Dataset, DatasetSpec, Sample, Turn
from vlmkit.api.decoder_layers import LayersSpec
from vlmkit.api.deprecation import deprecated
from vlmkit.api.document import Document, fill_template, template_fields
from vlmkit.api.downsampler import DownsamplerSpec
from vlmkit.api.encoder import EncoderSpec
from vlmkit.api.evaluator import Evaluator, EvaluatorSpec, Prompt
from vlmkit.api.extractor import Extractor, ExtractorSpec, Reading, random_option
from vlmkit.api.harness import Harness, HarnessPart, HarnessResult, HarnessScore, HarnessSpec, HarnessTask
from vlmkit.api.hookspecs import API_VERSION, PublishedFormat, PublishedLora, PublishedPart, hookimpl
from vlmkit.api.judge import Judge, JudgeEstimate, JudgeSpec, Unscored, Verdict
from vlmkit.api.judge_prompt import JudgePrompt, JudgeRequest
from vlmkit.api.judge_reply import read_reply
from vlmkit.api.observer import Observer, ObserverSpec
from vlmkit.api.reader import OpenVideo, Reader, ReaderSpec
from vlmkit.api.sampler import Sampler, SamplerSpec
from vlmkit.api.spec import ComponentSpec, Slot, Spec, default_component
from vlmkit.api.teacher import TeacherSpec
from vlmkit.api.text import TextInput, TrainedWordPieces
from vlmkit.api.video import TokenLayout, VideoInput, VideoShape
from vlmkit.errors import (
    CheckpointError,
    DataError,
    PluginError,
    RunError,
    SpecError,
    Unavailable,
    UnreadableVideo,
    UserError,
    did_you_mean,
    shown,
)
from vlmkit.files import (
    expand_path,
    file_sha256,
    is_file,
    is_folder,
    lock_file,
    read_bytes,
    read_text,
    whole_text,
    write_atomic,
)
from vlmkit.guard import first_line, quiet_transformers, reading, refuse_pointers
from vlmkit.json_files import name_of, parse_json, parse_rows, read_json, text_of
from vlmkit.manifest import damaged_files, write_manifest

if TYPE_CHECKING:
    from vlmkit.api.modules import Aligner, Downsampler, Encoder, Layers, Teacher
    from vlmkit.api.tensors import TextBatch, TokenContext, VideoBatch, VisualTokens

__all__ = [
    "API_VERSION",
    "CLIP_MEAN",
    "CLIP_STD",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "Aligner",
    "AlignerSpec",
    "BackboneSpec",
    "Canvas",
    "CheckpointError",
    "ComponentSpec",
    "DataError",
    "Dataset",
    "DatasetSpec",
    "Document",
    "Downsampler",
    "DownsamplerSpec",
    "Encoder",
    "EncoderSpec",
    "Evaluator",
    "EvaluatorSpec",
    "Extractor",
    "ExtractorSpec",
    "Fit",
    "Harness",
    "HarnessPart",
    "HarnessResult",
    "HarnessScore",
    "HarnessSpec",
    "HarnessTask",
    "Judge",
    "JudgeEstimate",
    "JudgePrompt",
    "JudgeRequest",
    "JudgeSpec",
    "Layers",
    "LayersSpec",
    "Observer",
    "ObserverSpec",
    "OpenVideo",
    "PluginError",
    "Projector",
    "Prompt",
    "PublishedFormat",
    "PublishedLora",
    "PublishedPart",
    "Reader",
    "ReaderSpec",
    "Reading",
    "RunError",
    "Sample",
    "Sampler",
    "SamplerSpec",
    "Slot",
    "Spec",
    "SpecError",
    "Teacher",
    "TeacherSpec",
    "TextBatch",
    "TextInput",
    "TokenContext",
    "TokenLayout",
    "TrainedWordPieces",
    "Turn",
    "Unavailable",
    "UnreadableVideo",
    "Unscored",
    "UserError",
    "Verdict",
    "VideoBatch",
    "VideoInput",
    "VideoShape",
    "VisualTokens",
    "damaged_files",
    "default_component",
    "deprecated",
    "did_you_mean",
    "expand_path",
    "file_sha256",
    "fill_template",
    "first_line",
    "hookimpl",
    "is_file",
    "is_folder",
    "lock_file",
    "name_of",
    "parse_json",
    "parse_rows",
    "quiet_transformers",
    "random_option",
    "read_bytes",
    "read_json",
    "read_reply",
    "read_text",
    "reading",
    "refuse_pointers",
    "shown",
    "template_fields",
    "text_of",
    "whole_text",
    "write_atomic",
    "write_manifest",
]

_LATE = dict.fromkeys(("Aligner", "Downsampler", "Encoder", "Layers", "Teacher"), "vlmkit.api.modules")
_LATE |= dict.fromkeys(("TextBatch", "TokenContext", "VideoBatch", "VisualTokens"), "vlmkit.api.tensors")


def __getattr__(name: str) -> object:
    if name in _LATE:
        return getattr(import_module(_LATE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
