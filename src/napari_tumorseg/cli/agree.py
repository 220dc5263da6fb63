"""``tumorseg agree``: how well two columns of a table agree."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_tumorseg.cli.console import emit, shown_progress
from napari_tumorseg.cli.reporting import Report, write_report

__all__ = ["agree"]


def agree(
    table: Annotated[Path, typer.Argument(help="CSV table, one row per measurement.")],
    reference: Annotated[str, typer.Option(help="Column of the reference.")],
    test: Annotated[str, typer.Option(help="Column of what is tested, in the same unit.")],
    patient: Annotated[str, typer.Option(help="Column that says whose row it is; several rows of a patient are averaged.")] = "",
    refuse_repeats: Annotated[bool, typer.Option("--refuse-repeats", help="Stop where a patient has several rows.")] = False,
    drop_missing: Annotated[bool, typer.Option("--drop-missing", help="Leave out rows that lack a value.")] = False,
    bound: Annotated[float | None, typer.Option(help="Largest acceptable difference; by default the margin times the mean.")] = None,
    share: Annotated[float, typer.Option(help="Share of the differences that the total deviation index holds.")] = 0.9,
    margin: Annotated[float, typer.Option(help="Margin of equivalence, as a share.")] = 0.2,
    error_ratio: Annotated[float, typer.Option(help="Deming: error variance of the test over that of the reference.")] = 1.0,
    confidence: Annotated[float, typer.Option(help="Of the intervals.")] = 0.95,
    report: Report = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Say how well two measurements agree: CCC, Bland-Altman, TDI, TOST, ICC, regression."""
    from napari_tumorseg.workflows.agree import AgreeRequest, as_text
    from napari_tumorseg.workflows.agree import agree as run_agree
    from napari_tumorseg.workflows.report.agreement import agreement_section

    request = AgreeRequest(
        table,
        reference,
        test,
        patient,
        repeats="refuse" if refuse_repeats else "average",
        missing="drop" if drop_missing else "refuse",
        bound=bound,
        share=share,
        margin=margin,
        error_ratio=error_ratio,
        confidence=confidence,
    )
    with shown_progress() as progress:
        document = run_agree(request, progress)
    write_report(report, agreement_section, document)
    emit(document, as_json=as_json, text=as_text(document))
