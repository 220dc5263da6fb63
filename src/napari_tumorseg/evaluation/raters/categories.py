"""Agreement of two or more raters on categories: Cohen's and Fleiss' kappa."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError

__all__ = ["WEIGHTS", "Weights", "cohen_kappa", "confusion_table", "fleiss_kappa"]

Weights = Literal["plain", "linear", "quadratic"]
#: What a disagreement weighs by the distance of the categories.
WEIGHTS: tuple[Weights, ...] = ("plain", "linear", "quadratic")


def confusion_table(first: Sequence[Hashable], second: Sequence[Hashable], categories: Sequence[Hashable]) -> npt.NDArray[np.int64]:
    """Return how often two raters gave each pair of categories.

    Parameters
    ----------
    first, second : sequence
        Shape (n,): category of each case.
    categories : sequence
        In order; the table's rows are `first`, its columns `second`.

    Examples
    --------
    >>> confusion_table("aab", "abb", "ab").tolist()
    [[1, 1], [0, 1]]
    """
    if len(first) != len(second):
        raise InputError(f"The raters judged {len(first)} and {len(second)} cases.", "Give the cases that both judged.")
    place = {category: i for i, category in enumerate(categories)}
    unknown = next((value for value in (*first, *second) if value not in place), None)
    if unknown is not None:
        raise InputError(f"'{unknown}' is none of the categories {', '.join(map(str, categories))}.", "Name all categories.")
    table = np.zeros((len(place), len(place)), np.int64)
    for one, other in zip(first, second, strict=True):
        table[place[one], place[other]] += 1
    return table


def cohen_kappa(
    first: Sequence[Hashable],
    second: Sequence[Hashable],
    categories: Sequence[Hashable],
    weights: Weights = "plain",
    confidence: float = 0.95,
) -> dict[str, Any]:
    """Return Cohen's kappa of two raters.

    ``(p_o - p_e) / (1 - p_e)``: J. Cohen, Educ. Psychol. Meas. 20:37, 1960; weighted: Psychol. Bull. 70:213, 1968, with weights by
    the place in `categories`. Computed by statsmodels, the interval with the large-sample standard error of J. L. Fleiss, J. Cohen
    and B. S. Everitt, Psychol. Bull. 72:323, 1969.

    Parameters
    ----------
    first, second : sequence
        Shape (n,): category of each case.
    categories : sequence
        All categories, in order.
    weights : str
        "plain" (all disagreements are alike), "linear" or "quadratic" in the distance of the categories.
    confidence : float
        Of the interval.

    Returns
    -------
    dict
        ``kappa``, ``kappa_ci``, ``observed`` (share of equal judgements), ``n``. Kappa is None where both raters gave one
        and the same category to every case: there is nothing that chance could have spoilt.

    Raises
    ------
    InputError
        If there are no cases, a category is unknown, or the lengths differ.

    Examples
    --------
    >>> found = cohen_kappa("aabb", "aabc", "abc")
    >>> round(found["kappa"], 4), found["observed"]
    (0.6, 0.75)
    """
    from scipy.stats import norm
    from statsmodels.stats.inter_rater import cohens_kappa

    table = confusion_table(first, second, categories)
    n = int(table.sum())
    if n == 0:
        raise InputError("The two raters have no case in common.", "Give cases that both judged.")
    result: dict[str, Any] = {"kappa": None, "kappa_ci": [None, None], "observed": float(np.trace(table) / n), "n": n}
    if np.count_nonzero(table.sum(axis=0) + table.sum(axis=1)) < 2:
        return result
    # statsmodels also makes a test against chance, which may divide by nothing or take the root of a rounded zero.
    with np.errstate(invalid="ignore", divide="ignore"):
        found = cohens_kappa(table, wt=None if weights == "plain" else weights)
    half = float(norm.ppf((1 + confidence) / 2)) * float(np.sqrt(max(found.var_kappa, 0.0)))
    kappa = float(found.kappa)
    return {**result, "kappa": kappa, "kappa_ci": [max(-1.0, kappa - half), min(1.0, kappa + half)]}


def fleiss_kappa(counts: npt.ArrayLike) -> dict[str, Any]:
    """Return Fleiss' kappa of several raters.

    J. L. Fleiss, Psychol. Bull. 76:378, 1971 (10.1037/h0031619), computed by statsmodels.

    Parameters
    ----------
    counts : array_like
        Shape (cases, categories): how many raters gave each category. All cases have the same number of raters; others
        need Krippendorff's alpha.

    Returns
    -------
    dict
        ``kappa`` (None where only one category occurs), ``n``, ``raters``.

    Raises
    ------
    InputError
        If there are no cases, fewer than two raters, or cases with different numbers of raters.

    Examples
    --------
    >>> round(fleiss_kappa([[2, 0], [0, 2], [1, 1]])["kappa"], 4)
    0.3333
    """
    from statsmodels.stats.inter_rater import fleiss_kappa as kappa_of

    table = np.asarray(counts)
    raters = set(table.sum(axis=1).tolist()) if table.ndim == 2 and table.size else set()
    if len(raters) != 1 or min(raters) < 2:
        raise InputError(
            "Fleiss' kappa needs cases that the same number of raters, two or more, judged.", "Leave out the incomplete cases."
        )
    single = np.count_nonzero(table.sum(axis=0)) < 2
    return {"kappa": None if single else float(kappa_of(table)), "n": int(table.shape[0]), "raters": int(min(raters))}
