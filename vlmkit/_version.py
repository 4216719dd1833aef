"""The version of vlmkit."""

__version__ = "0.1.0"
