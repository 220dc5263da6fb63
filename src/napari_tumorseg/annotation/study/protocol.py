"""Protocols: what is done with a case, by whom, in which order, and what is asked.

A protocol is either a *pipeline* (steps, one after the other, of different roles) or a *comparison* (one step that is done
in several arms). The two that ship follow BraTS-METS: the making of the 2023 and 2024 data (pre-segmentation, a student, two
neuroradiologists, one approver; arXiv:2306.00838) and the four instances of the 2025 test cases (arXiv:2504.12527).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar
from typing import Protocol as Shape

from napari_tumorseg.annotation.study.plan import Plan
from napari_tumorseg.core.errors import InputError

__all__ = [
    "MODEL_ROLE",
    "Arm",
    "Blinding",
    "Instances",
    "PlantedErrors",
    "Protocol",
    "Question",
    "Step",
]

#: The role of a step that a program does.
MODEL_ROLE = "model"

#: Kinds of errors that can be planted.
ERROR_KINDS = ("missed-lesion", "vessel", "shifted-edge")


class _Named(Shape):
    @property
    def name(self) -> str: ...


_N = TypeVar("_N", bound=_Named)


@dataclass(frozen=True)
class Step:
    """One step of the work on a case.

    Attributes
    ----------
    name, title : str
        For the record, and for people.
    role : str
        Who does it; "model" for a program.
    start : str
        What the mask begins as: "arm" (as the arm says), "ai" (the model's), "empty" or "previous" (the step's before).
    people : int
        How many do it, each another person; each makes a version of their own.
    may_return : bool
        Whether it may send the case back with comments instead of accepting it.
    return_to : str
        Step that a case goes back to.
    sees_versions : bool
        Whether the versions of the step before are shown side by side.
    """

    name: str
    title: str
    role: str
    start: str = "previous"
    people: int = 1
    may_return: bool = False
    return_to: str = ""
    sees_versions: bool = False


@dataclass(frozen=True)
class Arm:
    """One way of working that is compared.

    Attributes
    ----------
    name, title : str
        For the record, and for the report; raters are never shown either.
    start : str
        "empty", "ai" or "other-rater", the sham: another rater's mask made from scratch.
    """

    name: str
    title: str
    start: str


@dataclass(frozen=True)
class Instances:
    """How often a case is segmented, and by whom.

    Attributes
    ----------
    per_arm : int
        Instances of a case in each arm, for each set of raters.
    by : str
        "same": one rater makes them all, so that each arm is repeated; "crossed": as many raters as `per_arm`, each in every
        arm once; "different": another rater for each instance.
    sets : int
        How many such sets of raters read each case; 0 for as many as there are raters for.
    """

    per_arm: int = 2
    by: str = "crossed"
    sets: int = 1


@dataclass(frozen=True)
class Question:
    """What a person is asked about a task.

    Attributes
    ----------
    name, text : str
        For the record, and for people.
    kind : str
        "yes-no" (answered 0 or 1) or "scale" (`lowest` to `highest`).
    when : str
        "submit" (with it) or "after" (once the result cannot change any more).
    lowest, highest : int
        Ends of a scale.
    low, high : str
        What its ends mean.
    """

    name: str
    text: str
    kind: str = "scale"
    when: str = "after"
    lowest: int = 1
    highest: int = 5
    low: str = ""
    high: str = ""

    def check(self, value: int) -> None:
        """Raise `InputError` for an answer that the question does not have."""
        low, high = (0, 1) if self.kind == "yes-no" else (self.lowest, self.highest)
        if isinstance(value, bool) or not low <= value <= high:
            raise InputError(f"{value} is no answer to {self.name!r}.", f"Answer with a number from {low} to {high}.")


@dataclass(frozen=True)
class Blinding:
    """What is kept from people.

    Attributes
    ----------
    raters : bool
        They do not see one another's masks, comments and names.
    model : bool
        They do not learn which model made a mask.
    origin : bool
        They do not see where a mask, or a voxel of it, came from.
    """

    raters: bool = True
    model: bool = True
    origin: bool = True


@dataclass(frozen=True)
class PlantedErrors:
    """Errors put into AI masks on purpose, to measure whether they are found (see `planted`).

    Attributes
    ----------
    share : float
        Of the tasks that begin with an AI mask, 0 to 1; 0 plants none.
    kinds : tuple of str
        Some of "missed-lesion", "vessel", "shifted-edge".
    shift_mm : float
        How far an edge is shifted.
    """

    share: float = 0.0
    kinds: tuple[str, ...] = ERROR_KINDS
    shift_mm: float = 3.0


@dataclass(frozen=True)
class Protocol:
    """How a study is done.

    Attributes
    ----------
    name, title, version, source : str
        What it is, and where it was published.
    schema : str
        Label schema of all masks.
    steps : tuple of Step
        In order.
    arms : tuple of Arm
        What is compared; empty in a pipeline.
    instances : Instances
        How often each case is read in each arm.
    washout_days : float
        Least time between two readings of a case by one person.
    recode : str
        "task": every task shows its case under a code of its own, so that a repeat is not recognised; "case": one code for
        a case, so that people can talk about it.
    practice_cases : int
        Cases that everybody reads first and that are left out of the analysis.
    questions : tuple of Question
        What is asked.
    blinding : Blinding
        What is kept from people.
    planted : PlantedErrors
        Errors put in on purpose.
    lease_minutes : float
        After how long a task goes back when the program that had it does not answer.
    show_clock : bool
        Whether the person sees the time run.
    offer_unseen : bool
        Whether what was never on the screen is offered before submitting.
    needs_plan : bool
        Whether the first case is refused until the plan is hashed.
    plan : Plan, optional
        The plan that is taken where none is given.
    text : str
        The file, as it was.
    """

    name: str
    title: str
    version: str
    source: str
    schema: str
    steps: tuple[Step, ...]
    arms: tuple[Arm, ...] = ()
    instances: Instances = field(default_factory=Instances)
    washout_days: float = 28.0
    recode: str = "task"
    practice_cases: int = 0
    questions: tuple[Question, ...] = ()
    blinding: Blinding = field(default_factory=Blinding)
    planted: PlantedErrors = field(default_factory=PlantedErrors)
    lease_minutes: float = 10.0
    show_clock: bool = False
    offer_unseen: bool = False
    needs_plan: bool = False
    plan: Plan | None = None
    text: str = field(default="", repr=False)

    @property
    def is_comparison(self) -> bool:
        """Whether arms are compared."""
        return bool(self.arms)

    @property
    def roles(self) -> tuple[str, ...]:
        """Roles of people, in the order of the steps."""
        return tuple(dict.fromkeys(step.role for step in self.steps if step.role != MODEL_ROLE))

    @property
    def needs_ai(self) -> bool:
        """Whether masks of a model are needed before people begin."""
        return any(s.start == "ai" or s.role == MODEL_ROLE for s in self.steps) or any(a.start == "ai" for a in self.arms)

    def step(self, name: str) -> Step:
        """Return a step; raise `InputError` where there is none of that name."""
        return _find(self.steps, name, f"{self.name} has no step")

    def arm(self, name: str) -> Arm:
        """Return an arm; raise `InputError` where there is none of that name."""
        return _find(self.arms, name, f"{self.name} has no arm")

    def question(self, name: str) -> Question:
        """Return a question; raise `InputError` where there is none of that name."""
        return _find(self.questions, name, f"{self.name} does not ask")

    def after(self, step: str) -> Step | None:
        """Return the step after one, None after the last."""
        names = [s.name for s in self.steps]
        at = names.index(step) + 1
        return self.steps[at] if at < len(self.steps) else None


def _find(things: Iterable[_N], name: str, none: str) -> _N:
    found: dict[str, Any] = {thing.name: thing for thing in things}
    if name not in found:
        raise InputError(f"{none} {name!r}.", f"There are {', '.join(found)}." if found else "")
    thing: _N = found[name]
    return thing
