"""``tumorseg study export``: the tables of a study as CSV and Parquet, and its masks."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_tumorseg.core.jobs import Progress

if TYPE_CHECKING:
    from napari_tumorseg.annotation.study.store import StudyStore

__all__ = ["ExportRequest", "export_study", "write_rows"]

_TABLES = ("tasks", "events", "versions", "ratings", "comments", "audit", "planted")


@dataclass(frozen=True)
class ExportRequest:
    """What is written, and where.

    Attributes
    ----------
    study : str
        Folder, or URL of the database.
    out : Path
        Folder; files of the same names are replaced.
    masks : bool
        Whether each version of each mask is written as NIfTI, named by its id; only once the data are locked, where arms are compared.
    lock : bool
        Lock the data first: nothing is added any more, and arms are shown.
    incomplete : bool
        Lock although tasks are not done.
    by : str
        Who locks.
    files : Path, optional
        See `StudyStore.open`.
    """

    study: str
    out: Path
    masks: bool = False
    lock: bool = False
    incomplete: bool = False
    by: str = ""
    files: Path | None = None


def export_study(request: ExportRequest, progress: Progress | None = None) -> dict[str, Any]:
    """Write tasks, events, versions, ratings, comments, audit log and planted errors.

    Returns
    -------
    dict
        ``rows`` by table, ``files``, ``locked``, and ``notice`` where arms are still hidden.
    """
    from napari_tumorseg.annotation.study.store import StudyStore
    from napari_tumorseg.core.errors import InputError
    from napari_tumorseg.io.atomic import make_folder

    progress = progress or Progress()
    with StudyStore.open(request.study, files=request.files) as study:
        if request.lock and not study.locked:
            study.lock(request.by, incomplete=request.incomplete)
        hidden = study.protocol.is_comparison and not study.locked
        if request.masks and hidden:
            raise InputError("Masks are given out once the data are locked.", "Lock them with --lock, or leave out --masks.")
        make_folder(request.out)
        counts: dict[str, int] = {}
        files: list[str] = []
        for number, table in enumerate(_TABLES):
            progress.update(number / len(_TABLES), f"Writing {table}")
            if table == "planted" and hidden:
                continue
            rows = study.rows(table)
            counts[table] = len(rows)
            files += [str(path) for path in write_rows(rows, request.out, table)]
        if request.masks:
            files += _masks(study, request.out / "masks")
        notice = "The data are not locked: arms, and what would tell them, are left out." if hidden else ""
        return {"rows": counts, "files": files, "locked": study.locked, "notice": notice}


def write_rows(rows: Sequence[Mapping[str, Any]], out: Path, table: str) -> tuple[Path, Path]:
    """Write rows as ``TABLE.csv`` and ``TABLE.parquet`` into a folder; mappings and lists become JSON.

    Columns are those of all rows, in the order in which they first occur.
    """
    import pyarrow as pa
    from pyarrow import parquet

    from napari_tumorseg.io.atomic import atomic_write

    columns = list(dict.fromkeys(name for row in rows for name in row))
    plain = [{name: _plain(row.get(name)) for name in columns} for row in rows]
    target, packed = out / f"{table}.csv", out / f"{table}.parquet"
    with atomic_write(target) as part, part.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, columns)
        writer.writeheader()
        writer.writerows(plain)
    with atomic_write(packed) as part:
        parquet.write_table(pa.table({name: [row[name] for row in plain] for name in columns}), part)
    return target, packed


def _plain(value: Any) -> Any:
    """Return what a cell holds: a mapping or list as JSON."""
    return json.dumps(value, sort_keys=True) if isinstance(value, dict | list | tuple) else value


def _masks(study: StudyStore, folder: Path) -> list[str]:
    from napari_tumorseg.io.atomic import make_folder
    from napari_tumorseg.io.registry import write_mask

    make_folder(folder)
    return [str(write_mask(folder / f"{row['version']}.nii.gz", study.mask(row["version"]))) for row in study.rows("versions")]
