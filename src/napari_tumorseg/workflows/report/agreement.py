"""The agreement of two quantities, as a section of the page and as plots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from napari_tumorseg.workflows.report.plot import Band, Line, Plot, Series, finite_points
from napari_tumorseg.workflows.report.section import Section, Table
from napari_tumorseg.workflows.report.words import interval

__all__ = ["agreement_plots", "agreement_section"]


def agreement_plots(document: Mapping[str, Any]) -> tuple[Plot, ...]:
    """Return the Bland-Altman plot and the scatter of a document of `workflows.agree.agree`.

    Parameters
    ----------
    document : mapping
        With ``points``, ``bland_altman``, ``concordance`` and ``regression``.

    Returns
    -------
    tuple of Plot
        Bland-Altman (Bland and Altman 1986, doi:10.1016/S0140-6736(86)90837-8) with the intervals of bias and limits as bands, and
        test against reference with the line of identity and Deming's.
    """
    points = document["points"]
    reference, test = document["reference"], document["test"]
    who = [str(point["patient"]) for point in points]
    found = document["bland_altman"]
    mean, difference, keys = finite_points((p["mean"], p["difference"], w) for p, w in zip(points, who, strict=True))
    low, high = found["limits"]
    difference_plot = Plot(
        "Bland-Altman",
        f"Mean of {reference} and {test}",
        f"{test} minus {reference}",
        (Series("", mean, difference, keys=keys),),
        (
            Line(f"bias {found['bias']:.4g}", 0.0, found["bias"]),
            Line(f"upper limit {high:.4g}", 0.0, high, dashed=True),
            Line(f"lower limit {low:.4g}", 0.0, low, dashed=True),
        ),
        tuple(Band(*ends) for ends in (found["bias_ci"], found["lower_limit_ci"], found["upper_limit_ci"]) if None not in ends),
        caption=f"{len(keys)} {document['unit']}s; bands are the intervals of the bias and of the limits of agreement.",
    )
    x, y, keys = finite_points((p["reference"], p["test"], w) for p, w in zip(points, who, strict=True))
    lines = [Line("identity", 1.0, 0.0)]
    deming = document["regression"].get("deming")
    if deming and deming.get("slope") is not None:
        lines.append(Line("Deming", deming["slope"], deming["intercept"], dashed=True))
    scatter = Plot(
        f"{test} against {reference}",
        reference,
        test,
        (Series("", x, y, keys=keys),),
        tuple(lines),
        caption=f"CCC {document['concordance']['ccc']:.4f} ({interval(document['concordance']['ccc_ci'])}).",
    )
    return difference_plot, scatter


def agreement_section(document: Mapping[str, Any]) -> Section:
    """Return the section of a document of `workflows.agree.agree`."""
    concordance, found, coverage = document["concordance"], document["bland_altman"], document["coverage"]
    rows: list[tuple[Any, ...]] = [
        ("Lin's concordance correlation (CCC)", concordance["ccc"], interval(concordance["ccc_ci"])),
        ("Pearson's correlation", concordance["pearson_r"], ""),
        ("Bias", found["bias"], interval(found["bias_ci"])),
        ("Lower limit of agreement", found["limits"][0], interval(found["lower_limit_ci"])),
        ("Upper limit of agreement", found["limits"][1], interval(found["upper_limit_ci"])),
        (f"Coverage of {coverage['bound']:.4g}", coverage["coverage_probability"], interval(coverage["coverage_probability_ci"])),
        (f"Total deviation index ({100 * coverage['share']:.0f} %)", coverage["tdi"], interval(coverage["tdi_ci"])),
    ]
    rows += [(f"{row['name']}, {row['agreement']}, {row['unit']}", row["icc"], interval(row["icc_ci"])) for row in document["icc"]]
    for name, title in (("passing_bablok", "Passing-Bablok"), ("deming", "Deming")):
        line = document["regression"].get(name)
        if line and line.get("slope") is not None:
            rows.append((f"{title}, slope", line["slope"], interval(line["slope_ci"])))
            rows.append((f"{title}, intercept", line["intercept"], interval(line["intercept_ci"])))
    equivalence = document["equivalence"]
    readings = [(name, entry) for name, entry in equivalence["readings"].items() if entry]
    tests = [
        (name, entry.get("estimate"), interval(entry.get("margins")), entry.get("p"), entry.get("equivalent"), entry.get("dropped", 0))
        for name, entry in readings
    ]
    text = f"{document['n']} {document['unit']}s from {document['n_rows']} rows of {document['table']}."
    columns = ("reading of the margin", "estimate", "margins", "p", "equivalent", "zeros dropped")
    return Section(
        f"Agreement of {document['test']} with {document['reference']}",
        (text,),
        (
            Table("Agreement", ("measure", "value", f"{100 * document['settings']['confidence']:.0f} % interval"), tuple(rows)),
            Table(f"Equivalence within {100 * equivalence['margin']:.0f} % (TOST)", columns, tuple(tests)),
        ),
        agreement_plots(document),
        tuple(document["notes"]),
    )
