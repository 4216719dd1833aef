"""The tokenizer of an aligner that reads text, from a folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from vlmkit.api import TextInput, TrainedWordPieces, UserError
from vlmkit.model.text_inputs import make_text_batch, read_words

TRAINED = TextInput(tokenizer=TrainedWordPieces(text=("what colour is the circle red left",)), length=6)


def of_folder(folder: Path) -> TextInput:
    return TRAINED.model_copy(update={"tokenizer": str(folder)})


def save(folder: Path, **special: str) -> Path:
    words = Tokenizer.from_str(read_words(TRAINED))
    words.no_padding()
    PreTrainedTokenizerFast(tokenizer_object=words, **special).save_pretrained(folder)
    return folder


def test_texts_have_the_ids_of_the_folder(tmp_path: Path) -> None:
    text = of_folder(save(tmp_path / "words", pad_token="[PAD]", unk_token="[UNK]"))
    questions = ["what colour is the Red circle", "left"]
    found, expected = (
        make_text_batch(read_words(each, offline=True), each, questions, [0, 1]) for each in (text, TRAINED)
    )
    assert found.ids.tolist() == expected.ids.tolist()
    assert found.mask.tolist() == expected.mask.tolist() == [[True] * 6, [True] * 3 + [False] * 3]


def test_trained_word_pieces_are_the_same_every_time() -> None:
    options = TrainedWordPieces(text=("Red, red or left",), vocab_size=22)
    words = Tokenizer.from_str(read_words(TRAINED.model_copy(update={"tokenizer": options})))
    pieces = words.get_vocab()
    assert sorted(pieces, key=lambda piece: pieces[piece]) == [
        "[PAD]", "[UNK]", "[CLS]", "[SEP]", *",deflort", *(f"##{letter}" for letter in ",deflort"), "red", "left"
    ]  # fmt: skip
    assert words.encode("RED left or, Q").tokens == ["[CLS]", "red", "left", "o", "##r", ",", "[UNK]", "[SEP]"]


def test_folders_that_will_not_do(tmp_path: Path) -> None:
    begins = "model.aligner.text.tokenizer: no tokenizer can be read from"
    with pytest.raises(UserError, match=f"{begins} .*/words .*a token to pad with"):
        read_words(of_folder(save(tmp_path / "words")))
    with pytest.raises(UserError, match=f"{begins} .*/absent .*no such folder here"):
        read_words(of_folder(tmp_path / "absent"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=f"{begins} .*/empty"):
        read_words(of_folder(tmp_path / "empty"))
    (tmp_path / "words" / "tokenizer.json").write_text("{")
    with pytest.raises(UserError, match=f"{begins} .*/words"):
        read_words(of_folder(tmp_path / "words"))
