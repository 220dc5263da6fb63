"""``tumorseg evaluate``: score predicted masks against references."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from napari_tumorseg.cli.console import emit, shown_progress
from napari_tumorseg.cli.reporting import Report, write_report
from napari_tumorseg.core.errors import InputError

__all__ = ["evaluate", "parse_remaps"]

_REMAP = "Value to replace before scoring, e.g. 4=3 for masks of BraTS up to 2021; may be repeated."


def evaluate(
    reference: Annotated[Path, typer.Argument(metavar="REF", help="Reference mask, or folder of them.")],
    prediction: Annotated[Path, typer.Argument(metavar="PRED", help="Predicted mask, or folder of them; file names are paired by case.")],
    profile: Annotated[str, typer.Option(help="Definition of the scores, e.g. brats-mets-2024 or plain.")],
    resample: Annotated[bool, typer.Option("--resample", help="Bring predictions on another grid to the reference's.")] = False,
    remap_ref: Annotated[list[str] | None, typer.Option(help=_REMAP)] = None,
    remap_pred: Annotated[list[str] | None, typer.Option(help=_REMAP)] = None,
    confidence: Annotated[float, typer.Option(help="Of the bootstrap intervals over cases.")] = 0.95,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.")] = 0,
    report: Report = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    as_table: Annotated[bool, typer.Option("--csv", help="Print a table with one row for each case and region.")] = False,
) -> None:
    """Score masks by a published definition: lesion-wise Dice, HD95 and NSD, counts, and whole-mask scores."""
    from napari_tumorseg.workflows.evaluate import EvaluateRequest
    from napari_tumorseg.workflows.evaluate import evaluate as run_evaluate
    from napari_tumorseg.workflows.evaluate_text import as_csv, as_text
    from napari_tumorseg.workflows.report.scores import score_section

    if as_json and as_table:
        raise InputError("--json and --csv exclude each other.", "Choose one.")
    remaps = parse_remaps("--remap-ref", remap_ref or ()), parse_remaps("--remap-pred", remap_pred or ())
    request = EvaluateRequest(reference, prediction, profile, resample, *remaps, confidence, seed)
    with shown_progress() as progress:
        document = run_evaluate(request, progress)
    write_report(report, score_section, document)
    emit(document, as_json=as_json, text=as_csv(document) if as_table else as_text(document))


def parse_remaps(option: str, given: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Return the pairs of values of an option that is given as OLD=NEW, several times perhaps."""
    pairs = []
    for text in given:
        old, found, new = text.partition("=")
        if not found or not old.strip().isdecimal() or not new.strip().isdecimal():
            raise InputError(f"{option} {text} is not of the form OLD=NEW.", f"Write e.g. {option} 4=3.")
        pairs.append((int(old), int(new)))
    return tuple(pairs)
