"""How many raters and cases a study needs: the very analysis, on studies drawn from the very model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_tumorseg.annotation.study.protocol import Protocol
from napari_tumorseg.annotation.study.protocol_file import load_protocol
from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.evaluation.study.randomisation import FEWEST_RATERS, RandomisationTest, Redraw
from napari_tumorseg.evaluation.study.readings import Readings
from napari_tumorseg.evaluation.study.simulate import Truth, balanced_redraw, crossed_design, draw_times
from napari_tumorseg.evaluation.study.time_model import MODEL, fit_time
from napari_tumorseg.io.table import read_table
from napari_tumorseg.workflows.study_design import planned_readings, protocol_redraw

__all__ = ["PowerRequest", "power_text", "read_pilot", "study_power", "truth_of_pilot"]

_COLUMNS = ("rater", "case", "arm", "period", "order", "lesions", "seconds")
_SPREADS = ("rater_sd", "case_sd", "rater_arm_sd", "case_arm_sd", "residual_sd")


@dataclass(frozen=True)
class PowerRequest:
    """What is planned.

    Attributes
    ----------
    saving_percent : float
        The smallest saving of time that the study should find.
    raters, cases : tuple of int
        Numbers to try.
    pilot : Path, optional
        CSV table of readings, columns rater, case, arm, period, order, lesions, seconds: variances and slopes come from it.
    spreads : mapping of str to float
        Standard deviations of log time that are typed, `Truth`'s names; they go before the pilot's and the defaults.
    protocol : str
        A protocol's name or TOML file, whose allocation is used; without, every rater reads every case in both arms.
    arms : tuple of str
        From scratch, then AI-assisted.
    studies : int
        Simulated for each number of raters and cases.
    draws : int
        Re-drawn allocations for each test.
    alpha : float
        Two-sided level.
    seed : int
        Of all draws.
    """

    saving_percent: float = 30.0
    raters: tuple[int, ...] = (4, 6, 8, 12)
    cases: tuple[int, ...] = (10, 20, 40)
    pilot: Path | None = None
    spreads: Mapping[str, float] = field(default_factory=dict)
    protocol: str = ""
    arms: tuple[str, str] = ("scratch", "ai")
    studies: int = 200
    draws: int = 199
    alpha: float = 0.05
    seed: int = 0


def study_power(request: PowerRequest, progress: Progress | None = None) -> dict[str, Any]:
    """Return the power for each number of raters and cases, as JSON values.

    Returns
    -------
    dict
        ``assumed`` (what was planted, and where each value comes from), ``model``, ``warnings``, and ``rows``: raters, cases, readings,
        power in per cent with its standard error, the mean width of the interval in percentage points saved, whether raters are random,
        and ``problem`` where a protocol cannot be done by so few.

    Raises
    ------
    InputError
        If a number makes no sense, or the pilot cannot be read.
    """
    progress = progress or Progress()
    _check(request)
    truth, sources, warnings = _truth(request)
    protocol = _protocol(request) if request.protocol else None
    rows = []
    grid = [(r, c) for r in request.raters for c in request.cases]
    for number, (raters, cases) in enumerate(grid):
        part = progress.part(number / len(grid), (number + 1) / len(grid))
        rows.append(_row(request, protocol, truth, raters, cases, part))
    if any(row["raters_random"] is False for row in rows):
        warnings.append(
            f"With fewer than {FEWEST_RATERS} raters the claim is about these raters only; its power is not that of a wider claim."
        )
    return {
        "saving_percent": request.saving_percent,
        "model": MODEL,
        "assumed": {
            name: {"value": value, "from": sources.get(name, "default")} for name, value in asdict(truth).items() if name != "saving"
        },
        "protocol": request.protocol or "every rater reads every case in both arms",
        "studies": request.studies,
        "draws": request.draws,
        "alpha": request.alpha,
        "seed": request.seed,
        "rows": rows,
        "warnings": warnings,
    }


def power_text(document: Mapping[str, Any]) -> str:
    """Return the result as a table for people: raters down, cases across."""
    cases = sorted({row["cases"] for row in document["rows"]})
    lines = [f"Power in % for a saving of {document['saving_percent']:g} % ({document['studies']} simulated studies each)"]
    lines.append("raters \\ cases" + "".join(f"{c:>8}" for c in cases))
    for raters in sorted({row["raters"] for row in document["rows"]}):
        cells = {row["cases"]: row for row in document["rows"] if row["raters"] == raters}
        power = (cells[c]["power_percent"] for c in cases)
        told = "".join(f"{'-' if p is None else f'{p:.0f}':>8}" for p in power)
        lines.append(f"{raters:>14}{told}{'  these raters only' if any(r['raters_random'] is False for r in cells.values()) else ''}")
    assumed = ", ".join(f"{name} {document['assumed'][name]['value']:.3g} ({document['assumed'][name]['from']})" for name in _SPREADS)
    lines.append(f"Standard deviations of log time: {assumed}")
    worst = max((row["power_se_percent"] or 0.0 for row in document["rows"]), default=0.0)
    lines.append(f"Standard error of a power: {worst:.1f} points at most.")
    return "\n".join([*lines, *dict.fromkeys(row["problem"] for row in document["rows"] if row["problem"]), *document["warnings"]])


def read_pilot(path: Path, arms: tuple[str, str]) -> Readings:
    """Return the readings of a CSV table with columns rater, case, arm, period, order, lesions and seconds.

    Raises
    ------
    InputError
        If a column or a number is missing.
    """
    table = read_table(path)
    for column in _COLUMNS:
        table.require(column)
    rows = []
    for row in table.rows:
        numbers = {name: table.number(row, name) for name in _COLUMNS[3:]}
        missing = next((name for name, value in numbers.items() if value is None), None)
        if missing is not None:
            raise InputError(f"{path.name}, line {row.line}: {missing} is {row.values[missing]!r}.", "Give a number.")
        rows.append({**{name: row.values[name] for name in _COLUMNS[:3]}, **numbers})
    return Readings.of(rows, arms)


def truth_of_pilot(readings: Readings) -> Truth:
    """Return what a pilot says of the model, its saving aside: variances by restricted maximum likelihood, and slopes."""
    fit = fit_time(readings, raters_random=True)
    v = fit.variances
    slopes = dict(zip(fit.names, fit.beta.tolist(), strict=True))
    # Two levels of rater x arm of variance v differ by sqrt(2 v); half of their common part belongs to the rater.
    return Truth(
        rater_sd=math.sqrt(v["rater"] + v["rater:arm"] / 2),
        case_sd=math.sqrt(v["case"] + v["case:arm"] / 2),
        rater_arm_sd=math.sqrt(2 * v["rater:arm"]),
        case_arm_sd=math.sqrt(2 * v["case:arm"]),
        residual_sd=math.sqrt(v["residual"]),
        learning=slopes.get("order", 0.0),
        carry_over=slopes.get("period", 0.0),
        per_log_lesion=slopes.get("log_lesions", 0.0),
        median_s=float(np.median(readings.seconds)),
    )


def _protocol(request: PowerRequest) -> Protocol:
    protocol = load_protocol(request.protocol)
    names = [arm.name for arm in protocol.arms]
    missing = next((arm for arm in request.arms if arm not in names), None)
    if not names:
        raise InputError(f"{protocol.name} has no arms to compare.", "Choose a protocol that compares, e.g. brats-mets-raters.")
    if missing is not None:
        raise InputError(f"{protocol.name} has no arm {missing}.", f"It has {', '.join(names)}.")
    return protocol


def _check(request: PowerRequest) -> None:
    if not 0 < request.saving_percent < 100:
        raise InputError(f"A saving of {request.saving_percent:g} % cannot be planned for.", "Give one between 0 and 100, e.g. 30.")
    if not request.raters or not request.cases or min(request.raters) < 2 or min(request.cases) < 3:
        raise InputError("A study needs 2 raters and 3 cases or more.", "Give, e.g., --raters 6,8 --cases 10,20.")
    if request.studies < 1 or request.draws < 19 or not 0 < request.alpha < 1:
        raise InputError("The simulation needs a study, 19 draws and a level between 0 and 1.", "Give, e.g., --studies 200.")
    # With k draws the smallest p is 1 / (k + 1).
    if 1 / (request.draws + 1) > request.alpha:
        raise InputError(
            f"{request.draws} draws cannot reach a level of {request.alpha:g}.", f"Draw {math.ceil(1 / request.alpha) - 1} or more."
        )
    unknown = sorted(set(request.spreads) - set(_SPREADS))
    if unknown:
        raise InputError(f"There is no standard deviation {unknown[0]}.", f"There are {', '.join(_SPREADS)}.")


def _truth(request: PowerRequest) -> tuple[Truth, dict[str, str], list[str]]:
    truth, sources, warnings = Truth(), {}, []
    if request.pilot is not None:
        readings = read_pilot(request.pilot, request.arms)
        truth = truth_of_pilot(readings)
        sources = dict.fromkeys(asdict(truth), "pilot")
        told = f"The pilot has {len(readings.raters)} raters and {len(readings.cases)} cases"
        if len(readings.raters) < FEWEST_RATERS or len(readings.cases) < 10:
            warnings.append(f"{told}: its variances are uncertain; try larger ones by typing them.")
    sources |= dict.fromkeys(request.spreads, "typed")
    return replace(truth, saving=request.saving_percent / 100, **request.spreads), sources, warnings


def _row(request: PowerRequest, protocol: Protocol | None, truth: Truth, raters: int, cases: int, progress: Progress) -> dict[str, Any]:
    """Simulate the studies of one size."""
    rng = np.random.default_rng((request.seed, raters, cases))
    told: dict[str, Any] = {"raters": raters, "cases": cases, "readings": None, "power_percent": None, "power_se_percent": None}
    told |= {"mean_width_points": None, "raters_random": raters >= FEWEST_RATERS, "problem": ""}
    try:
        design, redraw, fresh = _design(request, protocol, raters, cases, rng)
    except InputError as error:
        return told | {"problem": str(error), "raters_random": None}
    test = RandomisationTest(design, redraw, request.draws)
    found = widths = 0.0
    for number in range(request.studies):
        progress.update(number / request.studies, f"Simulating {raters} raters and {cases} cases")
        arm = fresh(number)
        log_s, _ = draw_times(design, truth, rng, arm)
        # The interval of the t test is told: that of re-drawing is seldom wider, and takes three times as long.
        result = test.test(log_s, alpha=request.alpha, arm=arm, interval=False)
        found += result.p <= request.alpha
        half = result.half_width(1 - request.alpha)
        widths += 100 * (math.exp(result.estimate + half) - math.exp(result.estimate - half))
    power = found / request.studies
    return told | {
        "readings": len(design),
        "power_percent": 100 * power,
        "power_se_percent": 100 * math.sqrt(power * (1 - power) / request.studies),
        "mean_width_points": widths / request.studies,
    }


def _design(
    request: PowerRequest, protocol: Protocol | None, raters: int, cases: int, rng: np.random.Generator
) -> tuple[Readings, Redraw, Redraw]:
    """Return who reads what, and the procedure of allocation twice: for the test, and for the studies that are simulated."""
    first, second = (int(v) for v in rng.integers(2**31, size=2))
    design = crossed_design(raters, cases, rng)
    if protocol is None:
        return design, balanced_redraw(design, first), balanced_redraw(design, second)
    counts = {name: float(design.lesions[design.case == code][0]) for code, name in enumerate(design.cases)}
    planned = planned_readings(protocol, design.raters, counts, request.seed, request.arms)
    return planned, protocol_redraw(protocol, planned, first), protocol_redraw(protocol, planned, second)
