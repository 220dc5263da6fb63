"""Linear mixed models with crossed random effects, and tests of one effect that know how uncertain the variances are.

A study of some raters and cases has few levels of each, so that a Wald z is far too sure of itself. Here the variances are
estimated by restricted maximum likelihood (Patterson and Thompson, Biometrika 1971;58:545-554), the standard error is that of Kenward and
Roger (Biometrics 1997;53:983-997), and so are the degrees of freedom, which for one effect are those of Satterthwaite. statsmodels fits
the same variances (the tests compare them) but tests by Wald's z alone. After one pass over the data all is done with matrices of the size
of the random effects, so that thousands of simulated studies can be fitted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError

__all__ = ["Effect", "MixedFit", "fit_mixed"]

Floats = npt.NDArray[np.float64]
_LEAST = 1e-7


@dataclass(frozen=True)
class Effect:
    """One tested combination of fixed effects.

    Attributes
    ----------
    estimate : float
        Of the effect.
    se : float
        Standard error, adjusted by Kenward and Roger.
    df : float
        Denominator degrees of freedom.
    """

    estimate: float
    se: float
    df: float

    @property
    def t(self) -> float:
        """The estimate in standard errors."""
        return self.estimate / self.se

    @property
    def p(self) -> float:
        """Two-sided probability by the t distribution."""
        from scipy.special import stdtr

        return float(2 * stdtr(self.df, -abs(self.t)))

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Return the confidence interval by the t distribution."""
        from scipy.special import stdtrit

        half = float(stdtrit(self.df, 0.5 + confidence / 2)) * self.se
        return self.estimate - half, self.estimate + half


@dataclass(frozen=True, eq=False)
class MixedFit:
    """A fitted model.

    Attributes
    ----------
    names : tuple of str
        Of the fixed effects.
    beta : numpy.ndarray
        Their estimates, shape (p,).
    variances : mapping of str to float
        Variance of each random effect, and of what is left ("residual").
    minus2_reml : float
        Minus twice the restricted log-likelihood, without its constant.
    """

    names: tuple[str, ...]
    beta: Floats
    variances: Mapping[str, float]
    minus2_reml: float
    _phi: Floats
    _phi_adjusted: Floats
    _slopes: tuple[Floats, ...]
    _w: Floats

    def effect(self, weights: Mapping[str, float]) -> Effect:
        """Return the estimate and test of a weighted sum of fixed effects, by their names."""
        weight = np.array([weights.get(name, 0.0) for name in self.names])
        variance = float(weight @ self._phi @ weight)
        # Kenward and Roger's m for one effect: 2 / A with A = sum W_ij u_i u_j, which is Satterthwaite's.
        u = np.array([weight @ self._phi @ slope @ self._phi @ weight for slope in self._slopes]) / variance
        spread = float(u @ self._w @ u)
        df = 2 / spread if spread > 0 else np.inf
        return Effect(float(weight @ self.beta), float(np.sqrt(weight @ self._phi_adjusted @ weight)), df)


def fit_mixed(y: npt.ArrayLike, fixed: Mapping[str, npt.ArrayLike], random: Mapping[str, npt.ArrayLike]) -> MixedFit:
    """Fit a linear model with crossed random intercepts by restricted maximum likelihood.

    Parameters
    ----------
    y : array_like
        Shape (n,).
    fixed : mapping of str to array_like
        Columns of the fixed effects, shape (n,) each; an intercept among them where one is wanted. Columns that follow from those before
        them are left out.
    random : mapping of str to array_like
        For each random effect the level of each row, shape (n,), integers from 0.

    Returns
    -------
    MixedFit
        Variances at their bound of 0 are taken as known to be 0 in standard errors and degrees of freedom.

    Raises
    ------
    InputError
        If there are no more rows than fixed effects, or a value is not finite.

    Examples
    --------
    Paired readings: the test of the mean difference is the paired t test.

    >>> y = [1.0, 2.0, 2.0, 3.5, 3.0, 4.0]
    >>> fit = fit_mixed(y, {"one": np.ones(6), "arm": [0, 1] * 3}, {"rater": [0, 0, 1, 1, 2, 2]})
    >>> arm = fit.effect({"arm": 1.0})
    >>> round(arm.estimate, 4), round(arm.se, 4), round(arm.df, 3)
    (1.1667, 0.1667, 2.0)
    """
    values = np.asarray(y, np.float64)
    names, X = _independent(fixed)
    n, p = X.shape
    if n <= p or values.shape != (n,):
        raise InputError(f"There are {n} readings for {p} fixed effects.", "Add readings.")
    if not (np.isfinite(values).all() and np.isfinite(X).all()):
        raise InputError("A value of the model is not a number.", "Leave such rows out.")
    problem = _Problem(values, X, random)
    gammas = problem.solve()
    return problem.fit(names, gammas)


def _independent(fixed: Mapping[str, npt.ArrayLike]) -> tuple[tuple[str, ...], Floats]:
    """Return names and columns without those that follow from the ones before."""
    names: list[str] = []
    kept: list[Floats] = []
    basis: list[Floats] = []
    for name, column in fixed.items():
        values = np.asarray(column, np.float64)
        rest = values.copy()
        for _ in range(2):
            for direction in basis:
                rest = rest - direction * (direction @ rest)
        length = float(np.linalg.norm(rest))
        if length > 1e-8 * max(1.0, float(np.linalg.norm(values))):
            names.append(name)
            kept.append(values)
            basis.append(rest / length)
    if not kept:
        raise InputError("The model has no fixed effect.", "Give it an intercept.")
    return tuple(names), np.column_stack(kept)


class _Problem:
    """The data, squeezed into the cross products of all columns of the model.

    With H = I + Z G Z' the variance of y is sigma^2 H, where G holds the ratios gamma of the random effects' variances to sigma^2. By
    Woodbury's identity U' H^-1 W follows for all columns U, W from (Z X y)'(Z X y).
    """

    def __init__(self, y: Floats, X: Floats, random: Mapping[str, npt.ArrayLike]) -> None:
        self.n, self.p = X.shape
        blocks, self.names, self.where = [], list(random), []
        start = 0
        for levels in random.values():
            codes = np.asarray(levels, np.intp)
            block = np.zeros((self.n, int(codes.max()) + 1))
            block[np.arange(self.n), codes] = 1.0
            blocks.append(block)
            self.where.append(slice(start, start + block.shape[1]))
            start += block.shape[1]
        self.q = start
        columns = np.column_stack([*blocks, X, y[:, None]])
        self.C = columns.T @ columns
        self.sizes = np.array([part.stop - part.start for part in self.where])

    def _inverse(self, gammas: Floats) -> tuple[Floats, float]:
        """Return (Z X y)' H^-1 (Z X y) and the logarithm of |H|."""
        q = self.q
        scale = np.sqrt(np.repeat(gammas, self.sizes))
        inner = np.eye(q) + scale[:, None] * self.C[:q, :q] * scale
        root = np.linalg.cholesky(inner)
        from scipy.linalg import solve_triangular

        half = solve_triangular(root, scale[:, None] * self.C[:q], lower=True, check_finite=False)
        return self.C - half.T @ half, 2 * float(np.log(np.diag(root)).sum())

    def _without_fixed(self, M: Floats) -> tuple[Floats, float]:
        """Return (Z y)' P (Z y) for sigma 1, fixed effects projected out, and the logarithm of |X' H^-1 X|."""
        q, p = self.q, self.p
        x = slice(q, q + p)
        zy = [*range(q), q + p]
        root = np.linalg.cholesky(M[x, x])
        half = np.linalg.solve(root, M[x][:, zy])
        return M[np.ix_(zy, zy)] - half.T @ half, 2 * float(np.log(np.diag(root)).sum())

    def minus2(self, gammas: Floats) -> tuple[float, Floats]:
        """Return minus twice the restricted log-likelihood, sigma profiled out, and its slope by each ratio."""
        M, log_h = self._inverse(gammas)
        P, log_x = self._without_fixed(M)
        free = self.n - self.p
        sigma2 = max(float(P[-1, -1]) / free, 1e-300)
        slopes = []
        for part in self.where:
            pulled = P[part, -1]
            slopes.append(float(np.trace(P[part, part])) - float(pulled @ pulled) / sigma2)
        return free * float(np.log(sigma2)) + log_h + log_x, np.array(slopes)

    def solve(self) -> Floats:
        """Return the ratios that make the restricted likelihood largest, each 0 or more."""
        from scipy.optimize import minimize

        # Two starts, since the surface may have a saddle at a bound.
        best = None
        for start in (0.3, 0.02):
            found = minimize(
                self.minus2, np.full(len(self.names), start), jac=True, method="L-BFGS-B", bounds=[(0.0, 1e6)] * len(self.names),
                options={"ftol": 1e-11, "gtol": 1e-7, "maxiter": 200},
            )  # fmt: skip
            if best is None or found.fun < best.fun - 1e-6:
                best = found
            if (best.x > _LEAST).all():
                break
        assert best is not None
        return np.where(best.x < _LEAST, 0.0, best.x)

    def fit(self, names: tuple[str, ...], gammas: Floats) -> MixedFit:
        """Return estimates, and what Kenward and Roger's tests need, all in the formulas' own letters."""
        q, p = self.q, self.p
        x = slice(q, q + p)
        M, _ = self._inverse(gammas)
        P, _ = self._without_fixed(M)
        sigma2 = float(P[-1, -1]) / (self.n - p)
        phi = np.asarray(np.linalg.inv(M[x, x]) * sigma2, np.float64)
        beta = np.asarray(np.linalg.solve(M[x, x], M[x, -1]), np.float64)
        there = [i for i, g in enumerate(gammas) if g > 0]
        theta = np.array([*(gammas[there] * sigma2), sigma2])
        # Everything below is for V = sum theta_i G_i, hence divided by sigma2 once for each inverse of V.
        XZ = [M[x, self.where[i]] / sigma2 for i in there]
        ZZ = [[M[self.where[i], self.where[j]] / sigma2 for j in there] for i in there]
        PZ = [[P[self.where[i], self.where[j]] / sigma2 for j in there] for i in there]
        traces = np.array([[float((block**2).sum()) for block in row] for row in PZ])
        first = np.array([float(np.trace(PZ[i][i])) for i in range(len(there))])
        information = _completed(traces, first, float(self.n - p), theta) / 2
        slopes = [block @ block.T for block in XZ]
        # X'V^-1 X = sum theta_i X'V^-1 G_i V^-1 X gives the residual's part from the others.
        slopes.append((M[x, x] / sigma2 - sum((t * s for t, s in zip(theta[:-1], slopes, strict=True)), np.zeros((p, p)))) / theta[-1])
        Q = [[XZ[i] @ ZZ[i][j] @ XZ[j].T for j in range(len(there))] for i in range(len(there))]
        full = _completed_blocks(Q, slopes, theta)
        W = np.asarray(np.linalg.pinv(information), np.float64)
        middle = np.zeros((p, p))
        for i in range(len(theta)):
            for j in range(len(theta)):
                # P_i of the paper is minus the slope here; the signs cancel.
                middle += W[i, j] * (full[i][j] - slopes[i] @ phi @ slopes[j])
        adjusted = phi + 2 * phi @ ((middle + middle.T) / 2) @ phi
        variances = dict(zip(self.names, (gammas * sigma2).tolist(), strict=True)) | {"residual": sigma2}
        return MixedFit(names, beta, variances, self.minus2(gammas)[0], phi, adjusted, tuple(slopes), W)


def _completed(pairs: Floats, first: Floats, free: float, theta: Floats) -> Floats:
    """Return tr(P G_i P G_j) with the residual as the last, from sum theta_j P G_j P = P and tr(P V) = n - p."""
    k = len(first)
    out = np.zeros((k + 1, k + 1))
    out[:k, :k] = pairs
    last = (first - pairs @ theta[:-1]) / theta[-1] if k else np.zeros(0)
    trace = (free - float(first @ theta[:-1])) / theta[-1]
    out[k, :k] = out[:k, k] = last
    out[k, k] = (trace - float(last @ theta[:-1])) / theta[-1]
    return out


def _completed_blocks(Q: Sequence[Sequence[Floats]], slopes: Sequence[Floats], theta: Floats) -> list[list[Floats]]:
    """Return X'V^-1 G_i V^-1 G_j V^-1 X with the residual as the last, by the same identity."""
    k = len(theta) - 1
    zero = np.zeros_like(slopes[-1])
    out = [[*Q[i], zero] for i in range(k)] + [[zero] * (k + 1)]
    for i in range(k):
        left = (slopes[i] - sum((theta[j] * Q[i][j] for j in range(k)), zero)) / theta[k]
        out[i][k], out[k][i] = left, left.T
    out[k][k] = (slopes[k] - sum((theta[j] * out[k][j] for j in range(k)), zero)) / theta[k]
    return out
