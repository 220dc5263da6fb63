"""The plan of the analysis, fixed and hashed before the first case.

One primary endpoint; quality tested for non-inferiority at a margin that is stated beforehand; Holm's step-down over the
secondary endpoints (Holm, Scand J Stat 1979;6:65-70). What is hashed is canonical JSON: keys in order, no spaces, UTF-8.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from napari_tumorseg.annotation.study.toml_table import TomlTable, read_toml
from napari_tumorseg.core.errors import InputError

__all__ = ["Endpoint", "Margin", "Plan", "canonical_json", "plan_of", "read_plan"]

_BETTER = ("lower", "higher")


@dataclass(frozen=True)
class Endpoint:
    """What is compared between two arms.

    Attributes
    ----------
    name : str
        For the report.
    measure : str
        Column that is compared, e.g. "primary_s" or "dice".
    contrast : tuple of str
        The arm, and the arm that it is compared with.
    scale : str
        "log" (ratios of means on the log scale) or "linear" (differences).
    better : str
        "lower" or "higher".
    """

    name: str
    measure: str
    contrast: tuple[str, str]
    scale: str = "linear"
    better: str = "lower"


@dataclass(frozen=True)
class Margin:
    """A test of non-inferiority.

    Attributes
    ----------
    endpoint : Endpoint
        The measure of quality.
    margin : float
        How much worse is still not inferior, in units of the measure; positive.
    """

    endpoint: Endpoint
    margin: float


@dataclass(frozen=True)
class Plan:
    """What will be tested, and how.

    Attributes
    ----------
    primary : Endpoint
        The one on which the claim stands.
    quality : Margin
        Non-inferiority of quality.
    secondary : tuple of Endpoint
        Tested together by Holm's step-down.
    alpha : float
        Level of each family of tests, two-sided.
    exclusions : tuple of str
        Rules by which tasks are left out, in words.
    seed : int
        Of the study; -1 until the study takes the plan over.
    """

    primary: Endpoint
    quality: Margin
    secondary: tuple[Endpoint, ...] = ()
    alpha: float = 0.05
    exclusions: tuple[str, ...] = ()
    seed: int = -1

    def seeded(self, seed: int) -> Plan:
        """Return the plan with the seed of its study."""
        return replace(self, seed=seed)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        values: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Plan:
        """Return what `to_json` gave."""
        quality = Margin(_endpoint_from(values["quality"]["endpoint"]), float(values["quality"]["margin"]))
        return cls(
            _endpoint_from(values["primary"]),
            quality,
            tuple(_endpoint_from(v) for v in values["secondary"]),
            float(values["alpha"]),
            tuple(values["exclusions"]),
            int(values["seed"]),
        )

    @property
    def canonical(self) -> str:
        """The text that is hashed."""
        return canonical_json(self.to_json())

    @property
    def sha256(self) -> str:
        """Hash of `canonical`, hexadecimal.

        Examples
        --------
        >>> endpoint = Endpoint("time", "primary_s", ("ai", "scratch"), "log")
        >>> plan = Plan(endpoint, Margin(Endpoint("Dice", "dice", ("ai", "scratch"), better="higher"), 0.03), seed=1)
        >>> plan.sha256 == Plan.from_json(plan.to_json()).sha256 != plan.seeded(2).sha256
        True
        """
        return hashlib.sha256(self.canonical.encode()).hexdigest()


def canonical_json(value: Any) -> str:
    """Return `value` as JSON that is the same wherever it is written: keys in order, no spaces, no NaN.

    Examples
    --------
    >>> canonical_json({"b": 1, "a": [0.5, "é"]})
    '{"a":[0.5,"é"],"b":1}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def read_plan(path: Path) -> Plan:
    """Return the plan of a TOML file; raise `InputError` in one line where it is none."""
    table = read_toml(path)
    return plan_of(table)


def plan_of(table: TomlTable) -> Plan:
    """Return the plan that a table describes."""
    quality = table.table("quality")
    margin = quality.number("margin", least=0.0)
    if margin == 0.0:
        raise quality.wrong("margin", "is 0", "Write how much worse is still not inferior.")
    plan = Plan(
        _endpoint(table.table("primary")),
        Margin(_endpoint(quality), margin),
        tuple(_endpoint(t) for t in table.tables("secondary", [])),
        table.number("alpha", 0.05, least=0.0001, most=0.5),
        table.texts("exclusions", ()),
    )
    table.done()
    names = [plan.primary.name, plan.quality.endpoint.name, *(e.name for e in plan.secondary)]
    if len(set(names)) != len(names):
        raise table.wrong("secondary", "has an endpoint of a name that is taken", "Give each endpoint a name of its own.")
    return plan


def check_arms(plan: Plan, arms: tuple[str, ...]) -> None:
    """Raise `InputError` where the plan compares arms that the protocol does not have."""
    for endpoint in (plan.primary, plan.quality.endpoint, *plan.secondary):
        missing = [arm for arm in endpoint.contrast if arm not in arms]
        if missing:
            raise InputError(
                f"The plan compares {missing[0]!r} in {endpoint.name!r}, which is no arm of the protocol.", f"It has {', '.join(arms)}."
            )


def _endpoint(table: TomlTable) -> Endpoint:
    contrast = table.texts("contrast", ("ai", "scratch"))
    if len(contrast) != 2 or contrast[0] == contrast[1]:
        raise table.wrong("contrast", f"is {list(contrast)}", 'Write two arms, e.g. ["ai", "scratch"].')
    endpoint = Endpoint(
        table.text("name"),
        table.text("measure"),
        (contrast[0], contrast[1]),
        table.choice("scale", ("log", "linear"), "linear"),
        table.choice("better", _BETTER),
    )
    if not table.has("margin"):
        table.done()
    return endpoint


def _endpoint_from(values: Mapping[str, Any]) -> Endpoint:
    first, second = values["contrast"]
    return Endpoint(values["name"], values["measure"], (first, second), values["scale"], values["better"])
