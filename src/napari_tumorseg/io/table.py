"""Tables of text: CSV with commas, semicolons or tabs, every row with its line."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from napari_tumorseg.core.errors import InputError

__all__ = ["Row", "Table", "is_missing", "number", "read_table"]

# What programs and people write where a value is missing.
_MISSING = {"", "na", "n/a", "nan", "none", "null", ".", "-", "--", "?"}


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes
    ----------
    line : int
        Its line in the file, the header's being 1.
    values : mapping of str to str
        By column, without surrounding blanks.
    """

    line: int
    values: Mapping[str, str]


@dataclass(frozen=True)
class Table:
    """A table as it was read; nothing is turned into numbers yet.

    Attributes
    ----------
    path : Path
        Where it lies.
    columns : tuple of str
        In order.
    rows : tuple of Row
        Without empty lines.
    decimal_comma : bool
        Whether a comma in a number is the decimal sign: so where it does not separate the cells.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    decimal_comma: bool = False

    def number(self, row: Row, column: str) -> float | None:
        """Return the number in a cell, None when it holds no finite number."""
        return number(row.values[column], decimal_comma=self.decimal_comma)

    def require(self, column: str) -> str:
        """Return `column`, or raise `InputError` with the columns that are there."""
        if column in self.columns:
            return column
        raise InputError(f"{self.path.name} has no column '{column}'.", f"It has {', '.join(self.columns)}.")


def read_table(path: Path) -> Table:
    r"""Read a CSV file in UTF-8 whose first line names the columns.

    Raises
    ------
    InputError
        If it is not there, no text, has no rows, a column twice, or a row longer than the header.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "a.csv"
    >>> _ = path.write_text("case;volume\np1;2,5\n")
    >>> table = read_table(path)
    >>> table.columns, table.number(table.rows[0], "volume")
    (('case', 'volume'), 2.5)
    """
    if not path.is_file():
        raise InputError(f"{path} is not a file.", "Name a CSV table.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path.name} is no text in UTF-8.", "Save the table as CSV in UTF-8.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.", "Check the file.") from error
    header = text.partition("\n")[0]
    delimiter = max(",;\t", key=header.count)
    # `newline` in quoted cells is kept only when the reader splits the lines itself.
    reader = csv.reader(text.splitlines(keepends=True), delimiter=delimiter)
    try:
        columns = tuple(name.strip() for name in next(reader, []))
        if not any(columns):
            raise InputError(f"{path.name} is empty.", "Its first line names the columns.")
        twice = sorted({name for name in columns if name and columns.count(name) > 1})
        if twice:
            raise InputError(f"{path.name} has the column '{twice[0]}' twice.", "Rename one of them.")
        rows = []
        for cells in reader:
            cells = [cell.strip() for cell in cells]
            if not any(cells):
                continue
            if len(cells) > len(columns) and any(cells[len(columns) :]):
                raise InputError(
                    f"Line {reader.line_num} of {path.name} has {len(cells)} cells for {len(columns)} columns.",
                    "Quote cells that hold the separator.",
                )
            rows.append(Row(reader.line_num, dict(zip(columns, cells + [""] * len(columns), strict=False))))
    except csv.Error as error:
        raise InputError(f"{path.name} is no table: {error}.", "Save it as CSV.") from error
    if not rows:
        raise InputError(f"{path.name} has no rows below its header.", "Each row is one measurement.")
    return Table(path, columns, tuple(rows), decimal_comma=delimiter != ",")


def is_missing(cell: str) -> bool:
    """Return whether a cell says that there is no value.

    Examples
    --------
    >>> is_missing("NaN"), is_missing("0")
    (True, False)
    """
    return cell.strip().lower() in _MISSING


def number(cell: str, *, decimal_comma: bool = False) -> float | None:
    """Return the number in a cell, None when it is no finite number.

    Examples
    --------
    >>> number("1e3"), number("2,5", decimal_comma=True), number("1,234"), number("inf")
    (1000.0, 2.5, None, None)
    """
    text = cell.strip()
    if decimal_comma and "." not in text:
        text = text.replace(",", ".")
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in text else None
