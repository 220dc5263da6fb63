"""From a table with two measurements to everything that says how well they agree."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.evaluation.agreement.bland_altman import bland_altman
from napari_tumorseg.evaluation.agreement.concordance import concordance
from napari_tumorseg.evaluation.agreement.coverage import coverage
from napari_tumorseg.evaluation.agreement.equivalence import equivalence
from napari_tumorseg.evaluation.agreement.icc import intraclass
from napari_tumorseg.evaluation.agreement.pairs import FEWEST, Pairs, per_patient
from napari_tumorseg.evaluation.agreement.regression import deming, passing_bablok
from napari_tumorseg.evaluation.agreement.repeatability import repeatability
from napari_tumorseg.io.table import Row, Table, is_missing, read_table

__all__ = ["AgreeRequest", "agree", "as_text"]

_NAMED_ROWS = 8


@dataclass(frozen=True)
class AgreeRequest:
    """What is compared, and how.

    Attributes
    ----------
    table : Path
        CSV file with a header.
    reference, test : str
        Columns of the two measurements, in one unit.
    patient : str
        Column that says whose row it is; "" where every row is another patient.
    repeats : str
        What to do where a patient has several rows: "average" them, or "refuse".
    missing : str
        What to do with rows that lack a value: "refuse" the table, or "drop" them.
    bound : float, optional
        Largest acceptable difference for the coverage probability; `margin` times the mean of the reference by default.
    share : float
        Share of the differences that the total deviation index holds.
    margin : float
        Of equivalence, as a share.
    error_ratio : float
        Of Deming regression: variance of the test's errors over that of the reference's.
    confidence : float
        Of all intervals but those of the equivalence tests.
    seed : int
        Of the bootstrap.
    """

    table: Path
    reference: str
    test: str
    patient: str = ""
    repeats: Literal["average", "refuse"] = "average"
    missing: Literal["refuse", "drop"] = "refuse"
    bound: float | None = None
    share: float = 0.9
    margin: float = 0.2
    error_ratio: float = 1.0
    confidence: float = 0.95
    seed: int = 0


def agree(request: AgreeRequest, progress: Progress | None = None) -> dict[str, Any]:
    """Compare two columns of a table.

    Parameters
    ----------
    request : AgreeRequest
        Table, columns and settings.
    progress : Progress, optional
        Told how far it is.

    Returns
    -------
    dict
        JSON document: ``table``, ``reference``, ``test``, ``unit`` ("patient" or "row"), ``n``, ``n_rows``, ``averaged`` (patients
        that are the mean of several rows), ``dropped`` (``line``, ``patient``, ``why`` of each row left out), ``reference_mean``,
        ``test_mean``, ``settings``, ``concordance``, ``bland_altman``, ``coverage``, ``equivalence``, ``icc``, ``repeatability``
        (``between_columns``, and ``reference`` and ``test`` from the rows of one patient, None where there are none),
        ``regression`` (``passing_bablok``, ``deming``), ``points`` (``patient``, ``reference``, ``test``, ``mean``, ``difference``) and
        ``notes``. The entries are what the functions of `evaluation.agreement` return.

    Raises
    ------
    InputError
        If the table or a column is not there, a value is missing or no number, a column is constant, or too few rows are left.
    """
    progress = progress or Progress()
    progress.update(0.0, "Reading the table")
    _check(request)
    table = read_table(request.table)
    rows, values, dropped = _values(table, request)
    patients = [row.values[request.patient] if request.patient else str(row.line) for row in rows]
    pairs = per_patient(patients, values[:, 0], values[:, 1])
    _check_pairs(pairs, request, len(rows))
    x, y = pairs.reference, pairs.test
    progress.update(0.2, "Measuring the agreement")
    bound = request.bound if request.bound is not None else request.margin * abs(float(x.mean()))
    document: dict[str, Any] = {
        "table": str(request.table),
        "reference": request.reference,
        "test": request.test,
        "unit": "patient" if request.patient else "row",
        "n": len(pairs.patients),
        "n_rows": len(rows),
        "averaged": sum(count > 1 for count in pairs.rows),
        "dropped": dropped,
        "reference_mean": float(x.mean()),
        "test_mean": float(y.mean()),
        "settings": {
            "confidence": request.confidence,
            "share": request.share,
            "margin": request.margin,
            "bound": bound,
            "error_ratio": request.error_ratio,
            "seed": request.seed,
        },
        "concordance": concordance(x, y, request.confidence),
        "bland_altman": bland_altman(x, y, request.confidence),
        "coverage": coverage(x, y, bound, request.share, request.confidence, request.seed),
        "equivalence": equivalence(x, y, request.margin),
    }
    progress.update(0.7, "Fitting the lines")
    document |= {
        "icc": intraclass(np.stack([x, y], axis=1), request.confidence),
        "repeatability": _repeatability(patients, values, pairs, request.confidence),
        "regression": _lines(pairs, request),
        "points": _points(pairs),
    }
    document["notes"] = _notes(document, request)
    progress.update(1.0, "Done")
    return document


def _check(request: AgreeRequest) -> None:
    if request.reference == request.test:
        raise InputError(f"'{request.reference}' is named as reference and as test.", "Name two columns.")
    for name, value in (("confidence", request.confidence), ("share", request.share), ("margin", request.margin)):
        if not 0 < value < 1:
            raise InputError(f"The {name} is {value:g}.", "Give a number between 0 and 1.")


def _values(table: Table, request: AgreeRequest) -> tuple[list[Row], np.ndarray[Any, Any], list[dict[str, Any]]]:
    """Return the rows that are used, their two values (n, 2), and the rows that were dropped."""
    wanted = [table.require(request.reference), table.require(request.test)]
    if request.patient:
        table.require(request.patient)
    kept, values, dropped = [], [], []
    for row in table.rows:
        lacking = [name for name in wanted if is_missing(row.values[name])]
        if request.patient and is_missing(row.values[request.patient]):
            lacking.append(request.patient)
        if lacking:
            who = row.values.get(request.patient, "")
            dropped.append({"line": row.line, "patient": who, "why": f"no value in {' and '.join(lacking)}"})
            continue
        pair = [table.number(row, name) for name in wanted]
        for name, value in zip(wanted, pair, strict=True):
            if value is None:
                raise InputError(
                    f"Line {row.line} of {table.path.name} has '{row.values[name]}' in {name}.", "Write a finite number there."
                )
        kept.append(row)
        values.append(pair)
    if dropped and request.missing == "refuse":
        named = ", ".join(f"line {item['line']}" + (f" ({item['patient']})" if item["patient"] else "") for item in dropped[:_NAMED_ROWS])
        more = f" and {len(dropped) - _NAMED_ROWS} more" if len(dropped) > _NAMED_ROWS else ""
        raise InputError(f"Values are missing in {named}{more} of {table.path.name}.", "Complete them, or drop such rows (--drop-missing).")
    return kept, np.array(values, np.float64).reshape(-1, 2), dropped


def _check_pairs(pairs: Pairs, request: AgreeRequest, rows: int) -> None:
    n = len(pairs.patients)
    if request.repeats == "refuse" and rows > n:
        who = next(patient for patient, count in zip(pairs.patients, pairs.rows, strict=True) if count > 1)
        raise InputError(
            f"{rows - n} rows belong to patients that have one already, e.g. {who}.", "Leave one row per patient, or have them averaged."
        )
    if n < FEWEST:
        what = "patients" if request.patient else "rows"
        raise InputError(f"{request.table.name} has {n} {what} with both values.", f"Agreement needs at least {FEWEST}.")
    for name, values in ((request.reference, pairs.reference), (request.test, pairs.test)):
        if np.ptp(values) == 0:
            raise InputError(f"The column '{name}' is constant ({values[0]:g}).", "Agreement needs values that differ between patients.")


def _repeatability(patients: list[Any], values: np.ndarray[Any, Any], pairs: Pairs, confidence: float) -> dict[str, Any]:
    found: dict[str, Any] = {"between_columns": repeatability(np.stack([pairs.reference, pairs.test], axis=1), confidence)}
    several = max(pairs.rows) > 1
    for column, name in enumerate(("reference", "test")):
        groups: dict[Any, list[float]] = {}
        for patient, value in zip(patients, values[:, column], strict=True):
            groups.setdefault(patient, []).append(float(value))
        found[name] = repeatability(groups.values(), confidence) if several else None
    return found


def _lines(pairs: Pairs, request: AgreeRequest) -> dict[str, Any]:
    """Return the regression lines; one that cannot be fitted says why and does not take the rest with it."""
    if not request.error_ratio > 0:
        raise InputError(f"{request.error_ratio:g} is not a ratio of error variances.", "Give a positive number.")
    nothing = {"slope": None, "slope_ci": [None, None], "intercept": None, "intercept_ci": [None, None]}
    lines: dict[str, Any] = {}
    try:
        lines["passing_bablok"] = passing_bablok(pairs.reference, pairs.test, request.confidence)
    except InputError as error:
        lines["passing_bablok"] = {**nothing, "why": error.message}
    try:
        lines["deming"] = deming(pairs.reference, pairs.test, request.error_ratio, request.confidence)
    except InputError as error:
        lines["deming"] = {**nothing, "why": error.message}
    return lines


def _points(pairs: Pairs) -> list[dict[str, Any]]:
    return [
        {"patient": who, "reference": float(x), "test": float(y), "mean": float((x + y) / 2), "difference": float(y - x)}
        for who, x, y in zip(pairs.patients, pairs.reference, pairs.test, strict=True)
    ]


def _notes(document: dict[str, Any], request: AgreeRequest) -> list[str]:
    notes, unit = [], document["unit"]
    if not request.patient:
        notes.append("Every row is taken as another patient; name the patient column if patients have several rows.")
    if document["averaged"]:
        what = _count(document["averaged"], "patient is", "patients are")
        notes.append(f"{what} the mean of several rows; limits of means are narrower than those of single rows.")
    if document["dropped"]:
        notes.append(f"{_count(len(document['dropped']), 'row', 'rows')} without a value left out.")
    for name, reading in document["equivalence"]["readings"].items():
        if reading["dropped"]:
            left = _count(reading["dropped"], unit, f"{unit}s")
            notes.append(f"The {name} reading of equivalence leaves out {left} with a zero or a negative value.")
    normality = document["bland_altman"]["normality_p"]
    if normality is not None and normality < 0.05:
        notes.append(
            f"The differences are not normal (Shapiro-Wilk p = {normality:.2g}), which the limits, the coverage and the index assume."
        )
    slope_p = document["bland_altman"]["slope_p"]
    if slope_p is not None and slope_p < 0.05:
        notes.append("The differences change with the size of the measurement; the ratio (log) tells more than bias and limits.")
    return notes


def _count(number: int, one: str, several: str) -> str:
    return f"{number} {one if number == 1 else several}"


def _span(values: list[float | None]) -> str:
    if not any(value is not None for value in values):
        return "no interval"
    return " to ".join("?" if value is None else f"{value:.4g}" for value in values)


def as_text(document: dict[str, Any]) -> str:
    """Return the document of `agree` for people."""
    d, level = document, f"{100 * document['settings']['confidence']:g} %"
    altman, cover, lines = d["bland_altman"], d["coverage"], d["regression"]
    text = [
        f"{d['test']} against {d['reference']}: {d['n']} {d['unit']}s from {d['n_rows']} rows; intervals of {level} in brackets",
        f"Concordance (CCC)   {d['concordance']['ccc']:.4f} ({_span(d['concordance']['ccc_ci'])})",
        f"Bias                {altman['bias']:.4g} ({_span(altman['bias_ci'])})",
        f"Limits of agreement {_span(altman['limits'])} (lower {_span(altman['lower_limit_ci'])}, upper {_span(altman['upper_limit_ci'])})",
        f"Coverage            {100 * cover['coverage_probability']:.1f} % of the differences within {cover['bound']:.4g}",
        f"Total deviation     {cover['tdi']:.4g} holds {100 * cover['share']:g} % (approximate formula {cover['tdi_approximate']:.4g})",
    ]
    for name, reading in d["equivalence"]["readings"].items():
        verdict = reading.get("why") or f"p = {reading['p']:.3g}, {'equivalent' if reading['equivalent'] else 'not shown to be equivalent'}"
        default = ", default" if name == d["equivalence"]["reading"] else ""
        text.append(f"Equivalence         {name}{default}: {verdict} (n = {reading['n']}, dropped {reading['dropped']})")
    text += [f"{row['name']:<19} {_or_none(row['icc'])} ({_span(row['icc_ci'])}) {row['agreement']}, {row['unit']}" for row in d["icc"]]
    between = d["repeatability"]["between_columns"]
    text.append(f"Repeatability       {between['coefficient']:.4g} ({_span(between['coefficient_ci'])}) between the columns")
    for title, key in (("Passing-Bablok", "passing_bablok"), ("Deming", "deming")):
        fit = lines[key]
        shown = ", ".join(f"{part} {_or_none(fit[part])} ({_span(fit[part + '_ci'])})" for part in ("slope", "intercept"))
        text.append(f"{title:<19} {fit.get('why') or shown}")
    return "\n".join([*text, *(f"Note: {note}" for note in d["notes"])])


def _or_none(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.4g}"
