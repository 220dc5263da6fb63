"""Inference by drawing the study's own allocation again.

The statistic is a t test of the arm that treats raters and cases as samples (or raters as fixed), made from sums over raters and over cases
as in multi-reader multi-case studies (Hillis, Stat Med 2007;26:596-619), with degrees of freedom by Satterthwaite's rule. What is compared
between the allocation that was drawn and those that might have been is its p-value ("prepivoting": Beran, J Am Stat Assoc
1988;83:687-697; Cohen and Fogarty, J R Stat Soc B 2022;84:295-320).

Re-drawing is exact where an arm changes no time at all, whatever the distribution of times. It knows nothing of raters and cases that
differ in what the arm does to them but not on average; simulated studies of that kind are rejected in 7 to 9 % (docs/study_statistics.md).
The t test is made for those. So an effect is claimed where *both* reject: p is the larger of the two, the interval the wider.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.evaluation.study.readings import Readings

__all__ = ["FEWEST_RATERS", "ArmTest", "RandomisationTest", "Redraw"]

Floats = npt.NDArray[np.float64]
#: Given the number of a draw, returns the arms, -0.5 or +0.5, that the same procedure might have given to the same readings, shape (n,).
Redraw = Callable[[int], npt.ArrayLike]

#: With fewer raters than this they are no sample of raters: they are fixed, and what is found holds for them.
FEWEST_RATERS = 6
# Readings whose arm follows from the other columns tell nothing.
_NOTHING = 1e-9


@dataclass(frozen=True)
class ArmTest:
    """What was found about the arm.

    Attributes
    ----------
    estimate : float
        Change of the outcome from the first arm to the second.
    se, df : float
        Of the t statistic.
    p : float
        Two-sided: the larger of the next two.
    p_redraw, p_t : float
        By re-drawing, and by the t distribution.
    low, high : float
        Interval: from the lowest to the highest effect that is not rejected by both.
    raters_random : bool
        Whether the claim is about raters like these, and not only about these.
    draws : int
        How many allocations were drawn.
    """

    estimate: float
    se: float
    df: float
    p: float
    p_redraw: float
    p_t: float
    low: float
    high: float
    raters_random: bool
    draws: int

    def half_width(self, confidence: float = 0.95) -> float:
        """Return half the width of the t test's interval."""
        from scipy.special import stdtrit

        return float(stdtrit(self.df, 0.5 + confidence / 2)) * self.se


@dataclass(frozen=True, eq=False)
class _Fitted:
    estimate: Floats
    se: Floats
    df: Floats

    def p(self, null: float = 0.0) -> Floats:
        from scipy.special import stdtr

        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.abs(self.estimate - null) / self.se
        # No spread at all: no difference is p = 1, any other is p = 0.
        t = np.where(np.isnan(t), 0.0, t)
        return np.asarray(2 * stdtr(self.df, -t))


@dataclass(frozen=True, eq=False)
class _Cells:
    """Pairs of rater and case: readings in their order, where each begins, and pairs to raters and to cases."""

    order: npt.NDArray[np.intp]
    starts: npt.NDArray[np.intp]
    to_rater: Floats
    to_case: Floats

    def sums(self, ordered: Floats) -> Floats:
        """Return the sums of (b, n), readings in this order, over pairs."""
        return np.add.reduceat(ordered, self.starts, axis=1)


@dataclass(frozen=True, eq=False)
class _Allocations:
    """Allocations (b, n), readings in the order of `_Cells`: arm and arm x period as columns at right angles to all others.

    `size` and `length` are their squared lengths, `squares` and `products` the sums over pairs of arm x arm and arm x arm x period.
    """

    there: Floats
    across: Floats
    size: Floats
    length: Floats
    squares: Floats
    products: Floats


@dataclass(frozen=True, eq=False)
class RandomisationTest:
    """The test for one set of readings; allocations are drawn once and serve any outcome of the same readings.

    Parameters
    ----------
    readings : Readings
        Who read what, when and in which arm.
    redraw : callable
        Draws an allocation.
    draws : int
        How many.
    raters_random : bool, optional
        By default whether there are `FEWEST_RATERS` or more.

    Raises
    ------
    InputError
        If the arm cannot be told from raters, cases and periods.
    """

    readings: Readings
    redraw: Redraw
    draws: int = 1999
    raters_random: bool | None = None

    def test(self, outcome: npt.ArrayLike, *, alpha: float = 0.05, interval: bool = True, arm: npt.ArrayLike | None = None) -> ArmTest:
        """Return the test of an outcome of each reading, e.g. the logarithm of its time.

        Parameters
        ----------
        outcome : array_like
            Shape (n,).
        alpha : float
            The interval covers 1 - alpha.
        interval : bool
            Whether it is wanted; without, it is nan.
        arm : array_like, optional
            Arms of these readings, where another allocation of the same procedure is meant than the readings' own.
        """
        y = self._residual(np.asarray(outcome, np.float64))
        own = np.asarray(self.readings.arm if arm is None else arm, np.float64)
        alone = self._allocations(own[None])
        if not len(alone.size):
            raise InputError("The arms cannot be told from raters, cases and periods.", "Both arms must be read by some rater.")
        seen = self._fit(alone, y)
        shift = self._residual(own)
        low = high = float("nan")
        if interval:
            low, high = (self._edge(seen, y, shift, alpha, side) for side in (-1, 1))
        p_redraw, p_t = self._p(seen, y, shift, 0.0), float(seen.p()[0])
        return ArmTest(
            float(seen.estimate[0]),
            float(seen.se[0]),
            float(seen.df[0]),
            max(p_redraw, p_t),
            p_redraw,
            p_t,
            low,
            high,
            self._random,
            self.draws,
        )

    # -- inside

    @property
    def _random(self) -> bool:
        return len(self.readings.raters) >= FEWEST_RATERS if self.raters_random is None else self.raters_random

    @cached_property
    def _basis(self) -> Floats:
        """Orthonormal columns of what is taken out of outcome and arm: rater, case, period and session order."""
        r = self.readings
        n = len(r)
        columns = [np.eye(len(r.raters))[r.rater], np.eye(len(r.cases))[r.case]]
        columns += [(v - v.mean())[:, None] for v in (r.period, r.order) if np.ptp(v) > 0]
        # The count of lesions belongs to a case, and is taken out with it.
        left, size, _ = np.linalg.svd(np.column_stack(columns), full_matrices=False)
        kept = left[:, size > 1e-9 * size[0]]
        if n - kept.shape[1] < 3:
            raise InputError(f"{n} readings are too few for {len(r.raters)} raters and {len(r.cases)} cases.", "Add readings.")
        return np.asarray(kept)

    def _residual(self, values: Floats) -> Floats:
        """Take raters, cases, period and order out of rows (..., n)."""
        return np.asarray(values - (values @ self._basis) @ self._basis.T)

    @cached_property
    def _cells(self) -> _Cells:
        r = self.readings
        pairs, code = np.unique(r.rater * len(r.cases) + r.case, return_inverse=True)
        to_rater, to_case = np.eye(len(r.raters))[pairs // len(r.cases)], np.eye(len(r.cases))[pairs % len(r.cases)]
        order = np.argsort(code, kind="stable")
        return _Cells(order, np.searchsorted(code[order], np.arange(len(pairs))), to_rater, to_case)

    def _allocations(self, arms: Floats) -> _Allocations:
        """Return what is needed of allocations (b, n): the arms, and arm x period, without what can be told from other columns."""
        there = self._residual(arms)
        across = np.zeros_like(there)
        period = self.readings.period
        if np.ptp(period) > 0:
            across = self._residual(arms * (period - period.mean()))
            length = (across**2).sum(1, keepdims=True)
            across = across * (length > _NOTHING)
            there = there - (there * across).sum(1, keepdims=True) / np.where(length > _NOTHING, length, 1.0) * across
        size = (there**2).sum(1)
        told = size > _NOTHING
        there, across = there[told][:, self._cells.order], across[told][:, self._cells.order]
        sums = self._cells.sums
        return _Allocations(there, across, size[told], (across**2).sum(1), sums(there**2), sums(there * across))

    @cached_property
    def _drawn(self) -> _Allocations:
        arms = np.array([self.redraw(n) for n in range(self.draws)], np.float64).reshape(self.draws, len(self.readings))
        return self._allocations(arms)

    def _fit(self, a: _Allocations, y: Floats) -> _Fitted:
        """Fit arm and arm x period by least squares for each allocation, with standard errors from the sums over raters and cases."""
        cells, raters, cases = self._cells, len(self.readings.raters), len(self.readings.cases)
        ordered = y[cells.order]
        # In pairs of readings the arm lies within raters and cases, and their effects cost its residuals nothing. Elsewhere they do.
        lost = 1.0 if self.readings.paired else len(y) / (len(y) - self._basis.shape[1] - 1)
        sums = cells.sums(a.there * ordered)
        estimate = sums.sum(1) / a.size
        slope = a.across @ ordered / np.where(a.length > 0, a.length, 1.0)
        # The sums over pairs of rater and case of arm times residual.
        sums = sums - estimate[:, None] * a.squares - slope[:, None] * a.products
        by_case = sums @ cells.to_case
        v_case = lost * cases / max(cases - 1, 1) * (by_case**2).sum(1) / a.size**2
        if not self._random:
            return _Fitted(estimate, np.sqrt(v_case), np.full(len(a.size), float(max(cases - 1, 1))))
        by_rater = sums @ cells.to_rater
        v_rater = lost * raters / (raters - 1) * (by_rater**2).sum(1) / a.size**2
        free = sums.shape[1] - raters - cases + 1
        inner = (sums**2).sum(1) - (by_rater**2 / cells.to_rater.sum(0)).sum(1) - (by_case**2 / cells.to_case.sum(0)).sum(1)
        v_inner = lost * np.maximum(inner, 0.0) * sums.shape[1] / free / a.size**2 if free > 0 else np.zeros(len(a.size))
        more = v_case - v_inner
        v = v_rater + np.maximum(more, 0.0)
        spread = v_rater**2 / (raters - 1)
        spread = spread + np.where(more > 0, v_case**2 / max(cases - 1, 1) + v_inner**2 / max(free, 1), 0.0)
        df = np.where(spread > 0, v**2 / np.where(spread > 0, spread, 1.0), raters - 1.0)
        return _Fitted(estimate, np.sqrt(v), df)

    def _p(self, seen: _Fitted, y: Floats, shift: Floats, null: float) -> float:
        """Return the share of allocations, the real one among them, that speak as clearly against an effect of `null`."""
        own = float(seen.p(null)[0])
        drawn = self._fit(self._drawn, y - null * shift).p()
        return float((1 + np.count_nonzero(drawn <= own * (1 + 1e-9))) / (1 + len(drawn)))

    def _edge(self, seen: _Fitted, y: Floats, shift: Floats, alpha: float, side: int) -> float:
        """Return the end of the interval on one side: that of the t test, or farther out where re-drawing does not reject it."""
        from scipy.special import stdtrit

        step = float(stdtrit(seen.df[0], 1 - alpha / 2)) * float(seen.se[0])
        inside = float(seen.estimate[0]) + side * step
        if step == 0 or self._p(seen, y, shift, inside) <= alpha:
            return inside
        for _ in range(12):
            outside = inside + side * 0.3 * step
            if self._p(seen, y, shift, outside) <= alpha:
                break
            inside = outside
        else:
            return side * float("inf")
        while abs(outside - inside) > 0.005 * step:
            middle = (inside + outside) / 2
            if self._p(seen, y, shift, middle) <= alpha:
                outside = middle
            else:
                inside = middle
        return outside
