"""Categories of response from sums of target lesions: RECIST 1.1, RANO-BM and RANO.

Only what can be read off masks is decided here. What cannot (unequivocal progression of non-target lesions, steroids, clinical
status) is entered by a person, or the category is said to be the imaging component only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

from napari_tumorseg.core.errors import InputError

__all__ = ["CRITERIA", "Category", "Clinical", "Criteria", "Sums", "check_status", "overall", "target_response", "with_status"]

Category = Literal["CR", "PR", "SD", "PD", "NE", "Non-CR/Non-PD"]
Steroids = Literal["none", "decreased", "stable", "increased"]
Clinical = Literal["improved", "stable", "worse"]
#: Rounding must not decide a category at its limit.
_EDGE = 1e-9


@dataclass(frozen=True)
class Criteria:
    """The constants of one set of criteria.

    Attributes
    ----------
    name, title, source : str
        What it is, and where it is published.
    measure : str
        What is summed over targets: "longest" (mm) or "product" of longest diameter and perpendicular (mm2).
    min_longest_mm, min_perpendicular_mm : float
        Smallest target at baseline. Where slices are more than 5 mm apart, a target is at least two of these distances long.
    min_slices : int
        Axial slices on which a target is seen.
    max_targets : int
        Of the largest.
    response_share : float
        Decrease of the sum from the baseline that is a partial response.
    progression_share : float
        Increase of the sum from its smallest value so far that is progression.
    progression_mm : float
        Increase in mm that progression needs as well.
    progression_of : str
        Whether the sum grows by so many mm, or at least one lesion does; "" where no such rule is.
    needs_status : bool
        Whether steroids and clinical status belong to the category.
    """

    name: str
    title: str
    source: str
    measure: Literal["longest", "product"]
    min_longest_mm: float
    min_perpendicular_mm: float
    min_slices: int
    max_targets: int
    response_share: float
    progression_share: float
    progression_mm: float
    progression_of: Literal["sum", "lesion", ""]
    needs_status: bool


_RECIST = Criteria(
    "recist-1.1",
    "RECIST 1.1",
    "Eisenhauer 2009, doi:10.1016/j.ejca.2008.10.026",
    "longest",
    10.0,
    5.0,
    2,
    5,
    0.3,
    0.2,
    5.0,
    "sum",
    needs_status=False,
)
_RANO_BM = Criteria(
    "rano-bm",
    "RANO-BM",
    "Lin 2015, doi:10.1016/S1470-2045(15)70057-4",
    "longest",
    10.0,
    5.0,
    2,
    5,
    0.3,
    0.2,
    5.0,
    "lesion",
    needs_status=True,
)
_RANO = Criteria(
    "rano",
    "RANO, bidimensional",
    "Wen 2010, doi:10.1200/JCO.2009.26.3541",
    "product",
    10.0,
    10.0,
    2,
    5,
    0.5,
    0.25,
    0.0,
    "",
    needs_status=True,
)
#: Sets of criteria by name.
CRITERIA: Mapping[str, Criteria] = MappingProxyType({c.name: c for c in (_RECIST, _RANO_BM, _RANO)})


@dataclass(frozen=True)
class Sums:
    """What the targets measure at a time point after the baseline.

    Attributes
    ----------
    baseline, nadir, now : float
        Sum at baseline, the smallest one before this time point (the baseline's among them), and the one now.
    largest_growth_mm : float
        Increase of the target that has grown most since the nadir, in mm.
    complete : bool
        Whether every target was looked at.
    """

    baseline: float
    nadir: float
    now: float
    largest_growth_mm: float = 0.0
    complete: bool = True


def target_response(sums: Sums | None, criteria: Criteria) -> Category | None:
    """Return the response of the target lesions; None where there are none.

    CR: all have disappeared. PD: the sum is larger than its smallest value by the share, and by the millimetres, of the
    criteria. PR: it is smaller than at baseline by the share. SD: neither. PD comes before PR. Where a target was not looked
    at, NE, unless those that were are enough for PD.

    Examples
    --------
    >>> target_response(Sums(100.0, 60.0, 72.0), CRITERIA["recist-1.1"]), target_response(Sums(100.0, 60.0, 70.0), CRITERIA["recist-1.1"])
    ('PD', 'PR')
    """
    if sums is None:
        return None
    rise = sums.now - sums.nadir
    grown = {"sum": rise, "lesion": sums.largest_growth_mm, "": criteria.progression_mm}[criteria.progression_of]
    enough = rise >= criteria.progression_share * sums.nadir * (1 - _EDGE) and rise > _EDGE
    if enough and grown >= criteria.progression_mm - _EDGE:
        return "PD"
    if not sums.complete:
        return "NE"
    if sums.now <= 0:
        return "CR"
    if sums.baseline - sums.now >= criteria.response_share * sums.baseline * (1 - _EDGE):
        return "PR"
    return "SD"


def overall(target: Category | None, non_target: Category | None, new_lesion: bool) -> Category:
    """Return the category of a time point: tables 1 and 2 of RECIST 1.1.

    Parameters
    ----------
    target : str, optional
        From `target_response`; None without target lesions.
    non_target : str, optional
        "CR", "Non-CR/Non-PD", "PD" or "NE"; None without non-target lesions.
    new_lesion : bool
        Whether a lesion is there that was not there at baseline.

    Examples
    --------
    >>> overall("CR", "Non-CR/Non-PD", False), overall("PR", "CR", True), overall(None, "CR", False)
    ('PR', 'PD', 'CR')
    """
    if new_lesion or "PD" in (target, non_target):
        return "PD"
    if target is None:
        return non_target or "NE"
    if target == "CR" and non_target not in ("CR", None):
        return "PR"
    return target


def check_status(steroids: str, clinical: str) -> None:
    """Raise `InputError` when steroids or clinical status are entered as something that is not known; "" is not entered."""
    for value, allowed, name in ((steroids, get_args(Steroids), "steroids"), (clinical, get_args(Clinical), "clinical status")):
        if value and value not in allowed:
            raise InputError(f"{value!r} is not known as {name}.", f"Enter one of {', '.join(allowed)}.")


def with_status(imaging: Category, steroids: str, clinical: str) -> tuple[Category, str]:
    """Return the category with steroids and clinical status taken in, and what it rests on.

    The table of RANO-BM: CR needs no steroids, PR and SD stable or decreased ones; all three need a stable or improved
    clinical status; a worse one is PD. More steroids alone are not PD, and no category fits them.

    Parameters
    ----------
    imaging : str
        From `overall`.
    steroids, clinical : str
        As entered; "" for not entered.

    Examples
    --------
    >>> with_status("CR", "stable", "stable")[0], with_status("SD", "", "")
    ('PR', ('SD', 'imaging component only'))
    """
    if not steroids or not clinical:
        return imaging, "imaging component only"
    if imaging == "PD" or clinical == "worse":
        return "PD", "imaging" if imaging == "PD" else "clinical status is worse"
    if imaging == "NE":
        return "NE", "imaging"
    if steroids == "increased":
        return "NE", "steroids were increased, which is not progression by itself, nor does it fit another category"
    if imaging == "CR" and steroids != "none":
        return "PR", "complete response on imaging, but with steroids"
    return imaging, "imaging, steroids and clinical status"
