"""What the adapter relies on in napari; a failure here means that napari has changed."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_tumorseg.core.document import MaskDocument, Origin, PatchSource
from napari_tumorseg.core.grid import Box, Grid
from napari_tumorseg.core.labels import preset
from napari_tumorseg.widgets.mask_layer import MaskLayer
from napari_tumorseg.workflows.scene import Scene

ORIENTATIONS = ["".join(c) for axes in itertools.permutations(("LR", "PA", "IS")) for c in itertools.product(*axes)]
SHAPE = (6, 20, 24)


class Bench:
    """A document, its layer in a viewer, and what the document was told."""

    def __init__(self, orientation: str = "IPL", shape: tuple[int, int, int] = SHAPE, schema: str = "brats-mets-2025") -> None:
        grid = Grid.from_spacing(shape, (3.0, 1.0, 1.0), orientation)
        self.document = MaskDocument(np.zeros(shape, np.uint8), grid, preset(schema))
        self.scene = Scene(grid)
        self.refused: list[str] = []
        self.mask = MaskLayer(self.document, self.scene, "mask", person="A.B.", refused=self.refused.append)
        self.viewer = ViewerModel()
        self.layer = self.viewer.add_layer(self.mask.layer)
        self.patches = []
        self.document.listen(lambda change: self.patches.append(change.patch))

    @property
    def shown(self) -> np.ndarray:
        return np.asarray(self.scene.to_scene(self.document.labels))

    def same(self) -> bool:
        return np.array_equal(self.layer.data, self.shown)

    def tools(self) -> list[tuple[PatchSource, str]]:
        return [(p.origin.source, p.origin.tool) for p in self.patches]


@pytest.fixture
def bench():
    bench = Bench()
    yield bench
    bench.mask.close()


def stroke(bench: Bench, label: int, points: list[tuple[int, int, int]]) -> None:
    """What napari's mouse callback does between press and release."""
    with bench.layer.block_history():
        for a, b in itertools.pairwise([points[0], *points]):
            bench.layer._draw(label, a, b)


def test_a_stroke_is_one_patch_of_the_hand(bench):
    bench.layer.mode = "paint"
    bench.layer.brush_size = 3
    stroke(bench, 3, [(2, 5, 5), (2, 5, 9), (2, 9, 9)])
    assert bench.tools() == [(PatchSource.HAND, "paint")]
    assert bench.patches[0].origin.person == "A.B."
    assert bench.shown[2, 5, 5:10].tolist() == [3] * 5
    assert bench.same()
    assert not bench.layer._undo_history


def test_erase(bench):
    bench.document.write(Box.whole(SHAPE), np.full(SHAPE, 2, np.uint8), Origin(PatchSource.MODEL))
    bench.layer.mode = "erase"
    stroke(bench, 0, [(1, 4, 4)])
    assert bench.tools()[-1] == (PatchSource.HAND, "erase")
    assert bench.shown[1, 4, 4] == 0
    assert bench.same()


def test_fill_in_the_plane_and_in_the_volume(bench):
    bench.layer.fill((2, 5, 5), 1)
    assert bench.tools() == [(PatchSource.HAND, "fill")]
    assert (bench.shown[2] == 1).all()
    assert not bench.shown[1].any()
    bench.layer.n_edit_dimensions = 3
    bench.layer.fill((0, 0, 0), 2)
    assert (bench.shown[:2] == 2).all()
    assert not bench.shown[3:].any()
    assert bench.same()


def test_polygon(bench):
    bench.layer.mode = "polygon"
    bench.layer._overlays["polygon"].points = [[2, 2, 2], [2, 2, 12], [2, 12, 12], [2, 12, 2]]
    bench.layer._overlays["polygon"].add_polygon_to_labels(bench.layer)
    assert bench.tools() == [(PatchSource.HAND, "polygon")]
    assert (bench.shown[2, 3:12, 3:12] == 1).all()
    assert bench.same()


def test_data_setitem(bench):
    bench.layer.data_setitem((np.array([1, 1]), np.array([2, 3]), np.array([4, 5])), 3)
    assert bench.shown[1, 2, 4] == 3
    assert bench.shown[1, 3, 5] == 3
    assert np.count_nonzero(bench.shown) == 2
    assert bench.same()


def test_napari_undo_and_redo_walk_the_documents_history(bench):
    bench.layer.paint((2, 5, 5), 1)
    bench.document.write(Box((0, 0, 0), (1, 1, 1)), np.full((1, 1, 1), 2, np.uint8), Origin(PatchSource.TOOL, "grow"))
    after = bench.shown.copy()
    bench.layer.undo()
    assert bench.document.labels[0, 0, 0] == 0
    bench.layer.undo()
    assert not bench.shown.any()
    assert bench.same()
    bench.layer.redo()
    bench.layer.redo()
    bench.layer.redo()
    assert np.array_equal(bench.shown, after)
    assert bench.same()


def test_more_steps_are_kept_than_napari_keeps(bench):
    for row in range(150):
        bench.layer.data_setitem((np.array([row % 6]), np.array([row // 6 % 20]), np.array([row // 120])), 1 + row % 2)
    for _ in range(150):
        bench.layer.undo()
    assert not bench.shown.any()
    assert bench.same()


def test_undo_waits_for_the_stroke_in_flight(bench):
    bench.layer.mode = "paint"
    bench.layer.paint((1, 5, 5), 1)
    with bench.layer.block_history():
        bench.layer._draw(2, (2, 5, 5), (2, 5, 5))
        bench.layer.undo()
    assert bench.shown[1, 5, 5] == 1
    assert bench.shown[2, 5, 5] == 2


def test_an_aborted_stroke_leaves_no_patch(bench):
    bench.layer._begin_stroke()
    bench.layer._draw(2, (2, 5, 5), (2, 5, 9))
    bench.layer._abort_stroke()
    assert not bench.patches
    assert not bench.layer.data.any()


def test_a_lock_holds_before_the_write(bench):
    bench.document.write(Box.whole(SHAPE), np.full(SHAPE, 2, np.uint8), Origin(PatchSource.MODEL))
    bench.document.locked = frozenset({2})
    seen = []
    bench.layer.events.labels_update.connect(lambda event: seen.append(np.asarray(event.data).copy()))
    bench.layer.paint((2, 5, 5), 3)
    bench.layer.fill((2, 5, 5), 3)
    bench.layer.paint_polygon([[2, 2, 2], [2, 2, 12], [2, 12, 12]], 3)
    bench.layer.data_setitem((np.array([1]), np.array([2]), np.array([4])), 3)
    assert len(bench.patches) == 1
    assert (bench.layer.data == 2).all()
    assert not seen
    bench.document.locked = frozenset()
    bench.layer.paint((2, 5, 5), 3)
    assert bench.shown[2, 5, 5] == 3


def test_only_the_locked_voxels_of_a_stroke_are_kept(bench):
    half = np.zeros(SHAPE, np.uint8)
    half[:, :, :12] = 2
    bench.document.write(Box.whole(SHAPE), half, Origin(PatchSource.MODEL))
    bench.document.locked = frozenset({2})
    bench.layer.fill((2, 5, 20), 1)
    bench.layer.brush_size = 9
    bench.layer.paint((3, 10, 12), 3)
    assert (bench.shown[:, :, :12] == 2).all()
    assert (bench.shown[3] == 3).any()
    assert bench.same()


def test_a_direct_write_is_recorded_as_external(bench):
    bench.viewer.dims.set_current_step(0, 1)
    bench.layer.data[1, 3:5, 3:5] = 3
    bench.layer.refresh()
    assert bench.tools() == [(PatchSource.EXTERNAL, "direct write")]
    assert (bench.shown[1, 3:5, 3:5] == 3).all()


def test_a_direct_write_out_of_view_is_found_by_sync(bench):
    bench.layer.data[4, 3:5, 3:5] = 3
    assert bench.mask.sync()
    assert not bench.mask.sync()
    assert bench.tools() == [(PatchSource.EXTERNAL, "direct write")]


def test_a_direct_write_before_a_stroke_is_recorded_before_it(bench):
    bench.layer.data[2, 5, 5] = 2
    bench.layer.brush_size = 5
    bench.layer.paint((2, 5, 5), 3)
    assert bench.tools() == [(PatchSource.EXTERNAL, "direct write"), (PatchSource.HAND, "paint")]
    bench.layer.undo()
    assert bench.shown[2, 5, 5] == 2
    bench.layer.undo()
    assert not bench.shown.any()


def test_a_new_array_is_taken_over_as_external(bench):
    other = np.zeros(SHAPE, np.int64)
    other[1, 1, 1] = 4
    bench.layer.data = other
    assert bench.tools() == [(PatchSource.EXTERNAL, "direct write")]
    assert bench.layer.data is not other
    assert bench.layer.data[1, 1, 1] == 4
    bench.layer.undo()
    assert not bench.layer.data.any()


def test_an_array_of_another_shape_is_refused(bench):
    bench.layer.data = np.ones((3, 3, 3), np.uint8)
    assert bench.layer.data.shape == SHAPE
    assert "shape" in bench.refused[0]


def test_values_that_are_no_label_are_refused(bench):
    bench.viewer.dims.set_current_step(0, 1)
    bench.layer.data[1, 0, 0] = 77
    bench.layer.refresh()
    assert bench.layer.data[1, 0, 0] == 0
    assert not bench.patches
    bench.layer.paint((2, 5, 5), 9)
    assert not bench.layer.data.any()
    assert "no label 9" in bench.refused[-1]


def test_the_selected_label_steps_over_numbers_that_are_no_label():
    bench = Bench(schema="brats-2018")
    bench.layer.selected_label = 2
    bench.layer.selected_label += 1
    assert bench.layer.selected_label == 4
    bench.layer.selected_label += 1
    assert bench.layer.selected_label == 4
    bench.layer.selected_label -= 1
    assert bench.layer.selected_label == 2
    bench.mask.close()


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_painting_lands_on_the_same_voxel_in_every_orientation(orientation):
    bench = Bench(orientation, (4, 5, 6))
    index = (1, 2, 1)
    bench.layer.brush_size = 1
    bench.layer.paint(index, 3)
    # Oracle: the voxel whose centre lies where the scene's voxel lies in the patient.
    own = np.rint(bench.document.grid.to_index(bench.scene.grid.to_mm(index))).astype(int)
    assert np.argwhere(bench.document.labels).tolist() == [own.tolist()]
    bench.document.write(Box((0, 0, 0), (1, 1, 2)), np.array([[[1, 2]]], np.uint8), Origin(PatchSource.TOOL))
    assert bench.same()
    bench.mask.close()


def test_a_change_of_the_document_redraws_its_box_only(bench):
    seen = []
    bench.layer.events.labels_update.connect(lambda event: seen.append((tuple(event.offset), event.data.shape)))
    z = int(bench.viewer.dims.current_step[0])
    bench.document.write(Box((z, 4, 6), (z + 1, 8, 9)), np.full((1, 4, 3), 3, np.uint8), Origin(PatchSource.TOOL))
    # One voxel more on every side, where the outline may change.
    assert seen == [((3, 5), (6, 5))]
    other = 0 if z else 1
    bench.document.write(Box((other, 4, 6), (other + 1, 8, 9)), np.full((1, 4, 3), 3, np.uint8), Origin(PatchSource.TOOL))
    assert len(seen) == 1


def test_the_picture_has_a_solid_outline_and_a_light_fill(bench):
    z = int(bench.viewer.dims.current_step[0])
    bench.document.write(Box((z, 4, 4), (z + 1, 12, 12)), np.full((1, 8, 8), 3, np.uint8), Origin(PatchSource.TOOL))
    view = np.asarray(bench.layer._slice.image.view)
    colours = bench.layer.colormap.map(view)
    assert colours[7, 7, 3] == pytest.approx(0.28)
    assert colours[4, 4, 3] == 1.0
    assert colours[0, 0, 3] == 0.0
    assert np.allclose(colours[7, 7, :3], colours[4, 4, :3])
    bench.mask.outlined = False
    assert bench.layer.colormap.map(np.asarray(bench.layer._slice.image.view))[7, 7, 3] == 1.0


def test_in_3d_nothing_warns_and_edits_show(bench):
    bench.viewer.dims.ndisplay = 3
    bench.document.write(Box((1, 4, 4), (4, 12, 12)), np.full((3, 8, 8), 3, np.uint8), Origin(PatchSource.TOOL))
    assert np.array_equal(np.asarray(bench.layer._slice.image.view) != 0, bench.shown != 0)


def test_painting_after_a_change_of_plane(bench):
    bench.viewer.dims.order = (1, 0, 2)
    bench.viewer.dims.set_current_step(1, 7)
    bench.layer.brush_size = 3
    bench.layer.paint((2, 7, 5), 2)
    assert bench.shown[2, 7, 5] == 2
    assert not bench.shown[2, 8].any()
    assert bench.same()


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 0, 1)])
@pytest.mark.parametrize("dimensions", [2, 3])
def test_the_brush_has_its_size_in_mm_in_every_plane(bench, order, dimensions):
    bench.viewer.dims.order = order
    bench.layer.n_edit_dimensions = dimensions
    bench.mask.brush_mm = 8.0
    centre = (3, 10, 12)
    bench.layer.paint(centre, 3)
    # Oracle: the voxels whose centres lie within 4 mm of the middle, in the plane or in space.
    away = (np.indices(SHAPE).T - np.array(centre)) * np.array([3.0, 1.0, 1.0])
    near = np.linalg.norm(away, axis=-1).T <= 4.0
    if dimensions == 2:
        near &= np.indices(SHAPE)[order[0]] == centre[order[0]]
    assert np.array_equal(bench.shown == 3, near)
    assert bench.layer.cursor_size == 8.0


def test_the_brush_is_cut_at_the_border(bench):
    bench.layer.n_edit_dimensions = 3
    bench.mask.brush_mm = 6.0
    bench.layer.paint((0, 0, 23), 3)
    away = (np.indices(SHAPE).T - np.array([0, 0, 23])) * np.array([3.0, 1.0, 1.0])
    assert np.array_equal(bench.shown == 3, np.linalg.norm(away, axis=-1).T <= 3.0)


def test_naparis_keys_for_the_brush_change_its_size_in_mm(bench):
    bench.mask.brush_mm = 7.4
    assert bench.layer.brush_size == 7
    bench.layer.brush_size += 1
    assert bench.mask.brush_mm == 8.0
    assert bench.layer.cursor_size == 8.0


def test_a_gate_bounds_what_is_painted_but_not_what_is_erased(bench):
    stamps = []

    def left_half(stamp):
        stamps.append(stamp)
        return np.broadcast_to(np.arange(stamp.box.start[2], stamp.box.stop[2]) < 12, stamp.box.shape)

    bench.mask.gate = left_half
    bench.mask.brush_mm = 9.0
    bench.layer.paint((2, 10, 12), 3)
    assert bench.shown[2, 10, 8:12].all()
    assert not bench.shown[2, :, 12:].any()
    assert stamps[0].centre == (2, 10, 12)
    assert stamps[0].mask.shape == stamps[0].box.shape
    bench.layer.fill((3, 5, 5), 2)
    assert (bench.shown[3, :, :12] == 2).all()
    assert not bench.shown[3, :, 12:].any()
    assert stamps[-1].centre is None
    bench.mask.gate = None
    bench.layer.fill((3, 5, 15), 1)
    bench.mask.gate = left_half
    bench.layer.paint((3, 10, 12), 0)
    assert not bench.shown[3, 10, 8:17].any()
    assert bench.same()


def test_enter_and_escape_end_naparis_polygon_first(bench):
    pressed = []
    bench.mask.buffer.on_enter = lambda: pressed.append("Enter")
    bench.mask.buffer.on_escape = lambda: pressed.append("Escape")
    enter, escape = (next(f for key, f in bench.layer.keymap.items() if str(key) == name) for name in ("Enter", "Escape"))
    bench.layer.mode = "polygon"
    polygon = bench.layer._overlays["polygon"]
    polygon.points = [[2, 2, 2], [2, 2, 12], [2, 12, 12]]
    escape(bench.layer)
    assert polygon.points == []
    polygon.points = [[2, 2, 2], [2, 2, 12], [2, 12, 12]]
    enter(bench.layer)
    assert bench.tools() == [(PatchSource.HAND, "polygon")]
    assert pressed == []
    enter(bench.layer)
    escape(bench.layer)
    assert pressed == ["Enter", "Escape"]


@pytest.fixture
def pair(bench):
    """Two layers of one mask, each in a viewer of its own."""
    second = MaskLayer(bench.document, bench.scene, "mask", buffer=bench.mask.buffer)
    viewer = ViewerModel()
    viewer.add_layer(second.layer)
    viewer.dims.order = (1, 0, 2)
    yield bench, second, viewer
    second.close()


def test_two_layers_share_one_array(pair):
    bench, second, _ = pair
    assert np.shares_memory(bench.layer.data, second.layer.data)


def test_what_is_painted_in_one_view_shows_in_the_other_and_is_undone_there(pair):
    bench, second, viewer = pair
    viewer.dims.set_current_step(1, 5)
    seen = []
    second.layer.events.labels_update.connect(lambda event: seen.append(event.data.shape))
    bench.layer.paint((2, 5, 5), 3)
    assert seen
    assert second.layer.colormap.map(np.asarray(second.layer._slice.image.view))[2, 5, 3] > 0
    second.layer.undo()
    assert not bench.shown.any()
    assert bench.tools() == [(PatchSource.HAND, "paint"), (PatchSource.UNDO, "paint")]
    second.layer.paint((4, 5, 7), 2)
    bench.layer.undo()
    assert not bench.layer.data.any()


def test_a_stroke_in_one_view_is_not_taken_for_a_direct_write_by_the_other(pair):
    bench, second, viewer = pair
    bench.layer.mode = "paint"
    with bench.layer.block_history():
        bench.layer._draw(3, (2, 5, 5), (2, 5, 9))
        viewer.dims.set_current_step(1, 5)
        second.layer.refresh()
        assert not second.sync()
        bench.layer._draw(3, (2, 5, 9), (2, 9, 9))
    assert bench.tools() == [(PatchSource.HAND, "paint")]


def test_a_direct_write_is_recorded_once_by_two_layers(pair):
    bench, second, viewer = pair
    viewer.dims.set_current_step(1, 3)
    bench.layer.data[1, 3, 3:5] = 3
    bench.layer.refresh()
    second.layer.refresh()
    assert bench.tools() == [(PatchSource.EXTERNAL, "direct write")]


def test_other_layers_keep_naparis_own_ways(bench):
    stranger = bench.viewer.add_labels(np.zeros(SHAPE, np.uint8))
    stranger.paint((2, 5, 5), 9)
    stranger.undo()
    assert not stranger.data.any()
    assert not bench.patches


def test_after_close_the_layer_is_an_ordinary_one(bench):
    bench.mask.close()
    bench.layer.paint((2, 5, 5), 1)
    bench.layer.undo()
    assert not bench.patches
    assert not bench.layer.data.any()
