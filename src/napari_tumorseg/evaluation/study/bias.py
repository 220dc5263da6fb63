"""Whether an AI's mistakes get through: omission and commission by arm, and what became of errors that were planted.

A mask that two raters began from is a reason for them to agree, right or wrong. So lesions are judged by the *other raters' readings from
scratch*: a lesion is there when most of them have it. Omission is a lesion that is there and that a reading lacks; commission a lesion
that a reading has and that none, or fewer than half, of them has. Where the AI was wrong, more of either than in the arm from scratch is
automation bias (Goddard, Roudsari and Wyatt, J Am Med Inform Assoc 2012;19:121-127).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.evaluation.study.detection import bootstrap_cases

__all__ = ["Planted", "Reading", "automation_bias", "leave_one_out", "planted_errors"]

_KINDS = ("present", "omitted", "marked", "committed", "ai_missed", "ai_missed_omitted", "ai_false", "ai_false_kept")


@dataclass(frozen=True, eq=False)
class Reading:
    """One reading of a case, lesion by lesion (the clusters of `lesion_clusters`).

    Attributes
    ----------
    case, rater, arm : str
        What, who, how.
    has : numpy.ndarray
        Boolean (clusters,): which lesions it has.
    reference : numpy.ndarray
        Boolean (clusters,): which are there, by the others; see `leave_one_out`.
    ai : numpy.ndarray, optional
        Boolean (clusters,): which the AI had; None where it was not run.
    """

    case: str
    rater: str
    arm: str
    has: npt.NDArray[np.bool_]
    reference: npt.NDArray[np.bool_]
    ai: npt.NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Planted:
    """An error that was put into the AI's mask on purpose, and what a reading made of it.

    Attributes
    ----------
    case, rater, kind : str
        Where, who, and what: e.g. "missed lesion", "vessel", "shifted edge".
    corrected : bool
        Whether it was put right.
    """

    case: str
    rater: str
    kind: str
    corrected: bool


def leave_one_out(from_scratch: Mapping[str, npt.ArrayLike], rater: str) -> npt.NDArray[np.bool_] | None:
    """Return which lesions are there by the readings from scratch of the others, or None where there is none.

    Parameters
    ----------
    from_scratch : mapping of str to array_like
        By rater, which lesions their reading from scratch has, boolean (clusters,).
    rater : str
        Whose reading is judged; their own is left out.

    Returns
    -------
    numpy.ndarray
        Boolean (clusters,): at least half of the others have it.

    Examples
    --------
    >>> leave_one_out({"A": [True, True], "B": [True, False], "C": [True, False]}, "C").tolist()
    [True, True]
    """
    others = [np.asarray(has, bool) for name, has in from_scratch.items() if name != rater]
    if not others:
        return None
    return np.asarray(2 * np.sum(others, axis=0) >= len(others))


def automation_bias(readings: Iterable[Reading], arms: Sequence[str], *, draws: int = 2000, seed: int = 0) -> dict[str, Any]:
    """Return omission and commission by arm, and their differences, with bootstrap intervals over cases.

    Parameters
    ----------
    readings : iterable of Reading
        Of the two arms.
    arms : sequence of str
        From scratch, then AI-assisted.
    draws, seed : int
        Of the bootstrap over cases, the same cases drawn for both arms.

    Returns
    -------
    dict
        By arm: counts, ``omission`` (of lesions that are there), ``commission`` (of lesions that were marked), ``ai_missed_omission`` (of
        those that are there and the AI lacked) and ``ai_false_commission`` (of those that the AI had and are not there).
        ``difference``: second minus first arm with ``low`` and ``high``. A rate without any lesion to count is None.
    """
    first, second = arms
    cases: dict[str, npt.NDArray[np.float64]] = {}
    for reading in readings:
        if reading.arm in arms:
            row = cases.setdefault(reading.case, np.zeros((2, len(_KINDS))))
            row[arms.index(reading.arm)] += _counted(reading)
    sums = np.array([row.ravel() for row in cases.values()]).reshape(len(cases), 2 * len(_KINDS))
    total = sums.sum(0).reshape(2, len(_KINDS)) if len(cases) else np.zeros((2, len(_KINDS)))
    told: dict[str, Any] = {"cases": len(cases), "arms": {}, "difference": {}, "draws": draws}
    for number, name in enumerate((first, second)):
        counts = {kind: int(v) for kind, v in zip(_KINDS, total[number], strict=True)}
        told["arms"][name] = {**counts, **{rate: _rate(total[number], rate) for rate in _RATES}}
    for rate, (above, below) in _RATES.items():
        a, b = _KINDS.index(above), _KINDS.index(below)

        def difference(drawn: npt.NDArray[np.float64], a: int = a, b: int = b) -> npt.NDArray[np.float64]:
            by_arm = drawn.reshape(len(drawn), 2, len(_KINDS))
            with np.errstate(invalid="ignore", divide="ignore"):
                shares = by_arm[:, :, a] / by_arm[:, :, b]
            return np.asarray(shares[:, 1] - shares[:, 0])

        value = float(difference(total.reshape(1, -1))[0])
        low, high = bootstrap_cases(sums, difference, draws=draws, seed=seed)
        told["difference"][rate] = {"value": value if np.isfinite(value) else None, "low": low, "high": high}
    return told


def planted_errors(planted: Iterable[Planted], confidence: float = 0.95) -> dict[str, Any]:
    """Return, for each kind of planted error and for all, how many got through, with Wilson's interval.

    The interval treats errors as independent, which several readings of one error are not; it is then too narrow, and that is said by
    ``readings`` being more than ``errors``.
    """
    rows = list(planted)
    told = {}
    for kind in [*sorted({row.kind for row in rows}), "all"]:
        here = [row for row in rows if kind in (row.kind, "all")]
        through = sum(not row.corrected for row in here)
        low, high = _wilson(through, len(here), confidence)
        errors = len({(row.case, row.kind) for row in here})
        told[kind] = {"errors": errors, "readings": len(here), "through": through, "share": through / len(here) if here else None}
        told[kind] |= {"low": low, "high": high}
    return told


_RATES = {
    "omission": ("omitted", "present"),
    "commission": ("committed", "marked"),
    "ai_missed_omission": ("ai_missed_omitted", "ai_missed"),
    "ai_false_commission": ("ai_false_kept", "ai_false"),
}


def _counted(reading: Reading) -> npt.NDArray[np.float64]:
    has, there = np.asarray(reading.has, bool), np.asarray(reading.reference, bool)
    ai = np.asarray(reading.ai, bool) if reading.ai is not None else None
    missed = there & ~ai if ai is not None else np.zeros_like(there)
    false = ai & ~there if ai is not None else np.zeros_like(there)
    parts = (there, there & ~has, has, has & ~there, missed, missed & ~has, false, false & has)
    return np.array([float(part.sum()) for part in parts])


def _rate(counts: npt.NDArray[np.float64], rate: str) -> float | None:
    above, below = (counts[_KINDS.index(name)] for name in _RATES[rate])
    return float(above / below) if below else None


def _wilson(count: int, whole: int, confidence: float) -> tuple[float | None, float | None]:
    """Return Wilson's score interval (J Am Stat Assoc 1927;22:209-212)."""
    if not whole:
        return None, None
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(count, whole, alpha=1 - confidence, method="wilson")
    return float(low), float(high)
