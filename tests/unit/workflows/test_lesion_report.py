from __future__ import annotations

import csv

import numpy as np
import pytest

from napari_tumorseg.annotation.review import LesionStatus
from napari_tumorseg.core.errors import OutputError
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.labels import preset
from napari_tumorseg.evaluation.lesions import find_lesions
from napari_tumorseg.workflows.lesion_report import LesionEntry, total_text, write_lesions

METS = preset("brats-mets-2025")


def entries() -> list[LesionEntry]:
    labels = np.zeros((4, 10, 20), np.uint8)
    labels[1, 2:6, 2:12] = 3
    labels[1, 2, 2:4] = 1
    labels[3, 8, 18] = 2
    big, small = find_lesions(labels, Grid.from_spacing(labels.shape, (5.0, 1.0, 2.0)), METS)
    return [LesionEntry(big, LesionStatus.ACCEPTED, 0.25), LesionEntry(small, LesionStatus.REJECTED)]


def test_the_file_holds_what_the_table_shows(tmp_path) -> None:
    path = write_lesions(entries(), METS, tmp_path / "new" / "lesions.csv")
    text = path.read_text(encoding="utf-8")
    notice, rest = text.split("\n", 1)
    assert notice.startswith("# Research use only")
    first, second = csv.DictReader(rest.splitlines())
    assert (first["lesion"], first["status"], first["region"], first["voxels"]) == ("1", "accepted", "WT", "40")
    assert float(first["volume_ml"]) == pytest.approx(0.4)
    assert float(first["ET_ml"]) == pytest.approx(0.38)
    assert float(first["NETC_ml"]) == pytest.approx(0.02)
    assert float(first["SNFH_ml"]) == 0
    longest, across = float(first["longest_diameter_mm"]), float(first["perpendicular_mm"])
    assert longest == pytest.approx(np.hypot(20.0, 3.0), abs=0.01) or longest == pytest.approx(np.hypot(18.0, 4.0), abs=0.01)
    assert float(first["product_mm2"]) == pytest.approx(longest * across, rel=0.01)
    assert float(first["centre_z_mm"]) == 5.0
    assert first["by_hand_percent"] == "25.0"
    assert (second["status"], second["by_hand_percent"]) == ("rejected", "")
    assert float(second["volume_ml"]) == pytest.approx(0.01)


def test_a_place_that_cannot_be_written_is_told(tmp_path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="is a file, not a folder"):
        write_lesions(entries(), METS, tmp_path / "file" / "lesions.csv")


def test_totals_count_rejected_ones_apart() -> None:
    assert total_text(entries()) == "1 lesion: 1 accepted; 1 rejected"
    assert total_text([]) == "0 lesions"
