"""Time and endpoints of a study's report: the plan's tests, medians by arm, the sensitivity curve, learning."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.evaluation.study.randomisation import RandomisationTest
from napari_tumorseg.evaluation.study.readings import Readings
from napari_tumorseg.workflows.study.report_readings import TIMES, Row, values_of
from napari_tumorseg.workflows.study_design import Redraws

if TYPE_CHECKING:
    from napari_tumorseg.annotation.study.plan import Endpoint, Margin, Plan

__all__ = ["Analysis", "quartiles", "times_by"]


def quartiles(values: Sequence[float]) -> dict[str, Any]:
    """Return number, median and quartiles; None where there is no value.

    Examples
    --------
    >>> quartiles([1.0, 2.0, 3.0])
    {'n': 3, 'median': 2.0, 'q1': 1.5, 'q3': 2.5}
    """
    if not len(values):
        return {"n": 0, "median": None, "q1": None, "q3": None}
    low, middle, high = (float(v) for v in np.percentile(values, (25, 50, 75)))
    return {"n": len(values), "median": middle, "q1": low, "q3": high}


@dataclass(frozen=True, eq=False)
class Analysis:
    """The tests of a study's readings.

    Parameters
    ----------
    rows : sequence of dict
        Readings, see `report_readings` and `report_cases`.
    redraws : Redraws
        The protocol's own allocation.
    draws : int
        How often it is drawn.
    alpha : float
        Two-sided level.
    """

    rows: Sequence[Row]
    redraws: Redraws
    draws: int
    alpha: float

    def table(self, contrast: tuple[str, str], measure: str, *, positive: bool) -> tuple[Readings, npt.NDArray[np.float64], list[str]]:
        """Return the readings of a contrast (an arm, and what it is compared with), a measure of each, and who has none of it."""
        arms = (contrast[1], contrast[0])
        here = [row for row in self.rows if row["arm"] in arms]
        kept = [row for row in here if row.get(measure) is not None and (float(row[measure]) > 0 or not positive)]
        for arm in arms:
            if any(row["arm"] == arm for row in here) and not any(row["arm"] == arm for row in kept):
                raise InputError(f"No reading in the arm {arm} has a usable {measure}.", "See the notes of the report.")
        used = {row["task"] for row in kept}
        left = [row["code"] for row in here if row["task"] not in used]
        seconds = measure.endswith("_s")
        readings = Readings.of(
            [
                {
                    **{name: row[name] for name in ("rater", "case", "arm", "period", "order")},
                    "lesions": row["case_lesions"],
                    "seconds": row[measure] if seconds and positive else 1.0,
                }
                for row in kept
            ],
            arms,
        )
        return readings, np.array([float(row[measure]) for row in kept]), left

    def endpoint(self, endpoint: Endpoint) -> dict[str, Any]:
        """Return the test of an endpoint: ``estimate`` with interval (a ratio on the log scale), ``p``; or ``why`` there is none."""
        told: dict[str, Any] = {
            "name": endpoint.name, "measure": endpoint.measure, "contrast": list(endpoint.contrast), "scale": endpoint.scale,
            "better": endpoint.better, "estimate": None, "low": None, "high": None, "p": None, "readings": 0, "left_out": [], "why": "",
        }  # fmt: skip
        if not any(endpoint.measure in row for row in self.rows):
            return told | {"why": f"{endpoint.measure!r} is not a measure of this report."}
        log = endpoint.scale == "log"
        try:
            readings, values, left = self.table(endpoint.contrast, endpoint.measure, positive=log)
            told |= {"readings": len(readings), "left_out": left}
            outcome = np.log(values) if log else values
            found = RandomisationTest(readings, self.redraws.of(readings), self.draws).test(outcome, alpha=self.alpha)
        except InputError as error:
            return told | {"why": str(error)}
        # An interval without an end has none on the scale of ratios either, where it would be 0.
        ends = [None if math.isinf(v) else math.exp(v) if log else v for v in (found.estimate, found.low, found.high)]
        means = {
            name: float(np.exp(outcome[readings.arm == half].mean()) if log else outcome[readings.arm == half].mean())
            for name, half in zip(readings.arms, (-0.5, 0.5), strict=True)
        }
        estimate, low, high = ends
        tests = {name: finite(getattr(found, name)) for name in ("p", "p_redraw", "p_t", "df")}
        return told | {"estimate": estimate, "low": low, "high": high, "means": means, "raters_random": found.raters_random, **tests}

    def quality(self, margin: Margin) -> dict[str, Any]:
        """Return the test of non-inferiority, in the units of the measure, or ``why`` there is none."""
        from napari_tumorseg.evaluation.study.quality import non_inferiority

        endpoint = margin.endpoint
        told: dict[str, Any] = {
            "name": endpoint.name, "measure": endpoint.measure, "contrast": list(endpoint.contrast), "margin": margin.margin,
            "better": endpoint.better, "readings": 0, "left_out": [], "non_inferior": None, "why": "",
        }  # fmt: skip
        if not any(endpoint.measure in row for row in self.rows):
            return told | {"why": f"{endpoint.measure!r} is not a measure of this report."}
        if endpoint.scale == "log":
            return told | {"why": "The margin of a quality is a difference; the plan has it on the log scale."}
        sign = 1.0 if endpoint.better == "higher" else -1.0
        try:
            readings, values, left = self.table(endpoint.contrast, endpoint.measure, positive=False)
            told |= {"readings": len(readings), "left_out": left}
            redraw = self.redraws.of(readings)
            with np.errstate(all="ignore"):
                found = non_inferiority(readings, sign * values, redraw, margin=margin.margin, alpha=self.alpha / 2, draws=self.draws)
        except (InputError, np.linalg.LinAlgError) as error:
            return told | {"why": str(error)}
        if sign < 0:
            found |= {
                "means": {name: -v for name, v in found["means"].items()},
                "difference": -found["difference"],
                "low": None if found["high"] is None else -found["high"],
                "high": None if found["low"] is None else -found["low"],
            }
            found.pop("mixed")
        return told | found

    def planned(self, plan: Plan) -> dict[str, Any]:
        """Return primary endpoint, quality, and the secondary endpoints with Holm's adjustment."""
        from napari_tumorseg.evaluation.study.quality import holm

        secondary = [self.endpoint(endpoint) for endpoint in plan.secondary]
        adjusted = holm({row["name"]: row["p"] for row in secondary}, self.alpha)
        for row in secondary:
            row["p_holm"], row["rejected"] = adjusted[row["name"]]["adjusted"], adjusted[row["name"]]["rejected"]
        return {"primary": self.endpoint(plan.primary), "quality": self.quality(plan.quality), "secondary": secondary}

    def time(self, contrast: tuple[str, str]) -> dict[str, Any]:
        """Return everything about the primary time: model, medians, signed rank, curve, learning; ``why`` where there is none."""
        from napari_tumorseg.evaluation.study.learning import learning
        from napari_tumorseg.evaluation.study.time_model import analyse_time

        told: dict[str, Any] = {"analysis": None, "curve": [], "learning": None, "left_out": [], "why": "", "why_no_learning": ""}
        try:
            readings, _, told["left_out"] = self.table(contrast, "primary_s", positive=True)
            redraw = self.redraws.of(readings)
            # A handful of readings leaves no degrees of freedom: what comes of it is not a number, and is told as none.
            with np.errstate(all="ignore"):
                told["analysis"] = analyse_time(readings, redraw, draws=self.draws, confidence=1 - self.alpha)
        except (InputError, np.linalg.LinAlgError) as error:
            return told | {"why": str(error)}
        told["curve"] = self._curve(readings, contrast)
        try:
            with np.errstate(all="ignore"):
                told["learning"] = learning(readings, 1 - self.alpha)
        except (InputError, np.linalg.LinAlgError) as error:
            told["why_no_learning"] = str(error)
        return told

    def _curve(self, readings: Readings, contrast: tuple[str, str]) -> list[dict[str, Any]]:
        """Return medians by arm and the per cent saved, by the model's estimate, with gaps cut at each threshold and whole."""
        from napari_tumorseg.annotation.timing import THRESHOLDS_S
        from napari_tumorseg.evaluation.study.time_model import saved_percent

        test = RandomisationTest(readings, lambda _: readings.arm, draws=0)
        rows: list[dict[str, Any]] = []
        for threshold in (*THRESHOLDS_S, None):
            name = "primary_s" if threshold is None else f"trimmed_{threshold:g}_s"
            _, values, left = self.table(contrast, name, positive=True)
            if len(values) != len(readings):
                rows.append({"gaps_cut_at_s": threshold, "median_s": {}, "saved_percent": None, "left_out": left})
                continue
            medians = {arm: float(np.median(values[readings.arm == half])) for arm, half in zip(readings.arms, (-0.5, 0.5), strict=True)}
            estimate = test.test(np.log(values), interval=False).estimate
            rows.append({"gaps_cut_at_s": threshold, "median_s": medians, "saved_percent": saved_percent(estimate), "left_out": left})
        return rows


def times_by(rows: Sequence[Row], key: str, times: Sequence[str] = TIMES) -> dict[str, dict[str, Any]]:
    """Return number, median and quartiles of each time by what a column says, e.g. "arm" or "step"."""
    groups = sorted({str(row[key]) for row in rows})
    return {group: {time: quartiles(values_of([r for r in rows if str(r[key]) == group], time)) for time in times} for group in groups}


def finite(value: Any) -> Any:
    """Return a number, None where it is not finite; anything else as it is."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def plain(value: Any) -> Any:
    """Return JSON values: without NaN and infinities, NumPy's numbers as Python's."""
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return finite(value)
