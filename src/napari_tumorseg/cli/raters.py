"""``tumorseg raters``: how well raters agree."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_tumorseg.cli.console import emit, shown_progress
from napari_tumorseg.cli.reporting import Report, write_report
from napari_tumorseg.core.errors import InputError

__all__ = ["raters"]


def raters(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER_OR_TABLE",
            help="Folder of masks CASE_RATER.nii.gz, or a CSV table with case, rater and path, category or value, or a column per rater.",
        ),
    ],
    out: Annotated[Path | None, typer.Option(help="Folder for consensus masks and agreement maps.")] = None,
    tolerance: Annotated[
        list[float] | None, typer.Option(help="Tolerance of the surface Dice in mm; may be repeated. 1 and 2 by default.")
    ] = None,
    order: Annotated[str, typer.Option(help="Categories from the lowest to the highest, with commas between.")] = "",
    scale: Annotated[str, typer.Option(help="Of a table with a column per rater: nominal, ordinal, interval or ratio.")] = "",
    confidence: Annotated[float, typer.Option(help="Of the intervals.")] = 0.95,
    report: Report = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Say how well raters agree: Dice, NSD, HD95, lesion F1, volumes; kappa and alpha; consensus masks."""
    from napari_tumorseg.evaluation.raters.krippendorff import SCALES
    from napari_tumorseg.workflows.rater_text import as_text
    from napari_tumorseg.workflows.raters import RatersRequest
    from napari_tumorseg.workflows.raters import raters as run_raters
    from napari_tumorseg.workflows.report.raters import rater_section

    chosen = next((known for known in SCALES if known == scale), None)
    if scale and chosen is None:
        raise InputError(f"'{scale}' is no scale.", f"Choose one of {', '.join(SCALES)}.")
    categories = tuple(name.strip() for name in order.split(",") if name.strip())
    request = RatersRequest(source, out, tuple(tolerance or (1.0, 2.0)), categories, chosen, confidence)
    with shown_progress() as progress:
        document = run_raters(request, progress)
    write_report(report, rater_section, document)
    emit(document, as_json=as_json, text=as_text(document))
