"""Contours to voxels, against points in polygons."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import points_in_poly

from napari_tumorseg.core.case import MaskKind, Review
from napari_tumorseg.core.errors import GeometryError, InputError
from napari_tumorseg.core.labels import preset
from napari_tumorseg.core.volume import Volume
from napari_tumorseg.io.dicom import read_series
from napari_tumorseg.io.rtstruct import fill_contours, read_rtstruct

# --- filling ------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.floats(-3, 14), st.floats(-3, 16)), min_size=3, max_size=12))
def test_fill_is_even_odd_at_pixel_centres(corners: list[tuple[float, float]]) -> None:
    polygon = np.array(corners) + np.array([0.000123, 0.000231])  # off the centres, where rules differ
    shape = (12, 13)
    centres = np.stack(np.indices(shape), axis=-1).reshape(-1, 2)
    expected = points_in_poly(centres, polygon).reshape(shape)  # skimage: even-odd by crossing number
    np.testing.assert_array_equal(fill_contours([polygon], shape), expected)


def test_shared_edges_never_share_pixels() -> None:
    left = np.array([[0, 0], [0, 3], [6, 3], [6, 0]], float)
    right = np.array([[0, 3], [0, 6], [6, 6], [6, 3]], float)
    a, b = fill_contours([left], (8, 8)), fill_contours([right], (8, 8))
    assert not (a & b).any()
    assert (a | b).sum() == 36


def test_inner_contour_cuts_a_hole() -> None:
    outer = np.array([[0.5, 0.5], [0.5, 9.5], [9.5, 9.5], [9.5, 0.5]])
    inner = np.array([[3.5, 3.5], [3.5, 6.5], [6.5, 6.5], [6.5, 3.5]])
    filled = fill_contours([outer, inner], (11, 11))
    assert filled.sum() == 81 - 9
    assert not filled[5, 5]


def test_keyhole_cuts_the_same_hole() -> None:
    outer = [[0.5, 0.5], [0.5, 9.5], [9.5, 9.5], [9.5, 0.5], [0.5, 0.5]]
    inner = [[3.5, 3.5], [6.5, 3.5], [6.5, 6.5], [3.5, 6.5], [3.5, 3.5]]
    keyhole = np.array([*outer, *inner, [0.5, 0.5]])
    apart = fill_contours([np.array(outer), np.array(inner)], (11, 11))
    np.testing.assert_array_equal(fill_contours([keyhole], (11, 11)), apart)


def test_contours_beyond_the_image_are_cut() -> None:
    square = np.array([[-5.0, -5.0], [-5.0, 20.0], [20.0, 20.0], [20.0, -5.0]])
    assert fill_contours([square], (4, 5)).all()
    assert not fill_contours([square + 100], (4, 5)).any()


# --- structure sets -----------------------------------------------------------------------------

ORIENTATIONS = [(1, 0, 0, 0, 1, 0), (0, 1, 0, 0, 0, -1), (0.8, 0.6, 0, -0.6, 0.8, 0), (0, 0.6, 0.8, 1, 0, 0)]


def one(source: Any) -> Volume:
    (volume,) = read_series(source)
    return volume


def lps(volume: Volume, z: float, corners: Any) -> np.ndarray:
    """Return LPS points of (y, x) indices on slice z."""
    index = np.array([[z, y, x] for y, x in corners], float)
    return volume.grid.to_mm(index) * (-1, -1, 1)


def box(low: float, high: float) -> list[tuple[float, float]]:
    return [(low, low), (low, high), (high, high), (high, low)]


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_contours_land_on_their_slices(dicom: Any, orientation: Any) -> None:
    dicom.series("ct", orientation=orientation, shape=(12, 14))
    volume = one(dicom.root / "ct")
    path = dicom.rtstruct([("GTV", [lps(volume, 1, box(2.5, 6.5)), lps(volume, 3, box(3.5, 5.5))])])
    mask = read_rtstruct(path, volume)
    expected = np.zeros(volume.shape, np.uint8)
    expected[1, 3:7, 3:7] = 1
    expected[3, 4:6, 4:6] = 1
    np.testing.assert_array_equal(mask.labels, expected)
    assert mask.grid == volume.grid
    assert (mask.kind, mask.review) == (MaskKind.REFERENCE, Review.ACCEPTED)
    (label,) = mask.schema.labels
    assert (label.name, label.colour, label.kind.meaning) == ("GTV", "#FF0000", "Neoplasm")
    assert any("stay empty" in note for note in mask.header["notes"])


def test_tilted_gantry(dicom: Any) -> None:
    dicom.series("ct", step=(0.0, 1.1, 2.0), shape=(12, 14))
    volume = one(dicom.root / "ct")
    path = dicom.rtstruct([("GTV", [lps(volume, z, box(2.5, 6.5)) for z in range(5)])])
    expected = np.zeros(volume.shape, np.uint8)
    expected[:, 3:7, 3:7] = 1
    np.testing.assert_array_equal(read_rtstruct(path, volume).labels, expected)


def test_holes_in_a_plane_but_not_between_planes(dicom: Any) -> None:
    dicom.series("ct", shape=(12, 14))
    volume = one(dicom.root / "ct")
    contours = [
        lps(volume, 2, box(1.5, 9.5)),
        lps(volume, 2, box(3.5, 6.5)),  # a hole
        lps(volume, 2.4, box(1.5, 9.5)),  # another plane, further from slice 2: it must not be subtracted
    ]
    mask = read_rtstruct(dicom.rtstruct([("GTV", contours)]), volume)
    assert mask.labels[2].sum() == 64 - 9
    assert mask.labels.sum() == 64 - 9
    assert any("closer together" in note for note in mask.header["notes"])


def test_planes_between_slices_go_to_the_nearest(dicom: Any) -> None:
    dicom.series("ct", shape=(12, 14))
    volume = one(dicom.root / "ct")
    mask = read_rtstruct(dicom.rtstruct([("GTV", [lps(volume, 1.3, box(1.5, 3.5)), lps(volume, 2.8, box(1.5, 3.5))])]), volume)
    assert np.flatnonzero(mask.labels.any(axis=(1, 2))).tolist() == [1, 3]
    assert any("0.60 mm beside" in note for note in mask.header["notes"])


def test_contours_outside_the_series_are_left_out_with_a_word(dicom: Any) -> None:
    dicom.series("ct", shape=(12, 14))
    volume = one(dicom.root / "ct")
    mask = read_rtstruct(dicom.rtstruct([("GTV", [lps(volume, 1, box(1.5, 3.5)), lps(volume, 7, box(1.5, 3.5))])]), volume)
    assert np.flatnonzero(mask.labels.any(axis=(1, 2))).tolist() == [1]
    assert any("outside the series" in note for note in mask.header["notes"])


def test_points_and_open_contours_are_passed_over_with_a_word(dicom: Any) -> None:
    dicom.series("ct", shape=(12, 14))
    volume = one(dicom.root / "ct")
    points = ("POINT", lps(volume, 1, [(5, 5)]))
    line = ("OPEN_PLANAR", lps(volume, 1, box(2.5, 9.5)))
    two = lps(volume, 1, [(1, 1), (2, 2)])
    mask = read_rtstruct(dicom.rtstruct([("GTV", [points, line, two, lps(volume, 2, box(1.5, 3.5))]), ("Marker", [points])]), volume)
    assert mask.labels.sum() == 4
    notes = " ".join(mask.header["notes"])
    for word in ("GTV: points", "GTV: open contours", "fewer than three", "left out: Marker"):
        assert word in notes


def test_overlapping_regions(dicom: Any) -> None:
    dicom.series("ct", shape=(12, 14))
    volume = one(dicom.root / "ct")
    path = dicom.rtstruct([("Inner", [lps(volume, 1, box(3.5, 5.5))]), ("Outer", [lps(volume, 1, box(1.5, 9.5))])])
    with pytest.raises(InputError, match=r"Inner and Outer \(4 voxels\)"):
        read_rtstruct(path, volume)
    first = read_rtstruct(path, volume, on_overlap="first")
    assert [(first.labels == v).sum() for v in (1, 2)] == [4, 60]
    last = read_rtstruct(path, volume, on_overlap="last")
    assert [(last.labels == v).sum() for v in (1, 2)] == [0, 64]


def test_regions_can_be_chosen_and_matched_to_a_schema(dicom: Any) -> None:
    dicom.series("ct", shape=(12, 14))
    volume = one(dicom.root / "ct")
    path = dicom.rtstruct([("Body", [lps(volume, 1, box(0.5, 9.5))]), ("GTV 1", [lps(volume, 1, box(3.5, 5.5))])])
    mask = read_rtstruct(path, volume, regions=["GTV 1"], schema=preset("lesion"))
    assert mask.schema == preset("lesion")
    assert mask.labels.sum() == 4
    with pytest.raises(InputError, match=r"no region 'Heart'.*Body, GTV 1"):
        read_rtstruct(path, volume, regions=["Heart"])


def test_region_numbers_may_be_anything(dicom: Any) -> None:
    dicom.series("ct", shape=(12, 14))
    volume = one(dicom.root / "ct")
    path = dicom.rtstruct([("A", [lps(volume, 1, box(0.5, 3.5))]), ("B", [lps(volume, 2, box(0.5, 3.5))])], numbers=[0, 99999])
    mask = read_rtstruct(path, volume)
    assert [(label.value, label.name) for label in mask.schema.labels] == [(1, "A"), (2, "B")]
    assert (mask.labels[1].max(), mask.labels[2].max()) == (1, 2)


# --- bad input ----------------------------------------------------------------------------------


def test_contours_that_cross_the_slices_are_refused(dicom: Any) -> None:
    dicom.series("ct", shape=(12, 14))
    volume = one(dicom.root / "ct")
    points = volume.grid.to_mm(np.array([[0, 2, 2], [4, 2, 2], [4, 2, 9], [0, 2, 9]], float)) * (-1, -1, 1)
    with pytest.raises(GeometryError, match="cross the slices"):
        read_rtstruct(dicom.rtstruct([("GTV", [points])]), volume)


def test_another_frame_of_reference_is_refused(dicom: Any) -> None:
    dicom.series("ct", shape=(12, 14), edit=lambda ds, z: setattr(ds, "FrameOfReferenceUID", "1.9.9"))
    volume = one(dicom.root / "ct")
    with pytest.raises(GeometryError, match="frame of reference"):
        read_rtstruct(dicom.rtstruct([("GTV", [lps(volume, 1, box(1.5, 3.5))])]), volume)


def test_no_closed_contours(dicom: Any) -> None:
    dicom.series("ct", shape=(12, 14))
    with pytest.raises(InputError, match="no closed contours"):
        read_rtstruct(dicom.rtstruct([("GTV", [])]), one(dicom.root / "ct"))


def test_image_is_no_structure_set(dicom: Any) -> None:
    (path, *_) = dicom.series("ct", shape=(12, 14))
    with pytest.raises(InputError, match="not an RT structure set"):
        read_rtstruct(path, one(dicom.root / "ct"))


def test_structure_set_cut_short(dicom: Any) -> None:
    dicom.series("ct", shape=(12, 14))
    volume = one(dicom.root / "ct")
    contours = [lps(volume, z, box(1.5, 3.5)) for z in (1, 2)]
    source = dicom.rtstruct([("GTV", contours), ("CTV", [lps(volume, 3, box(1.5, 3.5))])])
    expected = read_rtstruct(source, volume).labels
    whole = source.read_bytes()
    path = dicom.root / "cut.dcm"
    refused = 0
    for size in range(140, len(whole), 9):
        path.write_bytes(whole[:size])
        try:
            labels = read_rtstruct(path, volume).labels
        except InputError:
            refused += 1
        else:  # what was lost came after the contours
            np.testing.assert_array_equal(labels, expected)
    assert refused > 0.9 * len(range(140, len(whole), 9))


def test_damaged_contour(dicom: Any) -> None:
    dicom.series("ct", shape=(12, 14))
    volume = one(dicom.root / "ct")

    def edit(ds: Any) -> None:
        item = ds.ROIContourSequence[0].ContourSequence[0]
        item.ContourData = list(item.ContourData)[:-1]

    path = dicom.change(dicom.rtstruct([("GTV", [lps(volume, 1, box(1.5, 3.5))])]), edit)
    with pytest.raises(InputError, match="damaged"):
        read_rtstruct(path, volume)
