"""The folder that the Hugging Face Hub expects of a model, written from a run or from a saved model.

DST/  *.safetensors  config.json  generation_config.json  processor_config.json  tokenizer…  chat_template.jinja
  spec.yaml         the resolved spec of the run
  capsule.json      with `capsule`: what each stage gave for some of its questions, see `vlmkit.publish.capsule`
  checksums.json    the manifest: of these files, and beside them, under `export`, of what people may edit on the Hub
  README.md         the model card
  .eval_results/    the Hub's own form of scores, for benchmarks of which the dataset there is known
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vlmkit.answers.exports import HubBenchmark, hub_results
from vlmkit.api.trained_model import model_folder
from vlmkit.errors import DataError, RunError, did_you_mean
from vlmkit.evaluation.saved_model import saved_model_of
from vlmkit.files import expand_path, is_file, is_folder, write_atomic
from vlmkit.json_files import read_json, stamped_comment
from vlmkit.manifest import MANIFEST, MODEL_REMEDY, Checksum, check_folder, file_entries
from vlmkit.publish.adapters import read_adapter, write_adapter, write_merged
from vlmkit.publish.capsule import write_capsule
from vlmkit.publish.card_data import CardOptions
from vlmkit.publish.card_facts import CardFacts, gather_facts
from vlmkit.publish.destination import check_free, write_export_manifest, writing_folder
from vlmkit.publish.model_card import model_card
from vlmkit.publish.portable import LOCAL, portable, portable_json, portable_text, refuse_private
from vlmkit.report.run_files import RunFiles, read_run
from vlmkit.run_folder import RunFolder
from vlmkit.spec.yaml import read as read_yaml
from vlmkit.spec.yaml import write as write_yaml

__all__ = ["ExportOptions", "Exported", "export_model"]

_MODEL_FILES = (
    *("*.safetensors", "*.safetensors.index.json", "config.json", "generation_config.json", "processor_config.json"),
    *("preprocessor_config.json", "video_preprocessor_config.json", "tokenizer.json", "tokenizer.model"),
    *("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt"),
    *("*.jinja", "LICENSE*", "NOTICE*"),
)
_VOCABULARIES = ("tokenizer.json", "vocab.json", "added_tokens.json")
"""Words, some of which look like paths."""
_CARD = "README.md"
_SPEC_HEAD = f"# Folders and files of the machine that ran this stand as {LOCAL}: put your own in their place.\n"


@dataclass(frozen=True)
class ExportOptions:
    """The options of an export."""

    card: CardOptions = field(default_factory=CardOptions)
    benchmarks: Mapping[str, HubBenchmark] = field(default_factory=dict)
    """By name of a result, where the Hub keeps the benchmark."""
    adapter: Path | None = None
    """Folder of a PEFT adapter of the model."""
    merge: bool = True
    """Whether the adapter is merged, and not written alone."""
    capsule: int = 0
    """Of how many of the run's questions a capsule records every stage; 0: there is none."""
    capsule_texts: bool = False
    """Whether it keeps prompts and answers themselves, of benchmarks whose license lets it."""
    overwrite: bool = False
    """Whether what an earlier export wrote may be replaced."""


@dataclass(frozen=True)
class Exported:
    """A folder that was written."""

    folder: Path
    files: dict[str, Checksum]
    """By path in the folder."""
    notes: list[str]
    """What was left out, in sentences."""

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(entry.bytes for entry in self.files.values())


def export_model(target: str | Path, destination: str | Path, options: ExportOptions | None = None) -> Exported:
    """Write the folder `destination`, whole or not at all.

    Args:
        target: a run whose training is done, a run that measured a saved model, or the folder of a saved model.
        destination: a folder that is empty, or not there yet; with `overwrite` that of an earlier export.
        options: what is written beside the model.

    Raises:
        UserError: the target is no model, the destination holds something else, or the adapter does not fit.
    """
    options = options or ExportOptions()
    where = expand_path(destination).absolute()
    model, run = _find(target)
    check_free(where, overwrite=options.overwrite)
    check_folder(model, MODEL_REMEDY)
    _check_capsule(run, options)
    config = read_json(model / "config.json", "a JSON object", RunError, MODEL_REMEDY)
    adapter = read_adapter(options.adapter) if options.adapter is not None else None
    if options.adapter is not None and not options.merge and options.card.base_model is None:
        raise DataError("--no-merge: expected --base-model ORG/NAME: an adapter is of no use without its model")
    facts = gather_facts(model, config, run, _name(target, run, options), adapter)
    _check_benchmarks(options.benchmarks, facts)
    with writing_folder(where) as folder:
        notes = _write_model(model, folder, options)
        if run is not None:
            spec = portable(read_yaml(RunFolder(run.folder).spec_file).data)
            write_atomic(folder / "spec.yaml", stamped_comment(_SPEC_HEAD + write_yaml(spec)))
            if options.capsule:
                write_capsule(run.folder, folder, questions=options.capsule, texts=options.capsule_texts)
        own = file_entries(folder, _files(folder))
        more = _write_texts(folder, run, facts, options)
        refuse_private(folder, _texts(folder), [path for path in (model, run and run.folder, where) if path])
        write_export_manifest(folder, own, more)
    return Exported(where, own | more, [*notes, *_left_out(facts, options)])


def _find(target: str | Path) -> tuple[Path, RunFiles | None]:
    """Return the folder of the model, and the run that it is of."""
    path = expand_path(target).absolute()
    if is_file(path / "config.json"):
        run = path.parent if path.name == "model" and is_file(path.parent / "spec.yaml") else None
        return path, None if run is None else read_run(run)
    if not is_file(path / "spec.yaml"):
        return model_folder(target), None
    files = read_run(path)
    saved = saved_model_of(files.experiment, RunFolder(path)) if files.experiment is not None else None
    if not files.trained and saved is not None and is_folder(saved):
        return saved.absolute(), files
    return model_folder(path), files


def _check_capsule(run: RunFiles | None, options: ExportOptions) -> None:
    if options.capsule and options.adapter is not None:
        raise DataError(
            "--capsule: the run's answers are those of the model without the adapter; leave one of them out"
        )
    if options.capsule and run is None:
        raise DataError("--capsule: expected a run, of whose answers it records some, found a saved model alone")


def _name(target: str | Path, run: RunFiles | None, options: ExportOptions) -> str:
    if options.card.repository is not None:
        return options.card.repository.rpartition("/")[2]
    return run.spec.name if run is not None else expand_path(target).absolute().name


def _write_model(model: Path, folder: Path, options: ExportOptions) -> list[str]:
    """Write weights, configuration and processor; return which files of the model's folder were left there."""
    notes = []
    if options.adapter is None:
        taken = {file for pattern in _MODEL_FILES for file in model.glob(pattern) if is_file(file)}
        for file in sorted(taken):
            shutil.copyfile(file, folder / file.name)
        kept = {MANIFEST, _CARD, "spec.yaml"}
        others = sorted(one.name for one in model.iterdir() if one not in taken and one.name not in kept)
        notes = [f"left in {model}: {', '.join(others)}"] if others else []
    elif options.merge:
        write_merged(model, options.adapter, folder)
    else:
        assert options.card.base_model is not None
        write_adapter(model, options.adapter, folder, options.card.base_model)
    for file in sorted(folder.glob("*.json")):
        if file.name not in _VOCABULARIES and not file.name.endswith(".index.json"):
            portable_json(file)
    (folder / MANIFEST).unlink(missing_ok=True)
    return notes


def _write_texts(folder: Path, run: RunFiles | None, facts: CardFacts, options: ExportOptions) -> dict[str, Checksum]:
    """Write what people read, and may edit on the Hub; return the files."""
    shown = {section.name: section.result for section in facts.results}
    written = []
    for name, place in options.benchmarks.items():
        file = folder / ".eval_results" / f"{name}.yaml"
        file.parent.mkdir(exist_ok=True)
        write_atomic(file, portable_text(hub_results(shown, name, place)))
        written.append(file)
    merged = options.adapter is None or options.merge
    card = model_card(facts, options.card, options.benchmarks, merged=merged, capsule=bool(options.capsule))
    write_atomic(folder / _CARD, card)
    return file_entries(folder, [folder / _CARD, *written])


def _check_benchmarks(benchmarks: Mapping[str, HubBenchmark], facts: CardFacts) -> None:
    shown = [section.name for section in facts.results]
    for name in benchmarks:
        if name not in shown:
            known = f"{did_you_mean(name, shown)}there are: {', '.join(shown) or 'none'}"
            raise DataError(f"--hub-benchmark: expected the name of a result of this model, found {name!r}; {known}")


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if is_file(file))


def _texts(folder: Path) -> Iterator[Path]:
    return (one for one in _files(folder) if one.suffix != ".safetensors" and one.name not in _VOCABULARIES)


def _left_out(facts: CardFacts, options: ExportOptions) -> Iterator[str]:
    if facts.stale:
        yield (
            f"no scores of {', '.join(facts.stale)}: they are of other weights than the model now has; `vlmkit eval` "
            "measures it again"
        )
    unnamed = [section.name for section in facts.results if section.name not in options.benchmarks]
    if unnamed:
        yield (
            f"no .eval_results for {', '.join(unnamed)}: the registry does not say which dataset of the Hub it is; "
            f"--hub-benchmark {unnamed[0]}=ORG/DATASET says so"
        )
