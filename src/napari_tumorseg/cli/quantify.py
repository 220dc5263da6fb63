"""``tumorseg quantify``: measure the lesions of a PET scan."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_tumorseg.cli.console import emit, shown_progress
from napari_tumorseg.cli.reporting import Report, write_report

__all__ = ["quantify"]


def quantify(
    pet: Annotated[Path, typer.Argument(help="PET in SUV, or a DICOM PET series.")],
    mask: Annotated[Path, typer.Argument(help="Mask of its lesions.")],
    resample: Annotated[bool, typer.Option("--resample", help="Carry a mask on another grid over to the PET's voxels.")] = False,
    label: Annotated[list[int] | None, typer.Option(help="Label that is a lesion; may be repeated. Every label by default.")] = None,
    ibsi: Annotated[bool, typer.Option("--ibsi", help="Add IBSI's intensity and volume features to each lesion.")] = False,
    report: Report = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Measure the lesions of a PET scan: SUVmax, SUVmean, SUVpeak, TMTV, TLA, number and spread."""
    from napari_tumorseg.workflows.quantify import QuantifyRequest, as_text
    from napari_tumorseg.workflows.quantify import quantify as run_quantify
    from napari_tumorseg.workflows.report.pet import pet_section

    with shown_progress() as progress:
        document = run_quantify(QuantifyRequest(pet, mask, resample, tuple(label or ()), ibsi), progress)
    write_report(report, pet_section, document)
    emit(document, as_json=as_json, text=as_text(document))
