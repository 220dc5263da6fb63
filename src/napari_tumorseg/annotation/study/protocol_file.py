"""Protocols as data: read from TOML, with errors in one line that name file, key and what to write."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import TypeVar

from napari_tumorseg.annotation.study.plan import plan_of
from napari_tumorseg.annotation.study.protocol import (
    ERROR_KINDS,
    MODEL_ROLE,
    Arm,
    Blinding,
    Instances,
    PlantedErrors,
    Protocol,
    Question,
    Step,
)
from napari_tumorseg.annotation.study.toml_table import TomlTable, parse_toml, read_toml
from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.labels import preset

__all__ = ["load_protocol", "parse_protocol", "shipped_protocols"]

_STARTS = ("arm", "ai", "empty", "previous")
_ARM_STARTS = ("empty", "ai", "other-rater")
_BY = ("same", "crossed", "different")
_WORDS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
_P = TypeVar("_P")


def shipped_protocols() -> tuple[str, ...]:
    """Return the names of the protocols that come with the program.

    Examples
    --------
    >>> shipped_protocols()
    ('brats-mets-pipeline', 'brats-mets-raters')
    """
    folder = resources.files("napari_tumorseg.annotation.study") / "protocols"
    return tuple(sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")))


def load_protocol(name_or_path: str | Path) -> Protocol:
    """Return a shipped protocol by its name, or one of a file.

    Raises
    ------
    InputError
        In one line with file, key and what to write, where it is not a protocol.

    Examples
    --------
    >>> protocol = load_protocol("brats-mets-raters")
    >>> [(arm.name, arm.start) for arm in protocol.arms], protocol.washout_days
    ([('scratch', 'empty'), ('ai', 'ai')], 28.0)
    """
    if str(name_or_path) in shipped_protocols():
        folder = resources.files("napari_tumorseg.annotation.study") / "protocols"
        return parse_protocol((folder / f"{name_or_path}.toml").read_text(encoding="utf-8"), f"{name_or_path}.toml")
    path = Path(name_or_path)
    if not path.suffix and not path.exists():
        raise InputError(f"There is no protocol {str(name_or_path)!r}.", f"Choose {' or '.join(shipped_protocols())}, or name a TOML file.")
    read_toml(path)
    return parse_protocol(path.read_text(encoding="utf-8"), path.name)


def parse_protocol(text: str, name: str) -> Protocol:
    """Return the protocol that a TOML text describes; raise `InputError` where it is none."""
    table = parse_toml(text, name)
    steps = tuple(_step(t) for t in table.tables("steps"))
    arms = tuple(_arm(t) for t in table.tables("arms", []))
    protocol = Protocol(
        name=_word(table, "name"),
        title=table.text("title"),
        version=table.text("version", "1"),
        source=table.text("source", ""),
        schema=table.text("schema"),
        steps=steps,
        arms=arms,
        instances=_part(table, "instances", _instances),
        washout_days=table.number("washout_days", 28.0, least=0.0),
        recode=table.choice("recode", ("task", "case"), "task"),
        practice_cases=table.whole("practice_cases", 0),
        questions=tuple(_question(t) for t in table.tables("questions", [])),
        blinding=_part(table, "blinding", _blinding),
        planted=_part(table, "planted", _planted),
        lease_minutes=table.number("lease_minutes", 10.0, least=0.01),
        show_clock=table.flag("show_clock", False),
        offer_unseen=table.flag("offer_unseen", False),
        needs_plan=table.flag("needs_plan", bool(arms)),
        plan=plan_of(table.table("plan")) if table.has("plan") else None,
        text=text,
    )
    table.done()
    _check(protocol, table)
    return protocol


def _check(protocol: Protocol, table: TomlTable) -> None:
    """Raise `InputError` where parts do not fit one another."""
    try:
        preset(protocol.schema)
    except InputError as error:
        raise table.wrong("schema", f"is {protocol.schema!r}", error.hint) from None
    for key, things in (("steps", protocol.steps), ("arms", protocol.arms), ("questions", protocol.questions)):
        names = [thing.name for thing in things]
        if len(set(names)) != len(names):
            raise table.wrong(key, "name one thing twice", "Give each a name of its own.")
    people = [step for step in protocol.steps if step.role != MODEL_ROLE]
    if not people:
        raise table.wrong("steps", "hold no step of a person", "Add one with another role than model.")
    if protocol.arms and (len(protocol.steps) != 1 or people[0].start != "arm" or people[0].people != 1):
        raise table.wrong("steps", "do not suit arms", 'With arms there is one step, with start = "arm" and people = 1.')
    if not protocol.arms and any(step.start == "arm" for step in people):
        raise table.wrong("steps", "start as an arm says, and there is none", "Add [[arms]], or another start.")
    if len(protocol.arms) == 1:
        raise table.wrong("arms", "hold one arm", "Add another one to compare it with.")
    if any(arm.start == "other-rater" for arm in protocol.arms) and not any(arm.start == "empty" for arm in protocol.arms):
        raise table.wrong("arms", "have a sham and none from scratch", 'Add an arm with start = "empty", whose masks the sham begins with.')
    for number, step in enumerate(protocol.steps, 1):
        before = [s.name for s in protocol.steps[: number - 1] if s.role != MODEL_ROLE]
        if step.may_return and step.return_to not in before:
            raise table.wrong(
                f"steps[{number}].return_to", f"is {step.return_to!r}", f"Name an earlier step of a person: {', '.join(before)}."
            )
        if number == 1 and step.start == "previous" and step.role != MODEL_ROLE:
            raise table.wrong("steps[1].start", "is 'previous', and there is none before", "Write ai or empty.")


def _step(t: TomlTable) -> Step:
    may_return = t.flag("may_return", False)
    step = Step(
        name=_word(t, "name"),
        title=t.text("title", ""),
        role=_word(t, "role"),
        start=t.choice("start", _STARTS, "previous"),
        people=t.whole("people", 1, least=1),
        may_return=may_return,
        return_to=t.text("return_to") if may_return else t.text("return_to", ""),
        sees_versions=t.flag("sees_versions", False),
    )
    t.done()
    return step


def _arm(t: TomlTable) -> Arm:
    arm = Arm(_word(t, "name"), t.text("title", ""), t.choice("start", _ARM_STARTS))
    t.done()
    return arm


def _instances(t: TomlTable) -> Instances:
    return Instances(t.whole("per_arm", 2, least=1), t.choice("by", _BY, "crossed"), t.whole("sets", 1))


def _question(t: TomlTable) -> Question:
    question = Question(
        name=_word(t, "name"),
        text=t.text("text"),
        kind=t.choice("kind", ("yes-no", "scale"), "scale"),
        when=t.choice("when", ("submit", "after"), "after"),
        lowest=t.whole("lowest", 1),
        highest=t.whole("highest", 5),
        low=t.text("low", ""),
        high=t.text("high", ""),
    )
    if question.highest <= question.lowest:
        raise t.wrong("highest", f"is {question.highest}", f"Write more than {question.lowest}.")
    t.done()
    return question


def _blinding(t: TomlTable) -> Blinding:
    return Blinding(t.flag("raters", True), t.flag("model", True), t.flag("origin", True))


def _planted(t: TomlTable) -> PlantedErrors:
    kinds = t.texts("kinds", ERROR_KINDS)
    if not kinds or not set(kinds) <= set(ERROR_KINDS):
        raise t.wrong("kinds", f"is {list(kinds)}", f"Write some of {', '.join(ERROR_KINDS)}.")
    return PlantedErrors(t.number("share", 0.0, least=0.0, most=1.0), kinds, t.number("shift_mm", 3.0, least=0.1))


def _part(table: TomlTable, key: str, read: Callable[[TomlTable], _P]) -> _P:
    inner = table.table(key, {})
    part = read(inner)
    inner.done()
    return part


def _word(t: TomlTable, key: str) -> str:
    value = t.text(key)
    if not value or set(value) - _WORDS:
        raise t.wrong(key, f"is {value!r}", "Write small letters, digits and hyphens.")
    return value
