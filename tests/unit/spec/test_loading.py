"""Whole spec files: what is accepted, and what is said of what is not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from vlmkit.errors import SpecError
from vlmkit.spec.loading import json_schema, load_spec, parse_overrides, read_resolved, resolved, sha256
from vlmkit.spec.yaml import read

SPECS = Path(__file__).resolve().parents[3] / "specs"


def message(file: Path, text: str | None = None, **overrides: object) -> str:
    """What loading the file complains of."""
    if text is not None:
        file.write_text(text)
    with pytest.raises(SpecError) as caught:
        load_spec(file, set=overrides)
    return str(caught.value)


def test_defaults_are_filled_in(small_file: Path) -> None:
    spec = load_spec(small_file)
    assert spec.seed == 42
    assert spec.model.aligner.downsampler.type == "lsd"
    assert spec.evaluation.benchmarks[0].name == "moving-shapes"
    assert spec.training.stages[0].distils


def test_a_resolved_spec_loads_to_the_same(small_file: Path, tmp_path: Path) -> None:
    spec = load_spec(small_file)
    (tmp_path / "spec.yaml").write_text(resolved(spec))
    again = read_resolved(tmp_path / "spec.yaml")
    assert again == spec
    assert sha256(again) == sha256(spec)


def test_text_that_looks_like_a_number_stays_text(small_file: Path, small: str, tmp_path: Path) -> None:
    text = small.replace("name: small", 'name: "1e5"').replace("name: align", 'name: "010"')
    small_file.write_text(text.replace("[hello world]", '["61e9540", "1:30", "0o17", "~"]'))
    spec = load_spec(small_file)
    (tmp_path / "spec.yaml").write_text(resolved(spec))
    again = read_resolved(tmp_path / "spec.yaml")
    assert again == spec
    assert (again.name, again.training.stages[0].name) == ("1e5", "010")
    assert again.model.backbone.tokenizer.text == ["61e9540", "1:30", "0o17", "~"]


def test_numbers_are_those_of_yaml_1_2(small_file: Path, small: str) -> None:
    assert load_spec(small_file, set=parse_overrides(["seed=010"])).seed == 10
    small_file.write_text(small.replace("vlmkit: 1", "vlmkit: 0x1\nseed: 0o17"))
    assert load_spec(small_file).seed == 15
    found = message(small_file, small.replace("steps: 3", "steps: 1:30"))
    assert 'steps: expected a whole number; found "1:30"' in found


def test_an_unknown_key_names_place_and_nearest(small_file: Path, small: str) -> None:
    found = message(small_file, small.replace("    patch: 8", "    pach: 8"))
    assert f"{small_file}:7: model.aligner.pach: unknown key pach; did you mean 'patch'?" in found


def test_an_unknown_component_names_the_nearest_and_all(small_file: Path, small: str) -> None:
    found = message(small_file, small.replace("type: stab", "type: stabb"))
    assert f"{small_file}:5: model.aligner: no installed plugin offers aligner 'stabb'" in found
    assert "did you mean 'stab'?" in found
    assert "eve" in found


def test_a_wrong_type_says_what_it_expected_and_found(small_file: Path, small: str) -> None:
    found = message(small_file, small.replace("width: 32\n", "width: wide\n"))
    assert f'{small_file}:6: model.aligner.width: expected a whole number; found "wide"' in found


def test_a_missing_field_is_named(small_file: Path, small: str) -> None:
    found = message(small_file, small.replace("name: small\n", ""))
    assert "name: this field is required" in found


def test_all_problems_come_at_once(small_file: Path, small: str) -> None:
    text = (
        small.replace("patch: 8", "pach: 8").replace("steps: 3", "stepps: 3").replace("layer_rate: 2", "layer_rate: x")
    )
    found = message(small_file, text)
    assert "this spec has 4 problems" in found
    for path in ("model.aligner.pach", "training.stages.0.stepps", "training.distillation.layer_rate"):
        assert path in found
    assert "give exactly one of `epochs` and `steps`" not in found or "training.stages.0" in found


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("steps: 3", "steps: 3\n      epochs: 1", "give exactly one of `epochs` and `steps`"),
        ("train: {aligner: 4e-4, distillation: 4e-4}", "train: {alinger: 1e-3}", "did you mean 'aligner'?"),
        ("distillation: 4e-4", "backbone: 4e-4", "no stage uses the teacher"),
        ("layer_rate: 2", "layer_rate: 5", "with 4 LLM layers, a rate of 5 leaves no layer to fuse"),
        ("heads: 1", "heads: 7", "7 heads do not divide the teacher's width"),
        (
            "input: {size: 32, multiple: 16}\n  b",
            "input: {size: 40, multiple: 16}\n  b",
            "size 40 is not a multiple of 16",
        ),
        ("train: {aligner: 4e-4", "train: {aligner: -1", "greater than 0"),
        (
            "name: small",
            "name: Small Spec!",
            "name: expected lower-case letters, digits, `.`, `_` and `-`, starting with "
            'a letter or digit; found "Small Spec!"',
        ),
        (
            "num_hidden_layers: 4",
            "num_hidden_layers: null",
            "model.backbone: `config` does not say the number of layers",
        ),
        ("vlmkit: 1", f"vlmkit: 1\nseed: {2**64}", "seed: expected a number less than 4294967296; found"),
        ("name: small", "name: 日本語", 'starting with a letter or digit; found "日本語"'),
        ("name: small", f"name: {'a' * 300}", 'name: expected at most 100 characters; found "aaa'),
        ("benchmarks: [moving-shapes]", "benchmarks: [{name: moving-shapes, label: ../x}]", 'digit; found "../x"'),
        (
            "benchmarks: [moving-shapes]",
            "benchmarks: [{name: b, annotations: [{path: a, sha256: x}]}]",
            "annotations.0.sha256: expected 64 hexadecimal digits, letters in lower case; found",
        ),
        ("data: [moving-shapes]", "data: [{type: llava-json, path: 3}]", "path: expected a path; found 3"),
        ("width: 32\n", 'width: "16"\n', 'width: expected a whole number; found "16"'),
        ("steps: 3", 'steps: "6"', 'steps: expected a whole number; found "6"'),
        ("vlmkit: 1", "vlmkit: 1\nseed: true", "seed: expected a whole number; found true"),
        ("steps: 3", "steps: 3\n      flip: on", 'flip: expected true or false; found "on"'),
        ("train: {aligner: 4e-4", 'train: {aligner: "4e-4"', 'train.aligner: expected a number; found "4e-4"'),
        ("vlmkit: 1", "vlmkit: 2", "vlmkit"),
        ("patch: 8, input: {size: 32,", "patch: 16, input: {size: 48,", "do not divide each other"),
    ],
)
def test_what_does_not_fit_together_is_refused(small_file: Path, small: str, old: str, new: str, said: str) -> None:
    assert old in small
    assert said in message(small_file, small.replace(old, new))


def test_a_grid_is_not_blamed_where_no_token_stands_for_a_patch(small_file: Path) -> None:
    with pytest.raises(SpecError) as error:
        load_spec(small_file, set={"model.aligner.downsampler": {"type": "perceiver", "latents": 13}})
    assert "this spec has 1 problem\n" in str(error.value)
    assert "has no tokens that stand for patches" in str(error.value)


def test_all_layers_may_be_fused_in_one_step(small_file: Path, small: str) -> None:
    small_file.write_text(small.replace("layer_rate: 2", "layer_rate: 4"))
    load_spec(small_file)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"training.engine.zero": 1}, "zero 1 is for `type: deepspeed`; give that, or remove `zero`"),
        (
            {"training.distillation.teacher.input.frames": 4},
            "the aligner's frames (frames 8), so 4 would do nothing; remove it",
        ),
        (
            {"training.distillation.teacher.input.sampling": "uniform"},
            "the aligner's frames (sampling reference), so 'uniform' would do nothing; remove it",
        ),
        (
            {"training.distillation.teacher.input.size": 64},
            "a 4:3 picture does not lie on the teacher's canvas (fit pad, 64 / 16) as on the aligner's (fit pad, 32 /",
        ),
        ({"model.aligner.input.fit": "crop"}, "as on the aligner's (fit crop), so different places would be compared"),
    ],
)
def test_what_would_do_nothing_or_compare_other_places_is_refused(
    small_file: Path, changed: dict[str, Any], said: str
) -> None:
    with pytest.raises(SpecError) as error:
        load_spec(small_file, set=changed)
    assert said in str(error.value)


def test_pictures_of_the_same_fit_agree_whatever_the_size(small_file: Path) -> None:
    """Crops are rounded to whole pixels, which moves no cell."""
    both = ("model.aligner", "training.distillation.teacher")
    load_spec(small_file, set={f"{part}.input.fit": "crop" for part in both} | {f"{both[1]}.input.size": 96})


def test_the_largest_video_has_to_fit_into_a_stage(small_file: Path, small: str) -> None:
    found = message(small_file, small.replace("steps: 3", "steps: 3\n      max_length: 56"))
    assert f"{small_file}:22: training.stages.0.max_length: a square video of 8 frames is 56 tokens, which " in found
    assert "do not fit into max_length 56; raise it, or lower the aligner's `input.frames` or `input.size`" in found
    load_spec(small_file, set={"training.stages.0.max_length": 57})
    text = [{"type": "moving-shapes", "text_only": True}, {"type": "llava-json", "path": "talks.json"}]
    data, train = "training.stages.0.data", "training.stages.0.train"
    tight = {"training.stages.0.max_length": 5, "training.distillation": None}
    load_spec(small_file, set={**tight, data: text, train: {"backbone": 1e-3, "aligner": None, "distillation": None}})
    assert "max_length 5;" in message(small_file, **{**tight, data: text, train: {"distillation": None}})


def test_the_largest_video_has_to_fit_into_the_backbone(small_file: Path) -> None:
    key = "model.backbone.config.max_position_embeddings"
    load_spec(small_file, set={key: 57})
    assert message(small_file, **{key: 56}).splitlines()[1:] == [
        f"  --set {key}: model.backbone: a square video of 8 frames is 56 tokens, which with some text do not fit into "
        "the 56 positions of the backbone; lower the aligner's `input.frames` or `input.size`, or give it more "
        "positions (max_position_embeddings)"
    ]


def test_a_teacher_of_fewer_frames_is_refused(small_file: Path) -> None:
    teacher = {"type": "languagebind-video", "encoder": {"frames": 4, "image_size": 28}, "input": {"size": 28}}
    found = message(small_file, **{"training.distillation.teacher": teacher, "training.distillation.heads": 8})
    assert "the teacher takes at most 4 frames, the aligner gives 8" in found


def test_an_override_that_is_no_key(small_file: Path) -> None:
    found = message(small_file, **{"model.aligner.fsar": False})
    assert "--set model.aligner.fsar: unknown key fsar; did you mean 'fsra'?" in found


def test_an_override_changes_the_spec(small_file: Path) -> None:
    spec = load_spec(small_file, set=parse_overrides(["model.aligner.fsra=false", "training.stages.align.steps=7"]))
    assert not spec.model.aligner.fsra
    assert spec.training.stages[0].steps == 7


def test_overrides_are_key_and_value() -> None:
    with pytest.raises(SpecError, match="expected KEY=VALUE"):
        parse_overrides(["seed"])


def test_overrides_in_python_are_a_mapping(small_file: Path) -> None:
    overrides: Any = ["seed=3"]
    with pytest.raises(SpecError, match=r"set: expected values by dotted path, .*; found \['seed=3'\]"):
        load_spec(small_file, set=overrides)


def test_an_endless_file_name_is_that_of_no_file(small_file: Path, small: str) -> None:
    with pytest.raises(SpecError, match="there is no such spec file here"):
        load_spec("x" * 5000)
    assert "there is no such spec file" in message(small_file, f"extends: {'x' * 5000}\n{small}")


def test_a_file_that_is_missing_lists_the_shipped_ones(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"no such spec file.*specs/quickstart\.yaml"):
        load_spec(tmp_path / "nothing.yaml")


@pytest.mark.parametrize("text", ["", "[1, 2]", "just words"])
def test_a_file_that_is_no_mapping(small_file: Path, text: str) -> None:
    assert str(small_file) in message(small_file, text)


def test_the_json_schema_accepts_and_refuses(small: str) -> None:
    schema = json.loads(json.dumps(json_schema()))
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    good = json.loads(json.dumps(yaml.safe_load(small.replace("4e-4", "0.0004"))))
    assert validator.is_valid(good)
    assert not validator.is_valid(good | {"sed": 3})
    assert "Channels of the patch features." in json.dumps(schema)


@pytest.mark.parametrize("file", sorted(SPECS.rglob("*.yaml")), ids=lambda file: file.stem)
def test_the_json_schema_accepts_the_shipped_files(file: Path) -> None:
    jsonschema.Draft202012Validator(json_schema()).validate(read(file).data)


@pytest.mark.parametrize(
    ("change", "good"),
    [
        ({"training": {"stages": {"align": {"steps": 3}}}}, True),
        ({"training": {"stages": {"align": {"step": 3}}}}, False),
        ({"model": {"aligner": {"fsra": False}}}, True),
        ({"model": {"aligner": {"fsar": False}}}, False),
    ],
)
def test_the_json_schema_knows_what_a_file_may_change(change: dict[str, Any], good: bool) -> None:
    validator = jsonschema.Draft202012Validator(json_schema())
    assert validator.is_valid({"extends": "base.yaml", **change}) is good
    assert not validator.is_valid(change)


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        ("studies", {"sedes": [1]}),
        ("studies", {"seeds": [-1]}),
        ("studies", {"variants": [{"nam": "a"}]}),
        ("studies", {"benchmarks": [{"name": "moving-shapes", "limt": 3}]}),
        ("designs", {"range": {}}),
        ("designs", {"ranges": {"model.aligner.width": {"from": 1, "upto": 3}}}),
    ],
)
def test_the_json_schema_refuses_wrong_studies_and_design_spaces(kind: str, wrong: dict[str, Any]) -> None:
    validator = jsonschema.Draft202012Validator(json_schema())
    for file in (SPECS / kind).glob("moving-shapes-*.yaml"):
        assert not validator.is_valid(read(file).data | wrong)


def test_null_takes_back_a_learning_rate(small_file: Path) -> None:
    over = small_file.with_name("over.yaml")
    text = "extends: small.yaml\ntraining: {distillation: null, stages: {align: {train: {distillation: null}}}}\n"
    over.write_text(text)
    training = load_spec(over).training
    assert training is not None
    assert training.stages[0].train == {"aligner": 4e-4}
    over.write_text(text.replace("{distillation: null}}", "{distillation: null, aligner: null}}"))
    with pytest.raises(SpecError, match=r"over\.yaml:2: training\.stages\.0\.train: expected at least 1"):
        load_spec(over)


def test_no_torch_is_imported(small_file: Path) -> None:
    code = (
        "import sys, vlmkit; from vlmkit.registry import registry\n"
        f"vlmkit.load_spec({str(small_file)!r}); registry().components('aligner')\n"
        "from vlmkit.spec.loading import json_schema; json_schema(); import vlmkit.cli\n"
        "heavy = {'torch', 'transformers', 'decord', 'matplotlib', 'lm_eval'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_refused_spec_costs_no_numpy(small_file: Path) -> None:
    small_file.write_text(small_file.read_text() + "sed: 3\n")
    code = (
        "import sys; from vlmkit.cli import main\n"
        f"sys.argv[1:] = ['check', {str(small_file)!r}]\n"
        "try: main()\n"
        "finally: print({'numpy', 'torch'} & set(sys.modules))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.returncode == 2
    assert "unknown key sed" in answer.stderr
    assert answer.stdout == "set()\n"
