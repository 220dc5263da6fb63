"""Registration of a prior study against rigid transforms that are known, on a phantom and on a real head."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from napari_tumorseg.core.case import Case, MaskKind, MaskVersion, TimePoint
from napari_tumorseg.core.errors import Cancelled, InputError
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.jobs import CancelToken, Progress
from napari_tumorseg.core.labels import preset
from napari_tumorseg.core.volume import Volume
from napari_tumorseg.inference.resample import resample
from napari_tumorseg.io.cases import read_case
from napari_tumorseg.phantoms.brain import make_brain_phantom, tiny
from napari_tumorseg.workflows.prior import align_prior, carry_mask, prior_index
from napari_tumorseg.workflows.prior_registration import PriorRequest, foreground, register


def rigid(angles_deg, shift_mm, about_mm):
    """Return the 4 x 4 matrix of a rotation about a point and a shift."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", angles_deg, degrees=True).as_matrix()
    matrix[:3, 3] = np.array(about_mm) + shift_mm - matrix[:3, :3] @ about_mm
    return matrix


@pytest.fixture(scope="module")
def phantom():
    return make_brain_phantom(tiny(3, shape=(64, 76, 62), spacing_mm=(2.5, 2.5, 2.5)))


def moved_copy(volume, motion, grid, seed=0):
    """Return the head moved by `motion`, scanned on another grid with other gain and noise."""
    values = resample(volume.data.astype(np.float32), Grid(volume.grid.shape, motion @ volume.grid.affine), grid)
    noise = np.random.default_rng(seed).normal(0, 0.03 * np.percentile(values, 99), values.shape)
    return Volume((1.4 * values + noise + 50).astype(np.float32), grid, volume.modality, name="moved")


def error_mm(found, motion, volume):
    """Return the largest distance by which a voxel of the head misses its place."""
    points = volume.grid.to_mm(np.argwhere(foreground(volume.data))[::101])
    there = points @ motion[:3, :3].T + motion[:3, 3]
    back = there @ found.matrix[:3, :3].T + found.matrix[:3, 3]
    return float(np.linalg.norm(back - points, axis=1).max())


@pytest.mark.parametrize(
    ("angles", "shift"),
    [((4, -6, 3), (5, -7, 6)), ((0.5, 0, -0.4), (0.6, 0.2, -0.4)), ((-14, 11, 16), (18, -12, 25))],
)
def test_a_known_motion_is_found_to_half_a_millimetre(phantom, angles, shift):
    volume = phantom.volumes["T1c"]
    motion = rigid(angles, shift, volume.grid.to_mm(np.array(volume.shape) / 2))
    # Thicker slices, other axes, another field of view.
    other = Grid.from_spacing((50, 90, 84), (4.0, 2.2, 2.2), "SPL")
    affine = other.affine.copy()
    affine[:3, 3] += volume.grid.to_mm(np.array(volume.shape) / 2) - other.to_mm(np.array(other.shape) / 2)
    moving = moved_copy(volume, motion, Grid(other.shape, affine))
    found = register(volume, moving)
    assert found.improved
    assert error_mm(found, motion, volume) < 0.5
    assert np.allclose(found.matrix[:3, :3] @ found.matrix[:3, :3].T, np.eye(3), atol=1e-9)
    assert found.rotation_deg == pytest.approx(np.degrees(Rotation.from_euler("xyz", angles, degrees=True).magnitude()), abs=0.4)


def test_other_contrast_and_the_same_answer_twice(phantom):
    volume = phantom.volumes["T1c"]
    motion = rigid((3, 5, -4), (4, 3, -6), volume.grid.to_mm(np.array(volume.shape) / 2))
    moving = moved_copy(phantom.volumes["T2"], motion, volume.grid)
    once, again = register(volume, moving), register(volume, moving)
    assert error_mm(once, motion, volume) < 0.8
    # Threads add up in any order.
    assert np.allclose(once.matrix, again.matrix, rtol=0, atol=1e-6)


def test_a_registered_pair_stays_where_it_is(phantom):
    volume = phantom.volumes["T1c"]
    found = register(volume, moved_copy(volume, np.eye(4), volume.grid))
    assert error_mm(found, np.eye(4), volume) < 0.2


def test_a_real_head_against_a_turned_and_noisy_copy_of_itself(real_data):
    folder = real_data("brain_mri/brats_met_00110")
    volume = read_case([folder / "t1c.nii.gz"]).latest.volumes["T1c"]
    motion = rigid((7, -5, 6), (6, -9, 5), volume.grid.to_mm(np.array(volume.shape) / 2))
    found = register(volume, moved_copy(volume, motion, volume.grid))
    assert error_mm(found, motion, volume) < 0.5


def test_an_empty_image_says_so():
    blank = Volume(np.zeros((8, 8, 8)), Grid.from_spacing((8, 8, 8), (1, 1, 1)), "T1", name="t1.nii")
    with pytest.raises(InputError, match=r"t1\.nii is empty"):
        register(blank, blank)


def test_it_is_stopped_within_an_iteration(phantom):
    volume = phantom.volumes["T1c"]
    token = CancelToken()
    seen = []

    def report(state):
        seen.append(state.fraction)
        if state.fraction > 0.3:
            token.cancel()

    with pytest.raises(Cancelled):
        register(volume, volume, progress=Progress(report, token))
    assert max(seen) < 0.6


def visit(phantom, date, names=("T1c", "FLAIR")):
    return TimePoint({n: phantom.volumes[n] for n in names}, {"seg": (phantom.labels,)}, date)


def test_all_of_a_visit_moves_with_it(phantom):
    volume = phantom.volumes["T1c"]
    motion = rigid((3, -2, 4), (5, 4, -6), volume.grid.to_mm(np.array(volume.shape) / 2))
    there = Grid(volume.grid.shape, motion @ volume.grid.affine)
    # The same voxels at another place: the exact prior.
    prior = TimePoint(
        {n: replace(phantom.volumes[n], grid=there) for n in ("T1c", "FLAIR")},
        {"seg": (replace(phantom.labels, grid=there),)},
        dt.date(2024, 1, 31),
    )
    study = align_prior(visit(phantom, None), prior, PriorRequest())
    assert (study.sequence, study.title, study.notes) == ("T1c", "Prior 2024-01-31", ())
    corners = np.array([(0, 0, 0), np.array(volume.shape) - 1])
    for moved in (*study.point.volumes.values(), study.newest_mask()[1]):
        assert np.linalg.norm(moved.grid.to_mm(corners) - volume.grid.to_mm(corners), axis=1).max() < 0.5
    assert study.point.volumes["FLAIR"].data is phantom.volumes["FLAIR"].data
    carried = carry_mask(study.newest_mask()[1], phantom.grid)
    # A quarter of a voxel moves few of them.
    for value in np.unique(phantom.labels.labels)[1:]:
        ours, theirs = carried == value, phantom.labels.labels == value
        assert 2 * (ours & theirs).sum() / (ours.sum() + theirs.sum()) > 0.9


def test_visits_without_a_sequence_in_common(phantom):
    study = align_prior(visit(phantom, None, ("T1c",)), visit(phantom, None, ("FLAIR",)))
    assert study.title == "Prior"
    assert study.notes[0] == "The visits share no sequence; FLAIR of the prior was registered to T1c."


def test_a_visit_without_a_plain_image_says_so(phantom):
    grid = Grid.from_spacing((4, 4, 4), (1, 1, 1))
    colour = TimePoint({"RGB": Volume(np.zeros((3, 4, 4, 4), np.uint8), grid, channels=("R", "G", "B"))})
    with pytest.raises(InputError, match="no plain image"):
        align_prior(visit(phantom, None), colour)


def test_which_visit_is_the_prior(phantom):
    case = Case("phantom", tuple(visit(phantom, dt.date(2024, month, 1)) for month in (1, 2, 3)))
    assert [prior_index(case, i) for i in (-1, 0, 1, 2)] == [1, None, 0, 1]


def version(labels, grid):
    return MaskVersion(labels, grid, preset("brats-mets-2025"), MaskKind.REFERENCE)


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_a_mask_on_its_own_grid_is_itself(seed):
    grid = Grid.from_spacing((5, 6, 7), (3, 1, 1))
    labels = np.random.default_rng(seed).choice([0, 0, 0, 1, 3], (5, 6, 7)).astype(np.uint8)
    assert np.array_equal(carry_mask(version(labels, grid), grid), labels)


def test_a_carried_ball_keeps_its_volume_and_place():
    source = Grid.from_spacing((30, 60, 60), (3, 1, 1))
    z, y, x = np.indices(source.shape)
    away = np.sqrt((3 * (z - 15)) ** 2 + (y - 30) ** 2 + (x - 30) ** 2)
    labels = np.where(away < 9, 3, np.where(away < 17, 2, 0)).astype(np.uint8)
    motion = rigid((10, 20, 30), (2, 1, 3), source.to_mm((15, 30, 30)))
    target = Grid.from_spacing((90, 70, 70), (1, 1, 1))
    carried = carry_mask(version(labels, Grid(source.shape, motion @ source.affine)), target)
    for value in (2, 3):
        expected_ml = float((labels == value).sum()) * source.voxel_volume_mm3
        assert (carried == value).sum() * target.voxel_volume_mm3 == pytest.approx(expected_ml, rel=0.08)
    middle = target.to_mm(np.argwhere(carried).mean(axis=0))
    assert middle == pytest.approx(motion[:3, :3] @ source.to_mm((15, 30, 30)) + motion[:3, 3], abs=0.5)


def test_a_mask_out_of_sight_gives_an_empty_one():
    grid = Grid.from_spacing((4, 4, 4), (1, 1, 1))
    far = grid.affine.copy()
    far[:3, 3] = 1000
    labels = np.ones((4, 4, 4), np.uint8)
    assert not carry_mask(version(labels, Grid((4, 4, 4), far)), grid).any()
    assert not carry_mask(version(0 * labels, grid), grid).any()
