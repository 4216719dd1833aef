"""Answer files of other tools, in all their formats, changed as data and as text."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

from fuzz.text import byte_edits, damage, edit_text, text_edits
from fuzz.trees import Raw, edits, mutate, to_json
from hypothesis import strategies as st

ENOUGH = {"read": 0.15, "refused": 0.2}
_SAMPLE = {"doc_id": 0, "doc": {"video": "one.mp4", "question": "Which?", "candidates": ["(A) a cup", "(B) a hat"],
                                "answer": "(B) a hat", "question_type": ["things"]},
           "target": "(B) a hat", "resps": [["B"]], "filtered_resps": ["B"],
           "accuracy": {"pred_answer": "B", "gt_answer": "B", "score": 1}}  # fmt: skip
_ASKED = {"q": "Who?", "a": "Ada", "pred": "Bob"}
_TRY = {"video_path": "./V/v_7.mp4", "prompt": "Order?\nA. x, y\nB. y, x\nAnswer.", "pred": "B", "gt": "A",
        "task_type": "ord", "try": 0}  # fmt: skip
_FILES: dict[str, Any] = {
    "log.json": {"model_configs": {"task": "tiny"}, "logs": [_SAMPLE]},
    "samples.jsonl": [{**_SAMPLE, "doc_id": 1}, _SAMPLE],
    "yes_no.json": {"7": {"speed": [{"question": "Fast?", "gt-answer": "no", "video-llm-prediction": "no", "rating": 1,
                                     "chatgpt-response": "Correct"}]}},
    "captioning.json": {"7_b": {"order": [{"question": "Which?", "answer": "A. up", "prediction": None}]}},
    "pairs.json": [[{"pred": "yes", "score": 4}, _ASKED], [[{"type": "no", "score": 0.5}], _ASKED]],
    "by_id.json": {"v_1": [{"pred": "yes", "score": 4}, _ASKED]},
    "indexed.json": {"7_1": {"prediction": 1, "answer": 0}, "7_2": {"prediction": 0, "answer": 4}},
    "agent.json": {"a-b": {"answer": 3, "label": 2}},
    "texts.json": {"7": {"3": "a cup", "4": "two"}},
    "tries.jsonl": [_TRY, {**_TRY, "try": 1}],
    "events.json": {"entire": {"e_1": {"qa": [{"question": "Did it?", "answer": "Yes.", "prediction": "No."}]}}},
    "merge.jsonl": [{"id": 1, "question": "What?", "answer": "cup", "pred": "a cup"}, {"id": "2", "pred": None}],
    "table.csv": 'index,video,question,A,B,answer,prediction,hit,log\n5,one,"Which, then?",cup,hat,B,B.,1,matched\n',
    "wide.csv": "sample_id,16f,32f\n7-1,A,\n7-2,B,C\n",
}  # fmt: skip
Example = tuple[str, bytes]


@st.composite
def _file(draw: st.DrawFn) -> Example:
    name = draw(st.sampled_from(list(_FILES)))
    content = _FILES[name]
    changed = draw(st.integers(0, 3)) > 0
    if isinstance(content, str):
        text = content
    else:
        tree = mutate(content, draw(edits(2, 3)), _POOL) if changed else content
        lines = name.endswith(".jsonl") and isinstance(tree, list)
        text = "".join(f"{to_json(row)}\n" for row in tree) if lines else to_json(tree)
    if draw(st.integers(0, 3)) == 3 or (changed and isinstance(content, str)):
        text = edit_text(text, draw(text_edits(2)))
    data = text.encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 5)) == 5:
        data = gzip.compress(data, mtime=0)
    if not draw(st.integers(0, 7)):
        data = damage(data, draw(byte_edits(2)))
    return name, data


_POOL: dict[str, list[Any]] = {".id": [10**30, Raw("9" * 5000), "1", 1], ".prediction": [1, -1, "B", None, [1]],
                               ".pred": ["yes", "partially correct", None], ".score": [0, 4.5, 6, "5"]}  # fmt: skip


def examples(bases: None) -> st.SearchStrategy[Example]:
    """A file."""
    return _file()


def show(example: Example) -> str:
    """Name and content."""
    name, content = example
    return f"--- {name}\n{content!r}"


class Target:
    """What an import does with a file before it looks for the questions."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def bases(self) -> None:
        """There are none that need vlmkit."""

    def check(self, example: Example) -> str:
        """Read the file; what is read is text that can be written again, with ids that differ."""
        from vlmkit.answers.answer_formats import ReadOptions, read_answer_files

        name, content = example
        for file in self.folder.iterdir():
            file.unlink()
        (self.folder / name).write_bytes(content)
        answers = read_answer_files([self.folder / name], ReadOptions(column="16f"))
        assert len({answer.document.id for answer in answers}) == len(answers), "two answers with one id"
        for answer in answers:
            document, verdict = answer.document, answer.verdict
            texts = [document.id, document.video, document.question, document.answer, document.type, document.task]
            texts += [*document.options, *document.tags.values(), answer.answer or ""]
            texts += [verdict.raw, verdict.judged, verdict.judge] if verdict else []
            for text in texts:
                assert isinstance(text, str), repr(text)
                text.encode()
        return "read"
