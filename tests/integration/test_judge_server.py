"""The judge `openai` with a real server: `transformers serve` on this machine, with a model whose replies are known."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from vlmkit.api import JudgePrompt, JudgeRequest, Verdict
from vlmkit.evaluation.judging import VerdictStore
from vlmkit_judges.spec import OpenAISpec

from .transformers_server import serving

QUESTIONS = [f"q{number}" for number in range(20)]
RIGHT, WRONG = ("{'pred':'yes',", "'score':5}", "<end>"), ("{'pred':'no',", "'score':0}", "<end>")
WORDS = ["<end>", "<pad>", *RIGHT[:2], *WRONG[:2], *QUESTIONS]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama that says yes to odd questions and no to even ones.

    Its layers add nothing and its embedding is one unit per token, so that the head is a table of what follows what.
    """
    size, folder = len(WORDS) + 1, tmp_path_factory.mktemp("judge")
    config = LlamaConfig(
        vocab_size=size, hidden_size=size, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1, head_dim=8,
        bos_token_id=None, eos_token_id=0, pad_token_id=1, tie_word_embeddings=False,
    )  # fmt: skip
    llama = LlamaForCausalLM(config)
    replies = {question: RIGHT if int(question[1:]) % 2 else WRONG for question in QUESTIONS}
    follows = {pair for question, reply in replies.items() for pair in pairwise([question, *reply])}
    with torch.no_grad():
        for parameter in llama.model.layers.parameters():
            parameter.zero_()
        llama.model.embed_tokens.weight.copy_(torch.eye(size))
        llama.lm_head.weight.zero_()
        for word, after in follows:
            llama.lm_head.weight[WORDS.index(after), WORDS.index(word)] = 1.0
    inner = Tokenizer(WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="<pad>"))
    inner.pre_tokenizer = WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<end>", pad_token="<pad>")
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }} {% endfor %}"
    llama.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def server(model: Path, tmp_path: Path) -> Iterator[str]:
    """Address of `transformers serve` with this model."""
    transformers = str(Path(sys.executable).with_name("transformers"))
    with serving([transformers], model, tmp_path / "server.log") as address:
        yield address


def test_a_real_server_judges_twenty_answers(server: str, model: Path, tmp_path: Path) -> None:
    prompt = JudgePrompt("p", "1", "{answer} {question}", "pred-score", max_tokens=12)
    requests = [JudgeRequest(question, ("x",), "a man", prompt=prompt) for question in QUESTIONS]
    judge = OpenAISpec(model=str(model), base_url=server, api_key_env=None, concurrency=4, timeout=30).build()
    with closing(VerdictStore(tmp_path / "verdicts.sqlite")) as store:
        found = store.judge_all("openai", judge, requests)
        assert store.unjudged("openai", judge.version, requests) == []
    for number, verdict in enumerate(found):
        assert isinstance(verdict, Verdict)
        assert (verdict.correct, verdict.score) == ((True, 5.0) if number % 2 else (False, 0.0))
        assert verdict.model.startswith(str(model))
        assert (verdict.input_tokens, verdict.output_tokens) == (3, 3)
