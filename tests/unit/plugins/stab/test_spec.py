"""Which options of stab make sense together."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
from pydantic import ValidationError

from vlmkit.api import VideoInput
from vlmkit_stab.spec import StabSpec


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"lste": False, "dpe": True}, "two halves of lste"),
        ({"lste": False, "lmhra": True}, "two halves of lste"),
        ({"lmhra": False, "dpe": False}, "does nothing"),
        ({"lste": False, "dense": True}, "doubles"),
        ({"fsra": False, "gstra": False, "cls_head": True}, "cls_head works on the CLS token"),
        ({"heads": 7}, "heads is 7, which does not divide the width 64"),
        ({"gstra_heads": 5}, "gstra_heads is 5, which does not divide the width 64"),
        ({"downsampler": {"type": "lsd", "heads": 3}}, "lsd: heads is 3, which does not divide the width 64"),
        ({"chunk_frames": 3}, "chunk_frames is 3, which does not divide 8 frames"),
        ({"chunk_frames": 16}, "chunk_frames is 16, which does not divide 8 frames"),
        ({"chunk_frames": "some"}, "chunk_frames"),
        ({"patch": 10}, "input.size 48 is not a multiple of the patch side 10"),
        ({"input": VideoInput(size=48, multiple=8)}, "windows of 2x2 patches do not tile 1x1 patches"),
        ({"input": VideoInput(size=48, multiple=12)}, "input.multiple 12 is not a multiple of the patch side 8"),
        ({"input": VideoInput(frames=1, size=48, multiple=16)}, "a single frame passes neither lste nor gstra"),
        ({"input": VideoInput(size=48, multiple=16, sampling="one-fps")}, "expected a fixed number"),
        ({"dropout": 1.0}, "dropout"),
        ({"widht": 64}, "widht"),
    ],
    ids=str,
)
def test_refused_with_the_reason(tiny: Callable[..., StabSpec], options: dict[str, object], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        tiny(**options)


def test_a_fixed_grid_cannot_come_before_lste(tiny: Callable[..., StabSpec]) -> None:
    fixed = {"type": "adaptive-pool", "height": 3, "width": 3}
    assert tiny(downsampler=fixed).downsampler.type == "adaptive-pool"
    with pytest.raises(ValidationError, match="cannot be cut out"):
        tiny(downsampler=fixed, downsampler_position="before-lste")


def test_what_has_nothing_to_act_on_is_off(tiny: Callable[..., StabSpec]) -> None:
    bare = tiny(lste=False, fsra=False, gstra=False)
    assert (bare.lmhra, bare.dpe, bare.dense, bare.cls_head) == (False, False, False, False)


@pytest.mark.parametrize("options", [{}, {"lste": False}, {"fsra": False, "gstra": False}, {"chunk_frames": "all"}])
def test_round_trip(tiny: Callable[..., StabSpec], options: dict[str, object]) -> None:
    spec = tiny(**options)
    assert StabSpec.model_validate(spec.model_dump(mode="json")) == spec


@pytest.mark.parametrize(("width", "heads"), [(1024, 8), (1152, 8), (1408, 11)])
def test_published_heads_of_gstra(width: int, heads: int) -> None:
    assert StabSpec(width=width).query_heads == heads


def test_heads_of_what_is_not_there_may_be_any(tiny: Callable[..., StabSpec]) -> None:
    assert tiny(fsra=False, heads=5, gstra_heads=4).build(32).fsra is None
    assert tiny(gstra=False, gstra_heads=5).build(32).gstra is None


def test_videos_of_any_length_are_one_chunk(tiny: Callable[..., StabSpec]) -> None:
    assert tiny(chunk_frames="all").frames_per_chunk(7) == 7
    assert tiny(lste=False, gstra=False).frames_per_chunk(7) == 7


def test_identity_needs_the_width_of_the_llm(tiny: Callable[..., StabSpec]) -> None:
    with pytest.raises(ValueError, match="width 32, found 64"):
        tiny(projector="identity").build(32)


def test_specs_and_formats_import_no_torch() -> None:
    code = (
        "import sys, vlmkit_stab as s, vlmkit_eve as e;"
        "s.vlmkit_components(), e.vlmkit_components(), s.vlmkit_published(), e.vlmkit_published();"
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
