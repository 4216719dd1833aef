"""The options of the extractors. What each reads, and where it was published; details stand beside the rules."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from vlmkit.api import Extractor, ExtractorSpec

__all__ = ["SPECS"]


class _ReadingRuleSpec(ExtractorSpec):
    """A rule of `_module.RULES`; what it lets one choose is passed on."""

    rule_version: ClassVar[str] = "1"
    """Changes whenever readings may."""

    def build(self) -> Extractor:
        """Return the extractor."""
        from vlmkit_extractors._module import RuleExtractor

        return RuleExtractor(self.type, self.rule_version, **self.model_dump(exclude={"type"}))


class MvbenchSpec(_ReadingRuleSpec):
    """MVBench's authors (arXiv:2311.17005, OpenGVLab/Ask-Anything 4dd8210): the first word behind an added bracket is a
    part of `(c)` or contains it. An empty answer is right, `Answer: C` is unreadable."""

    type: Literal["mvbench"] = "mvbench"


class VideoMmeSpec(_ReadingRuleSpec):
    """Video-MME's authors (arXiv:2405.21075): the first capital A-D anywhere, also within a word, once phrases like
    `The answer is` were deleted. An answer without one is dropped from the mean."""

    type: Literal["video-mme"] = "video-mme"


class MlvuSpec(_ReadingRuleSpec):
    """MLVU's authors (arXiv:2406.04264, JUNJIE99/MLVU fd060c1): the character before the first closing bracket, else
    the whole answer must be the letter. `C.` is unreadable."""

    type: Literal["mlvu"] = "mlvu"


class LvbenchSpec(_ReadingRuleSpec):
    """LVBench's authors (arXiv:2406.08035, THUDM/LVBench 1dd4612): the first character in the first pair of brackets,
    else of the answer: `Answer: C` is A. Anything but the letter of an option is unreadable."""

    type: Literal["lvbench"] = "lvbench"


class VnbenchSpec(_ReadingRuleSpec):
    """VNBench's authors (arXiv:2406.09367, joez17/VideoNIAH 521e56f): the first of A, B, C, D, in this order, that is
    anywhere before the first full stop: `Both C and B` is B."""

    type: Literal["vnbench"] = "vnbench"


class _TempcompassSpec(_ReadingRuleSpec):
    """A rule of TempCompass' authors, or of the tools that took it over."""

    strip: bool = True
    """Take `</s>` and blanks at the ends away first; lmms-eval and VLMEvalKit do not."""
    judge: bool = True
    """Ask a judge about what the rule cannot decide; false: that is unreadable, as with VLMEvalKit's
    `exact_matching`."""


class TempcompassMultiChoiceSpec(_TempcompassSpec):
    """TempCompass' authors (arXiv:2403.00476, llyx97/TempCompass e1b4631): one letter A-D, or `A.` or `A)` at the
    start. All else goes to a judge."""

    type: Literal["tempcompass-multi-choice"] = "tempcompass-multi-choice"


class TempcompassYesNoSpec(_TempcompassSpec):
    """TempCompass' authors (arXiv:2403.00476, llyx97/TempCompass e1b4631): begins with `yes` or `no`, so that `not` and
    `nothing` are no. All else goes to a judge."""

    type: Literal["tempcompass-yes-no"] = "tempcompass-yes-no"


class TempcompassCaptionMatchingSpec(_TempcompassSpec):
    """TempCompass' authors (arXiv:2403.00476, llyx97/TempCompass e1b4631): equals an option's line, sentence, name
    (`Option 1`) or label. All else goes to a judge."""

    type: Literal["tempcompass-caption-matching"] = "tempcompass-caption-matching"


class LmmsEvalMvbenchSpec(_ReadingRuleSpec):
    """lmms-eval's MVBench (tasks/mvbench/utils.py, 75571cf): `C. text` at the start, else the first letter a-e alone,
    in either case: the article `a` is option A. An empty answer is dropped from the mean."""

    type: Literal["lmms-eval-mvbench"] = "lmms-eval-mvbench"


class LmmsEvalPerceptionTestSpec(_ReadingRuleSpec):
    """lmms-eval's Perception Test (tasks/perceptiontest, 75571cf): the first capital A-D that stands alone."""

    type: Literal["lmms-eval-perception-test"] = "lmms-eval-perception-test"


class LmmsEvalNextQaSpec(_ReadingRuleSpec):
    """lmms-eval's NExT-QA (tasks/nextqa/utils.py, 75571cf): MMMU's parser; the last of several letters, and an
    option at random for an answer without any. Here it is drawn by the question's id, so that scores repeat."""

    type: Literal["lmms-eval-next-qa"] = "lmms-eval-next-qa"


class LmmsEvalEgoschemaSpec(_ReadingRuleSpec):
    """lmms-eval's EgoSchema (tasks/egoschema/utils.py, 75571cf): MMMU's parser; the first of several letters, and an
    option at random for an answer without any. Here it is drawn by the question's id, so that scores repeat."""

    type: Literal["lmms-eval-egoschema"] = "lmms-eval-egoschema"


class LmmsEvalVideoMmmuSpec(_ReadingRuleSpec):
    """lmms-eval's Video-MMMU (tasks/videommmu/utils.py, 75571cf): MMMU's parser; the last of several letters, and
    nothing at random; without options, the numbers and words that the answer ends with. An empty answer is dropped
    from the mean."""

    type: Literal["lmms-eval-video-mmmu"] = "lmms-eval-video-mmmu"


class LmmsEvalMmvuSpec(_ReadingRuleSpec):
    """lmms-eval's MMVU (tasks/mmvu/utils.py, 75571cf): with options, any mention of the right letter in either case or
    its text; without, answer or reference contains the other, so that an empty answer is right. What is not right
    of the latter goes to a judge."""

    type: Literal["lmms-eval-mmvu"] = "lmms-eval-mmvu"


class LmmsEvalMcqSpec(_ReadingRuleSpec):
    """lmms-eval's shared rule, of Video-MME and MLVU (tasks/_task_utils/mcq_extract.py, 75571cf): the letter in the
    most trusted place, from the start of the answer down to any capital within a word."""

    type: Literal["lmms-eval-mcq"] = "lmms-eval-mcq"
    letters: Annotated[str, Field(pattern="^[A-Z]{1,26}$")] = "ABCD"
    """The letters that are looked for, whatever options a question has."""


class VlmevalkitMvbenchSpec(_ReadingRuleSpec):
    """VLMEvalKit's MVBench (dataset/utils/mvbench.py, e8e78f0): the authors' rule without the added bracket, then the
    text of one option. An empty answer and a failure of the API are right."""

    type: Literal["vlmevalkit-mvbench"] = "vlmevalkit-mvbench"
    judge: bool = False
    """Ask a judge where neither says right; false: VLMEvalKit's `exact_matching`."""


class VlmevalkitVideoMmeSpec(_ReadingRuleSpec):
    """VLMEvalKit's Video-MME (dataset/utils/videomme.py, e8e78f0): the authors' rule with two more phrases, then the
    text of one option. Nothing is dropped."""

    type: Literal["vlmevalkit-video-mme"] = "vlmevalkit-video-mme"
    judge: bool = False
    """Ask a judge about an answer with neither; false: VLMEvalKit's `exact_matching`."""


class JudgeAllSpec(_ReadingRuleSpec):
    """No rule: a judge decides about every answer."""

    type: Literal["judge"] = "judge"


class StatedNumberSpec(_ReadingRuleSpec):
    """Ours: the one number that an answer states, in digits or words (`3`, `three`, `twice`). Two numbers, bounds and
    negations are unreadable."""

    type: Literal["number"] = "number"


class StrictSpec(_ReadingRuleSpec):
    """Ours: a letter that is named as the answer, or the text of one option, and nothing that contradicts it. All else
    is unreadable: nothing is dropped, drawn or guessed."""

    type: Literal["strict"] = "strict"


class YesNoSpec(_ReadingRuleSpec):
    """Ours: the answer begins with yes or no, or says `The answer is yes`, and nothing else of the two. All else is
    unreadable: no judge, no guess."""

    type: Literal["yes-no"] = "yes-no"


SPECS: list[type[ExtractorSpec]] = [
    JudgeAllSpec,
    LmmsEvalEgoschemaSpec,
    LmmsEvalMcqSpec,
    LmmsEvalMmvuSpec,
    LmmsEvalMvbenchSpec,
    LmmsEvalNextQaSpec,
    LmmsEvalPerceptionTestSpec,
    LmmsEvalVideoMmmuSpec,
    LvbenchSpec,
    MlvuSpec,
    MvbenchSpec,
    StatedNumberSpec,
    StrictSpec,
    TempcompassCaptionMatchingSpec,
    TempcompassMultiChoiceSpec,
    TempcompassYesNoSpec,
    VideoMmeSpec,
    VlmevalkitMvbenchSpec,
    VlmevalkitVideoMmeSpec,
    VnbenchSpec,
    YesNoSpec,
]
