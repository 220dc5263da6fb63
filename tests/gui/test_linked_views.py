"""Four views of one case, driven by real mouse and key events on each canvas."""
# ruff: noqa: RUF005 -- coordinates are added to arrays, not joined to them

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from napari.layers import Image
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent, QWheelEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_tumorseg.core.case import Case, MaskKind, MaskVersion, TimePoint
from napari_tumorseg.core.document import Origin, PatchSource
from napari_tumorseg.core.grid import Box, Grid
from napari_tumorseg.core.labels import preset
from napari_tumorseg.core.volume import Volume
from napari_tumorseg.widgets.linked_views import LinkedViews, linked_views
from napari_tumorseg.widgets.napari_adapter import main_window
from napari_tumorseg.widgets.search_slab import SlabView
from napari_tumorseg.widgets.search_subtraction import SubtractionView
from napari_tumorseg.workflows.compare_images import Slab
from napari_tumorseg.workflows.scene import PLANES

SHAPE, SPACING_MM = (20, 36, 40), (3.0, 1.0, 1.5)
PRESS, MOVE, RELEASE = QEvent.Type.MouseButtonPress, QEvent.Type.MouseMove, QEvent.Type.MouseButtonRelease
TWICE = QEvent.Type.MouseButtonDblClick
LEFT, RIGHT, MIDDLE = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton, Qt.MouseButton.MiddleButton
NONE, SHIFT, CTRL = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier


def make_case(orientation: str = "LSA") -> Case:
    """Two sequences with thick slices, on axes that are not the scene's."""
    order = {"S": 0, "I": 0, "A": 1, "P": 1, "R": 2, "L": 2}
    axes = [order[letter] for letter in orientation]
    grid = Grid.from_spacing(tuple(SHAPE[a] for a in axes), tuple(SPACING_MM[a] for a in axes), orientation)
    data = np.random.default_rng(0).normal(100, 10, grid.shape).astype(np.float32)
    return Case("four", (TimePoint({"T1c": Volume(data, grid, "T1c"), "FLAIR": Volume(data + 50, grid, "FLAIR")}),))


class Bench:
    """The window with an empty mask and the four views."""

    def __init__(self, dock, qtbot, orientation: str = "LSA") -> None:
        self.dock, self.qtbot = dock, qtbot
        self.session = dock.session
        self.session.open_case(make_case(orientation))
        self.session.add_empty_mask()
        self.views = LinkedViews.of(self.session)
        self.views.toggle()
        self.settle()

    def settle(self) -> None:
        self.qtbot.waitUntil(lambda: self.views.surface is not None and self.views.surface.up_to_date, timeout=20000)
        for _ in range(4):
            QApplication.processEvents()

    @property
    def document(self):
        return self.session.active.document

    @property
    def scene(self):
        return self.session.view.scene

    def mask_in(self, plane):
        return self.views.counterpart(self.session.active.view.layer, plane)

    def pixel(self, plane, world) -> QPointF:
        """Where a place in the world, (z, y, x) in mm, is on the canvas of a plane."""
        view = self.views.view_of(plane)
        camera, size = view.model.scene.camera, view.canvas.size()
        row, column = ((world[a] - c) * camera.zoom for a, c in zip(PLANES[plane][-2:], camera.center[-2:], strict=True))
        return QPointF(round(size.width() / 2 + column), round(size.height() / 2 + row))

    def send(self, plane, kind, at, button=LEFT, held=True, modifiers=NONE) -> None:
        canvas = self.views.view_of(plane).canvas
        acting = Qt.MouseButton.NoButton if kind == MOVE else button
        buttons = Qt.MouseButton.NoButton if kind == RELEASE or not held else button
        place = QPointF(canvas.mapToGlobal(at.toPoint()))
        QApplication.sendEvent(canvas, QMouseEvent(kind, at, place, acting, buttons, modifiers))
        QTest.qWait(20)
        QApplication.processEvents()

    def drag(self, plane, *worlds, button=LEFT, modifiers=NONE) -> None:
        points = [self.pixel(plane, world) for world in worlds]
        self.send(plane, MOVE, points[0], button, held=False, modifiers=modifiers)
        self.send(plane, PRESS, points[0], button, modifiers=modifiers)
        for point in points[1:]:
            self.send(plane, MOVE, point, button, modifiers=modifiers)
        self.send(plane, RELEASE, points[-1], button, modifiers=modifiers)
        QApplication.processEvents()

    def drag_px(self, plane, right, down, button) -> None:
        size = self.views.view_of(plane).canvas.size()
        start = QPointF(size.width() / 2, size.height() / 2)
        self.send(plane, PRESS, start, button)
        self.send(plane, MOVE, start + QPointF(right, down), button)
        self.send(plane, RELEASE, start + QPointF(right, down), button)

    def wheel(self, plane, notches, at=None, modifiers=NONE) -> None:
        canvas = self.views.view_of(plane).canvas
        at = at or QPointF(canvas.width() / 2, canvas.height() / 2)
        place = QPointF(canvas.mapToGlobal(at.toPoint()))
        event = QWheelEvent(
            at,
            place,
            QPoint(),
            QPoint(0, round(120 * notches)),
            Qt.MouseButton.NoButton,
            modifiers,
            Qt.ScrollPhase.NoScrollPhase,
            False,
        )
        QApplication.sendEvent(canvas, event)
        QApplication.processEvents()

    def press(self, plane, key, modifiers=NONE) -> None:
        QTest.keyClick(self.views.view_of(plane).canvas, key, modifiers)
        QApplication.processEvents()

    def in_world(self, mask) -> np.ndarray:
        """World coordinates (n, 3) of the voxels of a mask of the document, through the patient's millimetres."""
        return self.scene.to_world(self.document.grid.to_mm(np.argwhere(mask)))

    def middle(self) -> np.ndarray:
        return np.array(self.session.view.crosshair.point_mm)


@pytest.fixture
def bench(open_window, qtbot):
    return Bench(open_window(), qtbot)


@pytest.mark.parametrize("orientation", ["LSA", "IPL", "PIR"])
def test_a_stroke_in_each_plane_lands_where_it_was_drawn(open_window, qtbot, orientation):
    bench = Bench(open_window(), qtbot, orientation)
    document = bench.document
    bench.press("axial", Qt.Key.Key_P)
    bench.session.active.view.brush_mm = 4.0
    for number, (plane, order) in enumerate(PLANES.items(), start=1):
        before = document.labels.copy()
        bench.session.view.crosshair.move(bench.middle() + (3, 2, 3))
        QApplication.processEvents()
        middle = bench.middle()
        start, stop = middle.copy(), middle.copy()
        start[order[2]] -= 6.0
        stop[order[2]] += 7.0
        bench.drag(plane, start, middle, stop)
        painted = bench.in_world(document.labels != before)
        assert len(painted), plane
        spacing = np.array(SPACING_MM)
        # In the slice that is seen, within the brush's radius of the line, and as long as the line.
        assert np.abs(painted[:, order[0]] - middle[order[0]]).max() <= spacing[order[0]] / 2 + 1e-6, plane
        assert np.abs(painted[:, order[1]] - middle[order[1]]).max() <= 2.0 + spacing[order[1]], plane
        assert painted[:, order[2]].min() == pytest.approx(start[order[2]] - 2.0, abs=spacing[order[2]] + 0.5), plane
        assert painted[:, order[2]].max() == pytest.approx(stop[order[2]] + 2.0, abs=spacing[order[2]] + 0.5), plane
        # All layers hold it, and hold one array.
        for other in PLANES:
            layer = bench.mask_in(other)
            assert np.array_equal(layer.data, bench.scene.to_scene(document.labels))
            assert np.shares_memory(layer.data, bench.session.active.view.layer.data)
        assert document.revision == number


def test_undo_in_another_view_and_by_its_keys(bench):
    document, middle = bench.document, bench.middle()
    bench.press("coronal", Qt.Key.Key_P)
    bench.drag("coronal", middle, middle + (0, 0, 6))
    first = document.labels.copy()
    bench.drag("sagittal", middle, middle + (6, 0, 0))
    assert not np.array_equal(document.labels, first)
    bench.press("axial", Qt.Key.Key_Z, CTRL)
    assert np.array_equal(document.labels, first)
    bench.press("sagittal", Qt.Key.Key_Z, CTRL)
    assert not document.labels.any()
    bench.press("coronal", Qt.Key.Key_Z, CTRL | SHIFT)
    assert np.array_equal(document.labels, first)
    for plane in PLANES:
        assert np.array_equal(bench.mask_in(plane).data, bench.scene.to_scene(first))


def test_the_picture_of_the_other_views_follows(bench):
    """What is painted in one view is seen in the others, in the mask's colour."""
    middle = bench.middle()
    canvases = {side.plane: side.canvas for side in bench.views.sides}

    def coloured(plane) -> int:
        shot = canvases[plane].screenshot()[..., :3].astype(int)
        return int((shot.max(axis=-1) - shot.min(axis=-1) > 60).sum())

    bench.views.show_crosshair(False)
    for view in bench.views.views:
        view.letters.clear()
    bare = {plane: coloured(plane) for plane in ("coronal", "sagittal")}
    bench.session.active.view.outlined = False
    bench.press("axial", Qt.Key.Key_P)
    bench.session.active.view.brush_mm = 12.0
    bench.drag("axial", middle)
    QApplication.processEvents()
    for plane in ("coronal", "sagittal"):
        assert coloured(plane) > bare[plane] + 50


def test_locks_and_gates_hold_in_each_view(bench):
    document, middle = bench.document, bench.middle()
    whole = Box.whole(document.grid.shape)
    document.write(whole, np.full(document.grid.shape, 2, np.uint8), Origin(PatchSource.MODEL))
    document.locked = frozenset({2})
    before = document.labels.copy()
    bench.press("axial", Qt.Key.Key_P)
    for plane in PLANES:
        bench.drag(plane, middle, middle + 4)
        assert np.array_equal(document.labels, before)
    document.locked = frozenset()
    bench.session.active.view.gate = lambda stamp: np.zeros_like(stamp.mask)
    for plane in PLANES:
        bench.drag(plane, middle, middle + 4)
        assert np.array_equal(document.labels, before)
    bench.session.active.view.gate = None
    bench.drag("sagittal", middle, middle + 4)
    assert not np.array_equal(document.labels, before)


def test_double_click_and_shift_put_the_crosshair_in_all_views(bench):
    crosshair = bench.session.view.crosshair
    middle = bench.middle()
    wanted = middle + (0, 8, -6)
    point = bench.pixel("axial", wanted)
    for kind in (PRESS, RELEASE, TWICE, RELEASE):
        bench.send("axial", kind, point)
    assert crosshair.point_mm == pytest.approx(tuple(wanted), abs=0.5)
    assert bench.views.view_of("coronal").model.dims.point[1] == pytest.approx(wanted[1], abs=0.5)
    assert bench.views.view_of("sagittal").model.dims.point[2] == pytest.approx(wanted[2], abs=0.75)
    # With a brush in the hand a double click is two dabs; Shift points.
    bench.press("coronal", Qt.Key.Key_P)
    wanted = middle + (6, 0, 9)
    bench.drag("coronal", middle, wanted, modifiers=SHIFT)
    assert crosshair.point_mm[::2] == pytest.approx(tuple(wanted[::2]), abs=0.5)
    assert not bench.document.labels.any()
    assert bench.dock.viewer.dims.point[0] == pytest.approx(wanted[0], abs=1.5)


def test_the_lines_cross_where_the_other_views_are(bench):
    bench.session.view.crosshair.move(bench.middle() + (3, 5, -6))
    z, y, x = bench.session.view.crosshair.point_mm
    for plane, (row, column) in {"axial": (y, x), "coronal": (z, x), "sagittal": (z, y)}.items():
        lines = bench.views.view_of(plane).lines.shown
        assert len(lines) == 2
        upright, level = lines
        assert {round(p[-1], 3) for p in upright} == {round(column, 3)}
        assert {round(p[-2], 3) for p in level} == {round(row, 3)}
    bench.views.show_crosshair(False)
    assert all(view.lines is None for view in bench.views.views)


def test_wheel_steps_one_slice_and_never_during_a_stroke(bench):
    for plane, order in PLANES.items():
        dims = bench.views.view_of(plane).model.dims
        before = dims.current_step[order[0]]
        bench.wheel(plane, -1)
        assert dims.current_step[order[0]] == before + 1
        bench.wheel(plane, 2)
        assert dims.current_step[order[0]] == before - 1
        assert bench.session.view.crosshair.point_mm[order[0]] == pytest.approx(dims.point[order[0]])
    bench.press("coronal", Qt.Key.Key_P)
    dims = bench.views.view_of("coronal").model.dims
    before = dims.current_step
    middle = bench.middle()
    bench.send("coronal", PRESS, bench.pixel("coronal", middle))
    bench.wheel("coronal", 1)
    assert dims.current_step == before
    bench.send("coronal", RELEASE, bench.pixel("coronal", middle))
    bench.wheel("coronal", 1)
    assert dims.current_step[1] == before[1] - 1


def test_keys_step_the_view_that_has_them(bench):
    axial, sagittal = bench.dock.viewer.dims, bench.views.view_of("sagittal").model.dims
    before = (axial.current_step[0], sagittal.current_step[2])
    bench.press("sagittal", Qt.Key.Key_Right)
    assert (axial.current_step[0], sagittal.current_step[2]) == (before[0], before[1] + 1)
    bench.press("axial", Qt.Key.Key_Left)
    assert (axial.current_step[0], sagittal.current_step[2]) == (before[0] - 1, before[1] + 1)


def test_ctrl_wheel_zooms_about_the_cursor_in_all_planes(bench):
    middle = bench.middle()
    place = middle + (4, 0, 8)
    at = bench.pixel("coronal", place)
    zoom = bench.dock.viewer.scene.camera.zoom
    bench.wheel("coronal", 2, at, CTRL)
    after = bench.pixel("coronal", place)
    assert (after - at).manhattanLength() <= 3
    assert {round(bench.views.view_of(p).model.scene.camera.zoom / zoom, 3) for p in PLANES} == {round(1.15**2, 3)}


def test_right_drag_sets_the_window_of_all_views(bench):
    layer = bench.session.view.layers["T1c"][0]
    low, high = layer.contrast_limits
    bench.drag_px("sagittal", 250, 0, RIGHT)
    assert layer.contrast_limits[1] - layer.contrast_limits[0] == pytest.approx(2 * (high - low), rel=1e-3)
    assert sum(layer.contrast_limits) / 2 == pytest.approx((low + high) / 2, rel=1e-3)
    bench.drag_px("axial", 0, 125, RIGHT)
    assert sum(layer.contrast_limits) / 2 == pytest.approx((low + high) / 2 + (high - low), rel=1e-3)
    for plane in ("coronal", "sagittal"):
        assert bench.views.counterpart(layer, plane).contrast_limits == layer.contrast_limits
    # Nothing was drawn, and napari's outline by right click has not begun.
    bench.press("axial", Qt.Key.Key_P)
    bench.drag_px("axial", 40, 0, RIGHT)
    assert not bench.document.labels.any()
    assert not bench.session.active.view._hook.stroke_open
    assert bench.dock.view_bar.window.currentIndex() == -1
    bench.dock.view_bar.window.activated.emit(0)
    assert layer.contrast_limits == pytest.approx([low, high])
    assert bench.dock.view_bar.window.currentIndex() == 0


def test_a_right_click_stays_naparis(bench):
    bench.press("coronal", Qt.Key.Key_P)
    at = bench.pixel("coronal", bench.middle())
    bench.send("coronal", PRESS, at, RIGHT)
    bench.send("coronal", RELEASE, at, RIGHT)
    assert bench.mask_in("coronal")._overlays["brush_stroke"].active
    bench.press("coronal", Qt.Key.Key_Z)
    assert not bench.document.labels.any()


def test_middle_drag_moves_the_image(bench):
    camera = bench.views.view_of("coronal").model.scene.camera
    row, column = camera.center[-2:]
    bench.drag_px("coronal", 30, -20, MIDDLE)
    assert camera.center[-2:] == pytest.approx((row + 20 / camera.zoom, column - 30 / camera.zoom))


def test_settings_are_told_both_ways(bench):
    main = bench.session.active.view.layer
    sides = [bench.mask_in(plane) for plane in ("coronal", "sagittal")]
    main.mode = "paint"
    main.selected_label = 3
    main.n_edit_dimensions = 3
    bench.session.active.view.brush_mm = 7.5
    main.opacity = 0.5
    main.contour = 0
    for side in sides:
        assert (str(side.mode), side.selected_label, side.n_edit_dimensions, side.opacity, side.contour) == ("paint", 3, 3, 0.5, 0)
        assert side.cursor_size == pytest.approx(7.5)
    sides[0].mode = "erase"
    sides[0].selected_label = 2
    sides[1].contour = 2
    sides[1].opacity = 0.8
    bench.press("sagittal", Qt.Key.Key_BracketRight)
    for layer in (main, *sides):
        assert (str(layer.mode), layer.selected_label, layer.contour, layer.opacity) == ("erase", 2, 2, 0.8)
        assert layer.brush_size == main.brush_size
    assert sides[0].cursor_size == pytest.approx(bench.session.active.view.brush_mm)
    image = bench.session.view.layers["T1c"][0]
    image.gamma = 0.7
    image.colormap = "magma"
    other = bench.views.counterpart(image, "coronal")
    assert (other.gamma, other.colormap.name) == (0.7, "magma")
    other.contrast_limits = (90, 110)
    assert image.contrast_limits == [90, 110]
    assert np.shares_memory(other.data, image.data)


def test_hold_to_hide_and_sequences_by_the_keys_of_a_side_view(bench):
    main = bench.session.active.view.layer
    side = bench.mask_in("coronal")
    canvas = bench.views.view_of("coronal").canvas
    QTest.keyPress(canvas, Qt.Key.Key_H)
    assert not main.visible
    assert not side.visible
    QTest.keyRelease(canvas, Qt.Key.Key_H)
    assert main.visible
    assert side.visible
    flair = bench.session.view.layers["FLAIR"][0]
    assert bench.views.counterpart(flair, "coronal") is None
    bench.press("sagittal", Qt.Key.Key_W)
    assert bench.session.view.sequence == "FLAIR"
    for plane in ("coronal", "sagittal"):
        layer = bench.views.counterpart(flair, plane)
        assert layer.visible
        assert np.shares_memory(layer.data, flair.data)
        assert not bench.views.counterpart(bench.session.view.layers["T1c"][0], plane).visible
    # The keyboard's layer is the mask everywhere.
    assert bench.views.view_of("coronal").model.layers.selection.active is side


def test_the_slab_is_seen_in_each_view_across_its_own_plane(bench):
    slab, scene = SlabView.of(bench.session), bench.scene
    slab.set_slab(Slab("max", 9.0))
    slab.set_on(True)

    def check(on):
        for plane in PLANES:
            layer = bench.views.counterpart(bench.session.view.layers["T1c"][0], plane)
            axis = PLANES[plane][0]
            data, spacing = np.asarray(layer.data), scene.scale_mm[axis]
            half = slab.slab.slices(spacing) // 2 if on else 0
            middle = round((bench.session.view.crosshair.point_mm[axis] - scene.translate_mm[axis]) / spacing)
            block = data.take(range(middle - half, middle + half + 1), axis=axis)
            assert bool(half) == on
            assert np.asarray(layer._slice.image.raw) == pytest.approx(block.max(axis=axis), abs=1e-3), plane

    check(True)
    bench.session.view.show_plane("coronal")
    bench.settle()
    check(True)
    slab.set_on(False)
    check(False)


def test_the_subtraction_is_seen_in_each_view(bench, qtbot):
    bench.session.rename_sequence("FLAIR", "T1")
    bench.settle()
    made = SubtractionView.of(bench.session)
    made.toggle()
    qtbot.waitUntil(lambda: not made.busy, timeout=20000)
    assert made.on
    t1c = bench.session.view.layers["T1c"][0]
    for plane in PLANES:
        shown = bench.views.counterpart(made.layer, plane)
        assert shown is not None
        assert shown.visible
        assert np.asarray(shown._slice.image.raw).shape == tuple(bench.scene.grid.shape[a] for a in PLANES[plane][-2:])
        assert shown.contrast_limits == made.layer.contrast_limits
        assert not bench.views.counterpart(t1c, plane).visible
        view = bench.views.view_of(plane)
        visible = [layer for layer in view.model.layers if layer.visible and isinstance(layer, Image)]
        assert visible == [shown]
    SlabView.of(bench.session).set_on(True)
    SlabView.of(bench.session).set_on(False)
    made.toggle()
    for plane in PLANES:
        assert not bench.views.counterpart(made.layer, plane).visible
        assert bench.views.counterpart(t1c, plane).visible


def test_layers_are_followed(bench):
    viewer = bench.dock.viewer
    added = viewer.add_image(np.zeros(bench.scene.grid.shape, np.float32), name="probability", scale=bench.scene.scale_mm)
    model = bench.views.view_of("coronal").model
    other = bench.views.counterpart(added, "coronal")
    assert np.shares_memory(other.data, added.data)
    assert model.layers[-1] is other
    viewer.layers.move(viewer.layers.index(added), 0)
    assert model.layers[0] is other
    added.name = "doubt"
    assert other.name == "doubt"
    viewer.layers.remove(added)
    QApplication.processEvents()
    assert bench.views.counterpart(added, "coronal") is None
    assert other not in model.layers
    points = viewer.add_points(np.zeros((1, 3)))
    assert bench.views.counterpart(points, "coronal") is None


def test_masks_are_switched_in_all_views(bench):
    first = bench.session.active
    middle = bench.middle()
    bench.press("axial", Qt.Key.Key_P)
    bench.drag("coronal", middle, middle + (0, 0, 6))
    grid = first.document.grid
    version = MaskVersion(np.zeros(grid.shape, np.uint8), grid, preset("brats-mets-2025"), MaskKind.AI, "x")
    second = bench.session.add_mask(version, "AI")
    bench.settle()
    assert not bench.views.counterpart(first.view.layer, "coronal").visible
    bench.press("axial", Qt.Key.Key_P)
    bench.drag("sagittal", middle, middle + (6, 0, 0))
    assert second.document.labels.any()
    assert first.document.revision == 1


def test_a_highlight_is_drawn_in_all_views(bench, qtbot):
    middle = bench.middle()
    bench.press("axial", Qt.Key.Key_P)
    bench.drag("axial", middle)
    qtbot.waitUntil(lambda: bench.session.lesions.up_to_date and len(bench.session.lesions.rows) == 1, timeout=20000)
    bench.session.focus.go_to(bench.session.lesions.rows[0])
    relays = [side.relay for side in bench.views.sides if side.relay is not None]
    mirrors = [relay._mirrors[bench.session.active.view.layer] for relay in relays]
    assert bench.session.active.view.highlight is not None
    assert all(mirror.side.highlight is bench.session.active.view.highlight for mirror in mirrors)
    # The lesion is framed in each.
    for plane in PLANES:
        view = bench.views.view_of(plane)
        assert view.model.scene.camera.center[-2:] == pytest.approx([middle[a] for a in PLANES[plane][-2:]], abs=2.0)


def test_turning_the_main_view_leaves_each_plane_once(bench):
    bench.press("axial", Qt.Key.Key_2, CTRL)
    assert bench.session.view.plane == "coronal"
    assert [view.plane for view in bench.views.views] == ["coronal", "axial", "sagittal", "3-D"]
    document, middle = bench.document, bench.middle()
    bench.press("coronal", Qt.Key.Key_P)
    bench.drag("axial", middle, middle + (0, 0, 6))
    painted = bench.in_world(document.labels != 0)
    assert set(np.round(painted[:, 0], 3)) == {round(float(middle[0]), 3)}
    bench.press("axial", Qt.Key.Key_1, CTRL)
    assert [view.plane for view in bench.views.views] == ["axial", "coronal", "sagittal", "3-D"]


def test_a_click_makes_a_view_active_and_it_can_have_the_whole_place(bench):
    assert bench.views.active == "axial"
    at = bench.pixel("sagittal", bench.middle())
    bench.send("sagittal", PRESS, at)
    bench.send("sagittal", RELEASE, at)
    assert bench.views.active == "sagittal"
    bench.views.toggle_alone()
    QApplication.processEvents()
    shown = [panel.isVisible() for panel in bench.views._panels.panels]
    assert shown == [False, False, True, False]
    assert bench.views._panels.panels[2].height() > 0.9 * bench.views._panels.height()
    bench.views.toggle_alone()
    QApplication.processEvents()
    assert all(panel.isVisible() for panel in bench.views._panels.panels)


def test_the_3d_view_follows_the_mask_when_idle(bench):
    middle = bench.middle()
    assert bench.views.surface.layers == {}
    bench.press("axial", Qt.Key.Key_P)
    bench.session.active.view.layer.n_edit_dimensions = 3
    bench.session.active.view.brush_mm = 9.0
    bench.drag("axial", middle)
    assert not bench.views.surface.up_to_date
    bench.settle()
    (surface,) = bench.views.surface.layers.values()
    corners = surface.data[0] * np.array(surface.scale) + np.array(surface.translate)
    voxels = bench.in_world(bench.document.labels != 0)
    assert corners.min(axis=0) == pytest.approx(voxels.min(axis=0), abs=max(SPACING_MM))
    assert corners.max(axis=0) == pytest.approx(voxels.max(axis=0), abs=max(SPACING_MM))
    # Scaled by the layer, thick slices would be lit from the wrong side.
    assert tuple(surface.scale) == (1, 1, 1)
    bench.press("axial", Qt.Key.Key_Z, CTRL)
    bench.settle()
    assert bench.views.surface.layers == {}


def test_the_3d_view_is_left_alone_while_it_is_off(bench):
    bench.views.show_three_d(False)
    bench.press("axial", Qt.Key.Key_P)
    bench.drag("axial", bench.middle())
    QTest.qWait(800)
    assert bench.views.surface.layers == {}
    assert not bench.session.runner.running
    bench.views.show_three_d(True)
    bench.settle()
    assert len(bench.views.surface.layers) == 1


def test_the_case_is_closed_and_another_opened(bench):
    bench.session.close_case()
    QApplication.processEvents()
    for view in bench.views.views:
        assert view.letters.texts == {}
        assert not view.lines.shown
    assert all(len(side.canvas.model.layers) == 0 for side in bench.views.sides)
    bench.session.open_case(make_case("IPL"))
    bench.session.add_empty_mask()
    bench.settle()
    for plane in PLANES:
        assert bench.views.view_of(plane).letters.texts["slice"].startswith(plane.capitalize())
        assert len(bench.views.view_of(plane).letters.texts) == 5
    bench.press("coronal", Qt.Key.Key_P)
    bench.drag("coronal", bench.middle())
    assert bench.document.labels.any()


def test_switching_off_gives_the_place_back_and_leaves_nothing(bench):
    viewer = bench.dock.viewer
    canvas = bench.views.views[0].canvas
    width = canvas.width()
    kept = [weakref.ref(side.canvas._qt) for side in bench.views.sides]
    document = bench.document
    listeners = len(document._listeners)
    bench.views.toggle()
    for _ in range(3):
        QApplication.sendPostedEvents(None, 52)  # deferred deletes
        QApplication.processEvents()
    gc.collect()
    assert canvas.isVisible()
    assert canvas.width() > 1.6 * width
    assert main_window(viewer).centralWidget().layout().count() == 1
    assert [ref() for ref in kept] == [None] * 3
    # Two planes and the surface have stopped listening.
    assert len(document._listeners) == listeners - 3
    bench.views.toggle()
    bench.settle()
    bench.press("coronal", Qt.Key.Key_P)
    bench.drag("coronal", bench.middle())
    assert document.labels.any()
    viewer.close()


def test_the_views_of_a_command(open_window):
    dock = open_window(show=False)
    views = linked_views(dock.viewer)
    assert views is LinkedViews.of(dock.session)
    assert not views.on
    views.toggle_alone()
    views.fit()
    assert not views.on
