"""The prompts of judges: files `judge_prompts/NAME.yaml` of the registry, or of one entry."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from vlmkit.api.judge_prompt import JudgePrompt
from vlmkit.errors import DataError, did_you_mean, problem_list
from vlmkit.files import shipped_folder
from vlmkit.spec.yaml import read as read_yaml

__all__ = ["DEFAULT_PROMPT", "find_judge_prompt", "judge_prompts"]

DEFAULT_PROMPT = "video-chatgpt-qa"
"""For open-ended questions of a benchmark that names none."""
_FORM = TypeAdapter(JudgePrompt)


def judge_prompts(entry: Path | None = None) -> Mapping[str, Path]:
    """Return the file of every prompt, by name: those of the registry, and in front of them those of an entry."""
    places = [shipped_folder("benchmarks_registry"), *([] if entry is None else [entry])]
    files = [file for place in places for file in place.glob("judge_prompts/*.yaml")]
    return {file.stem: file for file in sorted(files, key=lambda file: file.stem)}


def find_judge_prompt(name: str, entry: Path | None = None) -> JudgePrompt:
    """Return the prompt of this name; `entry` is the folder of the benchmark that asks for it.

    A DataError where there is none, with the list, or where its file is malformed, with all problems.
    """
    known = judge_prompts(entry)
    if name not in known:
        raise DataError(f"there is no judge prompt {name!r}; {did_you_mean(name, known)}prompts: {', '.join(known)}")
    file = known[name]
    data = read_yaml(file, "the prompt of a judge", DataError).data
    if not isinstance(data, dict) or "name" in data:
        raise DataError(f"{file}: expected the keys version, source, reply and user; the name is that of the file")
    try:
        found = _FORM.validate_json(json.dumps({**data, "name": name}), strict=True)
    except ValidationError as error:
        raise DataError(problem_list(error, f"{file}: this prompt has")) from None
    if "answer" not in found.fields:
        raise DataError(f"{file}: expected {{answer}} in its text, where the model's answer goes; found none")
    return found
