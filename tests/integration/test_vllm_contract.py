"""The model in an engine of ours that asks what vLLM's Transformers backend asks, in its order: docs/design/vllm.md."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AttentionInterface, AutoConfig, AutoModel, AutoProcessor
from transformers.utils.generic import ModelOutput

from vlmkit.errors import UserError
from vlmkit.model import VideoLM, VideoLMConfig, VideoLMProcessor, compose, load
from vlmkit.model.vllm_backend import VideoLMModel, register
from vlmkit.spec.experiment import ModelSpec
from vlmkit_baselines.spec import ChatUniViSpec

pytestmark = pytest.mark.usefixtures("quick")
Frames = np.ndarray[Any, np.dtype[np.uint8]]
Metadata = dict[str, Any]
PROMPT = "USER: <video>\nwhat moves? ASSISTANT:"


class _Registry:
    """vLLM's `ModelRegistry`, as its plugins see it."""

    known: dict[str, str]

    def get_supported_archs(self) -> list[str]:
        return list(self.known)

    def register_model(self, name: str, where: str) -> None:
        self.known[name] = where


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Registry]:
    """The registry of a vLLM that has called its plugins, twice, as it does."""
    vllm, found = ModuleType("vllm"), _Registry()
    found.known = {"LlamaForCausalLM": "vllm.model_executor.models.llama:LlamaForCausalLM"}
    monkeypatch.setattr(vllm, "ModelRegistry", found, raising=False)
    monkeypatch.setitem(sys.modules, "vllm", vllm)
    register()
    register()
    yield found
    AutoModel.register(VideoLMConfig, VideoLM, exist_ok=True)


class _CachedAttention:
    """The engine's attention of one layer: it keeps keys and values itself."""

    def __init__(self) -> None:
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, scale: float | None) -> Tensor:
        self.keys.append(key)
        self.values.append(value)
        keys, values = torch.cat(self.keys, 2), torch.cat(self.values, 2)
        before = keys.shape[2] - query.shape[2]
        allowed = torch.ones(query.shape[2], keys.shape[2], dtype=torch.bool).tril(before)
        return F.scaled_dot_product_attention(query, keys, values, allowed, scale=scale, enable_gqa=True)


def _attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Any, scaling: float | None = None, **kwargs: Any
) -> tuple[Tensor, None]:
    output = kwargs["attention_instances"][module.layer_idx](query, key, value, scaling)
    return output.transpose(1, 2).contiguous(), None


@contextmanager
def _parameters_on_meta() -> Iterator[None]:
    """Parameters land on the meta device, buffers stay where they are made."""
    register_parameter = nn.Module.register_parameter

    def on_meta(module: nn.Module, name: str, value: nn.Parameter | None) -> None:
        register_parameter(module, name, None if value is None else nn.Parameter(value.to("meta"), value.requires_grad))

    nn.Module.register_parameter = on_meta  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        nn.Module.register_parameter = register_parameter  # type: ignore[method-assign]


class Engine:
    """Serves one saved model. Of transformers it knows the Auto classes, of the model what vLLM's backend reads."""

    def __init__(self, folder: Path) -> None:
        AttentionInterface.register("engine", _attention)
        self.processor = AutoProcessor.from_pretrained(folder)
        config = AutoConfig.from_pretrained(folder)
        self.text_config = config.get_text_config()
        assert self.text_config is not config  # nested: a multimodal model
        self.text_config._attn_implementation = "engine"
        with _parameters_on_meta():
            self.model: Any = AutoModel.from_config(config, dtype=torch.float32, trust_remote_code=False)
        table = nn.Embedding(self.text_config.vocab_size, self.text_config.hidden_size)
        self.model.set_input_embeddings(table)
        self.head = nn.Linear(self.text_config.hidden_size, self.text_config.vocab_size, bias=False)
        if self.text_config.tie_word_embeddings:
            self.head.weight = table.weight
        for module in self.model.modules():
            for name, value in list(module.named_parameters(recurse=False)):
                if value.is_meta:
                    setattr(module, name, nn.Parameter(torch.full_like(value, torch.nan, device="cpu")))
        self._load(load_file(folder / "model.safetensors"))
        self.model.eval()

    def _load(self, weights: Mapping[str, Tensor]) -> None:
        """Rename by the backend's rules: children of the model are below `model.`, a head within it is the engine's."""
        children = "|".join(name for name, _ in self.model.named_children())
        expected = {f"model.{name}": value for name, value in self.model.state_dict(keep_vars=True).items()}
        expected["lm_head.weight"] = self.head.weight
        loaded = set()
        for name, value in weights.items():
            name = re.sub(rf"^(?!model\.)(({children}).*)", r"model.\1", name)
            name = re.sub(r"^model\.(.+\.)*(lm_head.+)", r"\2", name)
            expected[name].data.copy_(value)
            loaded.add(name)
        tied = {"lm_head.weight"} if self.text_config.tie_word_embeddings else set()
        assert loaded | tied == set(expected)

    def sizes(self) -> tuple[int, tuple[int, int]]:
        """Return the frames, at most 16, and the (height, width) of the video that has the most tokens."""
        processor = self.processor
        assert not hasattr(processor, "image_processor")
        size = processor.video_processor.size
        sides = [(size["height"], size["width"]), (10_000, 10_000)]
        images = [processor._get_num_multimodal_tokens(image_sizes=([h, w],))["num_image_tokens"][0] for h, w in sides]
        side = sides[images.index(max(images))]
        step = getattr(processor.video_processor, "temporal_patch_size", 1)
        frames = max(range(step, 17, step), key=lambda count: self.count(count, *side))
        return frames, side

    def count(self, frames: int, height: int, width: int) -> int:
        found = self.processor._get_num_multimodal_tokens(video_sizes=([frames, height, width],))
        return int(found["num_video_tokens"][0])

    def read(self, videos: Sequence[tuple[Frames, Metadata]]) -> tuple[list[list[int]], list[dict[str, Any]]]:
        """Process videos apart from any prompt: what each placeholder becomes, and the fields of each video."""
        assert self.processor.video_processor.do_sample_frames
        sample = {metadata["do_sample_frames"] for _, metadata in videos}
        output = self.processor(
            text=self.processor.video_token * len(videos),
            videos=[frames for frames, _ in videos],
            video_metadata=[{k: v for k, v in item.items() if k != "do_sample_frames"} for _, item in videos],
            do_sample_frames=sample.pop(),
            return_text_replacement_offsets=True,
            truncation=False,
            add_special_tokens=False,
            return_tensors="pt",
        )
        [offsets] = output.pop("text_replacement_offsets")
        assert [entry["type"] for entry in offsets] == ["video"] * len(videos)
        tokenizer = self.processor.tokenizer
        ids = [tokenizer.encode(entry["replacement"], add_special_tokens=False) for entry in offsets]
        for name in ("input_ids", "attention_mask", "mm_token_type_ids"):
            output.pop(name)
        assert set(output) == set(self.processor.video_processor.model_input_names)
        assert all(len(values) == len(videos) for values in output.values())
        return ids, [{name: values[i] for name, values in output.items()} for i in range(len(videos))]

    def embed(self, items: Sequence[Mapping[str, Tensor]]) -> list[Tensor]:
        """Embed videos: as one batch where their fields have one shape each, otherwise one after the other."""
        fields: dict[str, Any] = {}
        for name in items[0]:
            values = [item[name] for item in items]
            fields[name] = torch.stack(values) if len({value.shape for value in values}) == 1 else values
        pixels = fields.pop("pixel_values_videos")
        if isinstance(pixels, Tensor):
            return list(self._features(pixels, fields))
        alone = [{name: values[i : i + 1] for name, values in fields.items()} for i in range(len(items))]
        return [torch.cat(list(self._features(pixels[i][None], alone[i]))) for i in range(len(items))]

    def _features(self, pixels: Tensor, fields: Mapping[str, Any]) -> Any:
        """Ask as vLLM does since it passes `return_dict`, and as it did before."""
        features = self.model.get_video_features(pixels, return_dict=True, **fields).pooler_output
        before = self.model.get_video_features(pixels, **fields)
        assert isinstance(before, ModelOutput)
        assert all(torch.equal(one, other) for one, other in zip(features, before.pooler_output, strict=True))
        return features

    @torch.no_grad()
    def answer(self, prompt: str, frames: Frames, metadata: Metadata, most: int) -> list[int]:
        """Return greedily chosen tokens, fed one by one; the model keeps nothing between two steps."""
        [expansion], [fields] = self.read([(frames, metadata)])
        placeholder = self.processor.tokenizer.encode(self.processor.video_token, add_special_tokens=False)
        assert len(placeholder) == 1
        tokens = self.processor.tokenizer.encode(prompt, add_special_tokens=False)
        place = tokens.index(placeholder[0])
        ids = torch.tensor([*tokens[:place], *expansion, *tokens[place + 1 :]])
        is_video = torch.zeros(len(ids), dtype=torch.bool)
        is_video[place : place + len(expansion)] = True
        [visual] = self.embed([fields])
        language_model = self.model.language_model  # vLLM's name for what it embeds text with
        embeds = language_model.get_input_embeddings()(ids)
        embeds = embeds.masked_scatter(is_video[:, None], visual.to(embeds.dtype))
        caches = {layer: _CachedAttention() for layer in range(self.text_config.num_hidden_layers)}
        answer: list[int] = []
        positions = torch.arange(len(ids))
        while len(answer) < most and (not answer or answer[-1] != self.processor.tokenizer.eos_token_id):
            hidden = self.model(
                input_ids=None,
                inputs_embeds=embeds[None],
                position_ids=positions[None],
                attention_instances=caches,
                use_cache=False,
                return_dict=False,
            )[0][0]
            answer.append(int(self.head(hidden[-1]).argmax()))
            positions = positions[-1:] + 1
            embeds = language_model.get_input_embeddings()(torch.tensor(answer[-1:]))
        return answer


def _all_frames(path: Path) -> tuple[Frames, Metadata]:
    """Decode a file as vLLM does with `num_frames: -1`."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(stream)])
        fps = float(stream.average_rate or 0)
    return frames, {
        "fps": fps,
        "duration": len(frames) / fps,
        "total_num_frames": len(frames),
        "frames_indices": list(range(len(frames))),
        "video_backend": "opencv",
        "do_sample_frames": True,
    }


def _offline(folder: Path, videos: Sequence[Any], most: int) -> list[list[int]]:
    """What `VideoLM.generate` gives for the prompt and each video."""
    model, processor = load(folder)
    rows = []
    for video in videos:
        inputs = processor([PROMPT], [video])
        output = model.generate(**inputs, max_new_tokens=most, do_sample=False)
        rows.append(output[0, inputs["input_ids"].shape[1] :].tolist())
    return rows


@pytest.fixture
def engine(talker: Path, registry: _Registry) -> Engine:
    return Engine(talker)


def test_vllm_gets_to_know_the_model_by_its_plugin_group(root: Path, registry: _Registry) -> None:
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    line = re.search(r'^\[project\.entry-points\."vllm\.general_plugins"\]\nvlmkit = "(.+)"', text, re.MULTILINE)
    assert line is not None
    assert EntryPoint("vlmkit", line[1], "vllm.general_plugins").load() is register
    assert registry.known["VideoLM"] == "vllm.model_executor.models.transformers:TransformersMultiModalForCausalLM"
    assert len(registry.known) == 2


def test_answers_are_those_of_generate(engine: Engine, talker: Path, drawn_clips: list[Path]) -> None:
    assert isinstance(engine.model, VideoLMModel)
    expected = _offline(talker, drawn_clips[:4], 24)
    assert len({tuple(row) for row in expected}) > 1
    assert [engine.answer(PROMPT, *_all_frames(path), 24) for path in drawn_clips[:4]] == expected


def test_answers_are_those_of_generate_where_the_head_is_the_table(
    tmp_path: Path, talker: Path, registry: _Registry, drawn_clips: list[Path]
) -> None:
    model = AutoConfig.from_pretrained(talker).model
    backbone = model["backbone"] | {"config": model["backbone"]["config"] | {"tie_word_embeddings": True}}
    for part in compose(ModelSpec.model_validate(model | {"backbone": backbone}), seed=2):
        part.save_pretrained(tmp_path)
    engine = Engine(tmp_path)
    assert engine.text_config.tie_word_embeddings
    assert [engine.answer(PROMPT, *_all_frames(drawn_clips[0]), 8)] == _offline(tmp_path, drawn_clips[:1], 8)


def test_a_video_beyond_the_table_of_the_language_model_has_a_place(engine: Engine) -> None:
    table = engine.model.get_input_embeddings()
    beyond = torch.tensor([1, engine.processor.video_token_id, 2])
    engine.model.config.video_token_id = table.num_embeddings + 7
    beyond[1] = engine.model.config.video_token_id
    assert torch.equal(table(beyond)[[0, 2]], table.weight[[1, 2]])


@pytest.mark.parametrize("sampling", ["reference", "uniform", "segment-midpoint", "segment-centre", "segment-start"])
def test_the_models_own_frame_rule_holds_where_the_engine_gives_all_frames(
    engine: Engine, drawn_clips: list[Path], sampling: str
) -> None:
    processor: VideoLMProcessor = engine.processor
    for path in drawn_clips[:2]:
        engine.processor = _sampled_by(processor, sampling)
        _, [fields] = engine.read([_all_frames(path)])
        expected = engine.processor([PROMPT], [path])
        for name, value in fields.items():
            assert torch.equal(value, expected[name][0]), name


def _sampled_by(processor: VideoLMProcessor, sampling: str) -> VideoLMProcessor:
    aligner = processor.model["aligner"]
    model = processor.model | {"aligner": aligner | {"input": aligner["input"] | {"sampling": sampling}}}
    return VideoLMProcessor(processor.tokenizer, model, processor.components, processor.reader)


def test_videos_of_several_lengths_do_not_depend_on_each_other(
    tmp_path: Path, talker: Path, registry: _Registry, drawn_clips: list[Path]
) -> None:
    aligner = ChatUniViSpec.tiny().model_dump(mode="json")
    sampling = {"type": "fps", "fps": 4, "max_frames": aligner["input"].pop("frames"), "pad": False}
    spec = {
        "aligner": aligner | {"input": aligner["input"] | {"sampling": sampling}},
        "backbone": AutoConfig.from_pretrained(talker).model["backbone"],
    }
    for part in compose(ModelSpec.model_validate(spec), seed=2):
        part.save_pretrained(tmp_path)
    engine = Engine(tmp_path)
    long = _all_frames(drawn_clips[0])
    short = long[0][:5], long[1] | {"total_num_frames": 5, "frames_indices": list(range(5))}
    ids, together = engine.read([short, long, long])
    assert len({len(fields["pixel_values_videos"]) for fields in together}) == 2
    for video, fields, tokens in zip((short, long, long), together, ids, strict=True):
        [alone_ids], [alone] = engine.read([video])
        assert tokens == alone_ids
        assert all(torch.equal(fields[name], alone[name]) for name in alone)
    with torch.no_grad():
        embedded = engine.embed(together)
        single = [engine.embed([fields])[0] for fields in together]
    assert [len(item) for item in embedded] == [len(tokens) for tokens in ids]
    assert all(torch.equal(one, other) for one, other in zip(embedded, single, strict=True))


def test_counts_are_those_of_the_videos_that_are_made_for_profiling(engine: Engine) -> None:
    frames, (height, width) = engine.sizes()
    metadata = {"fps": None, "duration": None, "frames_indices": list(range(frames)), "total_num_frames": frames}
    dummy = np.full((frames, height, width, 3), 255, np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        [ids], _ = engine.read([(dummy, metadata | {"do_sample_frames": False})])
    assert len(ids) == engine.count(frames, height, width)
    assert set(ids) == {engine.processor.video_token_id}
    counts = [engine.count(count, h, w) for count in (1, 3, 16, 500) for h, w in ((30, 90), (90, 30), (64, 64))]
    assert max(counts) <= len(ids)
    assert len(set(counts)) > 1


def test_frames_that_the_engine_chose_are_taken_with_a_warning(engine: Engine, drawn_clips: list[Path]) -> None:
    frames, metadata = _all_frames(drawn_clips[0])
    most = engine.processor.aligner.input.frames
    chosen = list(range(1, len(frames)))
    given = metadata | {"frames_indices": chosen, "do_sample_frames": False}
    assert len(chosen) > most
    with pytest.warns(UserWarning, match=r"chosen by the caller.*--media-io-kwargs"):
        _, [fields] = engine.read([(frames[chosen], given)])
    assert int(fields["frame_mask"].sum()) == most
    with pytest.warns(UserWarning, match="chosen by the caller"):
        _, [fields] = engine.read([(frames[chosen[:3]], given | {"frames_indices": chosen[:3]})])
    assert int(fields["frame_mask"].sum()) == 3


def test_what_transformers_says_of_token_types_holds(engine: Engine, drawn_clips: list[Path]) -> None:
    frames, _ = _all_frames(drawn_clips[0])
    output = engine.processor(
        text=[PROMPT, "USER: who? ASSISTANT:"],
        videos=[frames],
        do_sample_frames=True,
        return_text_replacement_offsets=True,
    )
    is_video = output["input_ids"] == engine.processor.video_token_id
    assert torch.equal(output["mm_token_type_ids"], 2 * is_video.long())
    [offset], none = output["text_replacement_offsets"]
    assert none == []
    assert offset["span"] == (PROMPT.index("<video>"), PROMPT.index("<video>") + len("<video>"))
    assert offset["new_span"][1] - offset["new_span"][0] == len("<video>") * int(is_video.sum())


def test_language_models_that_vllm_cannot_run_are_refused(talker: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = AutoConfig.from_pretrained(talker)
    backbone = type(load(talker)[0].backbone)
    monkeypatch.setattr(backbone, "_supports_attention_backend", False)
    with pytest.raises(UserError, match=f"cannot run {backbone.__name__}: transformers does not let"):
        VideoLMModel(config)


def test_parallel_plans_of_the_language_model_have_its_place(engine: Engine) -> None:
    plan = engine.model.tp_plan
    names = [name for name, _ in engine.model.named_modules()]
    assert plan
    for pattern in plan:
        if not pattern.startswith("backbone.lm_head"):
            assert any(re.fullmatch(pattern.replace(".*.", r"\.\d+\."), name) for name in names), pattern
    assert engine.model.get_decoder() is engine.model.language_model is engine.model.backbone.model
    assert {type(engine.model.get_encoder(modality=kind)) for kind in ("image", "video", "audio")} == {VideoLMModel}
