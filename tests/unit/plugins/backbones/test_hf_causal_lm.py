"""The backbone `hf-causal-lm`: config, weights, and what can be wrong with them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from transformers import LlamaConfig, LlamaForCausalLM

from vlmkit.api.chat_template import check_prompt
from vlmkit.errors import UserError
from vlmkit_backbones._options import CHAT_TEMPLATES
from vlmkit_backbones.spec import HfCausalLmSpec

LLAMA = {
    "model_type": "llama",
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 64,
}
SIZES = [key for key in LLAMA if key != "model_type"]
TEXT = {"text": ["what colour is it? red"], "vocab_size": 300}


def spec(**options: Any) -> HfCausalLmSpec:
    return HfCausalLmSpec.model_validate({"init": "random", "config": LLAMA, "tokenizer": TEXT} | options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pretrained model with its tokenizer, as transformers saves them."""
    path = tmp_path_factory.mktemp("llama")
    torch.manual_seed(0)
    options = {key: value for key, value in LLAMA.items() if key != "model_type"}
    LlamaForCausalLM(LlamaConfig(vocab_size=300, **options)).save_pretrained(path)
    spec(chat_template="plain").load_tokenizer().save_pretrained(path)
    return path


def test_vocabulary_is_the_tokenizers_where_the_config_says_none() -> None:
    options = spec()
    length = len(options.load_tokenizer())
    assert options.build().get_input_embeddings().num_embeddings == length
    assert options.self_contained().config == LLAMA | {"vocab_size": length}
    assert spec(config=LLAMA | {"vocab_size": 77}).build().config.vocab_size == 77


def test_dtype_is_that_of_the_weights_alone() -> None:
    model = spec(dtype="bfloat16").build()
    assert {value.dtype for value in model.parameters()} == {torch.bfloat16}
    assert model.model.rotary_emb.inv_freq.dtype == torch.float32


@pytest.mark.parametrize("kernel", ["eager", "sdpa"])
def test_kernel_of_the_attention(folder: Path, kernel: str) -> None:
    drawn = spec(attn_implementation=kernel)
    for options in (drawn, HfCausalLmSpec(path=str(folder), attn_implementation=kernel)):
        assert options.load().config._attn_implementation == kernel
        assert options.self_contained().build().config._attn_implementation == kernel
    assert drawn.attention_matrices == (4 if kernel == "eager" else 0)


def test_kernels_agree() -> None:
    torch.manual_seed(0)
    eager = spec(attn_implementation="eager").build()
    fused = spec(attn_implementation="sdpa").build()
    fused.load_state_dict(eager.state_dict())
    ids = torch.randint(260, (2, 9))
    mask = torch.tensor([[1] * 9, [0] * 3 + [1] * 6])
    logits = [model(input_ids=ids, attention_mask=mask).logits[mask.bool()] for model in (eager, fused)]
    torch.testing.assert_close(*logits)


def test_eager_attention_needs_the_number_of_heads() -> None:
    """Without it the estimate of memory would leave its matrices out."""
    headless = {key: value for key, value in LLAMA.items() if key != "num_attention_heads"}
    assert spec(config=headless).attention_matrices == 0
    with pytest.raises(ValidationError, match="does not say the number of attention heads: expected a number as num_"):
        spec(config=headless, attn_implementation="eager")


def test_the_kernel_stands_beside_the_config() -> None:
    with pytest.raises(ValidationError, match=r"give that as model\.backbone\.attn_implementation"):
        spec(config=LLAMA | {"attn_implementation": "eager"})


def test_pretrained(folder: Path) -> None:
    options = HfCausalLmSpec(path=str(folder))
    assert (options.width, options.layers) == (32, 2)
    expected = LlamaForCausalLM.from_pretrained(folder).state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in options.load().state_dict().items())
    assert options.load_tokenizer().get_vocab() == spec(chat_template="plain").load_tokenizer().get_vocab()


def test_checkpoint_needs_the_folder_no_more(folder: Path) -> None:
    options = HfCausalLmSpec(path=str(folder)).self_contained()
    moved = options.model_copy(update={"path": "/nowhere"})
    assert [tuple(value.shape) for value in moved.build().parameters()] == [
        tuple(value.shape) for value in HfCausalLmSpec(path=str(folder)).load().parameters()
    ]


def test_config_has_to_agree_with_the_folder(folder: Path) -> None:
    assert HfCausalLmSpec(path=str(folder), config=LLAMA).load().config.vocab_size == 300
    wrong = HfCausalLmSpec(path=str(folder), config=LLAMA | {"hidden_size": 48})
    assert wrong.width == 48
    with pytest.raises(UserError, match="hidden_size is 48, but 32 in the configuration at"):
        wrong.load()


def test_nothing_at_the_path(tmp_path: Path) -> None:
    empty = HfCausalLmSpec(path=str(tmp_path), config=LLAMA)
    for read, words in (
        (empty.load, "no configuration can be read from"),
        (empty.load_tokenizer, "no tokenizer can be read from"),
    ):
        with pytest.raises(UserError, match=words) as caught:
            read()
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=r"a hub id is not read for this: add the model's configuration as `config:`"):
        _ = HfCausalLmSpec(path="lmsys/vicuna-7b-v1.5").width


def test_an_endless_path_is_that_of_nothing() -> None:
    endless = HfCausalLmSpec(path="x" * 5000)
    with pytest.raises(ValueError, match=r"is no folder with a config\.json here"):
        _ = endless.width
    with pytest.raises(UserError, match="no tokenizer can be read from"):
        endless.load_tokenizer(offline=True)


def test_positions_are_those_of_the_config() -> None:
    assert spec(config=LLAMA | {"max_position_embeddings": 64}).positions == 64
    assert spec(config={"model_type": "gpt2", "n_positions": 32}).positions == 32
    assert spec().positions is None


def test_folder_without_weights(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA | {"vocab_size": 300}))
    with pytest.raises(UserError, match=r"model\.backbone\.path: no weights of a language model can be read"):
        HfCausalLmSpec(path=str(tmp_path)).load()


@pytest.mark.parametrize(
    ("content", "found"),
    [("{", "expected a JSON object; this is no JSON: "), ("[]", r"expected a JSON object, found \[\]")],
)
def test_config_json_that_is_none(tmp_path: Path, content: str, found: str) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match=rf"config\.json: {found}.*; fetch it again"):
        _ = HfCausalLmSpec(path=str(tmp_path)).width


@pytest.mark.parametrize("names", [("hidden_size", "num_hidden_layers"), ("n_embd", "n_layer")])
def test_width_and_layers_by_the_names_of_the_family(names: tuple[str, str]) -> None:
    options = spec(config={"model_type": "gpt2", names[0]: 48, names[1]: 3})
    assert (options.width, options.layers) == (48, 3)


def test_another_family() -> None:
    config = {"model_type": "gpt2", "n_embd": 16, "n_layer": 1, "n_head": 2}
    assert spec(config=config).build().get_input_embeddings().embedding_dim == 16


def test_config_that_transformers_refuses() -> None:
    for change, words in (
        ({"model_type": "lama"}, r"knows no model_type 'lama'; did you mean 'llama'\?"),
        ({"num_attention_heads": 5}, "cannot build this 'llama': .*not a multiple of the number of attention heads"),
        ({"hidden_sise": 3}, r"hidden_sise is no option of 'llama' and would do nothing; did you mean 'hidden_size'\?"),
    ):
        with pytest.raises(UserError, match=words):
            spec(config=LLAMA | {"vocab_size": 3} | change).build()
    spec(config=LLAMA | {"vocab_size": 3, "rope_theta": 5e5}).build()
    with pytest.raises(ValueError, match="does not say the width: expected a number as hidden_size"):
        _ = spec(config={"model_type": "llama"}).width


@pytest.mark.parametrize(
    ("key", "number"),
    [
        *((key, number) for key in (*SIZES, "vocab_size", "head_dim", "max_position_embeddings") for number in (0, -1)),
        ("hidden_size", True),
        ("hidden_size", "32"),
        ("num_hidden_layers", 1.5),
        ("rope_theta", 0),
        ("rope_theta", -1e4),
        ("rms_norm_eps", -1.0),
        ("initializer_range", -0.1),
        ("attention_dropout", 2),
    ],
)
def test_impossible_numbers_are_reported_where_they_are(key: str, number: object) -> None:
    with pytest.raises(ValidationError) as caught:
        spec(config=LLAMA | {key: number})
    assert [error["loc"] for error in caught.value.errors()] == [("config", key)]


def test_numbers_that_are_left_to_transformers() -> None:
    options = spec(config=LLAMA | {"head_dim": None, "sliding_window": 0, "vocab_size": 3, "rope_theta": 10000})
    assert options.layers == 2
    assert spec(config={"model_type": "gemma3n_text", "intermediate_size": [64, 32]}).config is not None


def test_impossible_numbers_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA | {"num_hidden_layers": 0}))
    with pytest.raises(ValueError, match=r"config\.json: num_hidden_layers: .* greater than 0, found 0"):
        _ = HfCausalLmSpec(path=str(tmp_path)).layers


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"num_key_value_heads": 3}, r"num_key_value_heads \(3\) does not divide num_attention_heads \(4\); give both"),
        ({"num_key_value_heads": 5}, r"num_key_value_heads \(5\) does not divide num_attention_heads \(4\); give both"),
        ({"model_type": "qwen3", "num_key_value_heads": 32}, r"num_key_value_heads \(32\) does not divide"),
        ({"pad_token_id": 99}, "cannot build this 'llama': Padding_idx must be within num_embeddings"),
        ({"hidden_act": "foo"}, "cannot build this 'llama': there is no 'foo'"),
    ],
)
def test_options_that_do_not_fit_each_other(change: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        spec(config=LLAMA | {"vocab_size": 3} | change).build()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"init": "pretrained"}, "give the `path` of the weights"),
        ({"config": None}, "give a `config`"),
        ({"config": {"hidden_size": 3}}, "`config` has no `model_type`"),
        ({"tokenizer": None}, "give a `tokenizer`"),
        ({"tokenizer": {"text": []}}, "at least 1 item"),
        ({"tokenizer": {"text": ["a"], "vocab_size": 10}}, "greater than or equal to 260"),
    ],
)
def test_incomplete_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        spec(**options)


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("vicunna", r"expected one of plain, tokenizer, vicuna-v1, videopanda-v1, or .*; did you mean 'vicuna-v1'\?"),
        ("{{ bad", "expected a Jinja template; line 1 of it: unexpected end of template"),
        ("{% for m in messages %}\n{% endif %}", "line 2 of it: .*unknown tag 'endif'"),
        ("{{ raise_exception('no roles') }}", "fails on a question with its answer: ValueError: no roles"),
        ("{{ 1 / 0 }}", "fails on a question with its answer: ZeroDivisionError"),
        ("{{ messages[0].contents }}", r"<video> 0 times"),
        ("{{ messages[0].content }}{% if add_generation_prompt %} A:{% endif %}", "adds the answer behind the prompt"),
    ],
)
def test_a_chat_template_is_tried(template: str, said: str) -> None:
    with pytest.raises(ValidationError, match=said) as caught:
        spec(chat_template=template)
    assert [error["loc"] for error in caught.value.errors()] == [("chat_template",)]


@pytest.mark.parametrize(
    "template",
    [
        "tokenizer",
        *CHAT_TEMPLATES,
        "{%- for m in messages -%}{%- if m.role == 'assistant' -%}{% generation %}{{ m.content }}{{ eos_token }}"
        "{% endgeneration %}{%- continue -%}{%- endif -%}{{ m.content | trim }}{{ ' A:' }}{%- endfor -%}",
        "{% if tools is not none %}{{ raise_exception('tools') }}{% endif %}" + CHAT_TEMPLATES["plain"],
    ],
)
def test_chat_templates_that_can_be_learnt_from(template: str) -> None:
    assert spec(chat_template=template).chat_template == template


def test_the_trial_renders_as_transformers_does() -> None:
    template = "{{ bos_token }}\n{% for m in messages %}\n    {{ m['content'] | tojson }}\n{% endfor %}{{ eos_token }}"
    tokenizer = spec(chat_template="plain").load_tokenizer()
    messages = [{"role": "user", "content": "<video>\nWhich way?"}]
    text = tokenizer.apply_chat_template(messages, chat_template=template, tokenize=False, add_generation_prompt=True)
    assert text == check_prompt(template).prompt


def test_mistakes_in_a_trained_tokenizer_are_reported_where_they_are() -> None:
    with pytest.raises(ValidationError) as caught:
        spec(tokenizer={"text": ["a"], "vocab_sizee": 300})
    assert [error["loc"] for error in caught.value.errors()] == [("tokenizer", "vocab_sizee")]


def test_spec_is_light() -> None:
    code = (
        "import sys; from vlmkit_backbones.spec import HfCausalLmSpec as S;"
        "s = S(path='x', config={'model_type': 'llama', 'hidden_size': 8, 'num_hidden_layers': 3});"
        "assert (s.width, s.layers) == (8, 3);"
        "assert not {'torch', 'transformers', 'tokenizers', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
