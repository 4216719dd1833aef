"""The judges `local` and `decision` on models whose words and probabilities are known."""

from __future__ import annotations

import json
import math
import random
import re
from collections import defaultdict
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tokenizers import Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from vlmkit.api import JudgePrompt, JudgeRequest, Unscored, Verdict
from vlmkit.errors import SpecError
from vlmkit.evaluation.judging import VerdictStore
from vlmkit_judges._causal import CausalModel
from vlmkit_judges._decision import DecisionJudge
from vlmkit_judges.spec import DecisionSpec, LocalSpec

CHARACTERS = "abcdefghijklmnopqrstuvwxyzACINSTY0123456789{}'\":,.?! \n"
WORDS = [
    "<end>",
    "<pad>",
    *CHARACTERS,
    "yes",
    "no",
    "correct",
    "pred",
    "score",
    "Correct",
    *(f"q{n}" for n in range(40)),
]
TEMPLATE = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
PROMPT = JudgePrompt("p", "1", "{answer} {question}", "pred-score", max_tokens=8)


def tokenizer(template: str | None = TEMPLATE) -> Any:
    """Known words are tokens; all others, `incorrect` among them, are spelled."""
    inner = Tokenizer(WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="<pad>"))
    known = "|".join(word for word in sorted(WORDS, key=len, reverse=True) if len(word) > 1 and word[0] != "<")
    inner.pre_tokenizer = Split(Regex(rf"(?<![A-Za-z])(?:{known})(?![A-Za-z0-9])|[\s\S]"), "isolated")
    found = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<end>", pad_token="<pad>")
    found.chat_template = template
    return found


def requests(count: int, prompt: JudgePrompt | None = PROMPT) -> list[JudgeRequest]:
    return [JudgeRequest(f"q{number % 40}", ("x",), "b" * (number % 7), prompt=prompt) for number in range(count)]


class Known(nn.Module):
    """Says `yes` to question q with probability (q + 1) / 49, the same share of the rest as `correct`, and so on.

    Behind a right label the score is 3 or 5, behind a wrong one 0, 1 or 2, with probabilities that depend on q.
    """

    def __init__(self, mass: float = 0.9) -> None:
        super().__init__()
        self.mass, self.device = mass, torch.device("cpu")
        self.rows = 0

    @staticmethod
    def right(number: int) -> float:
        return (number + 1) / 49

    @staticmethod
    def scores(number: int, right: bool) -> dict[int, float]:
        part = number / 40
        return {3: 1 - part, 5: part} if right else {0: 1 - part, 1: part / 2, 2: part / 2}

    def forward(self, input_ids: Tensor, attention_mask: Tensor, logits_to_keep: int, **_: Any) -> Any:
        self.rows += len(input_ids)
        logits = torch.zeros(len(input_ids), logits_to_keep, len(WORDS))
        for row, mask, out in zip(input_ids.tolist(), attention_mask.tolist(), logits, strict=True):
            ids = [token for token, real in zip(row, mask, strict=True) if real]
            for place in range(logits_to_keep):
                out[place] = self.next("".join(WORDS[token] for token in ids[: len(ids) - logits_to_keep + place + 1]))
        return SimpleNamespace(logits=logits)

    def next(self, text: str) -> Tensor:
        asked = re.search(r"q(\d+)", text)
        if asked is None:  # nothing is read there
            return torch.zeros(len(WORDS))
        number = int(asked[1])
        right = self.right(number)
        if text.endswith("{'pred': '"):
            odds = {"yes": 0.7 * right, "correct": 0.3 * right, "no": 0.4 * (1 - right), "i": 0.6 * (1 - right)}
        elif text.endswith("'score': "):
            said = self.scores(number, re.search("yes|'correct", text) is not None)
            odds = {str(score): share for score, share in said.items()}
        elif "I" in text or "{'pred': 'i" in text:
            begun = "Incorrect" if "I" in text else "incorrect"
            spelled = len(text) - text.rindex(begun[0])
            return self.logits({begun[spelled]: 1.0}, 1.0)
        else:
            odds = {"Correct": right, "I": 1 - right}
        return self.logits(odds, self.mass)

    def logits(self, odds: dict[str, float], mass: float) -> Tensor:
        shares = torch.zeros(len(WORDS))
        shares[WORDS.index("<pad>")] = 1 - mass
        for word, share in odds.items():
            shares[WORDS.index(word)] = mass * share
        return shares.log() + 3  # logits are known up to a constant


def deciding(mass: float = 0.9, least: float = 0.5, batch_size: int = 8) -> tuple[DecisionJudge, Known]:
    causal, model = CausalModel("models/known", "float32"), Known(mass)
    causal.__dict__.update(model=model, tokenizer=tokenizer())
    return DecisionJudge(causal, "0123", batch_size, least), model


def expected(number: int) -> float:
    right = Known.right(number)
    means = [sum(score * share for score, share in Known.scores(number, label).items()) for label in (True, False)]
    return right * means[0] + (1 - right) * means[1]


def test_label_and_expected_score_are_the_model_s_own() -> None:
    judge, _ = deciding()
    for index, found in judge.judge(requests(40)):
        assert isinstance(found, Verdict)
        assert found.correct is (Known.right(index) > 0.5)
        assert found.score == pytest.approx(expected(index), abs=1e-4)
        assert f"right {Known.right(index):.4f}, score {expected(index):.4f}, mass 0.8" in found.raw
        assert (found.model, found.cost) == ("known", 0.0)


def test_expected_scores_are_calibrated() -> None:
    """Scores that are drawn from the model have, in every bin of expected scores, that mean."""
    judge, _ = deciding()
    draw, bins = random.Random(0), defaultdict(list)
    for index, found in judge.judge(requests(40)):
        assert isinstance(found, Verdict)
        assert found.score is not None
        for _ in range(200):
            said = Known.scores(index, draw.random() < Known.right(index))
            bins[int(found.score)].append(found.score - draw.choices(list(said), list(said.values()))[0])
    assert len(bins) >= 4
    for errors in bins.values():
        mean = math.fsum(errors) / len(errors)
        deviation = math.sqrt(math.fsum((error - mean) ** 2 for error in errors) / len(errors))
        assert abs(mean) < 4 * deviation / math.sqrt(len(errors))


def test_other_forms() -> None:
    judge, model = deciding()
    score = dict(judge.judge(requests(3, replace(PROMPT, reply="score"))))
    assert all(isinstance(found, Verdict) and found.correct is None for found in score.values())
    said = dict(judge.judge(requests(40, replace(PROMPT, reply="correct-incorrect"))))
    for index, found in said.items():
        assert isinstance(found, Verdict)
        assert (found.correct, found.score) == (Known.right(index) > 0.5, None)
        assert found.raw == f"right {Known.right(index):.4f}, mass 0.9000"
    before = model.rows
    [(_, found)] = judge.judge(requests(1, replace(PROMPT, reply="two-scores")))
    assert isinstance(found, Unscored)
    assert "not two-scores" in found.reason
    assert model.rows == before


def test_a_model_that_would_say_something_else_is_no_judge() -> None:
    judge, _ = deciding(mass=0.6)  # 0.6 on the label, 0.6 on the score: 0.36 of the probability
    for _, found in judge.judge(requests(5)):
        assert isinstance(found, Unscored)
        assert "less than min_mass 0.5 of the probability is on the words of a reply: right " in found.reason
        assert "mass 0.36" in found.reason
    assert all(isinstance(found, Verdict) for _, found in deciding(mass=0.6, least=0.3)[0].judge(requests(5)))
    assert all(isinstance(found, Unscored) for _, found in deciding(mass=0.0, least=0.0)[0].judge(requests(5)))


def test_batches_change_no_verdict() -> None:
    whole = {index: replace(found, seconds=0) for index, found in deciding()[0].judge(requests(25))}  # type: ignore[type-var]
    single = {index: replace(found, seconds=0) for index, found in deciding(batch_size=1)[0].judge(requests(25))}  # type: ignore[type-var]
    assert whole == single


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama that says `yes,5` behind the prompt of an odd question, and `no,0` behind that of an even one.

    Its layers add nothing, its embedding is one unit per token, so that the head is a table of what follows what.
    """
    size = len(WORDS)
    config = LlamaConfig(
        vocab_size=size, hidden_size=size, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1, head_dim=8,
        max_position_embeddings=512, bos_token_id=None, eos_token_id=0, pad_token_id=1, tie_word_embeddings=False,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    follows = {"yes": ",", "no": ".", ",": "5", ".": "0", "5": "<end>", "0": "<end>"}
    follows |= {f"q{number}": "yes" if number % 2 else "no" for number in range(40)}
    with torch.no_grad():
        for parameter in model.model.layers.parameters():
            parameter.zero_()
        model.model.embed_tokens.weight.copy_(torch.eye(size))
        model.lm_head.weight.zero_()
        for word, after in follows.items():
            model.lm_head.weight[WORDS.index(after), WORDS.index(word)] = 1.0
    folder = tmp_path_factory.mktemp("chain")
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def test_replies_are_written_in_batches_and_read(chain: Path, tmp_path: Path) -> None:
    judge = LocalSpec(path=str(chain), dtype="float32", batch_size=4).build()
    asked = requests(11)
    with closing(VerdictStore(tmp_path / "v.sqlite")) as store:
        found = store.judge_all("local", judge, asked)
        assert store.judge_all("local", judge, asked) == found
    for number, verdict in enumerate(found):
        assert isinstance(verdict, Verdict)
        assert (verdict.correct, verdict.score) == ((True, 5.0) if number % 2 else (False, 0.0))
        assert (verdict.input_tokens, verdict.output_tokens) == (number % 7 + 2, 4)
        assert verdict.model == chain.name


def test_a_reply_that_says_nothing_is_unscored(chain: Path) -> None:
    judge = LocalSpec(path=str(chain), dtype="float32").build()
    found = dict(judge.judge([*requests(1), JudgeRequest("who?", ("x",), "y", prompt=PROMPT), *requests(1, None)]))
    assert isinstance(found[0], Verdict)
    assert isinstance(found[1], Unscored)
    assert isinstance(found[2], Unscored)
    assert "set `judge_prompt`" in found[2].reason


def test_an_estimate(chain: Path) -> None:
    estimate = LocalSpec(path=str(chain)).build().estimate(requests(3))
    assert estimate is not None
    assert (estimate.requests, estimate.input_tokens, estimate.output_tokens, estimate.cost) == (3, 2 + 3 + 4, 24, 0.0)
    deciding = DecisionSpec(path=str(chain)).build().estimate(requests(3))
    assert deciding is not None
    assert (deciding.input_tokens, deciding.output_tokens) == (9, 0)


def test_the_version_is_of_the_model_s_files(chain: Path, tmp_path: Path) -> None:
    copy = tmp_path / chain.name
    copy.mkdir()
    for file in chain.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    for spec in (LocalSpec, DecisionSpec):
        first, same = (spec(path=str(folder)).build().version for folder in (chain, copy))
        assert first == same
        assert spec(path=str(chain), dtype="float32").build().version != first
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "rms_norm_eps": 1e-3}))
    assert LocalSpec(path=str(copy)).build().version != LocalSpec(path=str(chain)).build().version


def test_a_template_without_a_system_gets_it_from_the_user(chain: Path) -> None:
    causal = CausalModel(str(chain), "float32")
    refuses = (
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}<{{ messages[0].content }}>"
    )
    causal.__dict__["tokenizer"] = tokenizer(refuses)
    assert causal.text(requests(1, replace(PROMPT, system="you"))[0]) == "<you\n\n q0>"


def test_without_a_template_the_texts_are_continued(chain: Path) -> None:
    causal = CausalModel(str(chain), "float32")
    causal.__dict__["tokenizer"] = tokenizer(None)
    assert causal.text(requests(1, replace(PROMPT, system="you"))[0]) == "you\n\n q0\n"


@pytest.mark.parametrize("spec", [LocalSpec, DecisionSpec])
def test_a_folder_without_a_model(spec: Any, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"expected the folder of a language model at .*, found no config\.json there"):
        spec(path=str(tmp_path)).build()
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    [(_, found)] = spec(path=str(tmp_path)).build().judge(requests(1))
    assert isinstance(found, Unscored)
    assert f"expected a tokenizer at {tmp_path}" in found.reason
