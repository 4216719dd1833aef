"""Options of the encoders. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from vlmkit.api.bounds import Channels, Fraction, Frames, Heads, Hidden, Layers, Side, Small
from vlmkit.nn.geometry import check_heads, check_multiple
from vlmkit_encoders.released import ConfigKey, ReleasedEncoderSpec

if TYPE_CHECKING:
    from vlmkit.api import Encoder

__all__ = [
    "ClipSpec",
    "ClipVisionSpec",
    "DinoV2Spec",
    "InternVideo2Spec",
    "LanguageBindImageSpec",
    "LanguageBindVideoSpec",
    "VitSpec",
]

_Place = Annotated[int, Field(ge=-257, le=256)]
_VIT = {
    "width": ConfigKey("hidden_size", 768),
    "layers": ConfigKey("num_hidden_layers", 12),
    "heads": ConfigKey("num_attention_heads", 12),
    "image_size": ConfigKey("image_size", 224),
}


class VitSpec(ReleasedEncoderSpec):
    """Options of every vision transformer. The defaults are ViT-L/14."""

    width: Channels = 1024
    """C: channels of its features."""
    layers: Layers = 24
    """Number of blocks."""
    heads: Heads = 16
    """Attention heads per block; they divide `width`."""
    mlp: Hidden = 4096
    """Hidden channels of a block's MLP."""
    patch: Side = 14
    """Side of a patch, pixels."""
    image_size: Side = 224
    """Side of the square frames that its position table is made for, pixels."""

    @classmethod
    def tiny(cls) -> Self:
        """Three blocks of 32 channels for frames of 2x2 patches."""
        return cls.model_validate({"width": 32, "layers": 3, "heads": 4, "mlp": 64, "image_size": 28})

    @property
    def grid(self) -> int:
        """Patches per side of a frame of `image_size`."""
        return self.image_size // self.patch

    @property
    def num_blocks(self) -> int:
        """All that are computed."""
        return self.layers

    def check_size(self, size: int) -> None:
        """Raise a ValueError for frames that its position table is not made for."""
        if size != self.image_size:
            raise ValueError(
                f"input.size is {size}, but the encoder takes frames of {self.image_size} pixels only; make "
                "`input.size` and `encoder.image_size` equal"
            )

    def check_pixels(self, height: int, width: int) -> None:
        """Raise a ValueError for a tensor of frames that its position table is not made for."""
        size = self.image_size
        if (height, width) != (size, size):
            raise ValueError(
                f"encoder {self.type!r}: its position table is made for frames of {size}x{size} pixels "
                f"(`image_size`), found {height}x{width}; change the size of the input or of the encoder"
            )

    @model_validator(mode="after")
    def _divides(self) -> VitSpec:
        check_heads("heads", self.heads, self.width)
        check_multiple("image_size", self.image_size, "the patch side", self.patch)
        return self


class ClipSpec(VitSpec):
    """CLIP's vision transformer (arXiv:2103.00020), of which LanguageBind's towers are variants.

    `select` names one of the hidden states, counted as transformers does: 0 are the embeddings, i comes after block i,
    -1 after the last. Blocks after it, and without `final_norm` that norm, hold published weights, but are not computed
    and never train.
    """

    activation: Literal["quick_gelu", "gelu"] = "quick_gelu"
    """Of the MLP: `quick_gelu` x sigmoid(1.702 x) in OpenAI's CLIP, exact `gelu` in the CLIPs of LAION and DataComp."""
    eps: Small = 1e-5
    """Epsilon of the layer norms."""
    select: _Place = -2
    """Index of the hidden state that is given."""
    final_norm: Annotated[bool, Field(exclude_if=lambda value: not value)] = False
    """The final norm is applied to all tokens of it."""

    keys: ClassVar[Mapping[str, ConfigKey]] = {
        **_VIT,
        "mlp": ConfigKey("intermediate_size", 3072),
        "patch": ConfigKey("patch_size", 32),
        "activation": ConfigKey("hidden_act", "quick_gelu"),
        "eps": ConfigKey("layer_norm_eps", 1e-5),
    }

    @property
    def depth(self) -> int:
        """Number of blocks that are computed."""
        return self.select if self.select >= 0 else self.layers + 1 + self.select

    @property
    def num_blocks(self) -> int:
        """All that are computed."""
        return self.depth

    @property
    def frame_table(self) -> int:
        """T of the temporal position table; 0: frames are encoded on their own."""
        return 0

    @model_validator(mode="after")
    def _selects(self) -> ClipSpec:
        if not 0 <= self.depth <= self.layers:
            raise ValueError(
                f"select {self.select} is not one of the {self.layers + 1} hidden states of {self.layers} layers"
            )
        return self

    def build(self) -> Encoder:
        """Build the module with CLIP's initialization."""
        from vlmkit_encoders._module import ClipEncoder

        return ClipEncoder(self)


class ClipVisionSpec(ClipSpec):
    """CLIP's vision tower, ViT-L/14 by default: each frame on its own."""

    type: Literal["clip-vision"] = "clip-vision"


class LanguageBindImageSpec(ClipSpec):
    """LanguageBind's image tower (arXiv:2310.01852): CLIP ViT-L/14 of DataComp, each frame on its own."""

    type: Literal["languagebind-image"] = "languagebind-image"
    activation: Literal["quick_gelu", "gelu"] = "gelu"
    """Of the MLP: LanguageBind's base is DataComp's CLIP, which has the exact `gelu`."""


class LanguageBindVideoSpec(ClipSpec):
    """LanguageBind's video tower (arXiv:2310.01852): attention over time at each position before each spatial one."""

    type: Literal["languagebind-video"] = "languagebind-video"
    activation: Literal["quick_gelu", "gelu"] = "gelu"
    """Of the MLP: LanguageBind's base is DataComp's CLIP, which has the exact `gelu`."""
    frames: Frames = 8
    """T of the temporal position table; a video may have fewer frames, not more."""
    temporal: bool = True
    """The blocks attend over time (`add_time_attn` of the published config)."""

    keys: ClassVar[Mapping[str, ConfigKey]] = {
        **ClipSpec.keys,
        "frames": ConfigKey("num_frames", 1),
        "temporal": ConfigKey("add_time_attn", False),
    }

    @property
    def frame_table(self) -> int:
        """T of the temporal position table; 0: frames are encoded on their own."""
        return self.frames if self.temporal else 0

    @property
    def frame_limit(self) -> int | None:
        """The length of the temporal position table."""
        return self.frame_table or None


class DinoV2Spec(VitSpec):
    """DINOv2 (arXiv:2304.07193), ViT-L/14 by default: the last block after the final norm, each frame on its own.

    The position table is interpolated to the frames' size. The mask token of the published weights never trains.
    """

    type: Literal["dinov2"] = "dinov2"
    image_size: Side = 518
    """Side of the square frames that its position table is made for, pixels; frames of other sizes are taken too."""
    offset: Fraction = 0.1
    """Added to the new grid side, in patches, when the position table is interpolated: 0.1 in DINOv2's own code, 0 in
    transformers."""

    keys: ClassVar[Mapping[str, ConfigKey]] = {
        **_VIT,
        "patch": ConfigKey("patch_size", 14),
        "mlp": ConfigKey("mlp_ratio", 4),
    }

    @classmethod
    def from_config(cls, vision: Mapping[str, Any]) -> dict[str, Any]:
        """The fields that a released config decides; its `mlp_ratio` counts multiples of the width."""
        if vision.get("use_swiglu_ffn"):
            raise ValueError(
                "encoder 'dinov2' has the MLP of DINOv2's small to large models; these weights have SwiGLU"
            )
        values = super().from_config(vision)
        numbers = all(isinstance(values[name], (int, float)) for name in ("width", "mlp"))
        return {**values, "mlp": values["width"] * values["mlp"]} if numbers else values

    def check_size(self, size: int) -> None:
        """Accept any size: the position table is interpolated."""

    @model_validator(mode="after")
    def _multiple(self) -> DinoV2Spec:
        check_multiple("mlp", self.mlp, "the width", self.width)
        return self

    def build(self) -> Encoder:
        """Build the module with DINOv2's initialization."""
        from vlmkit_encoders._module import DinoV2

        return DinoV2(self)


class InternVideo2Spec(VitSpec):
    """InternVideo2's video tower (arXiv:2403.15377), the 1B model of stage 2 by default: joint space-time attention.

    Its weights are one file, which `path` may name itself; a published stage-2 file is read for its `vision_encoder`.
    """

    type: Literal["internvideo2"] = "internvideo2"
    width: Channels = 1408
    """C: channels of its features."""
    layers: Layers = 40
    """Number of blocks."""
    mlp: Hidden = 6144
    """Hidden channels of a block's MLP."""
    frames: Frames = 8
    """T of the position table; a video with another number of frames gets it interpolated linearly in time."""
    activation: Literal["gelu", "gelu_tanh"] = "gelu"
    """Of the MLP: the exact `gelu`, or its approximation by tanh, which the fused kernels of its source compute."""
    select: _Place = -1
    """After which block the features are taken: -1 the last; later ones are not computed and never train."""

    @property
    def depth(self) -> int:
        """Number of blocks that are computed."""
        return self.select + 1 if self.select >= 0 else self.layers + 1 + self.select

    @property
    def num_blocks(self) -> int:
        """All that are computed."""
        return self.depth

    @model_validator(mode="after")
    def _selects(self) -> InternVideo2Spec:
        if not 1 <= self.depth <= self.layers:
            raise ValueError(f"select {self.select} is not one of the {self.layers} blocks")
        return self

    def build(self) -> Encoder:
        """Build the module with InternVideo2's initialization."""
        from vlmkit_encoders._internvideo2 import InternVideo2

        return InternVideo2(self)
