"""Every rule under the name of its component."""

from __future__ import annotations

from functools import partial

from vlmkit.api import DataError, Document, Extractor, Reading, shown
from vlmkit_extractors import (
    _authors,
    _lmms_eval,
    _mmmu,
    _mmvu,
    _numbers,
    _strict,
    _tempcompass,
    _video_mmmu,
    _vlmevalkit,
    _yes_no,
)
from vlmkit_extractors._choices import Rule

__all__ = ["CHOICE_RULES", "RULES", "RuleExtractor"]

CHOICE_RULES: dict[str, Rule] = {
    "lmms-eval-egoschema": _mmmu.egoschema,
    "lmms-eval-mcq": _lmms_eval.shared_rule,
    "lmms-eval-mvbench": _lmms_eval.mvbench,
    "lmms-eval-next-qa": _mmmu.next_qa,
    "lmms-eval-perception-test": _lmms_eval.perception_test,
    "lvbench": _authors.lvbench,
    "mlvu": _authors.mlvu,
    "mvbench": _authors.mvbench,
    "strict": _strict.strict,
    "tempcompass-caption-matching": _tempcompass.caption_matching,
    "tempcompass-multi-choice": _tempcompass.multi_choice,
    "video-mme": _authors.video_mme,
    "vlmevalkit-mvbench": _vlmevalkit.mvbench,
    "vlmevalkit-video-mme": _vlmevalkit.video_mme,
    "vnbench": _authors.vnbench,
}
"""Those that look for an option."""
RULES: dict[str, Rule] = {
    **CHOICE_RULES,
    "judge": lambda document, answer: Reading("judge", why="no rule"),
    "lmms-eval-mmvu": _mmvu.mmvu,
    "lmms-eval-video-mmmu": _video_mmmu.video_mmmu,
    "number": _numbers.number,
    "tempcompass-yes-no": _tempcompass.yes_no,
    "yes-no": _yes_no.strict,
}
_JUDGED = frozenset({"judge", "lmms-eval-mmvu"})
"""Those that leave some answers to a judge; others do where their option `judge` is set."""


class RuleExtractor(Extractor):
    """A rule, which is a function of document and answer, with the options of its spec."""

    def __init__(self, name: str, version: str, **options: object) -> None:
        self.rule, self.version = partial(RULES[name], **options), version
        self.judged = name in _JUDGED or bool(options.get("judge"))
        self._of_choices = name in CHOICE_RULES

    def read(self, document: Document, answer: str) -> Reading:
        """Return what the rule makes of the answer."""
        if self._of_choices and not document.options:
            raise DataError(
                f"question {shown(document.id)} has no options, expected a multiple-choice question: tell under "
                "`annotations` where they stand, e.g. `options: {column: options}`, or read its answers by another "
                "extractor"
            )
        return self.rule(document, answer)
