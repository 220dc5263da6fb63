"""What is on the screen is where radiologists expect it; looked at in the picture of the canvas."""

from __future__ import annotations

import numpy as np
import pytest

from napari_tumorseg.core.case import Case, TimePoint
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.volume import Volume


def case_with_a_ball(orientation: str) -> Case:
    """A dim cube with a bright ball at the patient's left, front and top."""
    shape, spacing = (24, 26, 28), (2.0, 1.5, 1.0)
    grid = Grid.from_spacing(shape, spacing, orientation)
    points = grid.to_mm(np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1))
    middle = grid.to_mm((np.array(shape) - 1) / 2)
    extent = np.abs(grid.affine[:3, :3] @ np.array(shape))
    ball = np.linalg.norm((points - middle) / extent - (-0.25, 0.25, 0.25), axis=-1) < 0.15
    data = np.where(ball, 1000, 20).astype(np.float32)
    return Case("ball", (TimePoint({"T1c": Volume(data, grid, "T1c"), "T2": Volume(data, grid, "T2")}),))


def brightest(viewer) -> tuple[float, float]:
    """Rows below and columns right of the middle of the canvas where the ball is seen."""
    for layer in viewer.layers:
        if hasattr(layer, "contrast_limits"):
            layer.contrast_limits = (0, 1000)
    viewer.canvas.overlays.scale_bar.visible = False
    for name in list(viewer.canvas.overlays):
        viewer.canvas.overlays[name].visible = False
    shot = viewer.screenshot(canvas_only=True, flash=False)[..., :3].min(axis=-1)
    rows, columns = np.nonzero(shot > 200)
    assert rows.size
    return rows.mean() - shot.shape[0] / 2, columns.mean() - shot.shape[1] / 2


@pytest.mark.parametrize("orientation", ["SAR", "IPL", "LSA", "PIR"])
def test_left_is_right_and_up_is_up(open_window, orientation):
    dock = open_window()
    session = dock.session
    session.open_case(case_with_a_ball(orientation))
    x, y, z = (float(v) for v in ball_centre(session))
    for plane, (right, up) in {"axial": ("L", "A"), "coronal": ("L", "S"), "sagittal": ("P", "S")}.items():
        session.view.show_plane(plane)
        dock.viewer.dims.point = tuple(session.view.scene.to_world((x, y, z)))
        rows, columns = brightest(dock.viewer)
        assert rows < 0, plane
        assert (columns > 0) == (right == "L"), plane
        letters = session.view.scene.letters(plane)
        assert (letters.right, letters.top) == (right, up)


def ball_centre(session):
    volume = session.volumes["T1c"]
    return volume.grid.to_mm(np.argwhere(volume.data > 500).mean(axis=0))


def test_the_3d_view_from_the_front_is_not_mirrored(open_window):
    dock = open_window()
    dock.session.open_case(case_with_a_ball("SAR"))
    dock.session.view.show_plane("3-D")
    rows, columns = brightest(dock.viewer)
    assert rows < 0
    assert columns > 0


def test_letters_slice_and_scale_bar(open_window):
    dock = open_window(show=False)
    session = dock.session
    session.open_case(case_with_a_ball("SAR"))
    letters = session.view._letters
    assert letters.texts == {"left": "R", "right": "L", "top": "A", "bottom": "P", "slice": "Axial\nS 22.0 mm\n13 of 24"}
    session.view.show_plane("sagittal")
    assert letters.texts["left"] + letters.texts["right"] == "AP"
    session.view.show_plane("3-D")
    assert letters.texts == {}
    assert dock.viewer.canvas.overlays.scale_bar.visible
    assert {str(u) for layer in dock.viewer.layers for u in layer.units} == {"millimeter"}
    session.close_case()
    assert letters.texts == {}


def test_one_sequence_at_a_time_and_windows(open_window):
    dock = open_window(show=False)
    grid = Grid.from_spacing((4, 5, 6), (1, 1, 1))
    ct = Volume(np.zeros((4, 5, 6), np.int16), grid, "CT", "HU")
    pet = Volume(np.zeros((4, 5, 6), np.float32), grid, "PET", "SUV")
    dock.session.open_case(Case("petct", (TimePoint({"CT": ct, "PET": pet}),)))
    layers = dock.session.view.layers
    assert (layers["CT"][0].visible, layers["PET"][0].visible) == (True, False)
    assert layers["CT"][0].contrast_limits == [0, 80]
    assert layers["PET"][0].colormap.name == "gray_r"
    combo = dock.view_bar.window
    lung = next(i for i in range(combo.count()) if combo.itemText(i).startswith("Lung"))
    combo.activated.emit(lung)
    assert layers["CT"][0].contrast_limits == [-1350, 150]
    dock.session.view.step_sequence(1)
    assert layers["PET"][0].contrast_limits == [0, 10]


def test_a_lesion_is_framed(open_window):
    from napari_tumorseg.core.grid import Box

    dock = open_window()
    dock.session.open_case(case_with_a_ball("LSA"))
    volume = dock.session.volumes["T1c"]
    where = np.argwhere(volume.data > 500)
    box = Box(tuple(where.min(axis=0).tolist()), tuple((where.max(axis=0) + 1).tolist()))
    x, y, z = (float(v) for v in ball_centre(dock.session))
    for plane in ("axial", "coronal", "sagittal"):
        dock.session.view.show_plane(plane)
        dock.session.view.frame((x, y, z), box)
        rows, columns = brightest(dock.viewer)
        assert abs(rows) < 12
        assert abs(columns) < 12
