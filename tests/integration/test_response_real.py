"""A follow-up of known motion and known growth, made from a real brain scan."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from napari_tumorseg.cli import main
from napari_tumorseg.core.case import MaskKind, MaskVersion
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.labels import preset
from napari_tumorseg.io.registry import read_image, read_mask, write_image, write_mask

Find = Callable[[str], Path]
CASE = "brain_mri/brats2018/Brats18_TCIA10_637_1"
#: Turn and offset of the head between the scans.
TURN_DEG, OFFSET_MM = 9.0, np.array([5.0, -8.0, 4.0])


def _motion() -> np.ndarray:
    """RAS millimetres at baseline to those at follow-up: about the axis (1, 2, 2) / 3."""
    axis, angle = np.array([1.0, 2.0, 2.0]) / 3, np.radians(TURN_DEG)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    matrix = np.eye(4)
    matrix[:3, :3] = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    matrix[:3, 3] = OFFSET_MM
    return matrix


def _sampled(data: np.ndarray, source: Grid, target: Grid, order: int) -> np.ndarray:
    """The baseline's values where the voxels of a grid at follow-up come from."""
    back = np.linalg.inv(_motion()) @ target.affine
    index = np.linalg.inv(source.affine) @ back
    return np.asarray(ndimage.affine_transform(data, index[:3, :3], index[:3, 3], target.shape, order=order))


def _ball(grid: Grid, centre: np.ndarray, radius: float) -> np.ndarray:
    places = grid.to_mm(np.indices(grid.shape).reshape(3, -1).T)
    return np.asarray((np.linalg.norm(places - centre, axis=1) <= radius).reshape(grid.shape))


@pytest.fixture
def scans(real_data: Find, tmp_path: Path) -> dict[str, Path]:
    """Images and masks of two visits on disk; the second head is turned, and lies in another grid."""
    folder = real_data(CASE)
    image = read_image(folder / "t1ce.nii.gz")
    mask = read_mask(folder / "seg.nii.gz", reference=image)
    thin = np.s_[::2, ::2, ::2]
    affine = image.grid.affine.copy()
    affine[:3, :3] *= 2
    data = ndimage.uniform_filter(image.data.astype(np.float32), 2)[thin]
    grid = Grid(data.shape, affine)  # type: ignore[arg-type]
    tumour = mask.schema.region_mask(mask.labels, "TC")[thin]
    parts, _ = ndimage.label(tumour)
    tumour = parts == 1 + int(np.argmax(np.bincount(parts[parts > 0])[1:]))
    places = {
        n: grid.to_mm(np.array(grid.shape) * at) for n, at in (("a", (0.6, 0.5, 0.76)), ("b", (0.6, 0.8, 0.66)), ("c", (0.6, 0.72, 0.3)))
    }
    away = {n: float(np.linalg.norm(grid.to_mm(np.argwhere(tumour)) - p, axis=1).min()) for n, p in places.items()}
    assert min(away.values()) > 20, away
    first = tumour | _ball(grid, places["a"], 9.0) | _ball(grid, places["b"], 8.0)
    # The tumour grows by 3 mm all round, A shrinks, B is gone, C is new.
    grown = ndimage.distance_transform_edt(~tumour, sampling=grid.spacing_mm) <= 3.0
    second = grown | _ball(grid, places["a"], 6.0) | _ball(grid, places["c"], 7.0)
    other = Grid.from_spacing((90, 110, 110), (2.2, 1.9, 1.9), "SPL")
    middle = _motion() @ [*grid.to_mm((np.array(grid.shape) - 1) / 2), 1.0]
    moved = other.affine.copy()
    moved[:3, 3] += middle[:3] - other.to_mm((np.array(other.shape) - 1) / 2)
    other = Grid(other.shape, moved)
    files = {}
    for visit, values, labels, where in (
        ("base", data, first, grid),
        ("later", _sampled(data, grid, other, 1), _sampled(second.astype(np.float32), grid, other, 1) >= 0.5, other),
    ):
        volume = replace(image, data=values.astype(np.float32), grid=where, source=None, name=visit)
        version = MaskVersion(labels.astype(np.uint8), where, preset("lesion"), MaskKind.RATER)
        files[visit] = write_image(tmp_path / f"{visit}.nii.gz", volume)
        files[f"{visit}_mask"] = write_mask(tmp_path / f"{visit}_mask.nii.gz", version)
    return files


def test_known_motion_and_growth_are_found(scans: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    masks = [str(scans["base_mask"]), str(scans["later_mask"])]
    images = ["--images", str(scans["base"]), "--images", str(scans["later"])]
    assert main(["response", *masks, *images, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    later = document["timepoints"][1]
    found = np.array(later["registration"]["matrix"])
    # Registration lays the follow-up onto the baseline: it undoes the motion.
    left = found @ _motion()
    turn = np.degrees(np.arccos(np.clip((np.trace(left[:3, :3]) - 1) / 2, -1, 1)))
    centre = np.array(document["timepoints"][0]["lesions"][0]["centroid_mm"])
    assert turn < 1.0
    assert np.linalg.norm(left[:3, :3] @ centre + left[:3, 3] - centre) < 2.0
    status = {tuple(row["tracks"]): row["status"] for row in later["lesions"]}
    assert status == {(1,): "grown", (2,): "shrunk", (4,): "new"}
    assert later["gone"] == [3]
    volumes = {track["track"]: [step["volume_ml"] for step in track["timepoints"]] for track in document["tracks"]}
    assert volumes[2][1] / volumes[2][0] == pytest.approx((6 / 9) ** 3, rel=0.12)
    assert volumes[3][1] == 0
    assert document["criteria"]["recist-1.1"]["timepoints"][1]["category"] == "PD"
    assert main(["response", *masks, "--json"]) == 0
    unregistered = json.loads(capsys.readouterr().out)["timepoints"][1]
    assert {tuple(row["tracks"]): row["status"] for row in unregistered["lesions"]} != status


def test_a_scan_against_itself_is_stable(scans: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    masks = [str(scans["later_mask"])] * 3
    assert main(["response", *masks, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {row["status"] for point in document["timepoints"][1:] for row in point["lesions"]} == {"unchanged"}
    assert [step["category"] for step in document["criteria"]["rano-bm"]["timepoints"]] == [None, "SD", "SD"]
