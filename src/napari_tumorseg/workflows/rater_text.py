"""The agreement of raters in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["as_text"]


def as_text(document: Mapping[str, Any]) -> str:
    """Return a document of `workflows.raters.raters` for people."""
    lines = [f"{document['cases']} cases, {len(document['raters'])} raters: {', '.join(document['raters'])}"]
    lines += {"masks": _masks, "categories": _categories, "values": _values}[document["kind"]](document)
    return "\n".join([*lines, *(f"Note: {note}" for note in document["notes"])])


def _masks(document: Mapping[str, Any]) -> list[str]:
    lines = []
    for group in document["groups"]:
        where = ", ".join(
            str(part) for part in (group["arm"], group["groups"], "" if group["label"] == "any" else f"label {group['label']}") if part
        )
        lines.append(f"{group['kind']}{f' ({where})' if where else ''}: {group['pairs']} pairs in {group['cases']} cases")
        for name, score in group["scores"].items():
            if score["n"]:
                reach = f"{score['min']:.4g} to {score['max']:.4g}, n = {score['n']}"
                lines.append(f"  {name:<10} mean {score['mean']:.4g} ({_span(score['mean_ci'])}), {reach}")
    for entry in document["volume_icc"]:
        where = " ".join(str(part) for part in (entry["arm"], "" if entry["label"] == "any" else f"label {entry['label']}") if part)
        chosen = [row for row in entry["icc"] if row["name"] in ("ICC(2,1)", "ICC(3,1)")]
        shown = "; ".join(f"{row['name']} {_number(row['icc'])} ({_span(row['icc_ci'])})" for row in chosen)
        lines.append(f"Volume {where}{' ' if where else ''}in {entry['cases']} cases: {shown or entry.get('why', '')}")
    for entry in document["consensus"]:
        lines += [f"Wrote {entry[method]['file']}" for method in ("majority", "staple", "simple")]
        lines.append(f"Wrote {entry['agreement_map']}")
    return lines


def _categories(document: Mapping[str, Any]) -> list[str]:
    lines = []
    for pair in document["pairs"]:
        found = [(name, pair[name]) for name in ("plain", "linear", "quadratic") if name in pair]
        kappas = "; ".join(f"{name} kappa {_number(row['kappa'])} ({_span(row['kappa_ci'])})" for name, row in found)
        lines.append(f"{_who(pair)}, n = {pair['plain']['n']}: {kappas}")
    for arm in document["arms"]:
        fleiss = arm["fleiss"]
        shown = f"Fleiss' kappa {_number(fleiss['kappa'])} (n = {fleiss['n']}); " if fleiss else ""
        lines.append(f"{arm['arm'] or 'All raters'}: {shown}Krippendorff's alpha {_alphas(arm)}")
    return lines


def _values(document: Mapping[str, Any]) -> list[str]:
    lines = []
    for pair in document["pairs"]:
        found = pair["concordance"]
        shown = f"CCC {found['ccc']:.4g} ({_span(found['ccc_ci'])})" if found else pair["why"]
        lines.append(f"{_who(pair)}, n = {pair['n']}: {shown}")
    for arm in document["arms"]:
        shown = "; ".join(f"{row['name']} {_number(row['icc'])} ({_span(row['icc_ci'])})" for row in arm["icc"])
        lines.append(f"{arm['arm'] or 'All raters'} ({arm['cases_all_judged']} cases that all judged): {shown or arm['why']}")
        lines.append(f"  Krippendorff's alpha {_alphas(arm)}")
    return lines


def _who(pair: Mapping[str, Any]) -> str:
    arm = f"{pair['arm']}: " if pair["arm"] else ""
    if pair["kind"] == "intra":
        return f"{arm}{pair['rater_a']}, readings {pair['repeat_a']} and {pair['repeat_b']}"
    return f"{arm}{pair['rater_a']} and {pair['rater_b']}"


def _alphas(arm: Mapping[str, Any]) -> str:
    return (
        "; ".join(f"{scale} {_number(v['alpha'])} ({_span(v['alpha_ci'])})" for scale, v in arm["krippendorff"].items() if v)
        or "not defined"
    )


def _number(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.4g}"


def _span(values: list[float | None]) -> str:
    if not any(value is not None for value in values):
        return "no interval"
    return " to ".join("?" if value is None else f"{value:.4g}" for value in values)
