"""Mistakes at the command line: exit code 2 and one message that says where, what was found, and what to do."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from vlmkit.cli import main
from vlmkit.errors import CheckpointError
from vlmkit.registry import registry

SPEC = """\
vlmkit: 1
name: tiny
model:
  aligner:
    type: stab
    width: 16
    patch: 8
    heads: 2
    downsampler: lsd
    input: {frames: 4, sampling: uniform, size: 32, multiple: 16}
  backbone:
    type: hf-causal-lm
    init: random
    config: {model_type: llama, hidden_size: 16, intermediate_size: 32, num_hidden_layers: 1, num_attention_heads: 2}
    tokenizer: {text: [which colour is the shape], vocab_size: 270}
training:
  stages:
    - name: words
      data: [{type: moving-shapes, clips: 6, text_only: true}]
      train: {backbone: 1e-3}
      batch_size: 2
      steps: 1
"""
PLUGIN = """
from typing import Literal
from vlmkit import hookimpl
from vlmkit.api import DownsamplerSpec

VLMKIT_API = 1

class AnotherSpec(DownsamplerSpec):
    "Every second patch of every second row."
    type: Literal["NAME"] = "NAME"

    def grid(self, height, width):
        return height // 2, width // 2

    def build(self, width):
        from vlmkit.api import Downsampler

        class Another(Downsampler):
            def forward(self, x):
                return x[:, ::2, ::2]

        return Another()

@hookimpl
def vlmkit_components():
    return [AnotherSpec]
"""


SCHEMA = [sys.executable, "-c", "import sys; from vlmkit.cli import main; sys.argv[1:] = ['schema']; main()"]


class Outcome(NamedTuple):
    """What a command left behind."""

    code: object
    out: str
    err: str

    def refusal(self) -> str:
        """The one message of a command that was refused."""
        assert self.code == 2, self
        assert "Traceback" not in self.err, self.err
        before, _, message = self.err.partition("vlmkit: ")
        assert not before or before.endswith("\n"), self.err
        assert "vlmkit: " not in message, self.err
        return message


Cli = Callable[..., Outcome]


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Cli:
    """The command line in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    for name, value in {"VLMKIT_DEBUG": "", "HF_HUB_OFFLINE": "1"}.items():
        monkeypatch.setenv(name, value)  # what a command sets goes with the test

    def run(*arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["vlmkit", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return Outcome(ended.value.code or 0, *capsys.readouterr())

    return run


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    """Write the spec file, with some of its lines replaced."""

    def write(*edits: tuple[str, str], more: str = "") -> str:
        text = SPEC
        for old, new in edits:
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "tiny.yaml").write_text(text + more)
        return "tiny.yaml"

    return write


Edits = tuple[tuple[str, str], ...]
MISTAKES: dict[str, tuple[Edits, tuple[str, ...]]] = {
    "unknown key": (
        (("width: 16", "widht: 16"),),
        ("tiny.yaml:6: model.aligner.widht: unknown key widht; did you mean 'width'? known keys: type, input, ",),
    ),
    "unknown component": (
        (("type: stab", "type: stabb"),),
        ("tiny.yaml:5: model.aligner: no installed plugin offers aligner 'stabb'; did you mean 'stab'? installed: ",
         "eve, "),
    ),
    "unknown component in a component": (
        (("downsampler: lsd", "downsampler: {type: ldd}"),),
        ("tiny.yaml:9: model.aligner.downsampler: no installed plugin offers downsampler 'ldd'; did you mean 'lsd'? "
         "installed: ", "avg-pool"),
    ),
    "a component without its name": (
        (("downsampler: lsd", "downsampler: {window: 2}"),),
        ("tiny.yaml:9: model.aligner.downsampler: expected a name, or a mapping with `type: name` and options; "
         "found a mapping without `type`; installed of kind downsampler: ", "avg-pool"),
    ),
    "wrong type": (
        (("steps: 1", "steps: one"),),
        ('tiny.yaml:22: training.stages.0.steps: expected a whole number; found "one"',),
    ),
    "wrong choice": (
        (("sampling: uniform", "fit: fill"),),
        ("tiny.yaml:10: model.aligner.input.fit: expected 'pad', 'crop', 'squash', 'area' or 'pixels'", 'found "fill"'),
    ),
    "no such sampler": (
        (("sampling: uniform", "sampling: even"),),
        ("tiny.yaml:10: model.aligner.input.sampling: no installed plugin offers sampler 'even'", "installed: fps, "),
    ),
    "out of range": (
        (("backbone: 1e-3", "backbone: -1"),),
        ("tiny.yaml:20: training.stages.0.train.backbone: expected a number greater than 0; found -1",),
    ),
    "missing field": (
        (("name: tiny\n", ""),),
        ("tiny.yaml:1: name: this field is required",),
    ),
    "missing field of a stage": (
        (("      train: {backbone: 1e-3}\n", ""),),
        ("tiny.yaml:18: training.stages.0.train: this field is required",),
    ),
    "several at once": (
        (("width: 16", "widht: 16"), ("name: tiny", "nam: tiny"), ("steps: 1", "steps: one"), ("lsd", "ldd")),
        ("tiny.yaml: this spec has 5 problems\n", "\n  tiny.yaml:1: name: ", "\n  tiny.yaml:2: nam: ",
         "\n  tiny.yaml:6: model.aligner.widht: ", "\n  tiny.yaml:9: model.aligner.downsampler: ",
         "\n  tiny.yaml:22: training.stages.0.steps: "),
    ),
    "parts that do not fit": (
        (("    heads: 2", "    heads: 3"),),
        ("tiny.yaml:4: model.aligner: heads is 3, which does not divide the width 16",),
    ),
    "not YAML": (
        (("vlmkit: 1", "vlmkit: [1"),),
        ("tiny.yaml:2: not valid YAML at column 5: while parsing a flow sequence, expected ',' or ']', but got ':'",),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("edits", "said"), MISTAKES.values(), ids=MISTAKES)
def test_a_spec_with_mistakes(cli: Cli, write: Callable[..., str], edits: Edits, said: tuple[str, ...]) -> None:
    message = cli("check", write(*edits)).refusal()
    for part in said:
        assert part in message


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("model.aligner.fsar=false", "--set model.aligner.fsar: unknown key fsar; did you mean 'fsra'? known keys: "),
        ("modle.aligner.fsra=false", "--set modle.aligner.fsra: modle: unknown key modle; did you mean 'model'?"),
        ("training.stages.word.steps=3", "--set training.stages.word.steps: 'word' names no item of the list "
                                         "training.stages; did you mean 'words'? items: words"),
        ("seed.x=3", '--set seed.x: seed: expected a whole number; found {"x": 3}'),
        ("model.aligner.width.x=3", "--set model.aligner.width.x: model.aligner.width is 16, which has nothing below "
                                    "it; to change it, --set model.aligner.width=VALUE"),
        ("seed", "--set seed: expected KEY=VALUE, e.g. --set model.aligner.fsra=false"),
        ("seed=[", "--set seed: '[' is not valid YAML: "),
    ],
)  # fmt: skip
def test_an_override_that_leads_nowhere(cli: Cli, write: Callable[..., str], override: str, said: str) -> None:
    assert said in cli("check", write(), "--set", override).refusal()


def test_a_spec_file_that_is_missing(cli: Cli, tmp_path: Path) -> None:
    message = cli("check", "spec/quikstart.yaml").refusal()
    assert f"spec/quikstart.yaml: there is no such spec file here ({tmp_path})" in message
    assert "did you mean specs/quickstart.yaml? shipped specs: " in message
    assert "specs/video-panda-7b.yaml" in message
    assert "expected a spec file, found a folder" in cli("check", str(tmp_path)).refusal()


def test_a_kind_that_does_not_exist(cli: Cli) -> None:
    message = cli("components", "nokind").refusal()
    assert message.startswith("there is no kind 'nokind'; kinds: aligner, backbone, dataset, ")
    assert "did you mean 'aligner'?" in cli("components", "aligners").refusal()


def test_a_report_of_no_run(cli: Cli, tmp_path: Path) -> None:
    assert "expected a run folder, but there is no spec.yaml in it" in cli("report", str(tmp_path)).refusal()
    message = cli("report", "runs/nothing").refusal()
    assert message == (
        "runs/nothing: expected a run folder, but there is no such folder; give the folder of a run, "
        "e.g. runs/quickstart\n"
    )


EVALUATION = "evaluation: {benchmarks: [{name: msvd-qa, annotation_root: notes, video_root: clips}]}\n"
MOVING = "evaluation: {benchmarks: [{name: moving-shapes, dataset: {clips: 16, size: 32, root: shapes}}]}\n"


def test_check_looks_for_the_benchmarks_and_not_for_their_files(cli: Cli, write: Callable[..., str]) -> None:
    name = write(more=EVALUATION)
    assert "msvd-qa  split test" in cli("check", name).out
    said = cli("check", name, "--set", "evaluation.benchmarks=[mvsd-qa]").refusal()
    assert "'mvsd-qa'; did you mean 'msvd-qa'?" in said
    said = cli("check", name, "--set", "evaluation.benchmarks=[{name: msvd-qa, split: tets}]").refusal()
    assert "no split 'tets'; did you mean 'test'?" in said


def test_an_evaluation_before_the_training(cli: Cli, write: Callable[..., str], tmp_path: Path) -> None:
    message = cli("eval", write(more=MOVING)).refusal()
    assert message == "runs/tiny/model: there is no trained model yet; run `vlmkit train` (or `vlmkit run`) first\n"
    assert not (tmp_path / "runs").exists()


def test_annotations_and_videos_that_are_missing_stop_before_the_training(
    cli: Cli, write: Callable[..., str], tmp_path: Path
) -> None:
    spec = write(more=EVALUATION)
    assert "there is no annotation file notes/test_qa.json; get it from https://" in cli("run", spec).refusal()
    (tmp_path / "notes").mkdir()
    for name in ("test_qa.json", "youtube_mapping.txt"):
        (tmp_path / "notes" / name).write_text("[]")
    message = cli("run", spec).refusal()
    assert "notes/test_qa.json is not the registered annotation file: expected sha256 61b02e89" in message
    assert "found 4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945" in message
    assert "list it under `annotations`" in message
    spec = write(more=EVALUATION.replace("annotation_root: notes", "annotations: [{path: notes/test_qa.json}]"))
    message = cli("run", spec).refusal()
    assert f"there is no folder of videos clips (seen from {tmp_path}); correct `video_root`" in message
    assert not (tmp_path / "runs").exists()


LLM = {
    "an option that the family lacks": (
        ("hidden_size: 16, i", "hidden_size: 16, tie_word_embedings: true, i"),
        "model.backbone.config: tie_word_embedings is no option of 'llama' and would do nothing; did you mean "
        "'tie_word_embeddings'? correct it, or remove it\n",
    ),
    "an unknown family": (
        ("model_type: llama", "model_type: lama"),
        "model.backbone.config: transformers knows no model_type 'lama'; did you mean 'llama'? e.g. llama, ",
    ),
    "numbers that do not fit": (
        ("num_attention_heads: 2", "num_attention_heads: 3"),
        "model.backbone.config: transformers cannot build this 'llama': The hidden size (16) is not a multiple of ",
    ),
}


@pytest.mark.parametrize(("edit", "said"), LLM.values(), ids=LLM)
def test_a_language_model_that_cannot_be_built(
    cli: Cli, write: Callable[..., str], edit: tuple[str, str], said: str
) -> None:
    assert cli("check", write(edit)).refusal().startswith(said)


def conversations(folder: Path, videos: int) -> None:
    turns = [{"from": "human", "value": "<video>\nwhich colour?"}, {"from": "gpt", "value": "red"}]
    entries = [{"id": f"talk-{i}", "video": f"{i}.mp4", "conversations": turns} for i in range(videos)]
    (folder / "talks.json").write_text(json.dumps(entries))


def test_training_data_that_is_missing(cli: Cli, write: Callable[..., str], tmp_path: Path) -> None:
    data = "{type: llava-json, path: talks.json, video_root: clips}"
    spec = write(("{type: moving-shapes, clips: 6, text_only: true}", data))
    assert "talks.json: expected conversations; it cannot be read: No such file" in cli("train", spec).refusal()
    conversations(tmp_path, videos=3)
    message = cli("train", spec).refusal()
    assert "talks.json: its videos should lie below clips, which is no folder; set `video_root`" in message
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "1.mp4").write_text("this is no video")
    message = cli("train", spec).refusal()
    assert "stages/1-words: 2 of 2 samples could not be read, more than data.max_bad_fraction = 0.01" in message
    assert "  talk-1: clips/1.mp4: this is no video, or a damaged one: Invalid data found when processing" in message
    assert "all of them: runs/tiny/bad_samples.jsonl; repair or remove these files and remove the folder" in message
    assert len((tmp_path / "runs/tiny/bad_samples.jsonl").read_text().splitlines()) == 2


def test_what_a_later_stage_lacks_stops_before_the_first(cli: Cli, write: Callable[..., str], tmp_path: Path) -> None:
    stage = "    - {name: talk, data: [{type: llava-json, path: talks.json}], train: {aligner: 1e-3}, steps: 1}\n"
    message = cli("train", write(more=stage)).refusal()
    assert message.startswith("talks.json: expected conversations; it cannot be read: ")
    assert not (tmp_path / "runs/tiny/stages").exists()


def test_a_run_of_another_spec(cli: Cli, write: Callable[..., str]) -> None:
    trained = cli("train", write())
    assert trained.code == 0, trained.err
    changed = write(("steps: 1", "steps: 2"), ("    heads: 2", "    heads: 4"), ("name: tiny", "name: tiny\nseed: 7"))
    assert cli("train", changed).refusal() == (
        "runs/tiny: this run belongs to another spec; 3 keys differ:\n"
        "  seed: 42 -> 7\n"
        "  model.aligner.heads: 2 -> 4\n"
        "  training.stages.0.steps: 1 -> 2\n"
        "give the changed spec another `name`, choose another --output, or remove the folder\n"
    )


DAMAGES = [
    ("environment.json", "{}", "train", "environment.json: expected a list; found {}; remove the file and run"),
    ("spec.yaml", "name: [", "train", "runs/tiny: the spec of this run cannot be read any more"),
    ("spec.yaml", "- name", "report", "spec.yaml: expected a mapping of keys to values; "),
    (
        "stages/1-words/metrics.jsonl",
        "{}\n",
        "report",
        "stages/1-words/metrics.jsonl: expected",
    ),
    ("stages/1-words/weights.safetensors", "junk", "train", "weights.safetensors: expected "),
]


def test_a_damaged_run(cli: Cli, write: Callable[..., str], tmp_path: Path) -> None:
    spec, folder = write(), tmp_path / "runs/tiny"
    assert cli("train", spec).code == 0
    shutil.rmtree(folder / "model")
    for name, text, command, said in DAMAGES:
        whole = (folder / name).read_bytes()
        (folder / name).write_text(text)
        assert said in cli(command, "runs/tiny" if command == "report" else spec).refusal()
        (folder / name).write_bytes(whole)
    shutil.rmtree(folder / "stages")
    (folder / "stages").write_text("")
    assert "runs/tiny/stages" in cli("train", spec).refusal()


def test_debug_shows_the_traceback_and_the_message_once(cli: Cli, write: Callable[..., str]) -> None:
    outcome = cli("--debug", "check", write(("width: 16", "widht: 16")))
    assert outcome.code == 2
    assert outcome.err.startswith("Traceback (most recent call last):")
    assert outcome.err.count("did you mean 'width'?") == 1


def test_an_interruption_says_how_to_go_on(
    cli: Cli, write: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("vlmkit.cli.experiments.load_spec", interrupt)
    assert cli("check", write()) == Outcome(
        130, "", "vlmkit: interrupted; `run`, `train` and `eval` go on where they stopped when called again\n"
    )


@pytest.mark.parametrize("bytes_a_file", [2_000, 20_000])
def test_a_full_disk_loses_nothing(cli: Cli, write: Callable[..., str], bytes_a_file: int) -> None:
    """Where the disk is full is played by a limit on the size of a file, which the weights of a stage exceed."""
    spec = write()
    assert cli("check", spec).code == 0
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_a_file, before[1]))
    try:
        outcome = cli("train", spec)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "cannot be" in outcome.refusal()
    assert "runs/tiny" in outcome.err
    assert "run the command again" in outcome.err
    assert cli("train", spec).code == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_output_that_cannot_be_written_is_no_defect() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(SCHEMA, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    message = "the output: cannot be written: No space left on device; make room and run the command again"
    assert (done.returncode, done.stderr.splitlines()) == (2, [f"vlmkit: {message}"])


def test_output_that_nobody_reads_any_more_ends_the_command_quietly() -> None:
    reader, output = os.pipe()
    os.close(reader)  # before the command begins, however fast it is
    try:
        done = subprocess.run(SCHEMA, stdout=output, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(output)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_defect_is_no_mistake_of_the_user(
    cli: Cli, write: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr("vlmkit.cli.experiments.load_spec", fail)
    outcome = cli("check", write())
    assert outcome.code == 1
    assert "ZeroDivisionError: a defect\n" in outcome.err
    assert outcome.err.endswith("please report the lines above\n")


Install = Callable[[str, str], None]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder of installed packages."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    return folder


@pytest.fixture
def install(site: Path) -> Install:
    """Put a distribution with one plugin there, as pip would."""

    def install(name: str, code: str) -> None:
        info = site / f"{name}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[vlmkit]\n{name} = {name}_plugin\n")
        (site / f"{name}_plugin.py").write_text(code)

    return install


@pytest.fixture
def other_process(site: Path, tmp_path: Path) -> Cli:
    """The command line in a process of its own, which sees the packages of `site`."""

    def run(*arguments: str) -> Outcome:
        path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH", "")]))
        environment = {name: value for name, value in os.environ.items() if name != "VLMKIT_PLUGINS"}
        command = [sys.executable, "-c", "from vlmkit.cli import main; main()", *arguments]
        done = subprocess.run(
            command, env=environment | {"PYTHONPATH": path}, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    return run


def test_a_plugin_that_raises_on_import(install: Install, other_process: Cli, write: Callable[..., str]) -> None:
    install("wrecked", "raise RuntimeError('no such GPU')")
    message = other_process("check", write(("downsampler: lsd", "downsampler: wreck"))).refusal()
    assert "no installed plugin offers downsampler 'wreck'" in message
    assert "plugin 'wrecked' (wrecked 1.2) is broken and may offer it: RuntimeError: no such GPU" in message
    assert "see `vlmkit plugins`" in message
    plugins = other_process("plugins")
    assert plugins.code == 0
    assert "wrecked: broken (wrecked_plugin, from wrecked 1.2)\n  | Traceback" in plugins.out
    assert "RuntimeError: no such GPU" in plugins.out
    assert "stab: loaded" in plugins.out


def test_beside_a_broken_plugin_other_specs_work(
    install: Install, site: Path, cli: Cli, write: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    install("wrecked", "raise RuntimeError('no such GPU')")
    monkeypatch.syspath_prepend(site)
    registry.cache_clear()
    try:
        assert [plugin.state for plugin in registry().plugins if plugin.name == "wrecked"] == ["broken"]
        outcome = cli("check", write())
    finally:
        registry.cache_clear()
    assert outcome.code == 0
    assert "tiny: fits together" in outcome.out


def test_two_plugins_with_one_component(install: Install, other_process: Cli, write: Callable[..., str]) -> None:
    for name in ("first", "second"):
        install(name, PLUGIN.replace("NAME", "halve"))
    message = other_process("check", write(("downsampler: lsd", "downsampler: halve"))).refusal()
    assert "tiny.yaml:9: model.aligner.downsampler: two plugins offer downsampler 'halve': " in message
    assert "first (first 1.2) and second (second 1.2); say which one: `first:halve` or `second:halve`, or " in message
    spec = write(("downsampler: lsd", "downsampler: second:halve"))
    assert "downsampler:\n      type: second:halve\n" in other_process("check", "--resolved", spec).out


def test_a_checkpoint_whose_plugin_is_missing(
    install: Install, site: Path, write: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoModelForCausalLM

    from vlmkit import compose, load_spec

    install("halver", PLUGIN.replace("NAME", "halve"))
    write(("downsampler: lsd", "downsampler: halve"))
    try:
        with monkeypatch.context() as installed:
            installed.syspath_prepend(site)
            registry.cache_clear()
            model, processor = compose(load_spec(tmp_path / "tiny.yaml").model)
            model.save_pretrained(tmp_path / "model")
            processor.save_pretrained(tmp_path / "model")
            type(model).from_pretrained(tmp_path / "model")
        registry.cache_clear()
        openings: list[Callable[[], object]] = [
            lambda: type(model).from_pretrained(tmp_path / "model"),
            lambda: AutoModelForCausalLM.from_pretrained(tmp_path / "model"),
            lambda: type(processor).from_pretrained(tmp_path / "model").aligner,
        ]
        for opening in openings:
            with pytest.raises(CheckpointError) as refusal:
                opening()
            assert "needs the downsampler 'halve' of the plugin 'halver' from the package halver 1.2" in str(
                refusal.value
            )
            assert "pip install 'halver==1.2'" in str(refusal.value)
    finally:
        registry.cache_clear()


@pytest.mark.parametrize(
    "error",
    [MemoryError("Unable to allocate 8.70 PiB for an array"), torch.OutOfMemoryError("CUDA out of memory"),
     RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 bytes.")],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_memory_that_does_not_suffice_is_no_defect(
    cli: Cli, write: Callable[..., str], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("vlmkit.cli.experiments.load_spec", fail)
    message = cli("check", write()).refusal()
    assert message.startswith(f"this machine's memory does not suffice ({type(error).__name__}: {error}); make the ")
