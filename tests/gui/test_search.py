"""Slab, subtraction and the prior study in the real window."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from scipy.spatial.transform import Rotation

from napari_tumorseg.core.grid import Grid
from napari_tumorseg.inference.resample import resample
from napari_tumorseg.phantoms.brain import make_brain_phantom, tiny
from napari_tumorseg.widgets.napari_adapter import canvas_widget, main_window
from napari_tumorseg.widgets.search_layout import SearchLayout
from napari_tumorseg.widgets.search_slab import SlabView
from napari_tumorseg.widgets.search_subtraction import SubtractionView
from napari_tumorseg.workflows.compare_images import Slab
from napari_tumorseg.workflows.display import Window, display_window

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
    assert np.all(layer.data[t1c == 0] == np.float32(low))
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


@pytest.fixture
def visits(tmp_path):
    """Two visits of a phantom: at the second one the head lies elsewhere and the scanner's gain is another."""
    folder = tmp_path / "patient"
    phantom = make_brain_phantom(tiny(3, shape=(52, 60, 50), spacing_mm=(3.0, 3.0, 3.0)))
    grid = phantom.grid
    motion = np.eye(4)
    motion[:3, :3] = Rotation.from_euler("xyz", (4, -5, 6), degrees=True).as_matrix()
    motion[:3, 3] = (4, 6, -5)
    for day, gain, place in (("2024-01-31", 1.0, np.eye(4)), ("2024-06-30", 2.5, motion)):
        (folder / day).mkdir(parents=True)
        source = Grid(grid.shape, place @ grid.affine)
        for name in ("T1c", "FLAIR"):
            values = gain * resample(phantom.volumes[name].data, source, grid)
            image = nibabel.Nifti1Image(values.astype(np.float32).transpose(2, 1, 0), grid.affine[:, [2, 1, 0, 3]])
            nibabel.save(image, folder / day / f"{name.lower()}.nii.gz")
    labels = nibabel.Nifti1Image(phantom.labels.labels.transpose(2, 1, 0), grid.affine[:, [2, 1, 0, 3]])
    nibabel.save(labels, folder / "2024-01-31" / "seg.nii.gz")
    return folder, phantom, motion


@pytest.fixture
def search(open_window, visits, qtbot):
    """A dock with the second visit open and the first one beside it."""
    dock = open_window()
    with qtbot.waitSignal(dock.work.ended, timeout=20000):
        dock.open([visits[0]])
    layout = SearchLayout.of(dock.session)
    assert layout.possible
    layout.toggle()
    assert layout.busy
    qtbot.waitUntil(lambda: layout.on and not layout.busy, timeout=60000)
    return dock, layout


def test_the_prior_lies_beside_registered(search, visits):
    dock, layout = search
    _, phantom, motion = visits
    registration = layout.study.registration
    assert registration.rotation_deg == pytest.approx(np.degrees(Rotation.from_matrix(motion[:3, :3]).magnitude()), abs=0.4)
    assert layout.text == f"Prior 2024-01-31: T1c, turned by {registration.rotation_deg:.1f}°"
    found = registration.matrix
    points = phantom.grid.to_mm(np.argwhere(phantom.brain)[::301])
    # The head moved by `motion` from the first visit to the second.
    error = points @ (found - motion)[:3, :3].T + (found - motion)[:3, 3]
    assert np.linalg.norm(error, axis=1).max() < 0.8
    model = layout.canvas.model
    ours = np.asarray(dock.session.view.layers["T1c"][0].data, float)
    theirs = np.asarray(model.layers["T1c"].data, float)
    both = (ours > 50) & (theirs > 50)
    assert np.corrcoef(ours[both], theirs[both])[0, 1] > 0.9
    mask = model.layers["Prior mask"]
    assert mask.data.shape == theirs.shape
    assert mask.data.any()
    assert not mask.editable
    # The enhancing tumour of the prior is bright in the current study, too.
    assert ours[mask.data == 3].mean() > 1.2 * ours[both].mean()


def test_views_go_together_both_ways(search):
    dock, layout = search
    view, viewer, model = dock.session.view, dock.viewer, layout.canvas.model
    point = [v + 9 for v in view.crosshair.point_mm]
    view.crosshair.move(point)
    assert model.dims.point[0] == pytest.approx(viewer.dims.point[0])
    viewer.scene.camera.zoom = 3.5
    viewer.scene.camera.center = (0.0, 5.0, 7.0)
    assert model.scene.camera.zoom == pytest.approx(3.5)
    assert model.scene.camera.center[-2:] == pytest.approx((5.0, 7.0))
    model.scene.camera.zoom = 2.25
    model.scene.camera.center = (0.0, -5.0, 8.0)
    assert viewer.scene.camera.zoom == pytest.approx(2.25)
    assert viewer.scene.camera.center[-2:] == pytest.approx((-5.0, 8.0))
    model.dims.set_point(0, viewer.dims.point[0] + 6)
    assert viewer.dims.point[0] == pytest.approx(model.dims.point[0])
    view.show_plane("sagittal")
    assert tuple(model.dims.order) == tuple(viewer.dims.order)
    assert model.scene.camera.zoom == pytest.approx(viewer.scene.camera.zoom)


def test_sequence_and_window_follow(search, qtbot):
    dock, layout = search
    view, model = dock.session.view, layout.canvas.model
    low, high = view.window
    start = model.layers["T1c"].contrast_limits
    # Both studies open in their own window by percentiles: the same part of each.
    own = display_window(layout.study.point.volumes["T1c"])
    assert start == pytest.approx((own.low, own.high), rel=1e-4)
    view.set_window(Window("by hand", low, low + (high - low) / 2))
    half = model.layers["T1c"].contrast_limits
    assert half[1] - half[0] == pytest.approx((start[1] - start[0]) / 2, rel=1e-3)
    view.show_sequence("FLAIR")
    qtbot.waitUntil(lambda: not layout.busy, timeout=20000)
    assert [(layer.name, layer.visible) for layer in model.layers if layer.name != "Prior mask"] == [("FLAIR", True), ("T1c", False)]
    assert layout.text.startswith("Prior 2024-01-31: FLAIR")


def test_the_key_that_hides_the_mask_hides_the_prior_s_too(search):
    dock, layout = search
    dock.session.add_empty_mask()
    canvas, prior = canvas_widget(dock.viewer), layout.canvas.model.layers["Prior mask"]
    canvas.setFocus()
    QTest.keyPress(canvas, Qt.Key.Key_H)
    assert not dock.session.active.view.layer.visible
    assert not prior.visible
    QTest.keyRelease(canvas, Qt.Key.Key_H)
    assert prior.visible
    dock.session.active.view.layer.visible = False
    assert not prior.visible
    dock.session.add_empty_mask()
    assert prior.visible


def test_it_closes_cleanly_and_opens_again(search, qtbot):
    dock, layout = search
    place = main_window(dock.viewer).centralWidget().layout()
    count = place.count()
    layout.toggle()
    assert (layout.on, layout.canvas, layout.study, place.count()) == (False, None, None, count - 1)
    layout.toggle()
    qtbot.waitUntil(lambda: layout.on and not layout.busy, timeout=60000)
    assert place.count() == count
    dock.session.close_case()
    assert (layout.on, place.count()) == (False, count - 1)


def test_registering_can_be_stopped(open_window, visits, qtbot):
    dock = open_window()
    with qtbot.waitSignal(dock.work.ended, timeout=20000):
        dock.open([visits[0]])
    layout = SearchLayout.of(dock.session)
    layout.toggle()
    with qtbot.waitSignal(layout.progress, timeout=20000):
        pass
    layout.toggle()
    assert (layout.busy, layout.on) == (False, False)


def test_a_case_without_a_prior_says_so(dock, qtbot):
    layout = SearchLayout.of(dock.session)
    assert not layout.possible
    with qtbot.waitSignal(dock.session.said) as said:
        layout.toggle()
    assert said.args[0].startswith("This case has no earlier visit")
