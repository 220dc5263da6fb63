"""``--report``: the result of a command as one page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_tumorseg.cli.console import say

__all__ = ["Report", "write_report"]

Report = Annotated[Path | None, typer.Option("--report", help="Also write tables, plots, constants and versions as this HTML page.")]


def write_report(path: Path | None, section_of: Callable[[Mapping[str, Any]], Any], document: Mapping[str, Any]) -> None:
    """Write the page of a result, where one is asked for."""
    if path is None:
        return
    from napari_tumorseg.workflows.measures import facts_of
    from napari_tumorseg.workflows.report.page import write_page

    write_page(path, "Evaluation", [section_of(document)], facts_of(document))
    say(f"Report: {path}")
