"""What the store takes and gives: people, cases, tasks, leases, results."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_tumorseg.core.case import MaskVersion
from napari_tumorseg.core.errors import InputError

__all__ = ["Comment", "Handout", "Lease", "NewCase", "Person", "Receipt", "StudyTask", "Submission", "VersionInfo"]

_PERSON = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")


@dataclass(frozen=True)
class Person:
    """Somebody who works on a study.

    Attributes
    ----------
    id : str
        A pseudonym is fine: letters, digits, ``.``, ``_`` and ``-``, at most 32.
    roles : tuple of str
        Of the protocol.
    expertise : str
        In words, e.g. "neuroradiologist, 8 years".

    Examples
    --------
    >>> Person("Dr. Jane Doe", ("rater",))
    Traceback (most recent call last):
    ...
    napari_tumorseg.core.errors.InputError: 'Dr. Jane Doe' is no id of a person. Use a short pseudonym of letters and digits, e.g. R1.
    """

    id: str
    roles: tuple[str, ...]
    expertise: str = ""

    def __post_init__(self) -> None:
        """Check the id, which stands in logs and file names."""
        if not _PERSON.fullmatch(self.id):
            raise InputError(f"{self.id!r} is no id of a person.", "Use a short pseudonym of letters and digits, e.g. R1.")


@dataclass(frozen=True)
class NewCase:
    """A case to be added.

    Attributes
    ----------
    location : str
        Its folder, relative to the study's files where it can be.
    fingerprint : str
        See `recode.fingerprint`.
    practice : bool
        Whether it is left out of the analysis.
    """

    location: str
    fingerprint: str
    practice: bool = False


@dataclass(frozen=True)
class StudyTask:
    """What somebody has to do, as they may know it: neither arm nor author nor patient.

    Attributes
    ----------
    id : int
        Of the store.
    code : str
        What the case is called here.
    step, title, role : str
        Of the protocol.
    round : int
        1, and one more for each time that the case was sent back.
    person : str
        Whose it is; "" for the first who comes.
    practice : bool
        Whether it is left out of the analysis.
    position : int
        Place in the person's order.
    has_mask : bool
        Whether it begins with a mask; `StudyStore.start_mask` gives it.
    may_return, sees_versions : bool
        See `protocol.Step`.
    fingerprint : str
        Of the images that belong to it.
    """

    id: int
    code: str
    step: str
    title: str
    role: str
    round: int
    person: str
    practice: bool
    position: int
    has_mask: bool
    may_return: bool
    sees_versions: bool
    fingerprint: str


@dataclass(frozen=True)
class Lease:
    """The right to submit a task, until another program takes it.

    Attributes
    ----------
    task_id : int
        Which task.
    person : str
        Whose.
    token : str
        Secret of this program.
    until_us : int
        Microseconds since 1970 at which it ends unless it is renewed.
    """

    task_id: int
    person: str
    token: str
    until_us: int


@dataclass(frozen=True)
class Handout:
    """The answer to "what is next?".

    Attributes
    ----------
    task : StudyTask, optional
        None when there is nothing to do now.
    lease : Lease, optional
        For `StudyStore.submit`.
    resumed : bool
        Whether the person had it before, and did not submit it.
    why : str
        Why there is nothing, in words.
    not_before_us : int
        When there will be something, microseconds since 1970; 0 where nobody knows.
    """

    task: StudyTask | None
    lease: Lease | None = None
    resumed: bool = False
    why: str = ""
    not_before_us: int = 0


@dataclass(frozen=True)
class Comment:
    """A comment pinned to a voxel.

    Attributes
    ----------
    voxel : tuple of int
        (z, y, x) of the mask.
    text : str
        What is said; no names of patients.
    step : str
        In which step, filled in by the store.
    round : int
        In which round, filled in by the store.
    """

    voxel: tuple[int, int, int]
    text: str
    step: str = ""
    round: int = 0


@dataclass(frozen=True)
class Submission:
    """A result.

    Attributes
    ----------
    mask : MaskVersion
        As the person leaves it.
    fingerprint : str
        Of the images that were open (see `recode.fingerprint`); must be those of the task.
    decision : str
        "submit"; "accept" or "return" in a step that may return a case.
    answers : mapping of str to int
        To the questions that are asked with it.
    comments : tuple of Comment
        A case is returned with one at least.
    journal : Path, optional
        Closed journal of the work, which is copied into the study.
    facts : mapping
        What was computed of it (voxels changed, times); JSON values.
    """

    mask: MaskVersion
    fingerprint: str
    decision: str = "submit"
    answers: Mapping[str, int] = field(default_factory=dict)
    comments: tuple[Comment, ...] = ()
    journal: Path | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Receipt:
    """What came of a submission.

    Attributes
    ----------
    task_id : int
        Which task.
    version : str
        Id of the mask's version.
    questions : tuple of str
        What is to be asked now.
    """

    task_id: int
    version: str
    questions: tuple[str, ...]


@dataclass(frozen=True)
class VersionInfo:
    """A version of a mask, as it may be shown to whoever works on the case.

    Attributes
    ----------
    uid : str
        For `StudyStore.mask`.
    title : str
        E.g. "Check 2"; authors are not named where people are blinded.
    step : str
        Of the protocol.
    round : int
        Of the case.
    author : str
        Who made it; "" where that is kept from the person.
    """

    uid: str
    title: str
    step: str
    round: int
    author: str = ""
