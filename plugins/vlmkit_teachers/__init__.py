"""Teachers of the distillation: the patch features of a frozen encoder of `vlmkit_encoders`, the tokens of a trained
aligner, or histograms of oriented gradients and color, which need no weights. Each can keep its features on disk
(`cache`)."""

from collections.abc import Sequence

from vlmkit import hookimpl
from vlmkit.api import ComponentSpec

__all__ = ["VLMKIT_API", "vlmkit_components"]

VLMKIT_API = 1


@hookimpl
def vlmkit_components() -> Sequence[type[ComponentSpec]]:
    """The teachers."""
    from vlmkit_teachers import aligner_teacher, spec

    return [
        aligner_teacher.AlignerTeacherSpec,
        spec.ClipTeacherSpec,
        spec.DinoV2TeacherSpec,
        spec.HogSpec,
        spec.InternVideo2TeacherSpec,
        spec.LanguageBindImageTeacherSpec,
        spec.LanguageBindVideoTeacherSpec,
    ]
