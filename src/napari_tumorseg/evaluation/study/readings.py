"""The table that the statistics of a study begin with: one row for each finished reading of a case."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError

__all__ = ["Readings", "summary"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Readings:
    """Readings of cases by raters in two arms.

    Attributes
    ----------
    raters, cases : tuple of str
        Their names, in the order of the codes.
    arms : tuple of str
        The arm that is compared with (from scratch), then the other (AI-assisted).
    rater, case : numpy.ndarray
        Code of each reading, shape (n,).
    arm : numpy.ndarray
        -0.5 or +0.5 for the first or second of `arms`, shape (n,).
    period : numpy.ndarray
        1 for a rater's first reading of the case, 2 for the next, shape (n,).
    order : numpy.ndarray
        Place among all readings of the rater, from 1, shape (n,).
    lesions : numpy.ndarray
        Lesions in the reference of the case, shape (n,).
    seconds : numpy.ndarray
        Primary time, above 0, shape (n,).

    Examples
    --------
    >>> rows = [
    ...     {"rater": "A", "case": "1", "arm": arm, "period": n, "order": n, "lesions": 3, "seconds": s}
    ...     for n, (arm, s) in enumerate((("scratch", 600.0), ("ai", 420.0)), 1)
    ... ]
    >>> table = Readings.of(rows, ("scratch", "ai"))
    >>> table.arm.tolist(), table.cases
    ([-0.5, 0.5], ('1',))
    """

    raters: tuple[str, ...]
    cases: tuple[str, ...]
    arms: tuple[str, str]
    rater: Ints
    case: Ints
    arm: Floats
    period: Floats
    order: Floats
    lesions: Floats
    seconds: Floats

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Any]], arms: Sequence[str]) -> Readings:
        """Return the table of rows with `rater`, `case`, `arm`, `period`, `order`, `lesions` and `seconds`; other arms are left out.

        Raises
        ------
        InputError
            If an arm has no reading, or a time is not above 0.
        """
        first, second = arms
        kept = [row for row in rows if row["arm"] in (first, second)]
        for name in (first, second):
            if not any(row["arm"] == name for row in kept):
                raise InputError(f"There is no finished reading in the arm {name}.", "Wait for some, or name other arms.")
        wrong = next((row for row in kept if not row["seconds"] or not row["seconds"] > 0), None)
        if wrong is not None:
            raise InputError(
                f"The reading of {wrong['case']} by {wrong['rater']} has a time of {wrong['seconds']} s.", "Exclude it, and say why."
            )
        raters = tuple(sorted({str(row["rater"]) for row in kept}))
        cases = tuple(sorted({str(row["case"]) for row in kept}))
        return cls(
            raters,
            cases,
            (first, second),
            np.array([raters.index(str(row["rater"])) for row in kept], np.intp),
            np.array([cases.index(str(row["case"])) for row in kept], np.intp),
            np.array([0.5 if row["arm"] == second else -0.5 for row in kept]),
            np.array([float(row["period"]) for row in kept]),
            np.array([float(row["order"]) for row in kept]),
            np.array([float(row["lesions"]) for row in kept]),
            np.array([float(row["seconds"]) for row in kept]),
        )

    def __len__(self) -> int:
        """Return the number of readings."""
        return len(self.seconds)

    @property
    def log_s(self) -> Floats:
        """Natural logarithm of the times."""
        return np.log(self.seconds)

    @cached_property
    def paired(self) -> bool:
        """Whether some rater read some case in both arms."""
        both = {(r, c) for r, c, a in zip(self.rater, self.case, self.arm, strict=True) if a < 0}
        return any((r, c) in both for r, c, a in zip(self.rater, self.case, self.arm, strict=True) if a > 0)

    def covariates(self) -> dict[str, Floats]:
        """Return the columns of the model that do not depend on the arm, centred: period, session order, log lesion count."""
        counts = np.log(np.maximum(self.lesions, 0.5))
        columns = {"period": self.period, "order": self.order, "log_lesions": counts}
        centred = {name: values - values.mean() for name, values in columns.items()}
        # A slope from the first to the last reading of a study is easier to read than one for each reading.
        span = float(np.ptp(self.order))
        return centred | ({"order": centred["order"] / span} if span else {})


def summary(readings: Readings) -> dict[str, Any]:
    """Return number, median and quartiles of the times in each arm, in seconds, and the ratio of the medians."""
    told: dict[str, Any] = {}
    medians = []
    for name, half in zip(readings.arms, (-0.5, 0.5), strict=True):
        times = readings.seconds[readings.arm == half]
        low, middle, high = (float(v) for v in np.percentile(times, (25, 50, 75)))
        told[name] = {"readings": len(times), "median_s": middle, "q1_s": low, "q3_s": high}
        medians.append(middle)
    return {"arms": told, "saved_by_medians_percent": 100 * (1 - medians[1] / medians[0])}
