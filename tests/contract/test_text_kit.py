"""The conformance kit finds aligners that read text and do not keep their promises."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vlmkit.api import Aligner, AlignerSpec, Encoder, TextBatch, TextInput, VideoBatch, VideoInput, VisualTokens
from vlmkit.nn.layout import layout_without_patches
from vlmkit.testing import checks

FRAMES = 4


class _Tower(Encoder):
    """A vector for each frame."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 14, 14)

    def forward(self, pixels: Tensor) -> Tensor:
        frames: Tensor = self.patches(pixels.flatten(0, 1)).mean((2, 3))
        return frames.unflatten(0, pixels.shape[:2])


class _Asked(Aligner):
    """Two tokens per frame: what is seen, and that times what is asked."""

    def __init__(self, llm_width: int) -> None:
        super().__init__()
        self.tower, self.words, self.projector = _Tower(), nn.Embedding(8, 8), nn.Linear(8, llm_width)

    def look(self, video: VideoBatch, text: TextBatch) -> Tensor:
        """(Q, T, C): the frames of the video of each text."""
        return self.tower(video.pixels)[text.video_of_text]

    def read(self, text: TextBatch) -> Tensor:
        """(Q, C)."""
        words: Tensor = self.words(text.ids).masked_fill(~text.mask[..., None], 0)
        return words.sum(1) / text.mask.sum(1)[:, None]

    def forward(self, video: VideoBatch, text: Any = None) -> VisualTokens:
        seen = self.look(video, text)
        tokens = torch.stack([seen, seen * self.read(text)[:, None]], 2).flatten(1, 2)
        patches = torch.full((len(tokens), video.pixels.shape[1], 4, 4), -1)
        return VisualTokens(self.projector(tokens), torch.ones(tokens.shape[:2], dtype=torch.bool), patches)


def faults(module: type[Aligner]) -> dict[str, str]:
    """The words of the kit about an aligner with this module, by the name of the check."""

    class AskedSpec(AlignerSpec):
        """Options."""

        type: str = "asked"
        input: VideoInput = VideoInput(frames=FRAMES, size=56, sampling="uniform")
        text: TextInput = TextInput()

        def layout(self, video: Any) -> Any:
            return layout_without_patches(2 * FRAMES, FRAMES, (4, 4))

        def build(self, llm_width: int) -> Aligner:
            return module(llm_width)  # type: ignore[call-arg]

    found = {}
    for check in checks("aligner"):
        if any(word in check.__name__ for word in ("text", "question")):
            try:
                check(AskedSpec())
            except AssertionError as error:
                found[check.__name__] = str(error)
    return found


def test_takes_one_that_keeps_them() -> None:
    assert faults(_Asked) == {}


def test_finds_an_encoder_that_sees_the_text() -> None:
    class Guided(_Asked):
        def look(self, video: VideoBatch, text: TextBatch) -> Tensor:
            return self.tower(video.pixels + self.read(text).mean())[text.video_of_text]

    said = faults(Guided)["tower_does_not_see_the_text"]
    assert said == "its encoder gives other features for another text: ['tower', 'tower.patches']"


def test_finds_a_video_that_is_looked_at_for_each_text() -> None:
    class Again(_Asked):
        def look(self, video: VideoBatch, text: TextBatch) -> Tensor:
            return self.tower(video.pixels[text.video_of_text])

    found = faults(Again)
    assert found["tower_does_not_see_the_text"] == (
        "looks at a video more than once for two texts about it: ['tower', 'tower.patches']"
    )
    assert list(found) == ["tower_does_not_see_the_text"]


def test_finds_work_without_modules_that_is_done_for_each_text() -> None:
    class Plain(_Asked):
        def look(self, video: VideoBatch, text: TextBatch) -> Tensor:
            weight, bias = self.tower.patches.weight, self.tower.patches.bias
            frames = F.conv2d(video.pixels[text.video_of_text].flatten(0, 1), weight, bias, 14)
            return frames.mean((2, 3)).unflatten(0, (-1, FRAMES))

    assert "it is looked at twice" in faults(Plain)["tower_does_not_see_the_text"]


@pytest.mark.parametrize(
    ("change", "check", "said"),
    [
        (lambda read, _: read - read.mean(0), "questions_do_not_see_each_other", "the tokens for a text beside"),
        (lambda read, _: read.cumsum(0), "questions_do_not_see_each_other", "the tokens for a text behind"),
        (lambda read, _: torch.ones_like(read), "questions_do_not_see_each_other", "for two texts are the same"),
        (lambda read, text: read * text.mask.shape[1], "padding_of_a_text_changes_nothing", "with padding"),
    ],
    ids=["mean", "earlier ones", "deaf", "length"],
)
def test_finds_texts_that_change_others(change: Any, check: str, said: str) -> None:
    class Mixing(_Asked):
        def read(self, text: TextBatch) -> Tensor:
            read: Tensor = change(super().read(text), text)
            return read

    assert said in faults(Mixing)[check]


def test_finds_words_behind_the_end_of_a_text() -> None:
    class Maskless(_Asked):
        def read(self, text: TextBatch) -> Tensor:
            words: Tensor = self.words(text.ids)
            return words.mean(1)

    assert "with padding" in faults(Maskless)["padding_of_a_text_changes_nothing"]


def test_finds_texts_that_get_the_tokens_of_another_video() -> None:
    class InOrder(_Asked):
        def look(self, video: VideoBatch, text: TextBatch) -> Tensor:
            return self.tower(video.pixels)[torch.arange(len(text.ids)) % len(video.pixels)]

    assert "the tokens for a text about video 2 of 3" in faults(InOrder)["texts_are_about_their_videos"]
