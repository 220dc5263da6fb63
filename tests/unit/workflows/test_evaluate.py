from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_tumorseg.core.case import MaskKind, MaskVersion
from napari_tumorseg.core.errors import Cancelled, GeometryError, InputError
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.jobs import CancelToken, Progress
from napari_tumorseg.core.labels import preset
from napari_tumorseg.evaluation.segmentation.score import score_case
from napari_tumorseg.evaluation.segmentation.summary import summarise
from napari_tumorseg.io.registry import write_mask
from napari_tumorseg.workflows.evaluate import EvaluateRequest, evaluate, on_grid
from napari_tumorseg.workflows.evaluate_text import as_csv, as_text
from napari_tumorseg.workflows.evaluation_pairs import masks_in, pair_folders

GRID = Grid.from_spacing((16, 18, 20), (2.0, 1.0, 1.0), "SAR")


def labels(*starts: tuple[int, int, int], value: int = 3, size: int = 3) -> np.ndarray:
    out = np.zeros(GRID.shape, np.uint8)
    for start in starts:
        out[tuple(slice(s, s + size) for s in start)] = value
    return out


def write(path: Path, mask: np.ndarray, grid: Grid = GRID) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    schema = preset("brats-mets-2025")
    write_mask(path, MaskVersion(mask, grid, schema, MaskKind.REFERENCE))
    return path


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    one, two = labels((2, 2, 2), (9, 9, 9)), labels((4, 4, 4))
    write(tmp_path / "ref" / "Case-001-seg.nii.gz", one)
    write(tmp_path / "ref" / "Case-002-seg.nii.gz", two)
    write(tmp_path / "ref" / "Case-003-seg.nii.gz", two)
    write(tmp_path / "pred" / "001.nii.gz", one)
    write(tmp_path / "pred" / "Case-002_pred.nii.gz", labels((4, 4, 5)))
    write(tmp_path / "pred" / "Other-9.nii.gz", one)
    return tmp_path / "ref", tmp_path / "pred"


def test_a_pair_gives_the_scores_of_its_arrays(tmp_path: Path) -> None:
    reference, prediction = labels((2, 2, 2), (9, 9, 9)), labels((2, 2, 3), (12, 2, 2))
    request = EvaluateRequest(write(tmp_path / "a.nii.gz", reference), write(tmp_path / "b.nii.gz", prediction), "brats-mets-2024")
    document = evaluate(request)
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    expected = score_case(reference, prediction, GRID.spacing_mm, "brats-mets-2024", grid=GRID)
    for key, value in expected.items():
        assert document[key] == value, key
    assert document["regions"]["ET"]["n_fp"] == 1
    assert document["warnings"] == []
    text = as_text(document)
    assert "brats-mets-2024, version 1" in text
    assert "hd95_penalty_mm diagonal" in text
    rows = list(csv.DictReader(io.StringIO(as_csv(document))))
    assert [row["region"] for row in rows] == ["ET", "TC", "WT", "RC"]
    assert float(rows[0]["lesionwise_nsd_1.0"]) == expected["regions"]["ET"]["lesionwise_nsd"]["1.0"]


def test_folders_are_paired_and_averaged(folders: tuple[Path, Path]) -> None:
    document = evaluate(EvaluateRequest(*folders, "brats-mets-2023"))
    json.dumps(document, allow_nan=False)
    assert [case["case"] for case in document["cases"]] == ["Case-001", "Case-002", "Case-003"]
    assert [case["missing"] for case in document["cases"]] == [False, False, True]
    assert document["missing"] == ["Case-003"]
    assert document["extra"] == ["Other-9.nii.gz"]
    dices = [case["regions"]["ET"]["lesionwise_dice"] for case in document["cases"]]
    assert dices == [1.0, pytest.approx(2 / 3), 0.0]
    assert document["regions"]["ET"]["lesionwise_dice"] == pytest.approx(np.mean(dices))
    assert document["regions"]["ET"]["lesionwise_hd95"] == pytest.approx((0.0 + 1.0 + 374.0) / 3)
    assert document["n_scored"]["ET"]["dice"] == 3
    low, high = document["confidence_intervals"]["ET"]["lesionwise_dice"]
    assert 0.0 <= low < np.mean(dices) < high <= 1.0
    assert {row["case"] for row in document["lesions"]} == {"Case-001", "Case-002", "Case-003"}
    notes = " ".join(document["warnings"])
    assert "No prediction for Case-003: Dice 0, HD95 as the penalty" in notes
    assert "No reference for Other-9.nii.gz" in notes
    assert evaluate(EvaluateRequest(*folders, "brats-mets-2023")) == document
    rows = list(csv.DictReader(io.StringIO(as_csv(document))))
    assert [row["case"] for row in rows if row["region"] == "ET"] == ["Case-001", "Case-002", "Case-003", "mean", "ci_low", "ci_high"]
    assert "Means of 3 cases" in as_text(document)


def test_plain_leaves_missing_cases_out(folders: tuple[Path, Path]) -> None:
    document = evaluate(EvaluateRequest(*folders, "plain"))
    assert document["regions"]["3"]["dice"] == pytest.approx((1.0 + 2 / 3) / 2)
    assert document["n_scored"]["3"]["dice"] == 2
    assert "left out of the means" in " ".join(document["warnings"])
    as_text(document)


def test_other_grids_are_refused_or_resampled(tmp_path: Path) -> None:
    fine = Grid.from_spacing((32, 36, 40), (1.0, 0.5, 0.5), "SAR")
    fine = Grid(
        fine.shape, np.block([[fine.affine[:3, :3], (GRID.to_mm((-0.25, -0.25, -0.25)))[:, None]], [np.zeros((1, 3)), np.ones((1, 1))]])
    )
    mask = labels((2, 2, 2), (9, 9, 9))
    reference = write(tmp_path / "a.nii.gz", mask)
    prediction = write(tmp_path / "b.nii.gz", mask.repeat(2, 0).repeat(2, 1).repeat(2, 2), fine)
    request = EvaluateRequest(reference, prediction, "brats-mets-2024")
    with pytest.raises(GeometryError, match="--resample"):
        evaluate(request)
    document = evaluate(replace(request, resample=True))
    assert document["regions"]["ET"]["dice"] == 1.0
    assert "resampled" in document["warnings"][0]
    shifted = Grid(GRID.shape, GRID.affine + np.eye(4)[:, 3:] @ np.zeros((1, 4)) + np.array([[0, 0, 0, 5.0], [0] * 4, [0] * 4, [0] * 4]))
    write(tmp_path / "b.nii.gz", mask, shifted)
    with pytest.raises(GeometryError, match=r"mm apart.*--resample"):
        evaluate(request)


def test_a_turned_mask_of_the_same_voxels_is_no_other_grid(tmp_path: Path) -> None:
    mask = labels((2, 2, 2), (9, 9, 9))
    turned, move = GRID.reorient("IPL")
    reference = write(tmp_path / "a.nii.gz", mask)
    prediction = write(tmp_path / "b.nii.gz", np.ascontiguousarray(move.apply(mask)), turned)
    document = evaluate(EvaluateRequest(reference, prediction, "brats-mets-2024"))
    assert document["regions"]["ET"]["dice"] == 1.0
    assert document["warnings"] == []


def test_nearest_neighbour_takes_the_voxel_under_each_centre() -> None:
    rng = np.random.default_rng(0)
    source = MaskVersion(rng.integers(0, 5, GRID.shape).astype(np.uint8), GRID, preset("brats-mets-2025"), MaskKind.REFERENCE)
    target = Grid.from_spacing((9, 11, 7), (3.1, 1.7, 2.3), "SAR")
    placed, moved = on_grid(source, target, "a", "b", resample=True)
    assert moved
    index = np.stack(np.meshgrid(*(np.arange(n) for n in target.shape), indexing="ij"), axis=-1)
    at = np.floor(GRID.to_index(target.to_mm(index)) + 0.5).astype(int)
    inside = ((at >= 0) & (at < GRID.shape)).all(axis=-1)
    expected = np.where(inside, source.labels[tuple(np.where(inside[..., None], at, 0).transpose(3, 0, 1, 2))], 0)
    assert (placed.labels == expected).mean() > 0.999


def test_older_values_are_remapped_only_when_told(tmp_path: Path) -> None:
    reference = write(tmp_path / "a.nii.gz", labels((2, 2, 2)))
    prediction = write(tmp_path / "b.nii.gz", labels((2, 2, 2), value=4))
    request = EvaluateRequest(reference, prediction, "brats-mets-2023")
    with pytest.raises(InputError, match=r"b\.nii\.gz holds the value 4.*4=3"):
        evaluate(request)
    assert evaluate(replace(request, remap_prediction=((4, 3),)))["regions"]["ET"]["dice"] == 1.0


def test_a_four_without_a_three_is_remarked_on_where_it_means_the_cavity(tmp_path: Path) -> None:
    old = write(tmp_path / "old.nii.gz", labels((2, 2, 2), value=4))
    new = write(tmp_path / "new.nii.gz", labels((2, 2, 2)) | labels((9, 9, 9), value=4))
    warnings = evaluate(EvaluateRequest(new, old, "brats-mets-2024"))["warnings"]
    assert [note for note in warnings if "4 was enhancing" in note] == [
        note for note in warnings if note.startswith("old.nii.gz holds 4 and no 3")
    ]
    assert len(warnings) == 1


@pytest.mark.parametrize(("profile", "words"), [("brats-mets-2024", "Dice 1, HD95 0"), ("plain", "no score")])
def test_two_empty_masks_say_so(tmp_path: Path, profile: str, words: str) -> None:
    mask = write(tmp_path / "a.nii.gz", labels())
    document = evaluate(EvaluateRequest(mask, mask, profile))
    (warning,) = document["warnings"]
    assert f"both empty: {words}" in warning
    assert document["lesions"] == []
    assert words in as_text(document)
    as_csv(document)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"profile": "brats-mets-2025"}, "unpublished"),
        ({"profile": "nothing"}, "no profile"),
        ({"confidence": 1.0}, "confidence"),
        ({"reference": Path("nowhere.nii.gz")}, "does not exist"),
        ({"prediction": Path()}, "is a folder"),
    ],
)
def test_bad_requests_are_one_line(tmp_path: Path, change: dict, words: str) -> None:
    mask = write(tmp_path / "a.nii.gz", labels((2, 2, 2)))
    with pytest.raises(InputError, match=words) as caught:
        evaluate(replace(EvaluateRequest(mask, mask, "plain"), **change))
    assert "\n" not in str(caught.value)


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def test_names_are_paired_by_what_is_left_of_them(tmp_path: Path) -> None:
    references = touch(tmp_path / "r", "BraTS-MET-00132-000-seg.nii.gz", "BraTS-MET-01325-000-seg.nii.gz", "kidney_gt.nrrd", "plain.nii")
    predictions = touch(tmp_path / "p", "00132-000.nii.gz", "BraTS-MET_01325-000.nii.gz", "kidney.mha", "plain.nii", "notes.txt")
    pairs, extra = pair_folders(references, predictions)
    found = {pair.case: pair.prediction.name for pair in pairs if pair.prediction}
    assert found == {
        "BraTS-MET-00132-000": "00132-000.nii.gz",
        "BraTS-MET-01325-000": "BraTS-MET_01325-000.nii.gz",
        "kidney": "kidney.mha",
        "plain": "plain.nii",
    }
    assert extra == []


def test_case_folders_and_images_beside_masks(tmp_path: Path) -> None:
    references = touch(tmp_path / "r", "A/A-seg.nii.gz", "A/A-t1c.nii.gz", "A/A-t2f.nii.gz", "B/seg.nii.gz", "B/t1c.nii.gz")
    predictions = touch(tmp_path / "p", "A.nii.gz", "B.nii.gz")
    pairs, _ = pair_folders(references, predictions)
    assert [(p.case, p.prediction.name) for p in pairs if p.prediction] == [("A", "A.nii.gz"), ("B", "B.nii.gz")]
    assert [p.name for p in masks_in(references)] == ["A-seg.nii.gz", "seg.nii.gz"]


def test_names_that_fit_twice_or_never_are_refused(tmp_path: Path) -> None:
    references = touch(tmp_path / "r", "A-001-seg.nii.gz", "A-002-seg.nii.gz")
    with pytest.raises(InputError, match="both fit"):
        pair_folders(references, touch(tmp_path / "p", "a_001.nii.gz", "A.001_pred.nii.gz"))
    with pytest.raises(InputError, match="both fit"):
        pair_folders(touch(tmp_path / "r2", "A-001-seg.nii.gz", "B-001-seg.nii.gz"), touch(tmp_path / "p2", "001.nii.gz"))
    with pytest.raises(InputError, match="No file name"):
        pair_folders(references, touch(tmp_path / "q", "other.nii.gz"))
    with pytest.raises(InputError, match="holds no mask"):
        pair_folders(references, touch(tmp_path / "e", "table.csv"))


def test_a_stopped_evaluation_stops(folders: tuple[Path, Path]) -> None:
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        evaluate(EvaluateRequest(*folders, "plain"), Progress(cancel=token))


def test_means_leave_out_what_is_not_scored() -> None:
    rows = [{"ET": {"dice": 0.5, "small": {"f1": None}}}, {"ET": {"dice": None, "small": {"f1": 1.0}}}, {"RC": {"dice": None}}]
    found = summarise(rows)
    assert found["regions"] == {"ET": {"dice": 0.5, "small": {"f1": 1.0}}, "RC": {"dice": None}}
    assert found["n_scored"] == {"ET": {"dice": 1, "small_f1": 1}, "RC": {"dice": 0}}
    assert found["confidence_intervals"]["ET"] == {"dice": None, "small_f1": None}


def test_the_seed_decides_the_interval_and_nothing_else() -> None:
    rows = [{"ET": {"dice": float(v)}} for v in np.random.default_rng(0).random(30)]
    one, again, other = (summarise(rows, seed=seed) for seed in (0, 0, 1))
    assert one == again
    assert one["regions"] == other["regions"]
    assert one["confidence_intervals"] != other["confidence_intervals"]
    narrow = summarise(rows, confidence=0.5)["confidence_intervals"]["ET"]["dice"]
    low, high = one["confidence_intervals"]["ET"]["dice"]
    assert low < narrow[0] < one["regions"]["ET"]["dice"] < narrow[1] < high
