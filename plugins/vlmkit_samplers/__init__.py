"""Which frames of a video are looked at: the samplers that vlmkit ships."""

__all__ = ["VLMKIT_API"]

VLMKIT_API = 1
