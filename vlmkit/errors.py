"""What vlmkit raises: one tree of exceptions, each a message that a user can act on."""

from __future__ import annotations

__all__ = ["CheckpointError", "DataError", "PluginError", "RunError", "SpecError", "UnreadableVideo", "UserError"]


class UserError(ValueError):
    """The user's input is at fault: the CLI prints the message alone and exits with code 2.

    A message says what was expected, what was found, where, and what to do.
    """


class SpecError(UserError):
    """A spec that does not validate. All its problems are reported at once."""


class PluginError(UserError):
    """A plugin is missing, broken, made for another API version, or collides with another one."""


class DataError(UserError):
    """Files or annotations that are missing, changed or malformed."""


class UnreadableVideo(DataError):  # noqa: N818 -- it is what it is called in the documents
    """One video that cannot be decoded. The bad-sample policy skips, records and counts it."""


class CheckpointError(UserError):
    """A checkpoint that does not fit the model that should take it."""


class RunError(UserError):
    """A run folder that cannot be continued, e.g. because it belongs to another spec."""
