from __future__ import annotations

import itertools

import numpy as np
import pytest

from napari_tumorseg.core.grid import Box, Grid
from napari_tumorseg.core.volume import Volume
from napari_tumorseg.workflows.scene import PLANES, Scene

ORIENTATIONS = ["".join(codes) for axes in itertools.permutations(("LR", "PA", "IS")) for codes in itertools.product(*axes)]


def test_there_are_48_orientations():
    assert len(set(ORIENTATIONS)) == 48


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_every_orientation_is_shown_in_radiological_convention(orientation):
    grid = Grid.from_spacing((4, 5, 6), (3.0, 2.0, 1.0), orientation)
    values = np.arange(120, dtype=np.uint8).reshape(4, 5, 6)
    scene = Scene(grid)
    shown = scene.to_scene(values)
    # Oracle: the voxel at each patient position must sit where that position belongs on screen.
    for index in itertools.product(*map(range, shown.shape)):
        x, y, z = scene.grid.to_mm(index)
        own = np.rint(grid.to_index((x, y, z))).astype(int)
        assert values[tuple(own)] == shown[index]
    down, back, left = scene.grid.to_mm((1, 0, 0)), scene.grid.to_mm((0, 1, 0)), scene.grid.to_mm((0, 0, 1))
    first = scene.grid.to_mm((0, 0, 0))
    assert (down - first)[2] < 0
    assert (back - first)[1] < 0
    assert (left - first)[0] < 0
    assert np.array_equal(scene.from_scene(shown), values)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_box_is_the_same_voxels_in_both_axes(orientation):
    grid = Grid.from_spacing((4, 5, 6), (3.0, 2.0, 1.0), orientation)
    values = np.arange(120, dtype=np.uint8).reshape(4, 5, 6)
    scene = Scene(grid)
    box = Box((1, 2, 0), (3, 4, 5))
    there = scene.box_to_scene(box)
    assert np.array_equal(scene.to_scene(values)[there.slices], scene.to_scene(np.asarray(values[box.slices])))
    assert scene.box_from_scene(there) == box


def test_world_coordinates_are_the_patients_for_a_straight_image():
    affine = np.array([[0, 0, 2.0, 10], [0, 1.0, 0, -20], [3.0, 0, 0, 30], [0, 0, 0, 1]])
    scene = Scene(Grid((4, 5, 6), affine))
    assert scene.to_world((10.0, -20.0, 30.0)) == pytest.approx((-30.0, 20.0, -10.0))
    assert scene.to_patient((-30.0, 20.0, -10.0)) == pytest.approx((10.0, -20.0, 30.0))


def test_world_round_trip_on_an_oblique_image():
    angle = np.radians(25)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag((1.0, 2.0, 3.0))
    affine[:3, 3] = (5, -7, 11)
    scene = Scene(Grid((4, 5, 6), affine))
    points = np.random.default_rng(0).normal(size=(10, 3)) * 20
    assert scene.to_patient(scene.to_world(points)) == pytest.approx(points)


@pytest.mark.parametrize(("plane", "expected"), [("axial", "RLAP"), ("coronal", "RLSI"), ("sagittal", "APSI")])
def test_edge_letters(plane, expected):
    letters = Scene(Grid.from_spacing((2, 2, 2), (1, 1, 1), "SPL")).letters(plane)
    assert letters.left + letters.right + letters.top + letters.bottom == expected
    assert set(PLANES[plane]) == {0, 1, 2}


def test_pictures_of_colour_complex_and_named_channels():
    grid = Grid.from_spacing((2, 3, 4), (1, 1, 1), "IPL")
    scene = Scene(grid)
    colour = Volume(np.zeros((3, 2, 3, 4), np.uint8), grid, channels=("R", "G", "B"))
    ((_, picture, rgb),) = scene.pictures(colour)
    assert rgb
    assert picture.shape == (2, 3, 4, 3)
    ((_, picture, rgb),) = scene.pictures(Volume(np.full((2, 3, 4), 3 + 4j, np.complex64), grid))
    assert not rgb
    assert np.all(picture == 5)
    two = scene.pictures(Volume(np.stack([np.zeros((2, 3, 4)), np.ones((2, 3, 4))]), grid, channels=("b0", "b1000")))
    assert [(name, float(p.mean())) for name, p, _ in two] == [("b0", 0.0), ("b1000", 1.0)]


def test_the_reference_is_shown_without_a_copy():
    grid = Grid.from_spacing((2, 3, 4), (1, 1, 1), "SAR")
    data = np.zeros((2, 3, 4), np.float32)
    ((_, picture, _),) = Scene(grid).pictures(Volume(data, grid))
    assert np.shares_memory(picture, data)
