"""The checks of aligners that read text: their tower sees no text, and no text changes the tokens of another.

Shape letters as in `vlmkit.api.tensors`. An aligner that reads no text passes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn.functional import pad
from torch.utils.flop_counter import FlopCounterMode

from vlmkit.api.aligner import AlignerSpec
from vlmkit.api.modules import Aligner, Encoder
from vlmkit.api.tensors import TextBatch, VideoBatch, VisualTokens
from vlmkit.testing.module_checks import ModuleChecks, check_close
from vlmkit.testing.trial_videos import SQUARE, join_videos, make_video

__all__ = ["TextChecks"]

LONG, OTHER, SHORT = (1, 2, 3, 4), (4, 4, 1, 4), (4, 3)
"""Ids of texts that differ in more than the order of the words. Any tokenizer has them."""
PADDING = 2
"""The id that stands behind a shorter text, where the mask is False."""


class TextChecks(ModuleChecks[AlignerSpec, VideoBatch, Aligner]):
    """The checks of aligners that read text, besides those of every aligner."""

    def tower_does_not_see_the_text(self, spec: AlignerSpec) -> None:
        """Features of a video alone are the same for every text, and computed once for all texts about it."""
        if spec.text_input is None:
            return
        module, videos = self._make(spec), [make_video(spec.input.shape(*SQUARE), seed) for seed in range(2)]
        one, other = _texts([LONG]), _texts([OTHER])
        seen = _outputs(module, videos[0], one)
        reread, elsewhere = _outputs(module, videos[0], other), _outputs(module, videos[1], one)
        of_video = {name for name, made in seen.items() if not _same(made, elsewhere.get(name, []))}
        alone = {name for name in of_video if _same(seen[name], reread.get(name, []))}
        towers = [name for name, part in module.named_modules() if isinstance(part, Encoder)]
        tower = {name for name in of_video if any(f"{name}.".startswith(f"{each}.") for each in towers)}
        assert tower <= alone, f"its encoder gives other features for another text: {sorted(tower - alone)}"
        both = _outputs(module, videos[0], _texts([LONG, OTHER]))
        again = sorted(name for name in tower or alone if not _same(seen[name], both.get(name, [])))
        assert not again, f"looks at a video more than once for two texts about it: {again}"
        fewer, more = (
            _flops(module, videos[0], _texts([LONG] * 2)),
            _flops(module, join_videos(videos), _texts([LONG] * 2, (0, 1))),
        )
        assert fewer < more, "two texts about one video cost as much as two texts about two: it is looked at twice"

    def questions_do_not_see_each_other(self, spec: AlignerSpec) -> None:
        """The tokens for a text are the same beside other texts about the same video, in any order, and others than
        those for another text."""
        if spec.text_input is None:
            return
        run = partial(_tokens, self._make(spec), make_video(spec.input.shape(*SQUARE)))
        first, both, turned = run(_texts([LONG]))[0], run(_texts([LONG, SHORT])), run(_texts([SHORT, LONG]))
        check_close(both[0], first, "the tokens for a text beside another one")
        check_close(turned[1], first, "the tokens for a text behind another one")
        assert not torch.equal(both[0], both[1]), "the tokens for two texts are the same"

    def padding_of_a_text_changes_nothing(self, spec: AlignerSpec) -> None:
        """The tokens for a text are the same without padding and behind a longer text, whatever id the padding has."""
        if spec.text_input is None:
            return
        run = partial(_tokens, self._make(spec), make_video(spec.input.shape(*SQUARE)))
        check_close(run(_texts([LONG, SHORT]))[1], run(_texts([SHORT]))[0], "the tokens for a text with padding")

    def texts_are_about_their_videos(self, spec: AlignerSpec) -> None:
        """A text has the tokens of the video that it is about, in whatever order, beside videos without any text."""
        if spec.text_input is None:
            return
        module, videos = self._make(spec), [make_video(spec.input.shape(*SQUARE), seed) for seed in range(3)]
        rows = [(LONG, 2), (SHORT, 0), (SHORT, 2)]
        together = _tokens(module, join_videos(videos), _texts([ids for ids, _ in rows], [about for _, about in rows]))
        for found, (ids, about) in zip(together, rows, strict=True):
            alone = _tokens(module, videos[about], _texts([ids]))[0]
            check_close(found, alone, f"the tokens for a text about video {about} of 3")


def _texts(rows: Sequence[Sequence[int]], about: Sequence[int] | None = None) -> TextBatch:
    """Return texts of these ids, by default about the first video."""
    length = max(map(len, rows))
    ids = torch.stack([pad(torch.tensor(row), (0, length - len(row)), value=PADDING) for row in rows])
    mask = torch.arange(length) < torch.tensor([[len(row)] for row in rows])
    return TextBatch(ids, mask, torch.tensor(about or [0] * len(rows)))


def _tokens(module: Aligner, video: VideoBatch, text: TextBatch) -> Tensor:
    """Return (Q, N, D)."""
    with torch.no_grad():
        tokens: VisualTokens = module(video, text)
    return tokens.embeddings


def _outputs(module: Aligner, video: VideoBatch, text: TextBatch) -> dict[str, list[Tensor]]:
    """Return what each submodule gave in each of its calls, by name; those that give no tensor are left out."""
    found: dict[str, list[Tensor]] = {}

    def keep(name: str, _: Any, args: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            found.setdefault(name, []).append(output.clone())

    handles = [part.register_forward_hook(partial(keep, name)) for name, part in module.named_modules() if name]
    try:
        _tokens(module, video, text)
    finally:
        for handle in handles:
            handle.remove()
    return found


def _same(found: Sequence[Tensor], expected: Sequence[Tensor]) -> bool:
    return len(found) == len(expected) and all(
        a.shape == b.shape and torch.allclose(a, b, atol=1e-5, rtol=1e-4) for a, b in zip(found, expected, strict=True)
    )


def _flops(module: Aligner, video: VideoBatch, text: TextBatch) -> int:
    # Not `no_grad`: there the view of a parameter still asks for gradients, and the counter cannot follow it.
    frozen = {name: value.detach() for name, value in module.named_parameters()}
    with FlopCounterMode(display=False) as counter:
        functional_call(module, frozen, (video, text))
    return int(counter.get_total_flops())
