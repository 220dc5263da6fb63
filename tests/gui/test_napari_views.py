"""What the linked views rely on in napari; a failure here means that napari has changed."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from napari.layers import Image, Labels
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QVBoxLayout, QWidget

from napari_tumorseg.widgets.mask_surface import label_surfaces
from napari_tumorseg.widgets.napari_views import CentralPlace, SceneLines, SideCanvas, main_qt_viewer


def drive(viewer, qtbot) -> weakref.ref:
    """Use a second canvas and close it; return what must be gone when this has returned."""
    data = np.zeros((6, 20, 20), np.float32)
    viewer.add_image(data, contrast_limits=(0, 1))
    place = CentralPlace(viewer)
    box = QWidget()
    layout = QVBoxLayout(box)
    place.lend(box, layout.addWidget)
    with pytest.raises(RuntimeError):
        place.lend(QWidget(), layout.addWidget)
    side = SideCanvas(viewer)
    layout.addWidget(side.widget)
    side.model.add_layer(Image(data, contrast_limits=(0, 1)))
    side.model.add_layer(Labels(np.zeros(data.shape, np.uint8)))
    qtbot.waitUntil(lambda: side.canvas.isVisible() and side.canvas.width() > 0.9 * box.width(), timeout=10000)
    QApplication.processEvents()
    assert box.isAncestorOf(main_qt_viewer(viewer))
    # Keys: the slice is the canvas's own, a layer's keys are its layer's, the viewer's are the main viewer's.
    steps = (viewer.dims.current_step[0], side.model.dims.current_step[0])
    QTest.keyClick(side.canvas, Qt.Key.Key_Right)
    assert (viewer.dims.current_step[0], side.model.dims.current_step[0]) == (steps[0], steps[1] + 1)
    QTest.keyClick(side.canvas, Qt.Key.Key_P)
    assert str(side.model.layers[-1].mode) == "paint"
    QTest.keyClick(side.canvas, Qt.Key.Key_G, Qt.KeyboardModifier.ControlModifier)
    assert viewer.canvas.grid.enabled
    assert not side.model.canvas.grid.enabled
    # Lines are in the picture, in the world's place: a level one on a black image.
    lines = SceneLines(side)
    lines.set([(np.array([[10.0, 0.0], [10.0, 20.0]]), (1.0, 1.0, 0.0, 1.0))])
    assert lines.shown == (((0.0, 10.0, 0.0), (0.0, 10.0, 20.0)),)
    shot = side.screenshot()[..., :3].astype(int)
    yellow = (shot[..., 0] > 200) & (shot[..., 1] > 200) & (shot[..., 2] < 80)
    assert yellow.any()
    rows = np.nonzero(yellow)[0]
    camera = side.model.scene.camera
    assert rows.mean() == pytest.approx(shot.shape[0] / 2 + (10 - camera.center[-2]) * camera.zoom, abs=3)
    lines.close()
    place.give_back()
    assert not place.lent
    side.close()
    box.deleteLater()
    return weakref.ref(side.widget)


def test_a_second_canvas_in_the_place_of_the_first(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True, strict_qt="raise")
    gone = drive(viewer, qtbot)
    for _ in range(3):
        QApplication.sendPostedEvents(None, 52)  # deferred deletes
        QApplication.processEvents()
        gc.collect()
    assert gone() is None
    assert main_qt_viewer(viewer).isVisible()


def test_surfaces_are_closed_whole_and_where_the_voxels_are():
    """Blocks are joined without a seam: each edge belongs to two triangles, and the volume is the mask's."""
    z, y, x = np.indices((70, 60, 110))
    labels = np.zeros(z.shape, np.uint8)
    labels[((z - 35) / 30) ** 2 + ((y - 30) / 20) ** 2 + ((x - 55) / 50) ** 2 < 1] = 2
    labels[1, 1, 1] = 1
    single, large = label_surfaces(labels, (1, 2, 3))
    assert (single.value, large.value, single.voxels) == (1, 2, 1)
    assert single.vertices.mean(axis=0) == pytest.approx((1, 1, 1), abs=1e-3)
    edges = np.sort(np.concatenate([large.faces[:, pair] for pair in ([0, 1], [1, 2], [2, 0])]), axis=1)
    assert set(np.unique(edges, axis=0, return_counts=True)[1].tolist()) == {2}
    a, b, c = (large.vertices[large.faces[:, i]].astype(float) for i in range(3))
    volume = abs(np.einsum("ij,ij->i", a, np.cross(b, c)).sum()) / 6
    assert volume == pytest.approx(large.voxels, rel=0.03)


def test_a_large_mask_is_made_coarser_and_loses_nothing_small():
    labels = np.zeros((200, 220, 240), np.uint8)
    labels[50, 60, 70] = labels[0, 0, 0] = labels[-1, -1, -1] = 1
    (surface,) = label_surfaces(labels, (1,))
    for voxel in ((50, 60, 70), (0, 0, 0), (199, 219, 239)):
        assert np.abs(surface.vertices - voxel).max(axis=1).min() < 2.5
