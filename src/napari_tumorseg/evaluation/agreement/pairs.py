"""Paired measurements: checked, and brought to one pair per patient."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError

__all__ = ["FEWEST", "Pairs", "finite_or_none", "interval", "paired", "per_patient"]

Floats = npt.NDArray[np.float64]

#: Fewer pairs than this leave no interval: that of the concordance coefficient divides by n - 2.
FEWEST = 3
# Sums of fourth powers of larger values are no longer finite.
_LARGEST = 1e60


@dataclass(frozen=True, eq=False)
class Pairs:
    """One pair of measurements per patient.

    Attributes
    ----------
    patients : tuple
        In order of first appearance.
    reference, test : numpy.ndarray
        float64, one value per patient.
    rows : tuple of int
        How many rows each patient's values are the mean of.
    """

    patients: tuple[Hashable, ...]
    reference: Floats
    test: Floats
    rows: tuple[int, ...]


def paired(reference: npt.ArrayLike, test: npt.ArrayLike, *, vary: bool = False) -> tuple[Floats, Floats]:
    """Return two measurements as float64 arrays, or say why they are no pairs.

    Parameters
    ----------
    reference, test : array_like
        Shape (n,), one value per patient.
    vary : bool
        Also refuse a measurement that is the same for all patients.

    Raises
    ------
    InputError
        If lengths differ, a value is not finite, there are fewer than `FEWEST` pairs, or (with `vary`) one of them is constant.

    Examples
    --------
    >>> [a.size for a in paired([1, 2, 3], [1, 2, 4])]
    [3, 3]
    """
    x, y = np.asarray(reference, np.float64), np.asarray(test, np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        raise InputError(f"The measurements have shapes {x.shape} and {y.shape}.", "Give one reference and one test value per patient.")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        bad = np.flatnonzero(~(np.isfinite(x) & np.isfinite(y)))
        raise InputError(f"{bad.size} of the pairs are not finite, the first at place {int(bad[0]) + 1}.", "Complete or drop them.")
    if max(np.abs(x).max(initial=0), np.abs(y).max(initial=0)) > _LARGEST:
        raise InputError(f"A value is larger than {_LARGEST:g}.", "Give the measurements in a larger unit.")
    if x.size < FEWEST:
        raise InputError(f"There are {x.size} pairs.", f"Agreement needs at least {FEWEST}.")
    if vary:
        for name, values in (("reference", x), ("test", y)):
            if np.ptp(values) == 0:
                raise InputError(f"The {name} is {values[0]:g} for all patients.", "Agreement needs values that differ between patients.")
    return x, y


def per_patient(patients: Sequence[Hashable], reference: npt.ArrayLike, test: npt.ArrayLike) -> Pairs:
    """Average the rows of each patient, so that the patient is the unit.

    Several lesions or readings of one patient are not independent; taken as separate units they would make every interval
    too narrow and every equivalence test too easy. The mean of a patient's rows keeps the bias. Its limits of agreement are
    those of patient means, which are narrower than those of single rows.

    Parameters
    ----------
    patients : sequence
        Shape (n,): whose row it is.
    reference, test : array_like
        Shape (n,).

    Examples
    --------
    >>> per_patient(["a", "b", "a"], [1.0, 5.0, 3.0], [2.0, 5.0, 2.0]).reference.tolist()
    [2.0, 5.0]
    """
    x, y = np.asarray(reference, np.float64), np.asarray(test, np.float64)
    places: dict[Hashable, list[int]] = {}
    for place, patient in enumerate(patients):
        places.setdefault(patient, []).append(place)
    groups = list(places.values())
    return Pairs(
        tuple(places),
        np.array([x[group].mean() for group in groups]),
        np.array([y[group].mean() for group in groups]),
        tuple(len(group) for group in groups),
    )


def finite_or_none(value: float) -> float | None:
    """Return `value` as a float, None when it is not finite (JSON has no NaN and no infinity)."""
    number = float(value)
    return number if math.isfinite(number) else None


def interval(low: float, high: float) -> list[float | None]:
    """Return an interval as the list that every result document holds: [low, high], None where there is no limit."""
    return [finite_or_none(low), finite_or_none(high)]
