"""An aligner that reads text: each question about a video has tokens of its own, and the video is looked at once."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import vlmkit.model.config
import vlmkit.registry
import vlmkit.spec.identity
from vlmkit.api import Prompt, Sample, TextInput, TrainedWordPieces, Turn, UserError
from vlmkit.chat.chat_model import ChatModel, ChatRequest
from vlmkit.data import FittedVideo
from vlmkit.evaluation.answer_model import LoadedModel
from vlmkit.model import VideoLM, VideoLMProcessor, compose, load
from vlmkit.model.text_inputs import make_text_batch, place_in_messages, place_in_turns, read_words, text_about
from vlmkit.registry import Registry
from vlmkit.summary import count_macs
from vlmkit.testing.component_checks import AlignerChecks
from vlmkit.training.collate import Collator, LoadedSample
from vlmkit.training.loss import ModelWithLoss, StepTotals

PLUGIN = '''
from typing import Literal
from vlmkit import hookimpl
from vlmkit.api import AlignerSpec, TextInput, TrainedWordPieces, VideoInput

VLMKIT_API = 1
WORDS = TrainedWordPieces(text=("what colour is the circle which way does it move red left",))

class AskedSpec(AlignerSpec):
    """Two tokens per frame: what is seen, and that times what is asked."""
    type: Literal["asked"] = "asked"
    input: VideoInput = VideoInput(frames=4, size=56, sampling="uniform")
    text: TextInput = TextInput(tokenizer=WORDS, length=16)

    def layout(self, video):
        from vlmkit.nn.layout import layout_without_patches
        return layout_without_patches(2 * video.frames, video.frames, (4, 4))

    def build(self, llm_width):
        import torch
        from torch import nn
        from vlmkit.api import Aligner, VisualTokens

        class Asked(Aligner):
            def __init__(self):
                super().__init__()
                self.tower = nn.Conv2d(3, 8, 14, 14)
                self.words = nn.Embedding(WORDS.vocab_size, 8)
                self.projector = nn.Linear(8, llm_width)
                self.seen = 0

            def forward(self, video, text=None):
                self.seen += len(video.pixels)
                seen_BTC = self.tower(video.pixels.flatten(0, 1)).mean((2, 3)).unflatten(0, video.pixels.shape[:2])
                words_QLC = self.words(text.ids).masked_fill(~text.mask[..., None], 0)
                asked_Q1C = words_QLC.sum(1, keepdim=True) / text.mask.sum(1)[:, None, None]
                seen_QTC = seen_BTC[text.video_of_text.to(seen_BTC.device)]
                tokens_QNC = torch.stack([seen_QTC, seen_QTC * asked_Q1C], 2).flatten(1, 2)
                count, frames = len(tokens_QNC), video.pixels.shape[1]
                patches = torch.full((count, frames, 4, 4), -1, device=tokens_QNC.device)
                mask = torch.ones(count, 2 * frames, dtype=torch.bool, device=tokens_QNC.device)
                return VisualTokens(self.projector(tokens_QNC), mask, patches)

        return Asked()

@hookimpl
def vlmkit_components():
    return [AskedSpec]
'''
TEXT = TextInput(tokenizer=TrainedWordPieces(text=("what colour is the circle red left",)), length=5)
TURNS = (Turn("<video>\nwhat colour?", "red"), Turn("which way?", "left of it"))
Composed = tuple[VideoLM, VideoLMProcessor]
Clips = Callable[..., FittedVideo]


@pytest.fixture
def make_asked(make_spec: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Composed]:
    """Tiny models with an aligner that reads the question; their answers depend on their input."""
    (tmp_path / "asked_parts.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "asked_parts", raising=False)
    known = Registry([*entry_points(group="vlmkit"), EntryPoint("asked", "asked_parts", "vlmkit")])
    for user in (vlmkit.registry, vlmkit.spec.identity, vlmkit.model.config):
        monkeypatch.setattr(user, "registry", lambda: known)

    def make(config: dict[str, Any] | None = None, **parts: Any) -> Composed:
        given = {"aligner": {"type": "asked"}, "backbone": make_spec(config=config).backbone.model_dump()}
        model, processor = compose(vlmkit.spec.experiment.ModelSpec.model_validate(given | parts), seed=3)
        with torch.no_grad():
            for value in model.parameters():
                value.mul_(6)
        return model, processor

    return make


@pytest.fixture
def asked(make_asked: Callable[..., Composed]) -> Composed:
    """One without layers."""
    return make_asked()


def blocks(output: Any) -> list[Tensor]:
    """The embeddings that stand at the places of each block."""
    return [output.hidden_states[0][rows, columns] for rows, columns in (pair.unbind(1) for pair in output.positions)]


def test_what_is_read() -> None:
    assert text_about(TEXT, "Is it\n<video>\nred,\nor not?", "Be brief.") == "Is it red, or not?"
    assert text_about(TEXT.model_copy(update={"source": "instruction"}), "red?", "Be\nbrief.") == "Be brief."
    assert text_about(TEXT.model_copy(update={"source": "fixed", "text": "look"}), "red?") == "look"


def test_texts_are_cut_where_it_is_said_and_padded() -> None:
    words = read_words(TEXT)
    batch = make_text_batch(words, TEXT, ["what colour is the circle", "Red"], [1, 0])
    right = make_text_batch(words, TEXT.model_copy(update={"truncation_side": "right"}), ["what colour is the"], [0])
    whole = make_text_batch(words, TEXT.model_copy(update={"length": 50}), ["what colour is the circle"], [0])
    assert batch.ids.shape == batch.mask.shape == (2, 5)
    assert batch.mask.sum(1)[0] == 5
    assert not batch.ids[1, ~batch.mask[1]].any()
    begin, *ids, end = whole.ids[0].tolist()
    assert batch.ids[0].tolist() == [begin, *ids[-3:], end]
    assert right.ids[0].tolist() == [begin, *ids[:3], end]
    assert batch.video_of_text.tolist() == [1, 0]


def test_each_later_question_has_a_place_of_its_own() -> None:
    turns = (Turn("hi", "a"), *TURNS)
    placed, read = place_in_turns(TEXT, turns, 1)
    assert [turn.user for turn in placed] == ["hi", "<video>\nwhat colour?", "<video>\nwhich way?"]
    assert read == ["what colour?", "which way?"]
    messages = [{"role": "user", "content": "<video>\nred?"}, {"role": "assistant", "content": "yes"},
                {"role": "user", "content": "and?"}]  # fmt: skip
    found, read = place_in_messages(TEXT, messages, 1)
    assert [each["content"] for each in found] == ["<video>\nred?", "yes", "<video>\nand?"]
    assert read == ["red?", "and?"]
    fixed = TEXT.model_copy(update={"source": "instruction"})
    found, read = place_in_messages(fixed, [{"role": "system", "content": "Be brief."}, *messages], 1)
    assert [each["content"] for each in found[1:]] == ["<video>\nred?", "yes", "and?"]
    assert read == ["Be brief."]
    shown_later = (Turn("so?", "a"), Turn("<video>\nwhy?", "b"))
    assert place_in_turns(fixed, shown_later, 1, "Be\nbrief.") == (list(shown_later), ["Be brief. so?"])
    assert place_in_turns(fixed, TURNS, 1, "Be brief.")[1] == ["Be brief. what colour?"]
    assert place_in_turns(fixed, TURNS, 1)[1] == [""]
    several, read = place_in_turns(TEXT, (Turn("<video> or <video>?", "a"), Turn("why?", "b")), 2)
    assert several[1].user == "why?"
    assert read == ["or ?"] * 2


def test_one_video_gives_a_block_for_each_question(asked: Composed, make_clip: Clips) -> None:
    model, processor = asked
    clips = [make_clip(0), make_clip(1)]
    samples = [TURNS, (Turn("hello", "you"),), TURNS[:1]]
    shown = [[clips[0]], [], [clips[1]]]
    sample = [LoadedSample(str(row), Sample(str(row), turns), [{"aligner": clip} for clip in own])
              for row, (turns, own) in enumerate(zip(samples, shown, strict=True))]  # fmt: skip
    batch = Collator(processor, processor.aligner.input, None, 4096)(sample)
    assert batch.video is not None
    assert batch.questions is not None
    assert batch.questions.video_of_text.tolist() == [0, 0, 1]
    inputs = batch.text | batch.video.model_inputs() | batch.questions.model_inputs()
    model.aligner.seen = 0
    output = model(**inputs, output_hidden_states=True)
    assert model.aligner.seen == 2
    assert [pair[:, 0].unique().tolist() for pair in output.positions] == [[0], [0], [2]]
    assert output.positions[0].max() < output.positions[1].max()
    found = blocks(output)
    for block, (clip, question) in zip(
        found, [(0, "what colour?"), (0, "which way?"), (1, "what colour?")], strict=True
    ):
        alone = processor([processor.prompt(f"<video>\n{question}")], [clips[clip]], questions=question)
        expected = model.get_video_features(
            **{key: alone[key] for key in alone if key not in ("input_ids", "attention_mask")}
        )
        torch.testing.assert_close(block, expected.embeddings[0])
    assert not torch.allclose(found[0], found[1])
    assert not torch.allclose(found[0], found[2])
    ids = batch.text["input_ids"][0]
    second = processor.tokenizer.decode(ids[output.positions[1].max() + 1 :])
    assert second.strip().startswith("which way?")
    losses = ModelWithLoss(model, None)(batch, StepTotals(batch.tokens, 0, 1))
    losses.language.backward()
    assert model.aligner.words.weight.grad.any()


def test_an_instruction_is_read_by_aligner_and_language_model(make_asked: Any, make_clip: Clips) -> None:
    """In training with the first question; in prompts, conversations and evaluations alone."""
    said = "what is red"
    words = TrainedWordPieces(text=(f"{said} what colour?",)).model_dump()
    options: dict[str, Any] = {"type": "asked", "text": {"source": "instruction", "tokenizer": words}}
    both = _, processor = make_asked(aligner=options)
    clip = make_clip()
    loaded = [LoadedSample(str(row), Sample(str(row), TURNS, system=system), [{"aligner": clip}])
              for row, system in enumerate((said, ""))]  # fmt: skip
    batch = Collator(processor, processor.aligner.input, None, 4096)(loaded)
    text = processor.aligner.text
    expected = make_text_batch(processor.words(text), text, [f"{said} what colour?", ""], [0, 1])
    assert batch.questions is not None
    assert torch.equal(batch.questions.ids, expected.ids)
    rows = [processor.tokenizer.decode(row) for row in batch.text["input_ids"]]
    assert [said in row for row in rows] == [True, False]
    assert processor.sequences([TURNS], [clip])[0].read == ("",)
    messages = [{"role": "system", "content": said}, {"role": "user", "content": "<video>\nwhat colour?"}]
    options = {"tokenize": True, "return_dict": True, "add_generation_prompt": True, "videos": [clip]}
    talk = processor.apply_chat_template(messages, **options)
    called = processor([processor.prompt("<video>\nwhat colour?", said)], [clip], questions=said)
    assert all(torch.equal(talk[name], called[name]) for name in ("input_ids", "text_ids"))
    alone = make_text_batch(processor.words(text), text, [said], [0])
    assert torch.equal(called["text_ids"], alone.ids)
    start = processor.sequences([TURNS], [clip], systems=[said])[0].ids
    assert start[: talk["input_ids"].shape[1]].tolist() == talk["input_ids"][0].tolist()
    evaluated = LoadedModel(lambda: both)
    prompts = [Prompt("<video>\nwhat colour?", said), Prompt("<video>\nwhich way?", said)]
    assert [*evaluated.encode_video(clip, prompts).content.tokens] == [said]


def test_turns_whose_tokens_have_no_room_are_left_out(asked: Composed, make_clip: Clips) -> None:
    _, processor = asked
    [whole] = processor.sequences([TURNS], [make_clip()])
    [first] = processor.sequences([TURNS[:1]], [make_clip()])
    places = (whole.ids == processor.video_token_id).nonzero()[0]
    [cut] = processor.sequences([TURNS], [make_clip()], max_length=int(places[-1]))
    assert cut.ids.tolist() == first.ids.tolist()
    assert (whole.read, cut.read) == (("what colour?", "which way?"), ("what colour?",))
    [room] = processor.sequences([TURNS], [make_clip()], max_length=int(places[-1]) + 1)
    assert room.ids.tolist() == whole.ids[: places[-1] + 1].tolist()
    with pytest.raises(UserError, match="max_length 5 leaves no room for the 8 tokens of a video"):
        processor.sequences([TURNS], [make_clip()], max_length=5)


def test_training_chat_and_prompts_agree(asked: Composed, make_clip: Clips) -> None:
    model, processor = asked
    clip = make_clip()
    said: list[dict[str, Any]] = [
        {"role": "user", "content": "<video>\nwhat colour?"},
        {"role": "assistant", "content": "red"},
        {"role": "user", "content": "which way?"},
    ]
    options: dict[str, Any] = {"tokenize": True, "return_dict": True, "add_generation_prompt": True, "videos": [clip]}
    features = processor.apply_chat_template(said, **options)
    trained, _, _ = processor.encode([TURNS], [clip])
    assert torch.equal(features["input_ids"][0], trained[0, : features["input_ids"].shape[1]])
    assert features["video_of_text"].tolist() == [0, 0]
    chat = ChatModel(model, processor, Path("chat"))
    request = ChatRequest(said, chat.encode(clip), 8)
    assert chat.tokens(request).ids.tolist() == features["input_ids"][0].tolist()
    made = model.generate(**features, max_new_tokens=8, do_sample=False)[0, features["input_ids"].shape[1] :]
    answer = processor.tokenizer.decode(made, skip_special_tokens=True).strip()
    assert chat.reply([request, request])[1].text == answer
    several = model.generate(**features, max_new_tokens=8, do_sample=True, top_k=1, num_return_sequences=2)
    assert several[:, features["input_ids"].shape[1] :].tolist() == [made.tolist()] * 2


def test_an_evaluation_looks_at_a_video_once(asked: Composed, make_clip: Clips) -> None:
    model, processor = asked
    loaded, clips = LoadedModel(lambda: asked), [make_clip(0), make_clip(1)]
    prompts = [Prompt(f"<video>\n{question}") for question in ("what colour?", "which way?", "which circle?")]
    alone = []
    for clip in clips:
        for prompt in prompts:
            inputs = processor([processor.prompt(prompt.user)], [clip], questions=prompt.user)
            ids = model.generate(**inputs, max_new_tokens=8, do_sample=False)[0, inputs["input_ids"].shape[1] :]
            alone.append(processor.tokenizer.decode(ids, skip_special_tokens=True).strip())
    model.aligner.seen = 0
    videos = [loaded.encode_video(clip, prompts) for clip in clips for _ in (0,)]
    assert model.aligner.seen == 2
    rows = [(loaded.encode_prompt(prompt, video), video) for video in videos for prompt in prompts]
    answers = loaded.answer([row for row, _ in rows], [video for _, video in rows], [8] * 6)
    assert model.aligner.seen == 2
    assert answers == alone
    assert len(set(answers)) > 1
    unknown = loaded.encode_video(clips[0])
    assert loaded.answer([loaded.encode_prompt(each, unknown) for each in prompts], [unknown] * 3, [8] * 3) == alone[:3]
    assert model.aligner.seen == 3
    choices = loaded.encode_prompt(prompts[0], videos[0], ["red", "left"])
    assert [len(found) for found in loaded.score([choices], [videos[0]])] == [2]


def test_the_tokenizer_is_saved_with_the_model(asked: Composed, make_clip: Clips, tmp_path: Path) -> None:
    model, processor = asked
    for part in asked:
        part.save_pretrained(tmp_path / "saved")
    again, read = load(tmp_path / "saved")
    assert read.text_words == processor.text_words is not None
    inputs = [each([each.prompt("<video>\nred?")], [make_clip()], questions=["red?"]) for each in (processor, read)]
    assert torch.equal(inputs[0]["text_ids"], inputs[1]["text_ids"])
    assert torch.equal(model(**inputs[0]).logits, again(**inputs[1]).logits)


def test_present_processors_say_nothing_of_text(composed: Composed) -> None:
    assert "text_words" not in composed[1].to_dict()


def test_mistakes(asked: Composed, make_clip: Clips) -> None:
    processor = asked[1]
    with pytest.raises(UserError, match="reads the question with each video: give `questions`, or messages"):
        processor(["<video>"], [make_clip()])
    with pytest.raises(UserError, match="questions: expected one for each of 1 texts, found 2"):
        processor(["<video>"], [make_clip()], questions=["a", "b"])
    with pytest.raises(UserError, match="reads text, which inference engines do not give it"):
        processor(["<video>"], [make_clip()], return_mm_token_type_ids=True)


def test_its_operations_are_counted(asked: Composed) -> None:
    aligner = asked[1].aligner
    with torch.device("meta"):
        module = aligner.build(48)
    frames, cells, channels = 4, 16, 8
    assert count_macs(module, aligner.input) == frames * cells * 14 * 14 * 3 * channels + 2 * frames * channels * 48


def test_the_kit_checks_it(asked: Composed) -> None:
    spec = asked[1].aligner
    for check in AlignerChecks():
        if check.__name__ != "patches_index_the_right_tokens":  # type: ignore[attr-defined]
            check(spec)


@pytest.mark.parametrize("name", ["eve-v2", "neo"])
def test_layers_get_to_know_the_tokens_of_each_question(
    make_asked: Callable[..., Composed], make_clip: Clips, name: str
) -> None:
    layers = vlmkit.registry.registry().get("layers", name).spec.tiny()
    config: dict[str, Any] = {"model_type": layers.families[0]}
    config |= {"head_dim": 8} if config["model_type"] == "qwen3" else {}
    both = model, processor = make_asked(config, layers=layers.model_dump())
    questions, clip, loaded = ["<video>\nwhat colour?", "<video>\nwhich way?"], make_clip(0), LoadedModel(lambda: both)
    alone = []
    for question in questions:
        inputs = processor([processor.prompt(question)], [clip], questions=question)
        ids = model.generate(**inputs, max_new_tokens=8, do_sample=False)[0, inputs["input_ids"].shape[1] :]
        alone.append(processor.tokenizer.decode(ids, skip_special_tokens=True).strip())
    video = loaded.encode_video(clip, questions)
    prompts = [loaded.encode_prompt(question, video) for question in questions]
    assert loaded.answer(prompts, [video] * 2, [8] * 2) == alone
