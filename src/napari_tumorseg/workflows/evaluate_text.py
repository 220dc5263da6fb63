"""The result of `evaluate` as text for people and as a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

from napari_tumorseg.evaluation.segmentation.summary import flat_scores

__all__ = ["as_csv", "as_text"]

_HEAD = ("Region", "LW Dice", "LW HD95", "TP", "FP", "FN", "Dice", "HD95", "NSD", "Ref mL", "Pred mL")
_KEYS = ("lesionwise_dice", "lesionwise_hd95", "n_tp", "n_fp", "n_fn", "dice", "hd95", "nsd", "volume_ref_ml", "volume_pred_ml")
_DIGITS = (3, 2, 0, 0, 0, 3, 2, 3, 2, 2)


def as_text(document: Mapping[str, Any]) -> str:
    """Return a table of the regions, with what is to be known about it."""
    constants = document["constants"]
    several = "cases" in document
    lines = [f"Profile {document['profile']}, version {constants['version']}: {constants['title']} ({constants['reference']})"]
    rows = [_HEAD]
    for name, scores in document["regions"].items():
        values = (scores[key] for key in _KEYS)
        rows.append((name, *(_number(value, digits + (several and not digits)) for value, digits in zip(values, _DIGITS, strict=True))))
    widths = [max(len(row[i]) for row in rows) for i in range(len(_HEAD))]
    lines += ["  ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))]) for row in rows]
    if several:
        lines.append(
            f"Means of {len(document['cases'])} cases. Intervals ({document['bootstrap']['confidence']:.0%}, bootstrap over cases):"
        )
        lines += [f"  {name}: {_interval(document, name)}" for name in document["regions"]]
    elif document["lesions"]:
        missed = sum(row["status"] == "missed" for row in document["lesions"])
        false = sum(row["status"] == "false" for row in document["lesions"])
        lines.append(f"{len(document['lesions'])} lesions in all regions, {missed} missed, {false} false; --json lists them.")
    fixed = {k: v for k, v in constants.items() if k not in ("version", "title", "reference")}
    lines.append("Constants: " + "; ".join(f"{key} {_plain(value)}" for key, value in fixed.items() if value not in ({}, [])))
    return "\n".join([*lines, *(f"Note: {note}" for note in document["warnings"])])


def as_csv(document: Mapping[str, Any]) -> str:
    """Return a table with one row for each case and region; of folders also the means and the limits of their intervals."""
    rows: list[dict[str, Any]] = []
    if "cases" in document:
        for case in document["cases"]:
            rows += [{"case": case["case"], "region": name, **flat_scores(scores)} for name, scores in case["regions"].items()]
        rows += [{"case": "mean", "region": name, **flat_scores(scores)} for name, scores in document["regions"].items()]
        for label, end in (("ci_low", 0), ("ci_high", 1)):
            for name, scores in document["confidence_intervals"].items():
                rows.append({"case": label, "region": name, **{k: pair[end] if pair else None for k, pair in scores.items()}})
    else:
        rows = [{"case": document["case"], "region": name, **flat_scores(scores)} for name, scores in document["regions"].items()]
    text = io.StringIO()
    columns = list(dict.fromkeys(["profile", "case", "region", *(key for row in rows for key in row)]))
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({"profile": document["profile"], **row} for row in rows)
    return text.getvalue().rstrip("\n")


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _interval(document: Mapping[str, Any], region: str) -> str:
    parts = []
    for key, title in (("lesionwise_dice", "LW Dice"), ("lesionwise_hd95", "LW HD95"), ("dice", "Dice"), ("hd95", "HD95")):
        pair = document["confidence_intervals"][region].get(key)
        if pair:
            parts.append(f"{title} {pair[0]:.3f} to {pair[1]:.3f}")
    return ", ".join(parts) or "none (fewer than two cases)"


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {_plain(v)}" for k, v in value.items())
    if isinstance(value, list):
        return "+".join(_plain(v) for v in value)
    if value is None or isinstance(value, bool):
        return {True: "yes", False: "no", None: "none"}[value]
    return str(value)
