"""Who read which case: masks in a folder, or rows of a table."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.io.names import natural_key, stem_of, suffix_of
from napari_tumorseg.io.registry import FORMATS
from napari_tumorseg.io.table import Row, Table, is_missing

__all__ = ["Reading", "lacks", "pairs_of", "readings_of_folder", "readings_of_table"]

_NAME = re.compile(r"(?:(?P<case>.+)_)?(?P<rater>[^_]+)")
_REPEAT = re.compile(r"_repeat([1-9][0-9]*)$")
_LAYOUT = "Name masks CASE_RATER.nii.gz or CASE/NAME_RATER.nii.gz, a repeat CASE_RATER_repeat2.nii.gz, or list them in a CSV table."


@dataclass(frozen=True)
class Reading:
    """One rater's judgement of one case.

    Attributes
    ----------
    case, rater : str
        What was read, and by whom.
    arm : str
        Condition that it was read under, e.g. "manual" or "AI-assisted"; "" where there is one.
    group : str
        What kind of rater, e.g. "expert"; "" where there is one.
    repeat : int
        1 for the first reading, 2 for the rater's second of the case.
    path : Path, optional
        The mask.
    cell : str
        The category or value of a table.
    line : int
        In the table; 0 for a folder.
    """

    case: str
    rater: str
    arm: str = ""
    group: str = ""
    repeat: int = 1
    path: Path | None = None
    cell: str = ""
    line: int = 0

    @property
    def who(self) -> tuple[str, str, str, int]:
        """What makes it one reading: case, arm, rater, repeat."""
        return self.case, self.arm, self.rater, self.repeat


def readings_of_folder(folder: Path) -> list[Reading]:
    """Return the masks in a folder and those below it.

    The rater is what follows the last underscore, the case what is before it, with the folders above the file.

    Raises
    ------
    InputError
        If there is no mask, or two files are the same reading.
    """
    suffixes = {suffix for form in FORMATS if form.writes_masks for suffix in form.suffixes}
    found = []
    for path in sorted(folder.rglob("*"), key=lambda p: [natural_key(Path(part)) for part in p.relative_to(folder).parts]):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if hidden or suffix_of(path) not in suffixes or not path.is_file():
            continue
        stem = stem_of(path)
        repeat = _REPEAT.search(stem)
        match = _NAME.fullmatch(_REPEAT.sub("", stem))
        if not match:
            continue
        parts = [*path.relative_to(folder).parts[:-1], *([match["case"]] if match["case"] else [])]
        found.append(Reading("/".join(parts) or folder.resolve().name, match["rater"], repeat=int(repeat[1]) if repeat else 1, path=path))
    if not found:
        raise InputError(f"{folder} holds no masks.", _LAYOUT)
    return _unique(found, folder.name)


def readings_of_table(table: Table, content: str) -> list[Reading]:
    """Return the rows of a table with the columns case and rater, and one that holds `content` ("path", "category" or "value").

    Raises
    ------
    InputError
        If a column or an entry is missing, a repeat is no number, or two rows are the same reading.
    """
    for column in ("case", "rater", content):
        table.require(column)
    found = []
    for row in table.rows:
        for column in ("case", "rater", *(("path",) if content == "path" else ())):
            if not row.values[column]:
                raise InputError(f"Line {row.line} of {table.path.name} names no {column}.", "Complete the row.")
        if lacks(row.values[content], content):
            continue
        found.append(
            Reading(
                row.values["case"],
                row.values["rater"],
                row.values.get("arm", ""),
                row.values.get("group", ""),
                _repeat(row, table),
                table.path.parent / row.values["path"] if content == "path" else None,
                row.values[content],
                row.line,
            )
        )
    if not found:
        raise InputError(f"{table.path.name} has no row with a {content}.", "Complete the table.")
    return _unique(found, table.path.name)


def lacks(cell: str, content: str) -> bool:
    """Return whether a cell says that a rater did not judge; "none" and "-" may be names of a category."""
    return cell.lower() in ("", "nan") if content == "category" else is_missing(cell)


def _repeat(row: Row, table: Table) -> int:
    cell = row.values.get("repeat", "") or "1"
    if not cell.isdigit() or int(cell) < 1:
        raise InputError(f"Line {row.line} of {table.path.name} has the repeat '{cell}'.", "Number repeats from 1.")
    return int(cell)


def _unique(readings: list[Reading], source: str) -> list[Reading]:
    seen: dict[tuple[str, str, str, int], Reading] = {}
    for reading in readings:
        before = seen.setdefault(reading.who, reading)
        if before is not reading:
            where = f"lines {before.line} and {reading.line}" if reading.line else f"{before.path} and {reading.path}"
            raise InputError(
                f"{source}: {where} are both reading {reading.repeat} of {reading.case} by {reading.rater}.", "Number repeats."
            )
    return readings


def pairs_of(readings: Iterable[Reading]) -> list[tuple[Reading, Reading, str]]:
    """Return the pairs of readings of one case that are compared, in the order of the readings.

    Two raters are compared in the same arm and repeat ("inter"), a rater's repeats with each other in the same arm ("intra").
    """
    pairs = []
    for a, b in combinations(readings, 2):
        if a.case != b.case or a.arm != b.arm:
            continue
        if a.rater == b.rater:
            pairs.append((a, b, "intra"))
        elif a.repeat == b.repeat:
            pairs.append((a, b, "inter"))
    return pairs
