"""A table of a result as a file."""

from __future__ import annotations

import csv
from pathlib import Path

from napari_tumorseg.io.atomic import atomic_write
from napari_tumorseg.workflows.report.section import Table

__all__ = ["write_table"]


def write_table(path: Path, table: Table) -> Path:
    """Write a table as comma-separated values (UTF-8), numbers in full, an empty cell where there is none.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    with atomic_write(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(table.columns)
        writer.writerows(["" if cell is None else cell for cell in row] for row in table.rows)
    return path
