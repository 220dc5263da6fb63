"""Slab, subtraction and the prior study in the real window."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_tumorseg.widgets.search_slab import SlabView
from napari_tumorseg.widgets.search_subtraction import SubtractionView
from napari_tumorseg.workflows.compare_images import Slab

from .conftest import drag, press


@pytest.fixture
def dock(open_window, load):
    """A dock with the case open and an empty mask."""
    made = open_window()
    load(made)
    made.session.add_empty_mask()
    return made


def shown(layer):
    """Return the numbers that the canvas gets."""
    return np.asarray(layer._slice.image.raw)


@pytest.mark.parametrize(("plane", "axis"), [("axial", 0), ("coronal", 1), ("sagittal", 2)])
@pytest.mark.parametrize("projection", ["max", "min", "mean"])
def test_a_slab_shows_what_its_slices_hold(dock, plane, axis, projection):
    view = dock.session.view
    slab = SlabView.of(dock.session)
    view.show_plane(plane)
    slab.set_slab(Slab(projection, 9.0))
    slab.set_on(True)
    layer = view.layers["T1c"][0]
    data = np.asarray(layer.data)
    spacing = view.scene.scale_mm[axis]
    half = slab.slab.slices(spacing) // 2
    assert (half, spacing) == ((1, 3.0) if axis == 0 else (4, 1.0))
    for middle in (half + 1, data.shape[axis] // 2):
        point = list(view.crosshair.point_mm)
        point[axis] = view.scene.translate_mm[axis] + middle * spacing
        view.crosshair.move(point)
        block = data.take(range(middle - half, middle + half + 1), axis=axis)
        assert shown(layer) == pytest.approx(getattr(block, projection)(axis=axis), abs=1e-3)
    slab.set_on(False)
    assert np.array_equal(shown(layer), data.take(middle, axis=axis))
    assert tuple(dock.viewer.dims.thickness) == (0, 0, 0)


def test_painting_in_a_slab_is_painting_in_its_middle_slice(dock):
    slab = SlabView.of(dock.session)
    slab.set_on(True)
    assert slab.text == "Maximum of 9 mm"
    press(dock, Qt.Key.Key_P)
    drag(dock, (0.0, -3.0), (0.0, 3.0))
    document = dock.session.active.document
    painted = np.argwhere(document.labels)
    assert len(painted)
    assert len(set(painted[:, 0].tolist())) == 1
    z = document.grid.to_mm(painted[0])[2]
    assert -z == pytest.approx(dock.session.view.crosshair.point_mm[0], abs=1.51)
    layer = dock.session.active.view.layer
    assert np.count_nonzero(shown(layer)) == len(painted)


def test_the_slab_follows_the_plane_and_the_next_case(dock, load):
    slab = SlabView.of(dock.session)
    slab.set_on(True)
    dock.session.view.show_plane("coronal")
    assert np.flatnonzero(dock.viewer.dims.thickness).tolist() == [1]
    dock.session.masks[0].mark_saved(0, dock.session.masks[0].document.review, None)
    load(dock)
    assert np.flatnonzero(dock.viewer.dims.thickness).tolist() == [0]
    assert str(dock.session.view.layers["T1c"][0].projection_mode) == "max"


def test_the_subtraction_is_one_more_sequence(dock, qtbot):
    session = dock.session
    view = session.view
    made = SubtractionView.of(session)
    active = dock.viewer.layers.selection.active
    made.toggle()
    assert made.busy
    qtbot.waitUntil(lambda: not made.busy, timeout=20000)
    assert made.on
    assert dock.viewer.layers.selection.active is active
    layer = dock.viewer.layers["T1c minus T1"]
    assert [own.visible for own in view.layers["T1c"]] == [False]
    assert dock.viewer.layers.index(layer) < dock.viewer.layers.index(session.active.view.layer)
    low, high = layer.contrast_limits
    assert low == -high
    t1c, t1 = (np.asarray(view.layers[name][0].data).astype(float) for name in ("T1c", "T1"))
    ball, head = t1c > 400, (t1c > 0) & (t1c < 300)
    match = made.result.match
    assert layer.data[ball] == pytest.approx((t1c - match.gain * t1 - match.offset)[ball], abs=0.01)
    assert layer.data[ball].min() > 100
    assert abs(np.median(layer.data[head])) < 6
    view.show_sequence("FLAIR")
    assert (made.on, layer.visible) == (False, False)
    made.toggle()
    assert made.on
    made.toggle()
    assert (made.on, view.layers["FLAIR"][0].visible) == (False, True)
    session.close_case()
    assert (made.layer, made.result) == (None, None)
    assert "T1c minus T1" not in [own.name for own in dock.viewer.layers]


def test_a_case_without_t1_says_what_lacks(dock, qtbot):
    dock.session.rename_sequence("T1", "CT")
    made = SubtractionView.of(dock.session)
    with qtbot.waitSignal(dock.session.said) as said:
        made.toggle()
    assert said.args[0].startswith("The case lacks T1 or T1c")
    assert not made.busy
