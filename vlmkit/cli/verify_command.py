"""`vlmkit verify`: the questions of a capsule, asked again of the model beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vlmkit.cli.finished_options import FurtherEntries, Listed
from vlmkit.formatting import columns, count, one_line, plural
from vlmkit.spec.yaml import parse_scalar

if TYPE_CHECKING:
    from vlmkit.publish.verification import Verification

__all__ = ["verify_capsule"]

_WIDEST = 150
"""Characters of a difference in the list."""


def verify_capsule(
    capsule: Annotated[
        Path, typer.Argument(metavar="CAPSULE", help="The folder of an exported model with its capsule.json.")
    ],
    video_root: Annotated[str | None, typer.Option(metavar="FOLDER", help="Folder of the videos.")] = None,
    annotation_root: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Folder of the annotation files.")
    ] = None,
    judge: Annotated[
        str | None,
        typer.Option(metavar="JUDGE", help="Ask this judge anew, e.g. '{type: openai, model: gpt-4o-mini}'."),
    ] = None,
    listed: Listed = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print all of it as JSON.")] = False,
    benchmarks_path: FurtherEntries = None,
) -> None:
    """Ask the questions of a capsule again, and name the first stage that gives something else than it did.

    The stages: video file, frames, pixels, visual tokens, prompt, answer, verdict; before them the files of the model.
    Exit code 0: all hold, 2: something differs. A judge that costs money is not asked again, unless with --judge.
    """
    from vlmkit.publish.verification import verify

    found = verify(
        capsule,
        video_root=video_root,
        annotation_root=annotation_root,
        benchmarks_path=benchmarks_path or (),
        judge=None if judge is None else parse_scalar(judge, "--judge"),
    )
    typer.echo(json.dumps(found.data(), indent=2, ensure_ascii=False) if as_json else "\n".join(_lines(found, listed)))
    if not found.holds:
        raise typer.Exit(2)


def _lines(found: Verification, listed: int) -> Iterator[str]:
    from vlmkit.publish.capsule_record import STAGES
    from vlmkit.publish.verification import MEANING

    unlike = f", {count(found.unlike_run)} of which it answered otherwise in a batch" if found.unlike_run else ""
    yield f"capsule of {found.run}: {plural(found.expected, 'question')}{unlike}"
    if found.environment:
        yield "environment: " + "; ".join(found.environment)
        yield f"  {MEANING['environment']}"
    differ = "differs" if len(found.model) == 1 else "differ"
    yield f"model: {', '.join(found.model)} {differ}" if found.model else "model: the same files"
    if found.model:
        yield f"  {MEANING['model']}"
    if found.unusable:
        yield f"it cannot be loaded, so nothing was asked: {found.unusable}"
        return
    firsts = found.counts()
    rows = [("stage", "the same", "differs", "first difference")]
    for number, stage in enumerate(STAGES):
        differs = sum(stage in one.differences for one in found.questions)
        same = sum(number < one.reached for one in found.questions) - differs
        rows.append((stage.replace("_", " "), count(max(same, 0)), count(differs), count(firsts[stage])))
    yield columns(rows)
    for stage in STAGES:
        if firsts[stage]:
            yield f"{stage.replace('_', ' ')}: {MEANING[stage]}"
    others = [one for one in found.questions if one.first]
    if others:
        shown = [
            (one.benchmark, one.id, str(one.first).replace("_", " "), one_line(one.differences[one.first], _WIDEST))
            for one in others[:listed]
            if one.first
        ]
        yield columns(shown) if shown else ""
        if len(others) > len(shown):
            yield f"{count(len(others) - len(shown))} more; --list N shows more, --json all"
    yield "all hold" if found.holds else f"the first difference: {str(found.first).replace('_', ' ')}"
