"""Studies drawn from the very model that is fitted: for power, and to check what the statistics say."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.evaluation.study.randomisation import Redraw
from napari_tumorseg.evaluation.study.readings import Readings

__all__ = ["Truth", "balanced_redraw", "crossed_design", "draw_times"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Truth:
    """What is planted. All standard deviations are of natural logarithms of times: 0.1 is about 10 %.

    Attributes
    ----------
    saving : float
        Share of time that the second arm saves, 0 to below 1; the effect is log(1 - saving).
    rater_sd, case_sd : float
        Between raters and between cases.
    rater_arm_sd, case_arm_sd : float
        How what the arm does differs between raters and between cases: standard deviation of the *effect* (second minus first arm).
    residual_sd : float
        Between readings that have all else in common.
    learning : float
        Change from the first to the last reading of a rater.
    carry_over : float
        Change from a rater's first reading of a case to the next.
    per_log_lesion : float
        Slope over the logarithm of the number of lesions.
    median_s : float
        Of a middling reading.
    """

    saving: float = 0.0
    rater_sd: float = 0.25
    case_sd: float = 0.4
    rater_arm_sd: float = 0.12
    case_arm_sd: float = 0.12
    residual_sd: float = 0.25
    learning: float = -0.15
    carry_over: float = -0.08
    per_log_lesion: float = 0.5
    median_s: float = 900.0

    def __post_init__(self) -> None:
        """Check."""
        spreads = (self.rater_sd, self.case_sd, self.rater_arm_sd, self.case_arm_sd, self.residual_sd)
        if not self.saving < 1 or min(spreads) < 0 or self.median_s <= 0:
            raise InputError("A saving must be below 1, a standard deviation 0 or more.", "Give, e.g., saving 0.3 and 0.25.")

    @property
    def effect(self) -> float:
        """The planted change of log time from the first to the second arm."""
        return float(np.log(1 - self.saving))


def crossed_design(raters: int, cases: int, rng: np.random.Generator) -> Readings:
    """Return a design in which each rater reads each case once in each arm, times still 1 s.

    All cases are read once before any is read again. Which arm comes first is balanced within rater and within case, as far as numbers
    allow; the order of the cases is drawn for each rater and period. Lesion counts are drawn: 1 or more, the median about 4.
    """
    r, c, period = (v.ravel() for v in np.meshgrid(range(raters), range(cases), (1, 2), indexing="ij"))
    order = np.zeros(len(r))
    for rater in range(raters):
        for half in (1, 2):
            order[(r == rater) & (period == half)] = rng.permutation(cases) + 1 + (half - 1) * cases
    counts = np.maximum(1, np.rint(np.exp(rng.normal(np.log(4), 0.8, cases))))
    names = tuple(f"R{i + 1}" for i in range(raters)), tuple(f"C{i + 1:03d}" for i in range(cases))
    design = Readings(*names, ("scratch", "ai"), r, c, np.zeros(len(r)), period.astype(float), order, counts[c], np.ones(len(r)))
    return replace(design, arm=np.asarray(balanced_redraw(design, int(rng.integers(2**31)))(0)))


def balanced_redraw(design: Readings, seed: int = 0) -> Redraw:
    """Return the procedure of `crossed_design`: which arm comes first, balanced within rater and within case."""
    raters, cases = len(design.raters), len(design.cases)
    checkers = (np.add.outer(np.arange(raters), np.arange(cases)) % 2).astype(float)

    def redraw(number: int) -> Floats:
        rng = np.random.default_rng((seed, number))
        first = checkers[rng.permutation(raters)][:, rng.permutation(cases)]
        first = first if rng.random() < 0.5 else 1 - first
        return np.where(design.period == 1, first[design.rater, design.case] - 0.5, 0.5 - first[design.rater, design.case])

    return redraw


def draw_times(design: Readings, truth: Truth, rng: np.random.Generator, arm: npt.ArrayLike | None = None) -> tuple[Floats, float]:
    """Draw the log times of a design.

    Parameters
    ----------
    design : Readings
        Who reads what and when.
    truth : Truth
        What is planted.
    rng : numpy.random.Generator
        Source of chance.
    arm : array_like, optional
        Another allocation than the design's own.

    Returns
    -------
    log_s : numpy.ndarray
        Natural logarithms of seconds, shape (n,).
    effect : float
        What the arm did to these very raters, on average: the planted effect, and the mean of what is theirs. It is what can be
        found where raters are fixed.
    """
    arms = np.asarray(design.arm if arm is None else arm, np.float64)
    own = rng.normal(0, truth.rater_arm_sd, len(design.raters))
    of_case = rng.normal(0, truth.case_arm_sd, len(design.cases))
    covariates = design.covariates()
    y = np.log(truth.median_s) + truth.effect * arms
    y = y + rng.normal(0, truth.rater_sd, len(design.raters))[design.rater] + rng.normal(0, truth.case_sd, len(design.cases))[design.case]
    y = y + own[design.rater] * arms + of_case[design.case] * arms
    slopes = {"order": truth.learning, "period": truth.carry_over, "log_lesions": truth.per_log_lesion}
    y = y + sum(slope * covariates[name] for name, slope in slopes.items())
    return y + rng.normal(0, truth.residual_sd, len(design)), truth.effect + float(own.mean())
