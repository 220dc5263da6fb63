"""Ranking of models, and how far it depends on the cases that happened to be tested."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.evaluation.resampling import RESAMPLES, draws

__all__ = ["case_ranks", "kendall_tau", "rank_models"]

Floats = npt.NDArray[np.float64]


def case_ranks(scores: npt.ArrayLike, higher_is_better: Sequence[bool]) -> Floats:
    """Rank the models by each score of each case, 1 the best.

    Parameters
    ----------
    scores : array_like
        Shape (cases, scores, models); NaN where a model has none, which ranks last.
    higher_is_better : sequence of bool
        Shape (scores,).

    Returns
    -------
    numpy.ndarray
        float64, shape of `scores`; equal models share the mean of their ranks.

    Examples
    --------
    >>> case_ranks([[[0.9, 0.8, 0.9]]], [True]).tolist()
    [[[1.5, 3.0, 1.5]]]
    """
    from scipy.stats import rankdata

    table = np.asarray(scores, np.float64)
    if table.ndim != 3 or table.shape[1] != len(higher_is_better):
        raise InputError(f"The scores have the shape {table.shape}.", "Give (cases, scores, models).")
    sign = np.where(np.asarray(higher_is_better, bool), -1.0, 1.0)[None, :, None]
    return np.asarray(rankdata(np.where(np.isnan(table), np.inf, table * sign), axis=2))


def kendall_tau(a: Floats, b: Floats) -> Floats:
    """Return Kendall's tau-b between the last axes of `a` and `b`; 0 where one of them is all ties.

    M. G. Kendall, Biometrika 30:81, 1938 and 33:239, 1945.

    Examples
    --------
    >>> float(kendall_tau(np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0])))
    0.3333333333333333
    """
    i, j = np.triu_indices(a.shape[-1], 1)
    one, other = np.sign(a[..., i] - a[..., j]), np.sign(b[..., i] - b[..., j])
    both = np.sqrt((one**2).sum(axis=-1) * (other**2).sum(axis=-1))
    return np.asarray(np.divide((one * other).sum(axis=-1), both, out=np.zeros(both.shape), where=both > 0))


def rank_models(scores: npt.ArrayLike, higher_is_better: Sequence[bool], seed: int = 0) -> dict[str, Any]:
    """Rank models over all cases and scores, and draw the cases again to see how stable that is.

    In each case the models are ranked by each score; a model's mean rank over scores and cases decides, as in the BraTS
    challenges. The bootstrap over cases follows M. Wiesenfarth et al., Sci. Rep. 11:2369, 2021 (10.1038/s41598-021-82017-6).

    Parameters
    ----------
    scores : array_like
        Shape (cases, scores, models); NaN where a model has none, which ranks last.
    higher_is_better : sequence of bool
        Shape (scores,).
    seed : int
        Of the resamples.

    Returns
    -------
    dict
        By model, in order: ``mean_rank``, ``rank`` (ties share the mean), ``first_share`` (share of the resamples in which a model
        is first; shared firsts are split), ``rank_shares`` (models, ranks: share of the resamples at each rank, split likewise).
        ``kendall_tau`` of the resampled rankings with this one (``mean``, ``low``, ``high``: 2.5 and 97.5 percentile);
        ``resamples``, ``cases``.

    Raises
    ------
    InputError
        If there are fewer than two cases or models.

    Examples
    --------
    >>> found = rank_models([[[0.9, 0.8]], [[0.9, 0.7]], [[0.8, 0.7]]], [True])
    >>> found["rank"], found["first_share"], found["kendall_tau"]["mean"]
    ([1.0, 2.0], [1.0, 0.0], 1.0)
    """
    from scipy.stats import rankdata

    ranks = case_ranks(scores, higher_is_better)
    cases, _, models = ranks.shape
    if cases < 2 or models < 2:
        raise InputError(f"There are {cases} cases and {models} models.", "A ranking needs two of each.")
    by_case = ranks.mean(axis=1)
    # Rounded, so that sums in another order do not break ties.
    mean_rank = by_case.mean(axis=0).round(9)
    final = rankdata(mean_rank)
    drawn = (draws(cases, seed).astype(np.float64) @ by_case / cases).round(9)
    again = rankdata(drawn, axis=1)
    tau = kendall_tau(again, np.broadcast_to(final, again.shape))
    shares = _rank_shares(drawn)
    low, high = np.quantile(tau, (0.025, 0.975))
    return {
        "mean_rank": mean_rank.tolist(),
        "rank": final.tolist(),
        "first_share": shares[:, 0].tolist(),
        "rank_shares": shares.tolist(),
        "kendall_tau": {"mean": float(tau.mean()), "low": float(low), "high": float(high)},
        "resamples": RESAMPLES,
        "cases": cases,
    }


def _rank_shares(drawn: Floats) -> Floats:
    """Return the share of rows in which each model (column) has each rank; models that tie share the ranks they cover."""
    from scipy.stats import rankdata

    first, last = rankdata(drawn, method="min", axis=1), rankdata(drawn, method="max", axis=1)
    places = np.arange(1, drawn.shape[1] + 1)
    covered = (first[:, :, None] <= places) & (places <= last[:, :, None])
    return np.asarray((covered / covered.sum(axis=2, keepdims=True)).mean(axis=0))
