"""The list of a mask's lesions, for the table and for a file."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_tumorseg.annotation.review import LesionStatus
from napari_tumorseg.core.labels import LabelSchema
from napari_tumorseg.core.lesion import Lesion
from napari_tumorseg.core.settings import RESEARCH_USE_ONLY
from napari_tumorseg.io.atomic import atomic_write, make_folder

__all__ = ["LesionEntry", "total_text", "write_lesions"]


@dataclass(frozen=True)
class LesionEntry:
    """One line of the list.

    Attributes
    ----------
    lesion : Lesion
        As it is, or as it was when it was rejected.
    status : LesionStatus
        What was decided about it.
    by_hand_share : float, optional
        Share of its voxels that a person changed or added, 0 to 1; None where that is not known.
    """

    lesion: Lesion
    status: LesionStatus
    by_hand_share: float | None = None


def total_text(entries: Sequence[LesionEntry]) -> str:
    """Return how many lesions there are and how many have which status, in one line.

    Examples
    --------
    >>> row = Lesion(1, "WT", (0.0, 0.0, 0.0), 10.0, 10, (0, 0, 0), (1, 2, 5))
    >>> total_text([LesionEntry(row, LesionStatus.TODO), LesionEntry(row, LesionStatus.REJECTED)])
    '1 lesion: 1 to do; 1 rejected'
    """
    there = [entry for entry in entries if entry.status is not LesionStatus.REJECTED]
    states = [entry.status for entry in there]
    told = ", ".join(f"{states.count(status)} {status.value}" for status in LesionStatus if status in states)
    text = f"{len(there)} lesion{'' if len(there) == 1 else 's'}{': ' if told else ''}{told}"
    gone = len(entries) - len(there)
    return f"{text}; {gone} rejected" if gone else text


def write_lesions(entries: Sequence[LesionEntry], schema: LabelSchema, path: Path) -> Path:
    """Write the list as comma-separated values (CSV, UTF-8).

    The first line is the research-use notice after "# ", the second names the columns with their units. The list holds no name of
    a person or patient. Positions are RAS millimetres: x to the right, y to anterior, z to superior.

    Parameters
    ----------
    entries : sequence of LesionEntry
        In the order in which they are written.
    schema : LabelSchema
        Each of its labels gets a column.
    path : Path
        The file; replaced when it exists.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    header = ["lesion", "status", "region", "volume_ml", "longest_diameter_mm", "perpendicular_mm", "product_mm2"]
    header += ["centre_x_mm", "centre_y_mm", "centre_z_mm", "voxels", "by_hand_percent"]
    header += [f"{label.name}_ml" for label in schema.labels]
    make_folder(path.parent)
    with atomic_write(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        file.write(f"# {RESEARCH_USE_ONLY}\r\n")
        lines = csv.writer(file)
        lines.writerow(header)
        for entry in entries:
            row, sizes = entry.lesion, entry.lesion.diameters
            share = "" if entry.by_hand_share is None else f"{100 * entry.by_hand_share:.1f}"
            numbers = (sizes.longest_mm, sizes.perpendicular_mm, sizes.product_mm2, *row.centroid_mm)
            labels = (f"{row.labels_mm3.get(label.name, 0.0) / 1000:.6g}" for label in schema.labels)
            volume = f"{row.volume_mm3 / 1000:.6g}"
            lines.writerow([row.id, entry.status.value, row.region, volume, *(f"{v:.2f}" for v in numbers), row.voxels, share, *labels])
    return path
