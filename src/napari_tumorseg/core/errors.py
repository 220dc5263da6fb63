"""Errors that a user reads: what, where, and what to do."""

from __future__ import annotations

__all__ = ["Cancelled", "ConflictError", "GeometryError", "InputError", "ModelError", "OutputError", "OverlapError", "TumorSegError"]


class TumorSegError(Exception):
    """An error with a message for the user and a hint that says what to do.

    Parameters
    ----------
    message : str
        What happened and where, in one sentence.
    hint : str
        What the user can do about it, in one sentence.

    Examples
    --------
    >>> str(TumorSegError("t1.nii.gz is cut short at 3.1 of 8.9 MB.", "Copy it again from its source."))
    't1.nii.gz is cut short at 3.1 of 8.9 MB. Copy it again from its source.'
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """Return message and hint on one line."""
        return " ".join(f"{self.message} {self.hint}".split())


class InputError(TumorSegError):
    """What the user gave cannot be used: a file, a folder, an option."""


class GeometryError(InputError):
    """Two grids that must agree do not, or a grid is not usable."""


class OverlapError(InputError):
    """The segments of a mask overlap, and nobody has said which wins."""


class OutputError(TumorSegError):
    """A result cannot be written: disk full, folder read-only, drive gone."""


class ModelError(TumorSegError):
    """A model is missing, incomplete, untrusted, or its result is unusable."""


class ConflictError(TumorSegError):
    """A patch was made from a mask that has changed since."""


class Cancelled(Exception):  # noqa: N818 - not an error, so not named one
    """The user stopped a job. This is not a failure and is never shown as one."""
