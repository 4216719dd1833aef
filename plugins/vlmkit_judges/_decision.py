"""The judge `decision`: a language model on this machine decides by its probabilities, so that nothing is parsed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

from vlmkit.api import Judge, JudgeEstimate, JudgeRequest, Unscored, Verdict
from vlmkit_judges._causal import CausalModel
from vlmkit_judges._judge_requests import prompt_of
from vlmkit_judges._local import batches, texts_of

__all__ = ["DecisionJudge"]

_RIGHT, _WRONG = ("yes", "correct"), ("no", "incorrect")
_SCORES = {str(score): score for score in range(6)}
_LABEL_START, _SCORE_START = "{'pred': '", "{'score': "


class _Choice(NamedTuple):
    """How likely each of some words comes next."""

    odds: Mapping[str, float]
    """Probability of each word."""

    @property
    def mass(self) -> float:
        """Probability of all of them: 1 where the model would say nothing else."""
        return math.fsum(self.odds.values())

    def share(self, words: Iterable[str]) -> float:
        """Return the probability of some of the words, given that it is one of all."""
        return math.fsum(self.odds[word] for word in words) / self.mass if self.mass > 0 else math.nan

    def expected(self) -> float:
        """Return the sum of scores, each times its probability."""
        return math.fsum(odds * _SCORES[word] for word, odds in self.odds.items())


class _Decision(NamedTuple):
    correct: bool | None
    score: float | None
    mass: float
    raw: str


class DecisionJudge(Judge):
    """Reads the probabilities of the words that the reply can consist of.

    Where the reply is `{'pred': 'yes', 'score': 4}`, it is begun for the model: the label is the likelier one of right
    (yes, correct) and wrong (no, incorrect); the score is the one expected, 0 to 5, behind either label, weighted with
    the label's probability. With less probability than `min_mass` on all words together the answer is unscored.
    """

    prompted = True

    def __init__(self, model: CausalModel, identity: str, batch_size: int, min_mass: float) -> None:
        self._model, self._batch_size, self._min_mass = model, batch_size, min_mass
        self.version = (
            f"1: {Path(model.path).name} {identity} {model.dtype}, batches of {batch_size}, mass {min_mass:g}"
        )

    def estimate(self, requests: Sequence[JudgeRequest]) -> JudgeEstimate:
        """Return the tokens of these requests."""
        entering = sum(len(self._model.ids(self._model.text(request))) for request in requests)
        return JudgeEstimate(len(requests), entering, 0, 0.0, "the model's tokenizer, each prompt once")

    def judge(self, requests: Sequence[JudgeRequest]) -> Iterator[tuple[int, Verdict | Unscored]]:
        """Yield verdicts batch by batch."""
        texts, misfits = texts_of(self._model, requests)
        yield from misfits.items()
        decide = {"pred-score": self._labels_and_scores, "score": self._scores, "correct-incorrect": self._words}
        for batch in batches(requests, {index: len(text) for index, text in texts.items()}, self._batch_size):
            form, started = prompt_of(requests[batch[0]]).reply, perf_counter()
            if form not in decide:
                reason = f"the judge `decision` knows replies of the forms {', '.join(decide)}, not {form}"
                yield from ((index, Unscored(reason)) for index in batch)
                continue
            found = decide[form]([texts[index] for index in batch])
            seconds = (perf_counter() - started) / len(batch)
            yield from ((index, self._verdict(one, seconds)) for index, one in zip(batch, found, strict=True))

    def _verdict(self, found: _Decision, seconds: float) -> Verdict | Unscored:
        said = f"{found.raw}, mass {found.mass:.4f}"
        if not found.mass >= self._min_mass:  # it is no number where no word has any
            return Unscored(
                f"less than min_mass {self._min_mass:g} of the probability is on the words of a reply: {said}"
            )
        return Verdict(found.correct, found.score, said, model=Path(self._model.path).name, seconds=seconds)

    def _labels_and_scores(self, texts: Sequence[str]) -> list[_Decision]:
        labels = self._choices([text + _LABEL_START for text in texts], [*_RIGHT, *_WRONG])
        begun = [
            f"{text}{_LABEL_START}{max(words, key=lambda word: label.odds[word])}', 'score': "
            for text, label in zip(texts, labels, strict=True)
            for words in (_RIGHT, _WRONG)
        ]
        scores = self._choices(begun, list(_SCORES))
        found = []
        for label, if_right, if_wrong in zip(labels, scores[::2], scores[1::2], strict=True):
            right = label.share(_RIGHT)
            mass = right * if_right.mass + (1 - right) * if_wrong.mass
            score = right * if_right.expected() + (1 - right) * if_wrong.expected()
            score = score / mass if mass > 0 else math.nan
            found.append(_Decision(right > 0.5, score, label.mass * mass, f"right {right:.4f}, score {score:.4f}"))
        return found

    def _scores(self, texts: Sequence[str]) -> list[_Decision]:
        choices = self._choices([text + _SCORE_START for text in texts], list(_SCORES))
        scores = [one.expected() / one.mass if one.mass > 0 else math.nan for one in choices]
        return [
            _Decision(None, score, one.mass, f"score {score:.4f}") for score, one in zip(scores, choices, strict=True)
        ]

    def _words(self, texts: Sequence[str]) -> list[_Decision]:
        choices = self._choices(texts, ["Correct", "Incorrect"])
        shares = [one.share(["Correct"]) for one in choices]
        return [
            _Decision(right > 0.5, None, one.mass, f"right {right:.4f}")
            for right, one in zip(shares, choices, strict=True)
        ]

    def _choices(self, texts: Sequence[str], words: Sequence[str]) -> list[_Choice]:
        """Return how likely each word is behind each text. A word can have several tokens."""
        found: list[_Choice] = []
        for start in range(0, len(texts), self._batch_size):
            parted = [self._parted(text, words) for text in texts[start : start + self._batch_size]]
            rows = dict.fromkeys((*shared, *rest[:-1]) for shared, rests in parted for rest in rests)
            place = {row: number for number, row in enumerate(rows)}
            last = max(len(rest) for _, rests in parted for rest in rests)
            logs = self._model.log_probabilities(list(rows), last)
            for shared, rests in parted:
                odds = []
                for rest in rests:
                    row = logs[place[*shared, *rest[:-1]], last - len(rest) :]
                    odds.append(math.exp(math.fsum(row[number, token].item() for number, token in enumerate(rest))))
                found.append(_Choice(dict(zip(words, odds, strict=True))))
        return found

    def _parted(self, text: str, words: Sequence[str]) -> tuple[list[int], list[list[int]]]:
        """Return the tokens that the text has before every word, and those of each word behind them.

        Text and word are encoded together, as the model has seen them: a blank can belong to the token of the word.
        """
        whole = [self._model.ids(text + word) for word in words]
        shared = 0
        while shared < min(map(len, whole)) - 1 and len({ids[shared] for ids in whole}) == 1:
            shared += 1
        return whole[0][:shared], [ids[shared:] for ids in whole]
