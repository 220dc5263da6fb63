"""``tumorseg response``: lesions over time and the category of response."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from napari_tumorseg.cli.console import emit, shown_progress
from napari_tumorseg.cli.reporting import Report, write_report

__all__ = ["response"]


def response(
    masks: Annotated[list[Path], typer.Argument(help="Masks in order of time, baseline first, - for not evaluated; or one case folder.")],
    images: Annotated[list[Path] | None, typer.Option("--images", help="Image of each mask, to register by; once per mask.")] = None,
    region: Annotated[str, typer.Option(help="Region to follow; tumour core by default where the labels have one.")] = "",
    schema: Annotated[str, typer.Option(help="Label schema of the masks, e.g. brats-2018.")] = "",
    tolerance: Annotated[float, typer.Option(help="Lesions this near (mm) are one where they do not overlap.")] = 5.0,
    change: Annotated[float, typer.Option(help="Change of volume (%) beyond which a lesion has grown or shrunk.")] = 20.0,
    smallest: Annotated[float, typer.Option(help="Leave out lesions below this volume (mm3).")] = 0.0,
    target: Annotated[list[int] | None, typer.Option(help="Id of a target lesion at baseline; may be repeated.")] = None,
    steroids: Annotated[str, typer.Option(help="Per follow-up: none, decreased, stable or increased; by commas.")] = "",
    clinical: Annotated[str, typer.Option(help="Per follow-up: improved, stable or worse; by commas.")] = "",
    non_target_pd: Annotated[list[int] | None, typer.Option(help="Follow-up at which non-target lesions progressed; from 1.")] = None,
    report: Report = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Follow lesions over time: new, gone, grown, shrunk, merged, split; RECIST 1.1, RANO-BM and RANO."""
    from napari_tumorseg.evaluation.response.matching import MatchRules
    from napari_tumorseg.workflows.report.response import response_section
    from napari_tumorseg.workflows.response import ResponseOptions, ResponseRequest, respond
    from napari_tumorseg.workflows.response_text import as_text

    options = ResponseOptions(
        region=region,
        rules=replace(MatchRules(), tolerance_mm=tolerance, change_share=change / 100),
        smallest_mm3=smallest,
        targets=tuple(target or ()),
        steroids=_listed(steroids),
        clinical=_listed(clinical),
        non_target_progression=tuple(non_target_pd or ()),
    )
    with shown_progress() as progress:
        document = respond(ResponseRequest(tuple(masks), tuple(images or ()), options, schema), progress)
    write_report(report, response_section, document)
    emit(document, as_json=as_json, text=as_text(document))


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",")) if text else ()
