"""Annotation files: conversations, questions, answers, options, tables, MSVD's names, changed as data and as text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fuzz.text import byte_edits, damage, edit_text, text_edits
from fuzz.trees import Raw, edits, mutate, to_json
from hypothesis import strategies as st

ENOUGH = {"read": 0.15, "refused": 0.2}
_CONVERSATIONS: list[Any] = [
    {"id": "a", "video": "one.mp4", "conversations": [{"from": "human", "value": "<video>\nWhat is it?"},
                                                      {"from": "gpt", "value": "A shape."}]},
    {"id": 7, "video": "talk.2", "conversations": [{"from": "human", "value": "Where?\n<image>"},
                                                   {"from": "gpt", "value": "Left."},
                                                   {"from": "human", "value": "And?"},
                                                   {"from": "gpt", "value": "Right."}]},
    {"conversations": [{"from": "gpt", "value": "Hello."}, {"from": "human", "value": "é"},
                       {"from": "gpt", "value": "1"}]},
    {"id": "a", "video": None, "image": None, "conversations": [{"from": "human", "value": "?"},
                                                               {"from": "gpt", "value": "!"}]},
]  # fmt: skip
_GIVEN: list[Any] = [
    {"id": "q1", "video": "one", "question": "What colour is it?", "answer": "red", "type": "colour"},
    {"question_id": 2, "video_name": "two", "question": "who is it", "answer": 3, "type": 0},
    {"id": 3, "video_id": "vid3", "question": "Where?", "answer": "left", "type": "place"},
]
_MSVD: list[Any] = [
    {"answer": "man", "id": 0, "question": "who runs?", "video_id": 1},
    {"answer": "dog", "id": 1, "question": "what barks?", "video_id": 2},
]
_NAMES = "klteYv1Uv9A_27_33 vid1\n5YJaS2Eswg0_22_26 vid2\n"
_ASKED: list[Any] = [{"question": "what is it?", "question_id": "x", "video_name": "v_1"},
                     {"question": "is it red?", "question_id": "y", "video_name": "v_2"}]  # fmt: skip
_ANSWERED: list[Any] = [{"answer": "a cup", "question_id": "x", "type": 1},
                        {"answer": "yes", "question_id": "y", "type": 2}]  # fmt: skip
_CHOICES: list[Any] = [
    {
        "qid": 0,
        "video": "one",
        "question": "Which?\n(A) red\n(B) blue",
        "options": ["red", "blue"],
        "answer": "B",
        "start": 1,
    },
    {"qid": 1, "video": "two", "question": "What?\n(A) a dog", "options": {"A": "a dog"}, "answer": "A", "end": 2.5},
]
_NESTED: dict[str, Any] = {"v_1": {"speed": [{"question": "Is it fast?", "answer": "yes"}], "order": []},
                           "v_2": {"speed": [{"question": "Is it slow?", "answer": "no"}]}}  # fmt: skip
_TABLE = 'video,question,answer,qid,a0,a1\none,what is it,1,0,red,blue\ntwo,"which, one",0,1,a dog,\n'
_LAYOUTS: dict[str, dict[str, Any]] = {
    "conversations": {"data.json": _CONVERSATIONS},
    "given": {"q.json": _GIVEN},
    "msvd": {"q.json": _MSVD, "names.txt": _NAMES},
    "two": {"q.json": _ASKED, "a.json": _ANSWERED},
    "choices": {"q.json": _CHOICES, "more.json": {"0": "easy", "1": "hard"}},
    "lines": {"q.json": _CHOICES},
    "nested": {"q.json": _NESTED},
    "table": {"q.csv": _TABLE},
}
_OPTIONS: dict[str, dict[str, Any]] = {
    "msvd": {"type": {"template": "{question}", "pattern": r"\S+", "lower": True}},
    "choices": {
        "id": "{video}_{qid}", "options": {"column": "options"}, "answer_is": "letter", "span": ["{start}", "{end}"],
        "columns": {"level": {"file": "more.json", "path": ["{qid}"]}}, "tags": {"level": "{level}"},
    },
    "lines": {"id": "{row}", "options": {"line": r"\([A-D]\) (?P<text>.*)"}, "answer_is": "letter"},
    "nested": {"nested": ["video", "aspect"], "id": "{video}/{aspect}/{index}", "type": "{aspect}"},
    "table": {"id": "{video}_{qid}", "options": ["a0", "a1"], "answer_is": "index"},
}  # fmt: skip
Example = tuple[str, dict[str, bytes]]


@st.composite
def _files(draw: st.DrawFn) -> Example:
    layout = draw(st.sampled_from(["conversations", "conversations", "conversations", *_LAYOUTS]))
    files = {}
    for name, content in _LAYOUTS[layout].items():
        lines = draw(st.booleans())
        changed = draw(st.integers(0, 3)) > 0
        if not isinstance(content, str):
            tree = mutate(content, draw(edits(2, 3)), _POOL) if changed else content
            text = "".join(f"{to_json(row)}\n" for row in tree) if lines and isinstance(tree, list) else to_json(tree)
        else:
            text = content
        if draw(st.integers(0, 3)) == 3 or (changed and isinstance(content, str)):
            text = edit_text(text, draw(text_edits(2)))
        files[name] = text.encode("utf-8", "surrogatepass")
        if not draw(st.integers(0, 7)):
            files[name] = damage(files[name], draw(byte_edits(2)))
    return layout, files


_POOL: dict[str, list[Any]] = {}
for _rows in (_CONVERSATIONS, _GIVEN, _MSVD, _ASKED, _ANSWERED, _CHOICES):
    for _row in _rows:
        for _name, _value in _row.items():
            _POOL.setdefault(f".{_name}", []).append(_value)
_POOL[".id"] += [10**30, Raw("9" * 5000), "1", 1]


def examples(bases: None) -> st.SearchStrategy[Example]:
    """A layout and its files."""
    return _files()


def show(example: Example) -> str:
    """The files."""
    layout, files = example
    return "\n".join([layout, *(f"--- {name}\n{content!r}" for name, content in files.items())])


class Target:
    """What training and evaluation do with such files before they look at videos."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def bases(self) -> None:
        """There are none that need vlmkit."""

    def check(self, example: Example) -> str:
        """Read all; what is read is text that can be written again."""
        layout, files = example
        for file in self.folder.iterdir():
            file.unlink()
        for name, content in files.items():
            (self.folder / name).write_bytes(content)
        before = sorted(self.folder.iterdir())
        texts = self._conversations() if layout == "conversations" else self._questions(layout, sorted(files))
        for text in texts:
            assert isinstance(text, str), repr(text)
            text.encode()
        assert sorted(self.folder.iterdir()) == before
        return "read"

    def _conversations(self) -> list[Any]:
        from vlmkit_datasets.spec import LlavaJsonSpec

        dataset = LlavaJsonSpec(path=self.folder / "data.json").build()
        samples = [dataset.sample(index) for index in range(len(dataset))]
        ids = [sample.id for sample in samples]
        assert len(set(ids)) == len(ids), "two samples with one id"
        for sample in samples:
            marks = [turn.user.count("<video>") for turn in sample.turns]
            assert sum(marks) == marks[0] == (sample.video is not None), "the tag <video> is in the wrong place"
        spoken = [text for sample in samples for turn in sample.turns for text in (turn.user, turn.assistant)]
        return [*ids, *spoken, *(sample.video for sample in samples if sample.video is not None), dataset.fingerprint()]

    def _questions(self, layout: str, names: list[str]) -> list[Any]:
        from vlmkit.benchmarks.annotation_options import annotation_options
        from vlmkit.benchmarks.annotations import read_documents

        options = annotation_options(_OPTIONS.get(layout), where="entry")
        documents = read_documents([self.folder / name for name in names], options)
        assert len({document.id for document in documents}) == len(documents), "two questions with one id"
        rows = [(d.id, d.video, d.question, d.answer, d.type, *d.options, *d.tags.values()) for d in documents]
        return [text for row in rows for text in row]
