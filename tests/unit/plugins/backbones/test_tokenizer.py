"""Tokenizers: trained on given text, read, converted; chat templates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vlmkit.errors import UserError
from vlmkit_backbones.spec import HfCausalLmSpec

QUESTIONS = ["what colour is the circle?", "which way does the red square move?", "left", "blue"]
CONFIG = {"model_type": "llama", "hidden_size": 32, "num_hidden_layers": 2}


def tokenizer(template: str = "plain", vocab_size: int = 512, **options: Any) -> Any:
    source = {"tokenizer": {"text": QUESTIONS, "vocab_size": vocab_size}} | options
    return HfCausalLmSpec.model_validate(
        {"init": "random", "config": CONFIG, "chat_template": template} | source
    ).load_tokenizer()


def test_words_of_the_text_and_of_the_template_are_tokens() -> None:
    trained = tokenizer()
    words = [
        "USER",
        ":",
        " which",
        " way",
        " does",
        " the",
        " red",
        " square",
        " move",
        "?",
        " ASSISTANT",
        ":",
        " left",
    ]
    assert [trained.decode([i]) for i in trained.encode("".join(words))] == words


def test_training_is_deterministic() -> None:
    assert tokenizer().get_vocab() == tokenizer().get_vocab()


def test_vocabulary_is_no_larger_than_allowed() -> None:
    assert len(tokenizer(vocab_size=280)) == 280
    assert len(tokenizer(vocab_size=5000)) < 512


@pytest.mark.parametrize("text", ["zürich 😀", "  two  spaces\n\n", "ALL CAPS 12345", "x"])
def test_every_text_can_be_encoded(text: str) -> None:
    trained = tokenizer()
    assert trained.decode(trained.encode(text)) == text


def test_special_tokens() -> None:
    trained = tokenizer()
    assert trained.video_token == "<video>"
    assert trained.encode("a<video>b").count(trained.video_token_id) == 1
    assert {trained.pad_token, trained.bos_token, trained.eos_token} == {"<pad>", "<s>", "</s>"}


def rendered(template: str) -> str:
    messages = [("user", "Q1"), ("assistant", "A1"), ("user", "Q2")]
    return str(
        tokenizer(template).apply_chat_template(
            [{"role": role, "content": content} for role, content in messages],
            tokenize=False,
            add_generation_prompt=True,
        )
    )


def test_templates() -> None:
    turns = "USER: Q1 ASSISTANT: A1</s>USER: Q2 ASSISTANT:"
    system = (
        "A chat between a curious {0} and an artificial intelligence assistant. "
        "The assistant gives helpful, detailed, and polite answers to the {0}'s questions. "
    )
    assert rendered("plain") == turns
    assert rendered("vicuna-v1") == "<s>" + system.format("user") + turns
    assert rendered("videopanda-v1") == "<s>" + system.format("human") + turns
    assert rendered("{% for m in messages %}[{{ m['content'] }}]{% endfor %}") == "[Q1][A1][Q2]"


def test_template_of_the_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the tokenizer has no chat template of its own"):
        tokenizer("tokenizer")
    tokenizer("plain").save_pretrained(tmp_path)
    assert tokenizer("tokenizer", tokenizer=str(tmp_path)).chat_template == tokenizer("plain").chat_template


def test_llama2_from_its_sentencepiece_file(shared: Path) -> None:
    folder = shared / "llm" / "llama2_tokenizer"
    if not folder.is_dir():
        pytest.skip("needs ../shared/llm/llama2_tokenizer")
    import sentencepiece

    reference = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    llama = tokenizer("vicuna-v1", tokenizer=str(folder))
    assert (llama.video_token_id, llama.pad_token_id, llama.bos_token_id, llama.eos_token_id) == (32000, 0, 1, 2)
    prompt = llama.apply_chat_template([{"role": "user", "content": "Hi"}], tokenize=False, add_generation_prompt=True)
    for text in [
        prompt.removeprefix("<s>"),
        "int main() {\n\treturn 0;  }",
        "zürich 😀 12345",
        "naïve Ünïcödé 中文 テスト",
    ]:
        ids = llama.encode(text, add_special_tokens=False)
        assert ids == reference.encode(text)
        assert llama.decode(ids) == text
    before, after = (reference.encode(text) for text in ("USER:", "red?"))
    ids = llama.encode("USER:<video>red?", add_special_tokens=False)
    assert ids[: len(before) + 1] == [*before, 32000]
    assert llama.decode(ids[len(before) + 1 :]) == llama.decode(after)
