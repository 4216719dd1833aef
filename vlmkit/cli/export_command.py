"""`vlmkit export`: a run, or a saved model, as the folder that the Hugging Face Hub expects, and its upload."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vlmkit.errors import DataError, UserError, shown

if TYPE_CHECKING:
    from vlmkit.answers.exports import HubBenchmark

__all__ = ["export"]

_PLACE = re.compile(r"(?P<result>[^=]+)=(?P<dataset>[^=:\s]+/[^=:\s]+?)(?::(?P<task>[^=:\s]+))?")


def export(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A run folder, or the folder of a saved model.")],
    destination: Annotated[Path, typer.Argument(metavar="DST", help="The folder to make.")],
    license_: Annotated[
        str | None, typer.Option("--license", metavar="ID", help="The Hub's id of a license, e.g. apache-2.0.")
    ] = None,
    base_model: Annotated[
        str | None, typer.Option(metavar="ORG/NAME", help="What it was trained from; by default as its spec has it.")
    ] = None,
    dataset: Annotated[
        list[str] | None, typer.Option(metavar="ORG/NAME", help="On the Hub, what it was trained on. Repeatable.")
    ] = None,
    hub_benchmark: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RESULT=ORG/DATASET[:TASK]",
            help="Where the Hub keeps the benchmark of a result: that score is written for it. Repeatable.",
        ),
    ] = None,
    adapter: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="A PEFT adapter (e.g. LoRA) of the model, to be merged into it."),
    ] = None,
    no_merge: Annotated[bool, typer.Option("--no-merge", help="Write the adapter alone.")] = False,
    capsule: Annotated[
        bool, typer.Option("--capsule", help="Record every stage of some questions, for `vlmkit verify`.")
    ] = False,
    capsule_questions: Annotated[int, typer.Option(min=1, help="How many questions the capsule records.")] = 16,
    capsule_texts: Annotated[
        bool,
        typer.Option("--capsule-texts", help="Keep prompts and answers too, where the benchmark's license lets it."),
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what an earlier export wrote.")] = False,
    push_to: Annotated[
        str | None, typer.Option("--push", metavar="ORG/NAME", help="Upload it to this repository of the Hub.")
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Make that repository a private one.")] = False,
) -> None:
    """Write weights, processor, spec and a model card with all scores, ready for the Hugging Face Hub.

    The card is made from the run: parts, data, training, scores with their intervals, protocols, judges and controls.
    Nothing in the folder names a path of this machine.
    """
    if no_merge and adapter is None:
        raise UserError("--no-merge: expected --adapter FOLDER too: the model itself has nothing to merge")
    if private and push_to is None:
        raise UserError("--private: expected --push ORG/NAME too: a folder on this machine is neither")
    if capsule_texts and not capsule:
        raise UserError("--capsule-texts: expected --capsule too, which keeps them")
    places = dict(map(_hub_benchmark, hub_benchmark or []))
    from vlmkit.publish.card_data import CardOptions
    from vlmkit.publish.hub_folder import ExportOptions, export_model
    from vlmkit.publish.upload import check_upload, push

    if push_to is not None:
        check_upload(push_to)
    card = CardOptions(license_, base_model, tuple(dataset or ()), push_to)
    options = ExportOptions(
        card=card,
        benchmarks=places,
        adapter=adapter,
        merge=not no_merge,
        capsule=capsule_questions if capsule else 0,
        capsule_texts=capsule_texts,
        overwrite=overwrite,
    )
    done = export_model(model, destination, options)
    lines = [f"note: {note}" for note in done.notes]
    lines.append(f"written: {done.folder} ({len(done.files) + 1} files, {done.size / 1e6:,.1f} MB; read README.md)")
    typer.echo("\n".join(lines))
    if push_to is not None:
        typer.echo(f"pushed: {push(done.folder, push_to, private=private)}")


def _hub_benchmark(text: str) -> tuple[str, HubBenchmark]:
    from vlmkit.answers.exports import HubBenchmark

    if (found := _PLACE.fullmatch(text)) is None:
        raise DataError(
            f"--hub-benchmark: expected RESULT=ORG/DATASET or RESULT=ORG/DATASET:TASK, found {shown(text)}; TASK is an "
            "id of the dataset's eval.yaml"
        )
    return found["result"], HubBenchmark(found["dataset"], found["task"] or "default")
