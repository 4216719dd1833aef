"""The Q-Former, `llama-vid`, `video-llama` and `video-chat` against the references: outputs, and gradients of all
parameters."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from vlmkit.api import Aligner, TextBatch, VideoBatch
from vlmkit.checkpoints.formats import import_state_dict, match_name, published_format
from vlmkit_encoders.eva_umt import EvaClipSpec
from vlmkit_qformer.llama_vid import LlamaVidSpec
from vlmkit_qformer.qformer import QFormer
from vlmkit_qformer.spec import QFormerOptions, VideoChatSpec, VideoLlamaSpec

torch.set_num_threads(1)


def spec_of(case: Any, form: str) -> LlamaVidSpec | VideoChatSpec | VideoLlamaSpec:
    encoder = {"type": "eva-clip-g", **{name: case[name] for name in ("width", "layers", "heads", "mlp")}}
    sizes = {name: case[f"q{name}"] for name in ("width", "heads", "mlp")}
    qformer = {**sizes, "queries": case["num_queries"], "layers": case["qlayers"], "cross_every": case["cross_every"]}
    common = {
        "input": {"frames": case["T"], "size": case["px"]},
        "encoder": {**encoder, "image_size": case["px"]},
        "qformer": qformer,
    }
    if form == "llama-vid":
        qformer |= {"words": case["vocab"], "positions": case["positions"]}
        own = {"text": {"length": case["positions"]}, "compress": case["compress"]}
        return LlamaVidSpec.model_validate({**common, "qformer": qformer, **own})
    if form == "video-chat":
        gmhra = {"layers": case["gmhra_layers"], "heads": case["heads"], "mlp": case["mlp"]}
        return VideoChatSpec.model_validate({**common, "gmhra": gmhra, "extra_queries": case["extra_queries"]})
    video = {
        **sizes,
        "queries": case["video_queries"],
        "layers": case["video_layers"],
        "cross_every": case["video_cross_every"],
    }
    return VideoLlamaSpec.model_validate({**common, "video_qformer": video, "frame_table": case["max_frames"]})


def with_published_weights(case: Any, form: str) -> Aligner:
    aligner = spec_of(case, form).build(case["llm_width"]).eval()
    state = import_state_dict(form, case.checkpoint())
    shapes = {name: value.shape for name, value in aligner.state_dict().items()}
    ours = {name.removeprefix("aligner."): value for name, value in state.items()}
    assert ours.keys() == shapes.keys()
    # VideoChat publishes the kernel of its patches one frame deep
    aligner.load_state_dict({name: value.reshape(shapes[name]) for name, value in ours.items()})
    return aligner


@pytest.mark.parametrize(("form", "file"), [("video-llama", "video_llama_2x4x56"), ("video-chat", "videochat_2x4x56")])
def test_outputs_and_gradients(golden_file: Any, form: str, file: str) -> None:
    case = golden_file(file)
    aligner = with_published_weights(case, form)
    tokens = aligner(VideoBatch.full(case.pixels())).embeddings
    case.check("tokens", tokens)
    parameters = dict(aligner.named_parameters())
    published = published_format(form)
    ours = {name: match_name(published, name).name.removeprefix("aligner.") for name in case["names"].tolist()}
    case.check_gradients(tokens, {name: parameters[own] for name, own in ours.items()})


@pytest.mark.parametrize("file", ["llama_vid_2x3x56", "llama_vid_1x2x56_grid"])
def test_outputs_and_gradients_of_several_questions(golden_file: Any, file: str) -> None:
    case = golden_file(file)
    aligner: Any = with_published_weights(case, "llama-vid")
    given = (torch.from_numpy(case[name]) for name in ("ids", "ids_mask", "video_of_question"))
    ids, mask, video_of_text = given
    tokens = aligner(VideoBatch.full(case.pixels()), TextBatch(ids, mask.bool(), video_of_text)).embeddings
    case.check("tokens", tokens)
    parameters, published = dict(aligner.named_parameters()), published_format("llama-vid")
    ours = {name: match_name(published, name).name.removeprefix("aligner.") for name in case["names"].tolist()}
    case.check_gradients(tokens, {name: parameters[own] for name, own in ours.items()})


@torch.no_grad()
def test_tower_of_video_chat(golden_file: Any) -> None:
    case = golden_file("videochat_2x4x56")
    aligner: Any = with_published_weights(case, "video-chat")
    features, mask = aligner.tower(VideoBatch.full(case.pixels()))
    case.check("encoder", features)
    assert mask.all()
    token, block_output = case.noise("global", 1, 2, 64)[0], case.noise("features", 8, 17, 64)
    all_there = torch.ones(2, 4, dtype=torch.bool)
    found = aligner.gmhra.blocks[0](token, block_output, (4, 4), torch.arange(8), all_there)
    case.check("gmhra0_out", found)


def test_queries_of_images(golden_file: Any) -> None:
    """Encoder, norm and Q-Former; a mask that hides nothing changes nothing."""
    case = golden_file("qformer_image_2x56")
    sizes = {name: case[f"q{name}"] for name in ("width", "heads", "layers", "mlp")}
    options = QFormerOptions(**sizes, queries=case["num_queries"], cross_every=case["cross_every"])
    tower = EvaClipSpec(**{name: case[name] for name in ("width", "layers", "heads", "mlp")}, image_size=case["px"])
    norm = nn.LayerNorm(case["width"])
    parts = nn.ModuleDict({"visual_encoder": tower.build(), "ln_vision": norm, "Qformer": nn.Module()})
    parts["Qformer"].bert = QFormer(options, case["width"])
    state = case.checkpoint()
    queries = nn.Parameter(state.pop("query_tokens"))
    parts.eval().load_state_dict(state)
    context = norm(parts["visual_encoder"](case.pixels())[:, 0])
    everywhere = torch.ones(context.shape[:2], dtype=torch.bool)
    for mask in (everywhere, None):
        found = parts["Qformer"].bert(queries.expand(2, -1, -1), context, mask)
        case.check("queries", found)
    case.check_gradients(found, {**dict(parts.named_parameters()), "query_tokens": queries})
