"""The judge `exact`: normalized exact match."""

from __future__ import annotations

import re
import unicodedata

from vlmkit.api import Judge, JudgeRequest, Verdict

__all__ = ["ExactJudge", "normalize"]

_WORD = "LMN"
"""Unicode's letters, marks (the vowel signs of many scripts) and numbers; what is none of them parts words."""
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_APOSTROPHES = str.maketrans("", "", "'\u2019")


class ExactJudge(Judge):
    """Right (score 5) when the normalized answer equals a normalized reference, else wrong (score 0)."""

    version = "2"

    def judge_one(self, request: JudgeRequest) -> Verdict:
        """Return the verdict; `raw` shows the texts that were compared."""
        found = normalize(request.answer)
        expected = [normalize(reference) for reference in request.references]
        correct = found in expected
        shown = repr(found) if correct else " or ".join(map(repr, expected))
        return Verdict(correct, 5.0 if correct else 0.0, raw=f"{found!r} {'==' if correct else '!='} {shown}")


def normalize(text: str) -> str:
    """Lower case, no punctuation, no articles, single spaces: `"The  Red-ball."` -> `"red ball"`.

    The steps of SQuAD's answer normalization (Rajpurkar et al., 2016, arXiv:1606.05250), except that punctuation other
    than the apostrophe becomes a space. What consists of articles alone is kept, so that the answer `a` stays one.
    """
    folded = unicodedata.normalize("NFKC", text).casefold().translate(_APOSTROPHES)
    words = "".join(letter if unicodedata.category(letter)[0] in _WORD else " " for letter in folded)
    return " ".join(_ARTICLES.sub(" ", words).split()) or " ".join(words.split())
