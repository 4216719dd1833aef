"""Every answer of a component is looked at where it enters: what is not as promised names component and promise."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import nn

from vlmkit.api import (
    BackboneSpec,
    DataError,
    Dataset,
    DatasetSpec,
    Document,
    Downsampler,
    DownsamplerSpec,
    Encoder,
    EncoderSpec,
    Evaluator,
    EvaluatorSpec,
    Judge,
    JudgeEstimate,
    JudgeRequest,
    JudgeSpec,
    OpenVideo,
    PluginError,
    Reader,
    ReaderSpec,
    Reading,
    Sample,
    Turn,
    UnreadableVideo,
    Unscored,
    UserError,
    Verdict,
)

WHOSE = r"of that package: install another version of it, or tell its authors \(--debug shows where\)"


def _raise(error: BaseException) -> Any:
    raise error


class _Data(Dataset):
    """What it answers is set by each test."""

    def __init__(self, **answers: Callable[[], Any]) -> None:
        self.answers = answers

    def __len__(self) -> int:
        return self.answers["length"]()

    def sample(self, index: int) -> Sample:
        return self.answers["sample"]()

    def fingerprint(self) -> str:
        return self.answers["fingerprint"]()


class _DataSpec(DatasetSpec):
    type: Literal["mine"] = "mine"

    def build(self) -> Dataset:
        return _Data(length=lambda: 3, sample=lambda: Sample("a", (Turn("q", "a"),)), fingerprint=lambda: "1")


def _dataset(**answers: Callable[[], Any]) -> Dataset:
    dataset = _DataSpec().build()
    dataset.answers |= answers  # type: ignore[attr-defined]
    return dataset


def test_what_is_as_promised_passes() -> None:
    dataset = _dataset()
    assert (len(dataset), dataset[1].id, dataset.fingerprint()) == (3, "a", "1")
    assert [sample.id for sample in dataset[1:]] == ["a", "a"]


TURN = Turn("q", "a")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, r"sample\(2\) gives None \(is a `return` missing\?\), expected a vlmkit.api.Sample"),
        ({"id": "a"}, r"sample\(2\) gives a dict, expected a vlmkit.api.Sample"),
        (Sample(7, (TURN,)), r"sample\(2\) gives an id that is a int, expected text"),  # type: ignore[arg-type]
        (Sample("", (TURN,)), r"sample\(2\) gives an empty id"),
        (Sample("a", ()), r"gives the turns \(\), expected a tuple of at least one"),
        (Sample("a", TURN), "gives a str, expected a vlmkit.api.Turn"),  # type: ignore[arg-type]
        (Sample("a", (("q", "a"),)), "gives a tuple, expected a vlmkit.api.Turn"),  # type: ignore[arg-type]
        (Sample("a", (Turn("q", None),)), r"`assistant` is None .*, expected text"),  # type: ignore[arg-type]
        (Sample("a", (Turn("\ud800", "a"),)), "`user` is '.ud800', which no file can hold"),
        (Sample("a", (TURN,), Path("a.mp4")), "a video that is a PosixPath, expected text"),  # type: ignore[arg-type]
        (Sample("a", (TURN,), meta=[1]), "a meta that is a list"),  # type: ignore[arg-type]
    ],
)
def test_samples(given: Any, said: str) -> None:
    with pytest.raises(PluginError, match=rf"^dataset 'mine' \(module .*\): .*{said}.*{WHOSE}$"):
        _dataset(sample=lambda: given)[2]


@pytest.mark.parametrize(
    ("answers", "ask", "said"),
    [
        ({"length": lambda: -1}, len, "the length gives -1, expected a whole number of at least 0"),
        ({"length": lambda: 2.0}, len, "the length gives 2.0"),
        ({"length": lambda: True}, len, "the length gives True"),
        ({"fingerprint": lambda: None}, _Data.fingerprint, "fingerprint gives something that is None"),
        ({"fingerprint": lambda: ""}, _Data.fingerprint, "fingerprint gives empty text"),
        ({"sample": lambda: {}["caption"]}, lambda data: data[0], r"sample\(0\) raised KeyError: 'caption'"),
        ({"sample": lambda: next(iter(()))}, lambda data: data[0], r"sample\(0\) raised StopIteration"),
        ({"sample": lambda: _raise(SystemExit(1))}, lambda data: data[0], r"sample\(0\) raised SystemExit: 1"),
    ],
)
def test_datasets(answers: dict[str, Any], ask: Callable[[Any], Any], said: str) -> None:
    with pytest.raises(PluginError, match=said):
        ask(_dataset(**answers))


@pytest.mark.parametrize("error", [DataError("row 3 is empty"), MemoryError(), OSError(errno.ENOSPC, "full")])
def test_what_is_meant_passes(error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        _dataset(sample=lambda: _raise(error))[0]
    assert caught.value is error


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: None, "build gives None .*, expected a vlmkit.api.Dataset"),
        (lambda: [Sample("a", (TURN,))], "build gives a list, expected a vlmkit.api.Dataset"),
        (lambda: {}["rows"], "build raised KeyError: 'rows'"),
    ],
)
def test_build(made: Callable[[], Any], said: str) -> None:
    class Spec(_DataSpec):
        def build(self) -> Dataset:
            return made()

    with pytest.raises(PluginError, match=rf"^dataset 'mine' .*: {said}"):
        Spec().build()


def test_an_override_is_looked_at_from_outside_alone() -> None:
    class Inner(_Data):
        def fingerprint(self) -> str:
            return str(len(super().fingerprint() or []))  # type: ignore[arg-type]

    assert Inner(fingerprint=lambda: None).fingerprint() == "0"


class _Judge(Judge):
    version = "1"

    def __init__(self, answer: Callable[[], Any]) -> None:
        self.answer = answer

    def judge_one(self, request: JudgeRequest) -> Verdict | Unscored:
        return self.answer()


class _JudgeSpec(JudgeSpec):
    type: Literal["mine"] = "mine"

    def build(self) -> Judge:
        return _Judge(lambda: Verdict(True, np.float32(4), "yes"))  # type: ignore[arg-type]


REQUEST = JudgeRequest("q", ("r",), "p")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda: Verdict(True, 100), "the score 100, expected a number from 0 to 5"),
        (lambda: Verdict(True, -1), "the score -1, expected a number from 0 to 5"),
        (lambda: Verdict(True, float("nan")), "the score nan, expected a finite number"),
        (lambda: Verdict(1, 5.0), "gives `correct` a int, expected a bool or None"),
        (lambda: Verdict(None, None, "well"), "gives a Verdict without `correct` and score, expected one of them"),
        (lambda: Verdict(True, 5.0, None), "gives `raw` None"),
        (lambda: Verdict(True, 5.0, model=None), "gives `model` None"),
        (lambda: Verdict(True, 5.0, cost="2"), "the cost '2', expected a finite number"),
        (lambda: Verdict(True, 5.0, seconds=-1), "the seconds -1, expected a number from 0"),
        (lambda: Verdict(True, 5.0, input_tokens=1.5), "the tokens 1.5, expected a whole number"),
        (lambda: Unscored(None), "an Unscored whose reason is None"),
        (lambda: "yes", "judge_one gives a str, expected a vlmkit.api.Verdict or Unscored"),
        (lambda: _raise(TimeoutError("no answer")), "judge_one raised TimeoutError: no answer"),
        (lambda: _raise(SystemExit()), "judge_one raised SystemExit"),
        (lambda: _raise(UserError("set OPENAI_API_KEY")), "set OPENAI_API_KEY"),
    ],
)
def test_a_judge_that_fails_leaves_the_question_unscored(answer: Callable[[], Any], said: str) -> None:
    judge = _JudgeSpec().build()
    judge.answer = answer  # type: ignore[attr-defined]
    [(index, found)] = judge.judge([REQUEST])
    assert index == 0
    assert found == judge.judge_one(REQUEST)
    assert isinstance(found, Unscored)
    assert said in found.reason
    assert found.reason.startswith("judge 'mine' (") or said.startswith("set")


def test_a_verdict_holds_plain_numbers() -> None:
    found = _JudgeSpec().build().judge_one(REQUEST)
    assert found == Verdict(True, 4.0, "yes", 0.0)
    assert isinstance(found, Verdict)
    assert type(found.score) is float


@pytest.mark.parametrize(
    ("correct", "score", "contradicts"),
    [
        (True, 2.9, True),
        (True, 3.0, False),
        (False, 3.0, True),
        (False, 2.9, False),
        (None, 5.0, False),
        (True, None, False),
    ],
)
def test_a_label_can_contradict_the_score(correct: bool | None, score: float | None, contradicts: bool) -> None:
    assert Verdict(correct, score).contradicts is contradicts


class _Many(Judge):
    """Gives for three requests what it is told to."""

    version = "1"

    def __init__(self, given: Callable[[], Any]) -> None:
        self.given = given

    def judge(self, requests: Any) -> Any:
        return self.given()


def _yields(*given: Any, then: Exception | None = None) -> Callable[[], Any]:
    def generator() -> Iterator[Any]:
        yield from given
        if then is not None:
            raise then

    return generator


GOOD = Verdict(False, 1.0)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (_yields((2, GOOD)), "the judge gave no verdict on this answer"),
        (_yields((2, GOOD), then=TimeoutError("asleep")), "judge raised TimeoutError: asleep; this is a fault of"),
        (_yields((2, GOOD), then=UserError("no such model")), "no such model"),
        (
            _yields((2, GOOD), (0, Verdict(True, 9)), (1, Verdict(True, 9))),
            "judge gives the score 9, expected a number",
        ),
        (_yields((2, GOOD), (0, None), (1, "yes")), "expected a vlmkit.api.Verdict or Unscored"),
        (lambda: iter([(2, GOOD)]), "no verdict"),
        (lambda: [(2, GOOD)], "no verdict"),
    ],
)
def test_a_judge_of_many_has_a_verdict_for_each(given: Callable[[], Any], said: str) -> None:
    found = dict(_Many(given).judge([REQUEST] * 3))
    assert found[2] == GOOD
    for index in (0, 1):
        assert isinstance(found[index], Unscored)
        assert said in found[index].reason


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (lambda: _raise(ConnectionError("no server")), "judge raised ConnectionError: no server"),
        (lambda: None, "judge gives None"),
    ],
)
def test_a_judge_of_many_that_fails_at_once(given: Callable[[], Any], said: str) -> None:
    for _, found in _Many(given).judge([REQUEST] * 3):
        assert isinstance(found, Unscored)
        assert said in found.reason


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (_yields((1, GOOD), (1, GOOD)), "judge gives two verdicts on request 1, expected one of each"),
        (_yields((3, GOOD)), r"judge gives \(3, Verdict\(.*, expected \(index of the request, verdict\)"),
        (_yields((-1, GOOD)), r"expected \(index of the request, verdict\)"),
        (_yields(GOOD), r"expected \(index of the request, verdict\)"),
    ],
)
def test_a_judge_that_counts_wrong_is_named(given: Callable[[], Any], said: str) -> None:
    with pytest.raises(PluginError, match=rf"^_Many \(module .*\): {said}|{said}"):
        list(_Many(given).judge([REQUEST] * 3))


def test_verdicts_come_one_by_one() -> None:
    def endless() -> Iterator[Any]:
        yield 0, GOOD
        raise AssertionError("asked for more than was wanted")

    assert next(iter(_Many(endless).judge([REQUEST] * 3))) == (0, GOOD)


@pytest.mark.parametrize("answer", [3, {"requests": 3}])
def test_an_estimate_is_one(answer: Any) -> None:
    class Dear(_Judge):
        def estimate(self, requests: Sequence[JudgeRequest]) -> JudgeEstimate | None:
            return self.answer()

    assert _JudgeSpec().build().estimate([REQUEST]) is None
    assert Dear(lambda: None).estimate([REQUEST]) is None
    with pytest.raises(PluginError, match=r"estimate gives .*, expected a vlmkit\.api\.JudgeEstimate"):
        Dear(lambda: answer).estimate([REQUEST])


@pytest.mark.parametrize("version", [None, 2, ""])
def test_a_judge_has_a_version(version: Any) -> None:
    class Spec(_JudgeSpec):
        def build(self) -> Judge:
            judge = super().build()
            judge.version = version
            return judge

    with pytest.raises(PluginError, match=r"gives a judge (whose|without) `version`"):
        Spec().build()


class _Evaluator(Evaluator):
    def __init__(self, **answers: Callable[[], Any]) -> None:
        self.answers = answers

    def prompt(self, document: Document) -> str:
        return self.answers["prompt"]()

    def continuations(self, document: Document) -> Sequence[str]:
        return self.answers["continuations"]()

    def read(self, document: Document, answer: str) -> Reading:
        return self.answers["read"]()

    def score(self, document: Document, reading: Reading, verdict: Verdict | None) -> dict[str, float | None]:
        return self.answers["score"]()

    def metrics(self) -> dict[str, tuple[float, float]]:
        return self.answers.get("metrics", lambda: {"accuracy": (0, 1)})()


class _EvaluatorSpec(EvaluatorSpec):
    type: Literal["mine"] = "mine"

    def build(self) -> Evaluator:
        return _Evaluator()


DOCUMENT = Document("1", "v", "q", "a", "what")


@pytest.mark.parametrize(
    ("name", "answer", "said"),
    [
        ("prompt", lambda: None, "prompt gives as the prompt of document '1' None"),
        ("metrics", list, "metrics gives a list, expected a dict"),
        ("metrics", lambda: {"accuracy": 1}, "gives 1 for 'accuracy', expected a range"),
        ("metrics", lambda: {"accuracy": (1, 0)}, r"the range \(1, 0\), expected \(lowest, highest\)"),
        ("metrics", lambda: {"accuracy": (0, float("inf"))}, "a range with inf, expected a finite number"),
        ("metrics", lambda: {3: (0, 1)}, "a metric name a int"),
        ("score", lambda: {"accuracy": 7.0}, "'accuracy' 7.0, expected a number from 0 to 1"),
        ("score", lambda: {"accuracy": float("nan")}, "'accuracy' nan, expected a finite number"),
        ("read", lambda: "B", "read gives a str, expected a vlmkit.api.Reading"),
        ("read", lambda: Reading("guessed"), "gives the state 'guessed', expected read, unreadable"),
        ("continuations", lambda: "A", "continuations gives a str, expected a tuple of texts"),
        ("continuations", lambda: (1,), "a continuation for document '1' a int"),
        ("score", dict, "gives no 'accuracy' for document '1'"),
        ("score", lambda: 1.0, "gives a float, expected a dict"),
        ("score", lambda: 1 / 0, "score raised ZeroDivisionError"),
    ],
)
def test_evaluators(name: str, answer: Callable[[], Any], said: str) -> None:
    evaluator: Any = _EvaluatorSpec().build()
    evaluator.answers = {name: answer}
    arguments = {"metrics": (), "read": (DOCUMENT, "B"), "score": (DOCUMENT, Reading("judge"), None)}
    with pytest.raises(PluginError, match=rf"^evaluator 'mine' .*{said}"):
        getattr(evaluator, name)(*arguments.get(name, (DOCUMENT,)))


def test_scores_are_plain_numbers_within_rounding() -> None:
    evaluator = _Evaluator(score=lambda: {"accuracy": np.float32(1), "other": "text"})
    assert evaluator.score(DOCUMENT, Reading("judge"), Verdict(True, 5)) == {"accuracy": 1.0}
    evaluator.answers = {"score": lambda: {"accuracy": 1 + 1e-15}}
    assert evaluator.score(DOCUMENT, Reading("judge"), Verdict(True, 5)) == {"accuracy": 1.0}


class _Video(OpenVideo):
    answer: Callable[[], Any]

    def frames(self, positions: Sequence[int]) -> Any:
        return self.answer()


class _Reader(Reader):
    def open(self, source: str | Path | bytes) -> OpenVideo:
        return self.answer()  # type: ignore[attr-defined, no-any-return]


class _ReaderSpec(ReaderSpec):
    type: Literal["mine"] = "mine"

    def build(self) -> Reader:
        return _Reader()


def _video(answer: Callable[[], Any] = lambda: None, **stated: Any) -> OpenVideo:
    video = _Video(**{"num_frames": 9, "fps": 3, "width": 4, "height": 2} | stated)
    video.answer = answer
    return video


def _open(answer: Callable[[], Any]) -> OpenVideo:
    reader: Any = _ReaderSpec().build()
    reader.answer = answer
    return reader.open("a.mp4")


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (lambda: None, PluginError, r"open\('a.mp4'\) gives None .*, expected a vlmkit.api.OpenVideo"),
        (lambda: _video(num_frames=2.5), PluginError, r"open\('a.mp4'\) gives num_frames 2.5"),
        (lambda: _video(width=0), PluginError, r"open\('a.mp4'\) gives width 0, expected a whole number of at least 1"),
        (lambda: _video(fps=float("nan")), PluginError, r"open\('a.mp4'\) gives fps nan"),
        (lambda: _raise(SystemExit()), PluginError, r"open\('a.mp4'\) raised SystemExit"),
        (
            lambda: _raise(RuntimeError("no decoder")),
            UnreadableVideo,
            "raised RuntimeError: no decoder",
        ),
        (lambda: _raise(UnreadableVideo("cut off")), UnreadableVideo, "^cut off$"),
    ],
)
def test_readers(answer: Callable[[], Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said) as caught:
        _open(answer)
    assert type(caught.value) is error


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (lambda: np.zeros((2, 2, 4, 3), np.float32), PluginError, "float32 of the shape"),
        (lambda: np.zeros((1, 2, 4, 3), np.uint8), PluginError, r"shape \(1, 2, 4, 3\), expected uint8 of \(2, 2, 4"),
        (lambda: np.zeros((2, 4, 2, 3), np.uint8), PluginError, "of the height and width that this video states"),
        (lambda: [[1]], PluginError, "frames gives a list, expected numpy.ndarray"),
        (lambda: _raise(RuntimeError("bad packet")), UnreadableVideo, "reader 'mine' .* frames raised RuntimeError"),
    ],
)
def test_frames(answer: Callable[[], Any], error: type[Exception], said: str) -> None:
    video = _open(lambda: _video(answer))
    with pytest.raises(error, match=said) as caught:
        video.frames([0, 5])
    assert type(caught.value) is error


class _HalveSpec(DownsamplerSpec):
    type: Literal["mine"] = "mine"

    def grid(self, height: int, width: int) -> tuple[int, int]:
        if height % 2:
            raise ValueError(f"found {height}")
        return height // 2, width // 2

    def build(self, width: int) -> Downsampler:
        return _Halve()


class _Halve(Downsampler):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, 2::2, ::2]  # one row fewer than its grid says


def test_a_downsampler_with_a_row_fewer_than_its_grid() -> None:
    with pytest.raises(
        PluginError, match=r"forward gives of the shape \(3, 1, 2, 8\), expected \(3, 2, 2, 8\), as its"
    ):
        _HalveSpec().build(8)(torch.zeros(3, 4, 4, 8))
    with pytest.raises(ValueError, match=r"^found 3$"):
        _HalveSpec().grid(3, 3)
    assert _Halve()(torch.zeros(3, 4, 4, 8)).shape == (3, 1, 2, 8)


class _EncoderSpec(EncoderSpec):
    type: Literal["mine"] = "mine"
    width: int = 8
    patch: int = 2

    def build(self) -> Encoder:
        return _Encoder()


class _Encoder(Encoder):
    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels.new_zeros(*pixels.shape[:2], 4, 8)


def test_an_encoder_without_the_prefix_that_it_states() -> None:
    with pytest.raises(PluginError, match=r"\(1, 2, 4, 8\), expected \(1, 2, 5, 8\), as its prefix_tokens 1, patch 2"):
        _EncoderSpec().build()(torch.zeros(1, 2, 3, 4, 4))


class _BackboneSpec(BackboneSpec):
    type: Literal["mine"] = "mine"

    @property
    def width(self) -> int:
        return 8

    @cached_property
    def layers(self) -> int:  # type: ignore[override]
        return 1.0  # type: ignore[return-value]

    def build(self) -> Any:
        module = nn.Module()
        module.get_input_embeddings = lambda: nn.Embedding(10, 16)  # type: ignore[assignment]
        return module

    def load(self) -> Any:
        return None

    def load_tokenizer(self, offline: bool = False) -> Any:
        return "tokenizer"


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda spec: spec.layers, "layers gives 1.0, expected a whole number of at least 1"),
        (lambda spec: spec.build(), "embeddings of 16 channels, expected 8, as its `width` says"),
        (lambda spec: spec.load(), "load gives None .*, expected a causal language model of transformers"),
        (lambda spec: spec.load_tokenizer(), "gives a str, expected a tokenizer of transformers"),
    ],
)
def test_backbones(ask: Callable[[Any], Any], said: str) -> None:
    with pytest.raises(PluginError, match=rf"^backbone 'mine' .*{said}"):
        ask(_BackboneSpec())


class _StaticSpec(_HalveSpec):
    @staticmethod
    def grid(height: int, width: int) -> tuple[int, int]:  # type: ignore[override]
        return {4: (2, 2)}[height] if width else None  # type: ignore[return-value]


def test_a_static_method_is_looked_at_too() -> None:
    assert _StaticSpec().grid(4, 4) == _StaticSpec.grid(4, 4) == (2, 2)
    with pytest.raises(PluginError, match=r"grid raised KeyError: 5"):
        _StaticSpec().grid(5, 4)
    with pytest.raises(PluginError, match=r"grid gives None, expected \(height, width\)"):
        _StaticSpec().grid(4, 0)
