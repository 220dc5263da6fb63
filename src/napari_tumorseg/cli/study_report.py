"""``tumorseg study report``: what came of a study, as a page and as tables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_tumorseg.cli.console import emit, shown_progress

__all__ = ["report"]


def report(
    study: Annotated[str, typer.Argument(help="Folder of the study, or URL of its database.")],
    out: Annotated[Path | None, typer.Option(help="Folder for page and tables; report in the study's folder by default.")] = None,
    blinded: Annotated[
        bool, typer.Option("--blinded", help="Only how far the study is, without arms; before the data are locked.")
    ] = False,
    draws: Annotated[int, typer.Option(help="How often the protocol's allocation is drawn again.")] = 1999,
    files: Annotated[Path | None, typer.Option(help="Folder of journals and cases on this machine, where it is another one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Write the report of a study: one HTML page, and its tables as CSV and Parquet."""
    from napari_tumorseg.workflows.study.report import StudyReportRequest, study_report

    with shown_progress() as progress:
        document = study_report(StudyReportRequest(study, out, blinded, draws, files), progress)
    emit(document, as_json=as_json, text="\n".join(_lines(document)))


def _lines(document: Mapping[str, Any]) -> list[str]:
    from napari_tumorseg.workflows.report.words import interval, plain

    lines = []
    if not document["audit"]["ok"]:
        severe = sum(problem["severe"] for problem in document["audit"]["problems"])
        lines.append(f"Audit failed: {severe} not as written; tumorseg study verify names them.")
    if document["kind"] == "comparison":
        found = document["time"]["analysis"]
        if found:
            primary = found["primary"]
            ends = interval([primary["low_percent"], primary["high_percent"]])
            lines.append(f"Time saved: {plain(primary['saved_percent'])} % ({ends} %), p = {plain(primary['p'])}. {found['claim']}")
        else:
            lines.append(f"Times were not compared. {document['time']['why']}")
    lines.append(f"{document['study']['readings']} readings; page: {document['files'][0]}")
    return lines
