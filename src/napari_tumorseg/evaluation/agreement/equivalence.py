"""Two one-sided tests (TOST): is a measurement equivalent to its reference within a margin."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.evaluation.agreement.pairs import FEWEST, finite_or_none, interval, paired

__all__ = ["READINGS", "equivalence", "two_one_sided"]

#: The readings of "within 20 %", the default one first.
READINGS = ("mean", "percent", "log")


def two_one_sided(differences: npt.ArrayLike, low: float, high: float, alpha: float = 0.05) -> dict[str, Any]:
    """Test whether a mean difference lies between two margins.

    Two one-sided t tests (D. J. Schuirmann, J. Pharmacokinet. Biopharm. 15:657, 1987, 10.1007/BF01068419); p is the larger of
    the two, and is below `alpha` exactly where the ``1 - 2 alpha`` interval lies between the margins.

    Parameters
    ----------
    differences : array_like
        Shape (n,), one per patient, n >= 3.
    low, high : float
        Margins, ``low < high``, in the unit of the differences.
    alpha : float
        Level of each one-sided test.

    Returns
    -------
    dict
        ``estimate``, ``sd``, ``margins`` [low, high], ``ci`` of 1 - 2 alpha, ``p_lower`` (that the mean is not above the lower
        margin), ``p_upper``, ``p``, ``equivalent``, ``n``.

    Examples
    --------
    >>> two_one_sided([0.1, -0.1, 0.2, 0.0], -1, 1)["equivalent"]
    True
    """
    from scipy.stats import t

    d = np.asarray(differences, np.float64)
    if not low < high:
        raise InputError(f"The margins {low:g} and {high:g} leave nothing between them.", "Give a positive margin.")
    if d.ndim != 1 or d.size < FEWEST:
        raise InputError(f"There are {d.size} differences.", f"An equivalence test needs at least {FEWEST}.")
    n, mean, sd = d.size, float(d.mean()), float(d.std(ddof=1))
    error = sd / math.sqrt(n)
    if error > 0:
        p_lower, p_upper = float(t.sf((mean - low) / error, n - 1)), float(t.cdf((mean - high) / error, n - 1))
    else:  # all patients differ by the same amount, and nothing is left to chance
        p_lower, p_upper = float(mean <= low), float(mean >= high)
    half = float(t.ppf(1 - alpha, n - 1)) * error
    p = max(p_lower, p_upper)
    return {
        "estimate": mean,
        "sd": sd,
        "margins": [float(low), float(high)],
        "ci": interval(mean - half, mean + half),
        "p_lower": p_lower,
        "p_upper": p_upper,
        "p": p,
        "equivalent": p < alpha,
        "n": n,
    }


def equivalence(reference: npt.ArrayLike, test: npt.ArrayLike, margin: float = 0.2, alpha: float = 0.05) -> dict[str, Any]:
    """Test equivalence within a relative margin, by each way to read it.

    - ``mean`` (the default reading, unharmed by zeros): ``test - reference`` against ``± margin`` times the mean of the reference,
      which is taken as known.
    - ``percent``: ``100 (test - reference) / reference`` against ``± 100 margin``; patients whose reference is 0 are dropped.
    - ``log``: ``ln(test / reference)`` against ``ln(1 - margin)`` and ``ln(1 / (1 - margin))``, that is a ratio of 0.80 to 1.25
      for 20 %, symmetric in the two measurements; patients with a value that is not positive are dropped.

    Parameters
    ----------
    reference, test : array_like
        Shape (n,), one value per patient, n >= 3.
    margin : float
        As a share, 0 to 1.
    alpha : float
        Level of each one-sided test.

    Returns
    -------
    dict
        ``margin``, ``alpha``, ``reading`` ("mean"), and ``readings``: by name what `two_one_sided` returns with ``unit`` and
        ``dropped`` (patients left out because of a zero or a negative value), for ``log`` also ``ratio`` and ``ratio_ci``. Where
        too few patients are left, or a reading has no meaning, ``p`` and ``equivalent`` are None and ``why`` says so.

    Examples
    --------
    >>> found = equivalence([10, 20, 30, 0], [10, 21, 30, 0])
    >>> found["readings"]["percent"]["dropped"], found["readings"]["mean"]["equivalent"]
    (1, True)
    """
    if not 0 < margin < 1:
        raise InputError(f"{margin:g} is not a margin.", "Give it as a share between 0 and 1, e.g. 0.2 for 20 %.")
    x, y = paired(reference, test)
    not_zero, positive = x != 0, (x > 0) & (y > 0)
    room = margin * abs(float(x.mean()))
    mean = _read(y - x, (-room, room), alpha, "unit of the measurements", "the mean of the reference is 0")
    percent = _read(100 * (y - x)[not_zero] / x[not_zero], (-100 * margin, 100 * margin), alpha, "% of the reference")
    edge = math.log(1 / (1 - margin))
    log = _read(np.log(y[positive] / x[positive]), (-edge, edge), alpha, "ln(test / reference)")
    if log["p"] is not None:
        log["ratio"] = math.exp(log["estimate"])
        log["ratio_ci"] = [None if limit is None else finite_or_none(np.exp(limit)) for limit in log["ci"]]
    for reading, kept in ((mean, x.size), (percent, int(not_zero.sum())), (log, int(positive.sum()))):
        reading["dropped"] = int(x.size - kept)
    return {"margin": margin, "alpha": alpha, "reading": READINGS[0], "readings": {"mean": mean, "percent": percent, "log": log}}


def _read(d: npt.NDArray[np.float64], margins: tuple[float, float], alpha: float, unit: str, if_empty: str = "") -> dict[str, Any]:
    why = if_empty if margins[0] >= margins[1] else ""
    if d.size < FEWEST:
        why = f"{d.size} patients are left, and at least {FEWEST} are needed"
    if why:
        return {"unit": unit, "n": int(d.size), "p": None, "equivalent": None, "why": why}
    return {"unit": unit, **two_one_sided(d, *margins, alpha=alpha)}
