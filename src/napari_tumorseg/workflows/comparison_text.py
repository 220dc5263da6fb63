"""A comparison of models in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["as_text"]


def as_text(document: Mapping[str, Any]) -> str:
    """Return a document of `workflows.compare_models.compare_models` for people."""
    ranking = document["ranking"]
    lines = [f"{len(document['models'])} models on {len(document['cases'])} cases, profile {document['profile']}"]
    if ranking["rank"] is None:
        lines.append(ranking["why"])
    else:
        tau = ranking["kendall_tau"]
        lines.append(f"Ranking by {', '.join(ranking['scores'])}:")
        for i in sorted(range(len(ranking["models"])), key=lambda i: ranking["rank"][i]):
            share = f"first in {100 * ranking['first_share'][i]:.0f} % of the resamples"
            lines.append(f"  {ranking['rank'][i]:g}. {ranking['models'][i]}: mean rank {ranking['mean_rank'][i]:.3f}, {share}")
        lines.append(f"  Kendall's tau with the resampled rankings {tau['mean']:.2f} ({tau['low']:.2f} to {tau['high']:.2f})")
    lines.append("Differences (first minus second model; p by Wilcoxon, adjusted by Holm over all rows):")
    for row in document["differences"]:
        if row["difference"] is None:
            continue
        low, high = row["difference_ci"]
        reach = "no interval" if low is None else f"{low:.4g} to {high:.4g}"
        verdict = f", better: {row['better']}" if row["better"] else ""
        lines.append(
            f"  {row['a']} - {row['b']}, {row['region']} {row['score']}: {row['difference']:.4g} ({reach}), n = {row['n']}, "
            f"p = {row['p']:.3g}, adjusted {row['p_holm']:.3g}{verdict}"
        )
    lines.append(f"By size of {document['strata']['by']} (mean Dice, share found):")
    for row in document["strata"]["rows"]:
        if row["n"]:
            shown = "; ".join(f"{m['name']} {_pair(m)}" for m in row["models"])
            lines.append(f"  {row['region']} {row['size']}, n = {row['n']} in {row['cases']} cases: {shown}")
    return "\n".join([*lines, *(f"Note: {note}" for note in document["notes"])])


def _pair(model: Mapping[str, Any]) -> str:
    dice = "no score" if model["dice"] is None else f"{model['dice']:.3f}"
    return dice if model["sensitivity"] is None else f"{dice}, {100 * model['sensitivity']:.0f} %"
