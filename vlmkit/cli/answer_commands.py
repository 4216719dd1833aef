"""`vlmkit answers`: answers of others in, results for others out, published numbers made again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vlmkit.errors import DataError, shown
from vlmkit.files import write_atomic

if TYPE_CHECKING:
    from vlmkit.answers.importing import Imported

__all__ = ["app"]

app = typer.Typer(help="Answers made elsewhere, results for other tools, published numbers.", no_args_is_help=True)

_EXAMPLES = 3


_Taken = Literal["given", "judged"]
_Export = Literal["every-eval-ever", "hf-eval-results"]


@app.command("import")
def import_files(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Files of answers, or folders of such files.")],
    benchmark: Annotated[str, typer.Option(help="The registry's entry that the answers are about.")],
    to: Annotated[Path, typer.Option(help="The folder to be made, in the layout of a run.")],
    split: Annotated[str | None, typer.Option(help="Split; by default the entry's own default.")] = None,
    annotation_root: Annotated[Path | None, typer.Option(help="Folder of the entry's annotation files.")] = None,
    protocol: Annotated[
        str | None, typer.Option(help="By whose judge prompt stored verdicts are kept; by default the entry's first.")
    ] = None,
    verdicts: Annotated[
        list[Path] | None, typer.Option(help="A judge's verdicts in files of their own. Repeatable.")
    ] = None,
    answers: Annotated[
        _Taken, typer.Option(help="`judged`: take the answers that the verdicts are about, where the files differ.")
    ] = "given",
    form: Annotated[str, typer.Option("--format", help="Format of the files; by default it is recognized.")] = "",
    column: Annotated[str, typer.Option(help="Which column, of a table with one for each setting.")] = "",
    vocabulary: Annotated[
        Path | None, typer.Option(help="JSON list of the words that answers given by number stand for.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Whose answers they are; by default the name of --to.")] = None,
    partial: Annotated[bool, typer.Option("--partial", help="Take answers to some of the questions.")] = False,
    max_different: Annotated[
        int, typer.Option(min=0, help="In how many questions or references the files may differ from the benchmark.")
    ] = 0,
    benchmarks_path: Annotated[
        list[str] | None, typer.Option(metavar="FOLDER", help="A further folder of entries. Repeatable.")
    ] = None,
) -> None:
    """Take answers that another tool made, with the verdicts of its judge, to score and compare them without a model.

    Answers find their questions by id, or else by their text or their place within video and question type. Those
    of another split or revision are refused, and so are verdicts about other answers than those beside them.
    """
    from vlmkit.answers.answer_formats import ReadOptions, read_vocabulary
    from vlmkit.answers.entry_questions import entry_questions
    from vlmkit.answers.importing import AnswerSource, import_answers
    from vlmkit.benchmarks.entries import find_benchmark
    from vlmkit.benchmarks.protocols import build_rules

    entry = find_benchmark(benchmark, benchmarks_path or [])
    words = () if vocabulary is None else read_vocabulary(vocabulary)
    source = AnswerSource(
        files, verdicts or [], ReadOptions(form, column, words), answers == "judged", partial, max_different
    )
    rules = build_rules(entry.protocol(protocol), entry.folder)
    questions = entry_questions(entry, split, annotation_root)
    typer.echo(_summary(import_answers(source, entry, questions, rules, model or to.name, to)))


def _summary(imported: Imported) -> str:
    record, result = imported.record, imported.result
    lines = [
        f"{record.answers:,} answers of {record.model} to {result.benchmark}, split {result.split}: {imported.folder}"
    ]
    if record.unanswered:
        lines.append(f"  {record.unanswered:,} of them are empty: the tool got no answer")
    if record.missing:
        examples = ", ".join(map(shown, imported.missing[:_EXAMPLES]))
        lines.append(f"  {record.missing:,} questions have no answer, e.g. {examples}")
    lines += [f"  {count:,} verdicts of {judge}" for judge, count in record.verdicts.items()]
    if record.contradicted:
        lines.append(
            f"  {record.contradicted:,} verdicts say something else than the first about the same answer: left out"
        )
    if imported.refused:
        first = imported.refused[0]
        lines.append(
            f"  {record.refused:,} verdicts judged another answer and are left out, e.g. {shown(first.id)}: "
            f"{shown(first.answer or '')} here, {shown(first.judged)} there; --answers judged takes what was judged"
        )
    rules = f"protocol {result.protocol}" + (f", judge {result.judge}" if result.judge else "")
    for name, metric in result.metrics.items():
        low, high = metric.ci95
        lines.append(f"  {name} {metric.value:.4f} [{low:.4f}, {high:.4f}] of {result.n:,} questions, {rules}")
    if result.unscored:
        lines.append(f"  {result.unscored:,} answers are unscored: that judge did not judge them")
    return "\n".join(lines)


@app.command("export")
def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder with results.")],
    form: Annotated[_Export, typer.Option("--format", help="For whom.")],
    to: Annotated[Path, typer.Option(help="The file to be written.")],
    model: Annotated[
        str | None, typer.Option(help="Id of the model, organization/name; by default the run's name.")
    ] = None,
    organization: Annotated[str, typer.Option(help="every-eval-ever: who made the evaluation.")] = "unknown",
    relationship: Annotated[
        str, typer.Option(help="Of them to the model: first_party, third_party, collaborative or other.")
    ] = "other",
    benchmark: Annotated[str | None, typer.Option(help="hf-eval-results: name of the result.")] = None,
    dataset: Annotated[
        str | None, typer.Option(help="hf-eval-results: id of the benchmark's dataset on the Hub.")
    ] = None,
    task: Annotated[str, typer.Option(help="hf-eval-results: the task in that dataset's eval.yaml.")] = "default",
    source: Annotated[str, typer.Option(help="hf-eval-results: address where the answers can be seen.")] = "",
) -> None:
    """Write results for every-eval-ever (JSON, all of a run) or for a model on the Hub (YAML, one of a run)."""
    from vlmkit.answers.exports import ExportedModel, HubBenchmark, every_eval_ever, hub_results, read_results

    results = read_results(run)
    if form == "every-eval-ever":
        about = ExportedModel(model or run.resolve().name, organization, relationship)
        text = json.dumps(every_eval_ever(results, about), indent=2, ensure_ascii=False) + "\n"
    elif dataset is None:
        raise DataError("hf-eval-results: expected --dataset, the id of the benchmark's dataset on the Hub")
    else:
        text = hub_results(results, benchmark or next(iter(results)), HubBenchmark(dataset, task, source))
    to.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(to, text)
    typer.echo(f"written: {to}")


@app.command("reproduce")
def reproduce_numbers(
    root: Annotated[Path, typer.Option("--from", help="Folder with the answers and annotations that the list names.")],
    to: Annotated[Path, typer.Option(help="The page to be written, Markdown.")],
    published: Annotated[
        Path | None, typer.Option(help="Folder of lists; by default benchmarks_registry/published.")
    ] = None,
) -> None:
    """Make the published numbers of public systems again, from their own answers, and write a page of them."""
    from vlmkit.answers.published import read_published
    from vlmkit.answers.published_page import published_page
    from vlmkit.answers.reproduction import reproduce

    found = [(one, reproduce(one, root)) for one in read_published(published)]
    write_atomic(to, published_page(found))
    numbers = [number for _, some in found for number in some]
    typer.echo(f"{sum(number.agrees for number in numbers)} of {len(numbers)} published numbers agree: {to}")
