"""Named, versioned cut-offs that turn a TIL measure into low, intermediate or high.

No cut-off of the published ones was set on a measure that a program takes: they divide the percentage that pathologists estimate, and
neither percentage computed here is that one. So all those that come with the program say that they are not validated.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Literal

from napari_tumorseg.core.errors import InputError

__all__ = ["CUT_OFFS", "MEASURES", "Category", "CutOffs", "cut_offs"]

Category = Literal["low", "intermediate", "high"]

#: What a profile can divide.
MEASURES = ("density_per_mm2", "til_area_percent", "til_percent_tiger")


@dataclass(frozen=True)
class CutOffs:
    """One division of a measure into three.

    Attributes
    ----------
    name, version : str
        What a report cites.
    measure : str
        One of `MEASURES`.
    low, high : float
        Values below `low` are low, from `high` on high; at `low` itself, low only if `low_included`.
    low_included : bool
        Whether `low` itself is still low.
    validated : bool
        Whether the division was tested on slides other than those it was fitted on, with this measure.
    source : str
        The publication, or the slides it was fitted on.

    Examples
    --------
    >>> cut_offs("denkert-2018").category(10.0), cut_offs("de-jong-2022").category(30.0)
    ('low', 'intermediate')
    """

    name: str
    version: str
    measure: str
    low: float
    high: float
    source: str
    low_included: bool = False
    validated: bool = False

    def __post_init__(self) -> None:
        """Refuse what divides nothing."""
        if self.measure not in MEASURES:
            raise InputError(f"The cut-offs {self.name} divide {self.measure!r}.", f"Use one of {', '.join(MEASURES)}.")
        if not 0 <= self.low < self.high:
            raise InputError(f"The cut-offs {self.name} are {self.low} and {self.high}.", "The lower must be below the upper.")

    def category(self, value: float) -> Category:
        """Return where a value falls."""
        if value < self.low or (self.low_included and value == self.low):
            return "low"
        return "high" if value >= self.high else "intermediate"

    def as_dict(self) -> dict[str, Any]:
        """Return the profile as JSON holds it, with what a reader must know."""
        note = "" if self.validated else "not validated on this measure"
        return asdict(self) | {"note": note}


def _published(name: str, low: float, high: float, source: str, *, low_included: bool = False) -> CutOffs:
    return CutOffs(name, "1", "til_percent_tiger", low, high, f"{source}, set on pathologists' percentages", low_included)


#: The profiles that come with the program.
CUT_OFFS = MappingProxyType(
    {
        profile.name: profile
        for profile in (
            _published("denkert-2018", 10, 60, "Denkert 2018, doi:10.1016/S1470-2045(17)30904-X", low_included=True),
            _published("de-jong-2022", 30, 75, "de Jong 2022, J Clin Oncol"),
            _published("10-40", 10, 40, "bands in common use"),
        )
    }
)


def cut_offs(name: str) -> CutOffs:
    """Return a profile that comes with the program; raise `InputError` when there is none of that name."""
    try:
        return CUT_OFFS[name]
    except KeyError:
        raise InputError(f"There are no cut-offs named {name!r}.", f"Use one of {', '.join(CUT_OFFS)}.") from None
