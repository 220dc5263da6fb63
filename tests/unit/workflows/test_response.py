from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from napari_tumorseg.cli import main
from napari_tumorseg.core.case import MaskKind, MaskVersion
from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.labels import preset
from napari_tumorseg.workflows.response import ResponseOptions, VisitMask, respond_to_visits
from napari_tumorseg.workflows.response_text import as_text

SPACING = (3.0, 1.0, 1.0)
SHAPE = (16, 60, 60)


def _balls(*balls: tuple[tuple[float, float, float], float], value: int = 3) -> np.ndarray:
    """Balls of a centre (z, y, x) in voxels and a radius in mm."""
    labels = np.zeros(SHAPE, np.uint8)
    at = np.indices(SHAPE)
    for centre, radius in balls:
        square = sum(((a - c) * s) ** 2 for a, c, s in zip(at, centre, SPACING, strict=True))
        labels[square <= radius**2] = value
    return labels


def _visit(name: str, labels: np.ndarray, moved: Grid | None = None) -> VisitMask:
    mask = MaskVersion(labels, Grid.from_spacing(SHAPE, SPACING), preset("brats-mets-2025"), MaskKind.RATER)
    return VisitMask(name, mask, moved)


BASE = (((8, 15, 15), 9.0), ((8, 40, 40), 7.0), ((4, 50, 10), 2.0))


def test_a_series_gives_lesions_tracks_and_categories_as_json() -> None:
    later = (((8, 15, 15), 5.0), ((8, 40, 40), 4.6))
    last = (((8, 15, 15), 5.0), ((8, 40, 40), 4.6), ((12, 10, 50), 3.0))
    visits = [_visit(name, _balls(*balls)) for name, balls in (("base", BASE), ("one", later), ("two", last))]
    document = respond_to_visits(visits)
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert document["region"] == "TC"
    assert [[row["status"] for row in point["lesions"]] for point in document["timepoints"]] == [
        ["baseline"] * 3,
        ["shrunk", "shrunk"],
        ["unchanged", "unchanged", "new"],
    ]
    assert document["timepoints"][1]["gone"] == [3]
    assert [[step["status"] for step in track["timepoints"]] for track in document["tracks"]] == [
        ["baseline", "shrunk", "unchanged"],
        ["baseline", "shrunk", "unchanged"],
        ["baseline", "gone", "gone"],
        ["not yet", "not yet", "new"],
    ]
    volumes = [step["volume_ml"] for step in document["tracks"][0]["timepoints"]]
    assert volumes[0] == pytest.approx((_balls(BASE[0]) > 0).sum() * 3 / 1000)
    assert volumes[1] < volumes[0]
    assert [step["category"] for step in document["criteria"]["recist-1.1"]["timepoints"]] == [None, "PR", "PD"]
    bm = document["criteria"]["rano-bm"]["timepoints"]
    assert [step["category"] for step in bm] == [None, "PR", "PD"]
    assert bm[1]["basis"] == "imaging component only"
    # The sum is that of the lesions' own longest diameters, in which the third, 4 mm across, has no part.
    rows = document["timepoints"][0]["lesions"]
    assert document["criteria"]["recist-1.1"]["targets"] == [1, 2]
    assert document["criteria"]["recist-1.1"]["timepoints"][0]["sum"] == rows[0]["longest_mm"] + rows[1]["longest_mm"]
    text = as_text(document)
    assert "RECIST 1.1: targets 1, 2" in text
    assert "imaging component only" in text


def test_the_same_scan_again_is_unchanged_and_stable() -> None:
    document = respond_to_visits([_visit("a", _balls(*BASE)), _visit("b", _balls(*BASE))])
    assert {row["status"] for row in document["timepoints"][1]["lesions"]} == {"unchanged"}
    for found in document["criteria"].values():
        expected = "SD" if found["targets"] else "Non-CR/Non-PD"
        assert found["timepoints"][1]["category"] == expected
        assert found["timepoints"][1]["change_from_baseline"] in (0.0, None)


def test_what_moved_with_the_head_is_the_same_lesion() -> None:
    turned = np.array([[0.0, -1, 0, 30], [1, 0, 0, -20], [0, 0, 1, 5], [0, 0, 0, 1]])
    base = _visit("base", _balls(*BASE))
    assert base.mask is not None
    moved = MaskVersion(base.mask.labels, Grid(SHAPE, turned @ base.mask.grid.affine), base.mask.schema, MaskKind.RATER)
    unregistered = respond_to_visits([base, VisitMask("b", moved)])
    assert {row["status"] for row in unregistered["timepoints"][1]["lesions"]} != {"unchanged"}
    back = Grid(SHAPE, np.linalg.inv(turned) @ moved.grid.affine)
    document = respond_to_visits([base, VisitMask("b", moved, back)])
    assert [row["tracks"] for row in document["timepoints"][1]["lesions"]] == [[1], [2], [3]]
    assert {row["status"] for row in document["timepoints"][1]["lesions"]} == {"unchanged"}


def test_options_are_used_and_checked() -> None:
    visits = [_visit("a", _balls(*BASE)), _visit("b", _balls(*BASE)), VisitMask("c", None)]
    document = respond_to_visits(
        visits, ResponseOptions(smallest_mm3=100.0, targets=(2,), steroids=("none", "none"), clinical=("stable", "worse"))
    )
    assert len(document["timepoints"][0]["lesions"]) == 2
    assert document["criteria"]["rano-bm"]["targets"] == [2]
    assert [step["category"] for step in document["criteria"]["rano-bm"]["timepoints"]] == [None, "SD", "PD"]
    assert [step["category"] for step in document["criteria"]["recist-1.1"]["timepoints"]] == [None, "SD", "NE"]
    assert document["timepoints"][2]["total_volume_ml"] is None
    for options, said in (
        (ResponseOptions(steroids=("none",)), "entries of steroids"),
        (ResponseOptions(clinical=("fine", "fine")), "clinical status"),
        (ResponseOptions(non_target_progression=(3,)), "no follow-up 3"),
        (ResponseOptions(region="XX"), "no region"),
        (ResponseOptions(targets=(3,)), "Lesion 3"),
    ):
        with pytest.raises(InputError, match=said):
            respond_to_visits(visits, options)
    with pytest.raises(InputError, match="baseline"):
        respond_to_visits(visits[:1])
    with pytest.raises(InputError, match="first time point has no mask"):
        respond_to_visits([visits[2], visits[0]])


def test_empty_masks_are_no_error() -> None:
    empty = np.zeros(SHAPE, np.uint8)
    document = respond_to_visits([_visit("a", empty), _visit("b", empty)])
    assert document["criteria"]["recist-1.1"]["timepoints"][1]["category"] == "NE"
    assert respond_to_visits([_visit("a", empty), _visit("b", _balls(*BASE))])["criteria"]["rano"]["timepoints"][1]["category"] == "PD"
    assert respond_to_visits([_visit("a", _balls(*BASE)), _visit("b", empty)])["criteria"]["rano-bm"]["timepoints"][1]["category"] == "CR"


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, balls in (("2024-01-10_seg", BASE), ("2024-04-09_seg", BASE[:2])):
        nib.Nifti1Image(_balls(*balls).T, np.diag([1.0, 1.0, 3.0, 1.0])).to_filename(tmp_path / f"{name}.nii.gz")
    files = [str(tmp_path / "2024-01-10_seg.nii.gz"), str(tmp_path / "2024-04-09_seg.nii.gz")]
    assert main(["response", *files, "-", "--json", "--steroids", "none,none", "--clinical", "stable,stable"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [point["days"] for point in document["timepoints"]] == [0, 90, None]
    assert [step["category"] for step in document["criteria"]["rano-bm"]["timepoints"]] == [None, "SD", "NE"]
    assert main(["response", *files]) == 0
    assert "gone" in capsys.readouterr().out
    for bad in ([files[0]], [*files, "--steroids", "lots"], [*files, "--images", files[0]], [*files, str(tmp_path / "none.nii.gz")]):
        assert main(["response", *bad]) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert "Traceback" not in said


def test_a_folder_of_dated_visits_is_registered_and_followed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    at = np.indices(SHAPE)
    head = sum(((a - c) / r) ** 2 for a, c, r in zip(at, (8, 30, 28), (8, 26, 22), strict=True)) < 1
    lumps = sum(((a - c) * s) ** 2 for a, c, s in zip(at, (7, 22, 20), SPACING, strict=True)) < 100
    image = (head * (300 + 150 * lumps) + rng.normal(0, 3, SHAPE)).astype(np.float32)
    for day, balls, shift in (("2024-01-10", BASE, 0.0), ("2024-03-01", BASE[:2], 6.0)):
        folder = tmp_path / "case" / day
        folder.mkdir(parents=True)
        affine = np.diag([1.0, 1.0, 3.0, 1.0])
        affine[0, 3] = shift
        nib.Nifti1Image(image.T, affine).to_filename(folder / "t1c.nii.gz")
        nib.Nifti1Image(_balls(*balls).T, affine).to_filename(folder / "seg.nii.gz")
    nib.Nifti1Image(_balls().T, affine).to_filename(folder / "tumour_mask.nii.gz")
    assert main(["response", str(tmp_path / "case"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    first, second = document["timepoints"]
    assert document["warnings"] == ["2024-03-01 has more than one mask; seg was followed, not tumour_mask."]
    assert (first["date"], second["date"], second["days"]) == ("2024-01-10", "2024-03-01", 51)
    assert second["registration"]["image"] == "T1c"
    assert second["registration"]["offset_mm"] == pytest.approx([-6.0, 0.0, 0.0], abs=0.7)
    assert [row["status"] for row in second["lesions"]] == ["unchanged", "unchanged"]
    assert second["gone"] == [3]


def test_masks_of_different_schemas_are_told_and_one_can_be_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = []
    for name, value in (("a", 4), ("b", 3)):
        labels = _balls(*BASE, value=value)
        labels[0, 0, 0] = 2
        nib.Nifti1Image(labels.T, np.diag([1.0, 1.0, 3.0, 1.0])).to_filename(tmp_path / f"{name}.nii.gz")
        paths.append(str(tmp_path / f"{name}.nii.gz"))
    old = MaskVersion(_balls(*BASE, value=4), Grid.from_spacing(SHAPE, SPACING), preset("brats-2018"), MaskKind.RATER)
    document = respond_to_visits([VisitMask("a", old), _visit("b", _balls(*BASE))])
    assert any("different label schemas" in warning for warning in document["warnings"])
    assert {row["status"] for row in document["timepoints"][1]["lesions"]} == {"unchanged"}
    assert main(["response", paths[0], paths[0], "--schema", "brats-2018", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["timepoints"][0]["lesions"]) == 3
    assert found["warnings"] == []
    assert main(["response", *paths, "--schema", "brats-2018"]) == 2
    assert "3" in capsys.readouterr().err
