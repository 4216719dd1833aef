"""The files of a tokenizer's folder: all of them are read, and whatever stands in them is one error at most."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sentencepiece import SentencePieceTrainer

from vlmkit.errors import UserError
from vlmkit_backbones.spec import HfCausalLmSpec

CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CONFIG = {"model_type": "llama", "hidden_size": 16, "num_hidden_layers": 1}
NAMES = {"bos_token": "<s>", "eos_token": "<|im_end|>", "unk_token": "<unk>"}
ADDED = {"<|im_start|>": 320, "<|im_end|>": 321}


def read(folder: Path, template: str = "tokenizer") -> Any:
    options = {"init": "random", "config": CONFIG, "tokenizer": str(folder), "chat_template": template}
    return HfCausalLmSpec.model_validate(options).load_tokenizer(offline=True)


def write(file: Path, content: Any) -> None:
    file.write_text(json.dumps(content))


@pytest.fixture(scope="session")
def pieces() -> Callable[..., bytes]:
    """A SentencePiece model of 320 pieces."""

    def train(**options: Any) -> bytes:
        texts = ["which colour is the shape", "the red circle moves to the left", "what is moving"] * 20
        usual = {"vocab_size": 320, "model_type": "bpe", "byte_fallback": True, "hard_vocab_limit": False}
        usual |= {"normalization_rule_name": "identity", "remove_extra_whitespaces": False, "minloglevel": 2}
        file = io.BytesIO()
        SentencePieceTrainer.train(sentence_iterator=iter(texts), model_writer=file, num_threads=1, **usual | options)
        return file.getvalue()

    return train


@pytest.fixture
def llama(pieces: Callable[..., bytes], tmp_path: Path) -> Path:
    """A folder as Llama's publishers leave it: no tokenizer.json."""
    folder = tmp_path / "tok"
    folder.mkdir()
    (folder / "tokenizer.model").write_bytes(pieces())
    write(folder / "tokenizer_config.json", {"tokenizer_class": "LlamaTokenizer", "chat_template": CHAT, **NAMES})
    write(folder / "added_tokens.json", ADDED)
    return folder


def assert_complete(tokenizer: Any) -> None:
    ids = [tokenizer.encode(token, add_special_tokens=False) for token in ("<|im_start|>", "<|im_end|>", "<video>")]
    assert ids == [[320], [321], [322]]
    assert (tokenizer.eos_token, tokenizer.bos_token, tokenizer.pad_token) == ("<|im_end|>", "<s>", "<unk>")
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "?"}], tokenize=False, add_generation_prompt=True
    )
    assert prompt == "<|im_start|>user\n?<|im_end|>\n<|im_start|>assistant\n"
    assert tokenizer.decode(tokenizer.encode("the left", add_special_tokens=False)) == "the left"


def test_what_stands_beside_the_pieces(llama: Path) -> None:
    assert_complete(read(llama))


def test_the_same_in_newer_files(llama: Path) -> None:
    (llama / "added_tokens.json").unlink()
    tokens = {str(index): {"content": token, "special": True} for token, index in ADDED.items()}
    write(
        llama / "tokenizer_config.json",
        NAMES | {"added_tokens_decoder": tokens, "auto_map": {"AutoTokenizer": ["x.Y"]}},
    )
    (llama / "chat_template.jinja").write_text(CHAT)
    assert_complete(read(llama))


def test_the_same_in_older_files(llama: Path) -> None:
    (llama / "tokenizer_config.json").unlink()
    write(llama / "special_tokens_map.json", NAMES | {"eos_token": {"content": "<|im_end|>", "lstrip": False}})
    (llama / "chat_template.jinja").write_text(CHAT)
    assert_complete(read(llama))


def test_it_is_saved_whole(llama: Path, tmp_path: Path) -> None:
    read(llama).save_pretrained(tmp_path / "saved")
    assert_complete(read(tmp_path / "saved"))


def test_pieces_alone(llama: Path) -> None:
    for name in ("tokenizer_config.json", "added_tokens.json"):
        (llama / name).unlink()
    alone = read(llama, "plain")
    assert (alone.bos_token_id, alone.eos_token_id, alone.pad_token_id, alone.video_token_id) == (1, 2, 0, 320)


@pytest.mark.parametrize("index", [319, 325, "320", None])
def test_an_id_that_no_token_can_have(llama: Path, index: object) -> None:
    write(llama / "added_tokens.json", ADDED | {"<|im_start|>": index})
    with pytest.raises(UserError, match="tok"):
        read(llama)


def test_pieces_of_another_kind(llama: Path, pieces: Callable[..., bytes]) -> None:
    (llama / "tokenizer.model").write_bytes(pieces(model_type="unigram"))
    with pytest.raises(
        UserError, match=r"tokenizer\.model: expected Llama's kind of SentencePiece model \(BPE\), found"
    ):
        read(llama)


def test_normal_forms_that_are_left_out(llama: Path, pieces: Callable[..., bytes]) -> None:
    (llama / "tokenizer.model").write_bytes(pieces(normalization_rule_name="nmt_nfkc"))
    with pytest.warns(UserWarning, match=r"tokenizer\.model: its normal forms are left out, as Llama has none"):
        read(llama)


@pytest.mark.parametrize("content", [b"", b"nothing", b"\x00" * 99, b"version https://git-lfs.github.com/spec/v1\n"])
def test_pieces_that_are_none(llama: Path, content: bytes) -> None:
    (llama / "tokenizer.model").write_bytes(content)
    with pytest.raises(UserError, match=r"tokenizer\.model: |no tokenizer can be read from"):
        read(llama)


FILES = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")


@pytest.mark.parametrize("content", ["[]", "5", "", "{", '"x"', "[" * 100_000, '{"a": ' + "1" * 5000 + "}"])
@pytest.mark.parametrize("name", FILES)
def test_small_files_that_are_none(published: Path, llama: Path, name: str, content: str) -> None:
    for folder in (published, llama):
        (folder / name).write_text(content)
        with pytest.raises(UserError, match=f"{name}: expected a JSON object"):
            read(folder)


@pytest.mark.parametrize("name", FILES[:2])
@pytest.mark.parametrize(
    "keys",
    [
        {"eos_token": 5},
        {"eos_token": {"nothing": 1}},
        {"extra_special_tokens": 5},
        {"added_tokens_decoder": {"x": 1}},
        {"added_tokens_decoder": 5},
        {"chat_template": 5},
        {"chat_template": [5]},
        {"tokenizer_class": 5},
        {"model_max_length": "x"},
        {"auto_map": 5},
    ],
    ids=str,
)
def test_values_of_wrong_types(published: Path, llama: Path, name: str, keys: dict[str, Any]) -> None:
    """They are refused in one line, or not looked at."""
    for folder in (published, llama):
        content = json.loads((folder / name).read_text()) if (folder / name).exists() else {}
        write(folder / name, content | keys)
        try:
            tokenizer = read(folder, "plain")
        except UserError as error:
            assert "\n" not in str(error)  # noqa: PT017 -- which of them are refused is up to transformers
            assert str(folder) in str(error)  # noqa: PT017
        else:
            assert tokenizer.encode("the left", add_special_tokens=False)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content["model"].update(type="Foo"),
        lambda content: content["model"].pop("vocab"),
        lambda content: content.pop("added_tokens"),
        lambda content: content.pop("model"),
        lambda content: content.update(pre_tokenizer={"type": "Foo"}),
        lambda content: content["model"].update(merges=[["a"]]),
    ],
)
def test_tokenizer_json_of_another_version(published: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    content = json.loads((published / "tokenizer.json").read_text())
    change(content)
    write(published / "tokenizer.json", content)
    with pytest.raises(
        UserError, match=rf"model\.backbone\.tokenizer: no tokenizer can be read from {published}"
    ) as caught:
        read(published)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\x00\xff", b"{" * 9])
def test_tokenizer_json_that_is_none(published: Path, content: bytes) -> None:
    (published / "tokenizer.json").write_bytes(content)
    with pytest.raises(UserError, match=r"model\.backbone\.tokenizer: no tokenizer can be read from"):
        read(published)


def test_a_file_in_the_place_of_a_folder(published: Path) -> None:
    with pytest.raises(UserError, match=r"expected a folder, found the file .*tokenizer\.json; give its folder"):
        read(published / "tokenizer.json")


@pytest.mark.parametrize("where", ["tokenizer_config.json", "chat_template.jinja"])
def test_a_chat_template_of_its_own_is_tried(published: Path, where: str) -> None:
    for template, said in (
        ("{{ 'a' * 10**10 }}", "it fills the memory|MemoryError"),
        ("{{ bad", "expected a Jinja template; line 1"),
        ("hello", "<video> 0 times"),
    ):
        (published / "chat_template.jinja").unlink(missing_ok=True)
        if where.endswith("jinja"):
            (published / where).write_text(template)
        else:
            write(published / where, json.loads((published / where).read_text()) | {"chat_template": template})
        with pytest.raises(UserError, match=rf"model\.backbone\.chat_template: the tokenizer's own: .*({said})"):
            read(published)
