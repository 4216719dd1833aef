"""Options scored by their likelihood, in batches, against one forward pass at a time."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from vlmkit.api import Prompt
from vlmkit.evaluation import LoadedModel, ModelQuestion, VideoPart, ask, score_continuations
from vlmkit.evaluation.answer_model import FunctionModel
from vlmkit.evaluation.controls import Arrangement

from .test_answer_model import Item, items, load, loaded

__all__ = ["items", "loaded"]  # fixtures

OPTIONS = ("ada it", "bob cy", "dee of", "how is", "what who ada")


def direct(loaded: Any, prompt: Prompt, part: VideoPart | None, option: str) -> tuple[float, int]:
    """The sum over the option's tokens, from the logits of the whole sequence; and their number."""
    model, processor = loaded
    text = processor.prompt(prompt.user, reply=prompt.reply)
    between = "" if prompt.reply else " "  # the template's, in front of what the assistant says
    videos = [] if part is None else [load(part)]
    whole, start = (processor(words, videos)["input_ids"][0] for words in (text + between + option, text))
    inputs = processor(text + between + option, videos)
    logprobs = model(**inputs).logits[0].detach().double().log_softmax(-1)
    places = range(len(start), len(whole))
    return float(sum(logprobs[place - 1, whole[place]] for place in places)), len(places)


@pytest.mark.parametrize("reply", ["", "it is"])
def test_likelihoods_are_those_of_a_forward_pass(loaded: Any, items: list[Item], reply: str) -> None:
    prompts = [Prompt(asked.prompt.user, reply=reply) for _, asked in items[:7]] + [Prompt("what is it?", reply=reply)]
    parts = [asked.part for _, asked in items[:7]] + [None]
    drawn = random.Random(3)
    options = [drawn.sample([" " * bool(reply) + option for option in OPTIONS], drawn.randrange(1, 6)) for _ in prompts]
    model, processor = loaded
    found = score_continuations(model, processor, prompts, [part and load(part) for part in parts], options)
    assert len({round(one.logprob, 3) for some in found for one in some}) > 15
    for prompt, part, some, likelihoods in zip(prompts, parts, options, found, strict=True):
        for option, likelihood in zip(some, likelihoods, strict=True):
            assert likelihood == pytest.approx(direct(loaded, prompt, part, option), abs=1e-5, rel=1e-6)


def test_the_likeliest_option_is_the_answer(loaded: Any, items: list[Item]) -> None:
    """Among questions whose answers are generated, whatever the size of batches."""
    model = LoadedModel(lambda: loaded)
    mixed = [(n, asked._replace(continuations=OPTIONS) if n % 3 else asked) for n, asked in items[:30]]
    found = [
        {item[0]: answer for batch in ask(mixed, lambda item: item[1], model, load, size) for item, answer in batch}
        for size in (1, 8)
    ]
    assert {n: answer.text for n, answer in found[0].items()} == {n: answer.text for n, answer in found[1].items()}
    for number, asked in mixed:
        answer = found[1][number]
        if asked.continuations:
            scores = [direct(loaded, asked.prompt, asked.part, option)[0] for option in OPTIONS]
            assert answer.text == OPTIONS[max(range(5), key=scores.__getitem__)]
            assert [each.logprob for each in answer.likelihoods] == pytest.approx(scores, abs=1e-5, rel=1e-6)
        else:
            assert not answer.likelihoods
    assert len({answer.text for n, answer in found[0].items() if n % 3}) > 2


def test_frames_are_arranged_and_no_video_is_shown(loaded: Any, items: list[Item]) -> None:
    model, processor = loaded
    _, asked = items[2]
    backwards = Arrangement("reversed-frames", 1, "v")
    reversed_, blind = asked._replace(arrangement=backwards), ModelQuestion(Prompt("what is it?"), None, 5)
    asks = [("plain", asked), ("reversed", reversed_), ("again", reversed_), ("blind", blind)]
    batches = ask(asks, lambda item: item[1], LoadedModel(lambda: loaded), load, 3)
    found = {item[0]: answer.text for batch in batches for item, answer in batch}
    other = ask([asked], lambda item: item, LoadedModel(lambda: loaded), lambda part: backwards.apply(load(part)), 1)
    assert found["reversed"] == found["again"] == next(other)[0][1].text != found["plain"]
    inputs = processor(processor.prompt("what is it?"))
    ids = model.generate(**inputs, max_new_tokens=5, do_sample=False)[0, inputs["input_ids"].shape[1] :]
    assert found["blind"] == processor.tokenizer.decode(ids, skip_special_tokens=True).strip()


def test_a_function_chooses_what_it_would_say() -> None:
    model = FunctionModel(lambda prompts, videos, longest: ["B"] * len(prompts))
    asked = ModelQuestion("which?", None, 9, ("A", "B"))
    [[(_, answer)]] = ask([asked], lambda item: item, model, load, 4)
    assert answer.text == "B"
    assert [math.exp(each.logprob) for each in answer.likelihoods] == pytest.approx([math.exp(-1), 1])
