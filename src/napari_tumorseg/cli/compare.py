"""``tumorseg compare``: models against each other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_tumorseg.cli.console import emit, shown_progress
from napari_tumorseg.cli.evaluate import parse_remaps
from napari_tumorseg.cli.reporting import Report, write_report
from napari_tumorseg.core.errors import InputError

__all__ = ["compare"]


def compare(
    references: Annotated[Path, typer.Argument(help="Folder of reference masks.")],
    predictions: Annotated[list[Path], typer.Argument(help="Folder of predicted masks per model, two or more.")],
    profile: Annotated[str, typer.Option(help="Definition of the scores, e.g. brats-mets-2024.")] = "plain",
    size_edges: Annotated[str, typer.Option(help="Volumes in mL between the sizes of lesions, with commas between.")] = "0.1,1",
    resample: Annotated[bool, typer.Option("--resample", help="Bring predictions on another grid to the reference's.")] = False,
    remap_ref: Annotated[list[str] | None, typer.Option(help="Value to replace in references, e.g. 4=3; may be repeated.")] = None,
    remap_pred: Annotated[list[str] | None, typer.Option(help="The same in predictions.")] = None,
    training_cases: Annotated[
        list[str] | None, typer.Option(help="File that lists training cases, or MODEL=FILE; may be repeated.")
    ] = None,
    without_overlap: Annotated[bool, typer.Option("--without-overlap", help="Leave out cases that a model was trained on.")] = False,
    confidence: Annotated[float, typer.Option(help="Of the intervals.")] = 0.95,
    report: Report = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Compare models on the same cases: paired differences, stability of the ranking, sizes, training overlap."""
    from napari_tumorseg.workflows.compare_models import CompareRequest, compare_models
    from napari_tumorseg.workflows.comparison_text import as_text
    from napari_tumorseg.workflows.report.comparison import comparison_section

    try:
        edges = tuple(float(edge) for edge in size_edges.split(","))
    except ValueError:
        raise InputError(f"--size-edges {size_edges} are no numbers.", "Write e.g. 0.1,1.") from None
    request = CompareRequest(
        references,
        tuple(predictions),
        profile,
        edges,
        tuple(training_cases or ()),
        resample,
        parse_remaps("--remap-ref", remap_ref or ()),
        parse_remaps("--remap-pred", remap_pred or ()),
        without_overlap,
        confidence,
    )
    with shown_progress() as progress:
        document = compare_models(request, progress)
    write_report(report, comparison_section, document)
    emit(document, as_json=as_json, text=as_text(document))
